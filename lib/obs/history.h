/*
 * history - what the pool was doing: samples of the last hour every 5 seconds,
 * and of the last day every minute.
 *
 * Shape    an area of the segment that outlives the pool: two rings of
 *          samples, and the counts as they were at the last one. A sample says
 *          what was counted since the one before: requests, errors and
 *          durations, by route and by tenant, and the same of jobs by kind
 *          and of webhooks' deliveries by result; what nobody asked for takes
 *          no room in it
 * Units    _us wall clock, _ms durations, counts
 * Errors   where the area is too small for an hour and a day, the oldest
 *          samples go first; what a sample has no room for is left out. A
 *          reader trusts nothing of it
 * Owner    one writer, the pool's master; readers copy
 *
 * history.c writes, history_read.c reads.
 */
#ifndef RH_OBS_HISTORY_H
#define RH_OBS_HISTORY_H

#include <stdint.h>

#include "obs/metric.h"
#include "obs/segment.h"

#define RH_HISTORY_AREA	"history"

enum rh_history_step { RH_HISTORY_FINE, RH_HISTORY_COARSE, RH_HISTORY_STEPS };
extern const int64_t rh_history_step_us[RH_HISTORY_STEPS];
/* How far back each is shown, whatever the rings would hold. */
extern const int64_t rh_history_reach_us[RH_HISTORY_STEPS];

/* Counts as they stand, since ever; or in a sample, since the one before. */
struct rh_past_row {			/* of a route, a tenant, a kind, a result */
	uint64_t errors;		/* of jobs: that are dead */
	uint64_t again;			/* of jobs: that are tried again */
	uint64_t buckets[RH_BUCKETS + 1];	/* together: its requests, attempts */
};
static inline uint64_t
rh_past_row_sum(const struct rh_past_row *row)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i <= RH_BUCKETS; i++)
		sum += row->buckets[i];
	return sum;
}

enum rh_past_of {
	RH_PAST_ROUTES, RH_PAST_TENANTS, RH_PAST_KINDS, RH_PAST_RESULTS,
	RH_PAST_LISTS
};

struct rh_past_gauges {
	/* the most that a look found */
	uint32_t workers, busy, queue;
	uint32_t jobs_workers, jobs_busy, jobs_pending, jobs_oldest_s;
	uint32_t outbox_pending, outbox_lag_ms, unused;
	uint64_t lines_dropped, spans_dropped;	/* counts, as those above */
};

struct rh_past_counts {
	struct rh_past_gauges gauges;
	unsigned n[RH_PAST_LISTS];
	struct rh_past_row *rows[RH_PAST_LISTS];
};

/* ---- the writer ---- */

struct rh_history;

/* For an area that keeps about so many bytes of samples. */
size_t rh_history_bytes(size_t samples, const unsigned n[RH_PAST_LISTS]);
/* Goes on with what is in the area, where it is sound and of the same size. */
struct rh_history *rh_history_open(const struct rh_segment *segment,
    const unsigned n[RH_PAST_LISTS], struct rh_arena *arena);
/* When the next sample is due. */
bool rh_history_is_due(const struct rh_history *h, int64_t now_us);
/* Between two: what it finds is the next one's, where it is the most. */
void rh_history_look(struct rh_history *h, const struct rh_past_gauges *now);
/* Takes a sample: now, with these counts since ever. */
void rh_history_take(struct rh_history *h, int64_t now_us,
    const struct rh_past_counts *now);

/* ---- readers ---- */

/* One sample, and all that was counted in it. */
struct rh_past_sample {
	int64_t at_us;		/* its end */
	int64_t span_us;	/* from the one before, or since the pool started */
	struct rh_past_counts counts;
};

struct rh_history_reader;
/* NULL: the segment has none that can be read. */
struct rh_history_reader *rh_history_read(const struct rh_segment *segment,
    enum rh_history_step step, struct rh_arena *arena);
/* The next one, oldest first, into memory that the next call uses again. */
RH_MUST_CHECK bool rh_history_next(struct rh_history_reader *reader,
    struct rh_past_sample *sample);

#endif
