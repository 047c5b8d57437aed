/*
 * cache_stand - a worker of sorts with a cache, in its request, for the tests of
 * the cache, its manager, locks and once; and a Redis, each test's own.
 */
#ifndef RH_TESTS_DATA_CACHE_STAND_H
#define RH_TESTS_DATA_CACHE_STAND_H

#include "data/cache.h"

#include <stdatomic.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "data/cache_manager.h"
#include "data/coherent.h"
#include "data/lock.h"
#include "rh_check.h"
#include "redis_server.h"

#define TTL_MS	60000
#define BRIEF_MS	2000	/* to be waited for; and we may be slow before it ends */

static struct redis_server server;
static const struct rh_uuid ours = { { 1 } }, theirs = { { 2 } };

/* ---- a worker of sorts, in its request ---- */

static struct rh_redis_conf conf = { NULL, 5000, 5000, 1, NULL };
static struct rh_redis_obs redis_obs;
static struct rh_redis *redis;
static struct rh_cache_stats stats;
static uint64_t cells[RH_CACHE_RESULTS + RH_LOCK_RESULTS];
static const struct rh_tally tally = { .cells = cells };
static const struct rh_cache_obs obs = { &tally, { 0, RH_CACHE_RESULTS, 1, 0 }, 0,
    { RH_CACHE_RESULTS, 1, 1, 0 } };

static inline struct rh_cache *
open_for(struct rh_uuid tenant)
{
	if (!redis) {
		conf.url = server.url;
		redis = rh_redis_new(rh_check_arena(), &conf, &redis_obs);
		rh_redis_begin(redis, rh_check_arena(), NULL);
	}
	return rh_cache_open(rh_check_arena(), &(struct rh_cache_conf){ redis,
	    tenant, &stats, &obs });
}

#define S(literal)	RH_SLICE(literal)
#define assert_code(call, wanted)						\
	do {									\
		struct rh_err *err_ = (call);					\
										\
		ck_assert_msg(rh_cache_err_is(err_, wanted), "%s is %s", #call,	\
		    err_ ? err_->code : "done");				\
	} while (0)
#define assert_done(call)							\
	do {									\
		struct rh_err *err_ = (call);					\
										\
		ck_assert_msg(!err_, "%s: %s, %s", #call, err_ ? err_->code : "", \
		    err_ && err_->cause ? err_->cause : "");			\
	} while (0)

/* Zeroes for all processes that are forked from now on. */
static inline void *
shared_zeroes(size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(at, MAP_FAILED);
	return at;
}

/* Waits for all of them; each has to end well. */
static inline void
all_end(int processes)
{
	for (int status; processes > 0; processes--) {
		ck_assert_int_gt(wait(&status), 0);
		ck_assert_int_eq(status, 0);
	}
}

static inline void
flush_all(void)
{
	(void)open_for(ours);
	rh_redis_send(redis, RH_SLICE_NONE, S("FLUSHALL"));
	ck_assert_int_eq(rh_redis_read(redis)->kind, RH_REDIS_TEXT);
}

static inline void
stand_set_up(void)
{
	memset(&server, 0, sizeof(server));
	redis_server_start(&server);
}

static inline void
stand_tear_down(void)
{
	if (redis)
		rh_redis_close(redis);
	redis = NULL;
	redis_server_remove(&server);
}

static inline int
stand_main(const char *name, const struct rh_check_case *cases, size_t n,
    void (*tear_down)(void))
{
	int failed;

	if (!redis_server_is_there()) {
		puts("skipped: the Redis server is not installed");
		return 77;
	}
	rh_cache_register();
	rh_lock_register();
	redis_server_home_open();
	failed = rh_check_run_with(name, cases, n, stand_set_up, tear_down);
	return redis_server_home_close() ? 1 : failed;
}

#endif
