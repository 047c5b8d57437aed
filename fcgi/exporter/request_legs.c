#include "config.h"

#include "exporter/request_legs.h"

/* A slot's number among all is told as that of its pool. */
static void
tell_place(struct request_leg *to, const struct rh_segment *segment)
{
	const struct rh_segment *view;
	unsigned first;

	to->pool = rh_segment_pool(segment);
	to->slot = to->leg->slot;
	for (unsigned i = 0; (view = rh_segment_view(segment, i)); i++) {
		first = rh_segment_place(view, 0);
		if (to->leg->slot < first)
			break;
		to->pool = rh_segment_pool(view);
		to->slot = to->leg->slot - first;
	}
}

/* "rowhouse.job.attempt", and what else is called so. */
static const struct rh_attr *
attr_of(const struct rh_past_leg *leg, const char *end)
{
	size_t n = strlen(end);

	for (unsigned i = 0; leg->spans && i < leg->spans->nattrs; i++) {
		const char *key = leg->spans->attrs[i].key;

		if (strlen(key) > n && strcmp(key + strlen(key) - n, end) == 0)
			return &leg->spans->attrs[i];
	}
	return NULL;
}

static void
tell_by_span(struct request_leg *to)
{
	const struct rh_attr *attempt = attr_of(to->leg, ".attempt");
	const struct rh_attr *outcome = attr_of(to->leg, ".outcome");

	if (attempt && attempt->is_int && attempt->number > 0 &&
	    attempt->number <= UINT16_MAX)
		to->attempt = (unsigned)attempt->number;
	if (outcome)
		to->outcome = outcome->text;
	to->failed = to->leg->spans->fixed.error;
}

static void
tell_by_note(struct request_leg *to, struct rh_arena *arena)
{
	const struct rh_request *rq = to->leg->note;
	const struct rh_slice *text = rq->text;

	to->attempt = rq->f.attempt;
	to->outcome = text[RH_RQ_OUTCOME];
	to->failed = rh_request_failed(rq);
	if (to->name.n)
		return;
	if (rq->f.what == RH_WORK_REQUEST)
		to->name = rh_slice_of(rh_arena_printf(arena, "%.*s %.*s",
		    RH_SLICE_ARG(text[RH_RQ_METHOD]),
		    RH_SLICE_ARG(text[RH_RQ_ROUTE].n ? text[RH_RQ_ROUTE] :
		    text[RH_RQ_PATH])));
	else
		to->name = rh_slice_of(rh_arena_printf(arena, "process %.*s",
		    RH_SLICE_ARG(text[RH_RQ_ROUTE])));
}

const struct request_leg *
request_legs(const struct rh_past_found *found,
    const struct rh_segment *segment, struct rh_arena *arena)
{
	struct request_leg *legs = rh_arena_zalloc(arena, found->nlegs + 1,
	    sizeof(*legs));

	for (size_t i = 0; i < found->nlegs; i++) {
		struct request_leg *to = &legs[i];

		to->leg = &found->legs[i];
		tell_place(to, segment);
		if (to->leg->spans) {
			to->name = to->leg->spans->name;
			tell_by_span(to);
		}
		if (to->leg->note)
			tell_by_note(to, arena);
	}
	return legs;
}

unsigned
request_kept_after(const struct request *r)
{
	unsigned n = 0;

	for (size_t i = 0; i < r->found.nlegs; i++)
		n += r->found.legs[i].what != RH_WORK_REQUEST &&
		    r->found.legs[i].spans;
	return n;
}
