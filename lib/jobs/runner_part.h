/*
 * runner_part - what the files of the runner share.
 *
 * Owner    the worker's one runner
 */
#ifndef RH_JOBS_RUNNER_PART_H
#define RH_JOBS_RUNNER_PART_H

#include "jobs/runner.h"

/* A row of job_claim. */
struct rh_claimed {
	struct rh_uuid tenant, id, actor;
	struct rh_slice kind, args, trace_id, parent_span_id, request_id;
	int64_t attempt, max_attempts, trace_flags, waited_ms;
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

/* An attempt, as it is told: in the log, in the counts, as a span. */
struct rh_attempt {
	const struct rh_job *job;
	const struct rh_err *err; /* NULL: none */
	enum rh_job_outcome outcome;
	int64_t start_us;  /* wall */
	uint64_t start_ns; /* mono */
	int64_t waited_ms;
	unsigned round_trips;
};

/* runner_account.c */
void rh_attempt_begin(struct rh_runner *r, const struct rh_claimed *row,
    const struct rh_attempt *a);
void rh_attempt_account(struct rh_runner *r, const struct rh_attempt *a);

#endif
