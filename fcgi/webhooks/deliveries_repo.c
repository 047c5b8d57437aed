#include "config.h"

#include "webhooks/webhooks.h"

#include "serve/event.h"

#define COLUMNS                                                                      \
	"id, webhook_id, event_id, type, state, attempt, status, latency_ms, error," \
	" due_at, created_at, finished_at, request_id, encode(trace_id, 'hex')"
#define INSERT                                                                       \
	"insert into webhook_deliveries (tenant_id, id, webhook_id, event_id, type," \
	" subject_id, payload, actor_id, happened_at, " RH_EVENT_TRACE ")"

enum { PAGE, PAGE_SOME, SHOW, ATTEMPTS, TEST, REPLAY };

/* clang-format off */
struct rh_stmt deliveries_stmts[] = {
	[PAGE] = { .name = "deliveries.page", .sql =
	    "select " COLUMNS " from webhook_deliveries"
	    " where tenant_id = $1"
	    "   and webhook_id = $5"
	    "   and (created_at, id) < ($2, $3)"
	    " order by created_at desc, id desc"
	    " limit $4" },
	[PAGE_SOME] = { .name = "deliveries.page_some", .sql =
	    "select " COLUMNS " from webhook_deliveries"
	    " where tenant_id = $1"
	    "   and webhook_id = $5"
	    "   and ($6::text is null or state = $6)"	/* few enough to look through */
	    "   and ($7::text is null or type = $7)"
	    "   and (created_at, id) < ($2, $3)"
	    " order by created_at desc, id desc"
	    " limit $4" },
	[SHOW] = { .name = "deliveries.show", .sql =
	    "select " COLUMNS ", payload::text from webhook_deliveries"
	    " where tenant_id = $1 and id = $2" },
	[ATTEMPTS] = { .name = "deliveries.attempts", .sql =
	    "select attempt, started_at, status, latency_ms, error, reply from webhook_attempts"
	    " where tenant_id = $1 and delivery_id = $2 order by attempt" },
	[TEST] = { .name = "deliveries.test", .sql =
	    "with x as (" INSERT
	    "  select $1, $6::uuid, w.id, $7::uuid, 'webhook.test', w.id,"
	    "    jsonb_build_object('webhook_id', w.id), actor_id(), now(), " RH_EVENT_TRACE_ARGS
	    "  from webhooks w where w.tenant_id = $1 and w.id = $8"
	    "  returning *"
	    "), e as (" RH_EVENT("webhook.tested", "x", "x.webhook_id",
	    "jsonb_build_object('webhook_id', x.webhook_id, 'delivery_id', x.id)") ")"
	    " select " COLUMNS " from x" },
	/* with the ids that it had: what is sent under one webhook-id is the same */
	[REPLAY] = { .name = "deliveries.replay", .sql =
	    "with x as (" INSERT
	    "  select $1, $6::uuid, d.webhook_id, d.event_id, d.type, d.subject_id, d.payload,"
	    "    d.actor_id, d.happened_at, d.trace_id, d.parent_span_id, d.trace_flags, d.request_id"
	    "  from webhook_deliveries d where d.tenant_id = $1 and d.id = $7"
	    "  returning *"
	    "), e as (" RH_EVENT("webhook.replayed", "x", "x.webhook_id",
	    "jsonb_build_object('webhook_id', x.webhook_id, 'delivery_id', x.id, 'deliveries', 1)") ")"
	    " select " COLUMNS " from x" },
	{ 0 }
};

/* A row of SHOW. */
static const struct rh_field whole_columns[] = {
	{ RH_FIELD_OBJECT("row", struct delivery_whole, row, delivery_shape) },
	{ RH_FIELD("payload", JSON, struct delivery_whole, row.payload) },
	{ 0 }
};
/* clang-format on */

void
deliveries_repo_page(struct rh_call *c, struct rh_uuid webhook,
    const struct deliveries_query *q, struct deliveries_page *out, bool *parent)
{
	const struct rh_paging *p = &q->paging;
	const struct rh_arg args[] = { RH_UUID(c->tenant), RH_TIME(p->after.at),
		RH_UUID(p->after.id), RH_INT(p->limit + 1), RH_UUID(webhook),
		RH_TEXT(rh_slice_of(
		    q->state < 0 ? NULL : delivery_states[q->state])),
		RH_TEXT(q->type) };

	if (q->state < 0 && !q->type.p)
		rh_pipe_send_args(c->pipe, &deliveries_stmts[PAGE], args, 5);
	else
		rh_pipe_send_args(c->pipe, &deliveries_stmts[PAGE_SOME], args,
		    7);
	webhooks_repo_exists_send(c, webhook);
	out->n = rh_pipe_rows(c->pipe, delivery_shape, sizeof(*out->rows),
	    &out->rows);
	*parent = rh_pipe_int(c->pipe) == 1;
}

bool
deliveries_repo_get(struct rh_call *c, struct rh_uuid id,
    struct delivery_whole *out)
{
	bool there;

	rh_pipe_send(c->pipe, &deliveries_stmts[SHOW], RH_UUID(c->tenant),
	    RH_UUID(id));
	rh_pipe_send(c->pipe, &deliveries_stmts[ATTEMPTS], RH_UUID(c->tenant),
	    RH_UUID(id));
	there = rh_pipe_row(c->pipe, whole_columns, out);
	out->attempts.n = rh_pipe_rows(c->pipe, delivery_attempt_shape,
	    sizeof(struct delivery_attempt), &out->attempts.items);
	return there;
}

bool
deliveries_repo_test(struct rh_call *c, struct rh_uuid webhook,
    struct delivery *out)
{
	rh_pipe_send(c->pipe, &deliveries_stmts[TEST], RH_EVENT_ARGS(c),
	    RH_UUID(rh_uuid_v7()), RH_UUID(rh_uuid_v7()), RH_UUID(webhook));
	return rh_pipe_row(c->pipe, delivery_shape, out);
}

bool
deliveries_repo_replay(struct rh_call *c, struct rh_uuid id,
    struct delivery *out)
{
	rh_pipe_send(c->pipe, &deliveries_stmts[REPLAY], RH_EVENT_ARGS(c),
	    RH_UUID(rh_uuid_v7()), RH_UUID(id));
	return rh_pipe_row(c->pipe, delivery_shape, out);
}
