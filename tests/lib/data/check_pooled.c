/* tests/lib/data/check_pooled.c - behind a real PgBouncer in transaction mode, which has one connection to its server. */
#include "config.h"

#include "data/pg_session.h"
#include "session.h"

#define LONG_MS 8000 /* a statement during which we are killed */

/* Past the pooler, as session_open() does it through the pooler. */
static void
session_open_direct(struct session *s, int prepared)
{
	if (rh_stmts_count() == 0)
		rh_stmts_register(stmts);
	session_init(s, prepared, 10000);
	s->conf.url = getenv("ROWHOUSE_TEST_DIRECT");
	ck_assert_ptr_nonnull(s->conf.url);
	ck_assert_msg(rh_pg_ready(s->pg, true), "%s", rh_pg_trouble(s->pg));
	begin(s);
}

static const struct rh_field number_columns[] = {
	{ .name = "n", .type = RH_T_INT, .at = 0 }, { 0 }
};

/* What stands apart, and another statement behind it: how many round trips. */
static unsigned
trips_of_apart(struct session *s)
{
	struct rh_arg one = RH_INT(1);
	int64_t apart = 0;
	unsigned n;

	rh_pipe_send_apart(s->pipe, &stmts[NUMBER], &one, 1,
	    &(struct rh_into){ number_columns, &apart });
	rh_pipe_send(s->pipe, &stmts[NUMBER], RH_INT(2));
	ck_assert_int_eq(rh_pipe_int(s->pipe), 2);
	ck_assert_ptr_null(rh_pipe_error(s->pipe));
	ck_assert_int_eq(apart, 1);
	n = rh_pipe_round_trips(s->pipe);
	end(s);
	begin(s);
	return n;
}

START_TEST(auto_sees_the_pooler_before_it_prepares_anything)
{
	struct session s;

	session_open(&s, AUTO);
	ck_assert(s.pg->pooled && !s.pg->prepared);
	ck_assert_int_eq(ask(&s, PREPARED, 0), 0);
	ck_assert_uint_eq(trips_of_apart(&s), 2);
	session_close(&s);
}
END_TEST

static const int each_way[] = { AUTO, ON, OFF };

START_TEST(a_server_itself_is_no_pooler)
{
	struct session s;

	session_open_direct(&s, each_way[_i]);
	ck_assert(!s.pg->pooled);
	ck_assert_int_eq(s.pg->prepared, each_way[_i] != OFF);
	ck_assert_uint_eq(trips_of_apart(&s), each_way[_i] == OFF ? 2 : 1);
	session_close(&s);
}
END_TEST

/* The pooler's connection to its server, then ours to the pooler. */
START_TEST(it_is_seen_again_after_each_connection_was_lost)
{
	struct session s, direct;
	int64_t pid;
	int i;

	session_open(&s, AUTO);
	session_open_direct(&direct, OFF);
	pid = ask(&s, PID, 0);
	ck_assert_int_eq(ask(&direct, KILL, pid), 1);
	for (i = 0; i < TRIES && ask(&direct, ALIVE, pid); i++)
		pause_ms(10);
	for (i = 0; i < TRIES; i++) {
		end(&s);
		rh_pg_close(s.pg);
		s.pg->pooled = false;
		if (rh_pg_ready(s.pg, true))
			break;
		pause_ms(10);
	}
	begin(&s);
	ck_assert(s.pg->pooled && !s.pg->prepared);
	ck_assert_int_ne(ask(&s, PID, 0), pid);
	session_close(&direct);
	session_close(&s);
}
END_TEST

/* A worker: it says by whom it is served, and is inside of its second Sync then. */
static void
be_killed(int how, int tell)
{
	struct rh_arg one = RH_INT(1);
	struct session s;
	int64_t apart, pid;

	session_open(&s, how);
	pid = ask(&s, PID, 0);
	rh_pipe_send_apart(s.pipe, &stmts[NUMBER], &one, 1,
	    &(struct rh_into){ number_columns, &apart });
	ck_assert_int_eq(write(tell, &pid, sizeof(pid)), sizeof(pid));
	rh_pipe_send(s.pipe, &stmts[SLEEP], RH_INT(LONG_MS));
	(void)rh_pipe_int(s.pipe);
	_exit(1);
}

/*
 * PgBouncer 1.18 gave its session to the next one, with these rows on their way,
 * where both Syncs had been sent at once.
 */
START_TEST(nobody_is_given_the_rows_of_who_was_killed)
{
	struct session other, direct;
	int64_t pid = 0;
	int told[2];
	pid_t worker;

	ck_assert_int_eq(pipe(told), 0);
	if ((worker = fork()) == 0)
		be_killed(each_way[_i], told[1]);
	ck_assert_int_eq(read(told[0], &pid, sizeof(pid)), sizeof(pid));
	session_open_direct(&direct, OFF);
	for (int i = 0; i < TRIES && !ask(&direct, ASLEEP, pid); i++)
		pause_ms(10);
	kill(worker, SIGKILL);
	ck_assert_int_eq(waitpid(worker, NULL, 0), worker);
	session_open(&other, OFF);
	for (int i = 10; i < 20; i++)
		ck_assert_int_eq(ask(&other, NUMBER, i), i);
	ck_assert_int_ne(ask(&other, PID, 0), pid);
	session_close(&other);
	session_close(&direct);
}
END_TEST

RH_CHECK_MAIN("data/pooled",
    RH_CASE(auto_sees_the_pooler_before_it_prepares_anything),
    RH_LOOP(a_server_itself_is_no_pooler, each_way),
    RH_CASE(it_is_seen_again_after_each_connection_was_lost),
    RH_LOOP(nobody_is_given_the_rows_of_who_was_killed, each_way))
