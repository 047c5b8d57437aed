/*
 * tests/lib/data/check_limiter.c - one contract, three places to count in.
 * test_limiter.py starts a PostgreSQL and a Redis for it.
 */
#include "config.h"

#include "data/limiter.h"

#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "data/pg.h"
#include "data/redis.h"
#include "rh_check.h"

#define KEYS		4096
#define PROCESSES	16
#define HOUR_MS		3600000
#define SEC_NS		INT64_C(1000000000)

enum { PUT, COUNT, LOCKED, RAISE };
enum { AUTO, ON, OFF };	/* prepared statements */

/* clang-format off */
static struct rh_stmt stmts[] = {
	[PUT] = { .name = "put", .sql = "insert into effects (k) values ($1) returning 1::bigint" },
	[COUNT] = { .name = "count", .sql = "select count(*) from effects where k = $1" },
	/* whether somebody holds the key's row: waits for nobody */
	[LOCKED] = { .name = "locked", .sql = "select count(*) from pg_locks l join pg_class c on c.oid = l.relation"
	    " where c.relname = 'rate_limits' and l.mode = 'RowExclusiveLock' and l.pid = pg_backend_pid()" },
	[RAISE] = { .name = "raise", .sql = "select ($1::text)::bigint" },
	{ 0 }
};
/* clang-format on */

/* Redis once more, where a host draws in advance. */
#define AHEAD	RH_LIMITERS
#define LIFE_NS	(SEC_NS / 4)

static const enum rh_limiter_kind places[] = {
	RH_LIMITER_SHM, RH_LIMITER_REDIS, RH_LIMITER_POSTGRES, AHEAD
};

/* ---- a worker of sorts ---- */

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

/* After a fork: nobody shares a session. */
static void
sessions_open(struct stand *s)
{
	s->own = rh_arena_new(65536, 64 << 20);
	s->arena = rh_arena_new(65536, 64 << 20);
	if (s->by == RH_LIMITER_POSTGRES) {
		s->pg_conf = (struct rh_pg_conf){ getenv("ROWHOUSE_TEST_URL"),
			10000, 20000, getenv("ROWHOUSE_TEST_POOLED") ? OFF :
			AUTO, "check_limiter" };
		s->pg = rh_pg_new(s->own, &s->pg_conf, &s->pg_obs);
		ck_assert_msg(rh_pg_ready(s->pg, true), "%s",
		    rh_pg_trouble(s->pg));
	}
	if (s->by == RH_LIMITER_REDIS) {
		s->redis_conf = (struct rh_redis_conf){
			getenv("ROWHOUSE_TEST_REDIS"), 10000, 10000, 100, NULL };
		s->l.redis = rh_redis_new(s->own, &s->redis_conf,
		    &s->redis_obs);
		ck_assert_msg(rh_redis_warm(s->l.redis), "%s",
		    rh_redis_trouble(s->l.redis));
	}
}

static void
sessions_close(struct stand *s)
{
	if (s->pg)
		rh_pg_close(s->pg);
	rh_redis_close(s->l.redis);
	rh_arena_destroy(&s->arena);
	rh_arena_destroy(&s->own);
}

static void *
shared(size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(at, MAP_FAILED);
	return at;
}

/* Before a fork: what is for all processes. */
static void
stand_init(struct stand *s, enum rh_limiter_kind by)
{
	*s = (struct stand){ .by = by == AHEAD ? RH_LIMITER_REDIS : by };
	s->l.table = shared(rh_limit_bytes(KEYS));
	s->l.keys = KEYS;
	if (by == AHEAD) {
		s->l.advances = shared(rh_advances_bytes(KEYS));
		s->l.advance_ns = LIFE_NS;
	}
	if (rh_stmts_count() == 0) {
		rh_stmts_register(rh_limiter_stmts);
		rh_stmts_register(stmts);
		rh_scripts_register(rh_limiter_scripts);
	}
}

static void
stand_open(struct stand *s, enum rh_limiter_kind by)
{
	stand_init(s, by);
	sessions_open(s);
}

/* A request begins, whatever came before. */
static void
begin(struct stand *s)
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

/* A key that no other test has, and no other run. */
static struct rh_slice
fresh(const char *kind)
{
	char id[RH_UUID_LEN];

	rh_uuid_put(id, rh_uuid_v7());
	return rh_slice_of(rh_arena_printf(rh_check_arena(), "{%.*s}:r:%s",
	    RH_UUID_LEN, id, kind));
}

/* ---- an ask, as a request makes it ---- */

static struct rh_ask
ask_of(struct rh_slice key, int64_t quota, int64_t window_ms)
{
	struct rh_ask ask = { .n = 1 };

	ask.of[0].key = key;
	ask.of[0].quota = (struct rh_quota){ quota, window_ms };
	return ask;
}

static struct rh_ask
ask_two(struct rh_slice token, int64_t quota, struct rh_slice tenant,
    int64_t tenant_quota)
{
	struct rh_ask ask = ask_of(token, quota, HOUR_MS);

	ask.n = 2;
	ask.of[1].key = tenant;
	ask.of[1].quota = (struct rh_quota){ tenant_quota, HOUR_MS };
	return ask;
}

/* True: granted. In PostgreSQL a statement of the request's stands behind it. */
static bool
take(struct stand *s, struct rh_ask *ask)
{
	struct rh_err *err;

	begin(s);
	ask->by = s->by;
	rh_limiter_ask(&s->l, ask);
	if (s->pg) {
		rh_pipe_send(s->l.pipe, &stmts[PUT],
		    RH_TEXT(ask->of[0].key));
		err = rh_pipe_error(s->l.pipe);
		ck_assert_uint_eq(rh_pipe_round_trips(s->l.pipe), 1);
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

static int
granted_of(struct stand *s, const struct rh_ask *of, int tries)
{
	int granted = 0;

	for (int i = 0; i < tries; i++) {
		struct rh_ask ask = *of;

		granted += take(s, &ask);
	}
	return granted;
}

/* ---- one process ---- */

START_TEST(a_verdict_says_what_is_left_and_when)
{
	const int64_t step_ms = HOUR_MS / 4;
	struct stand s;
	struct rh_slice key;

	stand_open(&s, places[_i]);
	key = fresh("t");
	for (int i = 1; i <= 4; i++) {
		struct rh_ask ask = ask_of(key, 4, HOUR_MS);
		const struct rh_verdict *v = &ask.of[0].verdict;

		ck_assert(take(&s, &ask));
		ck_assert(ask.of[0].known);
		ck_assert_int_eq(v->remaining, 4 - i);
		ck_assert_int_eq(v->retry_ms, 0);
		ck_assert_int_le(v->reset_ms, i * step_ms);
		ck_assert_int_gt(v->reset_ms, (i - 1) * step_ms);
	}
	for (int i = 0; i < 3; i++) {
		struct rh_ask ask = ask_of(key, 4, HOUR_MS);
		const struct rh_verdict *v = &ask.of[0].verdict;

		ck_assert(!take(&s, &ask));
		ck_assert_int_eq(v->remaining, 0);
		ck_assert(v->retry_ms > 0 && v->retry_ms <= step_ms);
		ck_assert(v->reset_ms > 3 * step_ms && v->reset_ms <= HOUR_MS);
	}
	sessions_close(&s);
}
END_TEST

static const int quotas[] = { 1, 7, 300 };

/* Of an hour's quota; 0 where it takes less than a step, as it should. */
static int
came_back(int quota, uint64_t ns)
{
	return (int)(ns / (HOUR_MS * UINT64_C(1000000) / (uint64_t)quota));
}

START_TEST(a_quota_is_met_exactly)
{
	for (size_t i = 0; i < RH_COUNT(quotas); i++) {
		struct rh_ask ask = ask_of(fresh("t"), quotas[i], HOUR_MS);
		struct stand s;
		uint64_t begun;
		int granted;

		stand_open(&s, places[_i]);
		begun = rh_clock_mono_ns();
		granted = granted_of(&s, &ask, quotas[i] + 20);
		ck_assert_int_ge(granted, quotas[i]);
		ck_assert_int_le(granted, quotas[i] + came_back(quotas[i],
		    rh_clock_mono_ns() - begun));
		sessions_close(&s);
	}
}
END_TEST

static void
sleep_ms(int64_t ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
}

START_TEST(a_retry_at_the_time_named_is_granted)
{
	struct rh_ask of = ask_of(fresh("t"), 2, 200);
	struct stand s;

	stand_open(&s, places[_i]);
	for (int i = 0; i < 5; i++) {
		struct rh_ask ask = of;

		while (take(&s, &ask))
			ask = of;
		ck_assert_int_gt(ask.of[0].verdict.retry_ms, 0);
		sleep_ms(ask.of[0].verdict.retry_ms);
		ask = of;
		ck_assert(take(&s, &ask));
	}
	sessions_close(&s);
}
END_TEST

START_TEST(who_is_over_takes_nothing_from_the_other)
{
	struct rh_slice tenant = fresh("t"), one = fresh("k:1"), two = fresh("k:2");
	struct rh_ask ask;
	struct stand s;

	stand_open(&s, places[_i]);
	/* the token's three are used up; twenty more do not touch the tenant's */
	ask = ask_two(one, 3, tenant, 5);
	ck_assert_int_eq(granted_of(&s, &ask, 23), 3);
	ck_assert(!take(&s, &ask));
	ck_assert_int_eq(ask.denied, 1);
	/* the tenant's five are; the second token has taken its two, no more */
	ask = ask_two(two, 10, tenant, 5);
	ck_assert_int_eq(granted_of(&s, &ask, 20), 2);
	ck_assert(!take(&s, &ask));
	ck_assert_int_eq(ask.denied, 2);
	ck_assert(ask.of[0].known && ask.of[0].verdict.granted);
	ck_assert_int_eq(ask.of[0].verdict.remaining, 8);
	ask = ask_of(two, 10, HOUR_MS);
	ck_assert_int_eq(granted_of(&s, &ask, 20), 8);
	sessions_close(&s);
}
END_TEST

START_TEST(what_is_given_back_can_be_taken_again)
{
	struct rh_ask of = ask_two(fresh("k"), 3, fresh("t"), 100), ask = of;
	struct stand s;

	stand_open(&s, places[_i]);
	ck_assert_int_eq(granted_of(&s, &of, 10), 3);
	ask.by = s.by;
	begin(&s);
	rh_limiter_give(&s.l, &ask);
	ck_assert_int_eq(granted_of(&s, &of, 10), 1);
	/* given back and never taken: nobody has more than his quota */
	for (int i = 0; i < 5; i++) {
		begin(&s);
		rh_limiter_give(&s.l, &ask);
	}
	ck_assert_int_eq(granted_of(&s, &of, 10), 3);
	sessions_close(&s);
}
END_TEST

/* A plan's window became a second: an hour's worth of it is forgotten in one. */
START_TEST(a_shorter_window_takes_effect)
{
	struct rh_slice key = fresh("t");
	struct rh_ask hour = ask_of(key, 3, HOUR_MS), ask;
	struct stand s;

	stand_open(&s, places[_i]);
	ck_assert_int_eq(granted_of(&s, &hour, 5), 3);
	ask = ask_of(key, 4, 1000);
	ck_assert(!take(&s, &ask));
	ck_assert_int_le(ask.of[0].verdict.retry_ms, 250);
	ck_assert_int_le(ask.of[0].verdict.reset_ms, 1000);
	sleep_ms(ask.of[0].verdict.retry_ms);
	ask = ask_of(key, 4, 1000);
	ck_assert(take(&s, &ask));
	sessions_close(&s);
}
END_TEST

/* ---- sixteen processes ---- */

struct crowd {
	_Atomic int ready, granted, of_each[PROCESSES];
	_Atomic bool go;
};

static void
one_of_the_crowd(struct stand *s, struct crowd *c, const struct rh_ask *of,
    int tries, uint64_t for_ns)
{
	uint64_t begun;

	sessions_open(s);
	c->ready++;
	while (!c->go)
		sleep_ms(1);
	begun = rh_clock_mono_ns();
	for (int i = 0; i < tries && (!for_ns ||
	    rh_clock_mono_ns() - begun < for_ns); i++) {
		struct rh_ask ask = *of;

		c->granted += take(s, &ask);
		rh_arena_reset(s->arena);
	}
	sessions_close(s);
	_exit(0);
}

/* Each asks its own of asks[]; answers how long it took, in ns. */
static uint64_t
crowd_run(struct stand *s, struct crowd **to, const struct rh_ask *asks,
    int tries, uint64_t for_ns)
{
	struct crowd *c = mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t start = 0;
	int status;

	*to = c;
	for (int i = 0; i < PROCESSES; i++)
		if (fork() == 0)
			one_of_the_crowd(s, c, &asks[i], tries, for_ns);
	while (c->ready < PROCESSES)
		sleep_ms(1);
	start = rh_clock_mono_ns();
	c->go = true;
	for (int i = 0; i < PROCESSES; i++) {
		wait(&status);
		ck_assert_int_eq(status, 0);
	}
	return rh_clock_mono_ns() - start;
}

START_TEST(sixteen_processes_share_one_quota)
{
	const int quota = 500;
	struct rh_ask asks[PROCESSES];
	struct crowd *c;
	struct stand s;
	uint64_t ns;

	stand_init(&s, places[_i]);
	asks[0] = ask_of(fresh("t"), quota, HOUR_MS);
	for (int i = 1; i < PROCESSES; i++)
		asks[i] = asks[0];
	ns = crowd_run(&s, &c, asks, 50, 0);
	/* 800 asks; a step is 7.2 s, so where they took less it is exactly 500 */
	ck_assert_int_ge(c->granted, quota);
	ck_assert_int_le(c->granted, quota + came_back(quota, ns));
}
END_TEST

START_TEST(a_period_has_the_quota_and_what_came_back)
{
	const int quota = 40, window_ms = 400;
	struct rh_ask asks[PROCESSES];
	struct crowd *c;
	struct stand s;
	uint64_t ns;

	stand_init(&s, places[_i]);
	asks[0] = ask_of(fresh("t"), quota, window_ms);
	for (int i = 1; i < PROCESSES; i++)
		asks[i] = asks[0];
	ns = crowd_run(&s, &c, asks, 1000000, 3 * SEC_NS);
	ck_assert_int_ge(c->granted, quota);
	ck_assert_int_le(c->granted, quota + (int)(ns * quota /
	    (window_ms * UINT64_C(1000000))) + 1);
}
END_TEST

/* A token each, one tenant: its quota to the last, and nothing charged for nothing. */
START_TEST(sixteen_tokens_share_one_tenant)
{
	const int quota = 100, each = 20;
	struct rh_slice tenant = fresh("t"), token;
	struct rh_ask asks[PROCESSES];
	struct crowd *c;
	struct stand s;
	uint64_t ns, begun;
	int left = 0;

	stand_init(&s, places[_i]);
	for (int i = 0; i < PROCESSES; i++) {
		token = rh_slice_of(rh_arena_printf(rh_check_arena(), "%.*s:%d",
		    RH_SLICE_ARG(tenant), i));
		asks[i] = ask_two(token, each, tenant, quota);
	}
	ns = crowd_run(&s, &c, asks, 30, 0);
	ck_assert_int_ge(c->granted, quota);
	ck_assert_int_le(c->granted, quota + came_back(quota, ns));
	sessions_open(&s);
	begun = rh_clock_mono_ns();
	for (int i = 0; i < PROCESSES; i++) {
		struct rh_ask ask = ask_of(asks[i].of[0].key, each, HOUR_MS);

		left += granted_of(&s, &ask, each + 5);
	}
	ck_assert_int_ge(left, PROCESSES * each - c->granted);
	ck_assert_int_le(left, PROCESSES * (each + came_back(each,
	    rh_clock_mono_ns() - begun + ns)) - c->granted);
	sessions_close(&s);
}
END_TEST

/* ---- Redis: its place in the pipeline ---- */

START_TEST(an_ask_travels_with_what_else_is_queued)
{
	struct rh_slice key = fresh("k"), other = fresh("other");
	struct rh_ask ask = ask_two(key, 5, fresh("t"), 5);
	struct stand s;

	stand_open(&s, RH_LIMITER_REDIS);
	begin(&s);
	ask.by = RH_LIMITER_REDIS;
	rh_redis_send(s.l.redis, other, RH_SLICE("SET"), other, RH_SLICE("x"));
	rh_limiter_ask(&s.l, &ask);
	rh_redis_send(s.l.redis, other, RH_SLICE("GET"), other);
	ck_assert_int_ne(rh_redis_read(s.l.redis)->kind, RH_REDIS_ERROR);
	ck_assert(rh_limiter_answer(&s.l, &ask));
	ck_assert_int_eq(ask.of[1].verdict.remaining, 4);
	rh_assert_slice_eq(rh_redis_read(s.l.redis)->text, RH_SLICE("x"));
	ck_assert_uint_eq(rh_redis_round_trips(s.l.redis), 1);
	sessions_close(&s);
}
END_TEST

START_TEST(a_counter_in_redis_ends_when_its_window_does)
{
	struct rh_slice key = fresh("t");
	struct rh_ask ask = ask_of(key, 10, 60000);
	const struct rh_redis_value *v;
	struct stand s;

	stand_open(&s, RH_LIMITER_REDIS);
	ck_assert_int_eq(granted_of(&s, &ask, 3), 3);
	begin(&s);
	rh_redis_send(s.l.redis, key, RH_SLICE("PTTL"), key);
	v = rh_redis_read(s.l.redis);
	ck_assert_int_eq(v->kind, RH_REDIS_INT);
	ck_assert(v->number > 6000 && v->number <= 18001);
	sessions_close(&s);
}
END_TEST

START_TEST(a_redis_that_is_away_leaves_the_ask_unanswered)
{
	struct rh_ask ask = ask_of(fresh("t"), 10, 60000);
	struct rh_redis_conf conf = { "unix:///nowhere/redis.sock", 100, 100,
		100, NULL };
	struct stand s;

	stand_init(&s, RH_LIMITER_REDIS);
	s.own = rh_arena_new(65536, 64 << 20);
	s.arena = rh_arena_new(65536, 64 << 20);
	s.l.redis = rh_redis_new(s.own, &conf, &s.redis_obs);
	begin(&s);
	ask.by = RH_LIMITER_REDIS;
	rh_limiter_ask(&s.l, &ask);
	ck_assert(!rh_limiter_answer(&s.l, &ask));
	ck_assert(!ask.answered && !ask.of[0].known);
	rh_limiter_give(&s.l, &ask);	/* nothing happens */
	sessions_close(&s);
}
END_TEST

/* ---- PostgreSQL: in front of the request, and apart from it ---- */

static int64_t
effects(struct stand *s, struct rh_slice key)
{
	int64_t n;

	begin(s);
	rh_pipe_send(s->l.pipe, &stmts[COUNT], RH_TEXT(key));
	n = rh_pipe_int(s->l.pipe);
	ck_assert_ptr_null(rh_pipe_error(s->l.pipe));
	return n;
}

START_TEST(what_was_denied_is_not_executed)
{
	struct rh_slice key = fresh("t");
	struct rh_ask ask = ask_of(key, 3, HOUR_MS);
	struct stand s;

	stand_open(&s, RH_LIMITER_POSTGRES);
	ck_assert_int_eq(granted_of(&s, &ask, 10), 3);
	ck_assert_int_eq(effects(&s, key), 3);
	sessions_close(&s);
}
END_TEST

START_TEST(what_was_counted_stays_when_the_request_is_rolled_back)
{
	struct rh_slice key = fresh("t");
	struct stand s;

	stand_open(&s, RH_LIMITER_POSTGRES);
	for (int i = 0; i < 3; i++) {
		struct rh_ask ask = ask_of(key, 3, HOUR_MS);

		begin(&s);
		ask.by = s.by;
		rh_limiter_ask(&s.l, &ask);
		rh_pipe_send(s.l.pipe, &stmts[PUT], RH_TEXT(key));
		rh_pipe_send(s.l.pipe, &stmts[RAISE], RH_TEXT(RH_SLICE("x")));
		ck_assert_ptr_nonnull(rh_pipe_error(s.l.pipe));
		ck_assert(rh_limiter_answer(&s.l, &ask));
		ck_assert_int_eq(ask.of[0].verdict.remaining, 2 - i);
	}
	ck_assert_int_eq(effects(&s, key), 0);
	ck_assert(!take(&s, &(struct rh_ask){ .n = 1,
	    .of[0] = { .key = key, .quota = { 3, HOUR_MS } } }));
	sessions_close(&s);
}
END_TEST

START_TEST(the_requests_transaction_holds_no_counter)
{
	struct rh_ask ask = ask_of(fresh("t"), 3, HOUR_MS);
	struct stand s;

	stand_open(&s, RH_LIMITER_POSTGRES);
	begin(&s);
	ask.by = s.by;
	rh_limiter_ask(&s.l, &ask);
	rh_pipe_send_args(s.l.pipe, &stmts[LOCKED], NULL, 0);
	ck_assert_int_eq(rh_pipe_int(s.l.pipe), 0);
	ck_assert_ptr_null(rh_pipe_error(s.l.pipe));
	ck_assert(ask.answered && ask.passed);
	sessions_close(&s);
}
END_TEST

START_TEST(idle_counters_are_removed)
{
	struct rh_slice idle = fresh("t"), busy = fresh("t");
	struct rh_ask short_one = ask_of(idle, 1, 1);
	struct rh_ask long_one = ask_of(busy, 2, HOUR_MS);
	struct stand s;

	stand_open(&s, RH_LIMITER_POSTGRES);
	granted_of(&s, &short_one, 1);
	granted_of(&s, &long_one, 1);
	sleep_ms(5);
	begin(&s);
	rh_limiter_purge(&s.l);
	ck_assert_ptr_null(rh_pipe_error(s.l.pipe));
	/* what is not idle is still counted */
	ck_assert_int_eq(granted_of(&s, &long_one, 5), 1);
	sessions_close(&s);
}
END_TEST

/* ---- in advance ---- */

START_TEST(a_busy_budget_asks_redis_less)
{
	struct rh_ask of = ask_two(fresh("k"), 100000, fresh("t"), 200000);
	unsigned asked = 0;
	struct stand s;

	stand_open(&s, AHEAD);
	for (int i = 1; i <= 1000; i++) {
		struct rh_ask ask = of;

		ck_assert(take(&s, &ask));
		asked += !ask.prepaid;
		/* what is left is told without what is out, but for a moment's */
		ck_assert_int_le(ask.of[0].verdict.remaining, 100000 - i + 1);
		ck_assert_int_ge(ask.of[0].verdict.remaining, 100000 - i - 10);
	}
	ck_assert_uint_le(asked, 300);
	sessions_close(&s);
}
END_TEST

START_TEST(a_small_or_idle_budget_asks_each_time)
{
	struct rh_ask small = ask_of(fresh("t"), 100, HOUR_MS), one;
	struct rh_ask idle = ask_of(fresh("t"), 100000, HOUR_MS);
	struct stand s;

	stand_open(&s, AHEAD);
	for (int i = 0; i < 100; i++) {
		one = small;
		ck_assert(take(&s, &one));
		ck_assert(!one.prepaid && one.asked_ns == 0);
	}
	for (int i = 0; i < 3; i++) {
		one = idle;
		ck_assert(take(&s, &one));
		ck_assert(!one.prepaid && one.asked_ns == 0);
		sleep_ms(5 * LIFE_NS / 1000000);
	}
	sessions_close(&s);
}
END_TEST

START_TEST(what_was_not_used_of_a_lot_comes_back)
{
	const int64_t quota = 100000;
	struct rh_ask of = ask_of(fresh("t"), quota, HOUR_MS), ask;
	struct stand s;
	int taken = 0;

	stand_open(&s, AHEAD);
	do {
		ask = of;
		ck_assert(take(&s, &ask));
		taken++;
	} while (ask.asked_ns == 0 || ask.draw[0].want == 0);
	ck_assert_int_gt(ask.draw[0].want, 0);
	sleep_ms(LIFE_NS / 1000000 + 1);
	ask = of;
	ck_assert(take(&s, &ask));
	ck_assert(!ask.prepaid);
	/* by Redis' word: so many were taken, and no more are out */
	ck_assert_int_le(ask.used_ns[0] / (HOUR_MS * INT64_C(1000000) / quota),
	    taken + 1 + (ask.draw[0].want ? ask.draw[0].want : 0));
	ck_assert_int_gt(ask.draw[0].back, 0);
	sessions_close(&s);
}
END_TEST

enum { HOSTS = 2, EACH = 4, GRANTS_MAX = 20000, RACE_QUOTA = 640,
	RACE_WINDOW_MS = 1000, RACE_MS = 4600,
	BURST_MS = 100, LIGHT_MS = 1200, PHASES_MS = 1500 };
#define MS_NS	UINT64_C(1000000)
struct grant { uint64_t before_ns, after_ns; };
struct race {
	_Atomic unsigned n, prepaid;
	struct grant grants[GRANTS_MAX];
};

/*
 * All at once what they can; then nothing, until the quota is back; then a few,
 * so that lots are out when the next burst begins.
 */
static void
race_ask(struct stand *s, const struct rh_ask *of, struct race *r,
    uint64_t begun_ns)
{
	uint64_t before;

	sessions_open(s);
	while ((before = rh_clock_mono_ns()) < begun_ns + RACE_MS * MS_NS) {
		uint64_t phase_ms = (before - begun_ns) / MS_NS % PHASES_MS;
		struct rh_ask ask = *of;

		if (phase_ms > BURST_MS && phase_ms < LIGHT_MS) {
			sleep_ms(5);
			continue;
		}

		if (take(s, &ask)) {
			unsigned i = r->n++;

			ck_assert_uint_lt(i, GRANTS_MAX);
			r->grants[i] = (struct grant){ before,
				rh_clock_mono_ns() };
			r->prepaid += ask.prepaid;
		}
		rh_arena_reset(s->arena);
		if (phase_ms >= LIGHT_MS)
			sleep_ms(20);
	}
	_exit(0);
}

static int
earlier(const void *a, const void *b)
{
	const struct grant *x = a, *y = b;

	return (x->before_ns > y->before_ns) - (x->before_ns < y->before_ns);
}

/*
 * As GCRA has it, grant by grant. When Redis or the host counted one is only
 * known to lie between two looks at the clock; so many as ask at once may stand
 * in another order.
 */
static void
ck_assert_conforms(struct race *r)
{
	const int64_t step = RACE_WINDOW_MS * INT64_C(1000000) / RACE_QUOTA;
	const int64_t most = step * (RACE_QUOTA + HOSTS * EACH);
	int64_t tat = 0;

	qsort(r->grants, r->n, sizeof(*r->grants), earlier);
	for (unsigned i = 0; i < r->n; i++) {
		tat = RH_MAX(tat, (int64_t)r->grants[i].before_ns) + step;
		ck_assert_msg(tat - (int64_t)r->grants[i].after_ns <= most,
		    "grant %u of %u: %lld steps over", i, r->n,
		    (long long)((tat - (int64_t)r->grants[i].after_ns - most) /
		    step));
	}
}

START_TEST(hosts_that_draw_in_advance_grant_no_more_than_the_quota)
{
	struct rh_ask of = ask_of(fresh("t"), RACE_QUOTA, RACE_WINDOW_MS);
	struct race *r = shared(sizeof(*r));
	uint64_t begun_ns = rh_clock_mono_ns();
	struct stand hosts[HOSTS];
	int status;

	for (unsigned h = 0; h < HOSTS; h++)
		stand_init(&hosts[h], AHEAD);
	for (unsigned i = 0; i < HOSTS * EACH; i++)
		if (fork() == 0)
			race_ask(&hosts[i % HOSTS], &of, r, begun_ns);
	for (unsigned i = 0; i < HOSTS * EACH; i++) {
		ck_assert_int_gt(wait(&status), 0);
		ck_assert_int_eq(status, 0);
	}
	ck_assert_uint_gt(r->prepaid, 0);
	ck_assert_conforms(r);
}
END_TEST

RH_CHECK_MAIN("data/limiter",
    RH_CASE(a_busy_budget_asks_redis_less),
    RH_CASE(a_small_or_idle_budget_asks_each_time),
    RH_CASE(what_was_not_used_of_a_lot_comes_back),
    RH_CASE(hosts_that_draw_in_advance_grant_no_more_than_the_quota),
    RH_LOOP(a_verdict_says_what_is_left_and_when, places),
    RH_LOOP(a_quota_is_met_exactly, places),
    RH_LOOP(a_retry_at_the_time_named_is_granted, places),
    RH_LOOP(who_is_over_takes_nothing_from_the_other, places),
    RH_LOOP(what_is_given_back_can_be_taken_again, places),
    RH_LOOP(a_shorter_window_takes_effect, places),
    RH_LOOP(sixteen_processes_share_one_quota, places),
    RH_LOOP(a_period_has_the_quota_and_what_came_back, places),
    RH_LOOP(sixteen_tokens_share_one_tenant, places),
    RH_CASE(an_ask_travels_with_what_else_is_queued),
    RH_CASE(a_counter_in_redis_ends_when_its_window_does),
    RH_CASE(a_redis_that_is_away_leaves_the_ask_unanswered),
    RH_CASE(what_was_denied_is_not_executed),
    RH_CASE(what_was_counted_stays_when_the_request_is_rolled_back),
    RH_CASE(the_requests_transaction_holds_no_counter),
    RH_CASE(idle_counters_are_removed))
