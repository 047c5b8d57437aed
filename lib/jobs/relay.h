/*
 * relay - what happened, from the outbox into the feed, in order.
 *
 * Shape    a step is one transaction, one round trip: up to a batch of the
 *          visible rows of outbox_events, the lowest seq first, get positions
 *          above all others and become rows of events; what hangs off it (the
 *          fan-out) is done in the same transaction. One relay at a time, over
 *          all hosts, by an advisory lock; the others find it taken
 * Units    again_ns from now on; keep_ms milliseconds
 * Errors   the pipe's; nothing was moved then. A relay that is killed rolls
 *          back: an event is in the feed exactly once, and the fan-out is done
 *          exactly once as far as it is rows of the same database
 * Owner    whoever steps has the session and gives its pipe; the struct is his,
 *          of one session's life or of many
 * Source   migrate/sql/0006_events
 *
 * Of one subject the events are in the order of its changes. Over subjects the
 * order is that of the relay; who reads on from a position misses none, for a
 * transaction that commits late gets later positions. Nobody waits for it.
 */
#ifndef RH_JOBS_RELAY_H
#define RH_JOBS_RELAY_H

#include "data/pipe.h"

/* To be registered before the fork, and what hangs off the relay likewise. */
extern struct rh_stmt rh_relay_stmts[];

struct rh_relay_conf {
	int64_t
	    keep_ms; /* how long the feed goes back, at least: directive events_keep */
	/* Events in a step, to 8 times that while more wait; 0: RH_RELAY_BATCH. */
	int64_t batch;
	/*
	 * Statements without arguments, ended by NULL, that follow the move:
	 * the new events are those with a pos from relayed_first() to
	 * relayed_last(). NULL: nothing hangs off it.
	 */
	const struct rh_stmt *const *fan_out;
};
#define RH_RELAY_BATCH 500
#define RH_RELAY_FAN_OUT_MAX 8

/* How many wait, and for how long the first has. */
struct rh_relay_waiting {
	int64_t pending, lag_ms;
};

/* What the last step did. */
struct rh_relayed {
	bool busy; /* another relay is at it */
	int64_t moved;
	bool full; /* and more may wait */
	int64_t first_pos, last_pos;
};

struct rh_relay {
	struct rh_relay_conf conf;
	struct rh_relayed last;
	/*
	 * Rows up to seq above are moved or will never come, so that a step need
	 * not pass by what is dead. (Those of a tenant that is away stay above it.) mark is a seq that will be above once all
	 * transactions below mark_ends (0: not known yet) are over.
	 */
	int64_t above, mark, mark_ends;
	uint64_t rescan_ns; /* mono: then from the first row on, all the same */
	uint64_t look_ns;   /* mono: not before is it counted what waits */
	int64_t pause_ns;
	int64_t batch; /* of the next step */
	bool behind;   /* what waits is counted; else nothing does */
	struct rh_relay_waiting waiting; /* as it was seen last */
};

void rh_relay_init(struct rh_relay *r, const struct rh_relay_conf *conf);
/*
 * One batch. *again_ns, also after an error: how long the next step has time;
 * sooner, if somebody says that there is something, is as good.
 */
RH_MUST_CHECK struct rh_err *rh_relay_step(struct rh_relay *r,
    struct rh_pipe *p, int64_t *again_ns);
/*
 * Keeps house, a step at a time: makes the days to come, drops those that are
 * over. Who reads meanwhile is waited for 100 ms; then it is tried later, and
 * that is no error.
 */
RH_MUST_CHECK struct rh_err *rh_relay_tend(struct rh_relay *r,
    struct rh_pipe *p, int64_t *again_ns);

#endif
