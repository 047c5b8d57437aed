/*
 * tests/lib/data/check_hold.c - one transaction over several flushes: whole or
 * not at all, whatever becomes of it in between. test_pipe.py starts it.
 */
#include "config.h"

#include "session.h"

/* A flush of its own, of something that is there. */
static void
flushed(struct session *s, const char *key)
{
	put(s, key);
	ck_assert_int_eq(rh_pipe_done(s->pipe), 1);
}

/* What everybody else sees. */
static int64_t
seen(const char *like)
{
	struct session other;
	int64_t n;

	session_open(&other, OFF);
	n = count(&other, like);
	session_close(&other);
	return n;
}

static const int preparing[] = { AUTO, ON, OFF };

START_TEST(all_is_done_with_the_commit_and_nothing_before)
{
	struct session s;
	char like[16], keys[3][32];

	snprintf(like, sizeof(like), "whole %d %%", _i);
	for (int i = 0; i < 3; i++)
		snprintf(keys[i], sizeof(keys[i]), "whole %d %d", _i, i);
	session_open(&s, preparing[_i]);
	rh_pipe_hold(s.pipe);
	flushed(&s, keys[0]);
	ck_assert_uint_eq(rh_pipe_round_trips(s.pipe), 1);
	ck_assert_int_eq(seen(like), 0);
	/* asking for the error ends nothing either */
	ck_assert_ptr_null(rh_pipe_error(s.pipe));
	flushed(&s, keys[1]);
	ck_assert_uint_eq(rh_pipe_round_trips(s.pipe), 2);
	ck_assert_int_eq(seen(like), 0);
	put(&s, keys[2]);
	rh_pipe_commit(s.pipe);
	ck_assert_ptr_null(rh_pipe_error(s.pipe));
	ck_assert_uint_eq(rh_pipe_round_trips(s.pipe), 3);
	ck_assert_int_eq(seen(like), 3);
	ck_assert_int_eq(count(&s, like), 3);
	session_close(&s);
}
END_TEST

START_TEST(all_of_it_may_be_one_flush)
{
	struct session s;

	session_open(&s, ON);
	rh_pipe_hold(s.pipe);
	put(&s, "one a");
	put(&s, "one b");
	rh_pipe_commit(s.pipe);
	ck_assert_ptr_null(rh_pipe_error(s.pipe));
	ck_assert_uint_eq(rh_pipe_round_trips(s.pipe), 1);
	/* nothing is left to take back */
	rh_pipe_rollback(s.pipe);
	ck_assert_int_eq(count(&s, "one %"), 2);
	session_close(&s);
}
END_TEST

START_TEST(what_stands_before_it_in_its_flush_belongs_to_it)
{
	struct session s;

	session_open(&s, preparing[_i]);
	for (int round = 0; round < 2; round++) {
		put(&s, "before a");
		rh_pipe_hold(s.pipe);
		put(&s, "before b");
		ck_assert_int_eq(rh_pipe_done(s.pipe), 1);
		ck_assert_int_eq(rh_pipe_done(s.pipe), 1);
		ck_assert_ptr_null(rh_pipe_error(s.pipe));
		ck_assert_int_eq(seen("before %"), 0);
		if (round == 0)
			rh_pipe_rollback(s.pipe);
		else
			rh_pipe_commit(s.pipe);
		ck_assert_ptr_null(rh_pipe_error(s.pipe));
		end(&s);
		begin(&s);
		ck_assert_int_eq(seen("before %"), round ? 2 : 0);
	}
	rh_pipe_send(s.pipe, &stmts[DROP], RH_TEXT(RH_SLICE("before %")));
	ck_assert_int_eq(rh_pipe_done(s.pipe), 2);
	session_close(&s);
}
END_TEST

/* One that fails there leaves nothing open. */
START_TEST(what_fails_before_it_does_not_begin_it)
{
	struct session s;
	int64_t pid;

	session_open(&s, ON);
	pid = ask(&s, PID, 0);
	rh_pipe_send(s.pipe, &stmts[CAST], RH_TEXT(RH_SLICE("x")));
	rh_pipe_hold(s.pipe);
	put(&s, "begins a");
	rh_pipe_commit(s.pipe);
	expect_error(&s, RH_E_INVALID, "22P02");
	rh_pipe_rollback(s.pipe);
	ck_assert_int_eq(seen("begins %"), 0);
	ck_assert_int_eq(ask(&s, PID, 0), pid);
	session_close(&s);
}
END_TEST

/* The session stays, and what follows on it is a transaction of its own. */
START_TEST(without_a_commit_nothing_is_done)
{
	struct session s;
	int64_t pid;

	session_open(&s, ON);
	pid = ask(&s, PID, 0);
	rh_pipe_hold(s.pipe);
	flushed(&s, "without a");
	end(&s);
	begin(&s);
	ck_assert_int_eq(count(&s, "without %"), 0);
	flushed(&s, "without b");
	ck_assert_ptr_null(rh_pipe_error(s.pipe));
	ck_assert_int_eq(seen("without %"), 1);
	ck_assert_int_eq(ask(&s, PID, 0), pid);
	session_close(&s);
}
END_TEST

START_TEST(a_rollback_is_not_waited_for)
{
	struct session s;
	int64_t pid;

	session_open(&s, ON);
	pid = ask(&s, PID, 0);
	rh_pipe_hold(s.pipe);
	flushed(&s, "posted a");
	ck_assert_ptr_null(rh_pipe_error(s.pipe));
	rh_pipe_rollback(s.pipe);
	rh_pipe_rollback(s.pipe);
	ck_assert_uint_eq(rh_pipe_round_trips(s.pipe), 1);
	/* its answer stands before theirs */
	rh_pipe_send(s.pipe, &stmts[NUMBER], RH_INT(7));
	ck_assert_int_eq(rh_pipe_int(s.pipe), 7);
	ck_assert_ptr_null(rh_pipe_error(s.pipe));
	ck_assert_uint_eq(rh_pipe_round_trips(s.pipe), 2);
	ck_assert_int_eq(seen("posted %"), 0);
	ck_assert_int_eq(ask(&s, PID, 0), pid);
	session_close(&s);
}
END_TEST

/* In the first flush, in the second, in that of the commit. */
static const int failing[] = { 0, 1, 2 };

START_TEST(a_failure_anywhere_takes_all_of_it_back)
{
	struct session s;
	int64_t pid;

	session_open(&s, ON);
	pid = ask(&s, PID, 0);
	rh_pipe_hold(s.pipe);
	for (int i = 0; i < 3; i++) {
		put(&s, "fails a");
		put(&s, i == failing[_i] ? "fails a" : i ? "fails b" : "fails c");
		if (i == 2)
			rh_pipe_commit(s.pipe);
		(void)!rh_pipe_error(s.pipe);
		rh_pipe_send(s.pipe, &stmts[DROP], RH_TEXT(RH_SLICE("fails a")));
	}
	expect_error(&s, RH_E_CONFLICT, "23505 ");
	ck_assert_uint_eq(rh_pipe_round_trips(s.pipe), (unsigned)_i + 1);
	rh_pipe_rollback(s.pipe);
	ck_assert_int_eq(seen("fails %"), 0);
	ck_assert_int_eq(ask(&s, PID, 0), pid);
	session_close(&s);
}
END_TEST

START_TEST(a_deferred_constraint_fails_the_commit)
{
	struct session s;
	int64_t pid;

	session_open(&s, ON);
	pid = ask(&s, PID, 0);
	rh_pipe_hold(s.pipe);
	flushed(&s, "deferred a");
	for (int i = 0; i < 2; i++)
		rh_pipe_send(s.pipe, &stmts[LATER], RH_TEXT(RH_SLICE("x")));
	ck_assert_ptr_null(rh_pipe_error(s.pipe));
	rh_pipe_commit(s.pipe);
	expect_error(&s, RH_E_CONFLICT, "23505 ");
	rh_pipe_rollback(s.pipe);
	ck_assert_int_eq(seen("deferred %"), 0);
	ck_assert_int_eq(ask(&s, PID, 0), pid);
	session_close(&s);
}
END_TEST

/* As a second try after a serialization failure does it. */
START_TEST(it_may_be_done_again_from_the_start)
{
	struct session s;
	int64_t pid;

	session_open(&s, ON);
	pid = ask(&s, PID, 0);
	rh_pipe_hold(s.pipe);
	flushed(&s, "again a");
	put(&s, "again a");
	expect_error(&s, RH_E_CONFLICT, "23505 ");
	rh_pg_again(s.pg);
	rh_pipe_hold(s.pipe);
	flushed(&s, "again a");
	rh_pipe_commit(s.pipe);
	ck_assert_ptr_null(rh_pipe_error(s.pipe));
	ck_assert_int_eq(seen("again %"), 1);
	ck_assert_int_eq(ask(&s, PID, 0), pid);
	session_close(&s);
}
END_TEST

/* Its first half went with its connection: the second is not done on another. */
START_TEST(a_session_cut_between_two_flushes_leaves_nothing)
{
	struct session s;

	session_open(&s, ON);
	for (int paused = 0; paused < 2; paused++) {
		int64_t pid = ask(&s, PID, 0);

		rh_pipe_hold(s.pipe);
		flushed(&s, "gone a");
		ck_assert_ptr_null(rh_pipe_error(s.pipe));
		terminate(pid);
		if (paused)
			pause_ms(STALE_MS);
		put(&s, "gone b");
		rh_pipe_commit(s.pipe);
		expect_error(&s, RH_E_UNAVAILABLE, "");
		rh_pipe_rollback(s.pipe);
		ck_assert(rh_pg_ready(s.pg, true));
		ck_assert_int_eq(count(&s, "gone %"), 0);
		ck_assert_int_ne(ask(&s, PID, 0), pid);
	}
	session_close(&s);
}
END_TEST

START_TEST(at_the_deadline_it_is_cancelled_and_taken_back)
{
	struct session s;
	int64_t pid;
	bool kept = false;

	session_open(&s, ON);
	for (int i = 0; i < WORDS && !kept; i++) {
		pid = ask(&s, PID, 0);
		rh_pipe_hold(s.pipe);
		rh_pipe_send(s.pipe, &stmts[PUT], RH_TEXT(rh_slice_of(
		    rh_arena_printf(s.arena, "late %d", i))));
		ck_assert_int_eq(rh_pipe_done(s.pipe), 1);
		within(&s, SOON_MS);
		rh_pipe_send(s.pipe, &stmts[SLEEP], RH_INT(30000));
		(void)rh_pipe_int(s.pipe);
		expect_late(&s, "querying sleep for ");
		rh_pipe_rollback(s.pipe);
		end(&s);
		begin(&s);
		ck_assert_int_eq(count(&s, "late %"), 0);
		kept = ask(&s, PID, 0) == pid;
	}
	ck_assert(kept);
	session_close(&s);
}
END_TEST

START_TEST(what_is_late_between_two_flushes_is_taken_back)
{
	struct session s;

	session_open(&s, ON);
	rh_pipe_hold(s.pipe);
	flushed(&s, "between a");
	ck_assert_ptr_null(rh_pipe_error(s.pipe));
	within(&s, 1);
	pause_ms(5);
	put(&s, "between b");
	rh_pipe_commit(s.pipe);
	expect_late(&s, "before querying put");
	rh_pipe_rollback(s.pipe);
	end(&s);
	begin(&s);
	ck_assert_int_eq(count(&s, "between %"), 0);
	session_close(&s);
}
END_TEST

/* A server that is frozen does not hold up the next request for long. */
START_TEST(a_rollback_without_an_answer_ends_the_session)
{
	struct session s;
	int64_t pid, other;

	session_open(&s, ON);
	pid = ask(&s, PID, 0);
	rh_pipe_hold(s.pipe);
	flushed(&s, "still a");
	ck_assert_ptr_null(rh_pipe_error(s.pipe));
	freeze(pid);
	rh_pipe_rollback(s.pipe);
	end(&s);
	begin(&s);
	other = ask(&s, PID, 0);
	ck_assert_int_eq(kill((pid_t)pid, SIGCONT), 0);
	ck_assert_int_ne(other, pid);
	ck_assert_int_eq(seen("still %"), 0);
	session_close(&s);
}
END_TEST

START_TEST(what_was_never_flushed_was_never_begun)
{
	struct session s;

	session_open(&s, ON);
	rh_pipe_hold(s.pipe);
	put(&s, "never begun");
	end(&s);
	begin(&s);
	ck_assert_int_eq(count(&s, "never begun"), 0);
	session_close(&s);
}
END_TEST

RH_CHECK_MAIN("data/pg_hold",
    RH_LOOP(all_is_done_with_the_commit_and_nothing_before, preparing),
    RH_CASE(all_of_it_may_be_one_flush),
    RH_LOOP(what_stands_before_it_in_its_flush_belongs_to_it, preparing),
    RH_CASE(what_fails_before_it_does_not_begin_it),
    RH_CASE(without_a_commit_nothing_is_done),
    RH_CASE(a_rollback_is_not_waited_for),
    RH_LOOP(a_failure_anywhere_takes_all_of_it_back, failing),
    RH_CASE(a_deferred_constraint_fails_the_commit),
    RH_CASE(it_may_be_done_again_from_the_start),
    RH_CASE(a_session_cut_between_two_flushes_leaves_nothing),
    RH_CASE(at_the_deadline_it_is_cancelled_and_taken_back),
    RH_CASE(what_is_late_between_two_flushes_is_taken_back),
    RH_CASE(a_rollback_without_an_answer_ends_the_session),
    RH_CASE(what_was_never_flushed_was_never_begun))
