#include "config.h"

#include "exporter/overview.h"

#include "exporter/chart.h"
#include "exporter/fmt.h"
#include "exporter/views.h"
#include "obs/metric_read.h"

#define ROWS_SHOWN	50

/* ---- addresses ---- */

static struct rh_slice
address(struct view *v, const char *path, const struct overview_range *range,
    const struct row *route, const struct row *tenant)
{
	struct rh_buf b;

	rh_buf_init(&b, v->arena, 128, 4096);
	rh_buf_slice(&b, rh_slice_of(path));
	if (range)
		html_query(&b, "range", rh_slice_of(range->name));
	if (route) {
		html_query(&b, "method", route->method);
		html_query(&b, "route", route->name);
	}
	if (tenant)
		html_query(&b, "tenant", tenant->name);
	return rh_buf_get(&b);
}

/* ---- head ---- */

static void
put_ranges(struct view *v, const struct overview *o)
{
	const struct row route = { .name = o->route, .method = o->method };
	const struct row tenant = { .name = o->tenant };

	html_open(&v->h, "nav");
	html_attr(&v->h, "class", "ranges");
	html_attr(&v->h, "aria-label", "Time range");
	for (const struct overview_range *r = overview_ranges; r->name; r++) {
		html_open(&v->h, "a");
		html_attr_text(&v->h, "href", address(v, "/", r,
		    o->route.p ? &route : NULL, o->tenant.p ? &tenant : NULL));
		if (r == o->range)
			html_attr(&v->h, "aria-current", "true");
		html_text(&v->h, rh_slice_of(r->name));
		html_close(&v->h);
	}
	html_close(&v->h);
}

static void
put_build(struct view *v)
{
	struct rh_segment_build build;
	int64_t started_us;

	rh_segment_build(v->segment, &build);
	started_us = atomic_load(&rh_segment_slot(v->segment, 0)->started_us);
	html_open(&v->h, "p");
	html_attr(&v->h, "class", "quiet");
	html_text(&v->h, rh_slice_of(build.service));
	html_lit(&v->h, " ");
	html_text(&v->h, rh_slice_of(build.version));
	html_lit(&v->h, " (");
	html_text(&v->h, rh_slice_of(build.revision));
	html_lit(&v->h, ")");
	if (!rh_segment_is_held(v->segment))
		html_lit(&v->h, " · not running");
	else if (started_us > 0 && started_us < v->now_us) {
		html_lit(&v->h, " · up ");
		html_text(&v->h, fmt_span(v->arena, v->now_us - started_us));
	}
	html_lit(&v->h, " · ");
	view_time(v, v->now_us, fmt_clock(v->arena, v->now_us));
	html_lit(&v->h, " UTC");
	html_close(&v->h);
}

static void
put_headline(struct view *v, const struct overview *o)
{
	html_open(&v->h, "div");
	html_attr(&v->h, "class", "headline");
	html_open(&v->h, "div");
	html_open(&v->h, "h1");
	if (o->tenant.p) {
		html_lit(&v->h, "Tenant ");
		html_say(&v->h, "code", "", o->tenant);
	} else if (o->route.p) {
		html_text(&v->h, o->method);
		html_lit(&v->h, " ");
		html_say(&v->h, "code", "", o->route);
	} else
		html_lit(&v->h, "Overview");
	html_close(&v->h);
	put_build(v);
	html_close(&v->h);
	put_ranges(v, o);
	html_close(&v->h);
}

/* ---- tiles ---- */

static struct rh_slice
rate_of(struct view *v, const struct row *row, double seconds)
{
	return fmt_rate(v->arena, seconds > 0 ?
	    (double)row->requests / seconds : 0);
}

static void
put_latency_tile(struct view *v, const struct overview *o, const char *name,
    double q)
{
	uint64_t ns = rh_quantile_ns(o->total.buckets, q);

	view_tile(v, "", name, ns ? fmt_ns(v->arena, ns) : RH_SLICE("–"),
	    rh_slice_of(rh_arena_printf(v->arena, "last %s", o->range->text)));
}

static void
put_pool_tile(struct view *v, const struct overview *o)
{
	const struct point *p = NULL;

	for (unsigned i = 0; i < o->npoints; i++)
		if (o->points[i].seconds > 0)
			p = &o->points[i];
	if (!p)
		return;
	view_tile(v, "", "Workers busy", rh_slice_of(rh_arena_printf(v->arena,
	    "%u of %u", p->busy, p->workers)), rh_slice_of(rh_arena_printf(
	    v->arena, "%u waiting", p->queue)));
}

static void
put_tiles(struct view *v, const struct overview *o)
{
	uint64_t dropped = o->lines_dropped + o->spans_dropped;
	const struct row *t = &o->total;

	html_open(&v->h, "dl");
	html_attr(&v->h, "class", "tiles");
	view_tile(v, "", "Requests / s", rate_of(v, t, o->seconds),
	    rh_slice_of(rh_arena_printf(v->arena, "%.*s in all",
	    RH_SLICE_ARG(fmt_count(v->arena, t->requests)))));
	view_tile(v, t->errors ? "bad" : "good", "Failed",
	    fmt_share(v->arena, t->requests ? (double)t->errors /
	    (double)t->requests : 0), rh_slice_of(rh_arena_printf(v->arena,
	    "%.*s with status 5xx",
	    RH_SLICE_ARG(fmt_count(v->arena, t->errors)))));
	put_latency_tile(v, o, "p50", 0.5);
	put_latency_tile(v, o, "p95", 0.95);
	put_latency_tile(v, o, "p99", 0.99);
	put_pool_tile(v, o);
	view_tile(v, dropped ? "bad" : "good", "Dropped",
	    fmt_count(v->arena, dropped), rh_slice_of(rh_arena_printf(v->arena,
	    "lines %llu, spans %llu",
	    (unsigned long long)o->lines_dropped,
	    (unsigned long long)o->spans_dropped)));
	if (!o->tenant.p && !o->route.p)
		overview_work_tiles(v, o);
	html_close(&v->h);
}

/* ---- tables ---- */

static void
put_numbers(struct view *v, const struct overview *o, const struct row *row)
{
	view_cell(v, "num", "Requests", fmt_count(v->arena, row->requests));
	view_td(v, "num less", rate_of(v, row, o->seconds));
	view_cell(v, row->errors ? "num failed" : "num", "Failed", row->errors ?
	    rh_slice_of(rh_arena_printf(v->arena, "%.*s (%.*s)",
	    RH_SLICE_ARG(fmt_count(v->arena, row->errors)),
	    RH_SLICE_ARG(fmt_share(v->arena, (double)row->errors /
	    (double)row->requests)))) : RH_SLICE("0"));
	view_cell(v, "num", "p50", fmt_ns(v->arena,
	    rh_quantile_ns(row->buckets, 0.5)));
	view_td(v, "num less", fmt_ns(v->arena,
	    rh_quantile_ns(row->buckets, 0.95)));
	view_cell(v, "num", "p99", fmt_ns(v->arena,
	    rh_quantile_ns(row->buckets, 0.99)));
}

static void
put_spark(struct view *v, const struct row *row)
{
	html_open(&v->h, "td");
	html_attr(&v->h, "class", "less");
	chart_spark(&v->h, row->spark, SPARK_POINTS);
	html_close(&v->h);
}

static void
put_row_links(struct view *v, const struct row *route,
    const struct row *tenant)
{
	html_open(&v->h, "td");
	html_attr(&v->h, "class", "num");
	view_link(v, address(v, "/requests", NULL, route, tenant),
	    RH_SLICE("requests"));
	html_close(&v->h);
}

static void
put_route(struct view *v, const struct overview *o, const struct row *row)
{
	html_open(&v->h, "tr");
	html_open(&v->h, "th");
	html_attr(&v->h, "scope", "row");
	html_say(&v->h, "span", "method", row->method);
	html_lit(&v->h, " ");
	html_open(&v->h, "a");
	html_attr_text(&v->h, "href", address(v, "/", o->range, row, NULL));
	html_say(&v->h, "code", "", row->name);
	html_close(&v->h);
	html_close(&v->h);
	put_spark(v, row);
	put_numbers(v, o, row);
	put_row_links(v, row, NULL);
	html_close(&v->h);
}

static void
put_tenant(struct view *v, const struct overview *o, const struct row *row)
{
	html_open(&v->h, "tr");
	html_open(&v->h, "th");
	html_attr(&v->h, "scope", "row");
	view_link(v, address(v, "/", o->range, NULL, row), row->name);
	html_close(&v->h);
	put_spark(v, row);
	put_numbers(v, o, row);
	put_row_links(v, NULL, row);
	html_close(&v->h);
}

static void
open_table(struct view *v, const char *title, const char *first)
{
	html_open(&v->h, "section");
	html_attr(&v->h, "class", "card");
	html_say(&v->h, "h2", "", rh_slice_of(title));
	html_open(&v->h, "div");
	html_attr(&v->h, "class", "scroll");
	html_attr(&v->h, "tabindex", "0");
	html_open(&v->h, "table");
	html_attr(&v->h, "class", "rows");
	html_open(&v->h, "thead");
	html_open(&v->h, "tr");
	view_th(v, "", first);
	view_th(v, "less", "Over time");
	view_th(v, "num", "Requests");
	view_th(v, "num less", "per s");
	view_th(v, "num", "Failed");
	view_th(v, "num", "p50");
	view_th(v, "num less", "p95");
	view_th(v, "num", "p99");
	view_th(v, "num", "Last ones");
	html_close(&v->h);
	html_close(&v->h);
	html_open(&v->h, "tbody");
}

static void
close_table(struct view *v, const struct rows *rows)
{
	html_close(&v->h);
	html_close(&v->h);
	html_close(&v->h);
	if (rows->n == 0)
		html_say(&v->h, "p", "empty", RH_SLICE("No requests in this"
		    " time."));
	else if (rows->n > ROWS_SHOWN) {
		html_open(&v->h, "p");
		html_attr(&v->h, "class", "quiet");
		html_printf(&v->h, "The first %d of %zu; JSON has them all.",
		    ROWS_SHOWN, rows->n);
		html_close(&v->h);
	}
	html_close(&v->h);
}

static void
put_tables(struct view *v, const struct overview *o)
{
	if (!o->tenant.p) {
		open_table(v, "Routes", "Route");
		for (size_t i = 0; i < RH_MIN(o->routes.n, ROWS_SHOWN); i++)
			put_route(v, o, &o->routes.rows[i]);
		close_table(v, &o->routes);
	}
	if (!o->route.p) {
		open_table(v, "Tenants", "Tenant");
		for (size_t i = 0; i < RH_MIN(o->tenants.n, ROWS_SHOWN); i++)
			put_tenant(v, o, &o->tenants.rows[i]);
		close_table(v, &o->tenants);
	}
}

static void
put_dependencies(struct view *v, const struct overview *o)
{
	html_open(&v->h, "section");
	html_attr(&v->h, "class", "card");
	html_say(&v->h, "h2", "", RH_SLICE("Dependencies"));
	html_open(&v->h, "ul");
	html_attr(&v->h, "class", "chips");
	for (size_t i = 0; i < o->ndependencies; i++) {
		const struct dependency *d = &o->dependencies[i];
		const char *state = dependency_state(d);

		html_open(&v->h, "li");
		html_open(&v->h, "span");
		html_attr_printf(&v->h, "class", "state %s", state);
		html_text(&v->h, d->name);
		html_printf(&v->h, ": %s", state);
		if (d->up < d->workers)
			html_printf(&v->h, ", %s %u of %u workers",
			    rh_slice_is(d->name, RH_SLICE("redis")) ?
			    "the breaker is open in" : "not connected:",
			    d->workers - d->up, d->workers);
		html_close(&v->h);
		html_close(&v->h);
	}
	html_close(&v->h);
	html_close(&v->h);
}

static void
put_remarkable(struct view *v, const struct overview *o)
{
	html_open(&v->h, "section");
	html_attr(&v->h, "class", "card");
	html_say(&v->h, "h2", "", RH_SLICE("Failed last"));
	if (o->remarkable.n == 0) {
		html_say(&v->h, "p", "empty", RH_SLICE("None that is"
		    " remembered."));
		html_close(&v->h);
		return;
	}
	html_open(&v->h, "ul");
	html_attr(&v->h, "class", "lasts");
	for (size_t i = 0; i < o->remarkable.n; i++) {
		const struct rh_request *rq = &o->remarkable.rows[i];

		html_open(&v->h, "li");
		view_outcome(v, rq);
		html_open(&v->h, "a");
		html_attr_text(&v->h, "href", html_path(v->arena, "/requests/",
		    rq->text[RH_RQ_ID], ""));
		html_text(&v->h, rq->text[RH_RQ_METHOD]);
		html_lit(&v->h, " ");
		html_text(&v->h, rq->f.what == RH_WORK_REQUEST ?
		    rq->text[RH_RQ_PATH] : rq->text[RH_RQ_ROUTE]);
		html_close(&v->h);
		html_say(&v->h, "span", "quiet", rq->text[RH_RQ_ERROR]);
		view_time(v, rq->f.start_us, fmt_clock(v->arena,
		    rq->f.start_us));
		html_close(&v->h);
	}
	html_close(&v->h);
	html_close(&v->h);
}

void
overview_answer(struct page_reply *reply, const struct page_request *rq,
    struct source *source, struct rh_arena *arena)
{
	struct overview o;
	struct view v;

	if (!view_open(&v, reply, rq, source, arena)) {
		/* the page itself is there, and says what is not */
		if (!v.json)
			reply->status = 200;
		return;
	}
	if (!overview_read(&o, &v))
		return;
	if (v.json)
		overview_json(&v, &o);
	else {
		view_begin(&v, RH_SLICE("Overview"), "overview");
		put_headline(&v, &o);
		put_tiles(&v, &o);
		overview_charts_put(&v, &o);
		put_remarkable(&v, &o);
		put_tables(&v, &o);
		if (!o.tenant.p && !o.route.p) {
			overview_work_put(&v, &o);
			overview_pool_put(&v);
			put_dependencies(&v, &o);
		}
	}
	view_reply(&v);
	/* the same where the segment is cut short on the way */
	if (reply->status == 503 && !v.json)
		reply->status = 200;
}
