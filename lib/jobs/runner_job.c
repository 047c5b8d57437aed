#include "config.h"

#include "jobs/runner_part.h"

#include "base/clock.h"

/* It raises where it is not so. */
static const struct rh_field entered_columns[] = {
	{ RH_FIELD("entered", BOOL, struct rh_runner, entered) }, { 0 }
};

static int64_t
timeout_ms(const struct rh_job_kind *kind)
{
	return kind && kind->timeout_ms ? kind->timeout_ms : RH_JOB_TIMEOUT_MS;
}

static bool
extend(struct rh_runner *r, const struct rh_job *job, int percent)
{
	struct rh_pipe *p = rh_runner_begin(r, job->arena);
	int64_t stop;

	rh_pipe_send(p, &rh_runner_stmts[RH_RUNNER_EXTEND], RH_UUID(job->tenant),
	    RH_UUID(job->id), RH_UUID(r->holder), RH_INT(job->attempt),
	    RH_INT(timeout_ms(job->kind) + LEASE_MS + r->obs.grace_ms),
	    percent < 0 ? RH_TEXT(RH_SLICE_NONE) : RH_INT(percent));
	stop = rh_pipe_int(p);
	return rh_runner_commit(r, p, "extend") && !stop;
}

bool
rh_job_go_on(struct rh_job *job, int percent)
{
	struct rh_runner *r = job->runner;

	rh_assert(r->job == job && !r->pipe && percent <= 100);
	if (!extend(r, job, percent))
		return false;
	r->deadline_ns = rh_clock_mono_ns() +
	    (uint64_t)timeout_ms(job->kind) * MS_NS;
	return true;
}

struct rh_pipe *
rh_job_pipe(struct rh_job *job)
{
	struct rh_runner *r = job->runner;

	rh_assert(r->job == job);
	if (r->pipe)
		return r->pipe;
	r->pipe = rh_pg_begin(r->pg, job->arena, job->trace);
	rh_pg_deadline(r->pg, r->deadline_ns);
	rh_pipe_hold(r->pipe);
	rh_pipe_send_into(r->pipe, &rh_runner_stmts[RH_RUNNER_ENTER],
	    (const struct rh_arg[]){ RH_UUID(job->tenant), RH_UUID(job->id),
		RH_UUID(r->holder), RH_INT(job->attempt) },
	    4, &(struct rh_into){ entered_columns, r });
	return r->pipe;
}

/* In the transaction of what it did. */
static struct rh_err *
finish(struct rh_runner *r, const struct rh_job *job, bool *lost)
{
	struct rh_pipe *p = rh_job_pipe((struct rh_job *)(uintptr_t)job);
	struct rh_err *err;
	int64_t over;

	rh_pipe_send(p, &rh_runner_stmts[RH_RUNNER_OVER], RH_UUID(job->tenant),
	    RH_UUID(job->id), RH_UUID(r->holder), RH_INT(job->attempt),
	    RH_TEXT(job->result));
	rh_pipe_commit(p);
	over = rh_pipe_int(p);
	err = rh_pipe_error(p);
	*lost = err ? strcmp(err->code, "job.lost") == 0 : !over;
	return err;
}

static enum rh_job_outcome
fail(struct rh_runner *r, const struct rh_job *job, const struct rh_err *err)
{
	struct rh_pipe *p = rh_runner_begin(r, job->arena);
	int64_t outcome;

	rh_pipe_send(p, &rh_runner_stmts[RH_RUNNER_FAIL], RH_UUID(job->tenant),
	    RH_UUID(job->id), RH_UUID(r->holder), RH_INT(job->attempt),
	    RH_TEXT(rh_slice_of(err->code)), RH_BOOL(job->final));
	outcome = rh_pipe_int(p);
	if (rh_runner_commit(r, p, "put off"))
		return (enum rh_job_outcome)outcome;
	r->sweep = RH_SWEEP_BEGUN;
	return RH_JOB_LOST;
}

/* Answers whether it is to be settled with others. */
static bool
conclude(struct rh_runner *r, struct rh_attempt *a)
{
	const struct rh_job *job = a->job;
	bool lost = false;

	a->outcome = RH_JOB_DONE;
	if (!a->err && !r->pipe && !job->result.p)
		return true;
	if (!a->err)
		a->err = finish(r, job, &lost);
	else if (r->pipe)
		rh_pipe_rollback(r->pipe);
	if (r->pipe) {
		/* what is taken back is accounted when it ends */
		rh_pg_end(r->pg);
		a->round_trips = rh_pipe_round_trips(r->pipe);
		a->pg_ns = rh_pipe_wait_ns(r->pipe);
	}
	if (lost)
		a->outcome = RH_JOB_LOST;
	else if (a->err)
		a->outcome = fail(r, job, a->err);
	return false;
}

static struct rh_err *
handle(struct rh_runner *r, struct rh_job *job)
{
	if (!job->kind)
		return rh_err_new(job->arena, RH_E_UNAVAILABLE,
		    "job.kind_unknown",
		    "This program has no job of that kind.");
	if (!rh_args_open(r->obs.sealer, job->arena, job->tenant, job->id,
		&job->args)) {
		job->final = true;
		return rh_err_new(job->arena, RH_E_UNAVAILABLE, "job.sealed",
		    "Its arguments were sealed with another secret_key.");
	}
	if (timeout_ms(job->kind) > LEASE_MS / 2 && !extend(r, job, -1))
		return rh_err_new(job->arena, RH_E_CONFLICT, "job.cancelled",
		    "The job was cancelled.");
	return job->kind->handler(job);
}

void
rh_runner_run(struct rh_runner *r, struct rh_batch *b, size_t i)
{
	const struct rh_claimed *row = &b->rows[i];
	const struct rh_job_kind *kind = rh_job_kinds_find(row->kind);
	struct rh_job job = { .kind = kind,
		.kind_name = row->kind,
		.tenant = row->tenant,
		.id = row->id,
		.actor = row->actor,
		.args = row->args,
		.attempt = (int)row->attempt,
		.max_attempts = (int)row->max_attempts,
		.request_id = row->request_id,
		.arena = b->arena,
		.conf = r->obs.conf,
		.trace = r->trace,
		.log = r->obs.log,
		.sealer = r->obs.sealer,
		.runner = r,
		.out = r->obs.out };
	uint64_t sent;
	struct rh_attempt a = { .job = &job,
		.start_us = rh_clock_wall_us(),
		.start_ns = rh_clock_mono_ns(),
		.waited_ms = row->waited_ms };

	r->job = &job;
	r->pipe = NULL;
	sent = rh_job_sent();
	r->deadline_ns = a.start_ns + (uint64_t)timeout_ms(kind) * MS_NS;
	rh_attempt_begin(r, row, &a);
	a.err = handle(r, &job);
	if (conclude(r, &a))
		b->done[b->ndone++] = i;
	else if (a.outcome == RH_JOB_DONE) {
		r->wrote = true;
		r->sent = r->sent || rh_job_sent() != sent;
	}
	rh_attempt_account(r, &a);
	r->pipe = NULL;
	r->job = NULL;
}
