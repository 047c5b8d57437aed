#include "config.h"

#include "obs/past_walk.h"

/* The least that a record takes, with what the ring puts in front of it. */
#define RECORD_MIN	24

void
rh_past_walk_open(struct rh_past_walk *w, const struct rh_segment *segment,
    enum rh_seg_ring ring, struct rh_arena *arena)
{
	size_t bytes = rh_segment_ring_bytes(segment, ring);

	*w = (struct rh_past_walk){ .segment = segment, .ring = ring,
		.most = bytes / RECORD_MIN, .left = bytes / RECORD_MIN,
		.room = rh_arena_alloc(arena, bytes / 4) };
}

static size_t
peek(struct rh_past_walk *w)
{
	return rh_segment_peek(w->segment, w->slot, w->ring, &w->at, w->room,
	    rh_segment_ring_bytes(w->segment, w->ring) / 4);
}

bool
rh_past_walk_next(struct rh_past_walk *w)
{
	/* the log's writer, in the last slot, writes neither */
	for (; w->slot < rh_segment_slots(w->segment); w->slot++) {
		w->before = w->at;
		if (w->left && w->left-- && (w->n = peek(w))) {
			/* the first one does not stand where the ring began */
			w->lost |= w->before == 0 && w->at > w->n + RECORD_MIN;
			return true;
		}
		w->at = 0;
		w->lost = false;
		w->left = w->most;
	}
	return false;
}

bool
rh_past_walk_again(struct rh_past_walk *w, unsigned slot, uint64_t at)
{
	w->slot = slot;
	w->before = w->at = at;
	return (w->n = peek(w)) != 0;
}
