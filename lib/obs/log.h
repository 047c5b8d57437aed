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
	bool no_object;		/* the one being written found no room */
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

void rh_line_open(struct rh_line *line, struct rh_log *log,
    enum rh_level level, const char *msg, int64_t wall_us);
/*
 * A field with nothing to say (p == NULL, bytes NULL, a nil id) is left out.
 * A text is cut, at a whole character, where its JSON would be longer than cap
 * bytes without the quotes, or the line than RH_LINE_MAX.
 */
void rh_line_text(struct rh_line *line, const char *key, struct rh_slice value,
    size_t cap);
void rh_line_int(struct rh_line *line, const char *key, int64_t value);
/* ns shown in milliseconds with three decimals. */
void rh_line_ms(struct rh_line *line, const char *key, uint64_t ns);
void rh_line_bool(struct rh_line *line, const char *key, bool value);
void rh_line_hex(struct rh_line *line, const char *key, const void *bytes,
    size_t n);
void rh_line_uuid(struct rh_line *line, const char *key, struct rh_uuid id);
/* "key":{ … }, one level deep */
void rh_line_object(struct rh_line *line, const char *key);
void rh_line_object_end(struct rh_line *line);
/* Commits to the ring, or counts the drop. */
void rh_line_close(struct rh_line *line);

/* A line of its own, outside of the request line; carries the request's ids. */
void rh_log_say(struct rh_log *log, enum rh_level level, const char *fmt, ...)
    RH_PRINTF(3, 4);

/*
 * The writer process: copies whole lines from every slot's ring to fd (which
 * may block for as long as it likes), at most PIPE_BUF bytes a write where fd
 * is a pipe, until *stop is set and the rings are empty. What fd fails to take
 * is dropped, as is what is left when it takes nothing for a second after
 * *stop. Ignores SIGPIPE. Has the segment's own slot (rh_segment_writer_slot),
 * for its state and its counts in "log_lines_total".
 */
void rh_log_drain(const struct rh_segment *segment, int fd,
    const volatile sig_atomic_t *stop);

#endif
