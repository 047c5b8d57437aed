/*
 * otlp_post - one POST to the collector, and what it makes of it; for
 * otlp_ship.c alone.
 *
 * Shape    a connection, made with the first POST and kept; curl_multi drives
 *          it, so that a deadline that moves can end it at once
 * Units    nanoseconds of the monotonic clock; milliseconds to wait
 * Errors   RETRY: no connection, no reply, 429, 502, 503, 504; REFUSED: any
 *          other answer but success
 * Owner    the shipper's thread; rh_otlp_post_wake is for who stops it
 * Source   OTLP 1.x specification, OTLP/HTTP Response
 */
#ifndef RH_OBS_OTLP_POST_H
#define RH_OBS_OTLP_POST_H

#include "obs/otlp.h"

enum rh_otlp_outcome {
	RH_OTLP_DELIVERED, RH_OTLP_REFUSED, RH_OTLP_RETRY
};

struct rh_otlp_answer {
	enum rh_otlp_outcome outcome;
	uint64_t rejected;		/* spans, of a partial success */
	uint64_t retry_after_ms;	/* as the collector asks; 0: it does not */
};

struct rh_otlp_post;

/* libcurl's own beginning, once; children have their parent's. */
void rh_otlp_post_prepare(void);
/* NULL: no memory. */
struct rh_otlp_post *rh_otlp_post_new(const struct rh_otlp_conf *conf);
void rh_otlp_post_destroy(struct rh_otlp_post **post);
/* until_ns(arg) is asked again and again for when to give up; it may move. */
struct rh_otlp_answer rh_otlp_post(struct rh_otlp_post *post,
    struct rh_slice body, uint64_t (*until_ns)(void *arg), void *arg);
/* From another thread: until_ns is asked at once. */
void rh_otlp_post_wake(struct rh_otlp_post *post);

#endif
