#include "config.h"

#include "serve/enqueue.h"

#include "serve/wake.h"

struct rh_uuid
rh_job_enqueue(struct rh_call *c, const struct rh_job_kind *kind,
    struct rh_slice args, const struct rh_job_options *options)
{
	c->leaves |= 1U << RH_WAKE_JOBS;
	return rh_job_send(c->pipe,
	    &(struct rh_job_origin){ .tenant = c->tenant,
		.trace = c->trace,
		.request_id = c->request_id },
	    kind, args, options);
}
