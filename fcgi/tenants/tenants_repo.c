#include "config.h"

#include "tenants/tenants.h"

#include "serve/event.h"

#define COLUMNS	"id, slug, name, created_at, updated_at, version"

enum { SHOW, UPDATE, DELETE };

/* clang-format off */
struct rh_stmt tenants_stmts[] = {
	[SHOW] = { .name = "tenants.show", .sql =
	    "select " COLUMNS " from tenants where id = $1" },
	[UPDATE] = { .name = "tenants.update", .sql =
	    "with x as ("
	    "  update tenants set name = coalesce($6, name), updated_at = now(), version = version + 1"
	    "  where id = $1 and ($7::bigint = 0 or version = $7)"
	    "  returning " COLUMNS
	    "), e as (" RH_EVENT("tenant.updated", "x", "x.id", "to_jsonb(x)") ")"
	    " select * from x" },
	[DELETE] = { .name = "tenants.delete", .sql =
	    "with x as ("
	    "  update tenants set deleted_at = now(), updated_at = now(), version = version + 1"
	    "  where id = $1 and ($6::bigint = 0 or version = $6)"
	    "  returning " COLUMNS
	    "), k as (delete from api_keys where tenant_id = $1 and exists (select from x)"
	    "), e as (" RH_EVENT("tenant.deleted", "x", "x.id", "to_jsonb(x)") ")"
	    " select 1 from x" },
	{ 0 }
};
/* clang-format on */

bool
tenants_repo_get(struct rh_call *c, struct tenant *out)
{
	rh_pipe_send(c->pipe, &tenants_stmts[SHOW], RH_UUID(c->tenant));
	return rh_pipe_row(c->pipe, tenant_shape, out);
}

bool
tenants_repo_update(struct rh_call *c, struct rh_slice name, struct tenant *out)
{
	rh_pipe_send(c->pipe, &tenants_stmts[UPDATE], RH_EVENT_ARGS(c),
	    RH_TEXT(name), RH_INT(rh_req_if_match(c->rq)));
	return rh_pipe_row(c->pipe, tenant_shape, out);
}

bool
tenants_repo_delete(struct rh_call *c)
{
	rh_pipe_send(c->pipe, &tenants_stmts[DELETE], RH_EVENT_ARGS(c),
	    RH_INT(rh_req_if_match(c->rq)));
	return rh_pipe_int(c->pipe) == 1;
}
