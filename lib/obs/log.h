/*
 * log - JSON lines through the slot's ring to stdout, never blocking.
 *
 * Shape    one line an event, at most RH_LINE_MAX bytes with its newline:
 *          {"time":…,"level":…,"msg":…, … ,"service":…,"version":…,"pid":…}
 * Errors   none seen by the caller: a full ring drops the line and counts it
 *          (log_lines_total{outcome}, a line in one of them only: written by
 *          rh_log_drain once it is handed to stdout, dropped where the ring or
 *          stdout did not take it); a line that would be too long has its long
 *          texts cut and "truncated":true
 * Owner    one struct rh_log a process; the writer process (rh_log_drain)
 *          alone touches stdout
 */
#ifndef RH_OBS_LOG_H
#define RH_OBS_LOG_H

#include <signal.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/id.h"
#include "obs/metric.h"
#include "obs/ring.h"

#define RH_LINE_MAX 4096

enum rh_level { RH_LOG_DEBUG, RH_LOG_INFO, RH_LOG_WARN, RH_LOG_ERROR };

struct rh_segment;

struct rh_log {
	struct rh_ring *ring;	/* NULL: lines go straight to stderr */
	_Atomic uint32_t *bell;	/* the drain's futex; NULL with no segment */
	const struct rh_tally *tally;
	struct rh_family lines;	/* log_lines_total{outcome}: 0 written, 1 dropped */
	struct rh_slice tail;	/* ,"service":"…","version":"…","pid":N}\n, rendered once */
	/* What other lines written during a request carry: set by serve. */
	struct rh_slice request_id;
	const unsigned char *trace_id, *span_id;	/* 16 and 8 bytes, or NULL */
	struct rh_slice tenant;
};

/* A line under construction. */
struct rh_line {
	struct rh_log *log;
	struct rh_buf buf;
	bool truncated;
	size_t object;	/* where the last one begins; 0: no room */
	char bytes[RH_LINE_MAX];
};

/*
 * Binds to the slot of the segment (NULL: stderr) and forgets the request's
 * ids; tally and lines stay as the caller set them. Memory from arena.
 */
void rh_log_bind(struct rh_log *log, const struct rh_segment *segment,
    unsigned slot, struct rh_arena *arena);
/* Names the service and its version in all lines to come; after each fork. */
void rh_log_name(struct rh_log *log, struct rh_arena *arena,
    const char *service, const char *version);

/* As another process, whose last line this is. */
void rh_log_name_as(struct rh_log *log, struct rh_arena *arena,
    const char *service, const char *version, pid_t pid);

void rh_line_open(struct rh_line *line, struct rh_log *log,
    enum rh_level level, const char *msg, int64_t wall_us);
/*
 * A field: key is a literal, as it stands in the line. One with nothing to say
 * (p == NULL, bytes NULL, a nil id) is left out. A text is cut, at a whole
 * character, where its JSON would be longer than cap bytes without the quotes,
 * or the line than RH_LINE_MAX. ns are shown in milliseconds with three
 * decimals. An object is one level deep: "key":{ … }
 */
#define rh_line_text(line, key, ...) /* value, cap */ \
	rh_line_put_text((line), RH_LINE_KEY(key), __VA_ARGS__)
#define rh_line_int(line, key, ...) /* value */ \
	rh_line_put_int((line), RH_LINE_KEY(key), __VA_ARGS__)
#define rh_line_ms(line, key, ...) /* ns */ \
	rh_line_put_ms((line), RH_LINE_KEY(key), __VA_ARGS__)
#define rh_line_bool(line, key, ...) /* value */ \
	rh_line_put_bool((line), RH_LINE_KEY(key), __VA_ARGS__)
#define rh_line_hex(line, key, ...) /* bytes, n */ \
	rh_line_put_hex((line), RH_LINE_KEY(key), __VA_ARGS__)
#define rh_line_uuid(line, key, ...) /* id */ \
	rh_line_put_uuid((line), RH_LINE_KEY(key), __VA_ARGS__)
#define rh_line_object(line, key) \
	rh_line_put_object((line), RH_LINE_KEY(key))
void rh_line_object_end(struct rh_line *line);

/*
 * Behind the macros: the key with what stands around it, made by the compiler,
 * and so much behind it that RH_LINE_KEY_ROOM bytes can be read.
 */
#define RH_LINE_KEY_ROOM	16
#define RH_LINE_KEY(key)	((struct rh_slice){ ",\"" key "\":"		\
	    "                ", sizeof(key) + 3 })
void rh_line_put_text(struct rh_line *line, struct rh_slice key,
    struct rh_slice value, size_t cap);
void rh_line_put_int(struct rh_line *line, struct rh_slice key, int64_t value);
void rh_line_put_ms(struct rh_line *line, struct rh_slice key, uint64_t ns);
void rh_line_put_bool(struct rh_line *line, struct rh_slice key, bool value);
void rh_line_put_hex(struct rh_line *line, struct rh_slice key,
    const void *bytes, size_t n);
void rh_line_put_uuid(struct rh_line *line, struct rh_slice key,
    struct rh_uuid id);
void rh_line_put_object(struct rh_line *line, struct rh_slice key);
/* Commits to the ring, or counts the drop. */
void rh_line_close(struct rh_line *line);
/*
 * For the journal: into the ring but for the words that show it, see
 * rh_ring_prepare. False: the ring is full; nothing was counted.
 */
RH_MUST_CHECK bool rh_line_put(struct rh_line *line, uint64_t *items_in,
    uint64_t *head);
void rh_log_ring_bell(const struct rh_log *log);

/* A line of its own, outside of the request line; carries the request's ids. */
void rh_log_say(struct rh_log *log, enum rh_level level, const char *fmt, ...)
    RH_PRINTF(3, 4);

/* What *stop asks for, where it is not 0. */
enum { RH_DRAIN_EMPTY = 1, RH_DRAIN_LEAVE = 2 };
/*
 * The writer process: copies whole lines from every slot's ring to fd (which
 * may block for as long as it likes), at most PIPE_BUF bytes a write where fd
 * is a pipe, until *stop is set and the rings are empty; with RH_DRAIN_LEAVE it
 * leaves what is in them to another writer. So does a writer that is killed:
 * lines leave their ring when fd has them, so that those it was at are written
 * by the next, twice perhaps. What fd fails to take
 * is dropped, as is what is left when it takes nothing for a second after
 * *stop. How many lines were dropped it says in one line, a second after the
 * last. Ignores SIGPIPE. Has the segment's own slot (rh_segment_writer_slot),
 * for its state and its counts in "log_lines_total".
 */
void rh_log_drain(const struct rh_segment *segment, int fd,
    const volatile sig_atomic_t *stop);

#endif
