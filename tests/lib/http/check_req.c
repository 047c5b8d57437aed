/* check_req.c - a request is read once and strictly, whatever the web server made of it. */
#include "config.h"

#include "requests.h"

static const struct rh_field body_table[] = { { 0 } };

static struct rh_err *
handler(struct rh_call *c)
{
	(void)c;
	return NULL;
}

static const struct rh_route rows[] = {
	{ .method = RH_GET, .template = "/x/{id}", .handler = handler },
	{ .method = RH_POST, .template = "/x", .handler = handler, .body = body_table },
	{ .method = RH_PATCH, .template = "/x", .handler = handler, .body = body_table },
	{ .method = RH_POST, .template = "/raw", .handler = handler, .flags = RH_ROUTE_RAW },
	{ .method = RH_POST, .template = "/none", .handler = handler },
	{ .method = RH_GET, .template = "/any", .handler = handler, .flags = RH_ROUTE_ANY },
	{ 0 }
};

static struct rh_router *
router(void)
{
	const struct rh_route *const tables[] = { rows, NULL };
	struct rh_buf why;

	rh_buf_init(&why, rh_check_arena(), 64, 4096);
	return rh_router_new(rh_check_arena(), tables, &why);
}

START_TEST(nginx_parameters_are_read)
{
	static const char *const params[] = {
		"QUERY_STRING=a=b", "REQUEST_METHOD=POST",
		"CONTENT_TYPE=application/json", "CONTENT_LENGTH=2",
		"SCRIPT_NAME=/x", "REQUEST_URI=/x?a=b", "DOCUMENT_URI=/x",
		"REQUEST_SCHEME=https", "REMOTE_ADDR=192.0.2.7",
		"HTTP_HOST=example.org", "HTTP_USER_AGENT=curl/8",
		"HTTP_AUTHORIZATION=Bearer rhk_x", "HTTP_ACCEPT=*/*",
		"HTTP_X_REQUEST_ID=abcdefgh", "HTTP_CONTENT_TYPE=text/evil",
		"HTTP_TRACEPARENT=00-1", "HTTP_TRACESTATE=a=1",
		"HTTP_TRACESTATE=b=2", "HTTP_IDEMPOTENCY_KEY=key",
		"HTTP_PROXY=http://evil.example", NULL
	};
	struct request *r = request_open(params, RH_SLICE("{}"));
	struct rh_req *rq = &r->rq;

	ck_assert_ptr_null(r->err);
	ck_assert_int_eq(rq->method, RH_POST);
	rh_assert_slice_eq(rq->path, RH_SLICE("/x"));
	rh_assert_slice_eq(rq->query, RH_SLICE("a=b"));
	rh_assert_slice_eq(rq->scheme, RH_SLICE("https"));
	rh_assert_slice_eq(rq->remote, RH_SLICE("192.0.2.7"));
	rh_assert_slice_eq(rq->header[RH_H_HOST], RH_SLICE("example.org"));
	rh_assert_slice_eq(rq->header[RH_H_CONTENT_TYPE], RH_SLICE("application/json"));
	rh_assert_slice_eq(rq->header[RH_H_AUTHORIZATION], RH_SLICE("Bearer rhk_x"));
	rh_assert_slice_eq(rq->header[RH_H_TRACESTATE], RH_SLICE("a=1,b=2"));
	rh_assert_slice_eq(rq->header[RH_H_IDEMPOTENCY_KEY], RH_SLICE("key"));
	ck_assert_uint_eq(rq->repeats[RH_H_TRACESTATE], 2);
	ck_assert_uint_eq(rq->repeats[RH_H_IF_MATCH], 0);
	ck_assert_ptr_null(rh_req_route(rq, router()));
	ck_assert_ptr_null(rh_req_body(rq, 100));
	rh_assert_slice_eq(rq->body, RH_SLICE("{}"));
	ck_assert_uint_eq(rq->bytes_in, 2);
	ck_assert_ptr_null(rh_req_body(rq, 1));	/* was read; once is enough */
	request_close(r);
}
END_TEST

static const struct { const char *extra, *code; } headers[] = {
	{ NULL, NULL },
	{ "HTTP_AUTHORIZATION=Bearer x", NULL },
	{ "HTTP_AUTHORIZATION=Bearer x, Bearer y", "request.repeated_header" },
	{ "HTTP_X_REQUEST_ID=aaaaaaaa, bbbbbbbb", "request.repeated_header" },
	{ "HTTP_IDEMPOTENCY_KEY=a, b", "request.repeated_header" },
	{ "HTTP_IDEMPOTENCY_KEY=\xff", "request.header" },
	{ "HTTP_IDEMPOTENCY_KEY=a\x01", "request.header" },
	{ "HTTP_AUTHORIZATION=Bearer \xc3\xa9", "request.header" },
	{ "HTTP_TRACEPARENT=a, b", NULL },	/* a new trace, no error */
	{ "HTTP_USER_AGENT=\xff, \x01", NULL },
	{ "CONTENT_LENGTH=abc", "request.content_length" },
	{ "CONTENT_LENGTH=-1", "request.content_length" },
	{ "CONTENT_LENGTH=99999999999999999999", "request.content_length" },
	{ "CONTENT_LENGTH=", NULL },
};

START_TEST(headers_keep_to_their_rules)
{
	struct request *r = request_get("/x", headers[_i].extra);

	ck_assert_msg(!r->err == !headers[_i].code, "%s", headers[_i].extra);
	if (r->err) {
		ck_assert_int_eq(r->err->kind, RH_E_MALFORMED);
		ck_assert_str_eq(r->err->code, headers[_i].code);
	}
	request_close(r);
}
END_TEST

static const struct { const char *path, *extra; bool forgiven; } odd[] = {
	{ "/any", "HTTP_AUTHORIZATION=a, b", true },
	{ "/any", "CONTENT_TYPE=\xff", true },
	{ "/any", "CONTENT_LENGTH=x", false },
	{ "/any/%ff", "HTTP_AUTHORIZATION=a, b", false },
	{ "/x/1", "HTTP_AUTHORIZATION=a, b", false },
	{ "/nowhere", "HTTP_AUTHORIZATION=a, b", false },
};

START_TEST(a_route_that_takes_any_headers_is_given_them)
{
	struct request *r = request_get(odd[_i].path, odd[_i].extra);

	ck_assert_ptr_nonnull(r->err);
	ck_assert_int_eq(rh_req_forgives(&r->rq, router()), odd[_i].forgiven);
	ck_assert_int_eq(r->rq.match.route != NULL, odd[_i].forgiven);
	request_close(r);
}
END_TEST

static const struct { const char *name; bool refused; } repeated[] = {
	{ "HTTP_AUTHORIZATION=a", true }, { "HTTP_X_REQUEST_ID=a", true },
	{ "HTTP_IDEMPOTENCY_KEY=a", true }, { "HTTP_TRACEPARENT=a", false },
	{ "HTTP_IF_NONE_MATCH=\"a\"", false }, { "HTTP_USER_AGENT=a", false },
	{ "HTTP_ACCEPT=a", false },
};

START_TEST(two_parameters_of_a_name_are_a_repeat)
{
	const char *const params[] = { "REQUEST_METHOD=GET", "REQUEST_URI=/x",
	    repeated[_i].name, repeated[_i].name, NULL };
	struct request *r = request_open(params, RH_SLICE(""));

	ck_assert_int_eq(r->err != NULL, repeated[_i].refused);
	request_close(r);
}
END_TEST

START_TEST(what_identifies_is_there_even_where_the_target_is_bad)
{
	struct request *r = request_get("/\x01", "HTTP_X_REQUEST_ID=abcdefgh");

	ck_assert_str_eq(r->err->code, "request.target");
	rh_assert_slice_eq(r->rq.header[RH_H_X_REQUEST_ID], RH_SLICE("abcdefgh"));
	request_close(r);
}
END_TEST

START_TEST(a_nul_in_a_target_is_refused)
{
	struct wire *w = wire_new(), *pairs = wire_new();
	struct peer p = peer_open();
	struct rh_req rq;
	struct rh_err *err;

	wire_pair(pairs, RH_SLICE("REQUEST_METHOD"), RH_SLICE("GET"));
	wire_pair(pairs, RH_SLICE("REQUEST_URI"), RH_SLICE("/x\0y"));
	wire_begin(w, 1, RH_ROLE_RESPONDER, true);
	wire_record(w, RH_REC_PARAMS, 1,
	    (struct rh_slice){ (char *)pairs->p, pairs->n });
	wire_record(w, RH_REC_PARAMS, 1, RH_SLICE(""));
	wire_stdin(w, 1, RH_SLICE(""));
	peer_send(&p, w->p, w->n);
	ck_assert_int_eq(rh_fcgx_look(p.fx, p.theirs), RH_FCGX_READY);
	ck_assert(rh_fcgx_accept(p.fx, p.theirs));
	rh_req_reset(&rq, rh_check_arena(), p.fx);
	err = rh_req_read(&rq);
	ck_assert_str_eq(err->code, "request.target");
	(void)rh_fcgx_finish(p.fx);
	peer_close(&p);
}
END_TEST

START_TEST(a_long_path_is_refused)
{
	char *path = rh_arena_alloc(rh_check_arena(), 2050);
	struct request *r;

	memset(path, 'a', 2049);
	path[0] = '/';
	path[2049] = '\0';
	r = request_get(path, NULL);
	ck_assert_str_eq(r->err->code, "request.target");
	request_close(r);
	path[2048] = '\0';
	r = request_get(path, NULL);
	ck_assert_ptr_null(r->err);
	request_close(r);
}
END_TEST

START_TEST(a_web_server_that_says_nothing_gets_400)
{
	struct request *r = request_open(NULL, RH_SLICE(""));

	ck_assert_int_eq(r->err->kind, RH_E_MALFORMED);
	request_close(r);
}
END_TEST

static const struct {
	const char *method, *uri, *type, *body;
	enum rh_err_kind kind;
	const char *code;
} media[] = {
	{ "POST", "/x", "application/json", "{}", 0, NULL },
	{ "POST", "/x", "Application/JSON; charset=UTF-8", "{}", 0, NULL },
	{ "POST", "/x", "application/json;charset=\"utf-8\"", "{}", 0, NULL },
	{ "POST", "/x", "application/json; charset=latin1", "{}", RH_E_MEDIA, "body.media_type" },
	{ "POST", "/x", "application/json, text/plain", "{}", RH_E_MEDIA, "body.media_type" },
	{ "POST", "/x", "application/merge-patch+json", "{}", RH_E_MEDIA, "body.media_type" },
	{ "PATCH", "/x", "application/merge-patch+json", "{}", 0, NULL },
	{ "PATCH", "/x", "application/json", "{}", 0, NULL },
	{ "POST", "/x", "text/plain", "{}", RH_E_MEDIA, "body.media_type" },
	{ "POST", "/x", "", "{}", RH_E_MEDIA, "body.media_type" },
	{ "POST", "/x", "", "", 0, NULL },	/* no body has no type; the shape misses it */
	{ "POST", "/raw", "image/png", "bytes", 0, NULL },
	{ "POST", "/raw", "", "bytes", 0, NULL },
	{ "POST", "/none", "", "", 0, NULL },
	{ "POST", "/none", "text/plain", "whatever", 0, NULL },
	{ "POST", "/x", "application/json", "{\"a\":\"0123456789\"}", RH_E_TOO_LARGE, "body.too_large" },
};

START_TEST(bodies_are_json_and_within_bounds)
{
	const char *const params[] = {
		rh_arena_printf(rh_check_arena(), "REQUEST_METHOD=%s", media[_i].method),
		rh_arena_printf(rh_check_arena(), "REQUEST_URI=%s", media[_i].uri),
		rh_arena_printf(rh_check_arena(), "CONTENT_TYPE=%s", media[_i].type),
		NULL
	};
	struct request *r = request_open(params, rh_slice_of(media[_i].body));
	struct rh_err *err;

	ck_assert_ptr_null(r->err);
	ck_assert_ptr_null(rh_req_route(&r->rq, router()));
	err = rh_req_body(&r->rq, 10);
	ck_assert_int_eq(err != NULL, media[_i].code != NULL);
	if (err) {
		ck_assert_int_eq(err->kind, media[_i].kind);
		ck_assert_str_eq(err->code, media[_i].code);
	}
	request_close(r);
}
END_TEST

static const struct { const char *length, *code; } lengths[] = {
	{ "2", NULL },
	{ "3", "body.broken_off" },	/* the client left in mid-body */
	{ "1", "body.broken_off" },
	{ "99", "body.too_large" },	/* without reading it */
};

START_TEST(content_length_is_compared_with_what_comes)
{
	const char *const params[] = { "REQUEST_METHOD=POST", "REQUEST_URI=/x",
	    "CONTENT_TYPE=application/json", rh_arena_printf(rh_check_arena(),
	    "CONTENT_LENGTH=%s", lengths[_i].length), NULL };
	struct request *r = request_open(params, RH_SLICE("{}"));
	struct rh_err *err;

	ck_assert_ptr_null(r->err);
	ck_assert_ptr_null(rh_req_route(&r->rq, router()));
	err = rh_req_body(&r->rq, 10);
	if (lengths[_i].code)
		ck_assert_str_eq(err->code, lengths[_i].code);
	else
		ck_assert_ptr_null(err);
	request_close(r);
}
END_TEST

static const struct { const char *uri; enum rh_err_kind kind; bool id; } ids[] = {
	{ "/x/01890a5d-ac96-774b-bcce-b302099a8057", 0, true },
	{ "/x/01890A5D-AC96-774B-BCCE-B302099A8057", 0, true },
	{ "/x/42", RH_E_MISSING, false },
	{ "/x/00000000-0000-0000-0000-000000000000", RH_E_MISSING, false },
	{ "/x/01890a5d-ac96-774b-bcce-b302099a8057%20", RH_E_MISSING, false },
};

START_TEST(path_arguments_are_uuids_or_404)
{
	struct request *r = request_get(ids[_i].uri, NULL);
	struct rh_err *err;
	struct rh_uuid id;

	ck_assert_ptr_null(rh_req_route(&r->rq, router()));
	err = rh_req_uuid(&r->rq, "id", &id);
	ck_assert_int_eq(err == NULL, ids[_i].id);
	if (err)
		ck_assert_int_eq(err->kind, ids[_i].kind);
	request_close(r);
}
END_TEST

static const struct { const char *method, *uri; int kind; } routed[] = {
	{ "GET", "/x/1", -1 }, { "HEAD", "/x/1", -1 },
	{ "GET", "/y", RH_E_MISSING }, { "DELETE", "/x/1", RH_E_METHOD },
	{ "TRACE", "/x/1", RH_E_METHOD }, { "get", "/x/1", RH_E_METHOD },
	{ "OPTIONS", "/x/1", RH_E_METHOD },
};

START_TEST(routes_or_404_or_405)
{
	const char *const params[] = {
		rh_arena_printf(rh_check_arena(), "REQUEST_METHOD=%s", routed[_i].method),
		rh_arena_printf(rh_check_arena(), "REQUEST_URI=%s", routed[_i].uri),
		NULL
	};
	struct request *r = request_open(params, RH_SLICE(""));
	struct rh_err *err;

	ck_assert_ptr_null(r->err);
	err = rh_req_route(&r->rq, router());
	ck_assert_int_eq(err ? (int)err->kind : -1, routed[_i].kind);
	request_close(r);
}
END_TEST

static const struct { const char *field; bool none_match; int64_t if_match; } tags[] = {
	{ NULL, false, 0 },
	{ "*", true, 0 },
	{ "\"v7\"", true, 7 },
	{ "W/\"v7\"", true, -1 },
	{ "\"v8\"", false, 8 },
	{ "\"a\", \"v7\"", true, 7 },
	{ "\"a\",W/\"v7\"", true, -1 },
	{ "\"a,\\\"v7\"", false, -1 },
	{ "v7", false, -1 },
	{ "\"v7", false, -1 },
	{ "", false, -1 },
	{ "\"v07\"", false, -1 },
	{ "\"v-7\"", false, -1 },
	{ "\"v99999999999999999999\"", false, -1 },
};

START_TEST(entity_tags_compare_by_rfc_9110)
{
	const char *f = tags[_i].field;
	struct request *none = request_get("/x", f ? rh_arena_printf(
	    rh_check_arena(), "HTTP_IF_NONE_MATCH=%s", f) : NULL);
	struct request *some = request_get("/x", f ? rh_arena_printf(
	    rh_check_arena(), "HTTP_IF_MATCH=%s", f) : NULL);

	ck_assert_msg(rh_req_none_match(&none->rq, RH_SLICE("\"v7\"")) ==
	    tags[_i].none_match, "If-None-Match: %s", f);
	ck_assert_msg(rh_req_if_match(&some->rq) == tags[_i].if_match,
	    "If-Match: %s", f);
	request_close(none);
	request_close(some);
}
END_TEST

RH_CHECK_MAIN("http/req",
    RH_CASE(nginx_parameters_are_read),
    RH_LOOP(headers_keep_to_their_rules, headers),
    RH_LOOP(a_route_that_takes_any_headers_is_given_them, odd),
    RH_LOOP(two_parameters_of_a_name_are_a_repeat, repeated),
    RH_CASE(what_identifies_is_there_even_where_the_target_is_bad),
    RH_CASE(a_nul_in_a_target_is_refused),
    RH_CASE(a_long_path_is_refused),
    RH_CASE(a_web_server_that_says_nothing_gets_400),
    RH_LOOP(bodies_are_json_and_within_bounds, media),
    RH_LOOP(content_length_is_compared_with_what_comes, lengths),
    RH_LOOP(path_arguments_are_uuids_or_404, ids),
    RH_LOOP(routes_or_404_or_405, routed),
    RH_LOOP(entity_tags_compare_by_rfc_9110, tags))
