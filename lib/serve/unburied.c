#include "config.h"

#include "serve/postmortem.h"

#include <signal.h>

#include "serve/server.h"
#include "serve/watch.h"

/*
 * Workers die with their master, and processes without one have nobody who
 * waits for them. What they were in stands in their slots all the same.
 */

/* The signal it had time to name; nobody knows of any other. */
static int
status_of(const struct rh_server *s, unsigned slot, pid_t pid)
{
	struct rh_moment m;

	if (!rh_moment_read(rh_segment_moment(s->host->segment, slot), pid,
	    true, &m) || m.why != RH_MOMENT_CRASH)
		return RH_STATUS_UNSEEN;
	return m.signal > 0 && m.signal < _NSIG ? m.signal : RH_STATUS_UNSEEN;
}

/* Its own alarm ends it by SIGABRT; an assertion has a text. */
static bool
was_stuck(const struct rh_server *s, unsigned slot, pid_t pid)
{
	const struct rh_segment *segment = s->host->segment;
	struct rh_flight f;
	struct rh_moment m;

	return rh_moment_read(rh_segment_moment(segment, slot), pid, true, &m) &&
	    m.why == RH_MOMENT_CRASH && m.signal == SIGABRT && m.text_n == 0 &&
	    rh_flight_read(rh_segment_flight(segment, slot), true, &f) &&
	    m.at_ns >= rh_watch_overdue_ns(&f, s->host->conf->timeout_other_ms,
	    s->host->conf->timeout_grace_ms);
}

static struct rh_death
death_of(const struct rh_server *s, unsigned slot, pid_t pid)
{
	int status = status_of(s, slot, pid);

	return (struct rh_death){ slot, pid, status,
		was_stuck(s, slot, pid) ? RH_END_STUCK :
		status == RH_STATUS_UNSEEN ? RH_END_KILLED : RH_END_SIGNAL };
}

void
rh_unburied_tell(struct rh_server *s)
{
	const struct rh_segment *segment = s->host->segment;

	for (unsigned i = 1; i < rh_segment_slots(segment); i++) {
		struct rh_slot *slot = rh_segment_slot(segment, i);
		pid_t pid = atomic_load(&slot->pid);
		struct rh_death death;

		if (pid <= 0)
			continue;
		death = death_of(s, i, pid);
		rh_postmortem(s, &death);
		atomic_store(&slot->pid, 0);
	}
}

static void
tell(void *server, unsigned slot, pid_t pid)
{
	struct rh_server *s = server;
	struct rh_death death = death_of(s, slot, pid);

	rh_log_say(&s->log, RH_LOG_WARN, "process %u (pid %d) is gone: %s",
	    slot, (int)pid, rh_end_names[death.end]);
	rh_count(&s->tally, rh_series_restarts(&s->host->series,
	    s->host->pool), death.end, 0, 1);
	rh_postmortem(s, &death);
}

void
rh_unburied_left(struct rh_server *s, pid_t left)
{
	if (left > 0)
		tell(s, s->slot, left);
}

void
rh_unburied_look(struct rh_server *s)
{
	rh_segment_bury(s->host->segment, tell, s);
}
