/* tests/lib/data/check_coherent.c - what may be read from the cache, and who may fill it. */
#include "config.h"

#include "coherent_stand.h"

/* ---- reading ---- */

START_TEST(a_miss_has_the_lease_and_its_fill_is_hit)
{
	struct worker *a = worker(0), *b = worker(1);

	ck_assert_int_eq(look(a), RH_CACHE_MISS);
	ck_assert(a->got.lease.held);
	ck_assert_int_eq(look(b), RH_CACHE_BUSY);
	ck_assert(!b->got.lease.held);
	fill(a, "a value");
	ck_assert_int_eq(look(b), RH_CACHE_HIT);
	rh_assert_slice_eq(b->got.value, RH_SLICE("a value"));
	ck_assert(!b->got.lease.held);
}
END_TEST

START_TEST(any_bytes_are_a_value)
{
	struct worker *a = worker(0);
	char bytes[100000];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 7);
	ck_assert_int_eq(look(a), RH_CACHE_MISS);
	begin(a);
	rh_coherent_fill(a->c, &a->got.lease,
	    (struct rh_slice){ bytes, sizeof(bytes) }, TTL_MS);
	end(a);
	ck_assert_int_eq(look(a), RH_CACHE_HIT);
	rh_assert_slice_eq(a->got.value,
	    ((struct rh_slice){ bytes, sizeof(bytes) }));
	ck_assert_int_eq(look_at(a, RH_SLICE("none"), entry), RH_CACHE_MISS);
	rh_coherent_fill(a->c, &a->got.lease, RH_SLICE(""), TTL_MS);
	end(a);
	ck_assert_int_eq(look_at(a, RH_SLICE("none"), entry), RH_CACHE_HIT);
	ck_assert_uint_eq(a->got.value.n, 0);
	end(a);
}
END_TEST

START_TEST(looks_are_answered_in_their_order)
{
	struct worker *a = worker(0);
	struct rh_cached got[3];

	ck_assert_int_eq(look(a), RH_CACHE_MISS);
	fill(a, "page");
	begin(a);
	rh_coherent_look(a->c, tenant, RH_SLICE("principals"), RH_SLICE("k"));
	rh_coherent_look(a->c, tenant, group, entry);
	rh_coherent_look(a->c, tenant, group, RH_SLICE("50"));
	for (int i = 0; i < 3; i++)
		rh_coherent_answer(a->c, &got[i]);
	ck_assert_uint_eq(rh_redis_round_trips(a->redis), 1);
	ck_assert_int_eq(got[0].result, RH_CACHE_MISS);
	ck_assert_int_eq(got[1].result, RH_CACHE_HIT);
	ck_assert_int_eq(got[2].result, RH_CACHE_MISS);
	end(a);
}
END_TEST

/* The clock is asked once, whichever of them hit. */
START_TEST(looks_that_hit_are_answered_in_their_order)
{
	struct worker *a = worker(0);
	struct rh_cached got[3];

	ck_assert_int_eq(look(a), RH_CACHE_MISS);
	fill(a, "page");
	ck_assert_int_eq(look_at(a, RH_SLICE("principals"), entry), RH_CACHE_MISS);
	fill(a, "who");
	ck_assert_int_eq(look(a), RH_CACHE_HIT);
	ck_assert_int_eq(look_at(a, RH_SLICE("principals"), entry), RH_CACHE_HIT);
	end(a);
	begin(a);
	rh_coherent_look(a->c, tenant, RH_SLICE("principals"), entry);
	rh_coherent_look(a->c, tenant, group, entry);
	rh_coherent_look(a->c, tenant, RH_SLICE("none"), entry);
	for (int i = 0; i < 3; i++)
		rh_coherent_answer(a->c, &got[i]);
	rh_assert_slice_eq(got[0].value, RH_SLICE("who"));
	rh_assert_slice_eq(got[1].value, RH_SLICE("page"));
	ck_assert_int_eq(got[2].result, RH_CACHE_MISS);
	end(a);
}
END_TEST

START_TEST(a_lease_that_is_forgone_is_the_next_ones)
{
	struct worker *a = worker(0), *b = worker(1);

	ck_assert_int_eq(look(a), RH_CACHE_MISS);
	begin(a);
	rh_coherent_forgo(a->c, &a->got.lease);
	settled(a);
	ck_assert_int_eq(look(b), RH_CACHE_MISS);
	fill(a, "of one who has no right to it any more");
	ck_assert_int_eq(look(a), RH_CACHE_BUSY);
	fill(b, "value");
	ck_assert_int_eq(look(a), RH_CACHE_HIT);
}
END_TEST

/* ---- writing ---- */

START_TEST(who_writes_is_waited_for_by_nobody)
{
	struct worker *a = worker(0), *b = worker(1);

	ck_assert_int_eq(look(a), RH_CACHE_MISS);
	fill(a, "old");
	ck_assert(lay(b, LIFE_MS));
	ck_assert_int_eq(look(a), RH_CACHE_BUSY);
	drop(b);
	ck_assert_int_eq(look(a), RH_CACHE_MISS);
	fill(a, "new");
	ck_assert_int_eq(look(b), RH_CACHE_HIT);
	rh_assert_slice_eq(b->got.value, RH_SLICE("new"));
}
END_TEST

START_TEST(the_last_of_several_writers_ends_it)
{
	struct worker *a = worker(0), *b = worker(1), *c = worker(2);

	ck_assert(lay(b, LIFE_MS) && lay(c, LIFE_MS));
	drop(b);
	ck_assert_int_eq(look(a), RH_CACHE_BUSY);
	drop(c);
	ck_assert_int_eq(look(a), RH_CACHE_MISS);
}
END_TEST

START_TEST(a_write_takes_no_other_group_along)
{
	struct worker *a = worker(0), *b = worker(1);

	ck_assert(lay(b, LIFE_MS));
	ck_assert_int_eq(look_at(a, RH_SLICE("principals"), entry),
	    RH_CACHE_MISS);
	end(a);
}
END_TEST

/* during: filled while the writer is at work; else after its drop. */
static const bool during[] = { true, false };

START_TEST(what_was_read_before_a_write_is_not_filled_after_it)
{
	struct worker *a = worker(0), *b = worker(1);

	ck_assert_int_eq(look(a), RH_CACHE_MISS);
	ck_assert(lay(b, LIFE_MS));
	if (during[_i])
		fill(a, "old");
	drop(b);
	fill(a, "old");
	ck_assert_int_eq(look(b), RH_CACHE_MISS);
}
END_TEST

START_TEST(a_tombstone_ends_by_itself)
{
	struct worker *a = worker(0), *b = worker(1);

	ck_assert_int_eq(look(a), RH_CACHE_MISS);
	fill(a, "old");
	ck_assert(lay(b, BRIEF_MS));
	ck_assert_int_eq(look(a), RH_CACHE_BUSY);
	rest_ms(BRIEF_MS + 50);
	ck_assert_int_eq(look(a), RH_CACHE_MISS);
	/* and its drop, late, costs no more than what was filled since */
	fill(a, "new");
	drop(b);
	ck_assert_int_eq(look(a), RH_CACHE_MISS);
}
END_TEST

START_TEST(a_longer_tombstone_is_not_cut_short)
{
	struct worker *a = worker(0), *b = worker(1), *c = worker(2);

	ck_assert(lay(b, LIFE_MS) && lay(c, 50));
	rest_ms(100);
	ck_assert_int_eq(look(a), RH_CACHE_BUSY);
	drop(c);
	ck_assert_int_eq(look(a), RH_CACHE_BUSY);
	drop(b);
	ck_assert_int_eq(look(a), RH_CACHE_MISS);
}
END_TEST

/* ---- Redis loses things ---- */

static const struct { const char *verb, *key; } losses[] = {
	{ "DEL", KEY("g", "") }, { "FLUSHALL", "SYNC" },
};

START_TEST(a_writer_that_redis_lost_is_still_seen)
{
	struct worker *a = worker(0), *b = worker(1);

	ck_assert(lay(b, LIFE_MS));
	command(a, losses[_i].verb, losses[_i].key);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(look(a), RH_CACHE_BUSY);
		ck_assert(!a->got.lease.held);
	}
	drop(b);
	ck_assert_int_eq(look(a), RH_CACHE_MISS);
}
END_TEST

START_TEST(an_evicted_entry_or_lease_lets_nothing_old_in)
{
	struct worker *a = worker(0), *b = worker(1);

	ck_assert_int_eq(look(a), RH_CACHE_MISS);
	command(b, "DEL", KEY("l", ":20"));
	ck_assert_int_eq(look(b), RH_CACHE_MISS);	/* a's request has ended */
	fill(a, "old");
	ck_assert_int_eq(look(a), RH_CACHE_BUSY);
	fill(b, "new");
	ck_assert_int_eq(look(a), RH_CACHE_HIT);
	rh_assert_slice_eq(a->got.value, RH_SLICE("new"));
	command(b, "DEL", KEY("e", ":20"));
	ck_assert_int_eq(look_again(a), RH_CACHE_MISS);
	fill(a, "newer");
	command(b, "DEL", KEY("g", ""));
	ck_assert_int_eq(look(a), RH_CACHE_MISS);
}
END_TEST

START_TEST(of_a_host_one_rebuilds_also_when_its_lease_is_lost)
{
	struct worker *a = worker(0), *b = worker(1);

	ck_assert_int_eq(look_at(a, group, entry), RH_CACHE_MISS);
	command(b, "FLUSHALL", "SYNC");
	ck_assert_int_eq(look(b), RH_CACHE_BUSY);
	ck_assert_int_eq(look_at(b, group, RH_SLICE("50")), RH_CACHE_MISS);
	settled(b);
	settled(a);
	ck_assert_int_eq(look(b), RH_CACHE_MISS);
}
END_TEST

START_TEST(what_is_older_than_the_connection_is_not_trusted)
{
	struct worker *a = worker(0), *b;

	ck_assert_int_eq(look(a), RH_CACHE_MISS);
	fill(a, "before");
	ck_assert_int_eq(look(a), RH_CACHE_HIT);
	rest_ms(3);
	b = newcomer(1);
	rest_ms(BRIEF_MS);
	ck_assert_int_eq(look_again(b), RH_CACHE_MISS);
	ck_assert_int_eq(look(a), RH_CACHE_HIT);
	fill(b, "after");
	ck_assert_int_eq(look(b), RH_CACHE_HIT);
	ck_assert_int_eq(look(a), RH_CACHE_HIT);
	rh_assert_slice_eq(a->got.value, RH_SLICE("after"));
}
END_TEST

/* A write of b's, of which Redis never hears. */
static void
write_blind(struct worker *b, int64_t life_ms)
{
	rh_redis_begin(b->redis, b->arena, NULL);
	rh_redis_deadline(b->redis, 1);		/* long over: nothing is asked */
	rh_coherent_begin(b->c);
	rh_coherent_tomb(b->c, tenant, group, life_ms, &b->tomb);
	ck_assert(!rh_coherent_tomb_laid(b->c, &b->tomb));
	rh_redis_end(b->redis);
}

START_TEST(what_is_older_than_a_write_without_a_tombstone_is_not_trusted)
{
	struct worker *a = worker(0), *b = worker(1);

	ck_assert_int_eq(look(a), RH_CACHE_MISS);
	fill(a, "old");
	write_blind(b, LIFE_MS);
	/* its reply is not out; but nothing is filled any more */
	ck_assert_int_eq(look(a), RH_CACHE_HIT);
	ck_assert_int_eq(look_at(a, group, RH_SLICE("other")), RH_CACHE_BUSY);
	end(a);
	rh_coherent_done(b->c, &b->tomb);
	rest_ms(BRIEF_MS);
	ck_assert_int_eq(look_again(a), RH_CACHE_MISS);
	fill(a, "new");
	ck_assert_int_eq(look(a), RH_CACHE_HIT);
	/* for others it is dropped as soon as that can be */
	drop(b);
	ck_assert_int_eq(look_again(a), RH_CACHE_MISS);
}
END_TEST

START_TEST(who_never_learns_a_writes_end_does_without_for_its_life)
{
	struct worker *a = worker(0), *b = worker(1);

	ck_assert_int_eq(look(a), RH_CACHE_MISS);
	fill(a, "old");
	write_blind(b, BRIEF_MS);
	rh_coherent_unsettled(b->c, &b->tomb);
	ck_assert_int_eq(look(a), RH_CACHE_BUSY);
	ck_assert_int_eq(look_at(a, RH_SLICE("principals"), entry),
	    RH_CACHE_BUSY);
	end(a);
	rest_ms(BRIEF_MS + 100);
	ck_assert_int_eq(look(a), RH_CACHE_MISS);
}
END_TEST

START_TEST(a_killed_writer_without_a_tombstone_is_one_whose_end_is_not_known)
{
	struct worker *a = worker(0), *b = worker(1);

	ck_assert_int_eq(look(a), RH_CACHE_MISS);
	fill(a, "old");
	write_blind(b, BRIEF_MS);
	b = worker(1);		/* its successor in the slot */
	rh_redis_begin(b->redis, b->arena, NULL);
	rh_coherent_inherit(b->c);
	rh_redis_end(b->redis);
	ck_assert_int_eq(look(a), RH_CACHE_BUSY);
	rest_ms(BRIEF_MS + 100);
	ck_assert_int_eq(look(a), RH_CACHE_MISS);
}
END_TEST

/* Restarted in between, and nothing of the write is left there. */
START_TEST(a_restart_forgets_no_writer)
{
	struct worker *a = worker(0), *b = worker(1);

	ck_assert_int_eq(look(a), RH_CACHE_MISS);
	ck_assert(lay(b, LIFE_MS));
	redis_server_kill(&server);
	ck_assert_int_ne(look(a), RH_CACHE_HIT);
	redis_server_start(&server);
	for (int i = 0; i < 1000 && !rh_redis_warm(a->redis); i++)
		rest_ms(5);
	rest_ms(BRIEF_MS);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(look(a), RH_CACHE_BUSY);
	rh_coherent_done(b->c, &b->tomb);
	ck_assert_int_eq(look(a), RH_CACHE_MISS);
	fill(a, "new");
	ck_assert_int_eq(look(a), RH_CACHE_HIT);
}
END_TEST

START_TEST(a_drop_that_was_in_vain_is_done_again)
{
	struct worker *a = worker(0), *b = worker(1);

	ck_assert_int_eq(look(a), RH_CACHE_MISS);
	ck_assert(lay(b, LIFE_MS));
	redis_server_kill(&server);
	drop(b);
	ck_assert_uint_ne(host->places[1].done, 0);
	redis_server_start(&server);
	for (int i = 0; i < 1000 && host->places[1].done; i++) {
		(void)look(b);
		rest_ms(5);
	}
	ck_assert_uint_eq(host->places[1].done, 0);
}
END_TEST

/* Its write has a tombstone that it never heard of, and no request comes. */
START_TEST(a_drop_that_was_in_vain_is_done_by_who_is_idle)
{
	struct worker *a = worker(0), *b = worker(1);

	/* Redis knows the group: of another it would have none */
	ck_assert_int_eq(look(a), RH_CACHE_MISS);
	fill(a, "old");
	b->conf.timeout_ms = 50;
	redis_server_freeze(&server);
	ck_assert(!lay(b, LIFE_MS));
	drop(b);
	kill(server.pid, SIGCONT);
	/* what waited in the socket is executed now */
	ck_assert_int_eq(look(a), RH_CACHE_BUSY);
	b->conf.timeout_ms = 5000;
	for (int i = 0; i < 1000 && look(a) == RH_CACHE_BUSY; i++) {
		rh_redis_idle(b->redis);
		rh_redis_begin(b->redis, b->arena, NULL);
		rh_coherent_idle(b->c);
		rh_redis_end(b->redis);
		rest_ms(5);
	}
	ck_assert_int_eq(a->got.result, RH_CACHE_MISS);
}
END_TEST

/* ---- workers die ---- */

static void
die_in_a_write(bool is_done, int64_t life_ms)
{
	int status;

	if (fork() == 0) {
		struct worker *w = worker(2);

		begin(w);
		rh_coherent_tomb(w->c, tenant, group, life_ms, &w->tomb);
		if (!rh_coherent_tomb_laid(w->c, &w->tomb))
			_exit(1);
		if (is_done)
			rh_coherent_done(w->c, &w->tomb);
		kill(getpid(), SIGKILL);
	}
	wait(&status);
	ck_assert(WIFSIGNALED(status));
}

static void
succeed(void)
{
	struct worker *w = worker(2);

	rh_redis_begin(w->redis, w->arena, NULL);
	rh_coherent_inherit(w->c);
	rh_redis_end(w->redis);
	(void)look_at(w, RH_SLICE("else"), entry);	/* the drop is through */
	end(w);
}

START_TEST(a_successor_drops_what_was_committed)
{
	struct worker *a = worker(0);

	ck_assert_int_eq(look(a), RH_CACHE_MISS);
	fill(a, "old");
	die_in_a_write(true, LIFE_MS);
	ck_assert_int_eq(look(a), RH_CACHE_BUSY);
	succeed();
	ck_assert_int_eq(look(a), RH_CACHE_MISS);
}
END_TEST

START_TEST(what_nobody_knows_the_end_of_ends_by_itself)
{
	struct worker *a = worker(0);

	ck_assert_int_eq(look(a), RH_CACHE_MISS);
	die_in_a_write(false, BRIEF_MS);
	succeed();
	command(a, "FLUSHALL", "SYNC");
	ck_assert_int_eq(look(a), RH_CACHE_BUSY);	/* it may yet commit */
	rest_ms(BRIEF_MS + 100);
	ck_assert_int_eq(look(a), RH_CACHE_MISS);
}
END_TEST

START_TEST(more_tombstones_than_places_turn_the_cache_off)
{
	struct worker *a = worker(0), *b = worker(1);

	for (int i = 0; i < RH_COHERENT_TOMBS; i++)
		ck_assert(lay(b, LIFE_MS));
	ck_assert_int_eq(look_at(a, RH_SLICE("else"), entry), RH_CACHE_MISS);
	end(a);
	ck_assert(lay(b, LIFE_MS));
	ck_assert_int_eq(look_at(a, RH_SLICE("else"), entry), RH_CACHE_BUSY);
	end(a);
}
END_TEST

/* ---- early refresh ---- */

/* Made in a second, over in ttl_ms: early by a second on the average. */
static void
fill_slowly(struct worker *w, int64_t ttl_ms)
{
	ck_assert_int_eq(look(w), RH_CACHE_MISS);
	rest_ms(1000);
	begin(w);
	rh_coherent_fill(w->c, &w->got.lease, RH_SLICE("page"), ttl_ms);
	settled(w);
}

START_TEST(one_refreshes_early_while_the_others_still_hit)
{
	struct worker *a = worker(0), *b = worker(1);
	int early = 0;

	/* the rarer the looks, the nearer the end it is; it is never the end */
	fill_slowly(a, 8000);
	while (!early) {
		ck_assert_int_eq(look(b), RH_CACHE_HIT);
		early += b->got.lease.held;
		rest_ms(1);
	}
	ck_assert_int_eq(early, 1);
	for (int i = 0; i < 200; i++) {
		ck_assert_int_eq(look(a), RH_CACHE_HIT);
		ck_assert(!a->got.lease.held);
	}
	fill(b, "newer");
	ck_assert_int_eq(look(a), RH_CACHE_HIT);
	rh_assert_slice_eq(a->got.value, RH_SLICE("newer"));
}
END_TEST

START_TEST(what_is_cheap_is_not_refreshed_early)
{
	struct worker *a = worker(0);

	rest_ms(900);
	ck_assert_int_eq(look(a), RH_CACHE_MISS);
	fill(a, "page");
	for (int i = 0; i < 2000; i++) {
		ck_assert_int_eq(look(a), RH_CACHE_HIT);
		ck_assert(!a->got.lease.held);
	}
}
END_TEST

/* ---- the rest ---- */

START_TEST(all_keys_have_the_tenants_tag)
{
	struct worker *a = worker(0);
	const struct rh_redis_value *keys;

	ck_assert_int_eq(look(a), RH_CACHE_MISS);
	fill(a, "page");
	ck_assert(lay(a, LIFE_MS));
	ck_assert_int_eq(look_at(a, RH_SLICE("else"), entry), RH_CACHE_MISS);
	end(a);
	begin(a);
	rh_redis_send(a->redis, RH_SLICE_NONE, RH_SLICE("KEYS"), RH_SLICE("*"));
	keys = rh_redis_read(a->redis);
	ck_assert_uint_eq(keys->n, 4);		/* g e, and g l */
	for (size_t i = 0; i < keys->n; i++)
		ck_assert(rh_slice_has_prefix(keys->items[i].text,
		    RH_SLICE("{01020304-0506-0708-090a-0b0c0d0e0f10}:")));
	end(a);
}
END_TEST

START_TEST(every_look_is_counted)
{
	struct worker *a = worker(0), *b = worker(1);

	ck_assert_int_eq(look(a), RH_CACHE_MISS);
	ck_assert_int_eq(look(b), RH_CACHE_BUSY);
	fill(a, "page");
	ck_assert_int_eq(look(a), RH_CACHE_HIT);
	(void)look_at(a, RH_SLICE("principals:x"), entry);
	end(a);
	(void)look_at(a, RH_SLICE("tasks:7"), entry);
	end(a);
	rh_redis_close(a->redis);
	redis_server_kill(&server);
	ck_assert_int_eq(look(a), RH_CACHE_OFF);
	for (int i = 0; i < RH_CACHE_RESULTS; i++)
		ck_assert_uint_eq(cells[2 * RH_CACHE_RESULTS + i], 1);
	ck_assert_uint_eq(cells[RH_CACHE_RESULTS + RH_CACHE_MISS], 1);
	ck_assert_uint_eq(cells[RH_CACHE_MISS], 1);
}
END_TEST

START_TEST(without_redis_nothing_is_asked)
{
	struct rh_cached got;
	struct rh_tomb tomb;
	struct rh_coherent *c = rh_coherent_new(rh_check_arena(),
	    &(struct rh_coherent_conf){ NULL, host, SLOTS, 0, LEASE_MS, 0, 0 },
	    &obs);

	rh_coherent_inherit(c);
	rh_coherent_begin(c);
	rh_coherent_look(c, tenant, group, entry);
	rh_coherent_answer(c, &got);
	ck_assert_int_eq(got.result, RH_CACHE_OFF);
	rh_coherent_tomb(c, tenant, group, LIFE_MS, &tomb);
	ck_assert(!rh_coherent_tomb_laid(c, &tomb));
	rh_coherent_done(c, &tomb);
	rh_coherent_fill(c, &got.lease, RH_SLICE("x"), TTL_MS);
	rh_coherent_drop(c, &tomb);
	rh_coherent_post(c);
	ck_assert_int_eq(host->not_before_ms, 0);
}
END_TEST

int
main(void)
{
	int failed;
	const struct rh_check_case cases[] = {
		RH_CASE(a_miss_has_the_lease_and_its_fill_is_hit),
		RH_CASE(any_bytes_are_a_value),
		RH_CASE(looks_are_answered_in_their_order),
		RH_CASE(looks_that_hit_are_answered_in_their_order),
		RH_CASE(a_lease_that_is_forgone_is_the_next_ones),
		RH_CASE(who_writes_is_waited_for_by_nobody),
		RH_CASE(the_last_of_several_writers_ends_it),
		RH_CASE(a_write_takes_no_other_group_along),
		RH_LOOP(what_was_read_before_a_write_is_not_filled_after_it, during),
		RH_CASE(a_tombstone_ends_by_itself),
		RH_CASE(a_longer_tombstone_is_not_cut_short),
		RH_LOOP(a_writer_that_redis_lost_is_still_seen, losses),
		RH_CASE(an_evicted_entry_or_lease_lets_nothing_old_in),
		RH_CASE(of_a_host_one_rebuilds_also_when_its_lease_is_lost),
		RH_CASE(what_is_older_than_the_connection_is_not_trusted),
		RH_CASE(what_is_older_than_a_write_without_a_tombstone_is_not_trusted),
		RH_CASE(who_never_learns_a_writes_end_does_without_for_its_life),
		RH_CASE(a_killed_writer_without_a_tombstone_is_one_whose_end_is_not_known),
		RH_CASE(a_restart_forgets_no_writer),
		RH_CASE(a_drop_that_was_in_vain_is_done_again),
		RH_CASE(a_drop_that_was_in_vain_is_done_by_who_is_idle),
		RH_CASE(a_successor_drops_what_was_committed),
		RH_CASE(what_nobody_knows_the_end_of_ends_by_itself),
		RH_CASE(more_tombstones_than_places_turn_the_cache_off),
		RH_CASE(one_refreshes_early_while_the_others_still_hit),
		RH_CASE(what_is_cheap_is_not_refreshed_early),
		RH_CASE(all_keys_have_the_tenants_tag),
		RH_CASE(every_look_is_counted),
		RH_CASE(without_redis_nothing_is_asked),
	};

	if (!redis_server_is_there()) {
		puts("skipped: the Redis server is not installed");
		return 77;
	}
	rh_coherent_register();
	redis_server_home_open();
	failed = rh_check_run_with("data/coherent", cases, RH_COUNT(cases),
	    set_up, tear_down);
	return redis_server_home_close() ? 1 : failed;
}
