#include "config.h"

#include "api_keys/api_keys.h"

#include "serve/event.h"
#include "tenancy/authorize.h"

#define COLUMNS	"id, name, role, created_by, expires_at, created_at, updated_at, version"

enum { PAGE, SHOW, CREATE, ROTATE, REVOKE, STATE };

/* clang-format off */
struct rh_stmt api_keys_stmts[] = {
	[PAGE] = { .name = "api_keys.page", .sql =
	    "select " COLUMNS " from api_keys"
	    " where tenant_id = $1"
	    "   and (created_at, id) < ($2, $3)"
	    " order by created_at desc, id desc"
	    " limit $4" },
	[SHOW] = { .name = "api_keys.show", .sql =
	    "select " COLUMNS " from api_keys where tenant_id = $1 and id = $2" },
	[CREATE] = { .name = "api_keys.create", .sql =
	    "with x as ("
	    "  insert into api_keys (tenant_id, id, name, role, created_by, sha256, expires_at)"
	    "  select $1, $6::uuid, $7::text, $8::member_role, actor_id(), $9::bytea, $10::timestamptz"
	    "  where $8::member_role <= actor_role()"
	    "  returning " COLUMNS
	    "), e as (" RH_EVENT("api_key.created", "x", "x.id", "to_jsonb(x)") ")"
	    " select * from x" },
	[ROTATE] = { .name = "api_keys.rotate", .sql =
	    "with x as ("
	    "  update api_keys set sha256 = $7, updated_at = now(), version = version + 1"
	    "  where tenant_id = $1 and id = $6 and role <= actor_role()"
	    "    and ($8::bigint = 0 or version = $8)"
	    "  returning " COLUMNS
	    "), e as (" RH_EVENT("api_key.rotated", "x", "x.id", "to_jsonb(x)") ")"
	    " select * from x" },
	[REVOKE] = { .name = "api_keys.revoke", .sql =
	    "with x as ("
	    "  delete from api_keys"
	    "  where tenant_id = $1 and id = $6 and role <= actor_role()"
	    "    and ($7::bigint = 0 or version = $7)"
	    "  returning " COLUMNS
	    "), e as (" RH_EVENT("api_key.revoked", "x", "x.id", "to_jsonb(x)") ")"
	    " select 1 from x" },
	[STATE] = { .name = "api_keys.state", .sql =
	    "select case when role > actor_role() then 2 else 1 end from api_keys"
	    " where tenant_id = $1 and id = $2" },
	{ 0 }
};
/* clang-format on */

void
api_keys_repo_page(struct rh_call *c, const struct api_keys_query *q,
    struct api_keys_page *out)
{
	const struct rh_paging *p = &q->paging;

	rh_pipe_send(c->pipe, &api_keys_stmts[PAGE], RH_UUID(c->tenant),
	    RH_TIME(p->after.at), RH_UUID(p->after.id), RH_INT(p->limit + 1));
	out->n = rh_pipe_rows(c->pipe, api_key_shape, sizeof(*out->rows),
	    &out->rows);
}

bool
api_keys_repo_get(struct rh_call *c, struct rh_uuid id, struct api_key *out)
{
	rh_pipe_send(c->pipe, &api_keys_stmts[SHOW], RH_UUID(c->tenant),
	    RH_UUID(id));
	return rh_pipe_row(c->pipe, api_key_shape, out);
}

bool
api_keys_repo_create(struct rh_call *c, const struct api_key_new *what,
    const struct rh_token *token, struct api_key *out)
{
	rh_pipe_send(c->pipe, &api_keys_stmts[CREATE], RH_EVENT_ARGS(c),
	    RH_UUID(rh_uuid_v7()), RH_TEXT(what->name),
	    RH_TEXT(rh_slice_of(rh_role_names[what->role])), RH_HASH(token),
	    RH_TIME(what->expires_at));
	return rh_pipe_row(c->pipe, api_key_shape, out);
}

static void
state_read(struct rh_call *c, struct api_key_state *state)
{
	int64_t said = rh_pipe_int(c->pipe);

	state->exists = said != 0;
	state->above = said == 2;
}

static void
state_send(struct rh_call *c, struct rh_uuid id)
{
	rh_pipe_send(c->pipe, &api_keys_stmts[STATE], RH_UUID(c->tenant),
	    RH_UUID(id));
}

bool
api_keys_repo_rotate(struct rh_call *c, struct rh_uuid id,
    const struct rh_token *token, struct api_key *out,
    struct api_key_state *state)
{
	bool rotated;

	rh_pipe_send(c->pipe, &api_keys_stmts[ROTATE], RH_EVENT_ARGS(c),
	    RH_UUID(id), RH_HASH(token), RH_INT(rh_req_if_match(c->rq)));
	state_send(c, id);
	rotated = rh_pipe_row(c->pipe, api_key_shape, out);
	state_read(c, state);
	return rotated;
}

bool
api_keys_repo_revoke(struct rh_call *c, struct rh_uuid id,
    struct api_key_state *state)
{
	bool revoked;

	rh_pipe_send(c->pipe, &api_keys_stmts[REVOKE], RH_EVENT_ARGS(c),
	    RH_UUID(id), RH_INT(rh_req_if_match(c->rq)));
	state_send(c, id);
	revoked = rh_pipe_int(c->pipe) == 1;
	state_read(c, state);
	return revoked;
}
