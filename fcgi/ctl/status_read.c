#include "config.h"

#include "ctl/status.h"

#include <errno.h>
#include <unistd.h>

#include "base/clock.h"
#include "obs/metric_read.h"
#include "serve/pool.h"
#include "serve/share.h"

#define RESTARTS	"worker_restarts_total"
#define TEXT_MAX	65536

/* Anyone may have written the segment: no time before 1970, none to come. */
static int64_t
past(int64_t us, int64_t now_us)
{
	return RH_MAX(RH_MIN(us, now_us), 0);
}

/*
 * The record of a slot keeps when its last request came, also when that is
 * over; it may have been the predecessor's.
 */
static void
read_flight(struct status_row *row, const struct rh_flight *flight,
    int64_t now_us, struct rh_arena *arena)
{
	struct rh_flight *copy = RH_NEW(arena, struct rh_flight);
	int64_t last_us = *(const volatile int64_t *)&flight->start_us;

	if (rh_flight_read(flight, false, copy)) {
		row->flight = copy;
		last_us = copy->start_us = past(copy->start_us, now_us);
	}
	row->since_us = RH_MAX(row->started_us, past(last_us, now_us));
}

/* False: nobody has the slot. */
static bool
read_row(struct status_row *row, const struct rh_segment *segment, unsigned i,
    int64_t now_us, struct rh_arena *arena)
{
	struct rh_slot *slot = rh_segment_slot(segment, i);

	*row = (struct status_row){ .slot = i, .pid = atomic_load(&slot->pid),
		.state = atomic_load(&slot->state),
		.started_us = past(atomic_load(&slot->started_us), now_us),
		.requests = atomic_load(&slot->requests),
		.generation = atomic_load(&slot->generation) };
	if (row->pid <= 0 || row->state == RH_SLOT_EMPTY)
		return false;
	if (row->state >= RH_SLOT_STATES)
		row->state = RH_SLOT_EMPTY;
	row->memory = memory_of(row->pid);
	read_flight(row, rh_segment_flight(segment, i), now_us, arena);
	return true;
}

static void
read_rows(struct status_pool *p, const struct rh_segment *segment,
    int64_t now_us, struct rh_arena *arena)
{
	unsigned slots = rh_segment_slots(segment);
	struct status_row *rows = rh_arena_zalloc(arena, slots, sizeof(*rows));

	for (unsigned i = 1; i < slots; i++)
		if (read_row(&rows[p->n], segment, i, now_us, arena))
			p->n++;
	p->rows = rows;
}

/* segment: all of it; of: the pool's slots. */
static void
read_pool(struct status_pool *p, const struct rh_segment *segment,
    const struct rh_segment *of, int64_t now_us, struct rh_arena *arena)
{
	struct rh_slot *master = rh_segment_slot(of, 0);
	struct rh_buf restarts;

	*p = (struct status_pool){ .kept = -1,
		.runs = rh_segment_is_held(of) };
	strncpy(p->name, rh_segment_pool(of), sizeof(p->name) - 1);
	if (!p->runs)
		return;
	p->master = atomic_load(&master->pid);
	p->started_us = past(atomic_load(&master->started_us), now_us);
	rh_buf_init(&restarts, arena, 1024, TEXT_MAX);
	rh_metrics_expose_family(&restarts, segment, RESTARTS);
	p->restarts = rh_buf_get(&restarts);
	read_rows(p, of, now_us, arena);
}

/* ---- what is done behind requests ---- */

static uint64_t
gauge(const struct rh_segment *segment, const char *name)
{
	uint64_t cells[RH_METRIC_CELLS];

	return rh_metric_sum(segment, rh_metric_find(segment, name), 0, 0,
	    cells) ? cells[0] : 0;
}

/* Those of a counter, or of a histogram's durations. */
static uint64_t
count_of(const struct rh_segment *segment, int metric, unsigned a, unsigned b,
    unsigned cells_n)
{
	uint64_t cells[RH_METRIC_CELLS], sum = 0;

	if (rh_metric_sum(segment, metric, a, b, cells))
		for (unsigned i = 0; i < cells_n; i++)
			sum += cells[i];
	return sum;
}

static const struct status_count *
read_outcomes(const struct rh_segment *segment, unsigned *n,
    struct rh_arena *arena)
{
	int metric = rh_metric_find(segment, "jobs_total");
	struct status_count *to;
	unsigned na, nb;

	rh_metric_size(segment, metric, &na, &nb);
	to = rh_arena_zalloc(arena, nb + 1, sizeof(*to));
	for (*n = 0; *n < nb; ++*n) {
		to[*n].name = rh_metric_label(segment, metric, 'b', *n,
		    "outcome", arena);
		for (unsigned a = 0; a < na; a++)
			to[*n].n += count_of(segment, metric, a, *n, 1);
	}
	return to;
}

static const struct status_count *
read_deliveries(const struct rh_segment *segment, unsigned *n,
    struct rh_arena *arena)
{
	int metric = rh_metric_find(segment, "webhook_delivery_duration_seconds");
	struct status_count *to;
	unsigned na, nb;

	rh_metric_size(segment, metric, &na, &nb);
	to = rh_arena_zalloc(arena, na + 1, sizeof(*to));
	for (*n = 0; *n < na; ++*n)
		to[*n] = (struct status_count){ rh_metric_label(segment, metric,
		    'a', *n, "result", arena), count_of(segment, metric, *n, 0,
		    RH_BUCKETS + 1) };
	return to;
}

static void
read_work(struct status_work *w, const struct rh_segment *segment,
    struct rh_arena *arena)
{
	*w = (struct status_work){
		.jobs = rh_metric_total(segment, "jobs_pending"),
		.oldest_s = gauge(segment, "jobs_oldest_seconds"),
		.events = gauge(segment, "outbox_pending"),
		.lag_ns = gauge(segment, "outbox_lag_seconds") };
	w->outcomes = read_outcomes(segment, &w->noutcomes, arena);
	w->deliveries = read_deliveries(segment, &w->ndeliveries, arena);
}

/* ---- together ---- */

static void
read_all(struct status *s, const struct rh_segment *segment,
    struct rh_arena *arena)
{
	const struct rh_segment *jobs = rh_segment_view(segment, RH_POOL_JOBS);
	const struct rh_share *share = rh_segment_area_find(segment,
	    RH_POOL_AREA, sizeof(*share));

	rh_segment_build(segment, &s->build);
	read_pool(&s->fcgi, segment, rh_segment_view(segment, RH_POOL_FCGI),
	    s->now_us, arena);
	if (share && s->fcgi.runs)
		s->fcgi.kept = (int64_t)atomic_load(&share->open);
	if (jobs)
		read_pool(&s->jobs, segment, jobs, s->now_us, arena);
	read_work(&s->work, segment, arena);
	if (!s->fcgi.runs)
		s->why = "no process holds its segment";
}

int
status_read(struct status *s, const char *path, struct rh_arena *arena,
    struct rh_buf *why)
{
	struct rh_segment *segment;

	*s = (struct status){ .path = path, .now_us = rh_clock_wall_us() };
	if (access(path, F_OK) < 0 && errno == ENOENT) {
		s->why = "there is no such segment";
		return STATUS_STOPPED;
	}
	if (!rh_segment_open(&segment, path, why))
		return STATUS_FAULT;
	rh_segment_survey(segment);
	read_all(s, segment, arena);
	rh_segment_close(&segment);
	return s->why ? STATUS_STOPPED : STATUS_RUNNING;
}

/* rowhouse_worker_restarts_total{pool="fcgi",reason="signal"} 2 */
bool
status_restart(const struct status_pool *pool, struct rh_slice *restarts,
    struct rh_slice *reason, struct rh_slice *count)
{
	static const char key[] = "reason=\"", whose[] = "pool=\"";

	while (restarts->n) {
		struct rh_slice line = rh_slice_cut(restarts, '\n');
		const char *at = line.n && *line.p != '#' ?
		    memmem(line.p, line.n, key, strlen(key)) : NULL;

		const char *of = at ? memmem(line.p, line.n, whose,
		    strlen(whose)) : NULL;

		if (!of)
			continue;
		*count = rh_slice_from(line,
		    (size_t)(of - line.p) + strlen(whose));
		if (!rh_slice_is(rh_slice_cut(count, '"'),
		    rh_slice_of(pool->name)))
			continue;
		*count = rh_slice_from(line,
		    (size_t)(at - line.p) + strlen(key));
		*reason = rh_slice_cut(count, '"');
		rh_slice_cut(count, ' ');
		if (count->n)
			return true;
	}
	return false;
}
