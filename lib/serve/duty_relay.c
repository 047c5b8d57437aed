#include "config.h"

#include "serve/duty_relay.h"

#include "jobs/relay.h"
#include "serve/duty_deliver.h"

/* What a worker keeps of it, at one place. */
struct rh_relaying {
	struct rh_relay relay;
	bool failed, days_failed; /* as the log was told */
	const struct rh_stmt *fan_out[RH_RELAY_FAN_OUT_MAX + 1];
};

/* Deliveries hang off it, and what the resources say. */
static void
fan_out_find(const struct rh_app *app, struct rh_relaying *r)
{
	size_t n = 0;

	r->fan_out[n++] = &rh_deliver_stmts[RH_DELIVER_FAN_OUT];
	for (const struct rh_resource *const *it = app->resources; *it; it++) {
		if (!(*it)->fan_out)
			continue;
		rh_assert(n < RH_RELAY_FAN_OUT_MAX);
		r->fan_out[n++] = (*it)->fan_out;
	}
}

void
rh_duty_relay_open(struct rh_server *s)
{
	struct rh_relaying *r;

	if (s->kept->relaying)
		return;
	s->kept->relaying = r = RH_NEW(s->own, struct rh_relaying);
	fan_out_find(s->host->app, r);
	rh_relay_init(&r->relay,
	    &(struct rh_relay_conf){ .keep_ms = s->host->conf->events_keep_ms,
	    .fan_out = r->fan_out });
}

/* At all places together: their sum, and the longest of them. */
static void
show(struct rh_server *s)
{
	const struct rh_series *series = &s->host->series;
	struct rh_relay_waiting all = { 0, 0 };

	for (unsigned p = 0; p < s->nplaces; p++) {
		const struct rh_relaying *r = s->keeps[p].relaying;

		if (!r)
			continue;
		all.pending += r->relay.waiting.pending;
		all.lag_ms = RH_MAX(all.lag_ms, r->relay.waiting.lag_ms);
	}
	rh_gauge_set(&s->tally, series->outbox_pending, 0,
	    (uint64_t)all.pending);
	rh_gauge_set(&s->tally, series->outbox_lag, 0,
	    (uint64_t)all.lag_ms * 1000000);
}

unsigned
rh_duty_relay(struct rh_server *s, int64_t *again_ns)
{
	struct rh_relaying *r = s->kept->relaying;

	rh_duty_end(s, "the relay", rh_relay_step(&r->relay,
	    rh_duty_begin(s), again_ns), &r->failed);
	show(s);
	if (r->relay.last.moved)
		rh_duty_hasten(s, rh_duty_deliver);
	return (unsigned)r->relay.last.moved;
}

unsigned
rh_duty_days(struct rh_server *s, int64_t *again_ns)
{
	struct rh_relaying *r = s->kept->relaying;

	rh_duty_end(s, "the days of events", rh_relay_tend(&r->relay,
	    rh_duty_begin(s), again_ns), &r->days_failed);
	return 0;
}
