/*
 * tests/lib/data/check_pipe.c - a request's statements against a PostgreSQL,
 * and what becomes of them when it fails them. test_pipe.py starts it.
 */
#include "config.h"

#include "session.h"

/* ---- values there and back ---- */

static const char *const colours[] = { "red", "green", NULL };

struct kinds {
	struct rh_slice text;
	struct rh_uuid uuid;
	int64_t time, number;
	bool flag;
	struct rh_slice bytes;
	int64_t two, four;
	int colour, other;
};

/* clang-format off */
static const struct rh_field kinds_columns[] = {
	{ RH_FIELD("text", TEXT, struct kinds, text) },
	{ RH_FIELD("uuid", UUID, struct kinds, uuid) },
	{ RH_FIELD("time", TIME, struct kinds, time) },
	{ RH_FIELD("number", INT, struct kinds, number) },
	{ RH_FIELD("flag", BOOL, struct kinds, flag) },
	{ RH_FIELD("bytes", TEXT, struct kinds, bytes) },
	{ RH_FIELD("two", INT, struct kinds, two) },
	{ RH_FIELD("four", INT, struct kinds, four) },
	{ RH_FIELD("colour", ENUM, struct kinds, colour), .names = colours },
	{ RH_FIELD("other", ENUM, struct kinds, other), .names = colours },
	{ 0 }
};

#define ID	{ { 1, 0x92, 3, 4, 5, 6, 0x77, 8, 0x89, 10, 11, 12, 13, 14, 15, 0xff } }
#define NOTEXT	{ NULL, 0 }
static const struct kinds kinds[] = {
	{ RH_SLICE_INIT("Grüße"), ID, 1767312245678901, 42, true, RH_SLICE_INIT("\0\xff\x01"), -7, 70000, 1, 0 },
	{ RH_SLICE_INIT(""), ID, 0, 0, false, RH_SLICE_INIT(""), 0, 0, 0, 1 },
	{ RH_SLICE_INIT("'; drop table things --"), ID, -1, -1, true, RH_SLICE_INIT("\0"), -1, -1, 0, 0 },
	{ NOTEXT, { { 0 } }, RH_TIME_NONE, INT64_MAX, false, NOTEXT, INT16_MAX, INT32_MAX, -1, -1 },
	{ RH_SLICE_INIT(" "), ID, RH_TIME_INFINITY, INT64_MIN + 1, true, NOTEXT, INT16_MIN, INT32_MIN, 0, 0 },
	{ RH_SLICE_INIT("y 0001"), ID, -62135596800000000, 1, true, NOTEXT, 1, 1, 0, 0 },
	{ RH_SLICE_INIT("y 9999"), ID, 253402300799999999, 1, true, NOTEXT, 1, 1, 0, 0 },
};
/* clang-format on */

static struct rh_arg
colour_arg(int colour)
{
	return RH_TEXT(rh_slice_of(colour < 0 ? NULL : colours[colour]));
}

START_TEST(every_kind_comes_back_as_it_went)
{
	const struct kinds *k = &kinds[_i];
	struct session s;

	for (int prepared = AUTO; prepared <= OFF; prepared++) {
		struct kinds got = { .other = 99 };

		session_open(&s, prepared);
		rh_pipe_send(s.pipe, &stmts[KINDS], RH_TEXT(k->text),
		    RH_UUID(k->uuid), RH_TIME(k->time), RH_INT(k->number),
		    RH_BOOL(k->flag), RH_BYTES(k->bytes), RH_INT(k->two),
		    RH_INT(k->four), colour_arg(k->colour),
		    colour_arg(k->other));
		ck_assert(rh_pipe_row(s.pipe, kinds_columns, &got));
		ck_assert_ptr_null(rh_pipe_error(s.pipe));
		rh_assert_slice_eq(got.text, k->text);
		ck_assert_int_eq(got.text.p == NULL, k->text.p == NULL);
		rh_assert_slice_eq(got.bytes, k->bytes);
		ck_assert_int_eq(got.bytes.p == NULL, k->bytes.p == NULL);
		ck_assert(rh_uuid_is(got.uuid, k->uuid));
		ck_assert_int_eq(got.time, k->time);
		ck_assert_int_eq(got.number, k->number);
		ck_assert_int_eq(got.flag, k->flag);
		ck_assert_int_eq(got.two, k->two);
		ck_assert_int_eq(got.four, k->four);
		ck_assert_int_eq(got.colour, k->colour);
		ck_assert_int_eq(got.other, k->other);
		session_close(&s);
	}
}
END_TEST

struct pair {
	int64_t n;
	struct {
		struct rh_slice name;
	} inner;
};
static const struct rh_field inner_columns[] = {
	{ .name = "name", .type = RH_T_TEXT, .at = 0 },
	{ 0 }
};
static const struct rh_field pair_columns[] = {
	{ RH_FIELD("n", INT, struct pair, n) },
	{ RH_FIELD_OBJECT("inner", struct pair, inner, inner_columns) },
	{ 0 }
};

static const int64_t sizes[] = { 0, 1, 2, 5000 };

START_TEST(rows_become_structs_and_structs_inside_them)
{
	struct pair *rows;
	struct session s;
	char name[32];

	session_open(&s, ON);
	rh_pipe_send(s.pipe, &stmts[SERIES], RH_INT(sizes[_i]));
	ck_assert_uint_eq(rh_pipe_rows(s.pipe, pair_columns, sizeof(*rows),
	    &rows), sizes[_i]);
	for (int64_t i = 0; i < sizes[_i]; i++) {
		snprintf(name, sizeof(name), "row %lld", (long long)i + 1);
		ck_assert_int_eq(rows[i].n, i + 1);
		rh_assert_slice_eq(rows[i].inner.name, rh_slice_of(name));
	}
	ck_assert_ptr_null(rh_pipe_error(s.pipe));
	session_close(&s);
}
END_TEST

START_TEST(nothing_is_0_and_false)
{
	struct pair row;
	struct session s;

	session_open(&s, ON);
	rh_pipe_send_args(s.pipe, &stmts[NOTHING], NULL, 0);
	rh_pipe_send_args(s.pipe, &stmts[NONE], NULL, 0);
	rh_pipe_send_args(s.pipe, &stmts[NONE], NULL, 0);
	rh_pipe_send(s.pipe, &stmts[SERIES], RH_INT(3));
	ck_assert_int_eq(rh_pipe_int(s.pipe), 0);
	ck_assert_int_eq(rh_pipe_int(s.pipe), 0);
	ck_assert(!rh_pipe_row(s.pipe, pair_columns, &row));
	ck_assert_int_eq(rh_pipe_done(s.pipe), 3);
	/* more was read than sent */
	ck_assert_int_eq(rh_pipe_done(s.pipe), 0);
	ck_assert(!rh_pipe_row(s.pipe, pair_columns, &row));
	ck_assert_ptr_null(rh_pipe_error(s.pipe));
	session_close(&s);
}
END_TEST

/* ---- one flush ---- */

START_TEST(answers_come_in_the_order_sent_in_one_round_trip)
{
	struct session s;

	session_open(&s, ON);
	ck_assert_uint_eq(rh_pipe_round_trips(s.pipe), 0);
	for (int i = 0; i < RH_PIPE_MAX; i++)
		rh_pipe_send(s.pipe, &stmts[NUMBER], RH_INT(i * 3));
	ck_assert_uint_eq(rh_pipe_round_trips(s.pipe), 0);
	for (int i = 0; i < RH_PIPE_MAX; i++)
		ck_assert_int_eq(rh_pipe_int(s.pipe), i * 3);
	ck_assert_ptr_null(rh_pipe_error(s.pipe));
	ck_assert_uint_eq(rh_pipe_round_trips(s.pipe), 1);
	ck_assert_uint_gt(rh_pipe_wait_ns(s.pipe), 0);
	session_close(&s);
}
END_TEST

/* More than any socket buffer holds, both ways at once. */
START_TEST(a_flush_may_be_large)
{
	struct { struct rh_slice text; } row;
	static const struct rh_field columns[] = {
		{ .name = "text", .type = RH_T_TEXT, .at = 0 }, { 0 } };
	const size_t n = 1 << 20;
	struct session s;
	char *text;

	session_open(&s, ON);
	text = rh_arena_alloc(s.own, n);
	for (size_t i = 0; i < n; i++)
		text[i] = (char)('a' + i % 26);
	for (int i = 0; i < 12; i++)
		rh_pipe_send(s.pipe, &stmts[ECHO],
		    RH_TEXT(((struct rh_slice){ text, n - (size_t)i })));
	for (int i = 0; i < 12; i++) {
		ck_assert(rh_pipe_row(s.pipe, columns, &row));
		rh_assert_slice_eq(row.text,
		    ((struct rh_slice){ text, n - (size_t)i }));
	}
	ck_assert_ptr_null(rh_pipe_error(s.pipe));
	ck_assert_uint_eq(rh_pipe_round_trips(s.pipe), 1);
	session_close(&s);
}
END_TEST

START_TEST(a_failure_in_the_middle_takes_all_of_it_back)
{
	struct session s;

	session_open(&s, ON);
	put(&s, "mid a");
	put(&s, "mid a");
	put(&s, "mid b");
	ck_assert_int_eq(rh_pipe_done(s.pipe), 1);
	ck_assert_int_eq(rh_pipe_done(s.pipe), 0);
	ck_assert_int_eq(rh_pipe_done(s.pipe), 0);
	put(&s, "mid c");	/* latched: goes nowhere */
	ck_assert_int_eq(rh_pipe_done(s.pipe), 0);
	expect_error(&s, RH_E_CONFLICT, "23505 ");
	ck_assert_uint_eq(rh_pipe_round_trips(s.pipe), 1);
	ck_assert_int_eq(count(&s, "mid %"), 0);
	session_close(&s);
}
END_TEST

/* ---- apart ---- */

static const struct rh_field number_columns[] = {
	{ .name = "n", .type = RH_T_INT, .at = 0 },
	{ 0 }
};

static void
apart(struct session *s, int stmt, struct rh_arg arg, int64_t *n)
{
	rh_pipe_send_apart(s->pipe, &stmts[stmt], &arg, 1,
	    &(struct rh_into){ number_columns, n });
}

#define KEY(key) RH_TEXT(RH_SLICE(key))

/* Behind a pooler, where nothing is prepared, it is waited for. */
static const struct { int how; unsigned round_trips; } apart_rows[] = {
	{ ON, 1 }, { OFF, 2 },
};

/* Of a row of these: the database is the same for all. */
static const char *
of_row(int row, const char *key)
{
	static char texts[8][32];
	static unsigned n;
	char *text = texts[n++ % RH_COUNT(texts)];

	snprintf(text, sizeof(*texts), "%d %s", row, key);
	return text;
}
#define ROW_KEY(row, key) RH_TEXT(rh_slice_of(of_row(row, key)))

START_TEST(what_stands_apart_stays_when_the_rest_fails)
{
	struct session s;
	int64_t n = -1;

	session_open(&s, apart_rows[_i].how);
	apart(&s, NOTE, ROW_KEY(_i, "apart a"), &n);
	put(&s, of_row(_i, "apart b"));
	put(&s, of_row(_i, "apart b"));
	expect_error(&s, RH_E_CONFLICT, "23505 ");
	ck_assert_uint_eq(rh_pipe_round_trips(s.pipe),
	    apart_rows[_i].round_trips);
	ck_assert_int_eq(n, 1);
	ck_assert_int_eq(count(&s, of_row(_i, "apart %")), 1);
	session_close(&s);
}
END_TEST

START_TEST(what_fails_apart_is_not_the_rests_business)
{
	struct session s;
	int64_t first = -1, second = -1;

	session_open(&s, apart_rows[_i].how);
	put(&s, of_row(_i, "alone"));
	ck_assert_ptr_null(rh_pipe_error(s.pipe));
	apart(&s, NOTE, ROW_KEY(_i, "alone"), &first);	/* there already */
	apart(&s, NOTE, ROW_KEY(_i, "alone too"), &second);
	put(&s, of_row(_i, "alone three"));
	ck_assert_int_eq(rh_pipe_done(s.pipe), 1);
	ck_assert_ptr_null(rh_pipe_error(s.pipe));
	ck_assert_int_eq(first, -1);
	ck_assert_int_eq(second, 1);
	ck_assert_int_eq(count(&s, of_row(_i, "alone%")), 3);
	session_close(&s);
}
END_TEST

START_TEST(what_follows_begins_when_the_apart_has_ended)
{
	struct session s;
	int64_t n = -1;

	session_open(&s, apart_rows[_i].how);
	apart(&s, NOTE, ROW_KEY(_i, "seen"), &n);
	rh_pipe_send(s.pipe, &stmts[COUNT], ROW_KEY(_i, "seen"));
	rh_pipe_send(s.pipe, &stmts[OURS], KEY("things"));
	ck_assert_int_eq(rh_pipe_int(s.pipe), 1);
	/* and its transaction holds no lock of it */
	ck_assert_int_eq(rh_pipe_int(s.pipe), 0);
	ck_assert_ptr_null(rh_pipe_error(s.pipe));
	session_close(&s);
}
END_TEST

/* The cancel stops it, and then has to stop what stands behind. */
START_TEST(a_deadline_that_comes_while_apart_stops_the_rest_too)
{
	struct session s;
	char key[32];
	bool kept = false;

	session_open(&s, ON);
	for (int i = 0; i < WORDS && !kept; i++) {
		int64_t n = -1, pid = ask(&s, PID, 0);

		snprintf(key, sizeof(key), "late apart %d", i);
		within(&s, SOON_MS);
		apart(&s, SLEEP, RH_INT(30000), &n);
		/* if nothing stops it, it has not put for as long as we look */
		rh_pipe_send(s.pipe, &stmts[SLEEP], RH_INT(30000));
		put(&s, key);
		ck_assert_str_eq(rh_pipe_error(s.pipe)->code,
		    "request.timeout");
		ck_assert_int_eq(n, -1);
		/* the session is used again: the server is through with all */
		kept = ask(&s, PID, 0) == pid;
	}
	ck_assert(kept);
	ck_assert_int_eq(count(&s, key), 0);
	session_close(&s);
}
END_TEST

START_TEST(what_is_not_read_is_done_all_the_same)
{
	struct session s;

	session_open(&s, ON);
	put(&s, "few a");
	put(&s, "few b");
	put(&s, "few c");
	ck_assert_int_eq(rh_pipe_done(s.pipe), 1);
	ck_assert_ptr_null(rh_pipe_error(s.pipe));
	ck_assert_int_eq(count(&s, "few %"), 3);
	put(&s, "few d");
	put(&s, "few e");
	ck_assert_int_eq(rh_pipe_done(s.pipe), 1);
	end(&s);		/* without so much as asking for the error */
	begin(&s);
	ck_assert_int_eq(count(&s, "few %"), 5);
	session_close(&s);
}
END_TEST

START_TEST(what_was_never_flushed_is_never_done)
{
	struct session s;

	session_open(&s, ON);
	put(&s, "never a");
	end(&s);
	begin(&s);
	ck_assert_int_eq(count(&s, "never %"), 0);
	/* a flush of its own is asked for by asking for the error */
	put(&s, "never b");
	ck_assert_ptr_null(rh_pipe_error(s.pipe));
	ck_assert_int_eq(count(&s, "never %"), 1);
	session_close(&s);
}
END_TEST

START_TEST(a_deferred_constraint_speaks_at_the_commit)
{
	struct session s;

	session_open(&s, ON);
	put(&s, "later a");
	rh_pipe_send(s.pipe, &stmts[LATER], RH_TEXT(RH_SLICE("x")));
	rh_pipe_send(s.pipe, &stmts[LATER], RH_TEXT(RH_SLICE("x")));
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(rh_pipe_done(s.pipe), 1);
	expect_error(&s, RH_E_CONFLICT, "23505 ");
	ck_assert_int_eq(count(&s, "later %"), 0);
	session_close(&s);
}
END_TEST

/* ---- what stands in front ---- */

START_TEST(the_pipe_reads_what_it_was_told_to_itself)
{
	struct pair first = { 0 }, second = { 0 };
	struct session s;

	session_open(&s, ON);
	rh_pipe_send_into(s.pipe, &stmts[SERIES], (struct rh_arg[]){ RH_INT(1) },
	    1, &(struct rh_into){ pair_columns, &first });
	rh_pipe_send(s.pipe, &stmts[NUMBER], RH_INT(5));
	rh_pipe_send_into(s.pipe, &stmts[SERIES], (struct rh_arg[]){ RH_INT(1) },
	    1, &(struct rh_into){ pair_columns, &second });
	ck_assert_int_eq(rh_pipe_int(s.pipe), 5);
	ck_assert_int_eq(first.n, 1);
	ck_assert_int_eq(second.n, 0);
	ck_assert_ptr_null(rh_pipe_error(s.pipe));
	ck_assert_int_eq(second.n, 1);
	rh_assert_slice_eq(second.inner.name, RH_SLICE("row 1"));
	session_close(&s);
}
END_TEST

static const int64_t not_one[] = { 0, 2 };

START_TEST(one_row_is_what_it_takes)
{
	struct pair row = { 0 };
	struct session s;

	session_open(&s, ON);
	rh_pipe_send_into(s.pipe, &stmts[SERIES],
	    (struct rh_arg[]){ RH_INT(not_one[_i]) }, 1,
	    &(struct rh_into){ pair_columns, &row });
	rh_pipe_send(s.pipe, &stmts[NUMBER], RH_INT(5));
	ck_assert_int_eq(rh_pipe_int(s.pipe), 0);
	expect_error(&s, RH_E_BUG, "P0002 ");
	ck_assert_int_eq(ask(&s, NUMBER, 6), 6);
	session_close(&s);
}
END_TEST

/* ---- a second transaction ---- */

START_TEST(a_request_may_have_a_second_transaction)
{
	struct session s;

	session_open(&s, ON);
	for (int round = 1; round <= 3; round++) {
		rh_pipe_send(s.pipe, &stmts[NUMBER], RH_INT(round));
		put(&s, round == 3 ? "second 1" : round == 2 ? "second 2" :
		    "second 1");
		ck_assert_int_eq(rh_pipe_int(s.pipe), round);
		if (round == 1)	/* asked for, or not: all of it was read to its end */
			ck_assert_ptr_null(rh_pipe_error(s.pipe));
		ck_assert_uint_eq(rh_pipe_round_trips(s.pipe), round);
	}
	expect_error(&s, RH_E_CONFLICT, "23505 ");
	ck_assert_int_eq(count(&s, "second %"), 2);
	session_close(&s);
}
END_TEST

START_TEST(after_a_failed_transaction_there_is_no_second)
{
	struct session s;

	session_open(&s, ON);
	rh_pipe_send(s.pipe, &stmts[CAST], RH_TEXT(RH_SLICE("hunter2")));
	ck_assert_int_eq(rh_pipe_int(s.pipe), 0);
	put(&s, "failed a");
	ck_assert_int_eq(rh_pipe_done(s.pipe), 0);
	expect_error(&s, RH_E_INVALID, "22P02");
	ck_assert_str_eq(rh_pipe_error(s.pipe)->cause, "22P02");
	ck_assert_uint_eq(rh_pipe_round_trips(s.pipe), 1);
	ck_assert_int_eq(count(&s, "failed %"), 0);
	session_close(&s);
}
END_TEST

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

/* What was queued first (who may do this?) must not be lost for the second. */
START_TEST(what_is_queued_never_changes_its_connection)
{
	struct pair row = { 0 };
	struct session s;
	int64_t pid;

	session_open(&s, ON);
	pid = ask(&s, PID, 0);
	rh_pipe_send_into(s.pipe, &stmts[SERIES], (struct rh_arg[]){ RH_INT(1) },
	    1, &(struct rh_into){ pair_columns, &row });
	terminate(pid);
	pause_ms(STALE_MS);
	put(&s, "queued a");
	ck_assert_int_eq(rh_pipe_done(s.pipe), 0);
	expect_error(&s, RH_E_UNAVAILABLE, "");
	ck_assert_int_eq(row.n, 0);
	ck_assert(rh_pg_ready(s.pg, true));
	ck_assert_int_eq(count(&s, "queued %"), 0);
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

RH_CHECK_MAIN("data/pipe",
    RH_LOOP(every_kind_comes_back_as_it_went, kinds),
    RH_LOOP(rows_become_structs_and_structs_inside_them, sizes),
    RH_CASE(nothing_is_0_and_false),
    RH_CASE(answers_come_in_the_order_sent_in_one_round_trip),
    RH_CASE(a_flush_may_be_large),
    RH_CASE(a_failure_in_the_middle_takes_all_of_it_back),
    RH_LOOP(what_stands_apart_stays_when_the_rest_fails, apart_rows),
    RH_LOOP(what_fails_apart_is_not_the_rests_business, apart_rows),
    RH_LOOP(what_follows_begins_when_the_apart_has_ended, apart_rows),
    RH_CASE(a_deadline_that_comes_while_apart_stops_the_rest_too),
    RH_CASE(what_is_not_read_is_done_all_the_same),
    RH_CASE(what_was_never_flushed_is_never_done),
    RH_CASE(a_deferred_constraint_speaks_at_the_commit),
    RH_CASE(the_pipe_reads_what_it_was_told_to_itself),
    RH_LOOP(one_row_is_what_it_takes, not_one),
    RH_CASE(a_request_may_have_a_second_transaction),
    RH_CASE(after_a_failed_transaction_there_is_no_second),
    RH_CASE(a_session_cut_while_idle_costs_at_most_one_request),
    RH_CASE(after_a_pause_it_looks_and_no_request_is_lost),
    RH_CASE(what_is_queued_never_changes_its_connection),
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
