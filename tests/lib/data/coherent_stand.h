/*
 * coherent_stand - workers of hosts on one Redis, for the tests of what they may
 * read from it and fill.
 *
 * Owner    set_up and tear_down, around each test
 */
#ifndef TESTS_COHERENT_STAND_H
#define TESTS_COHERENT_STAND_H

#include "data/coherent.h"

#include <sys/mman.h>

#include "base/clock.h"
#include "data/coherent_place.h"
#include "data/redis_session.h"
#include "rh_check.h"
#include "redis_server.h"

#define SLOTS		4
#define TTL_MS		60000
#define LIFE_MS		20000
#define LEASE_MS	20000
/*
 * A worker says how old a value may be, and Redis looks at its clock later. What
 * is younger than what it is measured by by less than lies between the two is not
 * trusted, and we may be slow there: so connections are old, but in a test of that.
 */
#define OLD_MS		30000
#define AWAY_MS		500
#define BRIEF_MS	3000	/* to be waited for; and we may be slow before it ends */

static struct redis_server server;
static struct rh_coherent_shared *host;
static const struct rh_uuid tenant = { { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 } };
static const struct rh_slice group = RH_SLICE_INIT("projects"),
    entry = RH_SLICE_INIT("20");

/* ---- workers of a host ---- */

struct worker {
	struct rh_arena *own, *arena;
	struct rh_redis_conf conf;
	struct rh_redis_obs obs;
	struct rh_redis *redis;
	struct rh_coherent *c;
	struct rh_cached got;
	struct rh_tomb tomb;
};

static const char *const caches[] = { "other", "principals", "projects", NULL };
static uint64_t cells[3 * RH_CACHE_RESULTS];
static const struct rh_tally tally = { .cells = cells };
static const struct rh_coherent_obs obs = { &tally, { 0, RH_CACHE_RESULTS, 1, 0 }, caches };

static int64_t quarantine_ms;	/* 0: of one host */
static struct worker *all[8];
static unsigned nall;

static inline struct worker *
worker_on(struct rh_coherent_shared *shared, unsigned slot)
{
	struct rh_arena *own = rh_arena_new(1 << 16, 1 << 24);
	struct worker *w = RH_NEW(own, struct worker);

	*w = (struct worker){ .own = own, .arena = rh_arena_new(4096, 1 << 24),
	    .conf = { server.url, 5000, 5000, 1, NULL } };
	w->redis = rh_redis_new(own, &w->conf, &w->obs);
	ck_assert(rh_redis_warm(w->redis));
	w->redis->since_ms -= OLD_MS;
	w->c = rh_coherent_new(own, &(struct rh_coherent_conf){ w->redis, shared,
	    SLOTS, slot, LEASE_MS, quarantine_ms, AWAY_MS }, &obs);
	ck_assert_uint_lt(nall, RH_COUNT(all));
	return all[nall++] = w;
}

static inline struct worker *
worker(unsigned slot)
{
	return worker_on(host, slot);
}

/* One whose connection is no older than it is. */
static inline struct worker *
newcomer(unsigned slot)
{
	struct worker *w = worker(slot);

	w->redis->since_ms += OLD_MS;
	return w;
}

static inline void
begin(struct worker *w)
{
	rh_redis_begin(w->redis, w->arena, NULL);
	rh_coherent_begin(w->c);
}

static inline void
end(struct worker *w)
{
	rh_coherent_post(w->c);
	rh_redis_end(w->redis);
}

/* What was posted is through: other sessions see it. */
static inline void
settled(struct worker *w)
{
	end(w);
	rh_redis_begin(w->redis, w->arena, NULL);
	rh_redis_send(w->redis, RH_SLICE_NONE, RH_SLICE("PING"));
	(void)rh_redis_read(w->redis);
	rh_redis_end(w->redis);
}

static inline enum rh_cache_result
look_at(struct worker *w, struct rh_slice in, struct rh_slice at)
{
	rh_arena_reset(w->arena);
	begin(w);
	rh_coherent_look(w->c, tenant, in, at);
	rh_coherent_answer(w->c, &w->got);
	return w->got.result;
}

/* Its value, where it is a hit, stands until the next look. */
static inline enum rh_cache_result
look(struct worker *w)
{
	enum rh_cache_result result = look_at(w, group, entry);

	settled(w);
	return result;
}

/* Where the look before it has hit: one without a lease, and then another. */
static inline enum rh_cache_result
look_again(struct worker *w)
{
	ck_assert_int_eq(look(w), RH_CACHE_BUSY);
	return look(w);
}

static inline void
fill(struct worker *w, const char *value)
{
	begin(w);
	rh_coherent_fill(w->c, &w->got.lease, rh_slice_of(value), TTL_MS);
	settled(w);
}

static inline bool
lay(struct worker *w, int64_t life_ms)
{
	bool laid;

	begin(w);
	rh_coherent_tomb(w->c, tenant, group, life_ms, &w->tomb);
	laid = rh_coherent_tomb_laid(w->c, &w->tomb);
	end(w);
	return laid;
}

static inline void
drop(struct worker *w)
{
	begin(w);
	rh_coherent_drop(w->c, &w->tomb);
	settled(w);
}

static inline void
command(struct worker *w, const char *verb, const char *key)
{
	begin(w);
	rh_redis_send(w->redis, RH_SLICE_NONE, rh_slice_of(verb),
	    rh_slice_of(key));
	ck_assert_int_ne(rh_redis_read(w->redis)->kind, RH_REDIS_ERROR);
	end(w);
}

#define KEY(kind, rest) \
	"{01020304-0506-0708-090a-0b0c0d0e0f10}:" kind ":projects" rest

static inline void *
shared_new(void)
{
	void *at = mmap(NULL, rh_coherent_shared_bytes(SLOTS),
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(at, MAP_FAILED);
	return at;
}

static inline void
set_up(void)
{
	memset(&server, 0, sizeof(server));
	redis_server_start(&server);
	host = shared_new();
}

static inline void
tear_down(void)
{
	for (; nall; nall--) {
		struct worker *w = all[nall - 1];
		struct rh_arena *own = w->own;

		rh_redis_close(w->redis);
		rh_arena_destroy(&w->arena);
		rh_arena_destroy(&own);
	}
	redis_server_remove(&server);
}

#endif
