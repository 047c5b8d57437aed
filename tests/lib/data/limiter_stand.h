/*
 * limiter_stand - a worker of sorts with a limiter, for its tests.
 *
 * Shape    counters of stand_init() are shared by the processes forked after it;
 *          sessions are each process' own
 * Errors   what does not come up, or does not count as it has to, fails the test
 * Owner    the test; PostgreSQL and Redis are whoever's runs it: it names them
 *          by ROWHOUSE_TEST_URL and ROWHOUSE_TEST_REDIS
 */
#ifndef RH_TESTS_LIMITER_STAND_H
#define RH_TESTS_LIMITER_STAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "data/limiter.h"
#include "data/pg.h"
#include "data/redis.h"

#define HOUR_MS		3600000
#define SEC_NS INT64_C(1000000000)

/* Redis once more, where a host draws in advance. */
#define STAND_AHEAD RH_LIMITERS
#define STAND_LIFE_NS (SEC_NS / 4)

/* Statements of a request, of stand_stmts. */
enum { STAND_PUT, STAND_COUNT, STAND_LOCKED, STAND_RAISE };
extern struct rh_stmt stand_stmts[];

struct stand {
	struct rh_arena *own, *arena;
	enum rh_limiter_kind by;
	struct rh_pg_conf pg_conf;
	struct rh_pg_obs pg_obs;
	struct rh_redis_conf redis_conf;
	struct rh_redis_obs redis_obs;
	struct rh_pg *pg;
	struct rh_limiter l;
};

/* Before a fork: what is for all processes. */
void stand_init(struct stand *s, enum rh_limiter_kind by);
/* After a fork: nobody shares a session. */
void stand_sessions_open(struct stand *s);
/* Both. */
void stand_open(struct stand *s, enum rh_limiter_kind by);
void stand_close(struct stand *s);
/* Zeroes that are shared by the processes forked later. */
void *stand_shared(size_t bytes);

/* A request begins, whatever came before. */
void stand_begin(struct stand *s);
/* A key that no other test has, and no other run. */
struct rh_slice stand_fresh(const char *kind);
/* As a request asks: for one budget; for a token's and its tenant's, of an hour. */
struct rh_ask stand_ask(struct rh_slice key, int64_t quota, int64_t window_ms);
struct rh_ask stand_ask_two(struct rh_slice token, int64_t quota,
    struct rh_slice tenant, int64_t tenant_quota);
/* True: granted. In PostgreSQL a statement of the request's stands behind it. */
bool stand_take(struct stand *s, struct rh_ask *ask);
/* Of an hour's quota; 0 where it takes less than a step, as it should. */
int stand_came_back(int quota, uint64_t ns);
void stand_sleep_ms(int64_t ms);

#endif
