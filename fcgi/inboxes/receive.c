/*
 * receive - ANY /in/{token}, and below it: whatever is sent is recorded.
 *
 * The token is all that is known of who calls, so the database finds tenant and
 * inbox by it, records, tells and answers what to answer in one round trip
 * (migrate/sql/0011). Nothing here asks for JSON, for a query that we know, or
 * for headers that we would take.
 */
#include "config.h"

#include "base/crypto.h"
#include "inboxes/headers.h"
#include "inboxes/inboxes.h"
#include "serve/server.h"
#include "serve/wake.h"
#include "tenancy/authorize.h"

/* A forwarded request that is forwarded here again, and so on: this often. */
enum { HOPS_MAX = 3, METHOD_MAX = 32, FULL_RETRY_S = 60, AWAY_RETRY_S = 5 };
/* What inbox_receive() says. */
enum { RECORDED = 1, AWAY, FULL, FORWARDED };

/* clang-format off */
enum { RECEIVE };
struct rh_stmt receive_stmts[] = {
	[RECEIVE] = { .name = "inboxes.receive",
	    .global = "finds the inbox, and with it its tenant, by its token's hash", .sql =
	    "select outcome, tenant_id, slug, status, type, body from inbox_receive($1, $2, $3, $4,"
	    " $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)" },
	{ 0 }
};
/* clang-format on */

struct received {
	int64_t outcome;
	struct rh_uuid tenant;
	struct rh_slice slug;
	int64_t status;
	int type;
	struct rh_slice body;
};

static const struct rh_field received_columns[] = {
	{ RH_FIELD("outcome", INT, struct received, outcome) },
	{ RH_FIELD("tenant_id", UUID, struct received, tenant) },
	{ RH_FIELD("slug", TEXT, struct received, slug) },
	{ RH_FIELD("status", INT, struct received, status) },
	{ RH_FIELD("type", ENUM, struct received, type),
	    .names = inbox_answer_types },
	{ RH_FIELD("body", TEXT, struct received, body) }, { 0 }
};

/* ---- what is recorded ---- */

/* Bytes that are not printable ASCII are question marks. */
static struct rh_slice
printable(struct rh_call *c, struct rh_slice text)
{
	char *to;

	if (!text.p)
		return text;
	to = rh_arena_alloc(c->arena, text.n + 1);
	for (size_t i = 0; i < text.n; i++)
		to[i] = text.p[i] >= ' ' && text.p[i] < 0x7f ? text.p[i] : '?';
	return (struct rh_slice){ to, text.n };
}

/* "" or "/more", as it came. */
static struct rh_slice
path_behind(struct rh_call *c)
{
	struct rh_slice rest = rh_match_get(&c->rq->match, "rest");

	if (!rest.p)
		return RH_SLICE("");
	return rh_slice_of(
	    rh_arena_printf(c->arena, "/%.*s", RH_SLICE_ARG(rest)));
}

/* ---- what goes round in circles ---- */

struct marks {
	struct rh_slice forwarded, webhook_id;
};

static void
mark(void *ctx, struct rh_slice name, struct rh_slice value)
{
	struct marks *m = ctx;

	if (rh_slice_is(name, RH_SLICE("HTTP_ROWHOUSE_FORWARDED")))
		m->forwarded = value;
	else if (rh_slice_is(name, RH_SLICE("HTTP_WEBHOOK_ID")))
		m->webhook_id = value;
}

/* A webhook that tells of what an inbox received must not be told of in turn. */
static bool
tells_of_receiving(const struct marks *m, struct rh_slice body)
{
	static const char type[] = "\"inbox.received\"";

	return m->webhook_id.p &&
	    memmem(body.p, body.n, type, sizeof(type) - 1);
}

static bool
may_forward(const struct marks *m)
{
	return !m->forwarded.n ||
	    (m->forwarded.n == 1 && m->forwarded.p[0] < '0' + HOPS_MAX);
}

/* ---- the round trip ---- */

#define BYTES(p, n) RH_BYTES(((struct rh_slice){ (const char *)(p), (n) }))

static void
record_send(struct rh_call *c, const struct rh_token *token)
{
	const struct rh_job_kind *kind = &inbox_kinds[INBOX_FORWARD];
	const struct rh_req *rq = c->rq;
	const struct rh_uuid none = { { 0 } };
	struct rh_slice method = printable(c, rq->method_text);
	struct marks m = { RH_SLICE_NONE, RH_SLICE_NONE };

	method.n = RH_MIN(method.n, (size_t)METHOD_MAX);
	rh_fcgx_params(rq->fx, mark, &m);
	/* where the inbox forwards, which its row knows, that left a job */
	if (may_forward(&m))
		c->leaves |= 1U << RH_WAKE_JOBS;
	rh_pipe_send(c->pipe, &receive_stmts[RECEIVE], RH_HASH(token),
	    RH_UUID(rh_uuid_v7()), RH_TEXT(method), RH_TEXT(path_behind(c)),
	    RH_TEXT(rq->query), RH_TEXT(headers_json(c->arena, rq->fx)),
	    RH_TEXT(printable(c, rq->header[RH_H_CONTENT_TYPE])),
	    BYTES(rq->body.n ? rq->body.p : "", rq->body.n),
	    RH_TEXT(printable(c, rq->remote)), BYTES(c->trace->trace_id, 16),
	    BYTES(rh_trace_server(c->trace)->id, 8), RH_INT(rh_trace_left(c->trace)),
	    RH_TEXT(c->request_id),
	    RH_UUID(tells_of_receiving(&m, rq->body) ? none : rh_uuid_v7()),
	    RH_UUID(may_forward(&m) ? rh_uuid_v7() : none),
	    RH_TEXT(rh_slice_of(kind->name)),
	    RH_INT(kind->max_attempts ? kind->max_attempts : RH_JOB_ATTEMPTS),
	    RH_INT(kind->priority), RH_INT(c->conf->inbox_bytes_max_bytes));
}

/*
 * At home, and where it is not there at each placement: which of them has the
 * token nobody knows. An inbox that is on its way is found at neither end of it.
 */
static struct rh_err *
record(struct rh_call *c, const struct rh_token *token, struct received *to)
{
	struct rh_err *err = NULL, *failed = NULL;
	bool found;

	do {
		record_send(c, token);
		found = rh_pipe_row(c->pipe, received_columns, to);
		if (!rh_call_has_places(c))
			return NULL;
		if ((err = rh_pipe_error(c->pipe)))
			failed = err;
		else if (found && to->outcome != AWAY)
			return NULL;
		else if (found)
			failed = rh_err_new(c->arena, RH_E_UNAVAILABLE,
			    "inbox.away",
			    "The inbox is being moved; try again.");
	} while (rh_call_next_place(c));
	to->outcome = 0;
	if (failed)
		failed->retry_after_s = AWAY_RETRY_S;
	return failed;
}

static struct rh_err *
inbox_missing(struct rh_call *c)
{
	return rh_call_missing(c, "inbox.missing",
	    "There is no inbox at this URL, or not any more.");
}

static struct rh_err *
full(struct rh_call *c)
{
	struct rh_err *err = rh_err_new(c->arena, RH_E_LIMITED, "inbox.full",
	    "The inbox's tenant keeps as much as it may.");

	err->retry_after_s = FULL_RETRY_S;
	return err;
}

/* From now on the request is its tenant's: in the log, the spans, the page. */
static void
tenant_note(struct rh_call *c, const struct received *r)
{
	c->tenant = r->tenant;
	c->tenant_slug = c->log->tenant = r->slug;
}

static const char *
type_of(const struct received *r)
{
	return r->type <= 0 ? "text/plain; charset=utf-8" :
			      inbox_answer_types[r->type];
}

/* ANY /in/{token}, /in/{token}/…	what its owner chose | 404 413 429 */
static struct rh_err *
receive(struct rh_call *c)
{
	struct received r = { .outcome = 0 };
	struct rh_token token;
	struct rh_err *err;

	if (!rh_token_get(rh_match_get(&c->rq->match, "token"), RH_TOKEN_INBOX,
		&token))
		return inbox_missing(c);
	if ((err = rh_req_body(c->rq, (size_t)c->conf->inbox_body_max_bytes)) ||
	    (err = record(c, &token, &r)))
		return err;
	if (r.outcome)
		tenant_note(c, &r);
	switch (r.outcome) {
	case RECORDED:
	case FORWARDED:
		c->chosen = true;
		return rh_reply_bytes(c->rq, (unsigned)r.status, type_of(&r),
		    r.body);
	case FULL: return full(c);
	case AWAY:
		err = rh_err_new(c->arena, RH_E_UNAVAILABLE, "inbox.away",
		    "The inbox is being moved; try again.");
		err->retry_after_s = AWAY_RETRY_S;
		return err;
	default: return inbox_missing(c);
	}
}

/* clang-format off */
#define ROW(method_, path, more)						\
	{ .method = method_, .template = path, .access = RH_PUBLIC, .handler = receive,	\
	  .rate = RH_RATE_INBOX, .flags = RH_ROUTE_SECRET_PATH | RH_ROUTE_RAW | RH_ROUTE_ANY |	\
	  RH_ROUTE_CREDENTIALS | (more), .summary = "Record what is sent, and answer as the inbox was told to" }
#define ROWS(path, more)							\
	ROW(RH_GET, path, more), ROW(RH_POST, path, more), ROW(RH_PUT, path, more),	\
	ROW(RH_PATCH, path, more), ROW(RH_DELETE, path, more), ROW(RH_OPTIONS, path, more),	\
	ROW(RH_METHOD_OTHER, path, more)
static const struct rh_route routes[] = {
	ROWS("/in/{token}", 0),
	ROWS("/in/{token}/{rest}", RH_ROUTE_REST),
	{ 0 }
};
/* clang-format on */

const struct rh_resource receive_resource = {
	.name = "in",
	.routes = routes,
	.stmts = receive_stmts,
};
