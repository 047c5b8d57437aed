/*
 * segment_file - how the segment's file is laid out; for segment*.c, metric*.c
 * and log*.c alone.
 *
 * Shape    description | live part | names of live dimensions | areas | slots.
 *          The description is fixed when the file is made: head, areas,
 *          dimensions, their values, families, texts, in that order without
 *          gaps. Two pools have the same geometry when its bytes are the same.
 *          The live part begins on a page of its own; each area and each slot
 *          likewise
 * Units    offsets and sizes in bytes; "at" counts from the file's start but
 *          in texts (from head.texts) and slots (from the slot's start)
 * Errors   whoever opens the file copies the description and checks the copy,
 *          so nothing that changes afterwards can lead outside of the mapping
 */
#ifndef RH_OBS_SEGMENT_FILE_H
#define RH_OBS_SEGMENT_FILE_H

#include "obs/metric.h"
#include "obs/segment.h"

#define RH_SEG_MAGIC		"RHSEGMNT"
#define RH_SEG_NAME_MAX		112
#define RH_SEG_PAGE		4096
#define RH_SEG_SLOTS_MAX	4096
#define RH_SEG_POOLS_MAX 4
#define RH_SEG_DESCRIBED_MAX	(16 << 20)

struct rh_seg_pool {
	char name[16];
	uint32_t first, slots; /* with the log writer's, the last one */
};

struct rh_seg_head {
	char magic[8];
	uint32_t version;
	uint32_t slots;		/* of all pools */
	uint64_t hash;		/* of the description, this field being 0 */
	uint64_t described;	/* its bytes */
	uint64_t file_bytes;
	struct rh_seg_pool pools[RH_SEG_POOLS_MAX];
	uint32_t npools, unused;
	uint32_t nareas, ndims, nvalues, nfamilies;
	uint64_t areas, dims, values, families, texts, ntexts;
	uint64_t live;
	uint64_t slot0, slot_bytes;
	/* within a slot */
	uint64_t journal, cells, ncells, exemplars, nexemplars;
	uint64_t log, log_bytes, spans, span_bytes;
	uint64_t requests, request_bytes, traces, trace_bytes;
};

struct rh_seg_area {
	char name[16];
	uint64_t at, bytes;
	uint32_t kept, pool;
};

struct rh_seg_text {
	uint32_t at, n;
};

struct rh_seg_dim {
	struct rh_seg_text keys;	/* "method,route" */
	uint32_t value, nvalues;	/* its fixed values in the table of all */
	uint32_t cap;			/* live values besides them */
	uint32_t names_at;		/* of struct rh_seg_name, cap of them */
};

struct rh_seg_family {
	uint32_t kind, flags;
	int32_t dim_a, dim_b;
	struct rh_family at;
	struct rh_seg_text name, help;
};

/*
 * A live value. Its slot is claimed by its keyed hash (0: free) and shown once
 * n is set. Whoever finds the hash there but no n yet writes the same bytes
 * again, so a process that dies in between leaves nothing half done.
 */
struct rh_seg_name {
	_Atomic uint64_t hash;
	_Atomic uint32_t n;
	uint32_t unused;
	char bytes[RH_SEG_NAME_MAX];
};

struct rh_seg_live {
	struct rh_seg_live_pool {
		_Atomic uint32_t bell;
		uint32_t unused;
		_Atomic uint64_t
		    dropped_told; /* log lines dropped, as announced */
	} pools[RH_SEG_POOLS_MAX];
	unsigned char id[16];
	char service[64], version[32], revision[64];
	char pad2[16];		/* names follow, 64-aligned */
};

/* Of a trace: one for each bucket of each series. Odd seq: being written. */
struct rh_exemplar {
	_Atomic uint32_t seq;
	uint32_t unused;
	_Atomic uint64_t trace_id[2];
	_Atomic uint64_t value_ns;
	_Atomic int64_t wall_us;	/* 0: none yet */
};

/* Of a slot, two: see journal.h. armed: how many of the stores are to be done. */
struct rh_seg_journal {
	_Atomic uint32_t armed;
	uint32_t unused[15];
	struct { uint64_t at, value; } stores[16];	/* at: within the slot */
};

enum rh_seg_journals { RH_SEG_OF_REQUESTS, RH_SEG_OF_SPANS, RH_SEG_JOURNALS };

struct rh_segment {
	char *base;
	size_t bytes;
	int fd;			/* holds the lock; -1 where only opened */
	int eyes;		/* in fd's place, where only opened */
	/* by the survey, a byte a page of each slot up to its rings; NULL: all */
	unsigned char *written;
	char *path;
	uint64_t device, inode;
	const struct rh_seg_head *head;	/* of the private copy */
	unsigned pool; /* whose slots it shows; of all: the first */
	unsigned first,
	    count; /* in the file: slot 0 of this one, and how many */
	struct rh_segment *views; /* a pool each; NULL: none is made yet */
};

static inline struct rh_seg_live *
rh_seg_live(const struct rh_segment *s)
{
	return (struct rh_seg_live *)(s->base + s->head->live);
}

static inline struct rh_seg_live_pool *
rh_seg_live_pool(const struct rh_segment *s)
{
	return &rh_seg_live(s)->pools[s->pool];
}

/* Cells of any pool's slot, as the file numbers them. */
static inline uint64_t *
rh_seg_cells(const struct rh_segment *s, unsigned i)
{
	return (uint64_t *)(s->base + s->head->slot0 + i * s->head->slot_bytes +
	    s->head->cells);
}

static inline struct rh_slot *
rh_seg_slot(const struct rh_segment *s, unsigned i)
{
	return (struct rh_slot *)(s->base + s->head->slot0 +
	    i * s->head->slot_bytes);
}

static inline const struct rh_seg_dim *
rh_seg_dim(const struct rh_seg_head *head, int i)
{
	return (const struct rh_seg_dim *)((const char *)head + head->dims) + i;
}

static inline const struct rh_seg_family *
rh_seg_family(const struct rh_seg_head *head, unsigned i)
{
	return (const struct rh_seg_family *)((const char *)head +
	    head->families) + i;
}

static inline struct rh_slice
rh_seg_text(const struct rh_seg_head *head, struct rh_seg_text t)
{
	return (struct rh_slice){ (const char *)head + head->texts + t.at, t.n };
}

/* A fixed value, rendered: method="GET",route="/v1/me" */
static inline struct rh_slice
rh_seg_value(const struct rh_seg_head *head, unsigned i)
{
	return rh_seg_text(head, ((const struct rh_seg_text *)
	    ((const char *)head + head->values))[i]);
}

static inline struct rh_seg_name *
rh_seg_names(const struct rh_segment *s, const struct rh_seg_dim *dim)
{
	return (struct rh_seg_name *)(s->base + dim->names_at);
}

/* As rh_seg_cells. */
static inline struct rh_exemplar *
rh_seg_exemplars(const struct rh_segment *s, unsigned slot)
{
	return (struct rh_exemplar *)(s->base + s->head->slot0 +
	    slot * s->head->slot_bytes + s->head->exemplars);
}

/* Values of a dimension, fixed and live; 1 where there is none. */
static inline uint32_t
rh_seg_dim_size(const struct rh_seg_head *head, int dim)
{
	if (dim < 0)
		return 1;
	return rh_seg_dim(head, dim)->nvalues + rh_seg_dim(head, dim)->cap;
}

/* Cells of one series: buckets, the one above all bounds, the sum. */
static inline uint32_t
rh_seg_width(uint32_t kind)
{
	return kind == RH_M_HISTOGRAM ? RH_BUCKETS + 2 : 1;
}

static inline uint64_t
rh_seg_align(uint64_t n, uint64_t to)
{
	return (n + to - 1) / to * to;
}

/* segment_pools.c: which pool is meant; false: none of that name. */
RH_MUST_CHECK bool rh_seg_pool_find(const struct rh_seg_head *head,
    const char *name, unsigned *pool);
/* What the spec says of pools, into the head. */
void rh_seg_pools_describe(struct rh_seg_head *head,
    const struct rh_segment_spec *spec);
bool rh_seg_pools_are_sound(const struct rh_seg_head *head);
/* From now on its slots alone are s's. */
void rh_seg_show_pool(struct rh_segment *s, unsigned pool);
void rh_seg_show_all(struct rh_segment *s);
void rh_seg_make_views(struct rh_segment *s);
/* F_WRLCK: a pool's, F_RDLCK: of processes that hold it together. errno EAGAIN: another's. */
RH_MUST_CHECK bool rh_seg_lock(int fd, unsigned pool, int kind);
/* Whether somebody else holds it against this kind. */
bool rh_seg_is_locked(int fd, unsigned pool, int kind);

/* segment_survey.c: whether there was more than zeros at the last survey. */
bool rh_seg_is_written(const struct rh_segment *s, unsigned slot,
    const void *at);
/*
 * Adds (RH_M_MAX: takes the larger of) n cells of a slot, the first being cell.
 * False: a gauge, and this slot could not tell.
 */
RH_MUST_CHECK bool rh_seg_cells_add(const struct rh_segment *s, unsigned slot,
    const struct rh_seg_family *f, uint32_t cell, uint64_t *to, unsigned n);

/* segment_layout.c: the whole description, in heap memory: it must outlive the arena
 * of whoever asks. */
struct rh_seg_head *rh_seg_describe(const struct rh_segment_spec *spec);

/* segment_check.c: where the tables start, one behind the other, by count. */
void rh_seg_lay_out_tables(struct rh_seg_head *head);
/* Of a whole description; tells rubbish early, guards nothing. */
uint64_t rh_seg_hash(const struct rh_seg_head *head);
/* A checked copy on the heap, or NULL: anyone may have written the file. */
struct rh_seg_head *rh_seg_description_read(int fd, uint64_t file_bytes,
    const char *path, struct rh_buf *why);

/* metric.c: what the registry adds to the description. */
void rh_metrics_count(const struct rh_metrics *m, struct rh_seg_head *head);
void rh_metrics_describe(const struct rh_metrics *m, struct rh_buf *to,
    uint64_t names_at);
void rh_metrics_attach(struct rh_metrics *m, const struct rh_segment *s);
/* The tables stay within what head says they have, whatever their content. */
bool rh_metrics_are_sound(const struct rh_seg_head *head);

#endif
