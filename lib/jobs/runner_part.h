/*
 * runner_part - what the files of the runner share.
 *
 * Owner    the worker's one runner
 */
#ifndef RH_JOBS_RUNNER_PART_H
#define RH_JOBS_RUNNER_PART_H

#include "jobs/runner.h"

#define MS_NS UINT64_C(1000000)
/* At most so many at a time. */
#define WANT_MAX 500
/* A claimed job is its worker's for so long, and what it may take past its end. */
#define LEASE_MS 60000

/* rh_runner_stmts, by these. */
enum rh_runner_stmt {
	RH_RUNNER_CLAIM, RH_RUNNER_NEXT, RH_RUNNER_ENTER, RH_RUNNER_OVER,
	RH_RUNNER_OVER_ALL, RH_RUNNER_FAIL, RH_RUNNER_GIVE_BACK,
	RH_RUNNER_EXTEND, RH_RUNNER_RESCUE, RH_RUNNER_WAITING, RH_RUNNER_FORGET,
	RH_RUNNER_KINDS, RH_RUNNER_TURN
};

/* A row of job_claim. */
struct rh_claimed {
	struct rh_uuid tenant, id, actor;
	struct rh_slice kind, args, trace_id, parent_span_id, request_id;
	int64_t attempt, max_attempts, trace_flags, waited_ms, priority, seq;
	int64_t due_us, started_us; /* wall, the database's: of a turn, for waited_ms */
	unsigned nth; /* of its tenant's in the batch */
	bool round;   /* its tenant comes after who is behind rh_runner.after */
};

struct rh_batch {
	struct rh_arena *arena;
	struct rh_claimed *rows;
	size_t n;
	size_t begun; /* of them, in order */
	size_t *done; /* which are to be settled together */
	size_t ndone;
	uint64_t claimed_ns; /* mono */
};

/* Where jobs wait: one tenant's of one priority and one kind. */
struct rh_lane {
	struct rh_uuid tenant;
	const struct rh_job_kind *kind;
	int64_t priority;
	int64_t above; /* up to there this worker has been */
};

/* An attempt, as it is told: in the log, in the counts, as a span. */
struct rh_attempt {
	const struct rh_job *job;
	const struct rh_err *err; /* NULL: none */
	enum rh_job_outcome outcome;
	int64_t start_us;  /* wall */
	uint64_t start_ns; /* mono */
	int64_t waited_ms;
	unsigned round_trips;
	uint64_t pg_ns;
};

/*
 * runner.c: statements of the runner's own, no job's, so that the master is not
 * told of them. False: they were not done, as the log was told.
 */
struct rh_pipe *rh_runner_begin(struct rh_runner *r, struct rh_arena *arena);
bool rh_runner_commit(struct rh_runner *r, struct rh_pipe *p,
    const char *what);

/* runner_job.c: the i-th of the batch, from its begin to what became of it. */
void rh_runner_run(struct rh_runner *r, struct rh_batch *b, size_t i);

/* runner.c: queues what settles the batch before. */
void rh_runner_settle(struct rh_runner *r, struct rh_pipe *p,
    struct rh_arena *arena);

/*
 * runner_lanes.c: queues the claim, a look or not; notes where its rows are
 * from, and puts them into the order in which they are run: tenants take turns.
 */
void rh_lanes_claim(struct rh_runner *r, struct rh_pipe *p,
    struct rh_arena *arena, bool look);
/*
 * Instead of it and of what settles the batch before, where one job is wanted
 * of one lane: a plan for that. done: the job to be settled; NULL: none.
 */
void rh_lanes_turn_one(struct rh_runner *r, struct rh_pipe *p,
    const struct rh_claimed *done);
/* What it answered, into the batch: a job, or none. */
void rh_lanes_turned(const struct rh_runner *r, struct rh_pipe *p,
    struct rh_batch *b);
void rh_lanes_note(struct rh_runner *r, struct rh_batch *b, bool look);
/* The one who is served next comes after who was begun last. */
void rh_lanes_turn(struct rh_runner *r, const struct rh_batch *b);
/* When a look may be taken, ns from now; 0: at once. */
int64_t rh_lanes_look_in(const struct rh_runner *r);
/* A look, or a claim without; had: it could have been the other. */
void rh_lanes_took(struct rh_runner *r, bool look, bool had, uint64_t ns);
/* A look is begun: others of the host need none. */
void rh_lanes_look(struct rh_runner *r);

/* runner_tend.c: says our kinds' bounds; takes back what r->sweep says. False: not done. */
RH_MUST_CHECK bool rh_runner_sweep(struct rh_runner *r);

/* runner_account.c */
void rh_attempt_begin(struct rh_runner *r, const struct rh_claimed *row,
    const struct rh_attempt *a);
void rh_attempt_account(struct rh_runner *r, const struct rh_attempt *a);

#endif
