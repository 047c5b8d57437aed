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
label_seconds(struct rh_arena *arena, double s)
{
	return label_ns(arena, s * 1e9);
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

static double
jobs_per_second(const struct point *p)
{
	return (double)p->jobs / p->seconds;
}

static double
again_per_second(const struct point *p)
{
	return (double)p->again / p->seconds;
}

static double
dead_per_second(const struct point *p)
{
	return (double)p->dead / p->seconds;
}

static double
jobs_pending(const struct point *p)
{
	return p->jobs_pending;
}

static double
events_pending(const struct point *p)
{
	return p->outbox_pending;
}

static double
jobs_oldest(const struct point *p)
{
	return p->jobs_oldest_s;
}

static double
events_oldest(const struct point *p)
{
	return p->outbox_lag_ms / 1e3;
}

static double
delivered_per_second(const struct point *p)
{
	return (double)p->delivered / p->seconds;
}

static double
undelivered_per_second(const struct point *p)
{
	return (double)p->undelivered / p->seconds;
}

/* What is done behind requests. */
static void
put_work(struct view *v, const struct overview *o)
{
	struct rh_arena *a = v->arena;
	const struct chart of_jobs = { .title = "Jobs", .unit = "per second",
		.lines = {
		{ "attempts", "a", true, values_of(o, a, jobs_per_second) },
		{ "tried again", "b", false, values_of(o, a, again_per_second) },
		{ "dead", "e", true, values_of(o, a, dead_per_second) } },
		.nlines = 3, .n = o->npoints, .start_us = o->start_us,
		.step_us = o->range->point_us, .label = fmt_rate };
	const struct chart of_waiting = { .title = "Waiting",
		.unit = "at most", .lines = {
		{ "jobs", "a", true, values_of(o, a, jobs_pending) },
		{ "events", "b", false, values_of(o, a, events_pending) } },
		.nlines = 2, .n = o->npoints, .start_us = o->start_us,
		.step_us = o->range->point_us, .label = label_count };
	const struct chart of_oldest = { .title = "The oldest waits",
		.lines = {
		{ "job", "a", true, values_of(o, a, jobs_oldest) },
		{ "event", "b", false, values_of(o, a, events_oldest) } },
		.nlines = 2, .n = o->npoints, .start_us = o->start_us,
		.step_us = o->range->point_us, .label = label_seconds };
	const struct chart of_webhooks = { .title = "Webhooks",
		.unit = "per second", .lines = {
		{ "delivered", "a", true, values_of(o, a, delivered_per_second) },
		{ "failed", "e", true, values_of(o, a, undelivered_per_second) } },
		.nlines = 2, .n = o->npoints, .start_us = o->start_us,
		.step_us = o->range->point_us, .label = fmt_rate };

	chart_put(&v->h, &of_jobs, a);
	chart_put(&v->h, &of_waiting, a);
	chart_put(&v->h, &of_oldest, a);
	if (o->has_deliveries)
		chart_put(&v->h, &of_webhooks, a);
}

static double
jobs_busy(const struct point *p)
{
	return p->jobs_busy;
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
		{ "waiting", "b", false, values_of(o, a, waiting) },
		{ "at jobs", "c", false, values_of(o, a, jobs_busy) } },
		.nlines = 3, .n = o->npoints, .start_us = o->start_us,
		.step_us = o->range->point_us, .label = label_count };

	html_open(&v->h, "div");
	html_attr(&v->h, "class", "charts");
	chart_put(&v->h, &of_requests, a);
	chart_put(&v->h, &of_latency, a);
	if (!o->tenant.p && !o->route.p) {
		chart_put(&v->h, &of_pool, a);
		put_work(v, o);
	}
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
