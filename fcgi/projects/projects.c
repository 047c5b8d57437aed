/*
 * projects - what a tenant can do with its projects.
 */
#include "config.h"

#include "projects/projects.h"

#define T "/v1/t/{tenant}"

enum { NAME_MAX_CHARS = 200, DESCRIPTION_MAX_CHARS = 10000 };

const char *const project_statuses[] = {
	[PROJECT_ACTIVE] = "active", [PROJECT_ARCHIVED] = "archived", NULL
};

/* clang-format off */
const struct rh_field project_shape[] = {
	{ RH_FIELD("id", UUID, struct project, id) },
	{ RH_FIELD("name", TEXT, struct project, name) },
	{ RH_FIELD("description", TEXT, struct project, description) },
	{ RH_FIELD("status", ENUM, struct project, status), .names = project_statuses },
	{ RH_FIELD("created_at", TIME, struct project, created_at) },
	{ RH_FIELD("updated_at", TIME, struct project, updated_at) },
	{ RH_FIELD("version", INT, struct project, version) },
	{ 0 }
};

static const struct rh_field change_shape[] = {
	{ RH_FIELD("name", TEXT, struct project_change, name),
	  .flags = RH_F_REQUIRED | RH_F_LINE, .min = 1, .max = NAME_MAX_CHARS },
	{ RH_FIELD("description", TEXT, struct project_change, description),
	  .max = DESCRIPTION_MAX_CHARS },
	{ RH_FIELD("status", ENUM, struct project_change, status), .names = project_statuses },
	{ 0 }
};

static const struct rh_field list_params[] = {
	{ RH_FIELD("status", ENUM, struct projects_query, status), .names = project_statuses,
	  .doc = "only those" },
	RH_PAGING_FIELDS(struct projects_query, paging),
	{ 0 }
};
/* clang-format on */

struct rh_err *
project_missing(struct rh_call *c)
{
	return rh_call_missing(c, "project.missing", "There is no such project.");
}

/* GET /v1/t/{tenant}/projects?status=&limit=&cursor=	200 page of project | 400 */
static struct rh_err *
projects_list(struct rh_call *c)
{
	struct projects_query q = { -1, { .limit = RH_PAGE_DEFAULT } };
	struct projects_page page;
	struct rh_err *err;

	if ((err = rh_call_query(c, &q)) ||
	    (err = rh_call_paging(c, &q.paging, (uint64_t)(q.status + 1))))
		return err;
	projects_repo_page(c, &q, &page);
	return rh_call_reply_page(c, &q.paging, &(struct rh_page_of){
	    page.rows, page.n, sizeof(*page.rows),
	    offsetof(struct project, created_at), offsetof(struct project, id) });
}

/* POST /v1/t/{tenant}/projects {name,description?,status?}	201 project | 422 */
static struct rh_err *
projects_create(struct rh_call *c)
{
	struct project_change what = { .status = -1 };
	struct project project = { .version = 1 };
	struct rh_err *err;

	if ((err = rh_call_body(c, &what, NULL)))
		return err;
	projects_repo_create(c, &what, &project);
	return rh_reply_created(c->rq, project_shape, &project,
	    rh_call_location(c, project.id), project.version);
}

/* GET /v1/t/{tenant}/projects/{id}	200 project | 304 404 */
static struct rh_err *
projects_show(struct rh_call *c)
{
	struct project project;
	struct rh_uuid id;
	struct rh_err *err;

	if ((err = rh_req_uuid(c->rq, "id", &id)))
		return err;
	if (!projects_repo_get(c, id, &project))
		return project_missing(c);
	return rh_reply_one(c->rq, project_shape, &project, project.version);
}

/* PATCH /v1/t/{tenant}/projects/{id}	200 project | 404 412 422 */
static struct rh_err *
projects_update(struct rh_call *c)
{
	struct project_change what = { .status = -1 };
	struct project project;
	struct rh_uuid id;
	struct rh_err *err;
	bool exists;

	if ((err = rh_req_uuid(c->rq, "id", &id)) ||
	    (err = rh_call_body(c, &what, NULL)))
		return err;
	if (!projects_repo_update(c, id, &what, &project, &exists))
		return rh_call_unchanged(c, exists, "project.missing",
		    "There is no such project.");
	return rh_reply_one(c->rq, project_shape, &project, project.version);
}

/* DELETE /v1/t/{tenant}/projects/{id}	204 | 404 412 */
static struct rh_err *
projects_delete(struct rh_call *c)
{
	struct rh_uuid id;
	struct rh_err *err;
	bool exists;

	if ((err = rh_req_uuid(c->rq, "id", &id)))
		return err;
	if (!projects_repo_delete(c, id, &exists))
		return rh_call_unchanged(c, exists, "project.missing",
		    "There is no such project.");
	return rh_reply_none(c->rq);
}

/* clang-format off */
static const struct rh_route routes[] = {
	{ .method = RH_GET, .template = T "/projects", .role = RH_VIEWER, .handler = projects_list,
	  .rate = RH_RATE_READ, .params = list_params, .answer = RH_ANSWER_PAGE,
	  .shape = project_shape, .cache = "projects", .summary = "List projects, the newest first" },
	{ .method = RH_POST, .template = T "/projects", .role = RH_MEMBER, .handler = projects_create,
	  .rate = RH_RATE_WRITE, .body = change_shape, .answer = RH_ANSWER_CREATED,
	  .shape = project_shape, .flags = RH_ROUTE_ETAG, .drops = { "projects" }, .summary = "Create a project" },
	{ .method = RH_GET, .template = T "/projects/{id}", .role = RH_VIEWER, .handler = projects_show,
	  .rate = RH_RATE_READ, .shape = project_shape, .flags = RH_ROUTE_ETAG,
	  .summary = "Read a project" },
	{ .method = RH_PATCH, .template = T "/projects/{id}", .role = RH_MEMBER, .handler = projects_update,
	  .rate = RH_RATE_WRITE, .body = change_shape, .shape = project_shape,
	  .flags = RH_ROUTE_ETAG | RH_ROUTE_MERGE, .drops = { "projects" }, .summary = "Change a project" },
	{ .method = RH_DELETE, .template = T "/projects/{id}", .role = RH_MEMBER, .handler = projects_delete,
	  .rate = RH_RATE_WRITE, .answer = RH_ANSWER_NONE, .flags = RH_ROUTE_ETAG,
	  .drops = { "projects", "tasks" }, .summary = "Delete a project and its tasks" },
	{ 0 }
};
/* clang-format on */

const struct rh_resource projects_resource = {
	.name = "projects", .routes = routes, .stmts = projects_stmts,
};
