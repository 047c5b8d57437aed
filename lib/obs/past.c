#include "config.h"

#include "obs/past.h"

#include <stdlib.h>

#include "obs/past_walk.h"

/* Where a request that matches stands: texts are copied for those shown alone. */
struct place {
	int64_t start_us;
	uint64_t at;
	unsigned char span_id[8];
	unsigned slot;
	enum rh_seg_ring ring;
};

struct places {
	struct rh_arena *arena;
	struct place *p;
	size_t n, room;
};

static void
add(struct places *to, struct place place)
{
	if (to->n == to->room) {
		size_t room = to->room * 2 + 256;

		to->p = rh_arena_grow(to->arena, to->p,
		    to->room * sizeof(*to->p), room * sizeof(*to->p));
		to->room = room;
	}
	to->p[to->n++] = place;
}

static bool
is_text(struct rh_slice want, struct rh_slice has)
{
	return want.n == 0 || rh_slice_is(want, has);
}

/* "unmatched" is what the metrics call a request that no route has. */
static bool
is_route(struct rh_slice want, struct rh_slice has)
{
	return is_text(want, has) ||
	    (has.n == 0 && rh_slice_is(want, RH_SLICE("unmatched")));
}

/* What is tried again has not yet, and would drive out what has. */
static bool
has_failed(const struct rh_request *rq)
{
	return rh_request_failed(rq) &&
	    !rh_slice_is(rq->text[RH_RQ_OUTCOME], RH_SLICE("retried"));
}

static bool
matches(const struct rh_past_filter *f, const struct rh_request *rq)
{
	return (!f->failed || has_failed(rq)) &&
	    is_text(f->tenant, rq->text[RH_RQ_TENANT]) &&
	    is_route(f->route, rq->text[RH_RQ_ROUTE]) &&
	    is_text(f->method, rq->text[RH_RQ_METHOD]) &&
	    rq->f.status >= f->status_min &&
	    (f->status_max == 0 || rq->f.status <= f->status_max) &&
	    rq->f.ns >= f->min_ns;
}

static void
note_times(struct rh_past_list *list, const struct rh_past_walk *w,
    const struct rh_request *rq)
{
	if (list->oldest_us == 0 || rq->f.start_us < list->oldest_us)
		list->oldest_us = rq->f.start_us;
	if (w->ring == RH_SEG_REQUESTS && w->lost && w->before == 0)
		list->whole_us = RH_MAX(list->whole_us, rq->f.start_us);
}

static void
gather(struct rh_past_list *list, struct places *found,
    const struct rh_segment *segment, const struct rh_past_filter *filter,
    enum rh_seg_ring ring)
{
	struct rh_past_walk w;
	struct rh_request rq;

	rh_past_walk_open(&w, segment, ring, found->arena);
	while (rh_past_walk_next(&w)) {
		if (!rh_request_get(&rq, w.room, w.n) ||
		    !(filter->any || rq.f.what == filter->what))
			continue;
		note_times(list, &w, &rq);
		if (ring == RH_SEG_REQUESTS)
			list->seen++;
		if (matches(filter, &rq)) {
			struct place place = { .start_us = rq.f.start_us,
				.at = w.before, .slot = w.slot, .ring = ring };

			memcpy(place.span_id, rq.f.span_id, 8);
			add(found, place);
		}
	}
}

static int
newest_first(const void *one, const void *other)
{
	const struct place *a = one, *b = other;

	if (a->start_us != b->start_us)
		return a->start_us < b->start_us ? 1 : -1;
	return memcmp(a->span_id, b->span_id, sizeof(a->span_id));
}

/* One that was kept apart stands among all, too, until it is overwritten. */
static size_t
without_doubles(struct place *p, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (kept == 0 || newest_first(&p[i], &p[kept - 1]) != 0)
			p[kept++] = p[i];
	return kept;
}

void
rh_past_list(struct rh_past_list *list, const struct rh_segment *segment,
    const struct rh_past_filter *filter, struct rh_arena *arena)
{
	struct places found = { .arena = arena };
	struct rh_past_walk walks[RH_SEG_RINGS], *w;
	struct rh_request rq, *rows;

	*list = (struct rh_past_list){ .n = 0 };
	gather(list, &found, segment, filter, RH_SEG_REQUESTS);
	gather(list, &found, segment, filter, RH_SEG_TRACES);
	if (found.n)
		qsort(found.p, found.n, sizeof(*found.p), newest_first);
	list->matched = found.n = without_doubles(found.p, found.n);
	rows = rh_arena_zalloc(arena, RH_MIN(found.n, filter->most) + 1,
	    sizeof(*rows));
	rh_past_walk_open(&walks[RH_SEG_REQUESTS], segment, RH_SEG_REQUESTS, arena);
	rh_past_walk_open(&walks[RH_SEG_TRACES], segment, RH_SEG_TRACES, arena);
	for (size_t i = 0; i < found.n && list->n < filter->most; i++) {
		w = &walks[found.p[i].ring];
		if (rh_past_walk_again(w, found.p[i].slot, found.p[i].at) &&
		    rh_request_get(&rq, w->room, w->n) &&
		    memcmp(rq.f.span_id, found.p[i].span_id, 8) == 0)
			rows[list->n++] = rh_request_copy(&rq, arena);
	}
	list->rows = rows;
}
