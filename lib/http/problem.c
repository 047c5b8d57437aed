#include "config.h"

#include "http/reply.h"

#include "base/id.h"
#include "http/req.h"

/* clang-format off */
static const struct { unsigned status; const char *title; } kinds[RH_E_COUNT] = {
	[RH_E_MALFORMED]	= { 400, "Malformed request" },
	[RH_E_INVALID]		= { 422, "Invalid content" },
	[RH_E_ANON]		= { 401, "Not authenticated" },
	[RH_E_DENIED]		= { 403, "Not allowed" },
	[RH_E_MISSING]		= { 404, "Not found" },
	[RH_E_METHOD]		= { 405, "Method not allowed" },
	[RH_E_CONFLICT]		= { 409, "Conflict" },
	[RH_E_PRECONDITION]	= { 412, "Precondition failed" },
	[RH_E_TOO_LARGE]	= { 413, "Content too large" },
	[RH_E_MEDIA]		= { 415, "Unsupported media type" },
	[RH_E_HEADERS]		= { 431, "Request header fields too large" },
	[RH_E_LIMITED]		= { 429, "Too many requests" },
	[RH_E_GONE_AWAY]	= { 499, "Client closed request" },
	[RH_E_UNAVAILABLE]	= { 503, "Service unavailable" },
	[RH_E_TIMEOUT]		= { 504, "Timeout" },
	[RH_E_BUG]		= { 500, "Internal error" },
};
/* clang-format on */

unsigned
rh_problem_status(enum rh_err_kind kind)
{
	return kinds[kind].status;
}

const char *
rh_problem_title(enum rh_err_kind kind)
{
	return kinds[kind].title;
}

static void
put_headers(struct rh_req *rq, const struct rh_err *err)
{
	struct rh_reply *reply = &rq->reply;
	struct rh_buf value;
	char text[128];

	rh_reply_header(reply, "Content-Type",
	    RH_SLICE("application/problem+json"));
	rh_reply_header(reply, "Cache-Control", RH_SLICE("no-store"));
	rh_buf_init_fixed(&value, text, sizeof(text));
	if (err->kind == RH_E_ANON)
		rh_reply_header(reply, "WWW-Authenticate", RH_SLICE("Bearer"));
	if (err->kind == RH_E_METHOD) {
		for (unsigned m = 0; m < RH_METHOD_OTHER; m++) {
			if (!(rq->match.allow >> m & 1))
				continue;
			if (value.n)
				rh_buf_lit(&value, ", ");
			rh_buf_slice(&value, rh_slice_of(rh_method_names[m]));
		}
		rh_reply_header(reply, "Allow", rh_buf_get(&value));
	} else if (err->retry_after_s || err->kind == RH_E_UNAVAILABLE) {
		rh_buf_u64(&value, RH_MAX(err->retry_after_s, 1u));
		rh_reply_header(reply, "Retry-After", rh_buf_get(&value));
	}
}

static void
put_errors(struct rh_buf *b, const struct rh_err *err)
{
	bool first = true;

	for (; err; err = err->next) {
		if (!err->field)
			continue;
		if (first)
			rh_buf_lit(b, ",\"errors\":[{\"pointer\":");
		else
			rh_buf_lit(b, ",{\"pointer\":");
		first = false;
		rh_buf_json(b, rh_slice_of(err->field));
		rh_buf_lit(b, ",\"detail\":");
		rh_buf_json(b, rh_slice_of(err->detail));
		rh_buf_char(b, '}');
	}
	if (!first)
		rh_buf_char(b, ']');
}

void
rh_problem_put(struct rh_buf *b, const struct rh_err *err,
    struct rh_slice instance, const struct rh_problem_ids *ids)
{
	static const unsigned char no_trace[16];

	rh_buf_lit(b, "{\"type\":\"urn:rowhouse:problem:");
	rh_buf_slice(b, rh_slice_of(err->code));
	rh_buf_lit(b, "\",\"title\":");
	rh_buf_json(b, rh_slice_of(kinds[err->kind].title));
	rh_buf_lit(b, ",\"status\":");
	rh_buf_u64(b, kinds[err->kind].status);
	rh_buf_lit(b, ",\"detail\":");
	rh_buf_json(b, rh_slice_of(err->detail));
	rh_buf_lit(b, ",\"instance\":");
	rh_buf_json(b, instance.p ? instance : RH_SLICE("/"));
	rh_buf_lit(b, ",\"request_id\":");
	rh_buf_json(b, ids->request_id);
	rh_buf_lit(b, ",\"trace_id\":\"");
	rh_buf_hex(b, ids->trace_id ? ids->trace_id : no_trace, 16);
	rh_buf_char(b, '"');
	put_errors(b, err);
	rh_buf_char(b, '}');
}

/* A path may hold a secret: then its template stands for it. */
static struct rh_slice
instance_of(const struct rh_req *rq)
{
	const struct rh_route *route = rq->match.route;

	if (route && route->flags & RH_ROUTE_SECRET_PATH)
		return rh_slice_of(route->template);
	return rq->path;
}

void
rh_reply_problem(struct rh_req *rq, const struct rh_err *err,
    const struct rh_problem_ids *ids)
{
	rh_reply_clear(&rq->reply);
	rq->reply.status = kinds[err->kind].status;
	put_headers(rq, err);
	rh_problem_put(&rq->reply.body, err, instance_of(rq), ids);
}
