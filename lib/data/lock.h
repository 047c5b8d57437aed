/*
 * lock - one at a time over all processes and hosts; and what is to happen
 * once.
 *
 * Shape    {tenant}:k:NAME holds the owner's token, {tenant}:f:NAME the last
 *          fence; what happens once stands in the cache under once:NAME
 * Units    ttl_ms as in cache.h: a lock whose owner has died is free after it
 * Errors   lock.held (another has it), lock.lost (it ended, or Redis forgot
 *          it, and another may have it); the others are cache.h's. While Redis
 *          is away nobody gets a lock
 * Owner    as the cache's handle: a lock that outlives its request is taken up
 *          again by its token (rh_lock_resume)
 * Source   compare in Lua, so that nobody releases what is another's; the
 *          fence is Kleppmann's (How to do distributed locking, 2016)
 *
 * A lock in Redis keeps work from being done twice, mostly. Where twice would
 * do harm let the database refuse it: store the fence with what is written, and
 * refuse a smaller one.
 */
#ifndef RH_DATA_LOCK_H
#define RH_DATA_LOCK_H

#include "data/cache.h"

#define RH_LOCK_TOKEN	16

/* Of lock_attempts_total, in this order. */
enum rh_lock_result {
	RH_LOCK_ACQUIRED, RH_LOCK_HELD, RH_LOCK_OFF, RH_LOCK_RESULTS
};
extern const char *const rh_lock_results[RH_LOCK_RESULTS + 1];

struct rh_lock {
	struct rh_cache *cache;
	struct rh_slice name;
	char token[RH_LOCK_TOKEN];
	int64_t fence;		/* larger than that of whoever had it before */
};

/* Once, before the fork: the scripts. */
void rh_lock_register(void);
/* Does not wait: lock.held is an answer. */
RH_MUST_CHECK struct rh_err *rh_lock_acquire(struct rh_cache *c,
    struct rh_slice name, int64_t ttl_ms, struct rh_lock *lock);
/* From now on. */
RH_MUST_CHECK struct rh_err *rh_lock_extend(struct rh_lock *lock,
    int64_t ttl_ms);
RH_MUST_CHECK struct rh_err *rh_lock_release(struct rh_lock *lock);
/* One that was acquired with another handle; asks nothing. */
void rh_lock_resume(struct rh_lock *lock, struct rh_cache *c);

enum rh_once_state {
	RH_ONCE_FIRST,		/* do it, then rh_once_done or rh_once_undo */
	RH_ONCE_RUNNING,	/* another does it now */
	RH_ONCE_DONE,		/* .result is what the first one left */
};

struct rh_once {
	struct rh_cache *cache;
	struct rh_slice key, claim;
	enum rh_once_state state;
	struct rh_slice result;
};

/*
 * claim_ms: how long it may take; after that another may begin. Redis can
 * forget: where twice is not merely wasteful, a unique key in the database has
 * the last word.
 */
RH_MUST_CHECK struct rh_err *rh_once_begin(struct rh_cache *c,
    struct rh_slice name, int64_t claim_ms, struct rh_once *once);
/* The result is kept for keep_ms; cache.cas_failed: it took longer than claimed. */
RH_MUST_CHECK struct rh_err *rh_once_done(struct rh_once *once,
    struct rh_slice result, int64_t keep_ms);
/* It did not happen: the next one is the first. */
RH_MUST_CHECK struct rh_err *rh_once_undo(struct rh_once *once);

#endif
