#include "config.h"

#include "serve/master.h"

#include <signal.h>

#include "base/clock.h"
#include "obs/asked.h"
#include "obs/symbol.h"

/*
 * A look at every worker's request in flight, once a tick: one that takes long
 * is told of while it does, and one that does not come back after its deadline
 * takes its worker along.
 */

/* From SIGABRT, for the worker's last word, to SIGKILL. */
#define LAST_WORD_MS	3000
/* Where the database is slow, so is every request. */
#define LINES_MAX	10
#define LINES_MS	1000

/* What a worker has to say where it stands; it may not run for a while. */
#define ANSWER_NS	(UINT64_C(1000) * 1000000)

enum { SHORT_CAP = 160, PATH_CAP = 1024, BACKTRACE_CAP = 2400 };

/* ---- slow: a line, once ---- */

static bool
may_tell(struct rh_master *m, uint64_t now_ms)
{
	if (now_ms - m->slow.since_ms >= LINES_MS) {
		m->slow.since_ms = now_ms;
		m->slow.lines = 0;
	}
	if (m->slow.lines == LINES_MAX) {
		m->slow.untold++;
		return false;
	}
	m->slow.lines++;
	return true;
}

static struct rh_slice
text_or_none(struct rh_slice text)
{
	return text.n ? text : RH_SLICE_NONE;
}
#define TEXT(f, member)	text_or_none(rh_flight_text(f, member))

/* What it answered; false: not all of it is there. */
static bool
where(const struct rh_master *m, const struct rh_child *c, struct rh_buf *to)
{
	unsigned slot = (unsigned)(c - m->children) + 1;
	struct rh_moment moment;

	if (!rh_moment_read(rh_segment_moment(m->spec->segment, slot), c->pid,
	    false, &moment) || moment.at_ns < c->watch.asked_ns)
		return false;
	rh_symbols_put(to, moment.frames, moment.nframes,
	    rh_moment_is_of_our_code(&moment));
	return moment.nframes > 1;
}

static void
tell_slow(struct rh_master *m, const struct rh_child *c,
    const struct rh_flight *f, uint64_t now_ns, struct rh_slice backtrace)
{
	struct rh_line line;

	rh_line_open(&line, m->spec->log, RH_LOG_WARN, "slow request",
	    rh_clock_wall_us());
	rh_line_text(&line, "request_id", TEXT(f, request_id), SHORT_CAP);
	rh_line_hex(&line, "trace_id", f->trace_id, sizeof(f->trace_id));
	rh_line_hex(&line, "span_id", f->span_id, sizeof(f->span_id));
	rh_line_text(&line, "method", TEXT(f, method), SHORT_CAP);
	rh_line_text(&line, "route", TEXT(f, route), SHORT_CAP);
	rh_line_text(&line, "path", TEXT(f, path), PATH_CAP);
	rh_line_ms(&line, "duration_ms", now_ns - f->start_ns);
	rh_line_text(&line, "tenant", TEXT(f, tenant), SHORT_CAP);
	rh_line_uuid(&line, "tenant_id", f->tenant_id);
	rh_line_text(&line, "phase", rh_slice_of(rh_phase_names[f->phase]),
	    SHORT_CAP);
	rh_line_text(&line, "statement", TEXT(f, waits_for), SHORT_CAP);
	rh_line_int(&line, "worker_pid", c->pid);
	rh_line_text(&line, "backtrace", text_or_none(backtrace),
	    BACKTRACE_CAP * 2);
	if (m->slow.untold)
		rh_line_int(&line, "untold", m->slow.untold);
	rh_line_close(&line);
	m->slow.untold = 0;
}

static void
look_slow(struct rh_master *m, struct rh_child *c, const struct rh_flight *f,
    uint64_t now_ns)
{
	char text[BACKTRACE_CAP];
	struct rh_buf b;

	if (c->watch.told || f->slow_ns == 0 || now_ns < f->slow_ns)
		return;
	if (c->watch.asked_ns == 0) {
		if (!may_tell(m, now_ns / 1000000)) {
			c->watch.told = true;
			return;
		}
		c->watch.asked_ns = now_ns;
		if (m->spec->slow_backtrace && kill(c->pid, RH_SIGNAL_ASK) == 0) {
			m->asking = true;
			return;
		}
	}
	rh_buf_init_fixed(&b, text, sizeof(text));
	c->watch.told = where(m, c, &b) || !m->spec->slow_backtrace ||
	    now_ns - c->watch.asked_ns >= ANSWER_NS;
	if (c->watch.told)
		tell_slow(m, c, f, now_ns, rh_buf_get(&b));
	else
		m->asking = true;
}

/* ---- stuck: the end ---- */

/* Of a request whose parameters are still taken apart, the start is all there is. */
static uint64_t
overdue_ns(const struct rh_pool_spec *spec, const struct rh_flight *f)
{
	uint64_t grace_ns = (uint64_t)spec->timeout_grace_ms * 1000000;

	return (f->deadline_ns ? f->deadline_ns : f->start_ns +
	    (uint64_t)spec->timeout_ms * 1000000) + grace_ns;
}

/*
 * SIGABRT first: its handler says where the worker stands and answers its
 * client. That takes a moment; a worker that cannot even do this is killed.
 */
static void
look_stuck(struct rh_master *m, struct rh_child *c, const struct rh_flight *f,
    uint64_t now_ns)
{
	uint64_t now_ms = now_ns / 1000000;

	if (now_ns < overdue_ns(m->spec, f))
		return;
	if (!c->stuck_ms) {
		c->stuck_ms = now_ms;
		kill(c->pid, SIGABRT);
	} else if (now_ms - c->stuck_ms >= LAST_WORD_MS)
		kill(c->pid, SIGKILL);
}

/* ---- both ---- */

static void
look(struct rh_master *m, unsigned i, uint64_t now_ns)
{
	struct rh_child *c = &m->children[i];
	struct rh_flight f;

	if (c->pid == 0 || !rh_flight_read(rh_segment_flight(
	    m->spec->segment, i + 1), false, &f) || f.start_ns > now_ns)
		return;
	/* its predecessor died in that one */
	if (f.start_ns / 1000000 < c->started_ms)
		return;
	if (c->watch.start_ns != f.start_ns)
		c->watch = (struct rh_watch){ .start_ns = f.start_ns };
	look_slow(m, c, &f, now_ns);
	look_stuck(m, c, &f, now_ns);
}

void
rh_master_watch(struct rh_master *m)
{
	uint64_t now_ns = rh_clock_mono_ns();

	m->asking = false;
	if (m->spec->timeout_grace_ms == 0)
		return;
	for (unsigned i = 0; i < m->nplaces; i++)
		look(m, i, now_ns);
}
