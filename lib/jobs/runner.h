/*
 * runner - a worker's side of the queue: claims a batch, runs one after the
 * other, says what became of each.
 *
 * Shape    a step is one batch. Jobs that had nothing to do in PostgreSQL are
 *          settled together, in the round trip of the next claim; any other
 *          with its own transaction
 * Units    nanoseconds where not said otherwise
 * Errors   told in the log, a line a job; where PostgreSQL is away nothing is
 *          lost: what was claimed comes back when its lease ends
 * Owner    the worker, which runs one job at a time
 *
 * How many it claims at a time it learns: so many as take some 20 ms. What of a
 * batch is not begun after 100 ms it gives back, for others may be idle.
 *
 * A claim is a look at all who wait, or goes on in the lanes of the one before,
 * behind what was claimed there, by it or by others of its host. A look has to
 * pass by what is over and still to be seen by an old transaction; so what it takes
 * more than such a claim may be a fifth of the time, and it is 25 ms behind the
 * last one at the soonest while there are jobs without it.
 * Of workers that take one at a time from the lane where all that waits is, one
 * looks for all of its host.
 */
#ifndef RH_JOBS_RUNNER_H
#define RH_JOBS_RUNNER_H

#include <stdatomic.h>

#include "data/pg.h"
#include "data/pg_err.h"
#include "jobs/front.h"
#include "jobs/job.h"
#include "obs/flight.h"

/* RETRIED: an attempt failed, and another follows. LOST: it was another's by then. */
enum rh_job_outcome {
	RH_JOB_DONE,
	RH_JOB_RETRIED,
	RH_JOB_DEAD,
	RH_JOB_CANCELLED,
	RH_JOB_LOST,
	RH_JOB_OUTCOMES
};
extern const char *const rh_job_outcomes[RH_JOB_OUTCOMES + 1];

/* The metrics of jobs; dimension a is the kind, its index. */
struct rh_job_series {
	struct rh_family jobs, duration, pending, oldest;
};
/* Before the segment is made, and once all kinds are registered. */
void rh_job_families(struct rh_metrics *m, struct rh_job_series *series);

/*
 * Of one place, shared by the workers of a host: when a look was begun last,
 * and when one found something elsewhere than its worker was, mono ns; how far
 * they are in which lane.
 */
#define RH_LOOKS_AREA "looks"
struct rh_looks {
	_Atomic uint64_t began_ns, moved_ns;
	struct rh_fronts fronts;
};

struct rh_runner_obs {
	const struct rh_tally *tally;
	const struct rh_job_series *series;
	struct rh_family spans; /* spans_total, of those that are not kept */
	struct rh_log *log;
	struct rh_flight *flight;
	struct rh_ring *ring,
	    *apart; /* kept spans; those of what failed or was slow */
	const struct rh_sampler *sampler;
	const struct rh_serve_conf *conf; /* for the handlers */
	struct rh_ring *requests; /* what is remembered of each attempt */
	uint32_t pid;
	bool logs, traces;
	int64_t slow_ms;
	const struct rh_sealer *sealer; /* opens what is sealed */
	const struct rh_out_conf *out; /* the handlers'; NULL: none */
	int64_t
	    grace_ms;	/* past its deadline a worker lives so long at the most */
	int64_t poll_ms; /* where nothing waits it looks so often */
	unsigned batch; /* claims at most so many at a time */
	struct rh_looks *looks; /* NULL: each looks for himself */
};

/* What could be run and waits, at one place; pending by kind, 0 those not known. */
struct rh_job_waiting {
	uint64_t pending[RH_JOB_KINDS_MAX + 1];
	int64_t oldest_ms;
};
/* Into the gauges: what waits at all places together. */
void rh_job_waiting_show(const struct rh_tally *tally,
    const struct rh_job_series *series, const struct rh_job_waiting *waiting);

/* What the database says that we have, and we do not know of, or not any more. */
enum rh_sweep { RH_SWEEP_NONE, RH_SWEEP_UNBEGUN, RH_SWEEP_BEGUN };

struct rh_batch;
struct rh_lane;

struct rh_runner {
	struct rh_pg *pg;
	struct rh_pg_obs *pg_obs;
	struct rh_runner_obs obs;
	struct rh_uuid holder; /* this slot, whoever has it */
	struct rh_uuid after;  /* the tenant that was served last */
	struct rh_trace *trace;
	/* of the batch before, to be settled; and of this one */
	struct rh_batch *settling, *running;
	unsigned want;	      /* how many to claim */
	struct rh_lane *lanes; /* of the claim before; where it went on from */
	size_t nlanes;
	int64_t gap; /* how far behind the one before the last one was; 0: not known */
	uint64_t looked_ns; /* mono: when the last look began */
	uint64_t lasted_ns, look_ns; /* what it took; more than a claim that is none */
	uint64_t looks_ns, claims_ns; /* about what each takes while there are jobs */
	bool woken;		     /* somebody says that there is something */
	bool alone; /* its last look led to the lane where it was */
	struct rh_pipe *pipe; /* of the job in work, once it asked for it */
	struct rh_job *job;
	uint64_t deadline_ns; /* mono: of the job in work */
	enum rh_sweep sweep;	/* what is to be taken back before the next claim */
	bool entered;	/* as job_enter says: it raises else */
	struct rh_job_waiting waiting; /* as rh_runner_tend has seen it last */
	bool told;	/* the database knows our kinds' bounds */
	/* handlers committed something since the caller took it back; and sent jobs with it */
	bool wrote, sent;
};

/* Makes it, in the worker's own arena; what this slot had is claimed anew. */
struct rh_runner *rh_runner_new(struct rh_arena *own, struct rh_pg *pg,
    struct rh_pg_obs *pg_obs, struct rh_uuid holder,
    const struct rh_runner_obs *obs);
/* One batch; answers how many were run. *again_ns: when there may be more. */
unsigned rh_runner_step(struct rh_runner *r, int64_t *again_ns);
/* Leases that are over, what is to be forgotten, and what waits, into r->waiting. */
void rh_runner_tend(struct rh_runner *r, int64_t keep_ms);
/* What is run and not settled, before the worker leaves. */
void rh_runner_end(struct rh_runner *r);

extern struct rh_stmt rh_runner_stmts[];
extern const struct rh_pg_constraint rh_job_constraints[];

#endif
