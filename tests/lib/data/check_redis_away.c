/*
 * tests/lib/data/check_redis_away.c - what becomes of a request's
 * pipeline when its redis-server is frozen, killed, a stranger's, or none.
 * test_redis.py runs it.
 */
#include "config.h"

#include "redis_asked.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

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

RH_CHECK_MAIN("data/redis_away",
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
