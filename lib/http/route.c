#include "config.h"

#include "http/route.h"

#include "base/text.h"
#include "http/target.h"

const char *const rh_method_names[RH_METHODS] = {
	[RH_GET] = "GET", [RH_POST] = "POST", [RH_PUT] = "PUT",
	[RH_PATCH] = "PATCH", [RH_DELETE] = "DELETE", [RH_HEAD] = "HEAD",
	[RH_OPTIONS] = "OPTIONS", [RH_METHOD_OTHER] = "_OTHER",
};

const char *const rh_role_names[] = {
	[RH_ROLE_NONE] = "", [RH_VIEWER] = "viewer", [RH_MEMBER] = "member",
	[RH_ADMIN] = "admin", [RH_OWNER] = "owner", [RH_OWNER + 1] = NULL,
};

#define SEGMENTS_MAX	16
#define NO_ROUTE	UINT16_MAX

/* A segment of templates; kids are a list, literal ones compared by length first. */
struct node {
	struct rh_slice literal;
	struct node *kids, *next;
	struct node *argument;		/* the {name} child */
	unsigned allow;
	uint16_t by_method[RH_METHODS];
	bool rest;			/* takes the rest of the path */
};

struct rh_router {
	const struct rh_route **routes;
	unsigned n;
	struct node *root;
};

static struct node *
node_new(struct rh_arena *arena, struct rh_slice literal)
{
	struct node *node = RH_NEW(arena, struct node);

	node->literal = literal;
	for (int m = 0; m < RH_METHODS; m++)
		node->by_method[m] = NO_ROUTE;
	return node;
}

static bool
is_argument(struct rh_slice segment)
{
	return segment.n > 2 && segment.p[0] == '{' &&
	    segment.p[segment.n - 1] == '}';
}

static struct node *
kid(struct rh_arena *arena, struct node *node, struct rh_slice segment)
{
	struct node *k;

	if (is_argument(segment)) {
		if (!node->argument)
			node->argument = node_new(arena, RH_SLICE_NONE);
		return node->argument;
	}
	for (k = node->kids; k; k = k->next)
		if (rh_slice_is(k->literal, segment))
			return k;
	k = node_new(arena, segment);
	k->next = node->kids;
	return node->kids = k;
}

/* NULL, or what is wrong with the row alone. */
static const char *
fault_of(const struct rh_route *r)
{
	struct rh_slice rest = rh_slice_of(r->template);
	struct rh_slice segment = RH_SLICE_NONE;
	unsigned nargs = 0, nsegments = 0;

	if (!r->handler)
		return "no handler";
	if (r->method >= RH_METHODS)
		return "no such method";
	if ((r->method == RH_GET || r->method == RH_HEAD) && r->body)
		return "a body on a GET";
	if (r->flags & RH_ROUTE_SECRET_PATH && !strchr(r->template, '{'))
		return "a secret path without a secret";
	if (r->cache && (r->access != RH_TENANT || r->method != RH_GET ||
	    r->answer != RH_ANSWER_PAGE))
		return "a cache for what is no tenant's list";
	if (r->drops[0] && (r->access != RH_TENANT || r->method == RH_GET))
		return "drops of what is no tenant's change";
	if (rest.p[0] != '/')
		return "the template does not begin with /";
	for (rest = rh_slice_from(rest, 1); rest.p; nsegments++) {
		segment = rh_slice_cut(&rest, '/');
		if (segment.n == 0 && (nsegments || rest.p))
			return "an empty segment";
		nargs += is_argument(segment);
		if (!is_argument(segment) && memchr(segment.p, '{', segment.n))
			return "a { inside a segment";
	}
	if (r->flags & RH_ROUTE_REST && !is_argument(segment))
		return "a rest without a name";
	if (nargs > RH_ROUTE_ARGS_MAX)
		return "too many arguments";
	if (nsegments > SEGMENTS_MAX)
		return "too many segments";
	return NULL;
}

static const char *
add(struct rh_router *router, struct rh_arena *arena, const struct rh_route *r)
{
	struct rh_slice rest = rh_slice_from(rh_slice_of(r->template), 1);
	struct node *node = router->root;
	const char *fault = fault_of(r);

	if (fault)
		return fault;
	while (rest.p)
		node = kid(arena, node, rh_slice_cut(&rest, '/'));
	node->rest = node->rest || r->flags & RH_ROUTE_REST;
	if (node->by_method[r->method] != NO_ROUTE)
		return "a duplicate";
	node->by_method[r->method] = (uint16_t)router->n;
	node->allow |= 1u << r->method;
	router->routes[router->n++] = r;
	return NULL;
}

/* HEAD is answered by GET's route wherever it has none of its own. */
static void
add_heads(struct node *node)
{
	for (; node; node = node->next) {
		if (node->by_method[RH_HEAD] == NO_ROUTE &&
		    node->by_method[RH_GET] != NO_ROUTE) {
			node->by_method[RH_HEAD] = node->by_method[RH_GET];
			node->allow |= 1u << RH_HEAD;
		}
		add_heads(node->kids);
		add_heads(node->argument);
	}
}

static unsigned
count_rows(const struct rh_route *const *tables)
{
	unsigned n = 0;

	for (; *tables; tables++)
		for (const struct rh_route *r = *tables; r->template; r++)
			n++;
	return n;
}

struct rh_router *
rh_router_new(struct rh_arena *arena, const struct rh_route *const *tables,
    struct rh_buf *why)
{
	struct rh_router *router = RH_NEW(arena, struct rh_router);
	unsigned n = count_rows(tables);
	bool good = true;

	rh_assert(n < NO_ROUTE);
	router->routes = rh_arena_zalloc(arena, n + 1, sizeof(*router->routes));
	router->root = node_new(arena, RH_SLICE_NONE);
	for (; *tables; tables++) {
		for (const struct rh_route *r = *tables; r->template; r++) {
			const char *fault = add(router, arena, r);

			if (!fault)
				continue;
			good = false;
			rh_buf_printf(why, "%s %s: %s\n", r->method < RH_METHODS ?
			    rh_method_names[r->method] : "?", r->template, fault);
		}
	}
	add_heads(router->root);
	return good ? router : NULL;
}

unsigned
rh_router_count(const struct rh_router *router)
{
	return router->n;
}

const struct rh_route *
rh_router_get(const struct rh_router *router, unsigned i)
{
	rh_assert(i < router->n);
	return router->routes[i];
}

struct search {
	const struct rh_router *router;
	enum rh_method method;
	unsigned nsegments;
	bool more;				/* than there is room for */
	struct rh_slice segments[SEGMENTS_MAX];	/* decoded */
	struct rh_slice rests[SEGMENTS_MAX];	/* from each on, as they came */
	struct rh_match *match;
};

/* Splits first and decodes after. False: no template can match. */
static bool
split(struct search *s, struct rh_slice path, struct rh_arena *arena)
{
	struct rh_slice rest = rh_slice_from(path, 1), segment;

	while (rest.p) {
		s->more = s->nsegments == SEGMENTS_MAX;
		if (s->more)
			break;
		s->rests[s->nsegments] = rest;
		segment = rh_slice_cut(&rest, '/');
		if (!rh_percent_decode(&segment, arena, false))
			return false;
		s->segments[s->nsegments++] = segment;
	}
	return true;
}

/* Empty segments and dots stay what they are, and name nothing. */
static bool
is_name(struct rh_slice segment)
{
	return segment.n && !rh_slice_is(segment, RH_SLICE(".")) &&
	    !rh_slice_is(segment, RH_SLICE(".."));
}

static bool
found(struct search *s, const struct node *node)
{
	struct rh_match *m = s->match;
	uint16_t i = node->by_method[s->method];

	m->allow |= node->allow;
	if (i == NO_ROUTE)
		return false;
	m->route = s->router->routes[i];
	m->index = i;
	return true;
}

/* Literal segments go before {name}; a dead end is left again. */
static bool
visit(struct search *s, const struct node *node, unsigned depth)
{
	struct rh_slice segment;
	struct rh_match *m = s->match;

	if (depth == s->nsegments)
		return !s->more && found(s, node);
	segment = s->segments[depth];
	for (const struct node *k = node->kids; k; k = k->next)
		if (rh_slice_is(k->literal, segment) && visit(s, k, depth + 1))
			return true;
	if (!node->argument)
		return false;
	if (node->argument->rest) {
		m->args[m->nargs++] = s->rests[depth];
		return found(s, node->argument);
	}
	if (!is_name(segment))
		return false;
	m->args[m->nargs++] = segment;
	if (visit(s, node->argument, depth + 1))
		return true;
	m->nargs--;
	return false;
}

void
rh_router_find(const struct rh_router *router, enum rh_method method,
    struct rh_slice path, struct rh_arena *arena, struct rh_match *match)
{
	struct search s = { .router = router, .method = method, .match = match };

	*match = (struct rh_match){ .route = NULL };
	if (split(&s, path, arena))
		(void)visit(&s, router->root, 0);
}

/* Up to where the secret begins, escapes decoded, anywhere in the path. */
static bool
has_prefix_of(struct rh_slice path, struct rh_slice template)
{
	const char *end = memchr(template.p, '{', template.n);
	size_t want = (size_t)(end - template.p);

	for (size_t from = 0; from < path.n; from++) {
		size_t at = from, n = 0;

		while (n < want && at < path.n) {
			char c = path.p[at++];

			if (c == '%' && path.n - at >= 2 && rh_hex_get(&c, 1,
			    (struct rh_slice){ path.p + at, 2 }, true))
				at += 2;
			if (c != template.p[n++])
				break;
			if (n == want)
				return true;
		}
	}
	return false;
}

struct rh_slice
rh_router_conceals(const struct rh_router *router, struct rh_slice path)
{
	for (unsigned i = 0; i < router->n; i++) {
		const struct rh_route *r = router->routes[i];
		struct rh_slice template = rh_slice_of(r->template);

		if (r->flags & RH_ROUTE_SECRET_PATH &&
		    has_prefix_of(path, template))
			return template;
	}
	return RH_SLICE_NONE;
}

struct rh_slice
rh_match_get(const struct rh_match *match, const char *name)
{
	struct rh_slice rest, segment, wanted = rh_slice_of(name);
	unsigned i = 0;

	if (!match->route)
		return RH_SLICE_NONE;
	rest = rh_slice_of(match->route->template);
	while (rest.p) {
		segment = rh_slice_cut(&rest, '/');
		if (!is_argument(segment))
			continue;
		if (rh_slice_is((struct rh_slice){ segment.p + 1,
		    segment.n - 2 }, wanted))
			return match->args[i];
		i++;
	}
	return RH_SLICE_NONE;
}
