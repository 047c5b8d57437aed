#include "config.h"

#include "webhooks/webhooks.h"

#include "base/clock.h"
#include "serve/event.h"

/* As the table has them, and as JSON has them. */
#define ROW                                                                        \
	"id, url, event_types, description, status, paused_reason, failing_since," \
	" rate_per_s, concurrency, old_secret_until, created_at, updated_at, version"
#define COLUMNS                                                                    \
	"id, url, to_json(event_types)::text, description, status, paused_reason," \
	" failing_since, rate_per_s, concurrency, old_secret_until, created_at, updated_at, version"
/* A viewer reads events: what stands in the URL is not theirs. */
#define PAYLOAD "to_jsonb(x) - 'url'"
#define TYPES(n) "array(select jsonb_array_elements_text($" n "::text::jsonb))"

enum { PAGE, SHOW, ROOM, CREATE, UPDATE, ROTATE, REMOVE, EXISTS, REPLAY };

/* clang-format off */
struct rh_stmt webhooks_stmts[] = {
	[PAGE] = { .name = "webhooks.page", .sql =
	    "select " COLUMNS " from webhooks"
	    " where tenant_id = $1"
	    "   and (created_at, id) < ($2, $3)"
	    " order by created_at desc, id desc"
	    " limit $4" },
	[SHOW] = { .name = "webhooks.show", .sql =
	    "select " COLUMNS " from webhooks where tenant_id = $1 and id = $2" },
	/* a statement of its own: who waited for another counts what that has made */
	[ROOM] = { .name = "webhooks.room", .sql =
	    "select pg_advisory_xact_lock(hashtextextended('webhooks ' || id, 0)) from tenants where id = $1" },
	[CREATE] = { .name = "webhooks.create", .sql =
	    "with x as ("
	    "  insert into webhooks (tenant_id, id, url, event_types, description, secret,"
	    "    rate_per_s, concurrency)"
	    "  select $1, $6::uuid, $7::text, " TYPES("8") ", coalesce($9::text, ''),"
	    "    $10::bytea, $11::int, $12::int"
	    "  where (select count(*) from webhooks where tenant_id = $1) < $13::bigint"
	    "  returning " ROW
	    "), e as (" RH_EVENT("webhook.created", "x", "x.id", PAYLOAD) ")"
	    " select " COLUMNS " from x" },
	/* resumed, or sent elsewhere, it has not failed yet */
	[UPDATE] = { .name = "webhooks.update", .sql =
	    "with x as ("
	    "  update webhooks"
	    "  set url = coalesce($7::text, url),"
	    "    event_types = case when $8::text is null then event_types else " TYPES("8") " end,"
	    "    description = coalesce($9::text, description),"
	    "    status = coalesce($10::text, status),"
	    "    paused_reason = case $10::text when 'active' then null"
	    "      when 'paused' then coalesce(paused_reason, 'asked') else paused_reason end,"
	    "    failing_since = case when $10::text = 'active' or $7::text <> url then null"
	    "      else failing_since end,"
	    "    rate_per_s = case when $11::bool then $12::int else rate_per_s end,"
	    "    concurrency = case when $13::bool then $14::int else concurrency end,"
	    "    updated_at = now(), version = version + 1"
	    "  where tenant_id = $1 and id = $6 and ($15::bigint = 0 or version = $15)"
	    "  returning " ROW
	    "), e as (" RH_EVENT("webhook.updated", "x", "x.id", PAYLOAD) ")"
	    " select " COLUMNS " from x" },
	/* two at once: the one before the former signs no more */
	[ROTATE] = { .name = "webhooks.rotate", .sql =
	    "with x as ("
	    "  update webhooks set old_secret = secret, old_secret_until = now() + interval '24 hours',"
	    "    secret = $7::bytea, updated_at = now(), version = version + 1"
	    "  where tenant_id = $1 and id = $6 and ($8::bigint = 0 or version = $8)"
	    "  returning " ROW
	    "), e as (" RH_EVENT("webhook.rotated", "x", "x.id", PAYLOAD) ")"
	    " select " COLUMNS " from x" },
	[REMOVE] = { .name = "webhooks.remove", .sql =
	    "with x as ("
	    "  delete from webhooks"
	    "  where tenant_id = $1 and id = $6 and ($7::bigint = 0 or version = $7)"
	    "  returning " ROW
	    "), e as (" RH_EVENT("webhook.removed", "x", "x.id", PAYLOAD) ")"
	    " select 1 from x" },
	[EXISTS] = { .name = "webhooks.exists", .sql =
	    "select 1 from webhooks where tenant_id = $1 and id = $2" },
	/*
	 * By position, which is the microsecond of the relay: what the feed told
	 * since then, whenever it happened, and so what would have been delivered.
	 * Each has the ids that it had: what is sent under one webhook-id is the same.
	 */
	[REPLAY] = { .name = "webhooks.replay", .sql =
	    "with w as (select id, event_types from webhooks where tenant_id = $1 and id = $6),"
	    " p as ("
	    "  select w.id as webhook_id, e.* from w join events e on e.tenant_id = $1"
	    "    and e.pos >= $7::bigint and e.pos < $8::bigint"
	    "  where webhook_wants(w.event_types, e.type)"
	    "    and ($9::text is null or webhook_wants(" TYPES("9") ", e.type))"
	    "  order by e.pos limit " WEBHOOK_REPLAY_MAX " + 1),"
	    " k as (select * from p order by pos limit " WEBHOOK_REPLAY_MAX "),"
	    " x as ("
	    "  insert into webhook_deliveries (tenant_id, id, webhook_id, event_id, type, subject_id,"
	    "    payload, actor_id, happened_at, " RH_EVENT_TRACE ")"
	    "  select $1, uuid_v7(), k.webhook_id, k.id, k.type, k.subject_id, k.payload, k.actor_id,"
	    "    k.created_at, k.trace_id, k.parent_span_id, k.trace_flags, k.request_id from k returning 1),"
	    " n as (select w.id as webhook_id, (select count(*) from x) as deliveries,"
	    "  (select count(*) from p) > " WEBHOOK_REPLAY_MAX " as more,"
	    "  (select max(pos) from k) as last from w),"
	    " e as (" RH_EVENT("webhook.replayed", "n", "n.webhook_id",
	    "jsonb_build_object('webhook_id', n.webhook_id, 'deliveries', n.deliveries)")
	    "  where n.deliveries > 0)"
	    " select deliveries, more, case when more then timestamptz 'epoch'"
	    "  + (last + 1) * interval '1 microsecond' end from n" },
	{ 0 }
};
/* clang-format on */

void
webhooks_repo_page(struct rh_call *c, const struct webhooks_query *q,
    struct webhooks_page *out)
{
	const struct rh_paging *p = &q->paging;

	rh_pipe_send(c->pipe, &webhooks_stmts[PAGE], RH_UUID(c->tenant),
	    RH_TIME(p->after.at), RH_UUID(p->after.id), RH_INT(p->limit + 1));
	out->n = rh_pipe_rows(c->pipe, webhook_shape, sizeof(*out->rows),
	    &out->rows);
}

bool
webhooks_repo_get(struct rh_call *c, struct rh_uuid id, struct webhook *out)
{
	rh_pipe_send(c->pipe, &webhooks_stmts[SHOW], RH_UUID(c->tenant),
	    RH_UUID(id));
	return rh_pipe_row(c->pipe, webhook_shape, out);
}

bool
webhooks_repo_create(struct rh_call *c, struct rh_uuid id,
    const struct webhook_change *what, struct rh_slice sealed,
    struct webhook *out)
{
	rh_pipe_send(c->pipe, &webhooks_stmts[ROOM], RH_UUID(c->tenant));
	rh_pipe_send(c->pipe, &webhooks_stmts[CREATE], RH_EVENT_ARGS(c),
	    RH_UUID(id), RH_TEXT(what->url), RH_TEXT(what->event_types),
	    RH_TEXT(what->description), RH_BYTES(sealed),
	    RH_INT(what->rate_per_s), RH_INT(what->concurrency),
	    RH_INT(c->conf->webhook_max));
	rh_pipe_done(c->pipe);
	return rh_pipe_row(c->pipe, webhook_shape, out);
}

static struct rh_arg
status_arg(int status)
{
	return RH_TEXT(rh_slice_of(status < 0 ? NULL :
		status == WEBHOOK_ACTIVE      ? "active" :
						"paused"));
}

bool
webhooks_repo_update(struct rh_call *c, struct rh_uuid id,
    const struct webhook_change *what, struct webhook *out, bool *exists)
{
	bool changed;

	rh_pipe_send(c->pipe, &webhooks_stmts[UPDATE], RH_EVENT_ARGS(c),
	    RH_UUID(id), RH_TEXT(what->url), RH_TEXT(what->event_types),
	    RH_TEXT(what->description), status_arg(what->status),
	    RH_BOOL(what->has_rate), RH_INT(what->rate_per_s),
	    RH_BOOL(what->has_concurrency), RH_INT(what->concurrency),
	    RH_INT(rh_req_if_match(c->rq)));
	webhooks_repo_exists_send(c, id);
	changed = rh_pipe_row(c->pipe, webhook_shape, out);
	*exists = rh_pipe_int(c->pipe) == 1;
	return changed;
}

bool
webhooks_repo_rotate(struct rh_call *c, struct rh_uuid id,
    struct rh_slice sealed, struct webhook *out, bool *exists)
{
	bool rotated;

	rh_pipe_send(c->pipe, &webhooks_stmts[ROTATE], RH_EVENT_ARGS(c),
	    RH_UUID(id), RH_BYTES(sealed), RH_INT(rh_req_if_match(c->rq)));
	webhooks_repo_exists_send(c, id);
	rotated = rh_pipe_row(c->pipe, webhook_shape, out);
	*exists = rh_pipe_int(c->pipe) == 1;
	return rotated;
}

bool
webhooks_repo_remove(struct rh_call *c, struct rh_uuid id, bool *exists)
{
	bool removed;

	rh_pipe_send(c->pipe, &webhooks_stmts[REMOVE], RH_EVENT_ARGS(c),
	    RH_UUID(id), RH_INT(rh_req_if_match(c->rq)));
	webhooks_repo_exists_send(c, id);
	removed = rh_pipe_int(c->pipe) == 1;
	*exists = rh_pipe_int(c->pipe) == 1;
	return removed;
}

void
webhooks_repo_exists_send(struct rh_call *c, struct rh_uuid id)
{
	rh_pipe_send(c->pipe, &webhooks_stmts[EXISTS], RH_UUID(c->tenant),
	    RH_UUID(id));
}

bool
webhooks_repo_replay(struct rh_call *c, struct rh_uuid id,
    const struct webhook_since *what, struct webhook_replayed *out)
{
	rh_pipe_send(c->pipe, &webhooks_stmts[REPLAY], RH_EVENT_ARGS(c),
	    RH_UUID(id), RH_INT(RH_MAX(what->since, 0)),
	    RH_INT(what->until == RH_TIME_NONE ? INT64_MAX :
						 RH_MAX(what->until, 0)),
	    RH_TEXT(what->event_types));
	return rh_pipe_row(c->pipe, webhook_replayed_shape, out);
}
