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

static void
kinds_send(struct session *s, unsigned stmt, const struct kinds *k)
{
	rh_pipe_send(s->pipe, &stmts[stmt], RH_TEXT(k->text),
	    RH_UUID(k->uuid), RH_TIME(k->time), RH_INT(k->number),
	    RH_BOOL(k->flag), RH_BYTES(k->bytes), RH_INT(k->two),
	    RH_INT(k->four), colour_arg(k->colour), colour_arg(k->other));
}

static void
kinds_are(const struct kinds *got, const struct kinds *k)
{
	rh_assert_slice_eq(got->text, k->text);
	ck_assert_int_eq(got->text.p == NULL, k->text.p == NULL);
	rh_assert_slice_eq(got->bytes, k->bytes);
	ck_assert_int_eq(got->bytes.p == NULL, k->bytes.p == NULL);
	ck_assert(rh_uuid_is(got->uuid, k->uuid));
	ck_assert_int_eq(got->time, k->time);
	ck_assert_int_eq(got->number, k->number);
	ck_assert_int_eq(got->flag, k->flag);
	ck_assert_int_eq(got->two, k->two);
	ck_assert_int_eq(got->four, k->four);
	ck_assert_int_eq(got->colour, k->colour);
	ck_assert_int_eq(got->other, k->other);
}

START_TEST(every_kind_comes_back_as_it_went)
{
	const struct kinds *k = &kinds[_i];
	struct session s;

	for (int prepared = AUTO; prepared <= OFF; prepared++) {
		struct kinds got = { .other = 99 };

		session_open(&s, prepared);
		kinds_send(&s, KINDS, k);
		ck_assert(rh_pipe_row(s.pipe, kinds_columns, &got));
		ck_assert_ptr_null(rh_pipe_error(s.pipe));
		kinds_are(&got, k);
		session_close(&s);
	}
}
END_TEST

struct whole {
	struct rh_slice record;
};
static const struct rh_field whole_columns[] = {
	{ RH_FIELD("row", TEXT, struct whole, record) },
	{ 0 }
};

/* Nor is it one where anything is missing, or more than there should be. */
START_TEST(every_kind_comes_back_in_a_record)
{
	const struct kinds *k = &kinds[_i];
	struct kinds got = { .other = 99 };
	struct whole whole;
	struct session s;
	char more[512] = { 0 };

	session_open(&s, AUTO);
	kinds_send(&s, RECORD, k);
	ck_assert(rh_pipe_row(s.pipe, whole_columns, &whole));
	ck_assert_ptr_null(rh_pipe_error(s.pipe));
	ck_assert(rh_pg_record_get(whole.record, kinds_columns, &got));
	kinds_are(&got, k);
	for (size_t n = 0; n < whole.record.n; n++)
		ck_assert(!rh_pg_record_get((struct rh_slice){ whole.record.p, n },
		    kinds_columns, &got));
	ck_assert(!rh_pg_record_get(whole.record, kinds_columns + 1, &got));
	ck_assert_uint_lt(whole.record.n, sizeof(more));
	memcpy(more, whole.record.p, whole.record.n);
	ck_assert(!rh_pg_record_get((struct rh_slice){ more,
	    whole.record.n + 1 }, kinds_columns, &got));
	session_close(&s);
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

/* ---- its end ---- */

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

/* As who calls has to be said anew where a transaction of the request has ended. */
static void
say(void *session)
{
	struct session *s = session;

	put(s, "preface");
}

START_TEST(a_preface_goes_once_and_with_the_next_statement_alone)
{
	struct session s;

	session_open(&s, ON);
	ck_assert_int_eq(ask(&s, NUMBER, 1), 1);
	rh_pipe_preface(s.pipe, say, &s);
	ck_assert_ptr_null(rh_pipe_error(s.pipe));
	ck_assert_uint_eq(rh_pipe_round_trips(s.pipe), 0);
	for (int i = 0; i < 2; i++) {
		put(&s, i == 0 ? "preface a" : "preface b");
		ck_assert_int_eq(rh_pipe_done(s.pipe), 1);
		if (i == 0)	/* its own is the second answer */
			ck_assert_int_eq(rh_pipe_done(s.pipe), 1);
		ck_assert_ptr_null(rh_pipe_error(s.pipe));
	}
	ck_assert_int_eq(count(&s, "preface%"), 3);
	/* and not with another request */
	rh_pipe_preface(s.pipe, say, &s);
	ck_assert_int_eq(count(&s, "preface%"), 3);
	session_close(&s);
}
END_TEST

RH_CHECK_MAIN("data/pipe",
    RH_LOOP(every_kind_comes_back_as_it_went, kinds),
    RH_LOOP(every_kind_comes_back_in_a_record, kinds),
    RH_LOOP(rows_become_structs_and_structs_inside_them, sizes),
    RH_CASE(nothing_is_0_and_false),
    RH_CASE(answers_come_in_the_order_sent_in_one_round_trip),
    RH_CASE(a_flush_may_be_large),
    RH_CASE(a_failure_in_the_middle_takes_all_of_it_back),
    RH_CASE(what_is_not_read_is_done_all_the_same),
    RH_CASE(what_was_never_flushed_is_never_done),
    RH_CASE(a_deferred_constraint_speaks_at_the_commit),
    RH_CASE(the_pipe_reads_what_it_was_told_to_itself),
    RH_LOOP(one_row_is_what_it_takes, not_one),
    RH_CASE(a_request_may_have_a_second_transaction),
    RH_CASE(after_a_failed_transaction_there_is_no_second),
    RH_CASE(what_is_queued_never_changes_its_connection),
    RH_CASE(a_preface_goes_once_and_with_the_next_statement_alone))
