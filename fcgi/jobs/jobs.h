/*
 * jobs - what was left to be done behind requests, and what became of it.
 *
 * Shape    struct job is a row of jobs or jobs_past and a JSON object; in a
 *          list without its arguments and its result
 * Errors   job.missing 404; job.over, job.not_retried, job.key_taken 409
 *
 * It has no version and no ETag: a job changes by itself, and nothing guards
 * against that.
 */
#ifndef JOBS_JOBS_H
#define JOBS_JOBS_H

#include "serve/app.h"

struct job {
	struct rh_uuid id, actor_id;
	struct rh_slice kind, error, trace_id, request_id, args, result;
	int state;
	int64_t priority, attempt, max_attempts, progress;
	int64_t run_at, created_at, started_at, finished_at;
	bool cancelling, sealed;
};

/* As job_state has them: the last three are over. */
enum { JOB_SCHEDULED, JOB_READY, JOB_RUNNING, JOB_DONE, JOB_DEAD, JOB_CANCELLED };
extern const char *const job_states[];
extern const struct rh_field job_shape[], job_whole_shape[];

struct jobs_query {
	int state; /* -1: any */
	struct rh_slice kind;
	struct rh_paging paging;
};

struct jobs_page {
	struct job *rows;
	size_t n;
};

extern const struct rh_resource jobs_resource;
extern struct rh_stmt jobs_stmts[];

void jobs_repo_page(struct rh_call *c, const struct jobs_query *q,
    struct jobs_page *out);
bool jobs_repo_get(struct rh_call *c, struct rh_uuid id, struct job *out);
/* With its event; *out: as it is then. False: there is none of that id. */
bool jobs_repo_retry(struct rh_call *c, struct rh_uuid id, struct job *out);
bool jobs_repo_cancel(struct rh_call *c, struct rh_uuid id, struct job *out);

#endif
