#include "config.h"

#include "obs/past.h"

#include <stdlib.h>

#include "base/text.h"
#include "obs/past_walk.h"

#define SPANS_MAX	1024
#define REQUESTS_MAX	256
#define DEPTH_MAX	16

struct search {
	struct rh_past_found *found;
	const struct rh_segment *segment;
	struct rh_slice id;
	struct rh_arena *arena;
	struct rh_request *requests;
	struct rh_past_span *spans;
	struct rh_past_part *parts;
};

/* ---- requests ---- */

static bool
is_known(const struct search *s, const struct rh_request *rq)
{
	for (size_t i = 0; i < s->found->nrequests; i++)
		if (memcmp(s->requests[i].f.span_id, rq->f.span_id, 8) == 0)
			return true;
	return false;
}

/* All requests that want says yes to. */
static void
find_requests(struct search *s, enum rh_seg_ring ring,
    bool (*want)(const struct search *s, const struct rh_request *rq))
{
	struct rh_past_walk w;
	struct rh_request rq;

	rh_past_walk_open(&w, s->segment, ring, s->arena);
	while (rh_past_walk_next(&w))
		if (s->found->nrequests < REQUESTS_MAX &&
		    rh_request_get(&rq, w.room, w.n) && want(s, &rq) &&
		    !is_known(s, &rq))
			s->requests[s->found->nrequests++] =
			    rh_request_copy(&rq, s->arena);
}

static bool
has_id(const struct search *s, const struct rh_request *rq)
{
	return rh_slice_is(rq->text[RH_RQ_ID], s->id);
}

static bool
has_trace(const struct search *s, const struct rh_request *rq)
{
	return memcmp(rq->f.trace_id, s->found->trace_id, 16) == 0;
}

static int
oldest_first(const void *one, const void *other)
{
	const struct rh_request *a = one, *b = other;

	return (a->f.start_us > b->f.start_us) - (a->f.start_us < b->f.start_us);
}

static void
both(struct search *s,
    bool (*want)(const struct search *s, const struct rh_request *rq))
{
	find_requests(s, RH_SEG_REQUESTS, want);
	find_requests(s, RH_SEG_TRACES, want);
	if (s->found->nrequests)
		qsort(s->requests, s->found->nrequests, sizeof(*s->requests),
		    oldest_first);
}

/* ---- spans ---- */

static bool
has_span(const struct search *s, const unsigned char id[8])
{
	for (size_t i = 0; i < s->found->nspans; i++)
		if (memcmp(s->spans[i].fixed.id, id, 8) == 0)
			return true;
	return false;
}

static const struct rh_attr *
attrs_of(struct rh_kept_span *span, struct rh_arena *arena, unsigned *n)
{
	struct rh_attr *attrs = rh_arena_zalloc(arena, span->fixed.attrs + 1u,
	    sizeof(*attrs));

	for (*n = 0; *n < span->fixed.attrs && rh_kept_attr(span, &attrs[*n]);)
		++*n;
	return attrs;
}

/* The record is a copy that stays: all its texts point into it. */
static bool
take_spans(struct search *s, unsigned slot, struct rh_kept *kept)
{
	struct rh_past_found *f = s->found;
	struct rh_kept_span span;
	bool any = false;

	while (f->nspans < SPANS_MAX && rh_kept_span(kept, &span)) {
		struct rh_past_span *to = &s->spans[f->nspans];

		if (has_span(s, span.fixed.id))
			continue;
		*to = (struct rh_past_span){ .fixed = span.fixed,
			.name = span.name, .error_text = span.error_text,
			.slot = slot, .by = kept->head.by < RH_BY_COUNT ?
			    kept->head.by : RH_BY_NONE };
		to->attrs = attrs_of(&span, s->arena, &to->nattrs);
		f->nspans++;
		any = true;
	}
	return any;
}

static void
take_record(struct search *s, const struct rh_past_walk *w)
{
	struct rh_past_found *f = s->found;
	struct rh_slice record = rh_arena_slice(s->arena,
	    (struct rh_slice){ w->room, w->n });
	struct rh_kept kept;

	if (!rh_kept_open(&kept, record.p, record.n) ||
	    !take_spans(s, w->slot, &kept))
		return;
	f->spans_dropped += kept.head.spans_dropped;
	if (f->nparts < REQUESTS_MAX)
		s->parts[f->nparts++] = (struct rh_past_part){ w->slot, record };
}

static void
find_spans(struct search *s, enum rh_seg_ring ring)
{
	struct rh_past_walk w;
	struct rh_kept kept;

	rh_past_walk_open(&w, s->segment, ring, s->arena);
	while (rh_past_walk_next(&w))
		if (rh_kept_open(&kept, w.room, w.n) &&
		    memcmp(kept.head.trace_id, s->found->trace_id, 16) == 0)
			take_record(s, &w);
}

/* The trace of a request whose own record is gone. */
static bool
find_trace_of_id(struct search *s, enum rh_seg_ring ring)
{
	struct rh_past_walk w;
	struct rh_kept kept;
	bool is = false;

	rh_past_walk_open(&w, s->segment, ring, s->arena);
	while (rh_past_walk_next(&w))
		if (rh_kept_open(&kept, w.room, w.n) &&
		    rh_slice_is(kept.request_id, s->id)) {
			memcpy(s->found->trace_id, kept.head.trace_id, 16);
			is = true;
		}
	return is;
}

/* ---- the waterfall's order ---- */

static int
by_start(const void *one, const void *other)
{
	const struct rh_past_span *a = one, *b = other;

	if (a->fixed.start_ns != b->fixed.start_ns)
		return a->fixed.start_ns > b->fixed.start_ns ? 1 : -1;
	/* of those that start at once, the longer one is the caller */
	return (a->fixed.end_ns < b->fixed.end_ns) -
	    (a->fixed.end_ns > b->fixed.end_ns);
}

struct order {
	struct rh_past_span *from, *to;
	size_t n, done;
	bool *placed;
};

static void
place(struct order *o, size_t i, unsigned depth)
{
	o->placed[i] = true;
	o->to[o->done] = o->from[i];
	o->to[o->done++].depth = depth;
	if (depth == DEPTH_MAX)
		return;
	for (size_t j = 0; j < o->n; j++)
		if (!o->placed[j] && memcmp(o->from[j].fixed.parent_id,
		    o->from[i].fixed.id, 8) == 0)
			place(o, j, depth + 1);
}

static bool
has_parent(const struct order *o, size_t i)
{
	for (size_t j = 0; j < o->n; j++)
		if (j != i && memcmp(o->from[j].fixed.id,
		    o->from[i].fixed.parent_id, 8) == 0)
			return true;
	return false;
}

static void
put_in_order(struct search *s)
{
	size_t n = s->found->nspans;
	struct order o = { .from = s->spans, .n = n,
		.to = rh_arena_zalloc(s->arena, n + 1, sizeof(*o.to)),
		.placed = rh_arena_zalloc(s->arena, n + 1, sizeof(bool)) };

	if (n)
		qsort(o.from, n, sizeof(*o.from), by_start);
	for (size_t i = 0; i < n; i++)
		if (!o.placed[i] && !has_parent(&o, i))
			place(&o, i, 0);
	for (size_t i = 0; i < n; i++)	/* spans that claim to cause each other */
		if (!o.placed[i])
			place(&o, i, 0);
	s->found->spans = o.to;
}

/* ---- a request that only its span tells of ---- */

struct rh_slice
rh_past_attr(const struct rh_past_span *span, const char *key)
{
	for (unsigned i = 0; i < span->nattrs; i++)
		if (!span->attrs[i].is_int &&
		    strcmp(span->attrs[i].key, key) == 0)
			return span->attrs[i].text;
	return RH_SLICE_NONE;
}

static int64_t
number_of(const struct rh_past_span *span, const char *key)
{
	for (unsigned i = 0; i < span->nattrs; i++)
		if (span->attrs[i].is_int &&
		    strcmp(span->attrs[i].key, key) == 0)
			return span->attrs[i].number;
	return 0;
}

static const struct rh_past_span *
first_of_kind(const struct rh_past_found *f, unsigned kind)
{
	for (size_t i = 0; i < f->nspans; i++)
		if (f->spans[i].fixed.kind == kind)
			return &f->spans[i];
	return f->nspans ? &f->spans[0] : NULL;
}

static void
make_up(struct search *s)
{
	struct rh_past_found *f = s->found;
	const struct rh_past_span *span = first_of_kind(f, RH_SPAN_SERVER);
	struct rh_request *rq = &s->requests[0];
	struct rh_kept kept;

	*rq = (struct rh_request){ .f = { .kept = 1, .traced = 1,
	    .by = (uint8_t)span->by,
	    .status = (uint16_t)number_of(span, "http.response.status_code"),
	    .start_us = (int64_t)(span->fixed.start_ns / 1000),
	    .ns = span->fixed.end_ns - span->fixed.start_ns,
	    .bytes_in = (uint64_t)number_of(span, "http.request.body.size"),
	    .bytes_out = (uint64_t)number_of(span, "http.response.body.size"),
	    .series = UINT32_MAX } };
	memcpy(rq->f.trace_id, f->trace_id, 16);
	memcpy(rq->f.span_id, span->fixed.id, 8);
	rq->text[RH_RQ_METHOD] = rh_past_attr(span, "http.request.method");
	rq->text[RH_RQ_ROUTE] = rh_past_attr(span, "http.route");
	rq->text[RH_RQ_PATH] = rh_past_attr(span, "url.path");
	rq->text[RH_RQ_REMOTE] = rh_past_attr(span, "client.address");
	rq->text[RH_RQ_AGENT] = rh_past_attr(span, "user_agent.original");
	if (rh_kept_open(&kept, f->parts[0].record.p, f->parts[0].record.n))
		rq->text[RH_RQ_ID] = kept.request_id;
	f->is_made_up = true;
	f->nrequests = 1;
}

/* ---- together ---- */

static void
choose(struct search *s)
{
	struct rh_past_found *f = s->found;

	f->requests = s->requests;
	f->request = &s->requests[0];
	for (size_t i = 0; i < f->nrequests; i++)
		if (has_id(s, &s->requests[i]))
			f->request = &s->requests[i];
}

static bool
find_trace_id(struct search *s)
{
	if (rh_hex_get(s->found->trace_id, 16, s->id, true)) {
		both(s, has_trace);
		if (s->found->nrequests)
			return true;
	}
	/* an X-Request-Id may look like that as well */
	both(s, has_id);
	if (s->found->nrequests) {
		memcpy(s->found->trace_id, s->requests[s->found->nrequests -
		    1].f.trace_id, 16);
		s->found->nrequests = 0;
		both(s, has_trace);
		return true;
	}
	return find_trace_of_id(s, RH_SEG_TRACES) ||
	    find_trace_of_id(s, RH_SEG_SPANS) ||
	    rh_hex_get(s->found->trace_id, 16, s->id, true);
}

bool
rh_past_find(struct rh_past_found *found, const struct rh_segment *segment,
    struct rh_slice id, struct rh_arena *arena)
{
	struct search s = { .found = found, .segment = segment, .id = id,
		.arena = arena,
		.requests = rh_arena_zalloc(arena, REQUESTS_MAX,
		    sizeof(*s.requests)),
		.spans = rh_arena_zalloc(arena, SPANS_MAX, sizeof(*s.spans)),
		.parts = rh_arena_zalloc(arena, REQUESTS_MAX, sizeof(*s.parts)) };

	*found = (struct rh_past_found){ .parts = s.parts };
	if (id.n == 0 || !find_trace_id(&s))
		return false;
	find_spans(&s, RH_SEG_TRACES);
	find_spans(&s, RH_SEG_SPANS);
	put_in_order(&s);
	if (found->nrequests == 0 && found->nspans)
		make_up(&s);
	if (found->nrequests == 0)
		return false;
	choose(&s);
	return true;
}

const struct rh_past_span *
rh_past_server_span(const struct rh_past_found *found)
{
	for (size_t i = 0; i < found->nspans; i++)
		if (memcmp(found->spans[i].fixed.id, found->request->f.span_id,
		    8) == 0)
			return &found->spans[i];
	return NULL;
}
