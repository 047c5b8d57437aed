/*
 * inbox_requests - what an admin can do with what an inbox recorded.
 */
#include "config.h"

#include "inboxes/inbox_requests.h"

#include "base/crypto.h"
#include "base/text.h"
#include "inboxes/inboxes.h"
#include "serve/enqueue.h"
#include "serve/event.h"

#define T "/v1/t/{tenant}"
#define R "/inboxes/{id}/requests"

enum { METHOD_MAX_CHARS = 32, SEARCH_MAX_CHARS = 200, URL_MAX_CHARS = 2048 };

struct replay {
	struct rh_slice url;
};

struct replayed {
	struct rh_uuid job_id, request_id;
	struct rh_slice kind;
};

/* clang-format off */
#define OF_A_PAGE								\
	{ RH_FIELD("id", UUID, struct inbox_request, id) },			\
	{ RH_FIELD("inbox_id", UUID, struct inbox_request, inbox_id) },		\
	{ RH_FIELD("method", TEXT, struct inbox_request, method) },		\
	{ RH_FIELD("path", TEXT, struct inbox_request, path), .doc = "behind the inbox's URL; as it came" },	\
	{ RH_FIELD("query", TEXT, struct inbox_request, query), .flags = RH_F_NULLABLE },			\
	{ RH_FIELD("content_type", TEXT, struct inbox_request, content_type), .flags = RH_F_NULLABLE },	\
	{ RH_FIELD("size", INT, struct inbox_request, size), .doc = "of the body, in bytes" },		\
	{ RH_FIELD("remote", TEXT, struct inbox_request, remote), .flags = RH_F_NULLABLE },			\
	{ RH_FIELD("job_id", UUID, struct inbox_request, job_id), .flags = RH_F_NULLABLE,			\
	  .doc = "the job that forwards it" },					\
	{ RH_FIELD("trace_id", TEXT, struct inbox_request, trace_id), .min = 32, .max = 32 },			\
	{ RH_FIELD("request_id", TEXT, struct inbox_request, request_id), .doc = "as the sender was told it" },	\
	{ RH_FIELD("received_at", TIME, struct inbox_request, received_at) }

const struct rh_field inbox_request_columns[] = { OF_A_PAGE, { 0 } };

const struct rh_field inbox_request_full_columns[] = {
	OF_A_PAGE,
	{ RH_FIELD("headers", TEXT, struct inbox_request, headers) },
	{ RH_FIELD("body", TEXT, struct inbox_request, bytes) },
	{ 0 }
};

static const struct rh_field full_shape[] = {
	OF_A_PAGE,
	{ RH_FIELD("headers", JSON, struct inbox_request, headers), .doc = "by name; secrets are ***" },
	{ RH_FIELD("body", TEXT, struct inbox_request, body), .flags = RH_F_NULLABLE,
	  .doc = "where it is text; null: see body_base64" },
	{ RH_FIELD("body_base64", TEXT, struct inbox_request, body_base64), .flags = RH_F_NULLABLE,
	  .doc = "where it is not; RFC 4648 section 4" },
	{ 0 }
};

static const struct rh_field page_params[] = {
	{ RH_FIELD("method", TEXT, struct inbox_requests_query, method), .min = 1, .max = METHOD_MAX_CHARS,
	  .doc = "only those" },
	{ RH_FIELD("q", TEXT, struct inbox_requests_query, q), .min = 1, .max = SEARCH_MAX_CHARS,
	  .doc = "found in path, query, headers or the body's first 64 KiB" },
	RH_PAGING_FIELDS(struct inbox_requests_query, paging),
	{ 0 }
};

static const struct rh_field replay_shape[] = {
	{ RH_FIELD("url", TEXT, struct replay, url), .flags = RH_F_NULLABLE, .min = 1, .max = URL_MAX_CHARS,
	  .format = "uri", .doc = "not given: the inbox's forward_url" },
	{ 0 }
};

static const struct rh_field replayed_shape[] = {
	{ RH_FIELD("job_id", UUID, struct replayed, job_id) },
	{ RH_FIELD("kind", TEXT, struct replayed, kind) },
	{ RH_FIELD("request_id", UUID, struct replayed, request_id) },
	{ 0 }
};
/* clang-format on */

static struct rh_err *
inbox_missing(struct rh_call *c)
{
	return rh_call_missing(c, "inbox.missing", "There is no such inbox.");
}

static struct rh_err *
request_missing(struct rh_call *c)
{
	return rh_call_missing(c, "inbox_request.missing",
	    "There is no such request, or not any more.");
}

static struct rh_err *
of_read(struct rh_call *c, struct inbox_request_of *of)
{
	struct rh_err *err;

	if ((err = rh_req_uuid(c->rq, "id", &of->inbox)))
		return err;
	return rh_req_uuid(c->rq, "request_id", &of->id);
}

/* ---- the body ---- */

/* What a terminal shows as it is: UTF-8 without controls. */
static bool
is_text(struct rh_slice bytes)
{
	for (size_t i = 0; i < bytes.n; i++) {
		unsigned char ch = (unsigned char)bytes.p[i];

		if (ch == 0x7f ||
		    (ch < 0x20 && ch != '\t' && ch != '\n' && ch != '\r'))
			return false;
	}
	return rh_utf8_is(bytes);
}

static struct rh_slice
base64(struct rh_arena *arena, struct rh_slice bytes)
{
	size_t n = RH_BASE64URL_LEN(bytes.n), padded = (bytes.n + 2) / 3 * 4;
	char *to = rh_arena_alloc(arena, padded + 1);

	rh_base64url_put(to, bytes.p, bytes.n);
	for (size_t i = 0; i < n; i++)
		to[i] = to[i] == '-' ? '+' : to[i] == '_' ? '/' : to[i];
	memset(to + n, '=', padded - n);
	return (struct rh_slice){ to, padded };
}

static void
body_show(struct rh_call *c, struct inbox_request *r)
{
	r->body = r->body_base64 = RH_SLICE_NONE;
	if (r->bytes.n == 0)
		r->body = RH_SLICE("");
	else if (is_text(r->bytes))
		r->body = r->bytes;
	else
		r->body_base64 = base64(c->arena, r->bytes);
}

/* ---- routes ---- */

static uint64_t
filters_of(const struct inbox_requests_query *q)
{
	return (q->method.p ? rh_hash64(q->method.p, q->method.n) : 0) * 31 +
	    (q->q.p ? rh_hash64(q->q.p, q->q.n) : 0);
}

/* GET …/inboxes/{id}/requests?method=&q=&limit=&cursor=	200 page of request | 400 404 */
static struct rh_err *
inbox_requests_list(struct rh_call *c)
{
	struct inbox_requests_query q = { .paging = {
					      .limit = RH_PAGE_DEFAULT } };
	struct inbox_requests_page page;
	struct rh_uuid inbox;
	struct rh_err *err;
	bool parent;

	if ((err = rh_req_uuid(c->rq, "id", &inbox)) ||
	    (err = rh_call_query(c, &q)) ||
	    (err = rh_call_paging(c, &q.paging, filters_of(&q))))
		return err;
	inbox_requests_repo_page(c, inbox, &q, &page, &parent);
	return parent ?
	    rh_call_reply_page(c, &q.paging,
		&(struct rh_page_of){ page.rows, page.n, sizeof(*page.rows),
		    offsetof(struct inbox_request, received_at),
		    offsetof(struct inbox_request, id) }) :
	    inbox_missing(c);
}

/* GET …/inboxes/{id}/requests/{request_id}	200 request | 404 */
static struct rh_err *
inbox_requests_show(struct rh_call *c)
{
	struct inbox_request_of of;
	struct inbox_request r;
	struct rh_err *err;

	if ((err = of_read(c, &of)))
		return err;
	if (!inbox_requests_repo_get(c, of, &r))
		return request_missing(c);
	body_show(c, &r);
	return rh_reply_one(c->rq, full_shape, &r, 0);
}

/* DELETE …/inboxes/{id}/requests/{request_id}	204 | 404 */
static struct rh_err *
inbox_requests_delete(struct rh_call *c)
{
	struct inbox_request_of of;
	struct rh_err *err;

	if ((err = of_read(c, &of)))
		return err;
	return inbox_requests_repo_delete(c, of) ? rh_reply_none(c->rq) :
						   request_missing(c);
}

/* DELETE …/inboxes/{id}/requests	204 | 404: all of them */
static struct rh_err *
inbox_requests_clear(struct rh_call *c)
{
	struct rh_uuid inbox;
	struct rh_err *err;

	if ((err = rh_req_uuid(c->rq, "id", &inbox)))
		return err;
	return inbox_requests_repo_clear(c, inbox) ? rh_reply_none(c->rq) :
						     inbox_missing(c);
}

static struct rh_slice
args_of(struct rh_call *c, struct inbox_request_of of, struct rh_slice url)
{
	char inbox[RH_UUID_LEN], id[RH_UUID_LEN];
	struct rh_buf b;

	rh_uuid_put(inbox, of.inbox);
	rh_uuid_put(id, of.id);
	rh_buf_init(&b, c->arena, 256, 32768);
	rh_buf_lit(&b, "{\"inbox_id\":\"");
	rh_buf_put(&b, inbox, sizeof(inbox));
	rh_buf_lit(&b, "\",\"request_id\":\"");
	rh_buf_put(&b, id, sizeof(id));
	rh_buf_char(&b, '"');
	if (url.p) {
		rh_buf_lit(&b, ",\"url\":");
		rh_buf_json(&b, url);
	}
	rh_buf_char(&b, '}');
	return rh_buf_get(&b);
}

static struct rh_slice
job_location(struct rh_call *c, struct rh_uuid id)
{
	char text[RH_UUID_LEN];

	rh_uuid_put(text, id);
	return rh_slice_of(rh_arena_printf(c->arena, "/v1/t/%.*s/jobs/%.*s",
	    RH_SLICE_ARG(c->tenant_slug), RH_UUID_LEN, text));
}

/* POST …/inboxes/{id}/requests/{request_id}/replay {url?}	202 job | 404 409 422 */
static struct rh_err *
inbox_requests_replay(struct rh_call *c)
{
	const struct rh_job_kind *kind = &inbox_kinds[INBOX_FORWARD];
	struct replayed done = { .kind = rh_slice_of(kind->name) };
	struct replay what = { .url = RH_SLICE_NONE };
	struct inbox_request_of of;
	struct rh_err *err;

	if ((err = of_read(c, &of)) ||
	    (err = rh_req_body(c->rq, (size_t)c->conf->body_max_bytes)) ||
	    (c->rq->body.n && (err = rh_call_body(c, &what, NULL))) ||
	    (what.url.p && (err = inbox_url_check(c, what.url, "/url"))))
		return err;
	inbox_requests_repo_guard_send(c, of, what.url);
	done.request_id = of.id;
	done.job_id = rh_job_enqueue(c, kind, args_of(c, of, what.url), NULL);
	rh_event_send(c,
	    &(struct rh_event_of){ "inbox.replayed", of.inbox, replayed_shape,
		&done });
	(void)rh_pipe_int(c->pipe);
	(void)rh_pipe_done(c->pipe);
	(void)rh_pipe_done(c->pipe);
	return rh_reply_accepted(c->rq, replayed_shape, &done,
	    job_location(c, done.job_id));
}

/* clang-format off */
static const struct rh_route routes[] = {
	{ .method = RH_GET, .template = T R, .role = RH_ADMIN, .handler = inbox_requests_list,
	  .rate = RH_RATE_READ, .params = page_params, .answer = RH_ANSWER_PAGE, .shape = inbox_request_columns,
	  .summary = "List what was sent to an inbox, the newest first" },
	{ .method = RH_DELETE, .template = T R, .role = RH_ADMIN, .handler = inbox_requests_clear,
	  .rate = RH_RATE_WRITE, .answer = RH_ANSWER_NONE, .summary = "Forget all that was sent to an inbox" },
	{ .method = RH_GET, .template = T R "/{request_id}", .role = RH_ADMIN, .handler = inbox_requests_show,
	  .rate = RH_RATE_READ, .shape = full_shape, .summary = "Read a request with its headers and its body" },
	{ .method = RH_DELETE, .template = T R "/{request_id}", .role = RH_ADMIN, .handler = inbox_requests_delete,
	  .rate = RH_RATE_WRITE, .answer = RH_ANSWER_NONE, .summary = "Forget a request" },
	{ .method = RH_POST, .template = T R "/{request_id}/replay", .role = RH_ADMIN, .handler = inbox_requests_replay,
	  .rate = RH_RATE_WRITE, .body = replay_shape, .answer = RH_ANSWER_ACCEPTED, .shape = replayed_shape,
	  .summary = "Send a request once more, to the inbox's forward_url or elsewhere, by a job" },
	{ 0 }
};

static const struct rh_pg_constraint constraints[] = {
	{ "inbox_missing", RH_E_MISSING, "inbox.missing", "There is no such inbox.", NULL },
	{ "inbox_request_missing", RH_E_MISSING, "inbox_request.missing",
	  "There is no such request, or not any more.", NULL },
	{ "inbox_nowhere", RH_E_CONFLICT, "inbox.nowhere",
	  "The inbox has no forward_url: say where to send it.", NULL },
	{ 0 }
};
/* clang-format on */

const struct rh_resource inbox_requests_resource = {
	.name = "inbox_requests",
	.routes = routes,
	.stmts = inbox_requests_stmts,
	.constraints = constraints,
};
