/* tests/lib/data/check_apart.c - what stands apart in front of a request's statements, and neither fails with the other. */
#include "config.h"

#include "session.h"

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

RH_CHECK_MAIN("data/apart",
    RH_LOOP(what_stands_apart_stays_when_the_rest_fails, apart_rows),
    RH_LOOP(what_fails_apart_is_not_the_rests_business, apart_rows),
    RH_LOOP(what_follows_begins_when_the_apart_has_ended, apart_rows),
    RH_CASE(a_deadline_that_comes_while_apart_stops_the_rest_too))
