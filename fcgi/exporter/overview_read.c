#include "config.h"

#include "exporter/overview.h"

#include <stdlib.h>

#include "obs/metric_read.h"

#define S	INT64_C(1000000)
#define RECENT	8

/* clang-format off */
const struct overview_range overview_ranges[] = {
	{ "15m", "15 minutes", RH_HISTORY_FINE,     900 * S,  10 * S },
	{ "1h",  "hour",       RH_HISTORY_FINE,    3600 * S,  30 * S },
	{ "6h",  "6 hours",    RH_HISTORY_COARSE, 21600 * S, 180 * S },
	{ "24h", "day",        RH_HISTORY_COARSE, 86400 * S, 600 * S },
	{ 0 }
};
/* clang-format on */

static bool
choose_range(struct overview *o, struct view *v)
{
	struct rh_slice name = page_arg(v->rq, "range");

	o->range = &overview_ranges[1];
	if (name.n == 0)
		return true;
	for (o->range = overview_ranges; o->range->name; o->range++)
		if (rh_slice_is(name, rh_slice_of(o->range->name)))
			return true;
	view_fail(v, 400, "There is no such range",
	    RH_SLICE("range is 15m, 1h, 6h or 24h"));
	return false;
}

/* ---- names ---- */

static void
name_rows(struct rows *rows, struct view *v, const char *name, const char *key)
{
	int metric = rh_metric_find(v->segment, name);
	bool is_route = strcmp(key, "route") == 0;
	unsigned na, nb;

	rh_metric_size(v->segment, metric, &na, &nb);
	rows->n = na;
	rows->rows = rh_arena_zalloc(v->arena, na + 1, sizeof(*rows->rows));
	for (unsigned i = 0; i < na; i++) {
		rows->rows[i].name = rh_metric_label(v->segment, metric, 'a', i,
		    key, v->arena);
		if (is_route)
			rows->rows[i].method = rh_metric_label(v->segment,
			    metric, 'a', i, "method", v->arena);
	}
}

static int
most_first(const void *one, const void *other)
{
	const struct row *a = one, *b = other;

	if (a->requests != b->requests)
		return a->requests < b->requests ? 1 : -1;
	return (a->pending < b->pending) - (a->pending > b->pending);
}

/* Those nobody asked for go. */
static void
sort_rows(struct rows *rows)
{
	if (rows->n)
		qsort(rows->rows, rows->n, sizeof(*rows->rows), most_first);
	while (rows->n && rows->rows[rows->n - 1].requests == 0 &&
	    rows->rows[rows->n - 1].pending == 0)
		rows->n--;
}

/* ---- samples ---- */

static void
add_row(struct row *row, const struct rh_past_row *past, unsigned spark)
{
	row->requests += rh_past_row_sum(past);
	row->errors += past->errors;
	row->again += past->again;
	row->spark[spark] += rh_past_row_sum(past);
	for (unsigned i = 0; i <= RH_BUCKETS; i++)
		row->buckets[i] += past->buckets[i];
}

static void
add_point(struct point *p, const struct rh_past_row *past)
{
	p->requests += rh_past_row_sum(past);
	p->errors += past->errors;
	for (unsigned i = 0; i <= RH_BUCKETS; i++)
		p->buckets[i] += past->buckets[i];
}

static bool
is_route_chosen(const struct overview *o, const struct row *row)
{
	if (o->tenant.p)
		return false;
	return (!o->route.p || rh_slice_is(o->route, row->name)) &&
	    (!o->method.p || rh_slice_is(o->method, row->method));
}

static bool
is_tenant_chosen(const struct overview *o, const struct row *row)
{
	return o->tenant.p && rh_slice_is(o->tenant, row->name);
}

static void
add_rows(struct overview *o, struct rows *to, const struct rh_past_row *past,
    unsigned n, bool (*is_chosen)(const struct overview *, const struct row *),
    struct point *point, unsigned spark)
{
	for (size_t i = 0; i < RH_MIN(to->n, n); i++) {
		if (rh_past_row_sum(&past[i]) == 0)
			continue;
		add_row(&to->rows[i], &past[i], spark);
		if (!is_chosen(o, &to->rows[i]))
			continue;
		add_row(&o->total, &past[i], spark);
		add_point(point, &past[i]);
	}
}

/* Those of work that nobody waits for; pending is what is there now. */
static void
add_work(struct row *all, struct rows *to, const struct rh_past_sample *s,
    enum rh_past_of which, unsigned spark)
{
	const struct rh_past_row *past = s->counts.rows[which];

	for (size_t i = 0; i < RH_MIN(to->n, s->counts.n[which]); i++) {
		add_row(&to->rows[i], &past[i], spark);
		add_row(all, &past[i], spark);
	}
}

static void
add_point_work(struct overview *o, struct point *p,
    const struct rh_past_sample *s)
{
	const struct rh_past_row *kinds = s->counts.rows[RH_PAST_KINDS];
	const struct rh_past_row *results = s->counts.rows[RH_PAST_RESULTS];
	uint64_t n;

	for (unsigned i = 0; i < s->counts.n[RH_PAST_KINDS]; i++) {
		p->jobs += rh_past_row_sum(&kinds[i]);
		p->again += kinds[i].again;
		p->dead += kinds[i].errors;
	}
	for (size_t i = 0; i < RH_MIN(o->results.n,
	    s->counts.n[RH_PAST_RESULTS]); i++) {
		n = rh_past_row_sum(&results[i]);
		if (is_delivered(o->results.rows[i].name))
			p->delivered += n;
		else
			p->undelivered += n;
	}
}

static void
add_gauges(struct point *p, const struct rh_past_gauges *g)
{
	p->workers = RH_MAX(p->workers, g->workers);
	p->busy = RH_MAX(p->busy, g->busy);
	p->queue = RH_MAX(p->queue, g->queue);
	p->jobs_workers = RH_MAX(p->jobs_workers, g->jobs_workers);
	p->jobs_busy = RH_MAX(p->jobs_busy, g->jobs_busy);
	p->jobs_pending = RH_MAX(p->jobs_pending, g->jobs_pending);
	p->jobs_oldest_s = RH_MAX(p->jobs_oldest_s, g->jobs_oldest_s);
	p->outbox_pending = RH_MAX(p->outbox_pending, g->outbox_pending);
	p->outbox_lag_ms = RH_MAX(p->outbox_lag_ms, g->outbox_lag_ms);
}

/* A sample belongs to where its middle lies; past or to come, to nowhere. */
static struct point *
point_of(struct overview *o, const struct rh_past_sample *s)
{
	int64_t at_us = s->at_us - s->span_us / 2;

	if (at_us < o->start_us || at_us >= o->end_us)
		return NULL;
	return &o->points[(at_us - o->start_us) / o->range->point_us];
}

static void
add_sample(struct overview *o, const struct rh_past_sample *s)
{
	struct point *p = point_of(o, s);
	unsigned spark;

	if (!p)
		return;
	spark = (unsigned)((size_t)(p - o->points) * SPARK_POINTS /
	    RH_MAX(o->npoints, 1u));
	/* of a pool that was away for long, no point takes more than its time */
	p->seconds += (double)RH_MIN(s->span_us, o->range->point_us) / 1e6;
	o->seconds += (double)s->span_us / 1e6;
	add_gauges(p, &s->counts.gauges);
	add_rows(o, &o->routes, s->counts.rows[RH_PAST_ROUTES],
	    s->counts.n[RH_PAST_ROUTES], is_route_chosen, p, spark);
	add_rows(o, &o->tenants, s->counts.rows[RH_PAST_TENANTS],
	    s->counts.n[RH_PAST_TENANTS], is_tenant_chosen, p, spark);
	add_work(&o->jobs, &o->kinds, s, RH_PAST_KINDS, spark);
	add_work(&o->deliveries, &o->results, s, RH_PAST_RESULTS, spark);
	add_point_work(o, p, s);
}

static void
read_history(struct overview *o, struct view *v)
{
	struct rh_history_reader *reader = rh_history_read(v->segment,
	    o->range->step, v->arena);
	struct rh_past_sample sample;

	while (reader && rh_history_next(reader, &sample)) {
		if (o->oldest_us == 0)
			o->oldest_us = sample.at_us - sample.span_us;
		add_sample(o, &sample);
	}
}

/* ---- now ---- */

static void
read_dependencies(struct overview *o, struct view *v)
{
	int metric = rh_metric_find(v->segment, "dependency_up");
	struct dependency *d;
	unsigned na, nb;

	rh_metric_size(v->segment, metric, &na, &nb);
	o->dependencies = rh_arena_zalloc(v->arena, na + 1, sizeof(*d));
	for (unsigned i = 0; i < na; i++) {
		d = &o->dependencies[o->ndependencies++];
		d->name = rh_metric_label(v->segment, metric, 'a', i,
		    "dependency", v->arena);
		rh_metric_workers(rh_segment_view(v->segment, 0), metric, i,
		    &d->workers, &d->up);
	}
}

const char *
dependency_state(const struct dependency *d)
{
	if (d->workers == 0)
		return "unknown";
	return d->up == d->workers ? "up" : d->up ? "partly" : "down";
}

static uint64_t
labelled(struct view *v, const char *name, const char *outcome)
{
	int metric = rh_metric_find(v->segment, name);
	uint64_t cells[RH_METRIC_CELLS], sum = 0;
	unsigned na, nb;

	rh_metric_size(v->segment, metric, &na, &nb);
	for (unsigned i = 0; i < na; i++)
		if (rh_slice_is(rh_metric_label(v->segment, metric, 'a', i,
		    "outcome", v->arena), rh_slice_of(outcome)) &&
		    rh_metric_sum(v->segment, metric, i, 0, cells))
			sum += cells[0];
	return sum;
}

static void
read_remarkable(struct overview *o, struct view *v)
{
	struct rh_past_filter filter = { .any = true, .failed = true,
		.most = RECENT,
		.tenant = o->tenant, .route = o->route, .method = o->method };

	rh_past_list(&o->remarkable, v->segment, &filter, v->arena);
}

static uint64_t
now_of(struct view *v, const char *name, unsigned a)
{
	uint64_t cells[RH_METRIC_CELLS];

	return rh_metric_sum(v->segment, rh_metric_find(v->segment, name), a, 0,
	    cells) ? cells[0] : 0;
}

static void
read_waiting(struct overview *o, struct view *v)
{
	for (unsigned i = 0; i < o->kinds.n; i++) {
		o->kinds.rows[i].pending = now_of(v, "jobs_pending", i);
		o->jobs_pending += o->kinds.rows[i].pending;
	}
	o->jobs_oldest_s = now_of(v, "jobs_oldest_seconds", 0);
	o->outbox_pending = now_of(v, "outbox_pending", 0);
	o->outbox_lag_ns = now_of(v, "outbox_lag_seconds", 0);
}

bool
overview_read(struct overview *o, struct view *v)
{
	*o = (struct overview){ .route = page_arg(v->rq, "route"),
		.method = page_arg(v->rq, "method"),
		.tenant = page_arg(v->rq, "tenant") };
	if (!choose_range(o, v))
		return false;
	o->npoints = (unsigned)(o->range->reach_us / o->range->point_us);
	/* whole points: a line does not change its past from look to look */
	o->end_us = (v->now_us / o->range->point_us + 1) * o->range->point_us;
	o->start_us = o->end_us - o->range->reach_us;
	o->points = rh_arena_zalloc(v->arena, o->npoints + 1,
	    sizeof(*o->points));
	name_rows(&o->routes, v, "http_requests_total", "route");
	name_rows(&o->tenants, v, "tenant_requests_total", "tenant");
	name_rows(&o->kinds, v, "jobs_total", "kind");
	name_rows(&o->results, v, "webhook_delivery_duration_seconds", "result");
	o->has_deliveries = o->results.n > 0;
	read_history(o, v);
	read_waiting(o, v);
	sort_rows(&o->routes);
	sort_rows(&o->tenants);
	sort_rows(&o->kinds);
	sort_rows(&o->results);
	read_dependencies(o, v);
	o->lines_dropped = labelled(v, "log_lines_total", "dropped");
	o->spans_dropped = labelled(v, "spans_total", "dropped") +
	    labelled(v, "spans_total", "rejected");
	read_remarkable(o, v);
	return true;
}
