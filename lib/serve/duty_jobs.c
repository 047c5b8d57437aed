#include "config.h"

#include "serve/duty.h"

#include <unistd.h>

#define TEND_NS (5000 * INT64_C(1000000))

void
rh_duty_jobs_open(struct rh_server *s)
{
	const struct rh_host *h = s->host;
	struct rh_looks *looks = rh_segment_area(h->segment, RH_LOOKS_AREA);
	struct rh_sealer *sealer;

	if (s->kept->runner)
		return;
	sealer = RH_NEW(s->own, struct rh_sealer);
	rh_sealer_init(sealer, h->conf->secret_key);
	s->kept->runner = rh_runner_new(s->own, s->pg, &s->pg_obs, rh_duty_holder(s),
	    &(struct rh_runner_obs){ .tally = &s->tally,
		.series = &h->jobs,
		.spans = h->series.spans,
		.log = &s->log,
		.flight = s->flight,
		.ring = rh_segment_spans(h->segment, s->slot),
		.apart = rh_segment_traces(h->segment, s->slot),
		.requests = rh_segment_requests(h->segment, s->slot),
		.pid = (uint32_t)getpid(),
		.sampler = &h->otlp.sampler,
		.conf = h->conf,
		.out = rh_duty_out(s),
		.logs = h->conf->logs,
		.traces = h->otlp.traces,
		.sealer = sealer,
		.slow_ms = h->conf->slow_ms,
		.grace_ms = h->conf->timeout_grace_ms,
		.poll_ms = h->conf->jobs_poll_ms,
		.batch = (unsigned)h->conf->jobs_batch,
		.looks = looks ? &looks[s->kept - s->keeps] : NULL });
}

void
rh_duty_jobs_close(struct rh_server *s)
{
	if (s->kept->runner)
		rh_runner_end(s->kept->runner);
	s->kept->runner = NULL;
}

/* What its jobs wrote may be events, and jobs: whoever rests looks, as for a request. */
static void
wake(struct rh_server *s, struct rh_runner *r)
{
	unsigned what = (r->wrote ? 1U << RH_WAKE_EVENTS : 0) |
	    (r->sent ? 1U << RH_WAKE_JOBS : 0);

	r->wrote = r->sent = false;
	if (what)
		rh_waker_call(&s->waker, s->at->hash, what);
}

unsigned
rh_duty_jobs_step(struct rh_server *s, int64_t *again_ns)
{
	struct rh_runner *r = s->kept->runner;
	unsigned done;

	if (s->kept->called & 1U << RH_WAKE_JOBS)
		r->woken = true;
	s->kept->called &= ~(1U << RH_WAKE_JOBS);
	done = rh_runner_step(r, again_ns);
	wake(s, r);
	return done;
}

/* At all places together: their sum, and the longest of them. */
static void
show(struct rh_server *s)
{
	struct rh_job_waiting all = { .oldest_ms = 0 };

	for (unsigned p = 0; p < s->nplaces; p++) {
		const struct rh_runner *r = s->keeps[p].runner;

		if (!r)
			continue;
		for (unsigned i = 0; i < RH_COUNT(all.pending); i++)
			all.pending[i] += r->waiting.pending[i];
		all.oldest_ms = RH_MAX(all.oldest_ms, r->waiting.oldest_ms);
	}
	rh_job_waiting_show(&s->tally, &s->host->jobs, &all);
}

unsigned
rh_duty_jobs_tend(struct rh_server *s, int64_t *again_ns)
{
	*again_ns = TEND_NS;
	rh_runner_tend(s->kept->runner, s->host->conf->jobs_keep_ms);
	show(s);
	return 0;
}
