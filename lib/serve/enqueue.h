/*
 * enqueue - leaves a job, in the transaction of the request that does so.
 *
 * Shape    one call; tenant, trace, request and caller are the request's own
 * Errors   the pipe's
 * Owner    static kinds; see jobs/job.h for how they are run
 *
 *	static struct rh_job_kind kinds[] = {
 *		{ .name = "exports.make", .handler = make }, { 0 }
 *	};
 *	rh_job_enqueue(c, &kinds[MAKE], RH_SLICE("{\"format\":\"csv\"}"), NULL);
 */
#ifndef RH_SERVE_ENQUEUE_H
#define RH_SERVE_ENQUEUE_H

#include "jobs/crons.h"
#include "jobs/job.h"
#include "serve/call.h"

/*
 * Queued behind what the handler has sent; to be read with rh_pipe_done in its
 * turn: 1, or 0 where options->unique is taken. In a tenant's route only.
 */
struct rh_uuid rh_job_enqueue(struct rh_call *c, const struct rh_job_kind *kind,
    struct rh_slice args, const struct rh_job_options *options);

/*
 * The same again and again, by a schedule (jobs/cron.h), under that name in the
 * tenant; one that has the name is changed. 422: the schedule cannot be read,
 * and nothing was queued. Else read it with rh_pipe_done in its turn: 1.
 */
RH_MUST_CHECK struct rh_err *rh_cron_set(struct rh_call *c,
    const struct rh_job_kind *kind, struct rh_slice name,
    struct rh_slice schedule, struct rh_slice args);
/* rh_pipe_done: 1, or 0 where there is none of that name. */
void rh_cron_drop(struct rh_call *c, struct rh_slice name);

#endif
