/*
 * cache_manager - hands out the cache of a tenant: in the shared Redis, under
 * the tenant's tag, or in a Redis of the tenant's own.
 *
 * Shape    sessions by URL, at most max of them: the one that was not used for
 *          longest goes; one that nobody used for idle_ms goes as well. A
 *          session in use is never closed: it goes when it is given back
 * Units    _ms
 * Errors   cache.configuration (no Redis for this tenant, a URL that cannot be
 *          read), cache.connection (it is away, another process of this host is
 *          just trying, or all max are in use), what the resolver says
 * Owner    the worker. A handle is given back by rh_cache_manager_put, or by
 *          the end of its request's arena
 *
 * A worker has one thread, so concurrent misses are those of several processes.
 * They meet in the gate, in the segment: one of them connects, the others are
 * told cache.connection at once and do without until it is known whether that
 * Redis answers. Where it does not, nobody of the host asks again for retry_ms.
 */
#ifndef RH_DATA_CACHE_MANAGER_H
#define RH_DATA_CACHE_MANAGER_H

#include "data/cache.h"

struct rh_cache_manager;
struct rh_cache_gate;

/*
 * *url in that arena, or static; NULL: the shared one; "": it has none. Asked
 * for every handle.
 */
typedef struct rh_err *rh_cache_resolver(void *of, struct rh_arena *arena,
    struct rh_uuid tenant, const char **url);

struct rh_cache_manager_conf {
	struct rh_redis *shared;	/* the worker's session; NULL: none */
	rh_cache_resolver *resolver;	/* NULL: all share */
	void *of;			/* the resolver's */
	unsigned max;			/* sessions to Redises of tenants' own */
	int64_t idle_ms;
	struct rh_redis_conf own;	/* of those; url is not looked at */
	const struct rh_redis_obs *redis_obs;
	const struct rh_cache_obs *obs;	/* NULL: none */
	struct rh_cache_gate *gate;	/* in the segment, zeros at first */
};

struct rh_cache_manager_stats {
	unsigned open, in_use;
	uint64_t opened, failed, turned_away, evicted, idled;
	struct rh_cache_stats caches;	/* of all handles */
};

/* Whose handle: a request's. */
struct rh_cache_for {
	struct rh_arena *arena;
	struct rh_trace *trace;		/* NULL: none */
	uint64_t deadline_ns;		/* 0: none */
	struct rh_uuid tenant;
};

size_t rh_cache_gate_bytes(void);
/* conf, and what it names, outlives it. */
struct rh_cache_manager *rh_cache_manager_new(struct rh_arena *worker_arena,
    const struct rh_cache_manager_conf *conf);
/* The shared session's rh_redis_begin was the caller's. */
RH_MUST_CHECK struct rh_err *rh_cache_manager_get(struct rh_cache_manager *m,
    const struct rh_cache_for *whose, struct rh_cache **cache);
/* The handle is closed; its session stays, for the next. */
void rh_cache_manager_put(struct rh_cache_manager *m, struct rh_cache *cache);
/* While there is no request: closes what nobody used for long. */
void rh_cache_manager_idle(struct rh_cache_manager *m);
void rh_cache_manager_stats(const struct rh_cache_manager *m,
    struct rh_cache_manager_stats *to);
/* Of the request that has handles now: what it had of Redises of tenants' own. */
unsigned rh_cache_manager_round_trips(const struct rh_cache_manager *m);
uint64_t rh_cache_manager_wait_ns(const struct rh_cache_manager *m);
/* What is in use is closed when it is given back. */
void rh_cache_manager_close(struct rh_cache_manager *m);

#endif
