#include "config.h"

#include "serve/watch.h"

#include "base/clock.h"

enum { SHORT_CAP = 160, PATH_CAP = 1024, BACKTRACE_CAP = 2400 };

/* Of a request whose parameters are still taken apart, the start is all there is. */
uint64_t
rh_watch_overdue_ns(const struct rh_flight *f, int64_t timeout_ms,
    int64_t grace_ms)
{
	return (f->deadline_ns ? f->deadline_ns : f->start_ns +
	    (uint64_t)timeout_ms * 1000000) + (uint64_t)grace_ms * 1000000;
}

static struct rh_slice
text_or_none(struct rh_slice text)
{
	return text.n ? text : RH_SLICE_NONE;
}
#define TEXT(f, member)	text_or_none(rh_flight_text(f, member))

static void
line_where(struct rh_line *line, const struct rh_moment *where)
{
	char text[BACKTRACE_CAP];
	struct rh_buf b;

	rh_buf_init_fixed(&b, text, sizeof(text));
	rh_moment_put(&b, where);
	rh_line_text(line, "backtrace", text_or_none(rh_buf_get(&b)),
	    BACKTRACE_CAP * 2);
}

void
rh_watch_tell_slow(struct rh_log *log, const struct rh_slow *slow)
{
	const struct rh_flight *f = slow->flight;
	struct rh_line line;

	rh_line_open(&line, log, RH_LOG_WARN, "slow request",
	    rh_clock_wall_us());
	rh_line_text(&line, "request_id", TEXT(f, request_id), SHORT_CAP);
	rh_line_hex(&line, "trace_id", f->trace_id, sizeof(f->trace_id));
	rh_line_hex(&line, "span_id", f->span_id, sizeof(f->span_id));
	rh_line_text(&line, "method", TEXT(f, method), SHORT_CAP);
	rh_line_text(&line, "route", TEXT(f, route), SHORT_CAP);
	rh_line_text(&line, "path", TEXT(f, path), PATH_CAP);
	rh_line_ms(&line, "duration_ms", slow->ns);
	rh_line_text(&line, "tenant", TEXT(f, tenant), SHORT_CAP);
	rh_line_uuid(&line, "tenant_id", f->tenant_id);
	rh_line_text(&line, "phase", rh_slice_of(rh_phase_names[f->phase]),
	    SHORT_CAP);
	rh_line_text(&line, "statement", TEXT(f, waits_for), SHORT_CAP);
	rh_line_int(&line, "worker_pid", slow->pid);
	if (slow->where)
		line_where(&line, slow->where);
	if (slow->untold)
		rh_line_int(&line, "untold", slow->untold);
	rh_line_close(&line);
}
