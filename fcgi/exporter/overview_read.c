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
name_rows(struct rows *rows, struct view *v, int metric, bool is_route)
{
	unsigned na, nb;

	rh_metric_size(v->segment, metric, &na, &nb);
	rows->n = na;
	rows->rows = rh_arena_zalloc(v->arena, na + 1, sizeof(*rows->rows));
	for (unsigned i = 0; i < na; i++) {
		rows->rows[i].name = rh_metric_label(v->segment, metric, 'a', i,
		    is_route ? "route" : "tenant", v->arena);
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
	return 0;
}

/* Those nobody asked for go. */
static void
sort_rows(struct rows *rows)
{
	if (rows->n)
		qsort(rows->rows, rows->n, sizeof(*rows->rows), most_first);
	while (rows->n && rows->rows[rows->n - 1].requests == 0)
		rows->n--;
}

/* ---- samples ---- */

static uint64_t
requests_of(const struct rh_past_row *past)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i <= RH_BUCKETS; i++)
		sum += past->buckets[i];
	return sum;
}

static void
add_row(struct row *row, const struct rh_past_row *past, unsigned spark)
{
	row->requests += requests_of(past);
	row->errors += past->errors;
	row->spark[spark] += requests_of(past);
	for (unsigned i = 0; i <= RH_BUCKETS; i++)
		row->buckets[i] += past->buckets[i];
}

static void
add_point(struct point *p, const struct rh_past_row *past)
{
	p->requests += requests_of(past);
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
		if (requests_of(&past[i]) == 0)
			continue;
		add_row(&to->rows[i], &past[i], spark);
		if (!is_chosen(o, &to->rows[i]))
			continue;
		add_row(&o->total, &past[i], spark);
		add_point(point, &past[i]);
	}
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
	p->workers = RH_MAX(p->workers, s->counts.gauges.workers);
	p->busy = RH_MAX(p->busy, s->counts.gauges.busy);
	p->queue = RH_MAX(p->queue, s->counts.gauges.queue);
	add_rows(o, &o->routes, s->counts.routes, s->counts.nroutes,
	    is_route_chosen, p, spark);
	add_rows(o, &o->tenants, s->counts.tenants, s->counts.ntenants,
	    is_tenant_chosen, p, spark);
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
	struct rh_past_filter filter = { .status_min = 500, .most = RECENT,
		.tenant = o->tenant, .route = o->route, .method = o->method };

	rh_past_list(&o->remarkable, v->segment, &filter, v->arena);
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
	name_rows(&o->routes, v, rh_metric_find(v->segment,
	    "http_requests_total"), true);
	name_rows(&o->tenants, v, rh_metric_find(v->segment,
	    "tenant_requests_total"), false);
	read_history(o, v);
	sort_rows(&o->routes);
	sort_rows(&o->tenants);
	read_dependencies(o, v);
	o->lines_dropped = labelled(v, "log_lines_total", "dropped");
	o->spans_dropped = labelled(v, "spans_total", "dropped") +
	    labelled(v, "spans_total", "rejected");
	read_remarkable(o, v);
	return true;
}
