/* tests/lib/data/check_session.c - a session over time: the server goes, a deadline comes, what was prepared is lost. */
#include "config.h"

#include "session.h"

/* ---- the server goes ---- */

START_TEST(a_session_cut_while_idle_costs_at_most_one_request)
{
	struct session s;
	int64_t pid;

	session_open(&s, ON);
	pid = ask(&s, PID, 0);
	terminate(pid);
	rh_pipe_send(s.pipe, &stmts[NUMBER], RH_INT(1));
	rh_pipe_int(s.pipe);
	if (rh_pipe_error(s.pipe))
		expect_error(&s, RH_E_UNAVAILABLE, "");
	ck_assert(rh_pg_ready(s.pg, true));
	ck_assert_int_ne(ask(&s, PID, 0), pid);
	session_close(&s);
}
END_TEST

START_TEST(after_a_pause_it_looks_and_no_request_is_lost)
{
	struct session s;
	int64_t pid;

	session_open(&s, ON);
	pid = ask(&s, PID, 0);
	terminate(pid);
	pause_ms(STALE_MS);
	ck_assert_int_ne(ask(&s, PID, 0), pid);
	session_close(&s);
}
END_TEST

static void
terminate_asleep(int64_t pid)
{
	struct session other;

	session_open(&other, OFF);
	for (int i = 0; i < TRIES && !ask(&other, ASLEEP, pid); i++)
		pause_ms(10);
	_exit(ask(&other, KILL, pid) == 1 ? 0 : 1);
}

START_TEST(a_session_cut_in_the_middle_is_unavailable_and_recovers)
{
	struct session s;
	pid_t child;
	int64_t pid;

	session_open(&s, ON);
	pid = ask(&s, PID, 0);
	if ((child = fork()) == 0)
		terminate_asleep(pid);
	put(&s, "cut a");
	rh_pipe_send(s.pipe, &stmts[SLEEP], RH_INT(9000));
	put(&s, "cut b");
	rh_pipe_done(s.pipe);
	ck_assert_int_eq(rh_pipe_int(s.pipe), 0);
	expect_error(&s, RH_E_UNAVAILABLE, "57P01 ");
	waitpid(child, NULL, 0);
	ck_assert(rh_pg_ready(s.pg, true));
	ck_assert_int_ne(ask(&s, PID, 0), pid);
	ck_assert_int_eq(count(&s, "cut %"), 0);
	session_close(&s);
}
END_TEST

START_TEST(the_servers_timeout_is_a_timeout_and_keeps_the_session)
{
	struct session s;
	int64_t pid;

	rh_stmts_register(stmts);
	session_init(&s, ON, SOON_MS);
	ck_assert(rh_pg_ready(s.pg, true));
	begin(&s);
	pid = ask(&s, PID, 0);
	put(&s, "timeout a");
	rh_pipe_send(s.pipe, &stmts[SLEEP], RH_INT(30000));
	expect_error(&s, RH_E_TIMEOUT, "57014 ");
	ck_assert_int_eq(ask(&s, PID, 0), pid);
	ck_assert_int_eq(count(&s, "timeout %"), 0);
	session_close(&s);
}
END_TEST

START_TEST(a_server_that_is_frozen_is_given_up)
{
	struct session s;
	const struct rh_err *err;
	int64_t pid, done;
	bool ready;

	rh_stmts_register(stmts);
	session_init(&s, ON, SOON_MS);
	ck_assert(rh_pg_ready(s.pg, true));
	begin(&s);
	pid = ask(&s, PID, 0);
	freeze(pid);
	put(&s, "frozen a");
	done = rh_pipe_done(s.pipe);
	err = rh_pipe_error(s.pipe);
	ready = rh_pg_ready(s.pg, true);
	ck_assert_int_eq(kill((pid_t)pid, SIGCONT), 0);
	ck_assert_int_eq(done, 0);
	ck_assert(err && err->kind == RH_E_TIMEOUT);
	ck_assert(ready);
	ck_assert_int_ne(ask(&s, PID, 0), pid);
	session_close(&s);
}
END_TEST

/* ---- the request's own deadline ---- */

START_TEST(at_the_deadline_the_statement_is_cancelled_and_the_session_kept)
{
	struct session s;
	int64_t pid;
	bool kept = false;

	session_open(&s, ON);
	for (int i = 0; i < WORDS && !kept; i++) {
		pid = ask(&s, PID, 0);
		within(&s, SOON_MS);
		put(&s, "late a");
		rh_pipe_send(s.pipe, &stmts[SLEEP], RH_INT(50000));
		expect_late(&s, "querying put for ");
		/* nothing more is begun by a request that is over */
		put(&s, "late b");
		expect_late(&s, "querying put for ");
		kept = ask(&s, PID, 0) == pid;
	}
	ck_assert(kept);
	ck_assert_int_eq(count(&s, "late %"), 0);
	session_close(&s);
}
END_TEST

static struct rh_slice
attr_of(const struct rh_span *span, const char *key)
{
	for (unsigned i = 0; i < span->nattrs; i++)
		if (strcmp(span->attrs[i].key, key) == 0)
			return span->attrs[i].text;
	return RH_SLICE_NONE;
}

START_TEST(the_span_of_a_late_statement_says_so)
{
	struct session s;
	const struct rh_span *span;
	struct rh_slice type = RH_SLICE_NONE, state = RH_SLICE_NONE;

	session_open(&s, ON);
	for (int i = 0; i < WORDS && !state.p; i++) {
		(void)ask(&s, PID, 0);
		within(&s, SOON_MS);
		rh_pipe_send(s.pipe, &stmts[SLEEP], RH_INT(50000));
		expect_late(&s, "querying sleep for ");
		ck_assert_uint_eq(s.trace.nspans, 2);
		span = &s.trace.spans[1];
		type = attr_of(span, "error.type");
		state = attr_of(span, "db.response.status_code");
		rh_assert_slice_eq(type, RH_SLICE("request.timeout"));
	}
	rh_assert_slice_eq(state, RH_SLICE("57014"));
	session_close(&s);
}
END_TEST

START_TEST(what_is_late_before_it_begins_is_not_sent)
{
	struct session s;
	int64_t pid;

	session_open(&s, ON);
	pid = ask(&s, PID, 0);
	within(&s, 0);
	put(&s, "unsent a");
	expect_late(&s, "before querying put");
	ck_assert_int_eq(ask(&s, PID, 0), pid);
	/* queued in time, flushed too late */
	rh_pg_deadline(s.pg, rh_clock_mono_ns() + 50 * MS);
	put(&s, "unsent b");
	pause_ms(80);
	expect_late(&s, "before querying put");
	ck_assert_uint_eq(rh_pipe_round_trips(s.pipe), 0);
	ck_assert(!rh_pg_ready(s.pg, true));
	end(&s);
	begin(&s);
	ck_assert_int_eq(count(&s, "unsent %"), 0);
	session_close(&s);
}
END_TEST

static pid_t
parent_of(int64_t pid)
{
	char path[64], text[256], *end;
	FILE *f;
	long parent = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	ck_assert_ptr_nonnull(fgets(text, sizeof(text), f));
	fclose(f);
	end = strrchr(text, ')');
	ck_assert_ptr_nonnull(end);
	ck_assert_int_eq(sscanf(end + 1, " %*c %ld", &parent), 1);
	ck_assert_int_gt(parent, 1);
	return (pid_t)parent;
}

/* Whom it is stopped for must not ask of the server what it cannot give. */
START_TEST(a_cancel_that_hangs_is_left_alone)
{
	struct session s[6];
	pid_t server;
	uint64_t begun;

	for (size_t i = 0; i < RH_COUNT(s); i++)
		session_open(&s[i], ON);
	server = parent_of(ask(&s[0], PID, 0));
	/* connections are accepted by the kernel, and nobody reads them */
	freeze(server);
	begun = rh_clock_mono_ns();
	for (size_t i = 0; i < RH_COUNT(s); i++) {
		const struct rh_err *e;

		within(&s[i], SOON_MS);
		rh_pipe_send(s[i].pipe, &stmts[SLEEP], RH_INT(9000));
		if (!(e = rh_pipe_error(s[i].pipe)) ||
		    strcmp(e->code, "request.timeout") != 0)
			kill(server, SIGCONT);
		expect_late(&s[i], "querying sleep for ");
	}
	begun = rh_clock_mono_ns() - begun;
	/* neither does a connection wait for it longer than it may */
	within(&s[0], 50);
	s[0].conf.connect_timeout_ms = 60000;
	if (rh_pg_ready(s[0].pg, true))
		begun = UINT64_MAX;
	ck_assert_int_eq(kill(server, SIGCONT), 0);
	/* six deadlines and last words; not six statement_timeouts */
	ck_assert_uint_lt(begun, 40000 * MS);
	for (size_t i = 0; i < RH_COUNT(s); i++)
		session_close(&s[i]);
}
END_TEST

static volatile sig_atomic_t alarms;

static void
on_alarm(int signo)
{
	(void)signo;
	alarms++;
}

START_TEST(a_signal_is_no_answer)
{
	const struct itimerval every = { { 0, 20000 }, { 0, 20000 } };
	struct session s;

	session_open(&s, ON);
	sigaction(SIGALRM, &(struct sigaction){ .sa_handler = on_alarm }, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
	ck_assert_int_eq(ask(&s, SLEEP, 300), 1);
	setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL);
	ck_assert_int_gt(alarms, 0);
	session_close(&s);
}
END_TEST

START_TEST(where_no_server_is_requests_fail_at_once)
{
	struct session s;
	uint64_t begun;

	rh_stmts_register(stmts);
	session_init(&s, ON, 10000);
	s.conf.url = "postgresql:///x?host=/nonexistent&user=nobody";
	ck_assert(!rh_pg_ready(s.pg, true));
	ck_assert_str_ne(rh_pg_trouble(s.pg), "");
	/* the back-off holds further attempts; asking now passes over it */
	begun = rh_clock_mono_ns();
	for (int i = 0; i < 1000; i++) {
		begin(&s);
		put(&s, "x");
		expect_error(&s, RH_E_UNAVAILABLE, "08006 ");
		ck_assert_uint_eq(rh_pipe_round_trips(s.pipe), 0);
		end(&s);
	}
	ck_assert_uint_gt(rh_clock_mono_ns(), begun);
	s.conf.url = getenv("ROWHOUSE_TEST_URL");
	ck_assert(rh_pg_ready(s.pg, true));
	begin(&s);
	ck_assert_int_eq(ask(&s, NUMBER, 3), 3);
	session_close(&s);
}
END_TEST

/* ---- prepared or not ---- */

static const struct prepared_row {
	int how;
	int64_t statements;
} prepared_rows[] = {
	{ AUTO, RH_COUNT(stmts) - 1 }, { ON, RH_COUNT(stmts) - 1 }, { OFF, 0 },
};

START_TEST(all_are_prepared_when_it_opens_or_none)
{
	struct session s;

	session_open(&s, prepared_rows[_i].how);
	ck_assert_int_eq(ask(&s, PREPARED, 0), prepared_rows[_i].statements);
	session_close(&s);
}
END_TEST

/* As a pooler does it that gives each transaction another server. */
static void
forget(struct session *s)
{
	rh_pipe_send_args(s->pipe, &stmts[FORGET], NULL, 0);
	ck_assert_ptr_null(rh_pipe_error(s->pipe));
	end(s);
	begin(s);
	put(s, "forgot a");
	expect_error(s, RH_E_UNAVAILABLE, "26000 ");
	ck_assert(rh_pipe_error(s->pipe)->transient);
	ck_assert(rh_pg_ready(s->pg, true));
}

START_TEST(auto_does_without_where_statements_are_lost)
{
	struct session s;
	int64_t pid;

	session_open(&s, AUTO);
	pid = ask(&s, PID, 0);
	forget(&s);
	ck_assert_int_eq(ask(&s, PREPARED, 0), 0);
	ck_assert_int_eq(ask(&s, PID, 0), pid);
	ck_assert_int_eq(count(&s, "forgot %"), 0);
	session_close(&s);
}
END_TEST

START_TEST(on_opens_another_session_where_statements_are_lost)
{
	struct session s;
	int64_t pid;

	session_open(&s, ON);
	pid = ask(&s, PID, 0);
	forget(&s);
	ck_assert_int_eq(ask(&s, PREPARED, 0), RH_COUNT(stmts) - 1);
	ck_assert_int_ne(ask(&s, PID, 0), pid);
	session_close(&s);
}
END_TEST

static struct rh_stmt twice[] = {
	{ .name = "number", .sql = "select $1::bigint" },
	{ 0 }
};

/* What a pooler's server says to the second client: it is there already. */
START_TEST(auto_does_without_where_statements_are_there_already)
{
	struct session s;

	rh_stmts_register(stmts);
	rh_stmts_register(twice);
	session_open(&s, AUTO);
	ck_assert_int_eq(ask(&s, NUMBER, 3), 3);
	session_close(&s);
	session_init(&s, ON, 10000);
	ck_assert(!rh_pg_ready(s.pg, true));
	ck_assert_int_eq(strncmp(rh_pg_trouble(s.pg), "number: ", 8), 0);
	rh_arena_destroy(&s.arena);
}
END_TEST

static struct rh_stmt broken[] = {
	{ .name = "broken.one", .sql = "select nothing from nowhere" },
	{ 0 }
};

START_TEST(a_statement_that_cannot_be_prepared_is_named)
{
	struct session s;

	rh_stmts_register(stmts);
	rh_stmts_register(broken);
	session_init(&s, AUTO, 10000);
	ck_assert(!rh_pg_ready(s.pg, true));
	ck_assert_int_eq(strncmp(rh_pg_trouble(s.pg), "broken.one: ", 12), 0);
	rh_arena_destroy(&s.arena);
}
END_TEST

RH_CHECK_MAIN("data/session",
    RH_CASE(a_session_cut_while_idle_costs_at_most_one_request),
    RH_CASE(after_a_pause_it_looks_and_no_request_is_lost),
    RH_CASE(a_session_cut_in_the_middle_is_unavailable_and_recovers),
    RH_CASE(the_servers_timeout_is_a_timeout_and_keeps_the_session),
    RH_CASE(a_server_that_is_frozen_is_given_up),
    RH_CASE(at_the_deadline_the_statement_is_cancelled_and_the_session_kept),
    RH_CASE(the_span_of_a_late_statement_says_so),
    RH_CASE(what_is_late_before_it_begins_is_not_sent),
    RH_CASE(a_cancel_that_hangs_is_left_alone),
    RH_CASE(a_signal_is_no_answer),
    RH_CASE(where_no_server_is_requests_fail_at_once),
    RH_LOOP(all_are_prepared_when_it_opens_or_none, prepared_rows),
    RH_CASE(auto_does_without_where_statements_are_lost),
    RH_CASE(on_opens_another_session_where_statements_are_lost),
    RH_CASE(auto_does_without_where_statements_are_there_already),
    RH_CASE(a_statement_that_cannot_be_prepared_is_named))
