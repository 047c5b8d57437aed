#include "config.h"

#include "inboxes/inboxes.h"

#include "serve/event.h"
#include "tenancy/authorize.h"

#define COLUMNS                                                                   \
	"id, name, sealed, forward_url, answer_status, answer_type, answer_body," \
	" quota, expires_at, created_at, updated_at, version"
/* What anybody may see who sees events: neither secret nor where it goes. */
#define TOLD "to_jsonb(x) - '{sealed,forward_url}'::text[]"

enum { PAGE, SHOW, CREATE, UPDATE, DELETE, EXISTS };

/* clang-format off */
struct rh_stmt inboxes_stmts[] = {
	[PAGE] = { .name = "inboxes.page", .sql =
	    "select " COLUMNS " from inboxes"
	    " where tenant_id = $1"
	    "   and (created_at, id) < ($2, $3)"
	    " order by created_at desc, id desc"
	    " limit $4" },
	[SHOW] = { .name = "inboxes.show", .sql =
	    "select " COLUMNS " from inboxes where tenant_id = $1 and id = $2" },
	[CREATE] = { .name = "inboxes.create", .sql =
	    "with x as ("
	    "  insert into inboxes (tenant_id, id, name, sha256, sealed, forward_url,"
	    "    answer_status, answer_type, answer_body, quota, expires_at)"
	    "  select $1, $6::uuid, coalesce($7::text, ''), $8::bytea, $9::bytea, $10::text,"
	    "    coalesce(nullif($11::bigint, 0), 200), coalesce($12::text, 'text/plain'),"
	    "    coalesce($13::text, ''), least(coalesce(nullif($14::bigint, 0), $15::bigint), $15),"
	    "    case when $16::bigint > 0 then now() + $16 * interval '1 s' end"
	    "  where (select count(*) from inboxes where tenant_id = $1) < $17::bigint"
	    "  returning " COLUMNS
	    "), e as (" RH_EVENT("inbox.created", "x", "x.id", TOLD) ")"
	    " select * from x" },
	[UPDATE] = { .name = "inboxes.update", .sql =
	    "with x as ("
	    "  update inboxes"
	    "  set name = coalesce($7, name),"
	    "    forward_url = case when $8 then $9 else forward_url end,"
	    "    answer_status = coalesce(nullif($10::bigint, 0), answer_status),"
	    "    answer_type = coalesce($11, answer_type), answer_body = coalesce($12, answer_body),"
	    "    quota = least(coalesce(nullif($13::bigint, 0), quota), $14::bigint),"
	    "    expires_at = case when not $15 then expires_at"
	    "      when $16::bigint > 0 then now() + $16 * interval '1 s' end,"
	    "    updated_at = now(), version = version + 1"
	    "  where tenant_id = $1 and id = $6 and ($17::bigint = 0 or version = $17)"
	    "  returning " COLUMNS
	    "), e as (" RH_EVENT("inbox.updated", "x", "x.id", TOLD) ")"
	    " select * from x" },
	[DELETE] = { .name = "inboxes.delete", .sql =
	    "with x as ("
	    "  delete from inboxes"
	    "  where tenant_id = $1 and id = $6 and ($7::bigint = 0 or version = $7)"
	    "  returning " COLUMNS
	    "), e as (" RH_EVENT("inbox.deleted", "x", "x.id", TOLD) ")"
	    " select 1 from x" },
	[EXISTS] = { .name = "inboxes.exists", .sql =
	    "select 1 from inboxes where tenant_id = $1 and id = $2" },
	{ 0 }
};
/* clang-format on */

static struct rh_arg
type_arg(int type)
{
	return RH_TEXT(rh_slice_of(type < 0 ? NULL : inbox_answer_types[type]));
}

void
inboxes_repo_page(struct rh_call *c, const struct inboxes_query *q,
    struct inboxes_page *out)
{
	const struct rh_paging *p = &q->paging;

	rh_pipe_send(c->pipe, &inboxes_stmts[PAGE], RH_UUID(c->tenant),
	    RH_TIME(p->after.at), RH_UUID(p->after.id), RH_INT(p->limit + 1));
	out->n = rh_pipe_rows(c->pipe, inbox_columns, sizeof(*out->rows),
	    &out->rows);
}

bool
inboxes_repo_get(struct rh_call *c, struct rh_uuid id, struct inbox *out)
{
	rh_pipe_send(c->pipe, &inboxes_stmts[SHOW], RH_UUID(c->tenant),
	    RH_UUID(id));
	return rh_pipe_row(c->pipe, inbox_columns, out);
}

bool
inboxes_repo_create(struct rh_call *c, struct rh_uuid id,
    const struct inbox_change *what, const struct inbox_secret *secret,
    struct inbox *out)
{
	rh_pipe_send(c->pipe, &inboxes_stmts[CREATE], RH_EVENT_ARGS(c),
	    RH_UUID(id), RH_TEXT(what->name), RH_HASH(&secret->token),
	    RH_BYTES(secret->sealed), RH_TEXT(what->forward_url),
	    RH_INT(what->answer_status), type_arg(what->answer_type),
	    RH_TEXT(what->answer_body), RH_INT(what->quota),
	    RH_INT(c->conf->inbox_requests_max), RH_INT(what->ttl_s),
	    RH_INT(c->conf->inboxes_max));
	return rh_pipe_row(c->pipe, inbox_columns, out);
}

bool
inboxes_repo_update(struct rh_call *c, struct rh_uuid id,
    const struct inbox_change *what, struct inbox *out, bool *exists)
{
	bool changed;

	rh_pipe_send(c->pipe, &inboxes_stmts[UPDATE], RH_EVENT_ARGS(c),
	    RH_UUID(id), RH_TEXT(what->name), RH_BOOL(what->has_forward_url),
	    RH_TEXT(what->forward_url), RH_INT(what->answer_status),
	    type_arg(what->answer_type), RH_TEXT(what->answer_body),
	    RH_INT(what->quota), RH_INT(c->conf->inbox_requests_max),
	    RH_BOOL(what->has_ttl), RH_INT(what->ttl_s),
	    RH_INT(rh_req_if_match(c->rq)));
	inboxes_repo_exists_send(c, id);
	changed = rh_pipe_row(c->pipe, inbox_columns, out);
	*exists = rh_pipe_int(c->pipe) == 1;
	return changed;
}

bool
inboxes_repo_delete(struct rh_call *c, struct rh_uuid id, bool *exists)
{
	bool deleted;

	rh_pipe_send(c->pipe, &inboxes_stmts[DELETE], RH_EVENT_ARGS(c),
	    RH_UUID(id), RH_INT(rh_req_if_match(c->rq)));
	inboxes_repo_exists_send(c, id);
	deleted = rh_pipe_int(c->pipe) == 1;
	*exists = rh_pipe_int(c->pipe) == 1;
	return deleted;
}

void
inboxes_repo_exists_send(struct rh_call *c, struct rh_uuid id)
{
	rh_pipe_send(c->pipe, &inboxes_stmts[EXISTS], RH_UUID(c->tenant),
	    RH_UUID(id));
}
