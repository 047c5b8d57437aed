/* check_route.c - templates match whole segments, then decode (RFC 3986 2.4). */
#include "config.h"

#include "http/route.h"
#include "rh_check.h"

static struct rh_err *
handler(struct rh_call *c)
{
	(void)c;
	return NULL;
}

static const struct rh_field body[] = { { 0 } };

#define T "/v1/t/{tenant}"
#define ROW(m, t)	{ .method = (m), .template = (t), .handler = handler }
static const struct rh_route one[] = {
	ROW(RH_GET, T "/projects"),
	ROW(RH_POST, T "/projects"),
	ROW(RH_GET, T "/projects/{id}"),
	ROW(RH_DELETE, T "/projects/{id}"),
	ROW(RH_GET, T "/projects/{id}/tasks"),
	ROW(RH_GET, T),
	{ 0 }
};
static const struct rh_route two[] = {
	ROW(RH_GET, "/livez"),
	ROW(RH_GET, T "/members/me"),
	ROW(RH_DELETE, T "/members/{user}"),
	ROW(RH_GET, "/"),
	ROW(RH_GET, "/v1/{a}/b"),
	{ 0 }
};
#define SECRET(m, t, more)							\
	{ .method = (m), .template = (t), .handler = handler,			\
	    .flags = RH_ROUTE_SECRET_PATH | (more) }
static const struct rh_route three[] = {
	SECRET(RH_GET, "/in/{token}", 0),
	SECRET(RH_METHOD_OTHER, "/in/{token}", 0),
	SECRET(RH_GET, "/in/{token}/{rest}", RH_ROUTE_REST),
	{ 0 }
};
static const struct rh_route *const tables[] = { one, two, three, NULL };

static struct rh_router *
router_of(const struct rh_route *const *rows, char *why, size_t n)
{
	struct rh_router *router;
	struct rh_buf b;

	rh_buf_init_fixed(&b, why, n - 1);
	router = rh_router_new(rh_check_arena(), rows, &b);
	why[b.n] = '\0';
	return router;
}

static const struct {
	enum rh_method method;
	const char *path, *template;
	const char *name, *value;
	unsigned allow;
} cases[] = {
	{ RH_GET, "/v1/t/acme/projects/42", T "/projects/{id}", "id", "42", 0 },
	{ RH_GET, "/v1/t/acme/projects/42", T "/projects/{id}", "tenant", "acme", 0 },
	{ RH_GET, "/v1/t/acme/projects/42", T "/projects/{id}", "other", NULL, 0 },
	/* split first, decode after */
	{ RH_GET, "/v1/t/acme/projects/a%2fb", T "/projects/{id}", "id", "a/b", 0 },
	{ RH_GET, "/v1/t/acme/%70rojects/42", T "/projects/{id}", "id", "42", 0 },
	{ RH_GET, "/v1/t/acme/projects/a/b", NULL, NULL, NULL, 0 },
	{ RH_GET, "/v1/t/acme", T, "tenant", "acme", 0 },
	{ RH_GET, "/", "/", NULL, NULL, 0 },
	{ RH_GET, "/livez", "/livez", NULL, NULL, 0 },
	/* nothing is normalized */
	{ RH_GET, "/livez/", NULL, NULL, NULL, 0 },
	{ RH_GET, "//livez", NULL, NULL, NULL, 0 },
	{ RH_GET, "/v1/../livez", NULL, NULL, NULL, 0 },
	{ RH_GET, "/v1/t//projects", NULL, NULL, NULL, 0 },
	{ RH_GET, "/v1/t/../projects", NULL, NULL, NULL, 0 },
	{ RH_GET, "/v1/t/%2e%2e/projects", NULL, NULL, NULL, 0 },
	{ RH_GET, "/v1/t/./projects", NULL, NULL, NULL, 0 },
	{ RH_GET, "/v1/t/acme/projects/", NULL, NULL, NULL, 0 },
	{ RH_GET, "/v1/t/acme/Projects", NULL, NULL, NULL, 0 },
	{ RH_GET, "/v1/t/%ff/projects", NULL, NULL, NULL, 0 },
	{ RH_GET, "/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a", NULL, NULL, NULL, 0 },
	/* methods */
	{ RH_HEAD, "/livez", "/livez", NULL, NULL, 0 },
	{ RH_POST, "/livez", NULL, NULL, NULL, 1 << RH_GET | 1 << RH_HEAD },
	{ RH_PUT, "/v1/t/acme/projects/42", NULL, NULL, NULL, 1 << RH_GET | 1 << RH_HEAD | 1 << RH_DELETE },
	{ RH_METHOD_OTHER, "/livez", NULL, NULL, NULL, 1 << RH_GET | 1 << RH_HEAD },
	/* the literal one first, then what is left */
	{ RH_GET, "/v1/t/acme/members/me", T "/members/me", NULL, NULL, 0 },
	{ RH_DELETE, "/v1/t/acme/members/me", T "/members/{user}", "user", "me", 0 },
	{ RH_GET, "/v1/t/b", T, "tenant", "b", 0 },
	{ RH_GET, "/v1/x/b", "/v1/{a}/b", "a", "x", 0 },
	/* the rest of a path, whatever it is */
	{ RH_GET, "/in/abc", "/in/{token}", "token", "abc", 0 },
	{ RH_METHOD_OTHER, "/in/abc", "/in/{token}", "token", "abc", 0 },
	{ RH_GET, "/in/abc/", "/in/{token}/{rest}", "rest", "", 0 },
	{ RH_GET, "/in/abc/d", "/in/{token}/{rest}", "rest", "d", 0 },
	{ RH_GET, "/in/a%62c/d/%2F/../e//", "/in/{token}/{rest}", "rest", "d/%2F/../e//", 0 },
	{ RH_GET, "/in/a%62c/d", "/in/{token}/{rest}", "token", "abc", 0 },
	{ RH_GET, "/in/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a", "/in/{token}/{rest}", "rest",
	    "a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a", 0 },
	{ RH_POST, "/in/abc/d", NULL, NULL, NULL, 1 << RH_GET | 1 << RH_HEAD },
	{ RH_GET, "/in/", NULL, NULL, NULL, 0 },
	{ RH_GET, "/in//d", NULL, NULL, NULL, 0 },
};

START_TEST(paths_match)
{
	char why[256];
	struct rh_router *router = router_of(tables, why, sizeof(why));
	struct rh_match m;

	ck_assert_msg(router != NULL, "%s", why);
	rh_router_find(router, cases[_i].method, rh_slice_of(cases[_i].path),
	    rh_check_arena(), &m);
	ck_assert_msg(!m.route == !cases[_i].template, "%s", cases[_i].path);
	if (!m.route) {
		ck_assert_uint_eq(m.allow, cases[_i].allow);
		return;
	}
	ck_assert_str_eq(m.route->template, cases[_i].template);
	ck_assert_ptr_eq(rh_router_get(router, m.index), m.route);
	if (cases[_i].name)
		rh_assert_slice_eq(rh_match_get(&m, cases[_i].name),
		    rh_slice_of(cases[_i].value));
}
END_TEST

START_TEST(routes_keep_the_order_of_their_tables)
{
	char why[256];
	struct rh_router *router = router_of(tables, why, sizeof(why));

	ck_assert_uint_eq(rh_router_count(router), 14);
	ck_assert_ptr_eq(rh_router_get(router, 0), &one[0]);
	ck_assert_ptr_eq(rh_router_get(router, 6), &two[0]);
}
END_TEST

static const struct { const char *path; bool secret; } concealed[] = {
	{ "/in/abc", true }, { "/%69n/abc", true }, { "//in/abc", true },
	{ "/x/../in/abc", true }, { "/in/abc/%ff", true }, { "/%2fin%2Fabc", true },
	{ "/in", false }, { "/inbox/abc", false }, { "/v1/t/in", false },
	{ "/", false }, { "/%", false }, { "/i%6", false },
};

START_TEST(a_path_that_no_route_has_may_hold_a_secret)
{
	char why[256];
	struct rh_router *router = router_of(tables, why, sizeof(why));
	struct rh_slice got = rh_router_conceals(router,
	    rh_slice_of(concealed[_i].path));

	rh_assert_slice_eq(got, rh_slice_of(concealed[_i].secret ?
	    "/in/{token}" : NULL));
}
END_TEST

static const struct { struct rh_route rows[3]; const char *why; } faulty[] = {
	{ { SECRET(RH_GET, "/a", 0) }, "GET /a: a secret path without a secret\n" },
	{ { SECRET(RH_GET, "/{a}/b", RH_ROUTE_REST) }, "GET /{a}/b: a rest without a name\n" },
	{ { ROW(RH_GET, "/a"), ROW(RH_GET, "/a") }, "GET /a: a duplicate\n" },
	{ { ROW(RH_GET, "/{a}"), ROW(RH_GET, "/{b}") }, "GET /{b}: a duplicate\n" },
	{ { { .method = RH_GET, .template = "/a" } }, "GET /a: no handler\n" },
	{ { { .method = RH_GET, .template = "/a", .handler = handler, .body = body } },
	    "GET /a: a body on a GET\n" },
	{ { { .method = RH_GET, .template = "/a", .handler = handler, .cache = "a" } },
	    "GET /a: a cache for what is no tenant's list\n" },
	{ { { .method = RH_GET, .template = "/a", .handler = handler, .drops = { "a" } } },
	    "GET /a: drops of what is no tenant's change\n" },
	{ { ROW(RH_GET, "a") }, "GET a: the template does not begin with /\n" },
	{ { ROW(RH_GET, "/a/") }, "GET /a/: an empty segment\n" },
	{ { ROW(RH_GET, "/a{b}") }, "GET /a{b}: a { inside a segment\n" },
	{ { ROW(RH_GET, "/{a}/{b}/{c}/{d}/{e}/{f}/{g}") },
	    "GET /{a}/{b}/{c}/{d}/{e}/{f}/{g}: too many arguments\n" },
};

START_TEST(faulty_tables_are_named)
{
	const struct rh_route *const rows[] = { faulty[_i].rows, NULL };
	char why[256];

	ck_assert_ptr_null(router_of(rows, why, sizeof(why)));
	ck_assert_str_eq(why, faulty[_i].why);
}
END_TEST

RH_CHECK_MAIN("http/route",
    RH_LOOP(paths_match, cases),
    RH_CASE(routes_keep_the_order_of_their_tables),
    RH_LOOP(a_path_that_no_route_has_may_hold_a_secret, concealed),
    RH_LOOP(faulty_tables_are_named, faulty))
