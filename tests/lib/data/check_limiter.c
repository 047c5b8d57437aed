/*
 * tests/lib/data/check_limiter.c - one contract, three places to count in.
 * test_limiter.py starts a PostgreSQL and a Redis for it.
 */
#include "config.h"

#include "data/limiter.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "limiter_stand.h"
#include "rh_check.h"

#define PROCESSES	16

static const enum rh_limiter_kind places[] = { RH_LIMITER_SHM, RH_LIMITER_REDIS,
	RH_LIMITER_POSTGRES, STAND_AHEAD };

static int
granted_of(struct stand *s, const struct rh_ask *of, int tries)
{
	int granted = 0;

	for (int i = 0; i < tries; i++) {
		struct rh_ask ask = *of;

		granted += stand_take(s, &ask);
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
	key = stand_fresh("t");
	for (int i = 1; i <= 4; i++) {
		struct rh_ask ask = stand_ask(key, 4, HOUR_MS);
		const struct rh_verdict *v = &ask.of[0].verdict;

		ck_assert(stand_take(&s, &ask));
		ck_assert(ask.of[0].known);
		ck_assert_int_eq(v->remaining, 4 - i);
		ck_assert_int_eq(v->retry_ms, 0);
		ck_assert_int_le(v->reset_ms, i * step_ms);
		ck_assert_int_gt(v->reset_ms, (i - 1) * step_ms);
	}
	for (int i = 0; i < 3; i++) {
		struct rh_ask ask = stand_ask(key, 4, HOUR_MS);
		const struct rh_verdict *v = &ask.of[0].verdict;

		ck_assert(!stand_take(&s, &ask));
		ck_assert_int_eq(v->remaining, 0);
		ck_assert(v->retry_ms > 0 && v->retry_ms <= step_ms);
		ck_assert(v->reset_ms > 3 * step_ms && v->reset_ms <= HOUR_MS);
	}
	stand_close(&s);
}
END_TEST

static const int quotas[] = { 1, 7, 300 };

START_TEST(a_quota_is_met_exactly)
{
	for (size_t i = 0; i < RH_COUNT(quotas); i++) {
		struct rh_ask ask = stand_ask(stand_fresh("t"), quotas[i],
		    HOUR_MS);
		struct stand s;
		uint64_t begun;
		int granted;

		stand_open(&s, places[_i]);
		begun = rh_clock_mono_ns();
		granted = granted_of(&s, &ask, quotas[i] + 20);
		ck_assert_int_ge(granted, quotas[i]);
		ck_assert_int_le(granted,
		    quotas[i] +
			stand_came_back(quotas[i], rh_clock_mono_ns() - begun));
		stand_close(&s);
	}
}
END_TEST

START_TEST(a_retry_at_the_time_named_is_granted)
{
	struct rh_ask of = stand_ask(stand_fresh("t"), 2, 200);
	struct stand s;

	stand_open(&s, places[_i]);
	for (int i = 0; i < 5; i++) {
		struct rh_ask ask = of;

		while (stand_take(&s, &ask))
			ask = of;
		ck_assert_int_gt(ask.of[0].verdict.retry_ms, 0);
		stand_sleep_ms(ask.of[0].verdict.retry_ms);
		ask = of;
		ck_assert(stand_take(&s, &ask));
	}
	stand_close(&s);
}
END_TEST

START_TEST(who_is_over_takes_nothing_from_the_other)
{
	struct rh_slice tenant = stand_fresh("t"), one = stand_fresh("k:1"),
			two = stand_fresh("k:2");
	struct rh_ask ask;
	struct stand s;

	stand_open(&s, places[_i]);
	/* the token's three are used up; twenty more do not touch the tenant's */
	ask = stand_ask_two(one, 3, tenant, 5);
	ck_assert_int_eq(granted_of(&s, &ask, 23), 3);
	ck_assert(!stand_take(&s, &ask));
	ck_assert_int_eq(ask.denied, 1);
	/* the tenant's five are; the second token has taken its two, no more */
	ask = stand_ask_two(two, 10, tenant, 5);
	ck_assert_int_eq(granted_of(&s, &ask, 20), 2);
	ck_assert(!stand_take(&s, &ask));
	ck_assert_int_eq(ask.denied, 2);
	ck_assert(ask.of[0].known && ask.of[0].verdict.granted);
	ck_assert_int_eq(ask.of[0].verdict.remaining, 8);
	ask = stand_ask(two, 10, HOUR_MS);
	ck_assert_int_eq(granted_of(&s, &ask, 20), 8);
	stand_close(&s);
}
END_TEST

START_TEST(what_is_given_back_can_be_taken_again)
{
	struct rh_ask of = stand_ask_two(stand_fresh("k"), 3, stand_fresh("t"),
			  100),
		      ask = of;
	struct stand s;

	stand_open(&s, places[_i]);
	ck_assert_int_eq(granted_of(&s, &of, 10), 3);
	ask.by = s.by;
	stand_begin(&s);
	rh_limiter_give(&s.l, &ask);
	ck_assert_int_eq(granted_of(&s, &of, 10), 1);
	/* given back and never taken: nobody has more than his quota */
	for (int i = 0; i < 5; i++) {
		stand_begin(&s);
		rh_limiter_give(&s.l, &ask);
	}
	ck_assert_int_eq(granted_of(&s, &of, 10), 3);
	stand_close(&s);
}
END_TEST

/* A plan's window became a second: an hour's worth of it is forgotten in one. */
START_TEST(a_shorter_window_takes_effect)
{
	struct rh_slice key = stand_fresh("t");
	struct rh_ask hour = stand_ask(key, 3, HOUR_MS), ask;
	struct stand s;

	stand_open(&s, places[_i]);
	ck_assert_int_eq(granted_of(&s, &hour, 5), 3);
	ask = stand_ask(key, 4, 1000);
	ck_assert(!stand_take(&s, &ask));
	ck_assert_int_le(ask.of[0].verdict.retry_ms, 250);
	ck_assert_int_le(ask.of[0].verdict.reset_ms, 1000);
	stand_sleep_ms(ask.of[0].verdict.retry_ms);
	ask = stand_ask(key, 4, 1000);
	ck_assert(stand_take(&s, &ask));
	stand_close(&s);
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

	stand_sessions_open(s);
	c->ready++;
	while (!c->go)
		stand_sleep_ms(1);
	begun = rh_clock_mono_ns();
	for (int i = 0;
	     i < tries && (!for_ns || rh_clock_mono_ns() - begun < for_ns);
	     i++) {
		struct rh_ask ask = *of;

		c->granted += stand_take(s, &ask);
		rh_arena_reset(s->arena);
	}
	stand_close(s);
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
		stand_sleep_ms(1);
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
	asks[0] = stand_ask(stand_fresh("t"), quota, HOUR_MS);
	for (int i = 1; i < PROCESSES; i++)
		asks[i] = asks[0];
	ns = crowd_run(&s, &c, asks, 50, 0);
	/* 800 asks; a step is 7.2 s, so where they took less it is exactly 500 */
	ck_assert_int_ge(c->granted, quota);
	ck_assert_int_le(c->granted, quota + stand_came_back(quota, ns));
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
	asks[0] = stand_ask(stand_fresh("t"), quota, window_ms);
	for (int i = 1; i < PROCESSES; i++)
		asks[i] = asks[0];
	ns = crowd_run(&s, &c, asks, 1000000, 3 * SEC_NS);
	ck_assert_int_ge(c->granted, quota);
	ck_assert_int_le(c->granted,
	    quota + (int)(ns * quota / (window_ms * UINT64_C(1000000))) + 1);
}
END_TEST

/* A token each, one tenant: its quota to the last, and nothing charged for nothing. */
START_TEST(sixteen_tokens_share_one_tenant)
{
	const int quota = 100, each = 20;
	struct rh_slice tenant = stand_fresh("t"), token;
	struct rh_ask asks[PROCESSES];
	struct crowd *c;
	struct stand s;
	uint64_t ns, begun;
	int left = 0;

	stand_init(&s, places[_i]);
	for (int i = 0; i < PROCESSES; i++) {
		token = rh_slice_of(rh_arena_printf(rh_check_arena(), "%.*s:%d",
		    RH_SLICE_ARG(tenant), i));
		asks[i] = stand_ask_two(token, each, tenant, quota);
	}
	ns = crowd_run(&s, &c, asks, 30, 0);
	ck_assert_int_ge(c->granted, quota);
	ck_assert_int_le(c->granted, quota + stand_came_back(quota, ns));
	stand_sessions_open(&s);
	begun = rh_clock_mono_ns();
	for (int i = 0; i < PROCESSES; i++) {
		struct rh_ask ask = stand_ask(asks[i].of[0].key, each, HOUR_MS);

		left += granted_of(&s, &ask, each + 5);
	}
	ck_assert_int_ge(left, PROCESSES * each - c->granted);
	ck_assert_int_le(left,
	    PROCESSES *
		    (each + stand_came_back(each, rh_clock_mono_ns() - begun + ns)) -
		c->granted);
	stand_close(&s);
}
END_TEST

/* ---- Redis: its place in the pipeline ---- */

START_TEST(an_ask_travels_with_what_else_is_queued)
{
	struct rh_slice key = stand_fresh("k"), other = stand_fresh("other");
	struct rh_ask ask = stand_ask_two(key, 5, stand_fresh("t"), 5);
	struct stand s;

	stand_open(&s, RH_LIMITER_REDIS);
	stand_begin(&s);
	ask.by = RH_LIMITER_REDIS;
	rh_redis_send(s.l.redis, other, RH_SLICE("SET"), other, RH_SLICE("x"));
	rh_limiter_ask(&s.l, &ask);
	rh_redis_send(s.l.redis, other, RH_SLICE("GET"), other);
	ck_assert_int_ne(rh_redis_read(s.l.redis)->kind, RH_REDIS_ERROR);
	ck_assert(rh_limiter_answer(&s.l, &ask));
	ck_assert_int_eq(ask.of[1].verdict.remaining, 4);
	rh_assert_slice_eq(rh_redis_read(s.l.redis)->text, RH_SLICE("x"));
	ck_assert_uint_eq(rh_redis_round_trips(s.l.redis), 1);
	stand_close(&s);
}
END_TEST

START_TEST(a_counter_in_redis_ends_when_its_window_does)
{
	struct rh_slice key = stand_fresh("t");
	struct rh_ask ask = stand_ask(key, 10, 60000);
	const struct rh_redis_value *v;
	struct stand s;

	stand_open(&s, RH_LIMITER_REDIS);
	ck_assert_int_eq(granted_of(&s, &ask, 3), 3);
	stand_begin(&s);
	rh_redis_send(s.l.redis, key, RH_SLICE("PTTL"), key);
	v = rh_redis_read(s.l.redis);
	ck_assert_int_eq(v->kind, RH_REDIS_INT);
	ck_assert(v->number > 6000 && v->number <= 18001);
	stand_close(&s);
}
END_TEST

START_TEST(a_redis_that_is_away_leaves_the_ask_unanswered)
{
	struct rh_ask ask = stand_ask(stand_fresh("t"), 10, 60000);
	struct rh_redis_conf conf = { "unix:///nowhere/redis.sock", 100, 100,
		100, NULL };
	struct stand s;

	stand_init(&s, RH_LIMITER_REDIS);
	s.own = rh_arena_new(65536, 64 << 20);
	s.arena = rh_arena_new(65536, 64 << 20);
	s.l.redis = rh_redis_new(s.own, &conf, &s.redis_obs);
	stand_begin(&s);
	ask.by = RH_LIMITER_REDIS;
	rh_limiter_ask(&s.l, &ask);
	ck_assert(!rh_limiter_answer(&s.l, &ask));
	ck_assert(!ask.answered && !ask.of[0].known);
	rh_limiter_give(&s.l, &ask); /* nothing happens */
	stand_close(&s);
}
END_TEST

/* ---- PostgreSQL: in front of the request, and apart from it ---- */

static int64_t
effects(struct stand *s, struct rh_slice key)
{
	int64_t n;

	stand_begin(s);
	rh_pipe_send(s->l.pipe, &stand_stmts[STAND_COUNT], RH_TEXT(key));
	n = rh_pipe_int(s->l.pipe);
	ck_assert_ptr_null(rh_pipe_error(s->l.pipe));
	return n;
}

START_TEST(what_was_denied_is_not_executed)
{
	struct rh_slice key = stand_fresh("t");
	struct rh_ask ask = stand_ask(key, 3, HOUR_MS);
	struct stand s;

	stand_open(&s, RH_LIMITER_POSTGRES);
	ck_assert_int_eq(granted_of(&s, &ask, 10), 3);
	ck_assert_int_eq(effects(&s, key), 3);
	stand_close(&s);
}
END_TEST

START_TEST(what_was_counted_stays_when_the_request_is_rolled_back)
{
	struct rh_slice key = stand_fresh("t");
	struct stand s;

	stand_open(&s, RH_LIMITER_POSTGRES);
	for (int i = 0; i < 3; i++) {
		struct rh_ask ask = stand_ask(key, 3, HOUR_MS);

		stand_begin(&s);
		ask.by = s.by;
		rh_limiter_ask(&s.l, &ask);
		rh_pipe_send(s.l.pipe, &stand_stmts[STAND_PUT], RH_TEXT(key));
		rh_pipe_send(s.l.pipe, &stand_stmts[STAND_RAISE],
		    RH_TEXT(RH_SLICE("x")));
		ck_assert_ptr_nonnull(rh_pipe_error(s.l.pipe));
		ck_assert(rh_limiter_answer(&s.l, &ask));
		ck_assert_int_eq(ask.of[0].verdict.remaining, 2 - i);
	}
	ck_assert_int_eq(effects(&s, key), 0);
	ck_assert(!stand_take(&s,
	    &(struct rh_ask){ .n = 1,
		.of[0] = { .key = key, .quota = { 3, HOUR_MS } } }));
	stand_close(&s);
}
END_TEST

START_TEST(the_requests_transaction_holds_no_counter)
{
	struct rh_ask ask = stand_ask(stand_fresh("t"), 3, HOUR_MS);
	struct stand s;

	stand_open(&s, RH_LIMITER_POSTGRES);
	stand_begin(&s);
	ask.by = s.by;
	rh_limiter_ask(&s.l, &ask);
	rh_pipe_send_args(s.l.pipe, &stand_stmts[STAND_LOCKED], NULL, 0);
	ck_assert_int_eq(rh_pipe_int(s.l.pipe), 0);
	ck_assert_ptr_null(rh_pipe_error(s.l.pipe));
	ck_assert(ask.answered && ask.passed);
	stand_close(&s);
}
END_TEST

START_TEST(idle_counters_are_removed)
{
	struct rh_slice idle = stand_fresh("t"), busy = stand_fresh("t");
	struct rh_ask short_one = stand_ask(idle, 1, 1);
	struct rh_ask long_one = stand_ask(busy, 2, HOUR_MS);
	struct stand s;

	stand_open(&s, RH_LIMITER_POSTGRES);
	granted_of(&s, &short_one, 1);
	granted_of(&s, &long_one, 1);
	stand_sleep_ms(5);
	stand_begin(&s);
	rh_limiter_purge(&s.l);
	ck_assert_ptr_null(rh_pipe_error(s.l.pipe));
	/* what is not idle is still counted */
	ck_assert_int_eq(granted_of(&s, &long_one, 5), 1);
	stand_close(&s);
}
END_TEST

RH_CHECK_MAIN("data/limiter",
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
