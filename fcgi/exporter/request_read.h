/*
 * request_read - one request, and all that is remembered of it: for the
 * operator's page and for rowhouse-ctl.
 *
 * Shape    what rh_past_find found, in legs, and how it compares with its route
 * Errors   false: it is not remembered; no histogram: requests is 0
 * Owner    the arena's
 */
#ifndef RH_EXPORTER_REQUEST_READ_H
#define RH_EXPORTER_REQUEST_READ_H

#include "base/buf.h"
#include "obs/metric.h"
#include "obs/past.h"

/* So many of a route's requests, for a share of them to say anything. */
#define REQUEST_COMPARED_MIN	20

/* A leg of its trace as it is told: by its own record, or else by its spans. */
struct request_leg {
	const struct rh_past_leg *leg;
	const char *pool;	/* "jobs" */
	unsigned slot;		/* in that pool */
	struct rh_slice name;	/* as its span is named */
	struct rh_slice outcome;	/* of a job, a delivery; n == 0: not told */
	unsigned attempt;	/* 0: not told */
	bool failed;
};

struct often_status {
	struct rh_slice status;		/* "503", "other" */
	uint64_t n;
};

struct request {
	struct rh_past_found found;
	const struct rh_request *rq;
	const struct request_leg *legs;		/* found.nlegs of them */
	uint64_t buckets[RH_BUCKETS + 1];	/* of its route, since ever */
	uint64_t requests;			/* in them */
	double slower_than;			/* share of them; NAN: unknown */
	/* of its route or kind: how often it ends so */
	const struct often_status *statuses;	/* the most frequent first; of requests alone */
	size_t nstatuses;
	uint64_t answered;			/* in them, since ever */
	size_t looked_at, alike;		/* of the last that are remembered */
	int64_t looked_us, alike_us;		/* the oldest of each */
};

/* id: as rh_past_find has it. */
RH_MUST_CHECK bool request_read(struct request *r,
    const struct rh_segment *segment, struct rh_slice id,
    struct rh_arena *arena);
/* request_often.c: how often requests of its route end, and how. */
void request_often(struct request *r, const struct rh_segment *segment,
    struct rh_arena *arena);
/* How many legs of what it left have spans. */
unsigned request_kept_after(const struct request *r);
/* What is to be said of an id that is not remembered: a sentence or two. */
struct rh_slice request_unknown(const struct rh_segment *segment,
    struct rh_slice id, struct rh_arena *arena);

/* SQL of its spans, by the statement's name, in the order of their calls. */
struct statement {
	struct rh_slice name, text;
	unsigned calls;
	uint64_t ns;
};
#define STATEMENTS_MAX	64
size_t request_statements(const struct request *r,
    struct statement to[STATEMENTS_MAX]);

/* request_json.c: a list's element where name is NULL: what its log line says. */
void request_json(struct rh_buf *to, const char *name,
    const struct rh_request *rq);
/* All of it. */
void request_put_json(struct rh_buf *to, const struct request *r,
    struct rh_arena *arena);

#endif
