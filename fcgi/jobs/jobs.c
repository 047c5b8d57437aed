/*
 * jobs - what an admin sees of the tenant's jobs, and does to them.
 */
#include "config.h"

#include "jobs/jobs.h"

#include "base/crypto.h"

#define T "/v1/t/{tenant}"

enum { KIND_MAX_CHARS = 100 };

const char *const job_states[] = {
	[JOB_SCHEDULED] = "scheduled", [JOB_READY] = "ready",
	[JOB_RUNNING] = "running", [JOB_DONE] = "done", [JOB_DEAD] = "dead",
	[JOB_CANCELLED] = "cancelled", NULL
};

/* clang-format off */
#define J struct job
#define OPTIONAL .flags = RH_F_NULLABLE
#define SUMMARY									\
	{ RH_FIELD("id", UUID, J, id) },					\
	{ RH_FIELD("kind", TEXT, J, kind) },					\
	{ RH_FIELD("state", ENUM, J, state), .names = job_states,		\
	  .doc = "scheduled, ready and running are not over" },			\
	{ RH_FIELD("priority", INT, J, priority),				\
	  .doc = "the higher first, within the tenant" },			\
	{ RH_FIELD("attempt", INT, J, attempt),					\
	  .doc = "how many have begun; counted on when it is retried" },	\
	{ RH_FIELD("max_attempts", INT, J, max_attempts) },			\
	{ RH_FIELD("run_at", TIME, J, run_at), OPTIONAL,			\
	  .doc = "not before then; null once it is over" },			\
	{ RH_FIELD("progress", INT, J, progress), .min = 0, .max = 100,		\
	  .doc = "percent, as far as it says" },				\
	{ RH_FIELD("cancelling", BOOL, J, cancelling),				\
	  .doc = "it runs, and was asked to stop" },				\
	{ RH_FIELD("error", TEXT, J, error), OPTIONAL,				\
	  .doc = "the code of the last attempt that failed" },			\
	{ RH_FIELD("actor_id", UUID, J, actor_id), OPTIONAL,			\
	  .doc = "who asked for it" },						\
	{ RH_FIELD("trace_id", TEXT, J, trace_id), .min = 32, .max = 32,	\
	  .doc = "of the request that left it" },				\
	{ RH_FIELD("request_id", TEXT, J, request_id),				\
	  .doc = "of the request that left it" },				\
	{ RH_FIELD("created_at", TIME, J, created_at) },			\
	{ RH_FIELD("started_at", TIME, J, started_at), OPTIONAL,		\
	  .doc = "the last attempt" },						\
	{ RH_FIELD("finished_at", TIME, J, finished_at), OPTIONAL }

const struct rh_field job_shape[] = { SUMMARY, { 0 } };

const struct rh_field job_whole_shape[] = {
	SUMMARY,
	{ RH_FIELD("args", JSON, J, args), OPTIONAL, .doc = "null where they are sealed" },
	{ RH_FIELD("sealed", BOOL, J, sealed) },
	{ RH_FIELD("result", JSON, J, result), OPTIONAL },
	{ 0 }
};

static const struct rh_field list_params[] = {
	{ RH_FIELD("state", ENUM, struct jobs_query, state), .names = job_states,
	  .doc = "only those" },
	{ RH_FIELD("kind", TEXT, struct jobs_query, kind), .min = 1, .max = KIND_MAX_CHARS,
	  .doc = "only those" },
	RH_PAGING_FIELDS(struct jobs_query, paging),
	{ 0 }
};
/* clang-format on */

static struct rh_err *
missing(struct rh_call *c)
{
	return rh_call_missing(c, "job.missing", "There is no such job.");
}

/* GET /v1/t/{tenant}/jobs?state=&kind=&limit=&cursor=	200 page of job | 400 */
static struct rh_err *
jobs_list(struct rh_call *c)
{
	struct jobs_query q = { -1, RH_SLICE_NONE,
		{ .limit = RH_PAGE_DEFAULT } };
	struct jobs_page page;
	struct rh_err *err;

	if ((err = rh_call_query(c, &q)) ||
	    (err = rh_call_paging(c, &q.paging,
		 (q.kind.p ? rh_hash64(q.kind.p, q.kind.n) : 0) +
		     (uint64_t)(q.state + 1))))
		return err;
	jobs_repo_page(c, &q, &page);
	return rh_call_reply_page(c, &q.paging,
	    &(struct rh_page_of){ page.rows, page.n, sizeof(*page.rows),
		offsetof(struct job, created_at), offsetof(struct job, id) });
}

/* GET /v1/t/{tenant}/jobs/{id}	200 job | 404 */
static struct rh_err *
jobs_show(struct rh_call *c)
{
	struct job job;
	struct rh_uuid id;
	struct rh_err *err;

	if ((err = rh_req_uuid(c->rq, "id", &id)))
		return err;
	if (!jobs_repo_get(c, id, &job))
		return missing(c);
	return rh_reply_one(c->rq, job_whole_shape, &job, 0);
}

/* POST /v1/t/{tenant}/jobs/{id}/retry	200 job | 404 409 */
static struct rh_err *
jobs_retry(struct rh_call *c)
{
	struct job job;
	struct rh_uuid id;
	struct rh_err *err;

	if ((err = rh_req_uuid(c->rq, "id", &id)))
		return err;
	if (!jobs_repo_retry(c, id, &job))
		return missing(c);
	return rh_reply_one(c->rq, job_whole_shape, &job, 0);
}

/* POST /v1/t/{tenant}/jobs/{id}/cancel	200 job | 404 409 */
static struct rh_err *
jobs_cancel(struct rh_call *c)
{
	struct job job;
	struct rh_uuid id;
	struct rh_err *err;

	if ((err = rh_req_uuid(c->rq, "id", &id)))
		return err;
	if (!jobs_repo_cancel(c, id, &job))
		return missing(c);
	return rh_reply_one(c->rq, job_whole_shape, &job, 0);
}

/* clang-format off */
static const struct rh_route routes[] = {
	{ .method = RH_GET, .template = T "/jobs", .role = RH_ADMIN, .handler = jobs_list,
	  .rate = RH_RATE_READ, .params = list_params, .answer = RH_ANSWER_PAGE, .shape = job_shape,
	  .summary = "List jobs, the newest first" },
	{ .method = RH_GET, .template = T "/jobs/{id}", .role = RH_ADMIN, .handler = jobs_show,
	  .rate = RH_RATE_READ, .shape = job_whole_shape, .summary = "Read a job" },
	{ .method = RH_POST, .template = T "/jobs/{id}/retry", .role = RH_ADMIN, .handler = jobs_retry,
	  .rate = RH_RATE_WRITE, .shape = job_whole_shape,
	  .summary = "Put a job back that is dead or cancelled; one that waits for later is due now" },
	{ .method = RH_POST, .template = T "/jobs/{id}/cancel", .role = RH_ADMIN, .handler = jobs_cancel,
	  .rate = RH_RATE_WRITE, .shape = job_whole_shape,
	  .summary = "Cancel a job that waits; one that runs is asked to stop" },
	{ 0 }
};

static const struct rh_pg_constraint constraints[] = {
	{ "job_is_over", RH_E_CONFLICT, "job.over", "The job is over.", NULL },
	{ "job_not_retried", RH_E_CONFLICT, "job.not_retried",
	  "The job is ready, runs or is done: there is nothing to be tried again.", NULL },
	{ "jobs_unique", RH_E_CONFLICT, "job.key_taken",
	  "Another job of its kind waits or runs under its key.", NULL },
	{ 0 }
};
/* clang-format on */

const struct rh_resource jobs_resource = {
	.name = "jobs",
	.routes = routes,
	.stmts = jobs_stmts,
	.constraints = constraints,
};
