/*
 * cache - bytes by key in Redis, for what an application wants to keep there:
 * a tenant sees its own keys and no other's.
 *
 * Shape    {tenant}:c:KEY; each call is a round trip of its own. What stands in
 *          front of a request's pipeline is coherent.h instead
 * Units    ttl_ms from 1 to RH_CACHE_TTL_MAX_MS; keys of 1 to RH_CACHE_KEY_MAX
 *          bytes, values of up to RH_CACHE_VALUE_MAX
 * Errors   cache.not_found, cache.cas_failed, cache.closed, cache.invalid_ttl,
 *          cache.configuration (no Redis, or a URL that cannot be read),
 *          cache.connection (it is away: do without), cache.operation (it
 *          refused, or the key or value is out of bounds). rh_cache_err_of has
 *          the key and the operation; texts, which are logged, have no key
 * Owner    a handle is a request's, between rh_redis_begin and _end, or up to
 *          rh_cache_manager_put; values live in that request's arena
 */
#ifndef RH_DATA_CACHE_H
#define RH_DATA_CACHE_H

#include "base/err.h"
#include "base/id.h"
#include "data/redis.h"
#include "obs/metric.h"

#define RH_CACHE_KEY_MAX	512
#define RH_CACHE_VALUE_MAX	((size_t)8 << 20)
#define RH_CACHE_TTL_MAX_MS	(INT64_C(366) * 86400000)

struct rh_cache;

/* Of all handles that were opened with it; one process counts. */
struct rh_cache_stats {
	uint64_t hits, misses, stored, deleted, cas_failed, errors;
};

/* cache_requests_total and lock_attempts_total; tally NULL: nothing is counted. */
struct rh_cache_obs {
	const struct rh_tally *tally;
	struct rh_family requests;	/* cache, rh_cache_results (coherent.h) */
	unsigned cache;			/* which */
	struct rh_family locks;		/* rh_lock_results (lock.h) */
};

struct rh_cache_conf {
	struct rh_redis *redis;		/* NULL: every call is cache.configuration */
	struct rh_uuid tenant;
	struct rh_cache_stats *stats;	/* NULL: none */
	const struct rh_cache_obs *obs;	/* NULL: none */
};

/* What an error of this file, or of lock.h, was about; NULL: of no cache. */
struct rh_cache_err {
	struct rh_err err;
	const char *operation;		/* "compare_and_set" */
	struct rh_slice key;
};
const struct rh_cache_err *rh_cache_err_of(const struct rh_err *err);
/* "cache.not_found" and so on; err may be NULL. */
bool rh_cache_err_is(const struct rh_err *err, const char *code);

/* Once, before the fork: the scripts. */
void rh_cache_register(void);
/* arena is the request's, as in rh_redis_begin. What it asked before has been read. */
struct rh_cache *rh_cache_open(struct rh_arena *arena,
    const struct rh_cache_conf *conf);

RH_MUST_CHECK struct rh_err *rh_cache_get(struct rh_cache *c,
    struct rh_slice key, struct rh_slice *value);
RH_MUST_CHECK struct rh_err *rh_cache_set(struct rh_cache *c,
    struct rh_slice key, struct rh_slice value, int64_t ttl_ms);
/* One that is not there is deleted, too. */
RH_MUST_CHECK struct rh_err *rh_cache_delete(struct rh_cache *c,
    struct rh_slice key);
/* *stored is what is there afterwards; *was_set: this call put it there. */
RH_MUST_CHECK struct rh_err *rh_cache_get_or_set(struct rh_cache *c,
    struct rh_slice key, struct rh_slice value, int64_t ttl_ms,
    struct rh_slice *stored, bool *was_set);
/* expected.p NULL: only where nothing is there. Else: cache.cas_failed. */
RH_MUST_CHECK struct rh_err *rh_cache_compare_and_set(struct rh_cache *c,
    struct rh_slice key, struct rh_slice expected, struct rh_slice value,
    int64_t ttl_ms);
RH_MUST_CHECK struct rh_err *rh_cache_compare_and_delete(struct rh_cache *c,
    struct rh_slice key, struct rh_slice expected);
/* It answers. */
RH_MUST_CHECK struct rh_err *rh_cache_health(struct rh_cache *c);
RH_MUST_CHECK struct rh_err *rh_cache_stats(struct rh_cache *c,
    struct rh_cache_stats *to);
/* Whatever is called after it is cache.closed. Its session goes on. */
void rh_cache_close(struct rh_cache *c);

#endif
