/*
 * crons - jobs that come again and again, by a schedule.
 *
 * Shape    a row of job_crons each: a name within its tenant, a kind, a
 *          schedule (cron.h), arguments. Whoever looks makes a job of what is
 *          due: the row moves on to its next occurrence in the statement that
 *          makes the job, so an occurrence leaves one job however many look
 * Errors   the pipe's; cron.schedule 422 for a schedule that cannot be read
 * Owner    rows are in the pipe's arena
 * Source   migrate/sql/0009_jobs_more
 *
 * What came due while nobody looked leaves one job, not one for each time.
 */
#ifndef RH_JOBS_CRONS_H
#define RH_JOBS_CRONS_H

#include "jobs/job.h"

#define RH_CRON_NAME_MAX 100 /* characters */

struct rh_cron_set {
	const struct rh_job_kind *kind;
	struct rh_slice name, schedule, args;
	int64_t now_us; /* wall: its first occurrence is later than that */
};
/*
 * Queues the row, new or in place of the one of that name, in the tenant's
 * transaction that the pipe is in; read it with rh_pipe_done in its turn: 1.
 * Where the schedule is the same as before, so is when it is due next.
 */
RH_MUST_CHECK struct rh_err *rh_cron_set_send(struct rh_pipe *pipe,
    const struct rh_job_origin *origin, const struct rh_cron_set *what);
/* Likewise; rh_pipe_done: 1, or 0 where there is none of that name. */
void rh_cron_drop_send(struct rh_pipe *pipe, struct rh_uuid tenant,
    struct rh_slice name);

/* ---- the duty's side ---- */

struct rh_cron_due {
	struct rh_uuid tenant, id;
	struct rh_slice name, kind, schedule, args;
	int64_t next_at, today; /* when it was due; the database's now */
};
/* Asks for at most so many, and answers how many there are. */
size_t rh_cron_due(struct rh_pipe *pipe, int64_t most,
    struct rh_cron_due **rows);
/*
 * Makes its job, whose id is *job, under the origin's trace and request id, and
 * moves it on: a transaction of its own. True: it was not another's by then.
 * Read rh_pipe_error behind it.
 */
RH_MUST_CHECK bool rh_cron_fire(struct rh_pipe *pipe,
    const struct rh_job_origin *origin, const struct rh_cron_due *due,
    struct rh_uuid *job);

extern struct rh_stmt rh_cron_stmts[];

#endif
