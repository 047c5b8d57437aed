/*
 * tests/lib/data/check_cold.c - a write of a group that Redis knows nothing of
 * has nothing to keep off: it leaves nothing there, and on a host that is alone
 * the next one does not ask.
 */
#include "config.h"

#include "coherent_stand.h"

#define DOUBT_MS 200

static struct worker *
of_another_host(void)
{
	quarantine_ms = DOUBT_MS;
	return worker_on(shared_new(), 0);
}

static bool
is_there(struct worker *w, const char *key)
{
	bool there;

	begin(w);
	rh_redis_send(w->redis, RH_SLICE_NONE, RH_SLICE("EXISTS"),
	    rh_slice_of(key));
	there = rh_redis_read(w->redis)->number == 1;
	end(w);
	return there;
}

/* Redis knows nothing of the group; asked: it said so, and not the segment. */
static void
written_cold(struct worker *w, bool asked)
{
	ck_assert(lay(w, LIFE_MS));
	ck_assert(w->tomb.is_cold);
	ck_assert_int_eq(w->tomb.is_sent, asked);
	drop(w);
	ck_assert(w->tomb.is_dropped);
	ck_assert(!is_there(w, KEY("g", "")));
}

static void
written_warm(struct worker *w)
{
	ck_assert(lay(w, LIFE_MS));
	ck_assert(w->tomb.is_sent && !w->tomb.is_cold);
	drop(w);
}

/* ---- one host ---- */

START_TEST(the_second_write_of_what_nobody_reads_asks_nothing)
{
	struct worker *a = worker(0), *b = worker(1);

	written_cold(a, true);
	written_cold(a, false);
	written_cold(b, false);
}
END_TEST

START_TEST(who_takes_a_lease_makes_writes_ask_again)
{
	struct worker *a = worker(0), *b = worker(1);

	written_cold(b, true);
	ck_assert_int_eq(look(a), RH_CACHE_MISS);
	fill(a, "old");
	written_warm(b);
	ck_assert_int_ne(look(a), RH_CACHE_HIT);
	/* and where nobody has read since, it is as before */
	command(a, "DEL", KEY("g", ""));
	written_cold(b, true);
	written_cold(b, false);
}
END_TEST

START_TEST(its_drop_leaves_nothing_to_ask_for)
{
	struct worker *a = worker(0), *b = worker(1);

	ck_assert_int_eq(look(a), RH_CACHE_MISS);
	fill(a, "old");
	written_warm(b);
	written_cold(b, true);
	written_cold(b, false);
	ck_assert_int_eq(look(a), RH_CACHE_MISS);
	fill(a, "new");
	ck_assert_int_eq(look(a), RH_CACHE_HIT);
}
END_TEST

/* 0: Redis was asked; 1: it was not. */
START_TEST(nobody_fills_while_such_a_write_is_at_work)
{
	struct worker *a = worker(0), *b = worker(1);

	for (int i = 0; i < _i; i++)
		written_cold(b, i == 0);
	ck_assert(lay(b, LIFE_MS));
	ck_assert_int_eq(b->tomb.is_sent, _i == 0);
	ck_assert_int_eq(look(a), RH_CACHE_BUSY);
	ck_assert(!a->got.lease.held);
	begin(b);
	rh_coherent_done(b->c, &b->tomb);
	end(b);
	ck_assert_int_eq(look(a), RH_CACHE_MISS);
	ck_assert(a->got.lease.held);
}
END_TEST

/* Its lease is older than the write, and its answer comes after it. */
START_TEST(a_lease_from_before_is_kept_off)
{
	struct worker *a = worker(0), *b = worker(1);

	written_cold(b, true);
	ck_assert_int_eq(look(a), RH_CACHE_MISS);
	written_warm(b);
	fill(a, "old");
	ck_assert_int_ne(look(a), RH_CACHE_HIT);
}
END_TEST

START_TEST(a_lease_between_question_and_answer_is_not_overlooked)
{
	struct worker *a = worker(0), *b = worker(1);

	begin(b);
	rh_coherent_tomb(b->c, tenant, group, LIFE_MS, &b->tomb);
	/* nothing has left yet */
	(void)look(a);
	command(a, "DEL", KEY("g", ""));
	ck_assert(rh_coherent_tomb_laid(b->c, &b->tomb));
	ck_assert(b->tomb.is_cold);
	end(b);
	drop(b);
	written_cold(b, true);
	written_cold(b, false);
}
END_TEST

START_TEST(with_others_beside_every_write_asks)
{
	struct worker *a = worker(0);

	written_cold(a, true);
	rh_coherent_beside(host, true);
	written_cold(a, true);
	rh_coherent_beside(host, false);
	written_cold(a, false);
}
END_TEST

/* A reload says that there is one: what was learned may be of before the others. */
START_TEST(where_there_were_others_every_write_asks)
{
	written_cold(worker(0), true);
	quarantine_ms = DOUBT_MS;
	(void)worker(1);
	quarantine_ms = 0;
	written_cold(worker(2), true);
}
END_TEST

START_TEST(after_others_nothing_is_cached_for_a_while)
{
	struct worker *a = worker(0);

	rh_coherent_after(host, BRIEF_MS);
	ck_assert_int_eq(look(a), RH_CACHE_BUSY);
	rest_ms(BRIEF_MS + 100);
	ck_assert_int_eq(look(a), RH_CACHE_MISS);
}
END_TEST

START_TEST(a_killed_writer_keeps_the_group_for_its_life)
{
	struct worker *a = worker(0), *b = worker(1);

	written_cold(b, true);
	ck_assert(lay(b, BRIEF_MS));
	ck_assert(!b->tomb.is_sent);
	b = worker(1); /* its successor in the slot */
	begin(b);
	rh_coherent_inherit(b->c);
	end(b);
	ck_assert_int_eq(look(a), RH_CACHE_BUSY);
	rest_ms(BRIEF_MS + 100);
	ck_assert_int_eq(look(a), RH_CACHE_MISS);
}
END_TEST

START_TEST(a_redis_that_is_away_costs_no_trust)
{
	struct worker *a = worker(0), *b = worker(1);

	written_cold(b, true);
	ck_assert_int_eq(look_at(a, RH_SLICE("else"), entry), RH_CACHE_MISS);
	fill(a, "value");
	rh_redis_begin(b->redis, b->arena, NULL);
	rh_redis_deadline(b->redis, 1); /* long over: nothing is asked */
	rh_coherent_begin(b->c);
	rh_coherent_tomb(b->c, tenant, group, LIFE_MS, &b->tomb);
	ck_assert(rh_coherent_tomb_laid(b->c, &b->tomb));
	rh_coherent_drop(b->c, &b->tomb);
	rh_redis_end(b->redis);
	rest_ms(BRIEF_MS);
	ck_assert_int_eq(look_at(a, RH_SLICE("else"), entry), RH_CACHE_HIT);
	end(a);
}
END_TEST

/* ---- several ---- */

START_TEST(of_several_hosts_every_write_asks)
{
	struct worker *a = of_another_host(), *b = of_another_host();

	written_cold(a, true);
	written_cold(a, true);
	written_cold(b, true);
}
END_TEST

/* The write is over before the doubt is that each of their looks begins with. */
START_TEST(other_hosts_wait_for_what_may_be_at_work)
{
	struct worker *a = of_another_host(), *b = of_another_host();

	ck_assert(lay(b, LIFE_MS));
	ck_assert_int_eq(look(a), RH_CACHE_BUSY);
	drop(b);
	ck_assert(b->tomb.is_cold);
	for (int i = 0; i < 1000 && look(a) != RH_CACHE_MISS; i++)
		rest_ms(10);
	ck_assert(a->got.lease.held);
}
END_TEST

/* 0: nobody knows how it ended; 1: it was killed, and has a successor. */
START_TEST(one_whose_end_is_not_known_is_told_to_the_others)
{
	struct worker *a = of_another_host(), *b = worker(1);

	ck_assert(lay(b, LIFE_MS));
	ck_assert(b->tomb.is_cold);
	ck_assert(!is_there(a, KEY("g", "")));
	if (_i)
		b = worker(1);
	begin(b);
	if (_i)
		rh_coherent_inherit(b->c);
	else
		rh_coherent_unsettled(b->c, &b->tomb);
	settled(b);
	ck_assert(is_there(a, KEY("g", "")));
	rest_ms(2 * DOUBT_MS);
	ck_assert_int_eq(look(a), RH_CACHE_BUSY);
}
END_TEST

/* ---- words ---- */

START_TEST(a_word_is_of_one_group)
{
	static struct rh_cold cold;
	const uint64_t one = UINT64_C(0x1234567890000000) + 7,
		       other = UINT64_C(0x7654321090000000) + 7;

	ck_assert(!rh_cold_is(&cold, one, rh_cold_word(&cold, one)));
	rh_cold_learn(&cold, one, rh_cold_word(&cold, one));
	ck_assert(rh_cold_is(&cold, one, rh_cold_word(&cold, one)));
	ck_assert(!rh_cold_is(&cold, other, rh_cold_word(&cold, other)));
	rh_cold_learn(&cold, other, rh_cold_word(&cold, other));
	ck_assert(!rh_cold_is(&cold, one, rh_cold_word(&cold, one)));
	rh_cold_forget(&cold, one);
	ck_assert(!rh_cold_is(&cold, other, rh_cold_word(&cold, other)));
}
END_TEST

START_TEST(what_was_forgotten_since_is_not_learned)
{
	static struct rh_cold cold;
	uint64_t before = rh_cold_word(&cold, 99);

	rh_cold_forget(&cold, 99);
	rh_cold_learn(&cold, 99, before);
	ck_assert(!rh_cold_is(&cold, 99, rh_cold_word(&cold, 99)));
	rh_cold_learn(&cold, 99, rh_cold_word(&cold, 99));
	ck_assert(rh_cold_is(&cold, 99, rh_cold_word(&cold, 99)));
}
END_TEST

int
main(void)
{
	int failed;
	static const bool whether[] = { false, true };
	const struct rh_check_case cases[] = {
		RH_CASE(the_second_write_of_what_nobody_reads_asks_nothing),
		RH_CASE(who_takes_a_lease_makes_writes_ask_again),
		RH_CASE(its_drop_leaves_nothing_to_ask_for),
		RH_LOOP(nobody_fills_while_such_a_write_is_at_work, whether),
		RH_CASE(a_lease_from_before_is_kept_off),
		RH_CASE(a_lease_between_question_and_answer_is_not_overlooked),
		RH_CASE(with_others_beside_every_write_asks),
		RH_CASE(where_there_were_others_every_write_asks),
		RH_CASE(after_others_nothing_is_cached_for_a_while),
		RH_CASE(a_killed_writer_keeps_the_group_for_its_life),
		RH_CASE(a_redis_that_is_away_costs_no_trust),
		RH_CASE(of_several_hosts_every_write_asks),
		RH_CASE(other_hosts_wait_for_what_may_be_at_work),
		RH_LOOP(one_whose_end_is_not_known_is_told_to_the_others,
		    whether),
		RH_CASE(a_word_is_of_one_group),
		RH_CASE(what_was_forgotten_since_is_not_learned),
	};

	if (!redis_server_is_there()) {
		puts("skipped: the Redis server is not installed");
		return 77;
	}
	rh_coherent_register();
	redis_server_home_open();
	failed = rh_check_run_with("data/cold", cases, RH_COUNT(cases), set_up,
	    tear_down);
	return redis_server_home_close() ? 1 : failed;
}
