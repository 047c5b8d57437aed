/*
 * tests/lib/data/check_redis.c - a request's pipeline against a real
 * redis-server that answers; check_redis_away.c has the others.
 * test_redis.py runs it.
 */
#include "config.h"

#include "redis_asked.h"

#include <stdio.h>
#include <sys/socket.h>

/* ---- answers ---- */

START_TEST(values_are_of_every_kind)
{
	static const char bytes[] = "a\0b\r\n$3\r\n";
	const struct rh_slice raw = { bytes, sizeof(bytes) - 1 };
	const struct rh_redis_value *v;

	set_up(AMPLE_MS);
	redis_user_begin(&user);
	rh_redis_send(user.r, K("s"), K("SET"), K("s"), raw);
	rh_redis_send(user.r, K("s"), K("GET"), K("s"));
	rh_redis_send(user.r, K("e"), K("SET"), K("e"), K(""));
	rh_redis_send(user.r, K("e"), K("GET"), K("e"));
	rh_redis_send(user.r, K("none"), K("GET"), K("none"));
	rh_redis_send(user.r, K("n"), K("DECRBY"), K("n"), K("9223372036854775807"));
	rh_redis_send(user.r, K("s"), K("LPUSH"), K("s"), K("x"));
	rh_redis_run(user.r, &scripts[SHAPE], NULL, 0, NULL, 0);
	rh_redis_send(user.r, K("l"), K("LRANGE"), K("l"), K("0"), K("-1"));

	rh_assert_slice_eq(rh_redis_read(user.r)->text, K("OK"));
	v = rh_redis_read(user.r);
	ck_assert_int_eq(v->kind, RH_REDIS_TEXT);
	rh_assert_slice_eq(v->text, raw);
	rh_redis_read(user.r);
	v = rh_redis_read(user.r);
	ck_assert_int_eq(v->kind, RH_REDIS_TEXT);
	ck_assert_uint_eq(v->text.n, 0);
	ck_assert_int_eq(rh_redis_read(user.r)->kind, RH_REDIS_NIL);
	v = rh_redis_read(user.r);
	ck_assert_int_eq(v->kind, RH_REDIS_INT);
	ck_assert_int_eq(v->number, -INT64_MAX);
	v = rh_redis_read(user.r);
	ck_assert_int_eq(v->kind, RH_REDIS_ERROR);
	ck_assert(rh_slice_has_prefix(v->text, K("WRONGTYPE ")));

	v = rh_redis_read(user.r);
	ck_assert_int_eq(v->kind, RH_REDIS_ARRAY);
	ck_assert_uint_eq(v->n, 4);
	ck_assert_int_eq(v->items[0].number, 1);
	rh_assert_slice_eq(v->items[1].items[0].text, K("two"));
	ck_assert_int_eq(v->items[1].items[1].items[0].kind, RH_REDIS_NIL);
	ck_assert_int_eq(v->items[1].items[1].items[1].number, 3);
	ck_assert_int_eq(v->items[2].kind, RH_REDIS_ARRAY);
	ck_assert_uint_eq(v->items[2].n, 0);
	ck_assert_int_eq(v->items[3].kind, RH_REDIS_ERROR);

	v = rh_redis_read(user.r);
	ck_assert_int_eq(v->kind, RH_REDIS_ARRAY);
	ck_assert_uint_eq(v->n, 0);
	/* what one command was told is no error of the session */
	ck_assert_ptr_null(rh_redis_error(user.r));
	ck_assert_uint_eq(rh_redis_round_trips(user.r), 1);
	ck_assert_uint_gt(rh_redis_wait_ns(user.r), 0);
	/* and there is no answer more than was asked for */
	ck_assert_int_eq(rh_redis_read(user.r)->kind, RH_REDIS_NIL);
	redis_user_close(&user);
}
END_TEST

START_TEST(big_values_come_and_go)
{
	enum { BYTES = 12 << 20 };
	char *big;

	set_up(AMPLE_MS);
	redis_user_begin(&user);
	big = rh_arena_alloc(user.arena, BYTES);
	for (size_t i = 0; i < BYTES; i++)
		big[i] = (char)(i * 31 + i / 4096);
	rh_redis_send(user.r, K("b"), K("SET"), K("b"),
	    ((struct rh_slice){ big, BYTES }));
	/* both ways are full at the same time */
	rh_redis_send(user.r, K("b"), K("GET"), K("b"));
	rh_redis_send(user.r, K("c"), K("SET"), K("c"),
	    ((struct rh_slice){ big, BYTES }));
	rh_redis_send(user.r, K("b"), K("GET"), K("b"));
	rh_assert_slice_eq(rh_redis_read(user.r)->text, K("OK"));
	for (int i = 0; i < 2; i++) {
		const struct rh_redis_value *v = rh_redis_read(user.r);

		ck_assert_uint_eq(v->text.n, BYTES);
		ck_assert_int_eq(memcmp(v->text.p, big, BYTES), 0);
		if (i == 0)
			rh_redis_read(user.r);
	}
	ck_assert_ptr_null(rh_redis_error(user.r));
	redis_user_close(&user);
}
END_TEST

START_TEST(answers_come_in_the_order_sent)
{
	char text[16];

	set_up(AMPLE_MS);
	redis_user_begin(&user);
	for (int round = 1; round <= 3; round++) {
		for (int i = 0; i < 500; i++) {
			int n = snprintf(text, sizeof(text), "%d.%d", round, i);
			const struct rh_slice t = { text, (size_t)n };

			if (i % 3)
				rh_redis_send(user.r, K("k"), K("ECHO"), t);
			else
				rh_redis_run(user.r, &scripts[TWICE], &t, 1,
				    (const struct rh_slice[]){ t, t }, 2);
		}
		for (int i = 0; i < 500; i++) {
			int n = snprintf(text, sizeof(text), "%d.%d", round, i);
			const struct rh_redis_value *v = rh_redis_read(user.r);

			rh_assert_slice_eq(i % 3 ? v->text : v->items[2].text,
			    ((struct rh_slice){ text, (size_t)n }));
		}
		ck_assert_uint_eq(rh_redis_round_trips(user.r), round);
	}
	ck_assert_uint_eq(redis_user_trips(&user), 3);
	redis_user_close(&user);
}
END_TEST

START_TEST(nothing_leaves_before_the_first_read)
{
	set_up(AMPLE_MS);
	redis_user_begin(&user);
	rh_redis_send(user.r, K("k"), K("SET"), K("k"), K("1"));
	redis_user_end(&user);
	ck_assert_int_eq(redis_user_ask(&user, "EXISTS k")->number, 0);
	redis_user_close(&user);
}
END_TEST

START_TEST(answers_not_read_are_no_ones)
{
	set_up(AMPLE_MS);
	redis_user_begin(&user);
	rh_redis_send(user.r, K("k"), K("ECHO"), K("one"));
	rh_redis_send(user.r, K("k"), K("ECHO"), K("two"));
	rh_assert_slice_eq(rh_redis_read(user.r)->text, K("one"));
	rh_assert_slice_eq(redis_user_ask(&user, "ECHO three")->text, K("three"));
	redis_user_close(&user);
}
END_TEST

/* ---- posts ---- */

START_TEST(post_is_not_waited_for)
{
	set_up(AMPLE_MS);
	for (int i = 1; i <= 20; i++) {
		redis_user_begin(&user);
		rh_redis_send(user.r, K("k"), K("ECHO"), K("before"));
		rh_assert_slice_eq(rh_redis_read(user.r)->text, K("before"));
		rh_redis_send(user.r, K("p"), K("INCR"), K("p"));
		rh_redis_send(user.r, K("p"), K("LPUSH"), K("p"), K("refused"));
		add("p");
		ck_assert(rh_redis_post(user.r));
		ck_assert_uint_eq(rh_redis_round_trips(user.r), 1);
		redis_user_end(&user);
		/* its answers are read off, and seen by nobody */
		redis_user_begin(&user);
		rh_redis_send(user.r, K("p"), K("GET"), K("p"));
		rh_redis_send(user.r, K("p"), K("ECHO"), K("after"));
		ck_assert_int_eq(atoi(rh_redis_read(user.r)->text.p), 2 * i);
		rh_assert_slice_eq(rh_redis_read(user.r)->text, K("after"));
		ck_assert_ptr_null(rh_redis_error(user.r));
		redis_user_end(&user);
	}
	redis_user_close(&user);
}
END_TEST

START_TEST(posts_alone_do_not_pile_up)
{
	set_up(AMPLE_MS);
	for (int i = 0; i < 5000; i++) {
		redis_user_begin(&user);
		rh_redis_send(user.r, K("p"), K("INCR"), K("p"));
		ck_assert(rh_redis_post(user.r));
		redis_user_end(&user);
	}
	ck_assert_int_eq(atoi(redis_user_ask(&user, "GET p")->text.p), 5000);
	redis_user_close(&user);
}
END_TEST

START_TEST(posted_script_runs_after_a_flush_too)
{
	set_up(AMPLE_MS);
	ck_assert(rh_redis_warm(user.r));
	ck_assert(redis_stand_cli(&server, "SCRIPT FLUSH"));
	redis_user_begin(&user);
	add("p");
	ck_assert(rh_redis_post(user.r));
	ck_assert_int_eq(atoi(redis_user_ask(&user, "GET p")->text.p), 1);
	redis_user_close(&user);
}
END_TEST

START_TEST(post_to_a_frozen_server_ends)
{
	enum { BYTES = 16 << 20 };
	const char *big;

	set_up(SHORT_MS);
	redis_until(rh_redis_warm(user.r));
	redis_stand_freeze(&server);
	redis_user_begin(&user);
	big = rh_arena_zalloc(user.arena, BYTES, 1);
	rh_redis_send(user.r, K("b"), K("SET"), K("b"),
	    ((struct rh_slice){ big, BYTES }));
	ck_assert(!rh_redis_post(user.r));
	ck_assert_str_eq(code(), "redis.connection");
	redis_user_close(&user);
}
END_TEST

/* ---- scripts ---- */

START_TEST(script_is_there_from_the_first_time)
{
	set_up(AMPLE_MS);
	redis_user_begin(&user);
	add("k");
	ck_assert_int_eq(rh_redis_read(user.r)->number, 1);
	ck_assert_uint_eq(rh_redis_round_trips(user.r), 1);
	redis_user_close(&user);
}
END_TEST

static void
pipeline_of_scripts(unsigned trips)
{
	const struct rh_slice args[] = { K("x"), K("y") }, key = K("t");

	redis_user_end(&user);
	redis_user_begin(&user);
	rh_redis_send(user.r, K("a"), K("INCR"), K("a"));
	add("b");
	rh_redis_send(user.r, K("a"), K("INCR"), K("a"));
	rh_redis_run(user.r, &scripts[TWICE], &key, 1, args, 2);
	add("b");
	rh_redis_send(user.r, K("a"), K("GET"), K("a"));
	ck_assert_int_eq(rh_redis_read(user.r)->number, 1);
	ck_assert_int_eq(rh_redis_read(user.r)->number, 1);
	ck_assert_int_eq(rh_redis_read(user.r)->number, 2);
	rh_assert_slice_eq(rh_redis_read(user.r)->items[2].text, K("y"));
	ck_assert_int_eq(rh_redis_read(user.r)->number, 2);
	rh_assert_slice_eq(rh_redis_read(user.r)->text, K("2"));
	ck_assert_ptr_null(rh_redis_error(user.r));
	ck_assert_uint_eq(rh_redis_round_trips(user.r), trips);
}

START_TEST(flushed_scripts_alone_are_sent_again)
{
	set_up(AMPLE_MS);
	ck_assert(rh_redis_warm(user.r));
	ck_assert(redis_stand_cli(&server, "SCRIPT FLUSH"));
	pipeline_of_scripts(2);
	ck_assert(redis_stand_cli(&server, "FLUSHALL"));
	pipeline_of_scripts(1);
	redis_user_close(&user);
}
END_TEST

START_TEST(restarted_server_gets_its_scripts)
{
	set_up(AMPLE_MS);
	pipeline_of_scripts(1);
	redis_stand_kill(&server);
	redis_stand_start(&server);
	redis_pause(150);	/* longer than a session trusts what it cannot see */
	pipeline_of_scripts(1);
	redis_user_close(&user);
}
END_TEST

START_TEST(script_that_fails_is_its_answer)
{
	static struct rh_script bad[] = {
		{ .name = "bad", .lua = "return redis.call('INCR', KEYS[1], 'x')" },
		{ .name = "syntax", .lua = "this is no Lua" }, { 0 }
	};
	const struct rh_slice key = K("k");

	rh_scripts_register(bad);
	set_up(AMPLE_MS);
	redis_user_begin(&user);
	rh_redis_run(user.r, &bad[0], &key, 1, NULL, 0);
	rh_redis_run(user.r, &bad[1], &key, 1, NULL, 0);
	add("k");
	ck_assert_int_eq(rh_redis_read(user.r)->kind, RH_REDIS_ERROR);
	ck_assert_int_eq(rh_redis_read(user.r)->kind, RH_REDIS_ERROR);
	ck_assert_int_eq(rh_redis_read(user.r)->number, 1);
	ck_assert_ptr_null(rh_redis_error(user.r));
	redis_user_close(&user);
}
END_TEST

RH_CHECK_MAIN("data/redis",
    RH_CASE(values_are_of_every_kind),
    RH_CASE(big_values_come_and_go),
    RH_CASE(answers_come_in_the_order_sent),
    RH_CASE(nothing_leaves_before_the_first_read),
    RH_CASE(answers_not_read_are_no_ones),
    RH_CASE(post_is_not_waited_for),
    RH_CASE(posts_alone_do_not_pile_up),
    RH_CASE(posted_script_runs_after_a_flush_too),
    RH_CASE(post_to_a_frozen_server_ends),
    RH_CASE(script_is_there_from_the_first_time),
    RH_CASE(flushed_scripts_alone_are_sent_again),
    RH_CASE(restarted_server_gets_its_scripts),
    RH_CASE(script_that_fails_is_its_answer))
