/*
 * past_walk - record by record through what all processes have left in their
 * rings; for past*.c alone.
 *
 * Shape    slot by slot, oldest first; of a ring that is being written no more
 *          records than it holds at once
 * Errors   the segment may hold anything; a record is only bytes here
 * Owner    room is the arena's, and the next record's
 */
#ifndef RH_OBS_PAST_WALK_H
#define RH_OBS_PAST_WALK_H

#include "obs/segment.h"

struct rh_past_walk {
	const struct rh_segment *segment;
	enum rh_seg_ring ring;
	unsigned slot;
	uint64_t at;		/* behind the record in room */
	uint64_t before;	/* where it was looked for */
	size_t left, most;
	bool lost;		/* of this slot's ring the first records are gone */
	char *room;
	size_t n;
};

void rh_past_walk_open(struct rh_past_walk *walk,
    const struct rh_segment *segment, enum rh_seg_ring ring,
    struct rh_arena *arena);
RH_MUST_CHECK bool rh_past_walk_next(struct rh_past_walk *walk);
/* The one that was found there before, or another by now, or none. */
RH_MUST_CHECK bool rh_past_walk_again(struct rh_past_walk *walk, unsigned slot,
    uint64_t at);

#endif
