#include "config.h"

#include "exporter/overview.h"

#include <math.h>

#include "exporter/json.h"
#include "obs/metric_read.h"

static void
put_quantiles(struct rh_buf *to, const uint64_t buckets[RH_BUCKETS + 1],
    uint64_t requests)
{
	static const struct {
		const char *name;
		double q;
	} rows[] = { { "p50_ms", 0.5 }, { "p95_ms", 0.95 }, { "p99_ms", 0.99 } };

	for (size_t i = 0; i < RH_COUNT(rows); i++) {
		if (requests)
			json_ms(to, rows[i].name,
			    rh_quantile_ns(buckets, rows[i].q));
		else
			json_number(to, rows[i].name, (double)NAN);
	}
}

static void
put_counts(struct rh_buf *to, uint64_t requests, uint64_t errors)
{
	json_int(to, "requests", (int64_t)requests);
	json_int(to, "errors", (int64_t)errors);
}

static void
put_work(struct rh_buf *to, const struct point *p)
{
	json_int(to, "jobs", (int64_t)p->jobs);
	json_int(to, "jobs_retried", (int64_t)p->again);
	json_int(to, "jobs_dead", (int64_t)p->dead);
	json_int(to, "jobs_workers", p->jobs_workers);
	json_int(to, "jobs_workers_busy", p->jobs_busy);
	json_int(to, "jobs_pending", p->jobs_pending);
	json_int(to, "jobs_oldest_seconds", p->jobs_oldest_s);
	json_int(to, "outbox_pending", p->outbox_pending);
	json_int(to, "outbox_lag_ms", p->outbox_lag_ms);
	json_int(to, "deliveries", (int64_t)p->delivered);
	json_int(to, "deliveries_failed", (int64_t)p->undelivered);
}

static void
put_points(struct rh_buf *to, const struct overview *o)
{
	json_open(to, "points", '[');
	for (unsigned i = 0; i < o->npoints; i++) {
		const struct point *p = &o->points[i];

		if (p->seconds <= 0)
			continue;
		json_open(to, NULL, '{');
		json_time(to, "at", o->start_us + i * o->range->point_us);
		json_number(to, "seconds", p->seconds);
		put_counts(to, p->requests, p->errors);
		put_quantiles(to, p->buckets, p->requests);
		json_int(to, "workers", p->workers);
		json_int(to, "workers_busy", p->busy);
		json_int(to, "queue", p->queue);
		put_work(to, p);
		json_close(to, '}');
	}
	json_close(to, ']');
}

static void
put_rows(struct rh_buf *to, const struct rows *rows, const char *name,
    bool is_route)
{
	json_open(to, name, '[');
	for (size_t i = 0; i < rows->n; i++) {
		const struct row *row = &rows->rows[i];

		json_open(to, NULL, '{');
		if (is_route)
			json_text(to, "method", row->method);
		json_text(to, is_route ? "route" : "tenant", row->name);
		put_counts(to, row->requests, row->errors);
		put_quantiles(to, row->buckets, row->requests);
		json_close(to, '}');
	}
	json_close(to, ']');
}

static void
put_pool(struct view *v)
{
	struct rh_buf *to = &v->body;
	struct rh_segment_build build;

	rh_segment_build(v->segment, &build);
	json_text(to, "pool", rh_slice_of(rh_segment_pool(v->segment)));
	json_bool(to, "running", rh_segment_is_held(v->segment));
	json_text(to, "service", rh_slice_of(build.service));
	json_text(to, "version", rh_slice_of(build.version));
	json_text(to, "revision", rh_slice_of(build.revision));
	json_time(to, "started_at",
	    atomic_load(&rh_segment_slot(v->segment, 0)->started_us));
	json_time(to, "now", v->now_us);
}

static void
put_dependencies(struct rh_buf *to, const struct overview *o)
{
	json_open(to, "dependencies", '[');
	for (size_t i = 0; i < o->ndependencies; i++) {
		const struct dependency *d = &o->dependencies[i];

		json_open(to, NULL, '{');
		json_text(to, "dependency", d->name);
		json_text(to, "state", rh_slice_of(dependency_state(d)));
		json_int(to, "workers", d->workers);
		json_int(to, "workers_up", d->up);
		json_close(to, '}');
	}
	json_close(to, ']');
}

void
overview_json(struct view *v, const struct overview *o)
{
	struct rh_buf *to = &v->body;

	json_open(to, NULL, '{');
	put_pool(v);
	json_text(to, "range", rh_slice_of(o->range->name));
	json_time(to, "from", o->start_us);
	json_time(to, "to", o->end_us);
	json_time(to, "history_oldest", o->oldest_us);
	json_open(to, "total", '{');
	put_counts(to, o->total.requests, o->total.errors);
	put_quantiles(to, o->total.buckets, o->total.requests);
	json_number(to, "seconds", o->seconds);
	json_close(to, '}');
	put_points(to, o);
	put_rows(to, &o->routes, "routes", true);
	put_rows(to, &o->tenants, "tenants", false);
	overview_work_json(v, o);
	overview_pool_json(v);
	put_dependencies(to, o);
	json_open(to, "dropped", '{');
	json_int(to, "log_lines", (int64_t)o->lines_dropped);
	json_int(to, "spans", (int64_t)o->spans_dropped);
	json_close(to, '}');
	json_close(to, '}');
}
