#include "config.h"

#include "obs/past_legs.h"

#include <stdlib.h>

#define DEPTH_MAX	16

struct order {
	struct rh_past_found *found;
	struct rh_past_span *from, *to;
	size_t n, done;
	bool *placed;
	struct rh_past_leg *legs;
	size_t nlegs;
};

/* ---- legs ---- */

static void
of_spans(struct order *o)
{
	for (size_t i = 0; i < o->n; i++) {
		const struct rh_past_span *span = &o->from[i];
		struct rh_past_leg *leg = &o->legs[span->leg];

		if (leg->nspans++ == 0)
			*leg = (struct rh_past_leg){ .slot = span->slot,
				.spans = span, .nspans = 1,
				.start_ns = span->fixed.start_ns };
		leg->start_ns = RH_MIN(leg->start_ns, span->fixed.start_ns);
		leg->end_ns = RH_MAX(leg->end_ns, span->fixed.end_ns);
	}
}

/* The leg whose span it is; NULL: that was not kept. */
static struct rh_past_leg *
leg_of(struct order *o, const struct rh_request *rq)
{
	for (size_t i = 0; i < o->n; i++)
		if (memcmp(o->from[i].fixed.id, rq->f.span_id, 8) == 0)
			return &o->legs[o->from[i].leg];
	return NULL;
}

static void
of_requests(struct order *o, const unsigned *slots)
{
	const struct rh_past_found *f = o->found;

	for (size_t i = 0; i < f->nrequests; i++) {
		const struct rh_request *rq = &f->requests[i];
		struct rh_past_leg *leg = leg_of(o, rq);

		if (!leg) {
			leg = &o->legs[o->nlegs++];
			leg->slot = slots[i];
			leg->start_ns = (uint64_t)rq->f.start_us * 1000;
			leg->end_ns = leg->start_ns + rq->f.ns;
		}
		leg->note = rq;
		leg->what = (enum rh_work)rq->f.what;
	}
}

/* What its first span says, where its own record is gone. */
static void
tell_by_span(struct rh_past_leg *leg)
{
	switch (leg->spans->fixed.kind) {
	case RH_SPAN_SERVER:
		leg->what = RH_WORK_REQUEST;
		break;
	case RH_SPAN_CONSUMER:
		leg->what = RH_WORK_JOB;
		break;
	case RH_SPAN_CLIENT:
		leg->what = RH_WORK_WEBHOOK;
		break;
	default:
		leg->is_other = true;
	}
}

static int
oldest_first(const void *one, const void *other)
{
	const struct rh_past_leg *a = one, *b = other;

	if (a->start_ns != b->start_ns)
		return a->start_ns > b->start_ns ? 1 : -1;
	/* of those that start at once, the longer one is the cause */
	return (a->end_ns < b->end_ns) - (a->end_ns > b->end_ns);
}

/* ---- spans within a leg ---- */

static int
by_start(const void *one, const void *other)
{
	const struct rh_past_span *a = one, *b = other;

	if (a->fixed.start_ns != b->fixed.start_ns)
		return a->fixed.start_ns > b->fixed.start_ns ? 1 : -1;
	return (a->fixed.end_ns < b->fixed.end_ns) -
	    (a->fixed.end_ns > b->fixed.end_ns);
}

static void
place(struct order *o, size_t i, unsigned depth)
{
	o->placed[i] = true;
	o->to[o->done] = o->from[i];
	o->to[o->done++].depth = depth;
	if (depth == DEPTH_MAX)
		return;
	for (size_t j = 0; j < o->n; j++)
		if (!o->placed[j] && o->from[j].leg == o->from[i].leg &&
		    memcmp(o->from[j].fixed.parent_id, o->from[i].fixed.id,
		    8) == 0)
			place(o, j, depth + 1);
}

static bool
has_parent(const struct order *o, size_t i)
{
	for (size_t j = 0; j < o->n; j++)
		if (j != i && o->from[j].leg == o->from[i].leg &&
		    memcmp(o->from[j].fixed.id, o->from[i].fixed.parent_id,
		    8) == 0)
			return true;
	return false;
}

/* Below what caused it in another leg, as far as that is known and before it. */
static unsigned
depth_below(const struct order *o, const unsigned char parent_id[8],
    const struct rh_past_leg *before)
{
	for (size_t i = 0; i < o->done; i++)
		if (memcmp(o->to[i].fixed.id, parent_id, 8) == 0)
			return RH_MIN(o->to[i].depth + 1, DEPTH_MAX - 1u);
	for (const struct rh_past_leg *leg = o->legs; leg < before; leg++)
		if (leg->note && memcmp(leg->note->f.span_id, parent_id, 8) == 0)
			return RH_MIN(leg->depth + 1, DEPTH_MAX - 1u);
	return 0;
}

static void
place_leg(struct order *o, struct rh_past_leg *leg, unsigned record)
{
	size_t first = o->done;

	for (size_t i = 0; i < o->n; i++)
		if (!o->placed[i] && o->from[i].leg == record &&
		    !has_parent(o, i))
			place(o, i, depth_below(o, o->from[i].fixed.parent_id,
			    leg));
	for (size_t i = 0; i < o->n; i++)	/* spans that claim to cause each other */
		if (!o->placed[i] && o->from[i].leg == record)
			place(o, i, 0);
	leg->spans = &o->to[first];
	leg->nspans = o->done - first;
	leg->depth = o->to[first].depth;
	for (size_t i = first; i < o->done; i++)
		o->to[i].leg = (unsigned)(leg - o->legs);
}

/* ---- together ---- */

static void
put_in_order(struct order *o)
{
	bool has_request = false;

	for (size_t i = 0; i < o->nlegs; i++) {
		struct rh_past_leg *leg = &o->legs[i];

		if (leg->spans)
			place_leg(o, leg, leg->spans->leg);
		else	/* whose child it is is not told then */
			leg->depth = leg->what != RH_WORK_REQUEST && has_request;
		has_request |= leg->what == RH_WORK_REQUEST && !leg->is_other;
	}
}

void
rh_past_legs(struct rh_past_found *f, struct rh_past_span *spans,
    const unsigned *slots, struct rh_arena *arena)
{
	size_t n = f->nspans;
	struct order o = { .found = f, .from = spans, .n = n,
		.nlegs = f->nparts,
		.to = rh_arena_zalloc(arena, n + 1, sizeof(*o.to)),
		.placed = rh_arena_zalloc(arena, n + 1, sizeof(bool)),
		.legs = rh_arena_zalloc(arena, f->nparts + f->nrequests + 1,
		    sizeof(*o.legs)) };

	if (n)
		qsort(o.from, n, sizeof(*o.from), by_start);
	of_spans(&o);
	of_requests(&o, slots);
	for (size_t i = 0; i < f->nparts; i++)
		if (!o.legs[i].note)
			tell_by_span(&o.legs[i]);
	if (o.nlegs)
		qsort(o.legs, o.nlegs, sizeof(*o.legs), oldest_first);
	put_in_order(&o);
	f->spans = o.to;
	f->legs = o.legs;
	f->nlegs = o.nlegs;
}
