#include "config.h"

#include "obs/history.h"

#include "obs/history_file.h"

#define S_US	INT64_C(1000000)

const int64_t rh_history_step_us[RH_HISTORY_STEPS] = {
	[RH_HISTORY_FINE] = 5 * S_US, [RH_HISTORY_COARSE] = 60 * S_US,
};
const int64_t rh_history_reach_us[RH_HISTORY_STEPS] = {
	[RH_HISTORY_FINE] = 3600 * S_US, [RH_HISTORY_COARSE] = 86400 * S_US,
};

struct rh_history {
	struct rh_ring *rings[RH_HISTORY_STEPS];
	struct rh_past_state *state;
	struct rh_past_row *rows[RH_HISTORY_STEPS][RH_PAST_LISTS];
	char *room;		/* for a sample under way */
	size_t room_bytes;
};

static size_t
ring_bytes(size_t samples)
{
	size_t bytes = RH_PAST_RING_MIN;

	while (bytes * 2 * RH_HISTORY_STEPS <= samples)
		bytes *= 2;
	return bytes;
}

size_t
rh_history_bytes(size_t samples, const unsigned n[RH_PAST_LISTS])
{
	return rh_past_state_at(ring_bytes(samples)) +
	    sizeof(struct rh_past_state) +
	    RH_HISTORY_STEPS * rh_past_counts_bytes(n);
}

/* The largest rings that the area has room for, as rh_history_bytes had it. */
static size_t
rings_of(size_t area, const unsigned n[RH_PAST_LISTS])
{
	size_t rest = sizeof(struct rh_past_state) +
	    RH_HISTORY_STEPS * rh_past_counts_bytes(n);
	size_t bytes = RH_PAST_RING_MIN;

	while (rh_past_state_at(bytes * 2) + rest <= area)
		bytes *= 2;
	return bytes;
}

static bool
state_is_sound(const struct rh_past_state *state,
    const unsigned n[RH_PAST_LISTS])
{
	return state->version == RH_PAST_VERSION &&
	    memcmp(state->n, n, sizeof(state->n)) == 0;
}

static void
open_step(struct rh_history *h, enum rh_history_step step, char *area,
    size_t bytes)
{
	char *counts = (char *)(h->state + 1) + step *
	    rh_past_counts_bytes(h->state->n);
	struct rh_past_row *row = (struct rh_past_row *)(void *)counts;

	h->rings[step] = (struct rh_ring *)(void *)(area +
	    rh_past_ring_at(bytes, step));
	if (!rh_ring_is_sound(h->rings[step], bytes, RH_RING_OVERWRITE))
		rh_ring_init(h->rings[step], bytes, RH_RING_OVERWRITE);
	for (int i = 0; i < RH_PAST_LISTS; i++) {
		h->rows[step][i] = row;
		row += h->state->n[i];
	}
}

struct rh_history *
rh_history_open(const struct rh_segment *segment,
    const unsigned n[RH_PAST_LISTS], struct rh_arena *arena)
{
	struct rh_history *h = RH_NEW(arena, struct rh_history);
	size_t size = rh_segment_area_bytes(segment, RH_HISTORY_AREA);
	size_t bytes = rings_of(size, n);
	char *area = rh_segment_area(segment, RH_HISTORY_AREA);

	rh_assert(rh_past_state_at(bytes) <= size);
	h->state = (struct rh_past_state *)(void *)(area +
	    rh_past_state_at(bytes));
	if (!state_is_sound(h->state, n)) {
		*h->state = (struct rh_past_state){ .version =
			RH_PAST_VERSION };
		memcpy(h->state->n, n, sizeof(h->state->n));
	}
	for (int i = 0; i < RH_HISTORY_STEPS; i++)
		open_step(h, (enum rh_history_step)i, area, bytes);
	h->room_bytes = RH_MIN(bytes / 4, sizeof(struct rh_past_head) +
	    RH_PAST_LISTS + rh_past_counts_bytes(n) /
	    sizeof(struct rh_past_row) * RH_PAST_ROW_MAX);
	h->room = rh_arena_alloc(arena, h->room_bytes);
	return h;
}

static bool
is_due(const struct rh_history *h, int step, int64_t now_us)
{
	int64_t at_us = h->state->last[step].at_us;

	/* the clock was turned back: from here on, then */
	return now_us < at_us || now_us - at_us >= rh_history_step_us[step];
}

bool
rh_history_is_due(const struct rh_history *h, int64_t now_us)
{
	return is_due(h, RH_HISTORY_FINE, now_us);
}

/* ---- a sample ---- */

static void
put_number(struct rh_buf *to, uint64_t n)
{
	for (; n > 0x7f; n >>= 7)
		rh_buf_char(to, (char)(n | 0x80));
	rh_buf_char(to, (char)n);
}

/* Counters never go back; a file that was tampered with may say so. */
static uint64_t
since(uint64_t before, uint64_t now)
{
	return now >= before ? now - before : 0;
}

static void
put_row(struct rh_buf *to, unsigned i, const struct rh_past_row *before,
    const struct rh_past_row *now)
{
	uint64_t mask = 0;

	for (unsigned b = 0; b <= RH_BUCKETS; b++)
		if (since(before->buckets[b], now->buckets[b]))
			mask |= UINT64_C(1) << b;
	if (mask == 0)
		return;
	put_number(to, i + 1);
	put_number(to, since(before->errors, now->errors));
	put_number(to, since(before->again, now->again));
	put_number(to, mask);
	for (unsigned b = 0; b <= RH_BUCKETS; b++)
		if (mask >> b & 1)
			put_number(to, since(before->buckets[b],
			    now->buckets[b]));
}

/* What was put since mark has no room: it goes, and nothing comes after it. */
static bool
keep_whole(struct rh_buf *b, size_t mark)
{
	if (!b->full)
		return true;
	b->n = mark;
	b->full = false;
	return false;
}

/* The rows that something was counted for, and a 0 for which there is room. */
static void
put_rows(struct rh_buf *b, unsigned n, const struct rh_past_row *before,
    const struct rh_past_row *now)
{
	size_t mark = b->n;

	b->cap--;
	for (unsigned i = 0; i < n && keep_whole(b, mark); i++) {
		mark = b->n;
		put_row(b, i, &before[i], &now[i]);
	}
	(void)keep_whole(b, mark);
	b->cap++;
	put_number(b, 0);
}

static void
put_counts(struct rh_buf *b, const struct rh_history *h, int step,
    const struct rh_past_counts *now)
{
	for (unsigned i = 0; i < RH_PAST_LISTS; i++) {
		size_t zeros = RH_PAST_LISTS - 1 - i;	/* those of the rest */

		b->cap -= zeros;
		put_rows(b, h->state->n[i], h->rows[step][i], now->rows[i]);
		b->cap += zeros;
	}
}

static void
put_sample(struct rh_history *h, int step, int64_t now_us,
    const struct rh_past_counts *now)
{
	const struct rh_past_gauges *last = &h->state->last[step].gauges;
	struct rh_past_head head = { .version = RH_PAST_VERSION,
	    .at_us = now_us, .span_us = now_us - h->state->last[step].at_us,
	    .gauges = *last };
	struct rh_buf b;
	char *to;

	head.gauges.lines_dropped = since(last->lines_dropped,
	    now->gauges.lines_dropped);
	head.gauges.spans_dropped = since(last->spans_dropped,
	    now->gauges.spans_dropped);
	rh_buf_init_fixed(&b, h->room, h->room_bytes);
	rh_buf_put(&b, &head, sizeof(head));
	put_counts(&b, h, step, now);
	if (!(to = rh_ring_reserve(h->rings[step], b.n)))
		return;
	memcpy(to, b.p, b.n);
	rh_ring_commit(h->rings[step], b.n, 1);
}

static void
look_at(struct rh_past_gauges *seen, const struct rh_past_gauges *now)
{
	seen->workers = RH_MAX(seen->workers, now->workers);
	seen->busy = RH_MAX(seen->busy, now->busy);
	seen->queue = RH_MAX(seen->queue, now->queue);
	seen->jobs_workers = RH_MAX(seen->jobs_workers, now->jobs_workers);
	seen->jobs_busy = RH_MAX(seen->jobs_busy, now->jobs_busy);
	seen->jobs_pending = RH_MAX(seen->jobs_pending, now->jobs_pending);
	seen->jobs_oldest_s = RH_MAX(seen->jobs_oldest_s, now->jobs_oldest_s);
	seen->outbox_pending = RH_MAX(seen->outbox_pending,
	    now->outbox_pending);
	seen->outbox_lag_ms = RH_MAX(seen->outbox_lag_ms, now->outbox_lag_ms);
}

static void
remember(struct rh_history *h, int step, int64_t now_us,
    const struct rh_past_counts *now)
{
	h->state->last[step].at_us = now_us;
	h->state->last[step].gauges = (struct rh_past_gauges){
		.lines_dropped = now->gauges.lines_dropped,
		.spans_dropped = now->gauges.spans_dropped };
	for (int i = 0; i < RH_PAST_LISTS; i++)
		memcpy(h->rows[step][i], now->rows[i],
		    h->state->n[i] * sizeof(*now->rows[i]));
}

void
rh_history_look(struct rh_history *h, const struct rh_past_gauges *now)
{
	for (int step = 0; step < RH_HISTORY_STEPS; step++)
		look_at(&h->state->last[step].gauges, now);
}

void
rh_history_take(struct rh_history *h, int64_t now_us,
    const struct rh_past_counts *now)
{
	rh_history_look(h, &now->gauges);
	rh_assert(memcmp(now->n, h->state->n, sizeof(now->n)) == 0);
	for (int step = 0; step < RH_HISTORY_STEPS; step++) {
		if (!is_due(h, step, now_us))
			continue;
		/* of the first one nobody knows since when it counts */
		if (h->state->last[step].at_us &&
		    now_us > h->state->last[step].at_us)
			put_sample(h, step, now_us, now);
		remember(h, step, now_us, now);
	}
}
