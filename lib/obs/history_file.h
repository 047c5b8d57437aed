/*
 * history_file - how the history's area is laid out; for history*.c alone.
 *
 * Shape    two rings of the same size, then the state with the counts as they
 *          were at the last sample of each step. A sample is struct
 *          rh_past_head, then for each route that was asked for its index + 1,
 *          errors, those tried again, which buckets are not empty (a bit each)
 *          and those, a 0, and the same for each tenant, kind and result: all
 *          of them numbers of 7 bits a byte, low ones first
 * Errors   the area may hold anything: who reads it checks
 */
#ifndef RH_OBS_HISTORY_FILE_H
#define RH_OBS_HISTORY_FILE_H

#include "obs/history.h"

#define RH_PAST_VERSION		3
#define RH_PAST_RING_MIN	16384
#define RH_PAST_INDEX_MAX	65536
/* Index, errors, again, mask and buckets, of as many bytes as numbers have at most. */
#define RH_PAST_ROW_MAX		((RH_BUCKETS + 5) * 10)

struct rh_past_state {
	uint64_t version;
	uint32_t n[RH_PAST_LISTS];
	struct {
		int64_t at_us;		/* of the last sample; 0: none yet */
		struct rh_past_gauges gauges;
	} last[RH_HISTORY_STEPS];
};

struct rh_past_head {
	uint32_t version, unused;
	int64_t at_us, span_us;
	struct rh_past_gauges gauges;
};

static inline size_t
rh_past_ring_at(size_t ring_bytes, enum rh_history_step step)
{
	return step * rh_ring_footprint(ring_bytes);
}

static inline size_t
rh_past_state_at(size_t ring_bytes)
{
	return rh_past_ring_at(ring_bytes, RH_HISTORY_STEPS);
}

static inline size_t
rh_past_counts_bytes(const uint32_t n[RH_PAST_LISTS])
{
	size_t rows = 0;

	for (int i = 0; i < RH_PAST_LISTS; i++)
		rows += n[i];
	return rows * sizeof(struct rh_past_row);
}

#endif
