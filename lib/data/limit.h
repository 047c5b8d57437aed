/*
 * limit - GCRA, and its counters in shared memory.
 *
 * Shape    one 64-bit theoretical arrival time per key in a table of the
 *          segment, moved by one compare-and-swap; all workers of a host
 *          share it. data/limiter.h is the contract for it and for others
 * Units    quota requests per window_ms; each takes a step of the window, a
 *          whole number of nanoseconds
 * Errors   none; where the table is full the oldest idle key goes, and where
 *          none is idle the request is granted, uncounted
 *          (a take-over at the moment another process counts on the cell may
 *          lose that one count)
 * Owner    the segment's area "limits"; a verdict is a plain value
 * Source   GCRA (ITU-T I.371); RateLimit fields: draft-ietf-httpapi-ratelimit-headers
 */
#ifndef RH_DATA_LIMIT_H
#define RH_DATA_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rh_limit_table;	/* in shared memory, zeros at first */

struct rh_quota {
	int64_t quota;
	int64_t window_ms;
};

struct rh_verdict {
	bool granted;
	int64_t remaining;	/* requests left at once */
	int64_t reset_ms;	/* until all of the quota is back */
	int64_t retry_ms;	/* 0 where granted */
};

/*
 * What a request takes of the window, and the window as that many whole steps:
 * a rest of the division is no request more.
 */
struct rh_gcra {
	int64_t step_ns, window_ns;
};
struct rh_gcra rh_limit_pace(struct rh_quota quota);
/* used_ns: of the window; of a request that was denied: before it. */
struct rh_verdict rh_limit_verdict(struct rh_gcra pace, bool granted,
    int64_t used_ns);

size_t rh_limit_bytes(unsigned keys);
/*
 * key: 64 bits of a hash of kind and identity. now_ns: a clock that all workers
 * share. What was counted in a longer window counts as this one full.
 */
struct rh_verdict rh_limit_take(struct rh_limit_table *table, unsigned keys,
    uint64_t key, struct rh_quota quota, uint64_t now_ns);
/* What is left now; nothing is taken. granted: a request would be. */
struct rh_verdict rh_limit_look(struct rh_limit_table *table, unsigned keys,
    uint64_t key, struct rh_quota quota, uint64_t now_ns);
/* Gives one request back: it was not the key's own after all. */
void rh_limit_give(struct rh_limit_table *table, unsigned keys, uint64_t key,
    struct rh_quota quota);

#endif
