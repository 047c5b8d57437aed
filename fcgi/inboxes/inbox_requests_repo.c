#include "config.h"

#include "inboxes/inbox_requests.h"

#include "inboxes/inboxes.h"
#include "serve/event.h"

#define COLUMNS                                                                  \
	"id, inbox_id, method, path, query, content_type, size, remote, job_id," \
	" encode(trace_id, 'hex'), request_id, received_at"

enum { PAGE, SEARCH, SHOW, DELETE, CLEAR, GUARD };

/* clang-format off */
struct rh_stmt inbox_requests_stmts[] = {
	[PAGE] = { .name = "inbox_requests.page", .sql =
	    "select " COLUMNS " from inbox_requests"
	    " where tenant_id = $1 and inbox_id = $2"
	    "   and (received_at, id) < ($3, $4)"
	    " order by received_at desc, id desc"
	    " limit $5" },
	/* of a body the first 64 KiB, byte by byte, letters of ASCII in either case */
	[SEARCH] = { .name = "inbox_requests.search", .sql =
	    "select " COLUMNS " from inbox_requests"
	    " where tenant_id = $1 and inbox_id = $2"
	    "   and (received_at, id) < ($3, $4)"
	    "   and ($6::text is null or method = $6)"
	    "   and ($7::text is null or strpos(lower(path || coalesce('?' || query, '')), lower($7)) > 0"
	    "     or strpos(lower(headers::text), lower($7)) > 0"
	    "     or strpos(lower(encode(substr(body, 1, 65536), 'escape')),"
	    "       lower(encode(convert_to($7, 'UTF8'), 'escape'))) > 0)"
	    " order by received_at desc, id desc"
	    " limit $5" },
	[SHOW] = { .name = "inbox_requests.show", .sql =
	    "select " COLUMNS ", headers::text, body from inbox_requests"
	    " where tenant_id = $1 and inbox_id = $2 and id = $3" },
	/* the inbox first, as whoever receives has it: its counts are theirs, too */
	[DELETE] = { .name = "inbox_requests.delete", .sql =
	    "with i as materialized ("
	    "  select id from inboxes where tenant_id = $1 and id = $6 for update"
	    "), gone as ("
	    "  delete from inbox_requests r using i"
	    "  where r.tenant_id = $1 and r.inbox_id = i.id and r.id = $7"
	    "  returning r.id, r.inbox_id, r.cost"
	    "), n as ("
	    "  update inboxes set kept = kept - 1, kept_bytes = kept_bytes - gone.cost"
	    "  from gone where inboxes.tenant_id = $1 and inboxes.id = gone.inbox_id"
	    "), x as (select id, inbox_id from gone"
	    "), e as (" RH_EVENT("inbox_request.deleted", "x", "x.id", "to_jsonb(x)") ")"
	    " select 1 from x" },
	[CLEAR] = { .name = "inbox_requests.clear", .sql =
	    "with i as materialized ("
	    "  select id from inboxes where tenant_id = $1 and id = $6 for update"
	    "), gone as ("
	    "  delete from inbox_requests r using i"
	    "  where r.tenant_id = $1 and r.inbox_id = i.id"
	    "  returning r.cost"
	    "), n as (select count(*)::int n, coalesce(sum(cost), 0) cost from gone"
	    "), x as ("
	    "  update inboxes set kept = kept - n.n, kept_bytes = kept_bytes - n.cost"
	    "  from i, n where inboxes.tenant_id = $1 and inboxes.id = i.id"
	    "  returning inboxes.id, n.n as requests"
	    "), e as (" RH_EVENT("inbox.emptied", "x", "x.id", "to_jsonb(x)") ")"
	    " select 1 from x" },
	[GUARD] = { .name = "inbox_requests.guard", .sql =
	    "select inbox_replay_guard($1, $2, $3, $4)" },
	{ 0 }
};
/* clang-format on */

void
inbox_requests_repo_page(struct rh_call *c, struct rh_uuid inbox,
    const struct inbox_requests_query *q, struct inbox_requests_page *out,
    bool *parent)
{
	const struct rh_paging *p = &q->paging;
	bool searches = q->method.p || q->q.p;
	const struct rh_arg args[] = { RH_UUID(c->tenant), RH_UUID(inbox),
		RH_TIME(p->after.at), RH_UUID(p->after.id),
		RH_INT(p->limit + 1), RH_TEXT(q->method), RH_TEXT(q->q) };

	rh_pipe_send_args(c->pipe,
	    &inbox_requests_stmts[searches ? SEARCH : PAGE], args,
	    searches ? 7 : 5);
	inboxes_repo_exists_send(c, inbox);
	out->n = rh_pipe_rows(c->pipe, inbox_request_columns,
	    sizeof(*out->rows), &out->rows);
	*parent = rh_pipe_int(c->pipe) == 1;
}

bool
inbox_requests_repo_get(struct rh_call *c, struct inbox_request_of of,
    struct inbox_request *out)
{
	rh_pipe_send(c->pipe, &inbox_requests_stmts[SHOW], RH_UUID(c->tenant),
	    RH_UUID(of.inbox), RH_UUID(of.id));
	return rh_pipe_row(c->pipe, inbox_request_full_columns, out);
}

bool
inbox_requests_repo_delete(struct rh_call *c, struct inbox_request_of of)
{
	rh_pipe_send(c->pipe, &inbox_requests_stmts[DELETE], RH_EVENT_ARGS(c),
	    RH_UUID(of.inbox), RH_UUID(of.id));
	return rh_pipe_int(c->pipe) == 1;
}

bool
inbox_requests_repo_clear(struct rh_call *c, struct rh_uuid inbox)
{
	rh_pipe_send(c->pipe, &inbox_requests_stmts[CLEAR], RH_EVENT_ARGS(c),
	    RH_UUID(inbox));
	return rh_pipe_int(c->pipe) == 1;
}

void
inbox_requests_repo_guard_send(struct rh_call *c, struct inbox_request_of of,
    struct rh_slice url)
{
	rh_pipe_send(c->pipe, &inbox_requests_stmts[GUARD], RH_UUID(c->tenant),
	    RH_UUID(of.inbox), RH_UUID(of.id), RH_TEXT(url));
}
