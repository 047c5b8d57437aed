/*
 * tests/lib/data/limiter_stand.c - see limiter_stand.h.
 */
#include "config.h"

#include "limiter_stand.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "data/pg_session.h"
#include "rh_check.h"

#define KEYS 4096

/* clang-format off */
struct rh_stmt stand_stmts[] = {
	[STAND_PUT] = { .name = "put", .sql = "insert into effects (k) values ($1) returning 1::bigint" },
	[STAND_COUNT] = { .name = "count", .sql = "select count(*) from effects where k = $1" },
	/* whether somebody holds the key's row: waits for nobody */
	[STAND_LOCKED] = { .name = "locked", .sql = "select count(*) from pg_locks l join pg_class c on c.oid = l.relation"
	    " where c.relname = 'rate_limits' and l.mode = 'RowExclusiveLock' and l.pid = pg_backend_pid()" },
	[STAND_RAISE] = { .name = "raise", .sql = "select ($1::text)::bigint" },
	{ 0 }
};
/* clang-format on */

void
stand_sessions_open(struct stand *s)
{
	s->own = rh_arena_new(65536, 64 << 20);
	s->arena = rh_arena_new(65536, 64 << 20);
	if (s->by == RH_LIMITER_POSTGRES) {
		s->pg_conf = (struct rh_pg_conf){ getenv("ROWHOUSE_TEST_URL"),
			10000, 20000, 0, "check_limiter" };
		s->pg = rh_pg_new(s->own, &s->pg_conf, &s->pg_obs);
		ck_assert_msg(rh_pg_ready(s->pg, true), "%s",
		    rh_pg_trouble(s->pg));
		/* it finds out by itself */
		ck_assert_int_eq(s->pg->prepared,
		    getenv("ROWHOUSE_TEST_POOLED") == NULL);
	}
	if (s->by == RH_LIMITER_REDIS) {
		s->redis_conf = (struct rh_redis_conf){
			getenv("ROWHOUSE_TEST_REDIS"), 10000, 10000, 100, NULL
		};
		s->l.redis = rh_redis_new(s->own, &s->redis_conf,
		    &s->redis_obs);
		ck_assert_msg(rh_redis_warm(s->l.redis), "%s",
		    rh_redis_trouble(s->l.redis));
	}
}

void
stand_close(struct stand *s)
{
	if (s->pg)
		rh_pg_close(s->pg);
	rh_redis_close(s->l.redis);
	rh_arena_destroy(&s->arena);
	rh_arena_destroy(&s->own);
}

void *
stand_shared(size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(at, MAP_FAILED);
	return at;
}

void
stand_init(struct stand *s, enum rh_limiter_kind by)
{
	*s = (struct stand){ .by = by == STAND_AHEAD ? RH_LIMITER_REDIS : by };
	s->l.table = stand_shared(rh_limit_bytes(KEYS));
	s->l.keys = KEYS;
	if (by == STAND_AHEAD) {
		s->l.advances = stand_shared(rh_advances_bytes(KEYS));
		s->l.advance_ns = STAND_LIFE_NS;
	}
	if (rh_stmts_count() == 0) {
		rh_stmts_register(rh_limiter_stmts);
		rh_stmts_register(stand_stmts);
		rh_scripts_register(rh_limiter_scripts);
	}
}

void
stand_open(struct stand *s, enum rh_limiter_kind by)
{
	stand_init(s, by);
	stand_sessions_open(s);
}

void
stand_begin(struct stand *s)
{
	if (s->pg) {
		rh_pg_end(s->pg);
		s->l.pipe = rh_pg_begin(s->pg, s->arena, NULL);
	}
	if (s->l.redis) {
		rh_redis_end(s->l.redis);
		rh_redis_begin(s->l.redis, s->arena, NULL);
	}
}

struct rh_slice
stand_fresh(const char *kind)
{
	char id[RH_UUID_LEN];

	rh_uuid_put(id, rh_uuid_v7());
	return rh_slice_of(rh_arena_printf(rh_check_arena(), "{%.*s}:r:%s",
	    RH_UUID_LEN, id, kind));
}

struct rh_ask
stand_ask(struct rh_slice key, int64_t quota, int64_t window_ms)
{
	struct rh_ask ask = { .n = 1 };

	ask.of[0].key = key;
	ask.of[0].quota = (struct rh_quota){ quota, window_ms };
	return ask;
}

struct rh_ask
stand_ask_two(struct rh_slice token, int64_t quota, struct rh_slice tenant,
    int64_t tenant_quota)
{
	struct rh_ask ask = stand_ask(token, quota, HOUR_MS);

	ask.n = 2;
	ask.of[1].key = tenant;
	ask.of[1].quota = (struct rh_quota){ tenant_quota, HOUR_MS };
	return ask;
}

bool
stand_take(struct stand *s, struct rh_ask *ask)
{
	struct rh_err *err;

	stand_begin(s);
	ask->by = s->by;
	rh_limiter_ask(&s->l, ask);
	if (s->pg) {
		rh_pipe_send(s->l.pipe, &stand_stmts[STAND_PUT],
		    RH_TEXT(ask->of[0].key));
		err = rh_pipe_error(s->l.pipe);
		/* behind a pooler the count is waited for */
		ck_assert_uint_eq(rh_pipe_round_trips(s->l.pipe),
		    s->pg->prepared ? 1 : 2);
		ck_assert(rh_limiter_answer(&s->l, ask));
		ck_assert_int_eq(err != NULL, ask->denied != 0);
		ck_assert(!err || err->kind == RH_E_LIMITED);
	} else {
		ck_assert(rh_limiter_answer(&s->l, ask));
	}
	for (unsigned i = 0; i < ask->n; i++)
		if (ask->of[i].known)
			ck_assert_int_eq(ask->of[i].verdict.granted,
			    ask->denied != i + 1);
	return ask->denied == 0;
}

int
stand_came_back(int quota, uint64_t ns)
{
	return (int)(ns / (HOUR_MS * UINT64_C(1000000) / (uint64_t)quota));
}

void
stand_sleep_ms(int64_t ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
}
