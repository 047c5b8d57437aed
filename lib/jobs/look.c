#include "config.h"

#include "jobs/runner_part.h"

/* It raises where the job is another's by now. */
static const struct rh_field entered_columns[] = {
	{ RH_FIELD("entered", BOOL, struct rh_runner, entered) }, { 0 }
};

struct rh_pipe *
rh_job_look(struct rh_job *job)
{
	struct rh_runner *r = job->runner;
	struct rh_pipe *p;

	rh_assert(r->job == job && !r->pipe);
	p = rh_pg_begin(r->pg, job->arena, job->trace);
	rh_pg_deadline(r->pg, r->deadline_ns);
	rh_pipe_hold(p);
	rh_pipe_send_into(p, &rh_runner_stmts[RH_RUNNER_ENTER],
	    (const struct rh_arg[]){ RH_UUID(job->tenant), RH_UUID(job->id),
		RH_UUID(r->holder), RH_INT(job->attempt) },
	    4, &(struct rh_into){ entered_columns, r });
	return p;
}

struct rh_err *
rh_job_looked(struct rh_job *job, struct rh_pipe *p)
{
	struct rh_err *err = rh_pipe_error(p);

	rh_pipe_rollback(p);
	rh_pg_end(job->runner->pg);
	return err;
}
