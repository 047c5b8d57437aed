/* check_query.c - query parameters by their table, and nothing besides. */
#include "config.h"

#include "base/clock.h"
#include "requests.h"

enum { ACTIVE, ARCHIVED };
static const char *const statuses[] = { "active", "archived", NULL };

struct query {
	struct rh_slice cursor, q;
	int64_t limit, since;
	struct rh_uuid assignee;
	int status;
	bool deep;
};

static const struct rh_field params[] = {
	{ RH_FIELD("cursor", TEXT, struct query, cursor), .max = 43 },
	{ RH_FIELD("q", TEXT, struct query, q), .min = 1, .max = 5 },
	{ RH_FIELD("limit", INT, struct query, limit), .min = 1, .max = 100 },
	{ RH_FIELD("since", TIME, struct query, since) },
	{ RH_FIELD("assignee_id", UUID, struct query, assignee) },
	{ RH_FIELD("status", ENUM, struct query, status), .names = statuses },
	{ RH_FIELD("deep", BOOL, struct query, deep) },
	{ 0 }
};

static struct rh_err *
read_query(const char *query, const struct rh_field *table, struct query *to)
{
	struct request *r = request_get(rh_arena_printf(rh_check_arena(),
	    "/x%s", query), NULL);
	struct rh_err *err = r->err;

	*to = (struct query){ .limit = 20, .since = RH_TIME_NONE, .status = -1 };
	if (!err)
		err = rh_query_read(&r->rq, table, to);
	request_close(r);
	return err;
}

START_TEST(defaults_stay_where_nothing_is_given)
{
	static const char *const none[] = { "", "?", "?&", "?&&&" };

	for (size_t i = 0; i < RH_COUNT(none); i++) {
		struct query q;

		ck_assert_ptr_null(read_query(none[i], params, &q));
		ck_assert_int_eq(q.limit, 20);
		ck_assert_int_eq(q.status, -1);
		ck_assert_ptr_null(q.q.p);
	}
}
END_TEST

START_TEST(every_type_is_read)
{
	struct query q;

	ck_assert_ptr_null(read_query("?limit=7&q=a+%C3%A9%26&since="
	    "2026-01-02T03:04:05.678901Z&assignee_id="
	    "01890a5d-ac96-774b-bcce-b302099a8057&status=archived&deep=true"
	    "&cursor=", params, &q));
	ck_assert_int_eq(q.limit, 7);
	rh_assert_slice_eq(q.q, RH_SLICE("a \xc3\xa9&"));
	ck_assert_int_eq(q.since, 1767323045678901);
	ck_assert_uint_eq(q.assignee.b[15], 0x57);
	ck_assert_int_eq(q.status, ARCHIVED);
	ck_assert(q.deep);
	ck_assert_ptr_nonnull(q.cursor.p);
}
END_TEST

static const struct { const char *query, *code, *detail; } bad[] = {
	{ "?nope=1", "query.unknown", "There is no query parameter \"nope\" here" },
	{ "?Limit=1", "query.unknown", NULL },
	{ "?=1", "query.unknown", NULL },
	{ "?limit=1&limit=2", "query.repeated", "The query parameter \"limit\" was given twice" },
	{ "?limit=1&lim%69t=2", "query.repeated", NULL },
	{ "?limit=0", "query.invalid", "The query parameter \"limit\" has to be a whole number from 1 to 100" },
	{ "?limit=101", "query.invalid", NULL },
	{ "?limit=-1", "query.invalid", NULL },
	{ "?limit=1.0", "query.invalid", NULL },
	{ "?limit=1e1", "query.invalid", NULL },
	{ "?limit=007", "query.invalid", NULL },
	{ "?limit=+7", "query.invalid", NULL },
	{ "?limit=18446744073709551616", "query.invalid", NULL },
	{ "?limit=", "query.invalid", NULL },
	{ "?limit", "query.invalid", NULL },
	{ "?q=", "query.invalid", "The query parameter \"q\" has to be 1 to 5 characters" },
	{ "?q=abcdef", "query.invalid", NULL },
	{ "?q=%ff", "query.encoding", NULL },
	{ "?q=%c0%af", "query.encoding", NULL },
	{ "?q=%ed%a0%80", "query.encoding", NULL },
	{ "?q=%00", "request.target", NULL },
	{ "?q=%zz", "request.target", NULL },
	{ "?since=yesterday", "query.invalid", "The query parameter \"since\" has to be a date and time of RFC 3339" },
	{ "?assignee_id=1", "query.invalid", "The query parameter \"assignee_id\" has to be a UUID" },
	{ "?status=open", "query.invalid", "The query parameter \"status\" has to be one of active, archived" },
	{ "?status=", "query.invalid", NULL },
	{ "?deep=1", "query.invalid", "The query parameter \"deep\" has to be true or false" },
};

START_TEST(bad_queries_are_400_and_say_why)
{
	struct query q;
	struct rh_err *err = read_query(bad[_i].query, params, &q);

	ck_assert_msg(err != NULL, "%s passed", bad[_i].query);
	ck_assert_int_eq(err->kind, RH_E_MALFORMED);
	ck_assert_str_eq(err->code, bad[_i].code);
	if (bad[_i].detail)
		ck_assert_str_eq(err->detail, bad[_i].detail);
}
END_TEST

START_TEST(five_code_points_are_five_characters)
{
	struct query q;

	ck_assert_ptr_null(read_query("?q=%C3%A9%C3%A9%C3%A9%C3%A9"
	    "%F0%9F%98%80", params, &q));
	ck_assert_uint_eq(q.q.n, 12);
}
END_TEST

START_TEST(no_table_means_no_parameters)
{
	struct query q;

	ck_assert_ptr_null(read_query("", NULL, &q));
	ck_assert_str_eq(read_query("?a=1", NULL, &q)->code, "query.unknown");
}
END_TEST

RH_CHECK_MAIN("http/query",
    RH_CASE(defaults_stay_where_nothing_is_given),
    RH_CASE(every_type_is_read),
    RH_LOOP(bad_queries_are_400_and_say_why, bad),
    RH_CASE(five_code_points_are_five_characters),
    RH_CASE(no_table_means_no_parameters))
