/*
 * request - one request, and all that is remembered of it.
 *
 * Shape    what rh_past_find found, and how it compares with its route
 * Errors   no histogram: requests is 0
 * Owner    the arena's
 */
#ifndef RH_EXPORTER_REQUEST_H
#define RH_EXPORTER_REQUEST_H

#include "exporter/view.h"
#include "obs/metric.h"
#include "obs/past.h"

struct request {
	const struct rh_past_found *found;
	const struct rh_request *rq;
	uint64_t buckets[RH_BUCKETS + 1];	/* of its route, since ever */
	uint64_t requests;			/* in them */
	double slower_than;			/* share of them; NAN: unknown */
};

/* A list's element where name is NULL: what its log line says. */
void request_json(struct rh_buf *to, const char *name,
    const struct rh_request *rq);
/* request_json.c: the whole view. */
void request_put_json(struct view *v, const struct request *r);
/* waterfall.c */
void waterfall_put(struct view *v, const struct request *r);
void statements_put(struct view *v, const struct request *r);

#endif
