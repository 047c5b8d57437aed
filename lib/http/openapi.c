#include "config.h"

#include "http/openapi.h"

#include "http/openapi_part.h"
#include "http/reply.h"

#define DOCUMENT_MAX	((size_t)4 << 20)

struct doc {
	struct rh_api_out o;
	struct rh_api_schemas schemas;
	const struct rh_router *router;
	unsigned n;
};

/* Answers are named first, so that a resource has its plain name. */
static void
name_schemas(struct doc *d)
{
	struct rh_arena *arena = d->o.arena;

	for (int created = 0; created < 2; created++)
		for (unsigned i = 0; i < d->n; i++) {
			const struct rh_route *r = rh_router_get(d->router, i);

			if (r->shape && (r->answer == RH_ANSWER_CREATED) ==
			    (created == 1))
				(void)rh_api_schema_add(&d->schemas, r->shape,
				    RH_API_ANSWER, rh_api_noun(arena, r));
		}
	for (unsigned i = 0; i < d->n; i++) {
		const struct rh_route *r = rh_router_get(d->router, i);

		if (r->body)
			(void)rh_api_schema_add(&d->schemas, r->body,
			    r->flags & RH_ROUTE_MERGE ? RH_API_MERGE :
			    RH_API_BODY, rh_arena_printf(arena, "%s%s",
			    rh_api_noun(arena, r), r->method == RH_POST ? "Create" :
			    r->method == RH_PATCH ? "Update" : "Replace"));
	}
}

static void
put_info(struct doc *d, const struct rh_api_info *info)
{
	struct rh_api_out *o = &d->o;

	rh_api_text(o, "openapi", "3.1.0");
	rh_api_open(o, "info", '{');
	rh_api_text(o, "title", info->title);
	rh_api_text(o, "version", info->version);
	if (info->description)
		rh_api_text(o, "description", info->description);
	rh_api_close(o, '}');
	rh_api_open(o, "servers", '[');
	rh_api_open(o, NULL, '{');
	rh_api_text(o, "url", "/");
	rh_api_text(o, "description", "the web server in front");
	rh_api_close(o, '}');
	rh_api_close(o, ']');
}

static bool
is_first_of_tag(struct doc *d, unsigned i, const char *tag)
{
	for (unsigned k = 0; k < i; k++)
		if (strcmp(rh_api_tag(d->o.arena, rh_router_get(d->router, k)),
		    tag) == 0)
			return false;
	return true;
}

static void
put_tags(struct doc *d)
{
	rh_api_open(&d->o, "tags", '[');
	for (unsigned i = 0; i < d->n; i++) {
		const char *tag = rh_api_tag(d->o.arena, rh_router_get(d->router, i));

		if (!is_first_of_tag(d, i, tag))
			continue;
		rh_api_open(&d->o, NULL, '{');
		rh_api_text(&d->o, "name", tag);
		rh_api_text(&d->o, "description", rh_arena_printf(d->o.arena,
		    "Routes of %s", tag));
		rh_api_close(&d->o, '}');
	}
	rh_api_close(&d->o, ']');
}

static void
put_path_schema(struct rh_api_out *o, struct rh_slice name)
{
	rh_api_text(o, "type", "string");
	if (rh_slice_is(name, RH_SLICE("tenant"))) {
		rh_api_text(o, "pattern", "^[a-z][a-z0-9-]{1,38}[a-z0-9]$");
		rh_api_int(o, "minLength", 3);
		rh_api_int(o, "maxLength", 40);
	} else if (name.n >= 2 && memcmp(name.p + name.n - 2, "id", 2) == 0) {
		rh_api_text(o, "format", "uuid");
		rh_api_int(o, "minLength", 36);
		rh_api_int(o, "maxLength", 36);
	} else {
		rh_api_text(o, "pattern", "^[^/]+$");
		rh_api_int(o, "minLength", 1);
		rh_api_int(o, "maxLength", 255);
	}
}

static void
put_path_parameters(struct rh_api_out *o, const struct rh_route *r)
{
	struct rh_slice rest = rh_slice_of(r->template);

	while (rest.p) {
		struct rh_slice name = rh_api_argument(rh_slice_cut(&rest, '/'));

		if (!name.p)
			continue;
		rh_api_open(o, NULL, '{');
		rh_api_text(o, "name", rh_arena_strdup(o->arena, name));
		rh_api_text(o, "in", "path");
		rh_api_bool(o, "required", true);
		rh_api_open(o, "schema", '{');
		put_path_schema(o, name);
		rh_api_close(o, '}');
		rh_api_close(o, '}');
	}
}

static void
put_query_parameters(struct doc *d, const struct rh_route *r)
{
	struct rh_api_out *o = &d->o;

	for (const struct rh_field *f = r->params;
	    f && f->type != RH_T_END; f++) {
		struct rh_field bare = *f;

		bare.doc = NULL;
		bare.flags &= ~(unsigned)RH_F_NULLABLE;
		rh_api_open(o, NULL, '{');
		rh_api_text(o, "name", f->name);
		rh_api_text(o, "in", "query");
		if (f->doc)
			rh_api_text(o, "description", f->doc);
		rh_api_open(o, "schema", '{');
		rh_api_field_put(o, &d->schemas, &bare, RH_API_BODY);
		rh_api_close(o, '}');
		rh_api_close(o, '}');
	}
}

/* serve/idempotent.c: on every POST. */
static bool
is_idempotent(const struct rh_route *r)
{
	return r->method == RH_POST && !(r->flags & RH_ROUTE_ANY);
}

static bool
is_read(const struct rh_route *r)
{
	return r->method == RH_GET || r->method == RH_HEAD;
}

static void
put_parameters(struct doc *d, const struct rh_route *r)
{
	struct rh_api_out *o = &d->o;

	rh_api_open(o, "parameters", '[');
	put_path_parameters(o, r);
	put_query_parameters(d, r);
	if (r->flags & RH_ROUTE_ETAG && r->method != RH_POST) {
		rh_api_open(o, NULL, '{');
		rh_api_ref(o, "parameters", is_read(r) ? "IfNoneMatch" :
		    "IfMatch");
		rh_api_close(o, '}');
	}
	if (is_idempotent(r)) {
		rh_api_open(o, NULL, '{');
		rh_api_ref(o, "parameters", "IdempotencyKey");
		rh_api_close(o, '}');
	}
	rh_api_close(o, ']');
}

static void
put_body(struct doc *d, const struct rh_route *r)
{
	struct rh_api_out *o = &d->o;
	bool merge = r->flags & RH_ROUTE_MERGE;
	const char *schema;

	if (!r->body && !(r->flags & RH_ROUTE_RAW))
		return;
	rh_api_open(o, "requestBody", '{');
	rh_api_bool(o, "required", true);
	rh_api_open(o, "content", '{');
	if (r->flags & RH_ROUTE_RAW) {
		rh_api_open(o, "application/octet-stream", '{');
		rh_api_close(o, '}');
	} else {
		schema = rh_api_schema_name(&d->schemas, r->body,
		    merge ? RH_API_MERGE : RH_API_BODY);
		if (merge)
			rh_api_content_put(o, "application/merge-patch+json", schema);
		rh_api_content_put(o, "application/json", schema);
	}
	rh_api_close(o, '}');
	rh_api_close(o, '}');
}

static void
put_answer_headers(struct rh_api_out *o, const struct rh_route *r)
{
	const char *names[8];
	unsigned n = 0;

	names[n++] = "X-Request-Id";
	if (r->access == RH_TENANT && r->rate != RH_RATE_NONE) {
		names[n++] = "RateLimit";
		names[n++] = "RateLimit-Policy";
	}
	if (r->flags & RH_ROUTE_ETAG && r->answer != RH_ANSWER_NONE &&
	    r->answer != RH_ANSWER_PAGE && r->answer != RH_ANSWER_ACCEPTED)
		names[n++] = "ETag";
	if (r->answer == RH_ANSWER_CREATED || r->answer == RH_ANSWER_ACCEPTED)
		names[n++] = "Location";
	if (r->answer == RH_ANSWER_PAGE)
		names[n++] = "Link";
	if (is_idempotent(r))
		names[n++] = "Idempotency-Replayed";
	names[n] = NULL;
	rh_api_open(o, "headers", '{');
	rh_api_headers_put(o, names);
	rh_api_close(o, '}');
}

static void
put_answer(struct doc *d, const struct rh_route *r)
{
	/* clang-format off */
	static const struct { const char *status, *description; } answers[] = {
		[RH_ANSWER_ONE]		= { "200", "The resource" },
		[RH_ANSWER_PAGE]	= { "200", "A page of the list" },
		[RH_ANSWER_CREATED]	= { "201", "What was made" },
		[RH_ANSWER_NONE]	= { "204", "Done" },
		[RH_ANSWER_ACCEPTED]	= { "202", "It will be done" },
	};
	/* clang-format on */
	struct rh_api_out *o = &d->o;
	const char *schema = r->shape ? rh_api_schema_name(&d->schemas,
	    r->shape, RH_API_ANSWER) : NULL;

	if (r->flags & RH_ROUTE_ANY) {
		rh_api_open(o, "2XX", '{');
		rh_api_text(o, "description", "What its owner chose to answer");
		put_answer_headers(o, r);
		rh_api_close(o, '}');
		return;
	}
	rh_api_open(o, answers[r->answer].status, '{');
	rh_api_text(o, "description", answers[r->answer].description);
	put_answer_headers(o, r);
	if (r->answer != RH_ANSWER_NONE) {
		rh_api_open(o, "content", '{');
		rh_api_content_put(o, "application/json", schema &&
		    r->answer == RH_ANSWER_PAGE ? rh_arena_printf(o->arena,
		    "%sPage", schema) : schema);
		rh_api_close(o, '}');
	}
	rh_api_close(o, '}');
	if (is_read(r) && r->flags & RH_ROUTE_ETAG) {
		rh_api_open(o, "304", '{');
		rh_api_text(o, "description", "The client has it already");
		rh_api_close(o, '}');
	}
}

/* Whether a route may answer with a problem of the kind. */
static bool
can_fail_by(const struct rh_route *r, enum rh_err_kind kind)
{
	bool takes_body = r->body || r->flags & RH_ROUTE_RAW;

	switch (kind) {
	case RH_E_ANON:
		return r->access != RH_PUBLIC || r->rate == RH_RATE_CREDENTIALS;
	case RH_E_DENIED:
		return r->access == RH_TENANT && r->role > RH_VIEWER;
	case RH_E_MISSING:
		return r->access == RH_TENANT || strchr(r->template, '{');
	case RH_E_CONFLICT:
		return !is_read(r);
	case RH_E_PRECONDITION:
		return !is_read(r) && r->method != RH_POST &&
		    r->flags & RH_ROUTE_ETAG;
	case RH_E_TOO_LARGE:
		return takes_body;
	case RH_E_MEDIA:
		return r->body != NULL;
	case RH_E_INVALID:
		return r->body || is_idempotent(r);
	case RH_E_LIMITED:
		return r->rate != RH_RATE_NONE;
	case RH_E_GONE_AWAY:
	case RH_E_METHOD:
	case RH_E_COUNT:
		return false;
	default:
		return true;
	}
}

static void
put_responses(struct doc *d, const struct rh_route *r)
{
	struct rh_api_out *o = &d->o;

	rh_api_open(o, "responses", '{');
	put_answer(d, r);
	for (int kind = 0; kind < RH_E_COUNT; kind++) {
		unsigned status = rh_problem_status((enum rh_err_kind)kind);

		if (!can_fail_by(r, (enum rh_err_kind)kind))
			continue;
		rh_api_open(o, rh_arena_printf(o->arena, "%u", status), '{');
		rh_api_ref(o, "responses", rh_arena_printf(o->arena,
		    "Problem%u", status));
		rh_api_close(o, '}');
	}
	rh_api_close(o, '}');
}

static const char *
who_may(struct rh_arena *arena, const struct rh_route *r)
{
	if (r->access == RH_PUBLIC)
		return "Anybody may call it.";
	if (r->access == RH_USER)
		return "Needs a session's token.";
	return rh_arena_printf(arena,
	    "Needs a token of the tenant with the role %s or higher.",
	    rh_role_names[r->role]);
}

static void
put_operation(struct doc *d, const struct rh_route *r)
{
	struct rh_api_out *o = &d->o;
	char method[16] = { 0 };
	const char *name = rh_method_names[r->method];

	for (size_t i = 0; i < sizeof(method) - 1 && name[i]; i++)
		method[i] = (char)(name[i] | 32);
	rh_api_open(o, method, '{');
	rh_api_text(o, "operationId", rh_api_operation(o->arena, r));
	rh_api_open(o, "tags", '[');
	rh_api_text(o, NULL, rh_api_tag(o->arena, r));
	rh_api_close(o, ']');
	rh_api_text(o, "summary", r->summary ? r->summary :
	    rh_api_operation(o->arena, r));
	rh_api_text(o, "description", who_may(o->arena, r));
	rh_api_open(o, "security", '[');
	if (r->access != RH_PUBLIC) {
		rh_api_open(o, NULL, '{');
		rh_api_open(o, "bearer", '[');
		rh_api_close(o, ']');
		rh_api_close(o, '}');
	}
	rh_api_close(o, ']');
	put_parameters(d, r);
	put_body(d, r);
	put_responses(d, r);
	rh_api_close(o, '}');
}

static void
put_paths(struct doc *d)
{
	rh_api_open(&d->o, "paths", '{');
	for (unsigned i = 0; i < d->n; i++) {
		const char *path = rh_router_get(d->router, i)->template;
		unsigned k;

		for (k = 0; strcmp(rh_router_get(d->router, k)->template,
		    path) != 0; k++)
			;
		if (k < i || rh_router_get(d->router, i)->flags & RH_ROUTE_REST)
			continue;
		rh_api_open(&d->o, path, '{');
		for (; k < d->n; k++) {
			const struct rh_route *r = rh_router_get(d->router, k);

			if (r->method != RH_METHOD_OTHER &&
			    strcmp(r->template, path) == 0)
				put_operation(d, r);
		}
		rh_api_close(&d->o, '}');
	}
	rh_api_close(&d->o, '}');
}

struct rh_slice
rh_openapi_make(struct rh_arena *arena, const struct rh_router *router,
    const struct rh_api_info *info)
{
	struct doc *d = RH_NEW(arena, struct doc);

	d->o.arena = d->schemas.arena = arena;
	d->schemas.end = &d->schemas.first;
	d->router = router;
	d->n = rh_router_count(router);
	rh_buf_init(&d->o.b, arena, 65536, DOCUMENT_MAX);
	name_schemas(d);
	rh_api_open(&d->o, NULL, '{');
	put_info(d, info);
	put_tags(d);
	put_paths(d);
	rh_api_components_put(&d->o, &d->schemas, d->router);
	rh_api_close(&d->o, '}');
	rh_assert(!d->o.b.full);
	return rh_buf_get(&d->o.b);
}
