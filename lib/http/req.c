#include "config.h"

#include "http/req.h"

#include "base/clock.h"
#include "base/json_plain.h"
#include "base/text.h"
#include "http/target.h"

#define PATH_MAX_BYTES	2048

/* What a FastCGI parameter is to us: a header, or one of these. */
enum {
	P_NONE = RH_H_COUNT, P_METHOD, P_TARGET, P_REMOTE, P_SCHEME, P_HTTPS,
	P_PROTOCOL,
	P_LENGTH
};

struct known {
	const char *name;
	unsigned char what;
};

#define KNOWN_NAME_MAX	20
#define KNOWN_EACH	3

/* By length of the name: at most three candidates, told apart by memcmp. */
/* clang-format off */
static const struct known known[KNOWN_NAME_MAX + 1][KNOWN_EACH] = {
	[5] =	{ { "HTTPS", P_HTTPS } },
	[9] =	{ { "HTTP_HOST", RH_H_HOST } },
	[11] =	{ { "REQUEST_URI", P_TARGET }, { "REMOTE_ADDR", P_REMOTE }, { "HTTP_ACCEPT", RH_H_ACCEPT } },
	[12] =	{ { "CONTENT_TYPE", RH_H_CONTENT_TYPE } },
	[13] =	{ { "HTTP_IF_MATCH", RH_H_IF_MATCH } },
	[14] =	{ { "REQUEST_METHOD", P_METHOD }, { "CONTENT_LENGTH", P_LENGTH }, { "REQUEST_SCHEME", P_SCHEME } },
	[15] =	{ { "HTTP_USER_AGENT", RH_H_USER_AGENT }, { "HTTP_TRACESTATE", RH_H_TRACESTATE },
		  { "SERVER_PROTOCOL", P_PROTOCOL } },
	[16] =	{ { "HTTP_TRACEPARENT", RH_H_TRACEPARENT } },
	[17] =	{ { "HTTP_X_REQUEST_ID", RH_H_X_REQUEST_ID } },
	[18] =	{ { "HTTP_AUTHORIZATION", RH_H_AUTHORIZATION }, { "HTTP_IF_NONE_MATCH", RH_H_IF_NONE_MATCH } },
	[20] =	{ { "HTTP_IDEMPOTENCY_KEY", RH_H_IDEMPOTENCY_KEY } },
};
/* clang-format on */

/* What each header has to keep to; tracestate alone may come in parts. */
enum { ONCE = 1, CLEAN = 2 };
static const unsigned char rules[RH_H_COUNT] = {
	[RH_H_AUTHORIZATION] = ONCE | CLEAN,
	[RH_H_X_REQUEST_ID] = ONCE | CLEAN,
	[RH_H_IDEMPOTENCY_KEY] = ONCE | CLEAN,
	[RH_H_CONTENT_TYPE] = CLEAN,
	[RH_H_IF_MATCH] = CLEAN,
	[RH_H_IF_NONE_MATCH] = CLEAN,
};
static const char *const header_names[RH_H_COUNT] = {
	[RH_H_AUTHORIZATION] = "Authorization",
	[RH_H_CONTENT_TYPE] = "Content-Type",
	[RH_H_IF_MATCH] = "If-Match",
	[RH_H_IF_NONE_MATCH] = "If-None-Match",
	[RH_H_IDEMPOTENCY_KEY] = "Idempotency-Key",
	[RH_H_X_REQUEST_ID] = "X-Request-Id",
};

void
rh_req_reset(struct rh_req *rq, struct rh_arena *arena, struct rh_fcgx *fx)
{
	memset(rq, 0, sizeof(*rq));
	rq->arena = arena;
	rq->fx = fx;
	rq->method = RH_METHOD_OTHER;
	rq->scheme = RH_SLICE("http");
	rh_reply_init(&rq->reply, arena);
}

static unsigned
what_is(struct rh_slice name)
{
	if (name.n > KNOWN_NAME_MAX)
		return P_NONE;
	for (const struct known *k = known[name.n];
	    k < known[name.n] + KNOWN_EACH && k->name; k++)
		if (memcmp(k->name, name.p, name.n) == 0)
			return k->what;
	return P_NONE;
}

/* A repeat of a list header is one list (RFC 9110 5.3). */
static void
take_header(struct rh_req *rq, unsigned h, struct rh_slice value)
{
	struct rh_slice *have = &rq->header[h];
	char *both;

	if (value.n == 0 && h == RH_H_CONTENT_TYPE)
		return;		/* CGI's way to say that there is none */
	if (rq->repeats[h] < UINT8_MAX)
		rq->repeats[h]++;
	if (!have->p) {
		*have = value;
		return;
	}
	if (h != RH_H_TRACESTATE && h != RH_H_IF_NONE_MATCH && h != RH_H_IF_MATCH)
		return;
	both = rh_arena_alloc(rq->arena, have->n + value.n + 1);
	memcpy(both, have->p, have->n);
	both[have->n] = ',';
	memcpy(both + have->n + 1, value.p, value.n);
	*have = (struct rh_slice){ both, have->n + value.n + 1 };
}

static void
take_param(void *ctx, struct rh_slice name, struct rh_slice value)
{
	struct rh_req *rq = ctx;
	unsigned what = what_is(name);

	switch (what) {
	case P_NONE:
		break;
	case P_METHOD:
		rq->method_text = value;
		break;
	case P_TARGET:
		rq->target = value;
		break;
	case P_REMOTE:
		rq->remote = value;
		break;
	case P_PROTOCOL:
		rq->protocol = value;
		break;
	case P_SCHEME:
		if (rh_slice_is(value, RH_SLICE("https")))
			rq->scheme = RH_SLICE("https");
		break;
	case P_HTTPS:
		if (value.n && !rh_slice_is_nocase(value, RH_SLICE("off")))
			rq->scheme = RH_SLICE("https");
		break;
	case P_LENGTH:
		if (value.n)
			rq->content_length = value;
		break;
	default:
		take_header(rq, what, value);
	}
}

static enum rh_method
method_of(struct rh_slice text)
{
	for (int m = 0; m < RH_METHOD_OTHER; m++)
		if (rh_slice_is(text, rh_slice_of(rh_method_names[m])))
			return (enum rh_method)m;
	return RH_METHOD_OTHER;
}

static bool
is_clean(struct rh_slice value)
{
	/* as a rule it is all plain; quotes and tabs are clean as well */
	for (size_t i = rh_json_plain(value.p, value.n); i < value.n; i++) {
		unsigned char c = (unsigned char)value.p[i];

		if (c >= 0x7f || (c < 0x20 && c != '\t'))
			return false;
	}
	return true;
}

static struct rh_err *
check_headers(struct rh_req *rq)
{
	for (unsigned h = 0; h < RH_H_COUNT; h++) {
		struct rh_slice v = rq->header[h];

		if (!v.n || !rules[h])
			continue;
		if (!is_clean(v))
			return rh_err_new(rq->arena, RH_E_MALFORMED,
			    "request.header", "%s holds bytes that are not"
			    " printable ASCII", header_names[h]);
		if (rules[h] & ONCE && (rq->repeats[h] > 1 ||
		    memchr(v.p, ',', v.n)))
			return rh_err_new(rq->arena, RH_E_MALFORMED,
			    "request.repeated_header", "%s was given more"
			    " than once", header_names[h]);
	}
	return NULL;
}

static struct rh_err *
check_target(struct rh_req *rq)
{
	struct rh_slice decoded;

	if (!rh_target_split(rq->target, &rq->path, &rq->query))
		return rh_err_new(rq->arena, RH_E_MALFORMED, "request.target",
		    "The request target is not a path and query of RFC 3986");
	if (rq->path.n > PATH_MAX_BYTES)
		return rh_err_new(rq->arena, RH_E_MALFORMED, "request.target",
		    "The path is longer than %d bytes", PATH_MAX_BYTES);
	decoded = rq->path;
	if (!rh_percent_decode(&decoded, rq->arena, false))
		return rh_err_new(rq->arena, RH_E_MALFORMED, "request.target",
		    "The path is not UTF-8 once decoded");
	return NULL;
}

static struct rh_err *
check_length(struct rh_req *rq)
{
	uint64_t length;

	if (!rq->content_length.p || rh_u64_get(&length, rq->content_length))
		return NULL;
	return rh_err_new(rq->arena, RH_E_MALFORMED, "request.content_length",
	    "Content-Length is not a number");
}

struct rh_err *
rh_req_read(struct rh_req *rq)
{
	struct rh_err *err;

	rh_fcgx_params(rq->fx, take_param, rq);
	rq->method = method_of(rq->method_text);
	if ((err = check_target(rq)) || (err = check_length(rq)))
		return err;
	if (!rq->method_text.n)
		return rh_err_new(rq->arena, RH_E_MALFORMED, "request.method",
		    "The web server passed no REQUEST_METHOD");
	err = check_headers(rq);
	rq->odd_headers = err != NULL;
	return err;
}

struct rh_err *
rh_req_route(struct rh_req *rq, const struct rh_router *router)
{
	rh_router_find(router, rq->method, rq->path, rq->arena, &rq->match);
	if (rq->match.route)
		return NULL;
	if (!rq->match.allow)
		return rh_err_new(rq->arena, RH_E_MISSING, "route.missing",
		    "There is nothing at this path");
	return rh_err_new(rq->arena, RH_E_METHOD, "route.method",
	    "This resource does not know the method; see Allow");
}

bool
rh_req_forgives(struct rh_req *rq, const struct rh_router *router)
{
	if (!rq->odd_headers)
		return false;
	rh_router_find(router, rq->method, rq->path, rq->arena, &rq->match);
	if (rq->match.route && rq->match.route->flags & RH_ROUTE_ANY)
		return true;
	rq->match = (struct rh_match){ .route = NULL };
	return false;
}

static bool
is_json(struct rh_slice type, enum rh_method method)
{
	struct rh_slice media = rh_slice_trim(rh_slice_cut(&type, ';'));

	if (!rh_slice_is_nocase(media, RH_SLICE("application/json")) &&
	    (method != RH_PATCH || !rh_slice_is_nocase(media,
	    RH_SLICE("application/merge-patch+json"))))
		return false;
	while (type.p) {
		struct rh_slice p = rh_slice_trim(rh_slice_cut(&type, ';'));

		if (p.n && !rh_slice_is_nocase(p, RH_SLICE("charset=utf-8")) &&
		    !rh_slice_is_nocase(p, RH_SLICE("charset=\"utf-8\"")))
			return false;
	}
	return true;
}

static struct rh_err *
check_media(struct rh_req *rq)
{
	const struct rh_route *r = rq->match.route;

	if (!r || !r->body || r->flags & RH_ROUTE_RAW || rq->body.n == 0 ||
	    is_json(rq->header[RH_H_CONTENT_TYPE], rq->method))
		return NULL;
	return rh_err_new(rq->arena, RH_E_MEDIA, "body.media_type",
	    "The body has to be %s", rq->method == RH_PATCH ?
	    "application/merge-patch+json or application/json" :
	    "application/json");
}

static struct rh_err *
body_late(struct rh_req *rq, uint64_t since_ns)
{
	return rh_err_late(rq->arena, "reading the body for %llu ms",
	    (unsigned long long)((rh_clock_mono_ns() - since_ns) / 1000000));
}

static struct rh_err *
body_err(struct rh_req *rq, enum rh_fcgx_body got, size_t max)
{
	switch (got) {
	case RH_BODY_TOO_LARGE:
		return rh_err_new(rq->arena, RH_E_TOO_LARGE, "body.too_large",
		    "The body is larger than %zu bytes", max);
	case RH_BODY_TIMEOUT:
		return rh_err_new(rq->arena, RH_E_MALFORMED, "body.timeout",
		    "The body did not arrive in time");
	case RH_BODY_BROKEN:
		return rh_err_new(rq->arena, RH_E_MALFORMED, "body.broken_off",
		    "The body broke off");
	case RH_BODY_LATE:
	case RH_BODY_OK:
		break;
	}
	return NULL;
}

struct rh_err *
rh_req_body(struct rh_req *rq, size_t max)
{
	uint64_t length = 0, since;
	struct rh_err *err;
	enum rh_fcgx_body got;
	bool told = rh_u64_get(&length, rq->content_length);

	if (rq->body_read)
		return NULL;
	rq->body_read = true;
	if (told && length > max)
		return body_err(rq, RH_BODY_TOO_LARGE, max);
	since = rh_clock_mono_ns();
	got = rh_fcgx_read_body(rq->fx, rq->arena, max, &rq->body);
	rq->bytes_in = rq->body.n;
	if (got == RH_BODY_LATE)
		return body_late(rq, since);
	if ((err = body_err(rq, got, max)))
		return err;
	/* a client that left in mid-body: what came may even parse */
	if (told && length != rq->body.n)
		return body_err(rq, RH_BODY_BROKEN, max);
	return check_media(rq);
}

struct rh_err *
rh_req_uuid(struct rh_req *rq, const char *name, struct rh_uuid *id)
{
	struct rh_slice text = rh_match_get(&rq->match, name);

	if (text.p && rh_uuid_get(id, text) && !rh_uuid_is_nil(*id))
		return NULL;
	return rh_err_new(rq->arena, RH_E_MISSING, "resource.missing",
	    "There is no such resource");
}

/* The next entity tag of a list, without "W/"; p == NULL at the end. */
static struct rh_slice
next_tag(struct rh_slice *list, bool *weak)
{
	struct rh_slice tag;
	const char *quote;

	while (list->n && (list->p[0] == ' ' || list->p[0] == '\t' ||
	    list->p[0] == ','))
		*list = rh_slice_from(*list, 1);
	*weak = rh_slice_has_prefix(*list, RH_SLICE("W/"));
	if (*weak)
		*list = rh_slice_from(*list, 2);
	if (list->n < 2 || list->p[0] != '"' ||
	    !(quote = memchr(list->p + 1, '"', list->n - 1)))
		return RH_SLICE_NONE;
	tag = (struct rh_slice){ list->p, (size_t)(quote - list->p) + 1 };
	*list = rh_slice_from(*list, tag.n);
	return tag;
}

bool
rh_req_none_match(const struct rh_req *rq, struct rh_slice etag)
{
	struct rh_slice list = rh_slice_trim(rq->header[RH_H_IF_NONE_MATCH]);
	struct rh_slice tag;
	bool weak;

	if (rh_slice_is(list, RH_SLICE("*")))
		return true;
	while ((tag = next_tag(&list, &weak)).p)
		if (rh_slice_is(tag, etag))
			return true;
	return false;
}

int64_t
rh_req_if_match(const struct rh_req *rq)
{
	struct rh_slice list = rh_slice_trim(rq->header[RH_H_IF_MATCH]), tag;
	int64_t version;
	bool weak;

	if (!rq->header[RH_H_IF_MATCH].p || rh_slice_is(list, RH_SLICE("*")))
		return 0;
	while ((tag = next_tag(&list, &weak)).p) {
		/* If-Match compares strongly (RFC 9110 13.1.1) */
		if (!weak && tag.n > 3 && tag.p[1] == 'v' && rh_i64_get(&version,
		    (struct rh_slice){ tag.p + 2, tag.n - 3 }) && version > 0)
			return version;
	}
	return -1;
}
