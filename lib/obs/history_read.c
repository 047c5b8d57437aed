#include "config.h"

#include "obs/history.h"

#include "obs/history_file.h"

struct rh_history_reader {
	const struct rh_ring *ring;
	size_t ring_bytes;
	uint64_t at;
	size_t left;		/* records, at most: its writer may be at it */
	char *room;
	struct rh_past_counts counts;
};

/* Read once, for it may change under us. */
static size_t
ring_bytes_of(const void *area, size_t area_bytes)
{
	uint64_t bytes = *(const volatile uint64_t *)&((const struct rh_ring *)
	    area)->size;

	return bytes >= RH_PAST_RING_MIN && (bytes & (bytes - 1)) == 0 &&
	    bytes <= area_bytes / RH_HISTORY_STEPS &&
	    rh_past_state_at(bytes) + sizeof(struct rh_past_state) <=
	    area_bytes ? bytes : 0;
}

static bool
sizes_of(struct rh_past_counts *counts, const char *area, size_t bytes)
{
	struct rh_past_state state;

	memcpy(&state, area + rh_past_state_at(bytes), sizeof(state));
	memcpy(counts->n, state.n, sizeof(counts->n));
	for (int i = 0; i < RH_PAST_LISTS; i++)
		if (state.n[i] > RH_PAST_INDEX_MAX)
			return false;
	return state.version == RH_PAST_VERSION;
}

struct rh_history_reader *
rh_history_read(const struct rh_segment *segment, enum rh_history_step step,
    struct rh_arena *arena)
{
	struct rh_history_reader *r = RH_NEW(arena, struct rh_history_reader);
	size_t size = rh_segment_area_bytes(segment, RH_HISTORY_AREA);
	const char *area = rh_segment_area_find(segment, RH_HISTORY_AREA,
	    sizeof(struct rh_ring));

	if (!area || !(r->ring_bytes = ring_bytes_of(area, size)) ||
	    !sizes_of(&r->counts, area, r->ring_bytes))
		return NULL;
	r->ring = (const struct rh_ring *)(const void *)(area +
	    rh_past_ring_at(r->ring_bytes, step));
	r->left = r->ring_bytes / sizeof(struct rh_past_head);
	r->room = rh_arena_alloc(arena, r->ring_bytes / 4);
	for (int i = 0; i < RH_PAST_LISTS; i++)
		r->counts.rows[i] = rh_arena_zalloc(arena, r->counts.n[i] + 1,
		    sizeof(*r->counts.rows[i]));
	return r;
}

/* 0 where nothing is left, which ends a list as well. */
static uint64_t
take_number(struct rh_slice *rest)
{
	uint64_t n = 0;
	unsigned char byte;

	for (unsigned shift = 0; rest->n && shift < 64; shift += 7) {
		byte = (unsigned char)*rest->p;
		*rest = rh_slice_from(*rest, 1);
		n |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			break;
	}
	return n;
}

/* Sums of what rubbish says do not overflow what they are shown as. */
static uint64_t
take_count(struct rh_slice *rest)
{
	uint64_t n = take_number(rest);

	return RH_MIN(n, UINT64_C(1) << 48);
}

static void
take_rows(struct rh_past_row *rows, unsigned n, struct rh_slice *rest)
{
	struct rh_past_row none, *row;
	uint64_t i, mask;

	while ((i = take_number(rest))) {
		row = i <= n ? &rows[i - 1] : &none;
		row->errors = take_count(rest);
		row->again = take_count(rest);
		mask = take_number(rest);
		for (unsigned b = 0; b <= RH_BUCKETS; b++)
			row->buckets[b] = mask >> b & 1 ? take_count(rest) : 0;
	}
}

bool
rh_history_next(struct rh_history_reader *r, struct rh_past_sample *sample)
{
	struct rh_past_head head;
	struct rh_slice rest;
	size_t n;

	while (r->left-- && (n = rh_ring_peek(r->ring, r->ring_bytes, &r->at,
	    r->room, r->ring_bytes / 4))) {
		if (n < sizeof(head))
			continue;
		memcpy(&head, r->room, sizeof(head));
		if (head.version != RH_PAST_VERSION || head.span_us <= 0 ||
		    head.at_us <= 0)
			continue;
		r->counts.gauges = head.gauges;
		rest = rh_slice_from((struct rh_slice){ r->room, n },
		    sizeof(head));
		for (int i = 0; i < RH_PAST_LISTS; i++) {
			memset(r->counts.rows[i], 0,
			    r->counts.n[i] * sizeof(*r->counts.rows[i]));
			take_rows(r->counts.rows[i], r->counts.n[i], &rest);
		}
		*sample = (struct rh_past_sample){ head.at_us, head.span_us,
			r->counts };
		return true;
	}
	r->left = 0;
	return false;
}
