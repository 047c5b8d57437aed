#include "config.h"

#include "serve/enqueue.h"

#include "serve/wake.h"

/* The request's own; its sealer is made where there is something to seal. */
static struct rh_job_origin
origin_of(struct rh_call *c, const struct rh_job_kind *kind)
{
	struct rh_job_origin origin = { .tenant = c->tenant,
		.trace = c->trace,
		.request_id = c->request_id,
		.arena = c->arena };
	struct rh_sealer *sealer;

	if (kind->secret) {
		sealer = RH_NEW(c->arena, struct rh_sealer);
		rh_sealer_init(sealer, c->conf->secret_key);
		origin.sealer = sealer;
	}
	return origin;
}

struct rh_uuid
rh_job_enqueue(struct rh_call *c, const struct rh_job_kind *kind,
    struct rh_slice args, const struct rh_job_options *options)
{
	struct rh_job_origin origin = origin_of(c, kind);

	c->leaves |= 1U << RH_WAKE_JOBS;
	return rh_job_send(c->pipe, &origin, kind, args, options);
}

struct rh_err *
rh_cron_set(struct rh_call *c, const struct rh_job_kind *kind,
    struct rh_slice name, struct rh_slice schedule, struct rh_slice args)
{
	struct rh_job_origin origin = origin_of(c, kind);

	return rh_cron_set_send(c->pipe, &origin,
	    &(struct rh_cron_set){ kind, name, schedule, args, c->start_us });
}

void
rh_cron_drop(struct rh_call *c, struct rh_slice name)
{
	rh_cron_drop_send(c->pipe, c->tenant, name);
}
