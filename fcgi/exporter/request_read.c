#include "config.h"

#include "exporter/request_read.h"

#include <math.h>

#include "exporter/fmt.h"
#include "exporter/request_legs.h"
#include "obs/metric_read.h"

static void
compare(struct request *r, const struct rh_segment *segment)
{
	int metric = rh_metric_find(segment,
	    r->rq->f.what == RH_WORK_REQUEST ? "http_request_duration_seconds" :
	    "job_duration_seconds");
	uint64_t cells[RH_METRIC_CELLS];

	r->slower_than = (double)NAN;
	if (r->rq->f.what == RH_WORK_WEBHOOK ||
	    !rh_metric_sum(segment, metric, r->rq->f.series, 0, cells))
		return;
	memcpy(r->buckets, cells, sizeof(r->buckets));
	for (unsigned i = 0; i <= RH_BUCKETS; i++)
		r->requests += r->buckets[i];
	r->slower_than = rh_share_below(r->buckets, r->rq->f.ns);
}

bool
request_read(struct request *r, const struct rh_segment *segment,
    struct rh_slice id, struct rh_arena *arena)
{
	*r = (struct request){ .requests = 0 };
	if (!rh_past_find(&r->found, segment, id, arena))
		return false;
	r->rq = r->found.request;
	r->legs = request_legs(&r->found, segment, arena);
	compare(r, segment);
	request_often(r, segment, arena);
	return true;
}

struct rh_slice
request_unknown(const struct rh_segment *segment, struct rh_slice id,
    struct rh_arena *arena)
{
	const struct rh_past_filter none = { .status_min = UINT32_MAX };
	struct rh_past_list list;
	int64_t whole_us;

	rh_past_list(&list, segment, &none, arena);
	if (list.oldest_us == 0)
		return RH_SLICE("No request is remembered yet.");
	whole_us = list.whole_us ? list.whole_us : list.oldest_us;
	return rh_slice_of(rh_arena_printf(arena, "Nothing is remembered of"
	    " %.*s. The oldest request that is came at %.*s; from %.*s on all"
	    " are. One that came before has its line in the log, and its spans"
	    " at the collector.", (int)RH_MIN(id.n, 256u), id.p,
	    RH_SLICE_ARG(fmt_time(arena, list.oldest_us)),
	    RH_SLICE_ARG(fmt_time(arena, whole_us))));
}

static uint64_t
span_ns(const struct rh_past_span *s)
{
	return s->fixed.end_ns > s->fixed.start_ns ?
	    s->fixed.end_ns - s->fixed.start_ns : 0;
}

size_t
request_statements(const struct request *r,
    struct statement to[STATEMENTS_MAX])
{
	size_t n = 0, j;

	for (size_t i = 0; i < r->found.nspans; i++) {
		const struct rh_past_span *s = &r->found.spans[i];
		struct rh_slice name = rh_past_attr(s, "db.query.summary");

		if (name.n == 0)
			continue;
		for (j = 0; j < n && !rh_slice_is(to[j].name, name); j++)
			;
		if (j == STATEMENTS_MAX)
			continue;
		if (j == n)
			to[n++] = (struct statement){ name,
				rh_past_attr(s, "db.query.text"), 0, 0 };
		to[j].calls++;
		to[j].ns += span_ns(s);
	}
	return n;
}
