#include "config.h"

#include <math.h>

#include "exporter/chart.h"
#include "exporter/fmt.h"
#include "exporter/overview.h"
#include "obs/metric_read.h"

static struct rh_slice
label_ns(struct rh_arena *arena, double ns)
{
	return ns > 0 ? fmt_ns(arena, (uint64_t)ns) : RH_SLICE("0");
}

static struct rh_slice
label_count(struct rh_arena *arena, double n)
{
	return n == floor(n) ? fmt_count(arena, (uint64_t)n) :
	    fmt_rate(arena, n);
}

static double *
values_of(const struct overview *o, struct rh_arena *arena,
    double (*value)(const struct point *p))
{
	double *values = rh_arena_zalloc(arena, o->npoints + 1,
	    sizeof(*values));

	for (unsigned i = 0; i < o->npoints; i++)
		values[i] = o->points[i].seconds > 0 ? value(&o->points[i]) :
		    (double)NAN;
	return values;
}

static double
per_second(const struct point *p)
{
	return (double)p->requests / p->seconds;
}

static double
failed_per_second(const struct point *p)
{
	return (double)p->errors / p->seconds;
}

static double
quantile(const struct point *p, double q)
{
	return p->requests ? (double)rh_quantile_ns(p->buckets, q) : (double)NAN;
}

static double
p50(const struct point *p)
{
	return quantile(p, 0.5);
}

static double
p95(const struct point *p)
{
	return quantile(p, 0.95);
}

static double
p99(const struct point *p)
{
	return quantile(p, 0.99);
}

static double
busy(const struct point *p)
{
	return p->busy;
}

static double
waiting(const struct point *p)
{
	return p->queue;
}

void
overview_charts_put(struct view *v, const struct overview *o)
{
	struct rh_arena *a = v->arena;
	const struct chart of_requests = { .title = "Requests",
		.unit = "per second", .lines = {
		{ "all", "a", true, values_of(o, a, per_second) },
		{ "failed", "e", true, values_of(o, a, failed_per_second) } },
		.nlines = 2, .n = o->npoints, .start_us = o->start_us,
		.step_us = o->range->point_us, .label = fmt_rate };
	const struct chart of_latency = { .title = "Duration", .lines = {
		{ "p50", "a", false, values_of(o, a, p50) },
		{ "p95", "b", false, values_of(o, a, p95) },
		{ "p99", "c", false, values_of(o, a, p99) } },
		.nlines = 3, .n = o->npoints, .start_us = o->start_us,
		.step_us = o->range->point_us, .decades = true,
		.label = label_ns };
	const struct chart of_pool = { .title = "Workers",
		.unit = "at most", .lines = {
		{ "busy", "a", true, values_of(o, a, busy) },
		{ "waiting", "b", false, values_of(o, a, waiting) } },
		.nlines = 2, .n = o->npoints, .start_us = o->start_us,
		.step_us = o->range->point_us, .label = label_count };

	html_open(&v->h, "div");
	html_attr(&v->h, "class", "charts");
	chart_put(&v->h, &of_requests, a);
	chart_put(&v->h, &of_latency, a);
	if (!o->tenant.p && !o->route.p)
		chart_put(&v->h, &of_pool, a);
	html_close(&v->h);
	html_open(&v->h, "p");
	html_attr(&v->h, "class", "quiet");
	if (o->oldest_us > 0) {
		html_lit(&v->h, "Times are UTC. The oldest that is remembered"
		    " at this resolution is of ");
		view_time(v, o->oldest_us, fmt_time(a, o->oldest_us));
		html_lit(&v->h, ".");
	} else
		html_lit(&v->h, "Nothing is remembered yet: the pool's master"
		    " takes a sample every 5 seconds.");
	html_close(&v->h);
}
