/*
 * past - what the segment remembers of requests: the last ones, and all of one,
 * with the jobs that it left and the webhooks that came of it.
 *
 * Shape    plain structs, copied: requests as they were accounted, spans as
 *          they were kept, whether shipped or not
 * Units    _us wall clock, _ns nanoseconds
 * Errors   of a segment that anyone may have made: what is no record is left
 *          out. A writer is never held up: what it overwrites meanwhile is
 *          missing
 * Owner    the arena passed in
 *
 * Each worker remembers its last requests; those that failed, were slow or
 * changed something of security it keeps apart, so that no flood of others
 * washes them away.
 */
#ifndef RH_OBS_PAST_H
#define RH_OBS_PAST_H

#include "obs/request_record.h"
#include "obs/segment.h"
#include "obs/span_record.h"

struct rh_past_filter {
	enum rh_work what;	/* requests, where nothing is said */
	bool any;		/* whatever it is */
	bool failed;		/* those alone that did, and are not tried again */
	struct rh_slice tenant, route, method;	/* n == 0: any */
	unsigned status_min, status_max;	/* 0, 0: any */
	uint64_t min_ns;
	size_t most;		/* rows to answer */
};

struct rh_past_list {
	const struct rh_request *rows;	/* newest first */
	size_t n;
	size_t matched;		/* of them the newest are the rows */
	size_t seen;		/* looked at, those kept apart not among them */
	/* of all that are of that kind */
	int64_t oldest_us;	/* of all that are remembered; 0: none is */
	int64_t whole_us;	/* from then on none is missing; 0: none ever was */
};
void rh_past_list(struct rh_past_list *list, const struct rh_segment *segment,
    const struct rh_past_filter *filter, struct rh_arena *arena);

struct rh_past_span {
	struct rh_record_span fixed;
	struct rh_slice name, error_text;
	const struct rh_attr *attrs;
	unsigned nattrs;
	unsigned slot;		/* whose process it was */
	unsigned depth;		/* below the span that caused it, if that is known */
	unsigned leg;
	enum rh_sampled_by by;
};

/*
 * What one process did at one time: a request, an attempt of a job, a webhook's
 * delivery; or whatever else left spans.
 */
struct rh_past_leg {
	enum rh_work what;
	bool is_other;		/* none of these, as far as its spans tell */
	unsigned slot;		/* whose process it was, among those of all pools */
	const struct rh_request *note;	/* its own record; NULL: it is gone */
	const struct rh_past_span *spans;	/* NULL: they were not kept, or are gone */
	size_t nspans;
	unsigned depth;		/* as its first span's */
	uint64_t start_ns, end_ns;
};

struct rh_past_part {	/* a kept record, for rh_otlp_encode */
	unsigned slot;
	struct rh_slice record;
};

struct rh_past_found {
	unsigned char trace_id[16];
	/* The one that was asked for, or that began the trace: a request, if one is left. */
	const struct rh_request *request;
	bool is_made_up;	/* of its span: its own record is gone */
	const struct rh_request *requests;	/* of the trace, oldest first */
	size_t nrequests;
	const struct rh_past_span *spans;	/* leg by leg, callers first */
	size_t nspans;
	const struct rh_past_leg *legs;		/* oldest first */
	size_t nlegs;
	unsigned spans_dropped;
	const struct rh_past_part *parts;
	size_t nparts;
};
/* id: a request_id, a trace_id, or a job's or delivery's id. False: it is not remembered. */
RH_MUST_CHECK bool rh_past_find(struct rh_past_found *found,
    const struct rh_segment *segment, struct rh_slice id,
    struct rh_arena *arena);
/* The first span of the one that was asked for; NULL: it was not kept. */
const struct rh_past_span *rh_past_server_span(const struct rh_past_found *found);

/* Why its trace was kept, or was not: a sentence for an operator. */
void rh_past_why(struct rh_buf *to, const struct rh_request *rq);

/* Text of a span's attribute; p == NULL: it has none. */
struct rh_slice rh_past_attr(const struct rh_past_span *span, const char *key);

#endif
