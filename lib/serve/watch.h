/*
 * watch - requests that take too long: from when, and what is said of them.
 *
 * Shape    a master looks at its workers' flights (master_watch.c); a process
 *          without one at its own, by an alarm (alone.c)
 * Units    _ns of the monotonic clock
 * Errors   none
 * Owner    values of the caller
 */
#ifndef RH_SERVE_WATCH_H
#define RH_SERVE_WATCH_H

#include "obs/flight.h"
#include "obs/log.h"
#include "obs/moment.h"

/* From when on its process is stuck. timeout_ms: where the flight has none yet. */
uint64_t rh_watch_overdue_ns(const struct rh_flight *f, int64_t timeout_ms,
    int64_t grace_ms);

struct rh_slow {
	const struct rh_flight *flight;	/* a copy */
	pid_t pid;
	uint64_t ns;			/* so far */
	const struct rh_moment *where;	/* a copy; NULL: it did not say */
	unsigned untold;		/* others before it */
};
void rh_watch_tell_slow(struct rh_log *log, const struct rh_slow *slow);

#endif
