/*
 * tests/lib/data/check_redis.c - a request's pipeline against a real
 * redis-server, and what becomes of it when that is frozen, killed, flushed.
 * test_redis.py runs it.
 */
#include "config.h"

#include "redis_stand.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "rh_check.h"

/* Ample where nothing is to be late, and short where something is to be. */
enum { AMPLE_MS = 20000, SHORT_MS = 60 };

#define K(text)	RH_SLICE(text)

static struct rh_script scripts[] = {
	{ .name = "test.add", .lua = "return redis.call('INCRBY', KEYS[1], ARGV[1])" },
	{ .name = "test.twice", .lua = "return {KEYS[1], ARGV[1], ARGV[2]}" },
	{ .name = "test.shape", .lua = "return {1, {'two', {false, 3}}, {}, redis.error_reply('E x')}" },
	{ 0 }
};
enum { ADD, TWICE, SHAPE };

static struct redis_stand server;
static struct redis_user user;

static void
set_up(int64_t timeout_ms)
{
	rh_scripts_register(scripts);
	redis_stand_open(&server, NULL);
	redis_user_open(&user, server.unix_url, timeout_ms);
}

static const char *
code(void)
{
	struct rh_err *err = rh_redis_error(user.r);

	return err ? err->code : NULL;
}

static void
add(const char *key)
{
	const struct rh_slice k = rh_slice_of(key), one = K("1");

	rh_redis_run(user.r, &scripts[ADD], &k, 1, &one, 1);
}

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

/* ---- away ---- */

START_TEST(frozen_server_costs_one_timeout_once)
{
	int64_t since;

	set_up(SHORT_MS);
	redis_until(rh_redis_warm(user.r));
	ck_assert_uint_eq(redis_user_up(&user), 1);
	since = rh_redis_since_ms(user.r);
	ck_assert_int_gt(since, 0);
	redis_stand_freeze(&server);

	ck_assert_int_eq(redis_user_ask(&user, "INCR k")->kind, RH_REDIS_NIL);
	ck_assert_str_eq(code(), "redis.timeout");
	ck_assert_int_eq(rh_redis_error(user.r)->kind, RH_E_UNAVAILABLE);
	ck_assert_uint_eq(redis_user_up(&user), 0);
	/* who comes now waits for nothing, also not for the next try */
	for (int i = 0; i < 100; i++) {
		bool usable = rh_redis_usable(user.r);

		ck_assert(!usable);
		ck_assert_int_eq(redis_user_ask(&user, "GET k")->kind,
		    RH_REDIS_NIL);
		ck_assert_str_eq(code(), "redis.away");
		ck_assert_uint_eq(rh_redis_round_trips(user.r), 0);
		redis_pause(2);
	}
	redis_stand_thaw(&server);
	redis_until(rh_redis_usable(user.r));
	ck_assert_uint_eq(redis_user_up(&user), 1);
	ck_assert_int_gt(rh_redis_since_ms(user.r), since);
	redis_until(redis_user_ask(&user, "PING")->kind == RH_REDIS_TEXT);
	redis_user_close(&user);
}
END_TEST

START_TEST(frozen_server_does_not_hold_who_connects)
{
	set_up(SHORT_MS);
	redis_stand_freeze(&server);
	ck_assert(!rh_redis_warm(user.r));
	ck_assert_ptr_nonnull(strstr(rh_redis_trouble(user.r), "no answer"));
	ck_assert_int_eq(redis_user_ask(&user, "PING")->kind, RH_REDIS_NIL);
	ck_assert_str_eq(code(), "redis.away");
	redis_stand_thaw(&server);
	redis_until(rh_redis_usable(user.r));
	redis_user_close(&user);
}
END_TEST

START_TEST(frozen_server_does_not_hold_who_writes)
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
	ck_assert_int_eq(rh_redis_read(user.r)->kind, RH_REDIS_NIL);
	ck_assert_str_eq(code(), "redis.timeout");
	redis_user_close(&user);
}
END_TEST

START_TEST(idle_worker_tries_by_itself)
{
	set_up(SHORT_MS);
	redis_until(rh_redis_warm(user.r));
	redis_stand_kill(&server);
	rh_redis_idle(user.r);		/* sees the end, and tries at once */
	redis_until((rh_redis_idle(user.r), !redis_user_up(&user)));
	ck_assert(!rh_redis_usable(user.r));
	redis_stand_start(&server);
	redis_until((rh_redis_idle(user.r), redis_user_up(&user)));
	redis_user_close(&user);
}
END_TEST

START_TEST(deadline_of_a_request_is_not_the_servers_fault)
{
	set_up(AMPLE_MS);
	ck_assert(rh_redis_warm(user.r));
	redis_stand_freeze(&server);
	redis_user_begin(&user);
	rh_redis_deadline(user.r, rh_clock_mono_ns() + 20 * 1000000);
	rh_redis_send(user.r, K("k"), K("GET"), K("k"));
	ck_assert_int_eq(rh_redis_read(user.r)->kind, RH_REDIS_NIL);
	ck_assert_str_eq(code(), "redis.timeout");
	/* the same, and nothing is even sent */
	redis_user_begin(&user);
	rh_redis_deadline(user.r, 1);
	rh_redis_send(user.r, K("k"), K("GET"), K("k"));
	ck_assert_int_eq(rh_redis_read(user.r)->kind, RH_REDIS_NIL);
	ck_assert_str_eq(code(), "redis.timeout");
	ck_assert_uint_eq(rh_redis_round_trips(user.r), 0);
	redis_user_end(&user);

	redis_stand_thaw(&server);
	ck_assert(rh_redis_usable(user.r));
	ck_assert_int_eq(redis_user_ask(&user, "PING")->kind, RH_REDIS_TEXT);
	redis_user_close(&user);
}
END_TEST

START_TEST(killed_server_is_told_and_comes_back)
{
	set_up(AMPLE_MS);
	ck_assert_int_eq(redis_user_ask(&user, "SET k 1")->kind, RH_REDIS_TEXT);
	redis_stand_kill(&server);
	ck_assert_int_eq(redis_user_ask(&user, "GET k")->kind, RH_REDIS_NIL);
	ck_assert_str_eq(code(), "redis.connection");
	ck_assert(!rh_redis_usable(user.r));
	redis_stand_start(&server);
	redis_until(rh_redis_usable(user.r));
	/* another server, nothing in it: a nil that is an answer */
	ck_assert_int_eq(redis_user_ask(&user, "GET k")->kind, RH_REDIS_NIL);
	ck_assert_ptr_null(rh_redis_error(user.r));
	redis_user_close(&user);
}
END_TEST

START_TEST(error_is_latched_until_the_next_begin)
{
	set_up(AMPLE_MS);
	ck_assert(rh_redis_warm(user.r));
	redis_stand_kill(&server);
	redis_user_begin(&user);
	for (int i = 0; i < 3; i++) {
		rh_redis_send(user.r, K("k"), K("GET"), K("k"));
		add("k");
		ck_assert_int_eq(rh_redis_read(user.r)->kind, RH_REDIS_NIL);
		ck_assert_int_eq(rh_redis_read(user.r)->kind, RH_REDIS_NIL);
	}
	ck_assert_str_eq(code(), "redis.connection");
	ck_assert(!rh_redis_post(user.r));
	redis_user_close(&user);
}
END_TEST

/* ---- who and where ---- */

START_TEST(user_and_password_are_said)
{
	static const char *const args[] = { "--user", "app", "on", ">s3cret:/@",
		"~*", "&*", "+@all", "--requirepass", "other", NULL };
	char url[128];

	rh_scripts_register(scripts);
	redis_stand_open(&server, args);
	snprintf(url, sizeof(url), "redis://app:s3cret%%3a%%2f%%40@127.0.0.1:%u/5",
	    server.port);
	redis_user_open(&user, url, AMPLE_MS);
	ck_assert_msg(rh_redis_warm(user.r), "%s", rh_redis_trouble(user.r));
	ck_assert_int_eq(redis_user_ask(&user, "ACL WHOAMI")->kind, RH_REDIS_TEXT);
	rh_assert_slice_eq(redis_user_ask(&user, "ACL WHOAMI")->text, K("app"));
	rh_assert_slice_eq(redis_user_ask(&user, "CLIENT GETNAME")->text,
	    K("check"));
	ck_assert_int_eq(redis_user_ask(&user, "SET five 1")->kind, RH_REDIS_TEXT);
	redis_user_close(&user);

	/* the default user's password, another database */
	snprintf(url, sizeof(url), "unix://:other@%s", server.socket);
	redis_user_open(&user, url, AMPLE_MS);
	ck_assert_int_eq(redis_user_ask(&user, "EXISTS five")->number, 0);
	ck_assert_ptr_null(rh_redis_error(user.r));
	redis_user_close(&user);
}
END_TEST

#define HEX16	"0123456789abcdef"
static const struct { const char *url, *trouble; } strangers[] = {
	{ "unix://%s", "NOAUTH" },
	{ "unix://:wrong@%s", "WRONGPASS" },
	{ "unix://nobody:other@%s", "WRONGPASS" },
	{ "unix://:other@%s?db=99", "DB index is out of range" },
	{ "unix://:other@%s.gone", "No such file" },
	/* a label may have 63 bytes: no server has to be asked whether it is there */
	{ "redis://no-such-host-" HEX16 HEX16 HEX16 HEX16, "name is unknown" },
	{ "redis://127.0.0.1:1", "refused" },
};

START_TEST(stranger_is_turned_away)
{
	static const char *const args[] = { "--requirepass", "other", NULL };
	char url[160];

	rh_scripts_register(scripts);
	redis_stand_open(&server, args);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-extra-args"
	snprintf(url, sizeof(url), strangers[_i].url, server.socket);
#pragma GCC diagnostic pop
	redis_user_open(&user, url, AMPLE_MS);
	ck_assert(!rh_redis_warm(user.r));
	ck_assert_msg(strstr(rh_redis_trouble(user.r), strangers[_i].trouble),
	    "%s", rh_redis_trouble(user.r));
	ck_assert_ptr_null(strstr(rh_redis_trouble(user.r), "wrong"));
	ck_assert_int_eq(redis_user_ask(&user, "GET k")->kind, RH_REDIS_NIL);
	ck_assert_str_eq(code(), "redis.away");
	redis_user_close(&user);
}
END_TEST

START_TEST(name_is_looked_up)
{
	char url[64];

	rh_scripts_register(scripts);
	redis_stand_open(&server, NULL);
	snprintf(url, sizeof(url), "redis://localhost:%u", server.port);
	redis_user_open(&user, url, AMPLE_MS);
	/* by the request itself, where nobody has warmed it */
	rh_assert_slice_eq(redis_user_ask(&user, "PING")->text, K("PONG"));
	redis_user_close(&user);
}
END_TEST

START_TEST(without_scripts_or_map_it_works_too)
{
	static const char *const args[] = { "--user", "default", "on", "nopass",
		"~*", "+@all", "-script", "-cluster", "-client", NULL };

	rh_scripts_register(scripts);
	redis_stand_open(&server, args);
	redis_user_open(&user, server.unix_url, AMPLE_MS);
	redis_user_begin(&user);
	add("k");
	ck_assert_int_eq(rh_redis_read(user.r)->number, 1);
	ck_assert_uint_eq(rh_redis_round_trips(user.r), 2);
	redis_user_end(&user);
	redis_user_begin(&user);
	add("k");
	ck_assert_int_eq(rh_redis_read(user.r)->number, 2);
	ck_assert_uint_eq(rh_redis_round_trips(user.r), 1);
	redis_user_close(&user);
}
END_TEST

START_TEST(replica_is_refused)
{
	set_up(AMPLE_MS);
	ck_assert(rh_redis_warm(user.r));
	ck_assert(redis_stand_cli(&server, "REPLICAOF 127.0.0.1 1"));
	ck_assert_int_eq(redis_user_ask(&user, "SET k 1")->kind, RH_REDIS_NIL);
	ck_assert_str_eq(code(), "redis.refused");
	ck_assert_ptr_nonnull(strstr(rh_redis_trouble(user.r), "READONLY"));
	redis_user_close(&user);
}
END_TEST

START_TEST(none_configured_is_none)
{
	const char *const urls[] = { NULL, "", "rediss://h" };

	ck_assert(!rh_redis_usable(NULL));
	ck_assert_uint_eq(rh_redis_round_trips(NULL), 0);
	for (size_t i = 0; i < RH_COUNT(urls); i++) {
		redis_user_open(&user, urls[i], AMPLE_MS);
		ck_assert(!rh_redis_usable(user.r));
		ck_assert(!rh_redis_warm(user.r));
		rh_redis_idle(user.r);
		ck_assert_int_eq(redis_user_ask(&user, "PING")->kind,
		    RH_REDIS_NIL);
		ck_assert_str_eq(code(), "redis.away");
		redis_user_close(&user);
	}
}
END_TEST

/* ---- a peer that is no Redis ---- */

static const char *const rubbish[] = {
	"HTTP/1.1 400 Bad Request\r\n\r\n",
	"+OK\r\n$99999999999999999999\r\n",
	"*2147483647\r\n",
	"*1000000\r\n*1000000\r\n*1000000\r\n*1000000\r\n",
	"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n",
	":12x\r\n",
	"*-7\r\n$-7\r\n",
	"\r\n\r\n\r\n",
	"",
};

static pid_t
talk(int fd, const char *what)
{
	pid_t pid = fork();
	char bytes[4096];
	int peer;

	if (pid)
		return pid;
	while ((peer = accept(fd, NULL, NULL)) >= 0) {
		ssize_t n = read(peer, bytes, sizeof(bytes));

		if (n > 0)
			(void)!write(peer, what, strlen(what));
		close(peer);
	}
	_exit(0);
}

START_TEST(rubbish_is_survived)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char url[64];
	pid_t pid;

	ck_assert_int_eq(bind(fd, (void *)&at, n), 0);
	ck_assert_int_eq(listen(fd, 8), 0);
	ck_assert_int_eq(getsockname(fd, (void *)&at, &n), 0);
	pid = talk(fd, rubbish[_i]);
	snprintf(url, sizeof(url), "redis://127.0.0.1:%u", ntohs(at.sin_port));
	redis_user_open(&user, url, AMPLE_MS);
	ck_assert(!rh_redis_warm(user.r));
	ck_assert_str_ne(rh_redis_trouble(user.r), "");
	redis_user_close(&user);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
END_TEST

/* ---- signals, spans ---- */

static void
hear(int signal)
{
	(void)signal;
}

START_TEST(signals_end_no_wait)
{
	const struct sigaction heard = { .sa_handler = hear };
	const struct itimerval often = { { 0, 1000 }, { 0, 1000 } };

	set_up(AMPLE_MS);
	ck_assert(rh_redis_warm(user.r));
	sigaction(SIGALRM, &heard, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	ck_assert_int_eq(redis_user_ask(&user, "BLPOP none 0.3")->kind,
	    RH_REDIS_NIL);
	ck_assert_ptr_null(rh_redis_error(user.r));
	setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL);
	redis_user_close(&user);
}
END_TEST

static const struct rh_attr *
attr(const struct rh_span *span, const char *key)
{
	for (unsigned i = 0; i < span->nattrs; i++)
		if (strcmp(span->attrs[i].key, key) == 0)
			return &span->attrs[i];
	return NULL;
}

START_TEST(pipeline_is_one_span)
{
	const struct rh_span *span = &user.trace.spans[1];

	set_up(AMPLE_MS);
	redis_user_begin(&user);
	rh_redis_send(user.r, K("secret"), K("SET"), K("secret"), K("hush"));
	add("n");
	ck_assert_ptr_null(rh_redis_error(user.r));
	ck_assert_uint_eq(user.trace.nspans, 2);
	ck_assert_int_eq(span->kind, RH_SPAN_CLIENT);
	rh_assert_slice_eq(span->name, K("PIPELINE"));
	rh_assert_slice_eq(attr(span, "db.system.name")->text, K("redis"));
	rh_assert_slice_eq(attr(span, "db.operation.name")->text, K("PIPELINE"));
	rh_assert_slice_eq(attr(span, "db.namespace")->text, K("0"));
	rh_assert_slice_eq(attr(span, "server.address")->text,
	    rh_slice_of(server.socket));
	ck_assert_int_eq(attr(span, "db.operation.batch.size")->number, 2);
	ck_assert_uint_ge(span->end_ns, span->start_ns);
	ck_assert(!span->error);
	for (unsigned i = 0; i < span->nattrs; i++)
		ck_assert(span->attrs[i].is_int || (!memmem(span->attrs[i].text.p, span->attrs[i].text.n,
		    "hush", 4) && !memmem(span->attrs[i].text.p,
		    span->attrs[i].text.n, "secret", 6)));
	redis_user_end(&user);

	redis_user_begin(&user);
	add("n");
	ck_assert_int_eq(rh_redis_read(user.r)->number, 2);
	rh_assert_slice_eq(span->name, K("EVALSHA"));
	rh_assert_slice_eq(attr(span, "db.stored_procedure.name")->text,
	    K("test.add"));
	ck_assert_ptr_null(attr(span, "db.operation.batch.size"));

	redis_user_ask(&user, "LPUSH n x");
	rh_assert_slice_eq(span->name, K("LPUSH"));
	ck_assert(span->error);
	rh_assert_slice_eq(attr(span, "db.response.status_code")->text,
	    K("WRONGTYPE"));

	/* it dies of it: a server that has died is not even sent anything */
	redis_user_ask(&user, "SHUTDOWN NOSAVE");
	ck_assert(span->error);
	rh_assert_slice_eq(attr(span, "error.type")->text,
	    K("redis.connection"));
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
    RH_CASE(script_that_fails_is_its_answer),
    RH_CASE(frozen_server_costs_one_timeout_once),
    RH_CASE(frozen_server_does_not_hold_who_connects),
    RH_CASE(frozen_server_does_not_hold_who_writes),
    RH_CASE(idle_worker_tries_by_itself),
    RH_CASE(deadline_of_a_request_is_not_the_servers_fault),
    RH_CASE(killed_server_is_told_and_comes_back),
    RH_CASE(error_is_latched_until_the_next_begin),
    RH_CASE(user_and_password_are_said),
    RH_LOOP(stranger_is_turned_away, strangers),
    RH_CASE(name_is_looked_up),
    RH_CASE(without_scripts_or_map_it_works_too),
    RH_CASE(replica_is_refused),
    RH_CASE(none_configured_is_none),
    RH_LOOP(rubbish_is_survived, rubbish),
    RH_CASE(signals_end_no_wait),
    RH_CASE(pipeline_is_one_span))
