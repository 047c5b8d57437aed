#include "config.h"

#include "serve/duty_deliver.h"

#include <unistd.h>

#include "jobs/deliver.h"

#define TEND_NS (5000 * INT64_C(1000000))

void
rh_duty_deliver_open(struct rh_server *s)
{
	const struct rh_host *h = s->host;
	const struct rh_serve_conf *conf = h->conf;

	s->kept->deliver = rh_deliver_new(s->own, s->pg, rh_duty_holder(s),
	    &(struct rh_deliver_conf){
		.out = { &h->webhook_allow,
		    (unsigned)conf->webhook_connections },
		.secret_key = conf->secret_key,
		.timeout_ms = conf->webhook_timeout_ms,
		.concurrency = conf->webhook_concurrency,
		.rate = conf->webhook_rate,
		.retry_ms = conf->webhook_retry_ms,
		.give_up_ms = conf->webhook_give_up_ms,
		.keep_ms = conf->webhook_keep_ms },
	    &(struct rh_deliver_obs){ .tally = &s->tally,
		.series = &h->deliveries,
		.spans = h->series.spans,
		.log = &s->log,
		.ring = rh_segment_spans(h->segment, s->slot),
		.apart = rh_segment_traces(h->segment, s->slot),
		.requests = rh_segment_requests(h->segment, s->slot),
		.pid = (uint32_t)getpid(),
		.sampler = &h->otlp.sampler,
		.logs = conf->logs,
		.traces = h->otlp.traces,
		.slow_ms = conf->slow_ms });
}

unsigned
rh_duty_deliver(struct rh_server *s, int64_t *again_ns)
{
	unsigned ended;

	/* or the master would take the last one for one that hangs */
	s->pg_obs.flight = NULL;
	ended = rh_deliver_step(s->kept->deliver, again_ns);
	s->pg_obs.flight = s->flight;
	return ended;
}

unsigned
rh_duty_deliver_tend(struct rh_server *s, int64_t *again_ns)
{
	*again_ns = TEND_NS;
	s->pg_obs.flight = NULL;
	rh_deliver_tend(s->kept->deliver);
	s->pg_obs.flight = s->flight;
	return 0;
}

void
rh_duty_deliver_close(struct rh_server *s)
{
	s->pg_obs.flight = NULL;
	if (s->kept->deliver)
		rh_deliver_end(s->kept->deliver);
	s->kept->deliver = NULL;
}
