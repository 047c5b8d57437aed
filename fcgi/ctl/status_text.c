#include "config.h"

#include <inttypes.h>
#include <stdio.h>

#include "ctl/status.h"

/* Anyone may have written the segment: nothing of it may move the cursor. */
static void
put_plain(struct rh_buf *to, struct rh_slice text)
{
	for (size_t i = 0; i < text.n; i++)
		rh_buf_char(to, text.p[i] > ' ' && text.p[i] < 0x7f ?
		    text.p[i] : '?');
}

/* So much for what a compiler without range analysis thinks may come. */
#define CELL	64

/* "840ms", "12.3s", "14m05s", "3h12m", "9d04h" */
static void
put_duration(char to[CELL], int64_t us)
{
	int64_t s = us / 1000000;

	us = RH_MAX(us, 0);
	if (us < 1000000)
		snprintf(to, CELL, "%" PRId64 "ms", us / 1000);
	else if (s < 60)
		snprintf(to, CELL, "%" PRId64 ".%" PRId64 "s", s,
		    us % 1000000 / 100000);
	else if (s < 3600)
		snprintf(to, CELL, "%" PRId64 "m%02" PRId64 "s", s / 60, s % 60);
	else if (s < 86400)
		snprintf(to, CELL, "%" PRId64 "h%02" PRId64 "m", s / 3600,
		    s / 60 % 60);
	else
		snprintf(to, CELL, "%" PRId64 "d%02" PRId64 "h",
		    RH_MIN(s / 86400, 999999), s / 3600 % 24);
}

static void
put_size(char to[CELL], int64_t bytes)
{
	if (bytes < 0)
		snprintf(to, CELL, "-");
	else
		snprintf(to, CELL, "%.1fM", (double)bytes / (1 << 20));
}

static void
put_flight(struct rh_buf *to, const struct rh_flight *f)
{
	const struct {
		const char *before;
		struct rh_slice text;
	} parts[] = {
		{ "", rh_slice_of(rh_phase_names[f->phase]) },
		{ " ", rh_flight_text(f, waits_for) },
		{ "  ", rh_flight_text(f, method) },
		{ " ", rh_flight_text(f, route) },
		{ "  tenant=", rh_flight_text(f, tenant) },
		{ "  request_id=", rh_flight_text(f, request_id) },
	};

	for (size_t i = 0; i < RH_COUNT(parts); i++)
		if (parts[i].text.n) {
			rh_buf_slice(to, rh_slice_of(parts[i].before));
			put_plain(to, parts[i].text);
		}
}

/* One column, one meaning: resident memory where not all tell the other. */
static bool
is_proportional(const struct status_pool *p)
{
	for (unsigned i = 0; i < p->n; i++)
		if (p->rows[i].memory.proportional < 0)
			return false;
	return true;
}

static void
put_row(struct rh_buf *to, const struct status_pool *p,
    const struct status_row *row, int64_t now_us)
{
	char since[CELL], up[CELL], memory[CELL];

	put_duration(since, now_us - row->since_us);
	put_duration(up, now_us - row->started_us);
	put_size(memory, is_proportional(p) ? row->memory.proportional :
	    row->memory.resident);
	rh_buf_printf(to, "%4u %8d  %-8s %8s %8s %10" PRIu64 " %8s  ",
	    row->slot, (int)row->pid, status_states[row->state], since, up,
	    row->requests, memory);
	if (row->flight)
		put_flight(to, row->flight);
	else
		rh_buf_char(to, '-');
	rh_buf_char(to, '\n');
}

static void
put_restarts(struct rh_buf *to, const struct status_pool *p)
{
	struct rh_slice restarts = p->restarts, reason, count;
	bool any = false;

	while (status_restart(p, &restarts, &reason, &count)) {
		rh_buf_slice(to, rh_slice_of(any ? ", " : ""));
		put_plain(to, reason);
		rh_buf_char(to, ' ');
		put_plain(to, count);
		any = true;
	}
	if (!any)
		rh_buf_lit(to, "none");
}

static void
put_pool(struct rh_buf *to, const struct status *s, const struct status_pool *p)
{
	char up[CELL];

	put_duration(up, s->now_us - p->started_us);
	rh_buf_lit(to, "pool ");
	put_plain(to, rh_slice_of(p->name));
	rh_buf_lit(to, ": running, ");
	put_plain(to, rh_slice_of(s->build.service));
	rh_buf_char(to, ' ');
	put_plain(to, rh_slice_of(s->build.version));
	rh_buf_lit(to, " (");
	put_plain(to, rh_slice_of(s->build.revision));
	rh_buf_printf(to, "), master %d, up %s\n%u workers; ", (int)p->master,
	    up, p->n);
	if (p->kept >= 0)
		rh_buf_printf(to, "connections kept open: %" PRId64 "; ",
		    p->kept);
	rh_buf_lit(to, "restarts: ");
	put_restarts(to, p);
	rh_buf_char(to, '\n');
}

static void
put_counts(struct rh_buf *to, const char *before,
    const struct status_count *counts, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (counts[i].n == 0)
			continue;
		rh_buf_slice(to, rh_slice_of(before));
		put_plain(to, counts[i].name);
		before = ", ";
		rh_buf_printf(to, " %" PRIu64, counts[i].n);
	}
	rh_buf_char(to, '\n');
}

static void
put_work(struct rh_buf *to, const struct status_work *w)
{
	char oldest[CELL];

	put_duration(oldest, (int64_t)RH_MIN(w->oldest_s, 1u << 31) * 1000000);
	rh_buf_printf(to, "jobs: %" PRIu64 " wait", w->jobs);
	if (w->jobs)
		rh_buf_printf(to, ", the oldest for %s", oldest);
	put_counts(to, ", ", w->outcomes, w->noutcomes);
	put_duration(oldest, (int64_t)(w->lag_ns / 1000));
	rh_buf_printf(to, "events: %" PRIu64 " wait", w->events);
	if (w->events)
		rh_buf_printf(to, ", the oldest for %s", oldest);
	rh_buf_char(to, '\n');
	if (w->ndeliveries == 0)
		return;
	rh_buf_lit(to, "webhooks:");
	put_counts(to, " ", w->deliveries, w->ndeliveries);
}

static void
put_rows(struct rh_buf *to, const struct status_pool *p, const char *done,
    const char *work, int64_t now_us)
{
	rh_buf_printf(to, "\nSLOT %8s  %-8s %8s %8s %10s %8s  %s\n", "PID",
	    "STATE", "FOR", "UP", done, is_proportional(p) ? "PSS" : "RSS",
	    work);
	for (unsigned i = 0; i < p->n; i++)
		put_row(to, p, &p->rows[i], now_us);
}

void
status_put_text(struct rh_buf *to, const struct status *s)
{
	if (s->why)
		rh_buf_printf(to, "not running: %s: %s\n", s->path, s->why);
	else
		put_pool(to, s, &s->fcgi);
	if (s->jobs.runs)
		put_pool(to, s, &s->jobs);
	else if (!s->why)
		rh_buf_lit(to, "pool jobs: not running\n");
	if (s->jobs.runs || !s->why)
		put_work(to, &s->work);
	if (!s->why)
		put_rows(to, &s->fcgi, "REQUESTS", "REQUEST", s->now_us);
	if (s->jobs.runs)
		put_rows(to, &s->jobs, "DONE", "JOB", s->now_us);
}
