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
	int64_t looked_us;
};

static unsigned
routes_of(const struct rh_host *h)
{
	return rh_series_route(&h->series, NULL, 0, RH_METHOD_OTHER) + 1;
}

size_t
rh_past_bytes(const struct rh_host *h)
{
	return rh_history_bytes((size_t)h->conf->history_bytes, routes_of(h),
	    RH_TENANT_NAMES + 1);
}

static uint64_t
one(const struct rh_past_keeper *k, int metric, unsigned a, unsigned b)
{
	uint64_t cells[RH_METRIC_CELLS];

	return rh_metric_sum(k->host->segment, metric, a, b, cells) ?
	    cells[0] : 0;
}

static void
count_route(struct rh_past_keeper *k, unsigned i)
{
	struct rh_past_row *route = &k->counts.routes[i];
	uint64_t cells[RH_METRIC_CELLS];

	memset(route, 0, sizeof(*route));
	if (rh_metric_sum(k->host->segment, k->duration, i, 0, cells))
		memcpy(route->buckets, cells, sizeof(route->buckets));
	for (unsigned status = 500; status < 600; status++) {
		unsigned b = rh_series_status(status);

		if (b != rh_series_status(0))	/* "other" has them all */
			route->errors += one(k, k->requests, i, b);
	}
}

static void
count_tenant(struct rh_past_keeper *k, unsigned i)
{
	struct rh_past_row *tenant = &k->counts.tenants[i];

	tenant->errors = one(k, k->tenants, i, RH_T_SERVER_ERROR);
	for (unsigned b = 0; b <= RH_BUCKETS; b++)
		tenant->buckets[b] = one(k, k->tenant_durations, i, b);
}

static void
count_gauges(struct rh_past_keeper *k)
{
	struct rh_past_gauges *g = &k->counts.gauges;
	const struct rh_segment *s = k->host->segment;

	*g = (struct rh_past_gauges){
		.queue = (uint32_t)one(k, k->queue, 0, 0),
		.lines_dropped = one(k, k->lines, 1, 0),
		.spans_dropped = one(k, k->spans, RH_SPANS_DROPPED, 0) +
		    one(k, k->spans, RH_SPANS_REJECTED, 0) };
	for (unsigned i = 1; i < rh_segment_slots(s); i++) {
		struct rh_slot *slot = rh_segment_slot(s, i);

		g->workers += rh_slot_serves(slot);
		g->busy += rh_slot_serves(slot) &&
		    atomic_load(&slot->state) == RH_SLOT_BUSY;
	}
}

void
rh_past_look(struct rh_past_keeper *k)
{
	int64_t now_us = rh_clock_wall_us();

	if (now_us >= k->looked_us && now_us - k->looked_us < LOOK_US)
		return;
	k->looked_us = now_us;
	count_gauges(k);
	if (!rh_history_is_due(k->history, now_us)) {
		rh_history_look(k->history, &k->counts.gauges);
		return;
	}
	for (unsigned i = 0; i < k->counts.nroutes; i++)
		count_route(k, i);
	for (unsigned i = 0; i < k->counts.ntenants; i++)
		count_tenant(k, i);
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
	k->counts.nroutes = routes_of(h);
	k->counts.ntenants = RH_TENANT_NAMES + 1;
	k->counts.routes = rh_arena_zalloc(arena, k->counts.nroutes,
	    sizeof(*k->counts.routes));
	k->counts.tenants = rh_arena_zalloc(arena, k->counts.ntenants,
	    sizeof(*k->counts.tenants));
	k->history = rh_history_open(s, k->counts.nroutes, k->counts.ntenants,
	    arena);
	rh_past_look(k);
	return k;
}
