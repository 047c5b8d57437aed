/*
 * tests/lib/data/check_quarantine.c - of what Redis has lost, the writes of other
 * hosts are waited for: none of them shares a segment with another here.
 */
#include "config.h"

#include "coherent_stand.h"

#define DOUBT_MS	20000	/* does not end within a test */
#define SHORT_MS	200

static struct worker *
of_another_host(int64_t doubt_ms)
{
	quarantine_ms = doubt_ms;
	return worker_on(shared_new(), 0);
}

static struct worker *
reconnected(struct worker *w, int64_t ago_ms)
{
	w->redis->since_ms = rh_clock_wall_us() / 1000 - ago_ms;
	return w;
}

/* However slow we are: a look in doubt, and in the end one that may fill. */
static void
known_in_the_end(struct worker *w)
{
	ck_assert_int_eq(look(w), RH_CACHE_BUSY);
	for (int i = 0; i < 1000 && look(w) != RH_CACHE_MISS; i++)
		rest_ms(10);
	ck_assert(w->got.lease.held);
}

static void
confirm(struct worker *w)
{
	begin(w);
	rh_coherent_done(w->c, &w->tomb);
	ck_assert(rh_coherent_confirm(w->c, &w->tomb, 1));
	end(w);
}

START_TEST(what_redis_does_not_know_is_in_doubt)
{
	struct worker *a = of_another_host(DOUBT_MS), *b = of_another_host(DOUBT_MS);

	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(look(a), RH_CACHE_BUSY);
		ck_assert_int_eq(look(b), RH_CACHE_BUSY);
	}
}
END_TEST

START_TEST(doubt_ends)
{
	struct worker *a = of_another_host(SHORT_MS), *b = of_another_host(SHORT_MS);

	known_in_the_end(a);
	fill(a, "value");
	ck_assert_int_eq(look(b), RH_CACHE_HIT);
	/* and a write of a group that is known leaves none */
	quarantine_ms = DOUBT_MS;
	b = of_another_host(DOUBT_MS);
	ck_assert(lay(b, LIFE_MS));
	drop(b);
	ck_assert_int_eq(look(a), RH_CACHE_MISS);
}
END_TEST

/* What of a group is lost while a write is at work on it. */
static const struct { const char *verb, *key; } losses[] = {
	{ "DEL", KEY("g", "") }, { "FLUSHALL", "SYNC" },
};

START_TEST(a_write_that_redis_lost_is_waited_for)
{
	struct worker *a = of_another_host(SHORT_MS), *b, *c;

	known_in_the_end(a);
	fill(a, "old");
	b = of_another_host(DOUBT_MS);
	c = of_another_host(DOUBT_MS);
	ck_assert(lay(b, LIFE_MS));
	command(a, losses[_i].verb, losses[_i].key);
	/* by another writer, too, whose own tombstone has gone */
	ck_assert(lay(c, LIFE_MS));
	drop(c);
	ck_assert_int_eq(look(a), RH_CACHE_BUSY);
	ck_assert_int_eq(look(c), RH_CACHE_BUSY);
}
END_TEST

START_TEST(the_drop_of_a_lost_tombstone_ends_what_was_filled_meanwhile)
{
	struct worker *a = of_another_host(SHORT_MS), *b = of_another_host(SHORT_MS);

	ck_assert(lay(b, LIFE_MS));
	command(a, "FLUSHALL", "SYNC");
	known_in_the_end(a);
	fill(a, "old");
	ck_assert_int_eq(look(a), RH_CACHE_HIT);
	/* the write is late by now: it is dropped before its reply */
	confirm(b);
	ck_assert(b->tomb.is_dropped);
	ck_assert_int_ne(look(a), RH_CACHE_HIT);
}
END_TEST

START_TEST(a_write_that_was_soon_over_costs_no_round_trip)
{
	struct worker *a = of_another_host(SHORT_MS), *b;

	known_in_the_end(a);
	b = of_another_host(DOUBT_MS);
	ck_assert(lay(b, LIFE_MS));
	confirm(b);
	ck_assert(!b->tomb.is_dropped);
}
END_TEST

START_TEST(a_confirmed_drop_is_not_repeated)
{
	struct worker *a = of_another_host(SHORT_MS), *b = of_another_host(SHORT_MS);

	known_in_the_end(a);
	fill(a, "old");
	ck_assert(lay(b, LIFE_MS));
	rest_ms(SHORT_MS);
	confirm(b);
	ck_assert(b->tomb.is_dropped);
	ck_assert_int_eq(look(a), RH_CACHE_MISS);
	fill(a, "new");
	drop(b);
	ck_assert_int_eq(look(a), RH_CACHE_HIT);
}
END_TEST

START_TEST(who_has_just_connected_fills_nothing)
{
	struct worker *a = of_another_host(SHORT_MS), *b = of_another_host(DOUBT_MS);

	known_in_the_end(a);
	begin(a);
	rh_coherent_forgo(a->c, &a->got.lease);
	settled(a);
	/* Redis may be one that came back with what it had saved */
	reconnected(b, DOUBT_MS + AWAY_MS - DOUBT_MS / 2);
	ck_assert_int_eq(look(b), RH_CACHE_BUSY);
	reconnected(b, 2 * (DOUBT_MS + AWAY_MS));
	ck_assert_int_eq(look(b), RH_CACHE_MISS);
}
END_TEST

int
main(void)
{
	int failed;
	const struct rh_check_case cases[] = {
		RH_CASE(what_redis_does_not_know_is_in_doubt),
		RH_CASE(doubt_ends),
		RH_LOOP(a_write_that_redis_lost_is_waited_for, losses),
		RH_CASE(the_drop_of_a_lost_tombstone_ends_what_was_filled_meanwhile),
		RH_CASE(a_write_that_was_soon_over_costs_no_round_trip),
		RH_CASE(a_confirmed_drop_is_not_repeated),
		RH_CASE(who_has_just_connected_fills_nothing),
	};

	if (!redis_server_is_there()) {
		puts("skipped: the Redis server is not installed");
		return 77;
	}
	rh_coherent_register();
	redis_server_home_open();
	failed = rh_check_run_with("data/quarantine", cases, RH_COUNT(cases),
	    set_up, tear_down);
	return redis_server_home_close() ? 1 : failed;
}
