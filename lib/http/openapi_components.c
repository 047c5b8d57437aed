#include "config.h"

#include "http/openapi_part.h"
#include "http/reply.h"

/* Of an Idempotency-Key: each of its 255 escaped, and two quotes. */
enum { KEY_MAX = 2 * 255 + 2 };

void
rh_api_headers_put(struct rh_api_out *o, const char *const *names)
{
	for (; *names; names++) {
		rh_api_open(o, *names, '{');
		rh_api_ref(o, "headers", *names);
		rh_api_close(o, '}');
	}
}

void
rh_api_content_put(struct rh_api_out *o, const char *type, const char *schema)
{
	rh_api_open(o, type, '{');
	rh_api_open(o, "schema", '{');
	if (schema)
		rh_api_ref(o, "schemas", schema);
	else
		rh_api_text(o, "type", "object");
	rh_api_close(o, '}');
	rh_api_close(o, '}');
}

/* The page of each shape that some route lists. */
static void
put_pages(struct rh_api_out *o, const struct rh_api_schemas *schemas,
    const struct rh_router *router)
{
	for (const struct rh_api_schema *s = schemas->first; s; s = s->next) {
		bool listed = false;

		for (unsigned i = 0; i < rh_router_count(router) && !listed;
		    i++) {
			const struct rh_route *r = rh_router_get(router, i);

			listed = r->shape == s->shape &&
			    r->answer == RH_ANSWER_PAGE;
		}
		if (!listed || s->use != RH_API_ANSWER)
			continue;
		rh_api_open(o, rh_arena_printf(o->arena, "%sPage", s->name), '{');
		rh_buf_lit(&o->b, "\"type\":\"object\",\"required\":[\"data\","
		    "\"next_cursor\"],\"properties\":{\"data\":{\"type\":"
		    "\"array\",\"maxItems\":100,\"items\":{");
		rh_api_ref(o, "schemas", s->name);
		rh_buf_lit(&o->b, "}},\"next_cursor\":{\"type\":[\"string\","
		    "\"null\"],\"maxLength\":43,"
		    "\"pattern\":\"^[A-Za-z0-9_-]{43}$\"}}}");
	}
}

static const char problem_schema[] =
    "{\"type\":\"object\",\"description\":\"RFC 9457\","
    "\"required\":[\"type\",\"title\",\"status\",\"detail\",\"instance\","
    "\"request_id\",\"trace_id\"],\"properties\":{"
    "\"type\":{\"type\":\"string\",\"format\":\"uri\",\"maxLength\":255},"
    "\"title\":{\"type\":\"string\",\"pattern\":\"^.+$\",\"maxLength\":255},"
    "\"status\":{\"type\":\"integer\",\"format\":\"int32\","
    "\"minimum\":400,\"maximum\":599},"
    "\"detail\":{\"type\":\"string\",\"pattern\":\"^.+$\",\"maxLength\":4096},"
    "\"instance\":{\"type\":\"string\",\"format\":\"uri-reference\","
    "\"maxLength\":2048},"
    "\"request_id\":{\"type\":\"string\","
    "\"pattern\":\"^[A-Za-z0-9._-]{8,128}$\",\"maxLength\":128},"
    "\"trace_id\":{\"type\":\"string\",\"pattern\":\"^[0-9a-f]{32}$\","
    "\"maxLength\":32},"
    "\"errors\":{\"type\":\"array\",\"maxItems\":32,\"items\":{"
    "\"type\":\"object\",\"required\":[\"pointer\",\"detail\"],"
    "\"properties\":{\"pointer\":{\"type\":\"string\","
    "\"format\":\"json-pointer\",\"maxLength\":1024},"
    "\"detail\":{\"type\":\"string\",\"pattern\":\"^.+$\","
    "\"maxLength\":4096}}}}}}";

static void
put_problem_responses(struct rh_api_out *o)
{
	rh_api_open(o, "responses", '{');
	for (int i = 0; i < RH_E_COUNT; i++) {
		enum rh_err_kind kind = (enum rh_err_kind)i;
		const char *headers[4] = { "X-Request-Id", NULL, NULL, NULL };

		if (kind == RH_E_GONE_AWAY || kind == RH_E_METHOD)
			continue;
		if (kind == RH_E_LIMITED || kind == RH_E_UNAVAILABLE ||
		    kind == RH_E_CONFLICT)
			headers[1] = "Retry-After";
		if (rh_problem_status(kind) < 500)
			headers[headers[1] ? 2 : 1] = "RateLimit";
		rh_api_open(o, rh_arena_printf(o->arena, "Problem%u",
		    rh_problem_status(kind)), '{');
		rh_api_text(o, "description", rh_problem_title(kind));
		rh_api_open(o, "headers", '{');
		rh_api_headers_put(o, headers);
		rh_api_close(o, '}');
		rh_api_open(o, "content", '{');
		rh_api_content_put(o, "application/problem+json", "Problem");
		rh_api_close(o, '}');
		rh_api_close(o, '}');
	}
	rh_api_close(o, '}');
}

/* clang-format off */
static const struct { const char *name, *description, *schema; } headers[] = {
	{ "ETag",		"\"v\" and the version",	"{\"type\":\"string\",\"pattern\":\"^\\\"v[0-9]+\\\"$\",\"maxLength\":24}" },
	{ "Idempotency-Replayed", "The answer of an earlier request with this Idempotency-Key", "{\"type\":\"string\",\"const\":\"true\"}" },
	{ "Link",		"rel=\"next\" (RFC 8288)",	"{\"type\":\"string\",\"pattern\":\"^<.*$\",\"maxLength\":4096}" },
	{ "Location",		"Where it can be read",		"{\"type\":\"string\",\"format\":\"uri-reference\",\"maxLength\":2048}" },
	{ "RateLimit",		"What is left: r, and seconds until more: t",	"{\"type\":\"string\",\"pattern\":\"^\\\".*$\",\"maxLength\":255}" },
	{ "RateLimit-Policy",	"Quota: q, in a window of seconds: w",	"{\"type\":\"string\",\"pattern\":\"^\\\".*$\",\"maxLength\":255}" },
	{ "Retry-After",	"Seconds",			"{\"type\":\"integer\",\"format\":\"int32\",\"minimum\":1,\"maximum\":86400}" },
	{ "X-Request-Id",	"Names the request in logs and traces",	"{\"type\":\"string\",\"pattern\":\"^[A-Za-z0-9._-]{8,128}$\",\"maxLength\":128}" },
};
/* clang-format on */

static void
put_headers(struct rh_api_out *o)
{
	rh_api_open(o, "headers", '{');
	for (size_t i = 0; i < RH_COUNT(headers); i++) {
		rh_api_open(o, headers[i].name, '{');
		rh_api_text(o, "description", headers[i].description);
		rh_api_key(o, "schema");
		rh_buf_slice(&o->b, rh_slice_of(headers[i].schema));
		rh_api_close(o, '}');
	}
	rh_api_close(o, '}');
}

static void
put_parameter(struct rh_api_out *o, const char *name, const char *header,
    const char *description, int64_t length)
{
	rh_api_open(o, name, '{');
	rh_api_text(o, "name", header);
	rh_api_text(o, "in", "header");
	rh_api_text(o, "description", description);
	rh_api_open(o, "schema", '{');
	rh_api_text(o, "type", "string");
	rh_api_text(o, "pattern", "^.+$");
	rh_api_int(o, "maxLength", length);
	rh_api_close(o, '}');
	rh_api_close(o, '}');
}

void
rh_api_components_put(struct rh_api_out *o, const struct rh_api_schemas *schemas,
    const struct rh_router *router)
{
	rh_api_open(o, "components", '{');
	rh_api_key(o, "securitySchemes");
	rh_buf_lit(&o->b, "{\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\","
	    "\"description\":\"A session's token or an API key (RFC 6750)\"}}");
	rh_api_open(o, "schemas", '{');
	rh_api_schemas_put(o, schemas);
	put_pages(o, schemas, router);
	rh_api_key(o, "Problem");
	rh_buf_slice(&o->b, rh_slice_of(problem_schema));
	rh_api_close(o, '}');
	rh_api_open(o, "parameters", '{');
	put_parameter(o, "IfMatch", "If-Match",
	    "Only if the version is still this one; else 412", 1024);
	put_parameter(o, "IfNoneMatch", "If-None-Match",
	    "304 if the version is still this one", 1024);
	put_parameter(o, "IdempotencyKey", "Idempotency-Key", "A string of 1 to"
	    " 255 characters, new for each request and the same when it is sent"
	    " again: then it is not done again, and gets its first answer."
	    " Another request with it is 422, one while the first is at work 409."
	    " What failed is not kept, and may be tried again with its key.",
	    KEY_MAX);
	rh_api_close(o, '}');
	put_problem_responses(o);
	put_headers(o);
	rh_api_close(o, '}');
}
