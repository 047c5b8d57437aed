/*
 * tasks - what a tenant can do with its tasks.
 */
#include "config.h"

#include "tasks/tasks.h"

#include "base/crypto.h"
#include "projects/projects.h"

#define T "/v1/t/{tenant}"

enum { TITLE_MAX_CHARS = 300, BODY_MAX_CHARS = 50000, Q_MAX_CHARS = 200 };

const char *const task_statuses[] = {
	[TASK_OPEN] = "open", [TASK_DOING] = "doing", [TASK_DONE] = "done", NULL
};

/* clang-format off */
const struct rh_field task_shape[] = {
	{ RH_FIELD("id", UUID, struct task, id) },
	{ RH_FIELD("project_id", UUID, struct task, project_id) },
	{ RH_FIELD("title", TEXT, struct task, title) },
	{ RH_FIELD("body", TEXT, struct task, body), .flags = RH_F_NULLABLE },
	{ RH_FIELD("status", ENUM, struct task, status), .names = task_statuses },
	{ RH_FIELD("assignee_id", UUID, struct task, assignee_id), .flags = RH_F_NULLABLE },
	{ RH_FIELD("due_at", TIME, struct task, due_at), .flags = RH_F_NULLABLE },
	{ RH_FIELD("created_at", TIME, struct task, created_at) },
	{ RH_FIELD("updated_at", TIME, struct task, updated_at) },
	{ RH_FIELD("version", INT, struct task, version) },
	{ 0 }
};

enum { F_TITLE, F_BODY, F_STATUS, F_ASSIGNEE, F_DUE };
static const struct rh_field change_shape[] = {
	[F_TITLE] = { RH_FIELD("title", TEXT, struct task_change, title),
	  .flags = RH_F_REQUIRED | RH_F_LINE, .min = 1, .max = TITLE_MAX_CHARS },
	[F_BODY] = { RH_FIELD("body", TEXT, struct task_change, body),
	  .flags = RH_F_NULLABLE, .max = BODY_MAX_CHARS },
	[F_STATUS] = { RH_FIELD("status", ENUM, struct task_change, status), .names = task_statuses },
	[F_ASSIGNEE] = { RH_FIELD("assignee_id", UUID, struct task_change, assignee_id),
	  .flags = RH_F_NULLABLE, .doc = "a member of the tenant" },
	[F_DUE] = { RH_FIELD("due_at", TIME, struct task_change, due_at), .flags = RH_F_NULLABLE },
	{ 0 }
};

static const struct rh_field list_params[] = {
	{ RH_FIELD("status", ENUM, struct tasks_query, status), .names = task_statuses,
	  .doc = "only those" },
	{ RH_FIELD("assignee_id", UUID, struct tasks_query, assignee_id),
	  .doc = "only that member's" },
	{ RH_FIELD("q", TEXT, struct tasks_query, q), .min = 1, .max = Q_MAX_CHARS,
	  .doc = "only those with this in title or body, in whatever case" },
	RH_PAGING_FIELDS(struct tasks_query, paging),
	{ 0 }
};

static const struct rh_field page_params[] = {
	RH_PAGING_FIELDS(struct tasks_query, paging),
	{ 0 }
};
/* clang-format on */

static const struct tasks_query any = {
	.status = -1, .paging = { .limit = RH_PAGE_DEFAULT }
};

static struct rh_err *
task_missing(struct rh_call *c)
{
	return rh_call_missing(c, "task.missing", "There is no such task.");
}

static struct rh_err *
reply_page(struct rh_call *c, const struct tasks_query *q,
    const struct tasks_page *page)
{
	return rh_call_reply_page(c, &q->paging, &(struct rh_page_of){
	    page->rows, page->n, sizeof(*page->rows),
	    offsetof(struct task, created_at), offsetof(struct task, id) });
}

static uint64_t
filters_of(const struct tasks_query *q)
{
	return rh_hash64(q->q.p, q->q.n) ^
	    rh_hash64(q->assignee_id.b, sizeof(q->assignee_id.b)) ^
	    (uint64_t)(q->status + 1);
}

/* GET /v1/t/{tenant}/tasks?status=&assignee_id=&q=&limit=&cursor=	200 page of task | 400 */
static struct rh_err *
tasks_list(struct rh_call *c)
{
	struct tasks_query q = any;
	struct tasks_page page;
	struct rh_err *err;

	if ((err = rh_call_query(c, &q)) ||
	    (err = rh_call_paging(c, &q.paging, filters_of(&q))))
		return err;
	tasks_repo_page(c, &q, &page);
	return reply_page(c, &q, &page);
}

/* GET /v1/t/{tenant}/projects/{id}/tasks?limit=&cursor=	200 page of task | 400 404 */
static struct rh_err *
tasks_list_of_project(struct rh_call *c)
{
	struct tasks_query q = any;
	struct tasks_page page;
	struct rh_uuid project;
	struct rh_err *err;
	bool parent;

	if ((err = rh_req_uuid(c->rq, "id", &project)) ||
	    (err = rh_call_query(c, &q)) ||
	    (err = rh_call_paging(c, &q.paging, 0)))
		return err;
	tasks_repo_page_of_project(c, project, &q, &page, &parent);
	return parent ? reply_page(c, &q, &page) : project_missing(c);
}

static struct rh_err *
change_read(struct rh_call *c, struct task_change *what)
{
	struct rh_given given;
	struct rh_err *err;

	*what = (struct task_change){ .status = -1, .due_at = RH_TIME_NONE };
	if ((err = rh_call_body(c, what, &given)))
		return err;
	what->has_body = rh_given_has(given, F_BODY);
	what->has_assignee = rh_given_has(given, F_ASSIGNEE);
	what->has_due = rh_given_has(given, F_DUE);
	return NULL;
}

/* A task stands under /tasks, wherever it was created. */
static struct rh_slice
location(struct rh_call *c, struct rh_uuid id)
{
	char text[RH_UUID_LEN];
	struct rh_buf b;

	rh_uuid_put(text, id);
	rh_buf_init(&b, c->arena, 128, 128);
	rh_buf_lit(&b, "/v1/t/");
	rh_buf_slice(&b, c->tenant_slug);
	rh_buf_lit(&b, "/tasks/");
	rh_buf_put(&b, text, sizeof(text));
	return rh_buf_get(&b);
}

/* POST /v1/t/{tenant}/projects/{id}/tasks {title,...}	201 task | 404 422 */
static struct rh_err *
tasks_create(struct rh_call *c)
{
	struct task task = { .version = 1 }, new;
	struct task_change what;
	struct rh_uuid project;
	struct rh_err *err;

	if ((err = rh_req_uuid(c->rq, "id", &project)) ||
	    (err = change_read(c, &what)))
		return err;
	new = (struct task){ rh_uuid_v7(), project, what.title, what.body,
		what.status < 0 ? TASK_OPEN : what.status, what.assignee_id,
		what.due_at, RH_TIME_NONE, RH_TIME_NONE, 1 };
	tasks_repo_create(c, &new, &task);
	return rh_reply_created(c->rq, task_shape, &task,
	    location(c, task.id), task.version);
}

/* GET /v1/t/{tenant}/tasks/{id}	200 task | 304 404 */
static struct rh_err *
tasks_show(struct rh_call *c)
{
	struct task task;
	struct rh_uuid id;
	struct rh_err *err;

	if ((err = rh_req_uuid(c->rq, "id", &id)))
		return err;
	if (!tasks_repo_get(c, id, &task))
		return task_missing(c);
	return rh_reply_one(c->rq, task_shape, &task, task.version);
}

/* PATCH /v1/t/{tenant}/tasks/{id}	200 task | 404 412 422 */
static struct rh_err *
tasks_update(struct rh_call *c)
{
	struct task_change what;
	struct task task;
	struct rh_uuid id;
	struct rh_err *err;
	bool exists;

	if ((err = rh_req_uuid(c->rq, "id", &id)) ||
	    (err = change_read(c, &what)))
		return err;
	if (!tasks_repo_update(c, id, &what, &task, &exists))
		return rh_call_unchanged(c, exists, "task.missing",
		    "There is no such task.");
	return rh_reply_one(c->rq, task_shape, &task, task.version);
}

/* DELETE /v1/t/{tenant}/tasks/{id}	204 | 404 412 */
static struct rh_err *
tasks_delete(struct rh_call *c)
{
	struct rh_uuid id;
	struct rh_err *err;
	bool exists;

	if ((err = rh_req_uuid(c->rq, "id", &id)))
		return err;
	if (!tasks_repo_delete(c, id, &exists))
		return rh_call_unchanged(c, exists, "task.missing",
		    "There is no such task.");
	return rh_reply_none(c->rq);
}

/* clang-format off */
static const struct rh_route routes[] = {
	{ .method = RH_GET, .template = T "/projects/{id}/tasks", .role = RH_VIEWER,
	  .handler = tasks_list_of_project, .rate = RH_RATE_READ, .params = page_params,
	  .answer = RH_ANSWER_PAGE, .shape = task_shape, .cache = "tasks", .summary = "List a project's tasks, the newest first" },
	{ .method = RH_POST, .template = T "/projects/{id}/tasks", .role = RH_MEMBER,
	  .handler = tasks_create, .rate = RH_RATE_WRITE, .body = change_shape,
	  .answer = RH_ANSWER_CREATED, .shape = task_shape, .flags = RH_ROUTE_ETAG, .drops = { "tasks" }, .summary = "Create a task" },
	{ .method = RH_GET, .template = T "/tasks", .role = RH_VIEWER, .handler = tasks_list,
	  .rate = RH_RATE_READ, .params = list_params, .answer = RH_ANSWER_PAGE, .shape = task_shape,
	  .cache = "tasks", .summary = "List and search tasks of all projects" },
	{ .method = RH_GET, .template = T "/tasks/{id}", .role = RH_VIEWER, .handler = tasks_show,
	  .rate = RH_RATE_READ, .shape = task_shape, .flags = RH_ROUTE_ETAG, .summary = "Read a task" },
	{ .method = RH_PATCH, .template = T "/tasks/{id}", .role = RH_MEMBER, .handler = tasks_update,
	  .rate = RH_RATE_WRITE, .body = change_shape, .shape = task_shape,
	  .flags = RH_ROUTE_ETAG | RH_ROUTE_MERGE, .drops = { "tasks" }, .summary = "Change a task" },
	{ .method = RH_DELETE, .template = T "/tasks/{id}", .role = RH_MEMBER, .handler = tasks_delete,
	  .rate = RH_RATE_WRITE, .answer = RH_ANSWER_NONE, .flags = RH_ROUTE_ETAG, .drops = { "tasks" }, .summary = "Delete a task" },
	{ 0 }
};

static const struct rh_pg_constraint constraints[] = {
	{ "tasks_project", RH_E_MISSING, "project.missing", "There is no such project.", NULL },
	{ "tasks_assignee", RH_E_INVALID, "task.assignee_unknown",
	  "The assignee is no member of the tenant.", "/assignee_id" },
	{ 0 }
};
/* clang-format on */

const struct rh_resource tasks_resource = {
	.name = "tasks", .routes = routes, .stmts = tasks_stmts,
	.constraints = constraints,
};
