/*
 * forward - the job that sends a recorded request on.
 *
 * What it sends is what came, less what was masked and what concerns one
 * connection alone; with the trace going on, the request id, and a count of how
 * often it was forwarded, so that inboxes that forward to each other come to an
 * end. 2xx is done; anything else fails the attempt.
 */
#include "config.h"

#include "http/shape.h"
#include "inboxes/headers.h"
#include "inboxes/inboxes.h"
#include "jobs/out.h"

enum { TIMEOUT_MS = 15000, ROOM_MS = 10000, MORE = 6, URL_MAX = 16384 };

struct forward {
	struct rh_uuid inbox_id, request_id;
	struct rh_slice url; /* p == NULL: the inbox's */
};

struct recorded {
	struct rh_slice method, path, query, content_type, body, url;
};

struct header {
	struct rh_slice name, value;
};

/* clang-format off */
static const struct rh_field args_shape[] = {
	{ RH_FIELD("inbox_id", UUID, struct forward, inbox_id), .flags = RH_F_REQUIRED },
	{ RH_FIELD("request_id", UUID, struct forward, request_id), .flags = RH_F_REQUIRED },
	{ RH_FIELD("url", TEXT, struct forward, url), .flags = RH_F_NULLABLE },
	{ 0 }
};

static const struct rh_field recorded_columns[] = {
	{ RH_FIELD("method", TEXT, struct recorded, method) },
	{ RH_FIELD("path", TEXT, struct recorded, path) },
	{ RH_FIELD("query", TEXT, struct recorded, query) },
	{ RH_FIELD("content_type", TEXT, struct recorded, content_type) },
	{ RH_FIELD("body", TEXT, struct recorded, body) },
	{ RH_FIELD("url", TEXT, struct recorded, url) },
	{ 0 }
};

static const struct rh_field header_columns[] = {
	{ RH_FIELD("name", TEXT, struct header, name) },
	{ RH_FIELD("value", TEXT, struct header, value) },
	{ 0 }
};

enum { LOAD, HEADERS };
struct rh_stmt forward_stmts[] = {
	[LOAD] = { .name = "inboxes.forward_load", .sql =
	    "select r.method, r.path, r.query, r.content_type, r.body,"
	    "  coalesce($4::text, i.forward_url)"
	    " from inbox_requests r"
	    " join inboxes i on i.tenant_id = r.tenant_id and i.id = r.inbox_id"
	    " where r.tenant_id = $1 and r.inbox_id = $2 and r.id = $3" },
	[HEADERS] = { .name = "inboxes.forward_headers", .sql =
	    "select h.key, h.value from inbox_requests r, json_each_text(r.headers) h"
	    " where r.tenant_id = $1 and r.id = $2" },
	{ 0 }
};
/* clang-format on */

struct rh_err *
inbox_url_check(struct rh_call *c, struct rh_slice url, const char *field)
{
	const char *refused = rh_out_refuses(url);
	struct rh_err *err;

	if (!refused)
		return NULL;
	err = rh_err_new(c->arena, RH_E_INVALID, "inbox.url",
	    "This is no URL that anything could be sent to (%s).", refused);
	err->field = field;
	return err;
}

/* ---- what is sent ---- */

struct load {
	struct recorded rec;
	struct header *headers;
	size_t nheaders;
};

static struct rh_err *
load(struct rh_job *job, const struct forward *f, struct load *l, bool *found)
{
	struct rh_pipe *p = rh_job_look(job);

	rh_pipe_send(p, &forward_stmts[LOAD], RH_UUID(job->tenant),
	    RH_UUID(f->inbox_id), RH_UUID(f->request_id), RH_TEXT(f->url));
	rh_pipe_send(p, &forward_stmts[HEADERS], RH_UUID(job->tenant),
	    RH_UUID(f->request_id));
	*found = rh_pipe_row(p, recorded_columns, &l->rec) && l->rec.url.p;
	l->nheaders = rh_pipe_rows(p, header_columns, sizeof(*l->headers),
	    &l->headers);
	return rh_job_looked(job, p);
}

/* A backslash is no character of a URL, and some read it as a slash. */
static void
put_plain(struct rh_buf *b, struct rh_slice text)
{
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '\\')
			rh_buf_lit(b, "%5C");
		else
			rh_buf_char(b, text.p[i]);
	}
}

/* "https://a.example/hook?k=v" with "/more" and "x=y": …/hook/more?k=v&x=y */
static struct rh_slice
url_of(struct rh_job *job, const struct recorded *rec)
{
	struct rh_slice whole = rec->url, query, base;
	struct rh_buf b;

	query = rh_slice_cut(&whole, '#');
	base = rh_slice_cut(&query, '?');
	if (rec->path.n && base.n && base.p[base.n - 1] == '/')
		base.n--;
	rh_buf_init(&b, job->arena, 512, URL_MAX);
	rh_buf_slice(&b, base);
	put_plain(&b, rec->path);
	if (query.p || rec->query.p)
		rh_buf_char(&b, '?');
	rh_buf_slice(&b, query);
	if (query.n && rec->query.n)
		rh_buf_char(&b, '&');
	put_plain(&b, rec->query);
	return rh_buf_get(&b);
}

/* What came says how often it was forwarded before; receive.c heeds it. */
static char
hops_of(const struct load *l)
{
	for (size_t i = 0; i < l->nheaders; i++)
		if (rh_slice_is(l->headers[i].name,
			RH_SLICE("Rowhouse-Forwarded")) &&
		    l->headers[i].value.n == 1 &&
		    l->headers[i].value.p[0] >= '0' &&
		    l->headers[i].value.p[0] < '9')
			return (char)(l->headers[i].value.p[0] + 1);
	return '1';
}

static struct rh_slice
line(struct rh_job *job, struct rh_slice name, struct rh_slice value)
{
	return rh_slice_of(rh_arena_printf(job->arena, "%.*s: %.*s",
	    RH_SLICE_ARG(name), RH_SLICE_ARG(value)));
}

static void
headers_fill(struct rh_job *job, const struct load *l,
    const struct rh_span *span, struct rh_out_request *ask)
{
	struct rh_slice *lines = rh_arena_alloc(job->arena,
	    (l->nheaders + MORE) * sizeof(*lines));
	char parent[RH_TRACEPARENT_LEN], hops = hops_of(l);
	size_t n = 0;

	for (size_t i = 0; i < l->nheaders; i++)
		if (!header_is_hop(l->headers[i].name) &&
		    !header_is_secret(l->headers[i].name))
			lines[n++] = line(job, l->headers[i].name,
			    l->headers[i].value);
	if (l->rec.content_type.n)
		lines[n++] = line(job, RH_SLICE("Content-Type"),
		    l->rec.content_type);
	rh_traceparent_put(parent, job->trace, span);
	lines[n++] = line(job, RH_SLICE("traceparent"),
	    (struct rh_slice){ parent, sizeof(parent) });
	if (job->trace->tracestate.n)
		lines[n++] = line(job, RH_SLICE("tracestate"),
		    job->trace->tracestate);
	lines[n++] = line(job, RH_SLICE("X-Request-Id"), job->request_id);
	lines[n++] = line(job, RH_SLICE("Rowhouse-Forwarded"),
	    (struct rh_slice){ &hops, 1 });
	ask->headers = lines;
	ask->nheaders = n;
}

/* ---- what became of it ---- */

static bool
is_done(const struct rh_out_reply *reply)
{
	return reply->status >= 200 && reply->status < 300;
}

static struct rh_err *
outcome(struct rh_job *job, const struct rh_out_reply *reply)
{
	struct rh_slice error = rh_slice_of(reply->error);

	if (is_done(reply)) {
		job->result = rh_slice_of(
		    rh_arena_printf(job->arena, "{\"status\":%d,\"ms\":%lld}",
			reply->status, (long long)reply->ms));
		return NULL;
	}
	if (!reply->error)
		return rh_err_new(job->arena, RH_E_UNAVAILABLE,
		    rh_arena_printf(job->arena, "forward.status_%d",
			reply->status),
		    "It was answered %d.", reply->status);
	/* what is refused for what it is stays refused */
	job->final = rh_slice_has_prefix(error, RH_SLICE("refused.")) &&
	    !rh_slice_is(error, RH_SLICE("refused.address"));
	return rh_err_new(job->arena, RH_E_UNAVAILABLE,
	    rh_arena_printf(job->arena, "forward.%s", reply->error),
	    "It could not be sent.");
}

static struct rh_err *
gone(struct rh_job *job)
{
	job->final = true;
	return rh_err_new(job->arena, RH_E_MISSING, "forward.gone",
	    "The request, or where to send it, is not there any more.");
}

/* The URL is the tenant's, and may hold a secret: only where it led is told. */
static void
span_end(struct rh_job *job, struct rh_span *span, const struct load *l,
    const struct rh_out_reply *reply)
{
	struct rh_slice error = rh_slice_of(reply->error);

	rh_span_text(span, "http.request.method", l->rec.method);
	if (reply->status)
		rh_span_int(span, "http.response.status_code", reply->status);
	if (reply->address[0])
		rh_span_text(span, "network.peer.address",
		    rh_slice_of(rh_arena_strdup(job->arena,
			rh_slice_of(reply->address))));
	if (job->attempt > 1)
		rh_span_int(span, "http.request.resend_count",
		    job->attempt - 1);
	if (!is_done(reply))
		rh_span_fail(span,
		    reply->error ? error :
				   rh_slice_of(rh_arena_printf(job->arena, "%d",
				       reply->status)),
		    RH_SLICE_NONE);
	rh_span_close(job->trace, span);
}

static struct rh_err *
send(struct rh_job *job, const struct load *l)
{
	struct rh_out_request ask = { .method = l->rec.method,
		.url = url_of(job, &l->rec),
		.body = l->rec.body,
		.timeout_ms = TIMEOUT_MS };
	struct rh_out_reply reply = { .status = 0 };
	struct rh_span *span = rh_span_open(job->trace, RH_SPAN_CLIENT,
	    l->rec.method);

	headers_fill(job, l, span, &ask);
	rh_out_ask(job->out, job->arena, &ask, &reply);
	span_end(job, span, l, &reply);
	return outcome(job, &reply);
}

static struct rh_err *
forward(struct rh_job *job)
{
	struct forward f = { .url = RH_SLICE_NONE };
	struct load l = { .nheaders = 0 };
	struct rh_given given;
	struct rh_err *err;
	bool found;

	if ((err = rh_shape_read(job->arena, args_shape, job->args, false, &f,
		 &given))) {
		job->final = true;
		return err;
	}
	if ((err = load(job, &f, &l, &found)))
		return err;
	return found ? send(job, &l) : gone(job);
}

struct rh_job_kind inbox_kinds[] = {
	[INBOX_FORWARD] = { .name = "inbox.forward",
	    .handler = forward,
	    .timeout_ms = TIMEOUT_MS + ROOM_MS },
	{ 0 }
};

const struct rh_resource forward_resource = {
	.name = "inbox_forward",
	.stmts = forward_stmts,
	.kinds = inbox_kinds,
};
