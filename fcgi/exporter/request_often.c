#include "config.h"

#include <stdlib.h>

#include "exporter/request_read.h"
#include "obs/metric_read.h"

/* Few enough to copy for a page, enough for a share to say something. */
#define LOOK_AT 1000

static int
more_first(const void *a, const void *b)
{
	const struct often_status *x = a, *y = b;

	return (x->n < y->n) - (x->n > y->n);
}

/* Exact: all of this host's since its segment was made. */
static void
count_statuses(struct request *r, const struct rh_segment *segment,
    struct rh_arena *arena)
{
	int metric = rh_metric_find(segment, "http_requests_total");
	uint64_t cells[RH_METRIC_CELLS];
	struct often_status *to;
	unsigned na, nb;

	if (metric < 0 || r->rq->f.what != RH_WORK_REQUEST)
		return;
	rh_metric_size(segment, metric, &na, &nb);
	r->statuses = to = rh_arena_zalloc(arena, nb, sizeof(*to));
	for (unsigned i = 0; i < nb; i++) {
		if (!rh_metric_sum(segment, metric, r->rq->f.series, i,
			cells) ||
		    cells[0] == 0)
			continue;
		r->answered += cells[0];
		to[r->nstatuses++] = (struct often_status){
			rh_metric_label(segment, metric, 'b', i, "status",
			    arena),
			cells[0]
		};
	}
	qsort(to, r->nstatuses, sizeof(*to), more_first);
}

static bool
is_alike(const struct rh_request *a, const struct rh_request *b)
{
	return a->f.status == b->f.status &&
	    rh_slice_is(a->text[RH_RQ_ERROR], b->text[RH_RQ_ERROR]) &&
	    rh_slice_is(a->text[RH_RQ_OUTCOME], b->text[RH_RQ_OUTCOME]);
}

void
request_often(struct request *r, const struct rh_segment *segment,
    struct rh_arena *arena)
{
	const struct rh_slice *text = r->rq->text;
	const struct rh_past_filter like = { .what = r->rq->f.what,
		.method = text[RH_RQ_METHOD],
		.route = text[RH_RQ_ROUTE].n ? text[RH_RQ_ROUTE] :
					       RH_SLICE("unmatched"),
		.most = LOOK_AT };
	struct rh_past_list list;

	count_statuses(r, segment, arena);
	rh_past_list(&list, segment, &like, arena);
	r->looked_at = list.n;
	for (size_t i = 0; i < list.n; i++) {
		r->looked_us = list.rows[i].f.start_us;
		if (is_alike(&list.rows[i], r->rq)) {
			r->alike++;
			r->alike_us = list.rows[i].f.start_us;
		}
	}
}
