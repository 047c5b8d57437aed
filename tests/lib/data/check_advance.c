/*
 * tests/lib/data/check_advance.c - a host that draws from Redis in advance asks
 * it less, and grants no more. test_limiter.py starts a Redis for it; the contract
 * of all limiters, check_limiter.c, is kept by this one, too.
 */
#include "config.h"

#include "data/advance.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "limiter_stand.h"
#include "rh_check.h"

START_TEST(a_busy_budget_asks_redis_less)
{
	struct rh_ask of = stand_ask_two(stand_fresh("k"), 100000,
	    stand_fresh("t"), 200000);
	uint64_t begun_ns = rh_clock_mono_ns();
	unsigned asked = 0;
	struct stand s;

	stand_open(&s, STAND_AHEAD);
	for (int i = 1; i <= 1000; i++) {
		struct rh_ask ask = of;

		ck_assert(stand_take(&s, &ask));
		asked += !ask.prepaid;
		/* what is left is told without what is out, but for a moment's */
		ck_assert_int_le(ask.of[0].verdict.remaining,
		    100000 - i + 1 + stand_came_back(100000,
		    rh_clock_mono_ns() - begun_ns));
		ck_assert_int_ge(ask.of[0].verdict.remaining, 100000 - i - 10);
	}
	ck_assert_uint_le(asked, 300);
	stand_close(&s);
}
END_TEST

START_TEST(a_small_or_idle_budget_asks_each_time)
{
	struct rh_ask small = stand_ask(stand_fresh("t"), 100, HOUR_MS), one;
	struct rh_ask idle = stand_ask(stand_fresh("t"), 100000, HOUR_MS);
	struct stand s;

	stand_open(&s, STAND_AHEAD);
	for (int i = 0; i < 100; i++) {
		one = small;
		ck_assert(stand_take(&s, &one));
		ck_assert(!one.prepaid && one.asked_ns == 0);
	}
	for (int i = 0; i < 3; i++) {
		one = idle;
		ck_assert(stand_take(&s, &one));
		ck_assert(!one.prepaid && one.asked_ns == 0);
		stand_sleep_ms(5 * STAND_LIFE_NS / 1000000);
	}
	stand_close(&s);
}
END_TEST

START_TEST(what_was_not_used_of_a_lot_comes_back)
{
	const int64_t quota = 100000;
	struct rh_ask of = stand_ask(stand_fresh("t"), quota, HOUR_MS), ask;
	struct stand s;
	int taken = 0;

	stand_open(&s, STAND_AHEAD);
	do {
		ask = of;
		ck_assert(stand_take(&s, &ask));
		taken++;
	} while (ask.asked_ns == 0 || ask.draw[0].want == 0);
	ck_assert_int_gt(ask.draw[0].want, 0);
	stand_sleep_ms(STAND_LIFE_NS / 1000000 + 1);
	ask = of;
	ck_assert(stand_take(&s, &ask));
	ck_assert(!ask.prepaid);
	/* by Redis' word: so many were taken, and no more are out */
	ck_assert_int_le(ask.used_ns[0] / (HOUR_MS * INT64_C(1000000) / quota),
	    taken + 1 + (ask.draw[0].want ? ask.draw[0].want : 0));
	ck_assert_int_gt(ask.draw[0].back, 0);
	stand_close(&s);
}
END_TEST

static unsigned
take_all(struct stand *s, const struct rh_ask *of)
{
	unsigned n = 0;

	for (struct rh_ask ask = *of; stand_take(s, &ask); ask = *of) {
		rh_arena_reset(s->arena);
		n++;
	}
	return n;
}

/* The whole of a lot, shortly before its end; 0: that was over already. */
static unsigned
take_lot_late(struct stand *s, const struct rh_ask *of, uint64_t *begun_ns)
{
	int64_t want;
	struct rh_ask ask;

	do {
		ask = *of;
		ck_assert(stand_take(s, &ask));
		want = ask.asked_ns ? ask.draw[0].want : 0;
	} while (want == 0);
	stand_sleep_ms(STAND_LIFE_NS / 1000000 * 9 / 10);
	*begun_ns = rh_clock_mono_ns();
	for (int64_t i = 0; i < want; i++) {
		ask = *of;
		ck_assert(stand_take(s, &ask));
		if (!ask.prepaid)
			return 0;
	}
	return (unsigned)want;
}

/*
 * Waiting gives back what was charged when the lot was drawn; what it was used
 * for at its end counts from then on.
 */
START_TEST(a_lot_used_at_its_end_is_none_besides_the_quota)
{
	const int64_t quota = 6400, window_ms = 10000;
	struct stand ahead, plain;
	unsigned lot = 0, n;
	uint64_t begun_ns;

	stand_open(&ahead, STAND_AHEAD);
	stand_open(&plain, RH_LIMITER_REDIS);
	for (int tries = 0; lot == 0 && tries < 20; tries++) {
		struct rh_ask of = stand_ask(stand_fresh("t"), quota, window_ms);

		lot = take_lot_late(&ahead, &of, &begun_ns);
		stand_sleep_ms(STAND_LIFE_NS / 1000000 / 8);
		n = lot + take_all(&plain, &of);
		ck_assert_int_ge(n, quota / 2);
		ck_assert_int_le(n, quota + 1 + (int64_t)(rh_clock_mono_ns() -
		    begun_ns) / (window_ms * INT64_C(1000000) / quota));
	}
	ck_assert_uint_gt(lot, 0);
	stand_close(&plain);
	stand_close(&ahead);
}
END_TEST

enum {
	HOSTS = 2,
	EACH = 4,
	GRANTS_MAX = 20000,
	RACE_QUOTA = 640,
	RACE_WINDOW_MS = 1000,
	RACE_MS = 4600,
	BURST_MS = 100,
	LIGHT_MS = 1200,
	PHASES_MS = 1500
};
#define MS_NS UINT64_C(1000000)
struct grant {
	uint64_t before_ns, after_ns;
};
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

	stand_sessions_open(s);
	while ((before = rh_clock_mono_ns()) < begun_ns + RACE_MS * MS_NS) {
		uint64_t phase_ms = (before - begun_ns) / MS_NS % PHASES_MS;
		struct rh_ask ask = *of;

		if (phase_ms > BURST_MS && phase_ms < LIGHT_MS) {
			stand_sleep_ms(5);
			continue;
		}

		if (stand_take(s, &ask)) {
			unsigned i = r->n++;

			ck_assert_uint_lt(i, GRANTS_MAX);
			r->grants[i] = (struct grant){ before,
				rh_clock_mono_ns() };
			r->prepaid += ask.prepaid;
		}
		rh_arena_reset(s->arena);
		if (phase_ms >= LIGHT_MS)
			stand_sleep_ms(20);
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
	struct rh_ask of = stand_ask(stand_fresh("t"), RACE_QUOTA,
	    RACE_WINDOW_MS);
	struct race *r = stand_shared(sizeof(*r));
	uint64_t begun_ns = rh_clock_mono_ns();
	struct stand hosts[HOSTS];
	int status;

	for (unsigned h = 0; h < HOSTS; h++)
		stand_init(&hosts[h], STAND_AHEAD);
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

RH_CHECK_MAIN("data/advance", RH_CASE(a_busy_budget_asks_redis_less),
    RH_CASE(a_small_or_idle_budget_asks_each_time),
    RH_CASE(what_was_not_used_of_a_lot_comes_back),
    RH_CASE(a_lot_used_at_its_end_is_none_besides_the_quota),
    RH_CASE(hosts_that_draw_in_advance_grant_no_more_than_the_quota))
