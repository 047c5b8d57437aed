#include "config.h"

#include "serve/past.h"

#include "base/clock.h"
#include "obs/history.h"
#include "obs/metric_read.h"

#define LOOK_US		INT64_C(1000000)

struct rh_past_keeper {
	const struct rh_host *host;
	struct rh_history *history;
	struct rh_past_counts counts;
	/* families */
	int requests, duration, tenants, tenant_durations, queue, spans, lines;
	int jobs, job_duration, jobs_pending, jobs_oldest;
	int outbox_pending, outbox_lag, deliveries;
	int64_t looked_us;
};

static unsigned
routes_of(const struct rh_host *h)
{
	return rh_series_route(&h->series, NULL, 0, RH_METHOD_OTHER) + 1;
}

/* More results than a delivery has. */
#define RESULTS	16

static void
sizes_of(unsigned n[RH_PAST_LISTS], const struct rh_host *h)
{
	n[RH_PAST_ROUTES] = routes_of(h);
	n[RH_PAST_TENANTS] = RH_TENANT_NAMES + 1;
	n[RH_PAST_KINDS] = rh_job_kinds_count() + 1;
	n[RH_PAST_RESULTS] = RESULTS;
}

size_t
rh_past_bytes(const struct rh_host *h)
{
	unsigned n[RH_PAST_LISTS];

	sizes_of(n, h);
	return rh_history_bytes((size_t)h->conf->history_bytes, n);
}

static uint64_t
one(const struct rh_past_keeper *k, int metric, unsigned a, unsigned b)
{
	uint64_t cells[RH_METRIC_CELLS];

	return rh_metric_sum(k->host->segment, metric, a, b, cells) ?
	    cells[0] : 0;
}

static void
count_durations(struct rh_past_keeper *k, int metric, unsigned i,
    struct rh_past_row *to)
{
	uint64_t cells[RH_METRIC_CELLS];

	memset(to, 0, sizeof(*to));
	if (rh_metric_sum(k->host->segment, metric, i, 0, cells))
		memcpy(to->buckets, cells, sizeof(to->buckets));
}

static void
count_route(struct rh_past_keeper *k, unsigned i)
{
	struct rh_past_row *route = &k->counts.rows[RH_PAST_ROUTES][i];

	count_durations(k, k->duration, i, route);
	for (unsigned status = 500; status < 600; status++) {
		unsigned b = rh_series_status(status);

		if (b != rh_series_status(0))	/* "other" has them all */
			route->errors += one(k, k->requests, i, b);
	}
}

static void
count_tenant(struct rh_past_keeper *k, unsigned i)
{
	struct rh_past_row *tenant = &k->counts.rows[RH_PAST_TENANTS][i];

	tenant->errors = one(k, k->tenants, i, RH_T_SERVER_ERROR);
	for (unsigned b = 0; b <= RH_BUCKETS; b++)
		tenant->buckets[b] = one(k, k->tenant_durations, i, b);
}

static void
count_kind(struct rh_past_keeper *k, unsigned i)
{
	struct rh_past_row *kind = &k->counts.rows[RH_PAST_KINDS][i];

	count_durations(k, k->job_duration, i, kind);
	kind->errors = one(k, k->jobs, i, RH_JOB_DEAD);
	kind->again = one(k, k->jobs, i, RH_JOB_RETRIED) +
	    one(k, k->jobs, i, RH_JOB_LOST);
}

static void
count_result(struct rh_past_keeper *k, unsigned i)
{
	count_durations(k, k->deliveries, i,
	    &k->counts.rows[RH_PAST_RESULTS][i]);
}

static uint64_t
pending_of(const struct rh_past_keeper *k)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < k->counts.n[RH_PAST_KINDS]; i++)
		sum += one(k, k->jobs_pending, i, 0);
	return sum;
}

static uint32_t
at_most(uint64_t n)
{
	return (uint32_t)RH_MIN(n, UINT32_MAX);
}

static void
count_gauges(struct rh_past_keeper *k)
{
	struct rh_past_gauges *g = &k->counts.gauges;
	const struct rh_segment *s = k->host->segment;

	*g = (struct rh_past_gauges){
		.queue = (uint32_t)one(k, k->queue, 0, 0),
		.jobs_pending = at_most(pending_of(k)),
		.jobs_oldest_s = at_most(one(k, k->jobs_oldest, 0, 0)),
		.outbox_pending = at_most(one(k, k->outbox_pending, 0, 0)),
		.outbox_lag_ms = at_most(one(k, k->outbox_lag, 0, 0) / 1000000),
		.lines_dropped = one(k, k->lines, 1, 0),
		.spans_dropped = one(k, k->spans, RH_SPANS_DROPPED, 0) +
		    one(k, k->spans, RH_SPANS_REJECTED, 0) };
	rh_segment_workers(s, RH_POOL_FCGI, &g->workers, &g->busy);
	rh_segment_workers(s, RH_POOL_JOBS, &g->jobs_workers, &g->jobs_busy);
}

static void (*const counts[RH_PAST_LISTS])(struct rh_past_keeper *, unsigned) = {
	[RH_PAST_ROUTES] = count_route, [RH_PAST_TENANTS] = count_tenant,
	[RH_PAST_KINDS] = count_kind, [RH_PAST_RESULTS] = count_result,
};

void
rh_past_look(struct rh_past_keeper *k)
{
	int64_t now_us = rh_clock_wall_us();

	if (now_us >= k->looked_us && now_us - k->looked_us < LOOK_US)
		return;
	k->looked_us = now_us;
	rh_segment_survey(k->host->segment);
	count_gauges(k);
	if (!rh_history_is_due(k->history, now_us)) {
		rh_history_look(k->history, &k->counts.gauges);
		return;
	}
	for (unsigned l = 0; l < RH_PAST_LISTS; l++)
		for (unsigned i = 0; i < k->counts.n[l]; i++)
			counts[l](k, i);
	rh_history_take(k->history, now_us, &k->counts);
}

struct rh_past_keeper *
rh_past_open(const struct rh_host *h, struct rh_arena *arena)
{
	struct rh_past_keeper *k = RH_NEW(arena, struct rh_past_keeper);
	const struct rh_segment *s = h->segment;

	k->host = h;
	k->requests = rh_metric_find(s, "http_requests_total");
	k->duration = rh_metric_find(s, "http_request_duration_seconds");
	k->tenants = rh_metric_find(s, "tenant_requests_total");
	k->tenant_durations = rh_metric_find(s, "tenant_durations");
	k->queue = rh_metric_find(s, "listen_queue_length");
	k->spans = rh_metric_find(s, "spans_total");
	k->lines = rh_metric_find(s, "log_lines_total");
	k->jobs = rh_metric_find(s, "jobs_total");
	k->job_duration = rh_metric_find(s, "job_duration_seconds");
	k->jobs_pending = rh_metric_find(s, "jobs_pending");
	k->jobs_oldest = rh_metric_find(s, "jobs_oldest_seconds");
	k->outbox_pending = rh_metric_find(s, "outbox_pending");
	k->outbox_lag = rh_metric_find(s, "outbox_lag_seconds");
	k->deliveries = rh_metric_find(s, "webhook_delivery_duration_seconds");
	sizes_of(k->counts.n, h);
	for (int i = 0; i < RH_PAST_LISTS; i++)
		k->counts.rows[i] = rh_arena_zalloc(arena, k->counts.n[i],
		    sizeof(*k->counts.rows[i]));
	k->history = rh_history_open(s, k->counts.n, arena);
	rh_past_look(k);
	return k;
}
