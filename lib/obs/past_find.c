#include "config.h"

#include "obs/past.h"

#include "base/text.h"
#include "obs/past_legs.h"
#include "obs/past_walk.h"

#define SPANS_MAX	1024
#define REQUESTS_MAX	256

struct search {
	struct rh_past_found *found;
	const struct rh_segment *segment;
	struct rh_slice id;
	struct rh_arena *arena;
	struct rh_request *requests;
	unsigned *slots;	/* of the requests */
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

/* In the order of their time, as the walk does not have it. */
static void
add(struct search *s, const struct rh_request *rq, unsigned slot)
{
	size_t i = s->found->nrequests++;

	for (; i && s->requests[i - 1].f.start_us > rq->f.start_us; i--) {
		s->requests[i] = s->requests[i - 1];
		s->slots[i] = s->slots[i - 1];
	}
	s->requests[i] = rh_request_copy(rq, s->arena);
	s->slots[i] = slot;
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
			add(s, &rq, w.slot);
}

static bool
has_id(const struct search *s, const struct rh_request *rq)
{
	return rh_slice_is(rq->text[RH_RQ_ID], s->id) ||
	    (rq->f.what != RH_WORK_REQUEST &&
	    rh_slice_is(rq->text[RH_RQ_PATH], s->id));
}

static bool
has_trace(const struct search *s, const struct rh_request *rq)
{
	return memcmp(rq->f.trace_id, s->found->trace_id, 16) == 0;
}

static void
both(struct search *s,
    bool (*want)(const struct search *s, const struct rh_request *rq))
{
	find_requests(s, RH_SEG_REQUESTS, want);
	find_requests(s, RH_SEG_TRACES, want);
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
take_spans(struct search *s, unsigned slot, unsigned leg, struct rh_kept *kept)
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
			.slot = slot, .leg = leg, .by = kept->head.by < RH_BY_COUNT ?
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
	    f->nparts == REQUESTS_MAX ||
	    !take_spans(s, w->slot, (unsigned)f->nparts, &kept))
		return;
	f->spans_dropped += kept.head.spans_dropped;
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

/* The first one of the kind that tells most, of those that there are. */
static const struct rh_past_span *
most_telling(const struct search *s)
{
	static const unsigned kinds[] = { RH_SPAN_SERVER, RH_SPAN_CONSUMER };
	const struct rh_past_span *found = NULL;

	for (size_t k = 0; k < RH_COUNT(kinds) && !found; k++)
		for (size_t i = 0; i < s->found->nspans; i++)
			if (s->spans[i].fixed.kind == kinds[k] && (!found ||
			    s->spans[i].fixed.start_ns < found->fixed.start_ns))
				found = &s->spans[i];
	return found ? found : &s->spans[0];
}

static void
make_up_job(struct rh_request *rq, const struct rh_past_span *span)
{
	rq->f.what = RH_WORK_JOB;
	rq->f.attempt = (uint16_t)number_of(span, "rowhouse.job.attempt");
	rq->text[RH_RQ_METHOD] = RH_SLICE("JOB");
	rq->text[RH_RQ_ROUTE] = rh_past_attr(span, "messaging.destination.name");
	rq->text[RH_RQ_PATH] = rh_past_attr(span, "messaging.message.id");
	rq->text[RH_RQ_OUTCOME] = rh_past_attr(span, "rowhouse.job.outcome");
	rq->text[RH_RQ_ERROR] = rh_past_attr(span, "error.type");
}

static void
make_up(struct search *s)
{
	struct rh_past_found *f = s->found;
	const struct rh_past_span *span = most_telling(s);
	struct rh_request *rq = &s->requests[0];
	struct rh_kept kept;

	*rq = (struct rh_request){ .f = { .kept = 1, .traced = 1,
	    .by = (uint8_t)span->by,
	    .status = (uint16_t)number_of(span, "http.response.status_code"),
	    .start_us = (int64_t)(span->fixed.start_ns / 1000),
	    .ns = rh_past_span_ns(span),
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
	if (span->fixed.kind == RH_SPAN_CONSUMER)
		make_up_job(rq, span);
	if (rh_kept_open(&kept, f->parts[span->leg].record.p,
	    f->parts[span->leg].record.n))
		rq->text[RH_RQ_ID] = kept.request_id;
	s->slots[0] = span->slot;
	f->is_made_up = true;
	f->nrequests = 1;
}

/* ---- together ---- */

static void
choose(struct search *s)
{
	struct rh_past_found *f = s->found;

	const struct rh_request *best = NULL;

	f->requests = s->requests;
	for (size_t i = 0; i < f->nrequests; i++) {
		const struct rh_request *rq = &s->requests[i];

		/* what it left has its id, too */
		if (!best || (best->f.what && !rq->f.what) ||
		    (has_id(s, rq) && best->f.what == rq->f.what))
			best = rq;
	}
	f->request = best;
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
		.slots = rh_arena_zalloc(arena, REQUESTS_MAX, sizeof(*s.slots)),
		.spans = rh_arena_zalloc(arena, SPANS_MAX, sizeof(*s.spans)),
		.parts = rh_arena_zalloc(arena, REQUESTS_MAX, sizeof(*s.parts)) };

	*found = (struct rh_past_found){ .parts = s.parts };
	if (id.n == 0 || !find_trace_id(&s))
		return false;
	find_spans(&s, RH_SEG_TRACES);
	find_spans(&s, RH_SEG_SPANS);
	if (found->nrequests == 0 && found->nspans)
		make_up(&s);
	if (found->nrequests == 0)
		return false;
	choose(&s);
	rh_past_legs(found, s.spans, s.slots, arena);
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
