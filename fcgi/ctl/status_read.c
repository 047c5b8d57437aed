#include "config.h"

#include "ctl/status.h"

#include <errno.h>
#include <unistd.h>

#include "base/clock.h"
#include "obs/metric.h"
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
read_rows(struct status *s, const struct rh_segment *segment,
    struct rh_arena *arena)
{
	unsigned slots = rh_segment_slots(segment);
	struct status_row *rows = rh_arena_zalloc(arena, slots, sizeof(*rows));

	for (unsigned i = 1; i < slots; i++)
		if (read_row(&rows[s->n], segment, i, s->now_us, arena))
			s->n++;
	s->rows = rows;
}

static void
read_pool(struct status *s, const struct rh_segment *segment,
    struct rh_arena *arena)
{
	struct rh_slot *master = rh_segment_slot(segment, 0);
	const struct rh_share *share = rh_segment_area_find(segment,
	    RH_POOL_AREA, sizeof(*share));
	struct rh_buf restarts;

	strncpy(s->pool, rh_segment_pool(segment), sizeof(s->pool) - 1);
	rh_segment_build(segment, &s->build);
	s->master = atomic_load(&master->pid);
	s->started_us = past(atomic_load(&master->started_us), s->now_us);
	s->kept = share ? (int64_t)atomic_load(&share->open) : -1;
	rh_buf_init(&restarts, arena, 1024, TEXT_MAX);
	rh_metrics_expose_family(&restarts, segment, RESTARTS);
	s->restarts = rh_buf_get(&restarts);
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
	if (rh_segment_is_held(segment)) {
		read_pool(s, segment, arena);
		read_rows(s, rh_segment_view(segment, 0), arena);
	} else
		s->why = "no process holds its segment";
	rh_segment_close(&segment);
	return s->why ? STATUS_STOPPED : STATUS_RUNNING;
}

/* rowhouse_worker_restarts_total{pool="fcgi",reason="signal"} 2 */
bool
status_restart(struct rh_slice *restarts, struct rh_slice *reason,
    struct rh_slice *count)
{
	static const char key[] = "reason=\"";

	while (restarts->n) {
		struct rh_slice line = rh_slice_cut(restarts, '\n');
		const char *at = line.n && *line.p != '#' ?
		    memmem(line.p, line.n, key, strlen(key)) : NULL;

		if (!at)
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
