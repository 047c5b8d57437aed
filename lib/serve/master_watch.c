#include "config.h"

#include "serve/master.h"

#include <signal.h>

#include "base/clock.h"
#include "obs/asked.h"
#include "serve/watch.h"

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

/* What it answered, as far as it is there. */
static bool
where(const struct rh_master *m, const struct rh_child *c,
    struct rh_moment *moment)
{
	unsigned slot = (unsigned)(c - m->children) + 1;

	return rh_moment_read(rh_segment_moment(m->spec->segment, slot), c->pid,
	    false, moment) && moment->at_ns >= c->watch.asked_ns;
}

static void
tell_slow(struct rh_master *m, const struct rh_child *c,
    const struct rh_flight *f, uint64_t now_ns, const struct rh_moment *where)
{
	rh_watch_tell_slow(m->spec->log, &(struct rh_slow){ f, c->pid,
	    now_ns - f->start_ns, where, m->slow.untold });
	m->slow.untold = 0;
}

static void
look_slow(struct rh_master *m, struct rh_child *c, const struct rh_flight *f,
    uint64_t now_ns)
{
	struct rh_moment moment;
	bool answered;

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
	answered = m->spec->slow_backtrace && where(m, c, &moment);
	c->watch.told = (answered && moment.nframes > 1) ||
	    !m->spec->slow_backtrace ||
	    now_ns - c->watch.asked_ns >= ANSWER_NS;
	if (c->watch.told)
		tell_slow(m, c, f, now_ns, answered ? &moment : NULL);
	else
		m->asking = true;
}

/* ---- stuck: the end ---- */

/*
 * SIGABRT first: its handler says where the worker stands and answers its
 * client. That takes a moment; a worker that cannot even do this is killed.
 */
static void
look_stuck(struct rh_master *m, struct rh_child *c, const struct rh_flight *f,
    uint64_t now_ns)
{
	uint64_t now_ms = now_ns / 1000000;

	if (now_ns < rh_watch_overdue_ns(f, m->spec->timeout_ms,
	    m->spec->timeout_grace_ms))
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
