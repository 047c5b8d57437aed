#include "config.h"

#include "members/members.h"

#include "serve/event.h"

#define COLUMNS	"m.user_id, u.email, u.name, m.role, m.created_at, m.updated_at, m.version"

enum { PAGE, SHOW, SET_ROLE, REMOVE };

/* clang-format off */
struct rh_stmt members_stmts[] = {
	[PAGE] = { .name = "members.page", .sql =
	    "select " COLUMNS " from memberships m join users u on u.id = m.user_id"
	    " where m.tenant_id = $1"
	    "   and (m.created_at, m.user_id) < ($2, $3)"
	    " order by m.created_at desc, m.user_id desc"
	    " limit $4" },
	[SHOW] = { .name = "members.show", .sql =
	    "select " COLUMNS " from memberships m join users u on u.id = m.user_id"
	    " where m.tenant_id = $1 and m.user_id = $2" },
	[SET_ROLE] = { .name = "members.set_role", .sql =
	    "with m as (select * from member_set_role($1, $6, $7, $8)),"
	    " x as (select " COLUMNS " from m join users u on u.id = m.user_id),"
	    " e as (" RH_EVENT("member.updated", "m", "m.user_id",
	    "jsonb_build_object('user_id', m.user_id, 'role', m.role, 'version', m.version)") ")"
	    " select * from x" },
	[REMOVE] = { .name = "members.remove", .sql =
	    "with m as (select * from member_remove($1, $6, $7)),"
	    " e as (" RH_EVENT("member.removed", "m", "m.user_id",
	    "jsonb_build_object('user_id', m.user_id, 'role', m.role)") ")"
	    " select 1 from m" },
	{ 0 }
};
/* clang-format on */

void
members_repo_page(struct rh_call *c, const struct members_query *q,
    struct members_page *out)
{
	const struct rh_paging *p = &q->paging;

	rh_pipe_send(c->pipe, &members_stmts[PAGE], RH_UUID(c->tenant),
	    RH_TIME(p->after.at), RH_UUID(p->after.id), RH_INT(p->limit + 1));
	out->n = rh_pipe_rows(c->pipe, member_shape, sizeof(*out->rows),
	    &out->rows);
}

bool
members_repo_get(struct rh_call *c, struct rh_uuid user, struct member *out)
{
	rh_pipe_send(c->pipe, &members_stmts[SHOW], RH_UUID(c->tenant),
	    RH_UUID(user));
	return rh_pipe_row(c->pipe, member_shape, out);
}

void
members_repo_set_role(struct rh_call *c, struct rh_uuid user, int role,
    struct member *out)
{
	rh_pipe_send(c->pipe, &members_stmts[SET_ROLE], RH_EVENT_ARGS(c),
	    RH_UUID(user), RH_INT(rh_req_if_match(c->rq)),
	    RH_TEXT(rh_slice_of(rh_role_names[role])));
	rh_pipe_row(c->pipe, member_shape, out);
}

void
members_repo_remove(struct rh_call *c, struct rh_uuid user)
{
	rh_pipe_send(c->pipe, &members_stmts[REMOVE], RH_EVENT_ARGS(c),
	    RH_UUID(user), RH_INT(rh_req_if_match(c->rq)));
	rh_pipe_done(c->pipe);
}
