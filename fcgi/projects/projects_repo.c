#include "config.h"

#include "projects/projects.h"

#include "serve/event.h"

#define COLUMNS	"id, name, description, status, created_at, updated_at, version"

enum { PAGE, PAGE_STATUS, SHOW, CREATE, UPDATE, DELETE, EXISTS };

/* clang-format off */
struct rh_stmt projects_stmts[] = {
	[PAGE] = { .name = "projects.page", .sql =
	    "select " COLUMNS " from projects"
	    " where tenant_id = $1"
	    "   and (created_at, id) < ($2, $3)"	/* last row seen; 'infinity' at first */
	    " order by created_at desc, id desc"
	    " limit $4" },
	[PAGE_STATUS] = { .name = "projects.page_status", .sql =
	    "select " COLUMNS " from projects"
	    " where tenant_id = $1"
	    "   and status = $5"
	    "   and (created_at, id) < ($2, $3)"
	    " order by created_at desc, id desc"
	    " limit $4" },
	[SHOW] = { .name = "projects.show", .sql =
	    "select " COLUMNS " from projects where tenant_id = $1 and id = $2" },
	[CREATE] = { .name = "projects.create", .sql =
	    "with x as ("
	    "  insert into projects (tenant_id, id, name, description, status)"
	    "  values ($1, $6, $7, coalesce($8, ''), coalesce($9, 'active'))"
	    "  returning " COLUMNS
	    "), e as (" RH_EVENT("project.created", "x", "x.id", "to_jsonb(x)") ")"
	    " select * from x" },
	[UPDATE] = { .name = "projects.update", .sql =
	    "with x as ("
	    "  update projects"
	    "  set name = coalesce($7, name), description = coalesce($8, description),"
	    "    status = coalesce($9, status), updated_at = now(), version = version + 1"
	    "  where tenant_id = $1 and id = $6 and ($10::bigint = 0 or version = $10)"
	    "  returning " COLUMNS
	    "), e as (" RH_EVENT("project.updated", "x", "x.id", "to_jsonb(x)") ")"
	    " select * from x" },
	[DELETE] = { .name = "projects.delete", .sql =
	    "with x as ("
	    "  delete from projects"
	    "  where tenant_id = $1 and id = $6 and ($7::bigint = 0 or version = $7)"
	    "  returning " COLUMNS
	    "), e as (" RH_EVENT("project.deleted", "x", "x.id", "to_jsonb(x)") ")"
	    " select 1 from x" },
	[EXISTS] = { .name = "projects.exists", .sql =
	    "select 1 from projects where tenant_id = $1 and id = $2" },
	{ 0 }
};
/* clang-format on */

static struct rh_arg
status_arg(int status)
{
	return RH_TEXT(rh_slice_of(status < 0 ? NULL : project_statuses[status]));
}

void
projects_repo_page(struct rh_call *c, const struct projects_query *q,
    struct projects_page *out)
{
	const struct rh_paging *p = &q->paging;

	if (q->status < 0)
		rh_pipe_send(c->pipe, &projects_stmts[PAGE], RH_UUID(c->tenant),
		    RH_TIME(p->after.at), RH_UUID(p->after.id),
		    RH_INT(p->limit + 1));
	else
		rh_pipe_send(c->pipe, &projects_stmts[PAGE_STATUS],
		    RH_UUID(c->tenant), RH_TIME(p->after.at),
		    RH_UUID(p->after.id), RH_INT(p->limit + 1),
		    status_arg(q->status));
	out->n = rh_pipe_rows(c->pipe, project_shape, sizeof(*out->rows),
	    &out->rows);
}

bool
projects_repo_get(struct rh_call *c, struct rh_uuid id, struct project *out)
{
	rh_pipe_send(c->pipe, &projects_stmts[SHOW], RH_UUID(c->tenant),
	    RH_UUID(id));
	return rh_pipe_row(c->pipe, project_shape, out);
}

void
projects_repo_create(struct rh_call *c, const struct project_change *what,
    struct project *out)
{
	rh_pipe_send(c->pipe, &projects_stmts[CREATE], RH_EVENT_ARGS(c),
	    RH_UUID(rh_uuid_v7()), RH_TEXT(what->name),
	    RH_TEXT(what->description), status_arg(what->status));
	rh_pipe_row(c->pipe, project_shape, out);
}

bool
projects_repo_update(struct rh_call *c, struct rh_uuid id,
    const struct project_change *what, struct project *out, bool *exists)
{
	bool changed;

	rh_pipe_send(c->pipe, &projects_stmts[UPDATE], RH_EVENT_ARGS(c),
	    RH_UUID(id), RH_TEXT(what->name), RH_TEXT(what->description),
	    status_arg(what->status), RH_INT(rh_req_if_match(c->rq)));
	projects_repo_exists_send(c, id);
	changed = rh_pipe_row(c->pipe, project_shape, out);
	*exists = rh_pipe_int(c->pipe) == 1;
	return changed;
}

bool
projects_repo_delete(struct rh_call *c, struct rh_uuid id, bool *exists)
{
	bool deleted;

	rh_pipe_send(c->pipe, &projects_stmts[DELETE], RH_EVENT_ARGS(c),
	    RH_UUID(id), RH_INT(rh_req_if_match(c->rq)));
	projects_repo_exists_send(c, id);
	deleted = rh_pipe_int(c->pipe) == 1;
	*exists = rh_pipe_int(c->pipe) == 1;
	return deleted;
}

void
projects_repo_exists_send(struct rh_call *c, struct rh_uuid id)
{
	rh_pipe_send(c->pipe, &projects_stmts[EXISTS], RH_UUID(c->tenant),
	    RH_UUID(id));
}
