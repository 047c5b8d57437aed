/* check_reply.c - replies and problems, byte for byte. */
#include "config.h"

#include "requests.h"

struct item { struct rh_slice name; };

static const struct rh_field shape[] = {
	{ RH_FIELD("name", TEXT, struct item, name) },
	{ 0 }
};

static struct rh_err *
handler(struct rh_call *c)
{
	(void)c;
	return NULL;
}

static const struct rh_route rows[] = {
	{ .method = RH_GET, .template = "/x", .handler = handler, .flags = RH_ROUTE_ETAG },
	{ .method = RH_GET, .template = "/key", .handler = handler, .flags = RH_ROUTE_CREDENTIALS },
	{ .method = RH_GET, .template = "/plain", .handler = handler },
	{ .method = RH_GET, .template = "/in/{token}", .handler = handler, .flags = RH_ROUTE_SECRET_PATH },
	{ 0 }
};

static struct request *
request_to(const char *method, const char *uri, const char *extra)
{
	const struct rh_route *const tables[] = { rows, NULL };
	const char *params[] = {
		rh_arena_printf(rh_check_arena(), "REQUEST_METHOD=%s", method),
		rh_arena_printf(rh_check_arena(), "REQUEST_URI=%s", uri),
		extra, NULL
	};
	struct request *r = request_open(params, RH_SLICE(""));
	struct rh_buf why;

	rh_buf_init(&why, rh_check_arena(), 64, 4096);
	ck_assert_ptr_null(r->err);
	r->err = rh_req_route(&r->rq, rh_router_new(rh_check_arena(), tables, &why));
	return r;
}

/* Head and body as they go out; closes the request. */
static struct rh_slice
sent(struct request *r)
{
	struct rh_slice head, body, got;

	rh_reply_finish(&r->rq, &head, &body);
	ck_assert(rh_fcgx_reply(r->peer.fx, head, body));
	got = peer_reply(&r->peer, 1);
	request_close(r);
	return got;
}

static const struct item item = { RH_SLICE_INIT("n") };

static const struct { const char *method, *uri, *extra, *reply; } ones[] = {
	{ "GET", "/x", NULL,
	    "ETag: \"v7\"\r\nCache-Control: private, no-cache\r\n"
	    "Content-Type: application/json\r\nStatus: 200 OK\r\n"
	    "X-Content-Type-Options: nosniff\r\n"
	    "Content-Length: 12\r\n\r\n{\"name\":\"n\"}" },
	{ "HEAD", "/x", NULL,
	    "ETag: \"v7\"\r\nCache-Control: private, no-cache\r\n"
	    "Content-Type: application/json\r\nStatus: 200 OK\r\n"
	    "X-Content-Type-Options: nosniff\r\n"
	    "Content-Length: 12\r\n\r\n" },
	{ "GET", "/x", "HTTP_IF_NONE_MATCH=\"v7\"",
	    "ETag: \"v7\"\r\n"
	    "Cache-Control: private, no-cache\r\n"
	    "Status: 304 Not Modified\r\nX-Content-Type-Options: nosniff\r\n\r\n" },
	{ "GET", "/x", "HTTP_IF_NONE_MATCH=\"v6\"",
	    "ETag: \"v7\"\r\nCache-Control: private, no-cache\r\n"
	    "Content-Type: application/json\r\nStatus: 200 OK\r\n"
	    "X-Content-Type-Options: nosniff\r\n"
	    "Content-Length: 12\r\n\r\n{\"name\":\"n\"}" },
	{ "GET", "/key", NULL,
	    "Cache-Control: no-store\r\n"
	    "Content-Type: application/json\r\nStatus: 200 OK\r\n"
	    "X-Content-Type-Options: nosniff\r\n"
	    "Content-Length: 12\r\n\r\n{\"name\":\"n\"}" },
	{ "GET", "/plain", NULL,
	    "Content-Type: application/json\r\n"
	    "Status: 200 OK\r\nX-Content-Type-Options: nosniff\r\nContent-Length: 12\r\n\r\n"
	    "{\"name\":\"n\"}" },
};

START_TEST(one_object)
{
	struct request *r = request_to(ones[_i].method, ones[_i].uri, ones[_i].extra);

	ck_assert_ptr_null(rh_reply_one(&r->rq, shape, &item, 7));
	rh_assert_slice_eq(sent(r), rh_slice_of(ones[_i].reply));
}
END_TEST

START_TEST(what_was_made_has_a_location)
{
	struct request *r = request_to("GET", "/x", NULL);

	ck_assert_ptr_null(rh_reply_created(&r->rq, shape, &item, RH_SLICE("/x/1"), 1));
	rh_assert_slice_eq(sent(r), RH_SLICE(
	    "ETag: \"v1\"\r\nCache-Control: private, no-cache\r\nLocation: /x/1\r\n"
	    "Content-Type: application/json\r\nStatus: 201 Created\r\n"
	    "X-Content-Type-Options: nosniff\r\n"
	    "Content-Length: 12\r\n\r\n{\"name\":\"n\"}"));
}
END_TEST

START_TEST(nothing_has_no_length)
{
	struct request *r = request_to("GET", "/plain", NULL);

	ck_assert_ptr_null(rh_reply_none(&r->rq));
	rh_assert_slice_eq(sent(r), RH_SLICE(
	    "Status: 204 No Content\r\nX-Content-Type-Options: nosniff\r\n\r\n"));
}
END_TEST

START_TEST(bytes_are_borrowed)
{
	static const char bytes[] = "bytes";
	struct request *r = request_to("GET", "/plain", NULL);
	struct rh_err *err;

	ck_assert_ptr_null(rh_reply_bytes(&r->rq, 200, "text/plain", rh_slice_of(bytes)));
	/* a problem after it must not write where they stand */
	err = rh_err_new(rh_check_arena(), RH_E_BUG, "bug", "d");
	rh_reply_problem(&r->rq, err, &(struct rh_problem_ids){ RH_SLICE_NONE, NULL });
	ck_assert_str_eq(bytes, "bytes");
	ck_assert_ptr_null(rh_reply_bytes(&r->rq, 200, "text/plain", rh_slice_of(bytes)));
	request_close(r);
}
END_TEST

static const struct { const char *uri, *next, *reply; } pages[] = {
	{ "/plain", NULL,
	    "Content-Type: application/json\r\n"
	    "Status: 200 OK\r\nX-Content-Type-Options: nosniff\r\nContent-Length: 55\r\n\r\n"
	    "{\"data\":[{\"name\":\"a\"},{\"name\":\"b\"}],\"next_cursor\":null}" },
	{ "/plain?limit=2&cursor=OLD&q=a%20b>", "NEW",
	    "Content-Type: application/json\r\n"
	    "Link: </plain?limit=2&q=a%20b%3e&cursor=NEW>; rel=\"next\"\r\n"
	    "Status: 200 OK\r\nX-Content-Type-Options: nosniff\r\nContent-Length: 56\r\n\r\n"
	    "{\"data\":[{\"name\":\"a\"},{\"name\":\"b\"}],\"next_cursor\":\"NEW\"}" },
};

START_TEST(a_page_of_objects)
{
	static const struct item items[] = { { RH_SLICE_INIT("a") }, { RH_SLICE_INIT("b") } };
	struct request *r = request_to("GET", pages[_i].uri, NULL);

	ck_assert_ptr_null(rh_reply_page(&r->rq, shape, &(struct rh_page){
	    items, 2, sizeof(items[0]), rh_slice_of(pages[_i].next) }));
	rh_assert_slice_eq(sent(r), rh_slice_of(pages[_i].reply));
}
END_TEST

START_TEST(an_empty_page_is_an_empty_array)
{
	struct request *r = request_to("GET", "/plain", NULL);

	ck_assert_ptr_null(rh_reply_page(&r->rq, shape, &(struct rh_page){
	    NULL, 0, sizeof(struct item), RH_SLICE_NONE }));
	rh_assert_slice_eq(rh_buf_get(&r->rq.reply.body),
	    RH_SLICE("{\"data\":[],\"next_cursor\":null}"));
	request_close(r);
}
END_TEST

/* ---- problems ---- */

static struct rh_slice
problem(struct request *r, const struct rh_err *err)
{
	static const unsigned char trace[16] = { 0xab, [15] = 1 };

	rh_reply_problem(&r->rq, err, &(struct rh_problem_ids){
	    RH_SLICE("req-12345678"), trace });
	return sent(r);
}

START_TEST(a_problem_is_rfc_9457)
{
	struct request *r = request_to("GET", "/nowhere?secret=1", NULL);

	rh_reply_header(&r->rq.reply, "X-Of-Handler", RH_SLICE("gone"));
	rh_assert_slice_eq(problem(r, r->err), RH_SLICE(
	    "Content-Type: application/problem+json\r\n"
	    "Cache-Control: no-store\r\nStatus: 404 Not found\r\n"
	    "X-Content-Type-Options: nosniff\r\n"
	    "Content-Length: 215\r\n\r\n"
	    "{\"type\":\"urn:rowhouse:problem:route.missing\","
	    "\"title\":\"Not found\",\"status\":404,"
	    "\"detail\":\"There is nothing at this path\","
	    "\"instance\":\"/nowhere\",\"request_id\":\"req-12345678\","
	    "\"trace_id\":\"ab000000000000000000000000000001\"}"));
}
END_TEST

START_TEST(faults_are_listed)
{
	struct request *r = request_to("GET", "/plain", NULL);
	struct rh_err *err = rh_err_new(rh_check_arena(), RH_E_INVALID,
	    "body.invalid", "see errors");

	err->next = rh_err_new(rh_check_arena(), RH_E_INVALID, "x", "is required");
	err->next->field = "/a";
	err->next->next = rh_err_new(rh_check_arena(), RH_E_INVALID, "x", "is \"odd\"");
	err->next->next->field = "/b~1c";
	rh_reply_problem(&r->rq, err, &(struct rh_problem_ids){
	    RH_SLICE("req-12345678"), NULL });
	rh_assert_slice_eq(rh_buf_get(&r->rq.reply.body), RH_SLICE(
	    "{\"type\":\"urn:rowhouse:problem:body.invalid\","
	    "\"title\":\"Invalid content\",\"status\":422,"
	    "\"detail\":\"see errors\",\"instance\":\"/plain\","
	    "\"request_id\":\"req-12345678\","
	    "\"trace_id\":\"00000000000000000000000000000000\","
	    "\"errors\":[{\"pointer\":\"/a\",\"detail\":\"is required\"},"
	    "{\"pointer\":\"/b~1c\",\"detail\":\"is \\\"odd\\\"\"}]}"));
	request_close(r);
}
END_TEST

START_TEST(a_secret_in_the_path_is_not_repeated)
{
	struct request *r = request_to("GET", "/in/hush", NULL);
	struct rh_slice got = problem(r, rh_err_new(rh_check_arena(),
	    RH_E_MISSING, "x", "d"));

	ck_assert_ptr_null(memmem(got.p, got.n, "hush", 4));
	ck_assert_ptr_nonnull(memmem(got.p, got.n, "\"/in/{token}\"", 13));
}
END_TEST

static const struct {
	enum rh_err_kind kind;
	unsigned retry_after_s;
	const char *line;
} extras[] = {
	{ RH_E_ANON, 0, "\r\nWWW-Authenticate: Bearer\r\n" },
	{ RH_E_LIMITED, 30, "\r\nRetry-After: 30\r\n" },
	{ RH_E_UNAVAILABLE, 5, "\r\nRetry-After: 5\r\n" },
	{ RH_E_UNAVAILABLE, 0, "\r\nRetry-After: 1\r\n" },
};

START_TEST(a_kind_brings_its_headers)
{
	struct request *r = request_to("GET", "/plain", NULL);
	struct rh_err *err = rh_err_new(rh_check_arena(), extras[_i].kind, "x", "d");
	struct rh_slice got;

	err->retry_after_s = extras[_i].retry_after_s;
	got = problem(r, err);
	ck_assert_ptr_nonnull(memmem(got.p, got.n, extras[_i].line,
	    strlen(extras[_i].line)));
}
END_TEST

START_TEST(a_wrong_method_is_told_the_right_ones)
{
	struct request *r = request_to("DELETE", "/plain", NULL);
	struct rh_slice got = problem(r, r->err);

	ck_assert_ptr_nonnull(memmem(got.p, got.n, "\r\nStatus: 405 ", 14));
	ck_assert_ptr_nonnull(memmem(got.p, got.n, "\r\nAllow: GET, HEAD\r\n", 20));
}
END_TEST

START_TEST(every_kind_has_a_status_and_a_title)
{
	for (int kind = 0; kind < RH_E_COUNT; kind++) {
		unsigned status = rh_problem_status((enum rh_err_kind)kind);

		ck_assert_uint_ge(status, 400);
		ck_assert_uint_lt(status, 600);
		ck_assert_ptr_nonnull(rh_problem_title((enum rh_err_kind)kind));
	}
}
END_TEST

RH_CHECK_MAIN("http/reply",
    RH_LOOP(one_object, ones),
    RH_CASE(what_was_made_has_a_location),
    RH_CASE(nothing_has_no_length),
    RH_CASE(bytes_are_borrowed),
    RH_LOOP(a_page_of_objects, pages),
    RH_CASE(an_empty_page_is_an_empty_array),
    RH_CASE(a_problem_is_rfc_9457),
    RH_CASE(faults_are_listed),
    RH_CASE(a_secret_in_the_path_is_not_repeated),
    RH_LOOP(a_kind_brings_its_headers, extras),
    RH_CASE(a_wrong_method_is_told_the_right_ones),
    RH_CASE(every_kind_has_a_status_and_a_title))
