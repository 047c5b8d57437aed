/*
 * segment - the shared wall: one file on a tmpfs that all processes map.
 *
 * Shape    a header (magic, layout version, geometry, hash of the metrics'
 *          layout), named areas, descriptions of the metrics, and a slot for
 *          each process: state, request in flight, last moment recorded, journals,
 *          metric cells, exemplars; rings of log lines, of spans, of request
 *          records, of traces that are kept apart.
 *          No pointers, offsets only; sparse, so what is never touched costs
 *          nothing
 * Errors   a reason in *why: not our magic, another layout version (named),
 *          another geometry, truncated, rubbish
 * Owner    the master makes it and forks; children inherit the mapping; the
 *          exporter maps it read-only and must survive any content
 *
 * rh_segment_create takes over a file that has the same geometry, so that
 * counters outlive the pool, lines and spans not yet taken, and what is
 * remembered of requests; slots it empties, and areas that are not kept. Any other segment it replaces by rename, never in place; a file
 * that is no segment it leaves alone. While the pool lives it holds a lock on
 * the file, and a second pool is refused.
 * Slot 0 is the master's, 1 to n the workers'; one more, for the process of
 * rh_log_drain, is the segment's own.
 *
 * Several pools share one file, if their specs say the same of all of them: each
 * has its slots, in one piece, its areas and its lock, and whoever comes first
 * makes the file. A pool sees its own slots alone, numbered from 0; metrics are
 * of all. Where the file that is there is of another geometry and another pool
 * lives in it, the first pool replaces it and any other is refused.
 */
#ifndef RH_OBS_SEGMENT_H
#define RH_OBS_SEGMENT_H

#include "base/buf.h"
#include "obs/flight.h"
#include "obs/moment.h"
#include "obs/ring.h"

#define RH_SEGMENT_VERSION	6

enum rh_slot_state {
	RH_SLOT_EMPTY,		/* or of a process that is no worker */
	RH_SLOT_STARTING, RH_SLOT_IDLE, RH_SLOT_BUSY, RH_SLOT_DRAINING,
	RH_SLOT_BACKOFF,	/* empty; its worker comes after a pause */
	RH_SLOT_STATES
};

/* One process's own page; single writer: the process that has the slot. */
struct rh_slot {
	_Atomic int32_t pid;		/* set by the master, 0 when empty */
	_Atomic uint32_t state;		/* enum rh_slot_state */
	_Atomic int64_t started_us;	/* wall clock */
	_Atomic uint64_t requests;	/* since it started */
	_Atomic uint32_t generation;	/* how many processes had this slot */
	char pad[36];
};

/* A named area for the layers above; they lay it out, zeros at first. */
struct rh_area {
	const char *name;	/* at most 15 characters */
	size_t bytes;
	bool kept;	/* outlives the pool as counters do; whoever uses it checks it */
	unsigned pool;	/* whose it is; emptied when that one starts */
};

/* One of those that share the file. */
struct rh_segment_pool {
	const char *name; /* at most 15 characters */
	unsigned slots;	  /* its master's included */
};

/* Whether a worker has it that has come so far as to serve. */
static inline bool
rh_slot_serves(struct rh_slot *slot)
{
	uint32_t state = atomic_load_explicit(&slot->state,
	    memory_order_relaxed);

	return atomic_load_explicit(&slot->pid, memory_order_relaxed) &&
	    (state == RH_SLOT_IDLE || state == RH_SLOT_BUSY ||
	    state == RH_SLOT_DRAINING);
}

struct rh_metrics;
struct rh_segment;

struct rh_segment_spec {
	const char *pool; /* "fcgi": whose slots are ours */
	const char *service, *version, *revision;
	unsigned slots; /* master included; of one pool alone */
	const struct rh_segment_pool
	    *pools; /* in the file's order, ended by { NULL, 0 }; NULL: one */
	/* rounded up to a power of two */
	size_t log_ring_bytes, span_ring_bytes;
	size_t request_ring_bytes, trace_ring_bytes;
	const struct rh_area *areas;	/* ended by { NULL, 0 } */
	struct rh_metrics *metrics;	/* complete: no family comes later */
};

RH_MUST_CHECK bool rh_segment_create(struct rh_segment **segment,
    const char *path, const struct rh_segment_spec *spec, struct rh_buf *why);
/* Read-only, every offset checked against the file's size before use; all slots. */
RH_MUST_CHECK bool rh_segment_open(struct rh_segment **segment,
    const char *path, struct rh_buf *why);
/*
 * For a program that goes on with a living pool, whose descriptor it has: where
 * path still names that file and the geometry is the same, all stays as it is
 * and *same is true. Else it is as rh_segment_create, but that pool's own lock
 * is no hindrance; the descriptor is still the caller's then, as after a fault.
 */
RH_MUST_CHECK bool rh_segment_succeed(struct rh_segment **segment, int fd,
    const char *path, const struct rh_segment_spec *spec, bool *same,
    struct rh_buf *why);
/* Writable, whatever its geometry; has the descriptor, and so the pool's lock. */
RH_MUST_CHECK bool rh_segment_attach(struct rh_segment **segment, int fd,
    const char *path, const char *pool, struct rh_buf *why);
/* Whether a segment of this spec would have the geometry of that file. */
bool rh_segment_fits(int fd, const struct rh_segment_spec *spec);
/*
 * Whether a pool that goes before this spec's lives in the file at path, under
 * another geometry: then none of this spec can be had there, as *why says.
 */
bool rh_segment_is_anothers(const char *path,
    const struct rh_segment_spec *spec, struct rh_buf *why);
/*
 * For processes that no master holds together: the first makes the segment or
 * takes it over, the others join in, each in a slot of its own, as long as
 * there are some. A pool and they refuse each other.
 */
struct rh_joined {
	unsigned slot;
	pid_t left;	/* who had it and did not say goodbye; 0: nobody */
};
RH_MUST_CHECK bool rh_segment_join(struct rh_segment **segment,
    struct rh_joined *joined, const char *path,
    const struct rh_segment_spec *spec, struct rh_buf *why);
/*
 * Each of them that is gone without a goodbye is told of once, whoever of the
 * others looks; then its slot is free.
 */
void rh_segment_bury(const struct rh_segment *segment,
    void (*tell)(void *ctx, unsigned slot, pid_t pid), void *ctx);
/* Of a segment that was made or taken over: it holds the lock. */
int rh_segment_fd(const struct rh_segment *segment);
/* The file behind path is another one by now, or of another size: open it anew. */
bool rh_segment_is_replaced(const struct rh_segment *segment);
/*
 * The slots of one pool, in the file's order; NULL: there are no more. Lives as
 * long as the segment that was opened.
 */
const struct rh_segment *rh_segment_view(const struct rh_segment *segment,
    unsigned pool);
/* How many of a pool's workers serve, and of them are at something. */
void rh_segment_workers(const struct rh_segment *segment, unsigned pool,
    unsigned *workers, unsigned *busy);
/* Whether its pool lives in it: the lock tells, whatever the slots say. */
bool rh_segment_is_held(const struct rh_segment *segment);
/*
 * From now on who reads cells passes over what nobody has written to by this
 * moment: call it before each reading, or all of them are read, and become
 * memory. All views are of the same survey.
 */
void rh_segment_survey(struct rh_segment *segment);
/* Unmaps; the file stays. */
void rh_segment_close(struct rh_segment **segment);
/*
 * Async-signal-safe, for SIGBUS: where at lies in the mapping, whose file was
 * cut short under it, zeros stand there from now on. False: it does not.
 */
bool rh_segment_mend(const struct rh_segment *segment, void *at);

unsigned rh_segment_slots(const struct rh_segment *segment);
struct rh_slot *rh_segment_slot(const struct rh_segment *segment, unsigned i);
struct rh_flight *rh_segment_flight(const struct rh_segment *segment, unsigned i);
struct rh_moment *rh_segment_moment(const struct rh_segment *segment, unsigned i);
uint64_t *rh_segment_cells(const struct rh_segment *segment, unsigned i);
struct rh_ring *rh_segment_log(const struct rh_segment *segment, unsigned i);
struct rh_ring *rh_segment_spans(const struct rh_segment *segment, unsigned i);
/* Of request_record.h: all requests; and those kept apart, with their spans. */
struct rh_ring *rh_segment_requests(const struct rh_segment *segment, unsigned i);
struct rh_ring *rh_segment_traces(const struct rh_segment *segment, unsigned i);
enum rh_seg_ring {
	RH_SEG_LOG, RH_SEG_SPANS, RH_SEG_REQUESTS, RH_SEG_TRACES, RH_SEG_RINGS
};
/* rh_ring_peek, for a segment that anyone may have made, or may be making. */
size_t rh_segment_peek(const struct rh_segment *segment, unsigned i,
    enum rh_seg_ring ring, uint64_t *at, void *to, size_t cap);
/* The bytes of its ring: no record is longer than a quarter of them. */
size_t rh_segment_ring_bytes(const struct rh_segment *segment,
    enum rh_seg_ring ring);
/* The pool's own of that name, or else another's; asserts that the spec had it. */
void *rh_segment_area(const struct rh_segment *segment, const char *name);
/* Of a segment that anyone may have made: NULL if absent, or smaller. */
const void *rh_segment_area_find(const struct rh_segment *segment,
    const char *name, size_t bytes);
/* 0: there is none. */
size_t rh_segment_area_bytes(const struct rh_segment *segment,
    const char *name);
const char *rh_segment_pool(const struct rh_segment *segment);
/* What was built: changes when another version takes the file over. */
struct rh_segment_build { char service[64], version[32], revision[64]; };
void rh_segment_build(const struct rh_segment *segment,
    struct rh_segment_build *build);
/* A slot's number among those of all pools. */
unsigned rh_segment_place(const struct rh_segment *segment, unsigned i);
/* The slot of rh_log_drain's process: what comes after the others. */
unsigned rh_segment_writer_slot(const struct rh_segment *segment);
/* 16 random bytes of the file's making: names the pool in service.instance.id. */
const unsigned char *rh_segment_id(const struct rh_segment *segment);

#endif
