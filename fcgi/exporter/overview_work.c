/* What is done behind requests: jobs by kind, events, webhooks' deliveries. */
#include "config.h"

#include "exporter/overview.h"

#include <math.h>

#include "exporter/chart.h"
#include "exporter/fmt.h"
#include "exporter/json.h"
#include "obs/metric_read.h"

bool
is_delivered(struct rh_slice result)
{
	return rh_slice_is(result, RH_SLICE("delivered"));
}

/* ---- tiles ---- */

void
overview_work_tiles(struct view *v, const struct overview *o)
{
	struct rh_arena *a = v->arena;
	/* whatever stands in the segment */
	int64_t oldest_s = (int64_t)RH_MIN(o->jobs_oldest_s, 1u << 31);

	view_tile(v, "", "Jobs waiting", fmt_count(a, o->jobs_pending),
	    o->jobs_pending ? rh_slice_of(rh_arena_printf(a, "oldest %.*s",
	    RH_SLICE_ARG(fmt_span(a, oldest_s * 1000000)))) :
	    RH_SLICE("none is due"));
	view_tile(v, o->jobs.errors ? "bad" : "good", "Dead jobs",
	    fmt_count(a, o->jobs.errors), rh_slice_of(rh_arena_printf(a,
	    "of %.*s attempts", RH_SLICE_ARG(fmt_count(a,
	    o->jobs.requests)))));
	view_tile(v, "", "Events waiting", fmt_count(a, o->outbox_pending),
	    o->outbox_lag_ns ? rh_slice_of(rh_arena_printf(a, "oldest %.*s",
	    RH_SLICE_ARG(fmt_ns(a, o->outbox_lag_ns)))) :
	    RH_SLICE("all are in the feed"));
}

/* ---- tables ---- */

static void
open_table(struct view *v, const char *title)
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
}

static void
open_body(struct view *v)
{
	html_close(&v->h);
	html_close(&v->h);
	html_open(&v->h, "tbody");
}

static void
close_table(struct view *v, size_t rows, struct rh_slice empty)
{
	html_close(&v->h);
	html_close(&v->h);
	html_close(&v->h);
	if (rows == 0)
		html_say(&v->h, "p", "empty", empty);
	html_close(&v->h);
}

static void
put_name(struct view *v, const struct row *row)
{
	html_open(&v->h, "tr");
	html_open(&v->h, "th");
	html_attr(&v->h, "scope", "row");
	html_say(&v->h, "code", "", row->name);
	html_close(&v->h);
	html_open(&v->h, "td");
	html_attr(&v->h, "class", "less");
	chart_spark(&v->h, row->spark, SPARK_POINTS);
	html_close(&v->h);
}

static struct rh_slice
quantile(struct view *v, const struct row *row, double q)
{
	return row->requests ? fmt_ns(v->arena, rh_quantile_ns(row->buckets,
	    q)) : RH_SLICE("–");
}

static void
put_last_ones(struct view *v, const char *what, struct rh_slice route)
{
	struct rh_buf b;

	rh_buf_init(&b, v->arena, 128, 4096);
	rh_buf_lit(&b, "/requests");
	html_query(&b, "what", rh_slice_of(what));
	if (route.n)
		html_query(&b, "route", route);
	html_open(&v->h, "td");
	html_attr(&v->h, "class", "num");
	view_link(v, rh_buf_get(&b), RH_SLICE("last ones"));
	html_close(&v->h);
}

static void
put_kind(struct view *v, const struct row *row)
{
	struct rh_arena *a = v->arena;

	put_name(v, row);
	view_cell(v, "num", "Attempts", fmt_count(a, row->requests));
	view_td(v, "num less", fmt_count(a, row->again));
	view_cell(v, row->errors ? "num failed" : "num", "Dead",
	    fmt_count(a, row->errors));
	view_cell(v, "num", "Waiting", fmt_count(a, row->pending));
	view_td(v, "num less", quantile(v, row, 0.5));
	view_td(v, "num less", quantile(v, row, 0.95));
	view_cell(v, "num", "p99", quantile(v, row, 0.99));
	/* by their own names these stand in their records */
	put_last_ones(v, "job", rh_slice_is(row->name, RH_SLICE("other")) ?
	    RH_SLICE_NONE : row->name);
	html_close(&v->h);
}

static void
put_kinds(struct view *v, const struct overview *o)
{
	open_table(v, "Jobs");
	view_th(v, "", "Kind");
	view_th(v, "less", "Over time");
	view_th(v, "num", "Attempts");
	view_th(v, "num less", "Tried again");
	view_th(v, "num", "Dead");
	view_th(v, "num", "Waiting now");
	view_th(v, "num less", "p50");
	view_th(v, "num less", "p95");
	view_th(v, "num", "p99");
	view_th(v, "num", "Last ones");
	open_body(v);
	for (size_t i = 0; i < o->kinds.n; i++)
		put_kind(v, &o->kinds.rows[i]);
	close_table(v, o->kinds.n, RH_SLICE("No job in this time."));
}

static void
put_results(struct view *v, const struct overview *o)
{
	open_table(v, "Webhooks");
	view_th(v, "", "Result");
	view_th(v, "less", "Over time");
	view_th(v, "num", "Deliveries");
	view_th(v, "num less", "p50");
	view_th(v, "num", "p95");
	view_th(v, "num", "p99");
	view_th(v, "num", "Last ones");
	open_body(v);
	for (size_t i = 0; i < o->results.n; i++) {
		const struct row *row = &o->results.rows[i];

		put_name(v, row);
		view_cell(v, "num", "Deliveries",
		    fmt_count(v->arena, row->requests));
		view_td(v, "num less", quantile(v, row, 0.5));
		view_cell(v, "num", "p95", quantile(v, row, 0.95));
		view_cell(v, "num", "p99", quantile(v, row, 0.99));
		put_last_ones(v, "webhook", RH_SLICE_NONE);
		html_close(&v->h);
	}
	close_table(v, o->results.n, RH_SLICE("No delivery in this time."));
}

void
overview_work_put(struct view *v, const struct overview *o)
{
	put_kinds(v, o);
	if (o->has_deliveries)
		put_results(v, o);
}

/* ---- JSON ---- */

static void
json_quantiles(struct rh_buf *to, const struct row *row)
{
	static const struct {
		const char *name;
		double q;
	} rows[] = { { "p50_ms", 0.5 }, { "p95_ms", 0.95 }, { "p99_ms", 0.99 } };

	for (size_t i = 0; i < RH_COUNT(rows); i++) {
		if (row->requests)
			json_ms(to, rows[i].name,
			    rh_quantile_ns(row->buckets, rows[i].q));
		else
			json_number(to, rows[i].name, (double)NAN);
	}
}

static void
json_jobs(struct rh_buf *to, const struct overview *o)
{
	json_open(to, "jobs", '{');
	json_int(to, "pending", (int64_t)o->jobs_pending);
	json_int(to, "oldest_seconds", (int64_t)o->jobs_oldest_s);
	json_open(to, "kinds", '[');
	for (size_t i = 0; i < o->kinds.n; i++) {
		const struct row *row = &o->kinds.rows[i];

		json_open(to, NULL, '{');
		json_text(to, "kind", row->name);
		json_int(to, "attempts", (int64_t)row->requests);
		json_int(to, "retried", (int64_t)row->again);
		json_int(to, "dead", (int64_t)row->errors);
		json_int(to, "pending", (int64_t)row->pending);
		json_quantiles(to, row);
		json_close(to, '}');
	}
	json_close(to, ']');
	json_close(to, '}');
}

void
overview_work_json(struct view *v, const struct overview *o)
{
	struct rh_buf *to = &v->body;

	json_jobs(to, o);
	json_open(to, "outbox", '{');
	json_int(to, "pending", (int64_t)o->outbox_pending);
	json_number(to, "lag_seconds", (double)o->outbox_lag_ns / 1e9);
	json_close(to, '}');
	json_open(to, "webhooks", '[');
	for (size_t i = 0; i < o->results.n; i++) {
		const struct row *row = &o->results.rows[i];

		json_open(to, NULL, '{');
		json_text(to, "result", row->name);
		json_int(to, "deliveries", (int64_t)row->requests);
		json_quantiles(to, row);
		json_close(to, '}');
	}
	json_close(to, ']');
}
