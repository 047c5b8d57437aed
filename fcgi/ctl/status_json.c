#include "config.h"

#include "ctl/status.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/text.h"

static void
put_text(struct rh_buf *to, const char *name, struct rh_slice value)
{
	rh_buf_printf(to, ",\"%s\":", name);
	rh_buf_json(to, value);
}

/* Left out where there is nothing to say. */
static void
put_some(struct rh_buf *to, const char *name, struct rh_slice value)
{
	if (value.n)
		put_text(to, name, value);
}

static void
put_number(struct rh_buf *to, const char *name, int64_t value)
{
	rh_buf_printf(to, ",\"%s\":", name);
	rh_buf_i64(to, value);
}

static void
put_known(struct rh_buf *to, const char *name, int64_t value)
{
	if (value >= 0)
		put_number(to, name, value);
}

static void
put_time(struct rh_buf *to, const char *name, int64_t wall_us)
{
	char text[RH_TIME_LEN];

	rh_time_put(text, wall_us);
	put_text(to, name, (struct rh_slice){ text, sizeof(text) });
}

static void
put_for(struct rh_buf *to, const char *name, int64_t from_us, int64_t now_us)
{
	rh_buf_printf(to, ",\"%s\":", name);
	rh_buf_fixed(to, (uint64_t)RH_MAX(now_us - from_us, 0), 3);
}

static void
put_flight(struct rh_buf *to, const struct rh_flight *f, int64_t now_us)
{
	char trace[32];

	rh_hex_put(trace, f->trace_id, sizeof(f->trace_id));
	rh_buf_lit(to, ",\"request\":{\"phase\":");
	rh_buf_json(to, rh_slice_of(rh_phase_names[f->phase]));
	put_some(to, "statement", rh_flight_text(f, waits_for));
	put_some(to, "method", rh_flight_text(f, method));
	put_some(to, "route", rh_flight_text(f, route));
	put_some(to, "path", rh_flight_text(f, path));
	put_some(to, "tenant", rh_flight_text(f, tenant));
	put_some(to, "request_id", rh_flight_text(f, request_id));
	put_text(to, "trace_id", (struct rh_slice){ trace, sizeof(trace) });
	put_time(to, "started_at", f->start_us);
	put_for(to, "duration_ms", f->start_us, now_us);
	rh_buf_char(to, '}');
}

static void
put_row(struct rh_buf *to, const struct status_row *row, int64_t now_us)
{
	rh_buf_printf(to, "{\"slot\":%u", row->slot);
	put_number(to, "pid", row->pid);
	put_text(to, "state", rh_slice_of(status_states[row->state]));
	put_time(to, "started_at", row->started_us);
	put_for(to, "for_ms", row->since_us, now_us);
	put_number(to, "requests", (int64_t)row->requests);
	put_number(to, "generation", row->generation);
	put_known(to, "resident_bytes", row->memory.resident);
	put_known(to, "proportional_bytes", row->memory.proportional);
	if (row->flight)
		put_flight(to, row->flight, now_us);
	else
		rh_buf_lit(to, ",\"request\":null");
	rh_buf_char(to, '}');
}

static void
put_restarts(struct rh_buf *to, const struct status_pool *p)
{
	struct rh_slice restarts = p->restarts, reason, count;
	bool any = false;

	rh_buf_lit(to, ",\"restarts\":{");
	while (status_restart(p, &restarts, &reason, &count)) {
		if (any)
			rh_buf_char(to, ',');
		rh_buf_json(to, reason);
		rh_buf_char(to, ':');
		rh_buf_slice(to, count);
		any = true;
	}
	rh_buf_char(to, '}');
}

static void
put_pool(struct rh_buf *to, const struct status_pool *p, int64_t now_us)
{
	put_number(to, "master_pid", p->master);
	put_time(to, "started_at", p->started_us);
	put_for(to, "uptime_ms", p->started_us, now_us);
	put_known(to, "kept_connections", p->kept);
	put_restarts(to, p);
	rh_buf_lit(to, ",\"workers\":[");
	for (unsigned i = 0; i < p->n; i++) {
		if (i)
			rh_buf_char(to, ',');
		put_row(to, &p->rows[i], now_us);
	}
	rh_buf_char(to, ']');
}

static void
put_counts(struct rh_buf *to, const char *name,
    const struct status_count *counts, unsigned n)
{
	rh_buf_printf(to, ",\"%s\":{", name);
	for (unsigned i = 0; i < n; i++) {
		if (i)
			rh_buf_char(to, ',');
		rh_buf_json(to, counts[i].name);
		rh_buf_printf(to, ":%" PRIu64, counts[i].n);
	}
	rh_buf_char(to, '}');
}

static void
put_work(struct rh_buf *to, const struct status *s)
{
	const struct status_work *w = &s->work;

	rh_buf_printf(to, ",\"jobs\":{\"running\":%s", s->jobs.runs ? "true" :
	    "false");
	put_number(to, "pending", (int64_t)w->jobs);
	put_number(to, "oldest_seconds", (int64_t)w->oldest_s);
	put_counts(to, "outcomes", w->outcomes, w->noutcomes);
	if (s->jobs.runs)
		put_pool(to, &s->jobs, s->now_us);
	rh_buf_lit(to, "},\"outbox\":{\"pending\":");
	rh_buf_u64(to, w->events);
	rh_buf_lit(to, ",\"lag_seconds\":");
	rh_buf_fixed(to, w->lag_ns, 9);
	rh_buf_char(to, '}');
	put_counts(to, "deliveries", w->deliveries, w->ndeliveries);
}

void
status_put_json(struct rh_buf *to, const struct status *s)
{
	rh_buf_printf(to, "{\"running\":%s", s->why ? "false" : "true");
	put_text(to, "segment", rh_slice_of(s->path));
	if (s->why)
		put_text(to, "reason", rh_slice_of(s->why));
	else {
		put_text(to, "pool", rh_slice_of(s->fcgi.name));
		put_text(to, "service", rh_slice_of(s->build.service));
		put_text(to, "version", rh_slice_of(s->build.version));
		put_text(to, "revision", rh_slice_of(s->build.revision));
		put_pool(to, &s->fcgi, s->now_us);
	}
	if (!s->why || s->jobs.runs)
		put_work(to, s);
	rh_buf_lit(to, "}\n");
}
