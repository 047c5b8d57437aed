/*
 * tasks - what is to be done in a project.
 *
 * Shape    struct task is a row and a JSON object; status open|doing|done
 * Errors   task.missing 404, project.missing 404 of its parent,
 *          task.assignee_unknown 422
 */
#ifndef TASKS_TASKS_H
#define TASKS_TASKS_H

#include "serve/app.h"

struct task {
	struct rh_uuid id;
	struct rh_uuid project_id;
	struct rh_slice title;
	struct rh_slice body;
	int status;
	struct rh_uuid assignee_id;
	int64_t due_at;
	int64_t created_at, updated_at;
	int64_t version;
};

enum { TASK_OPEN, TASK_DOING, TASK_DONE };
extern const char *const task_statuses[];
extern const struct rh_field task_shape[];

struct tasks_query {
	int status;			/* -1: any */
	struct rh_uuid assignee_id;	/* nil: anybody, or nobody */
	struct rh_slice q;		/* p == NULL: no search */
	struct rh_paging paging;
};

/* What a POST or PATCH may say, and which of the nullable ones were said. */
struct task_change {
	struct rh_slice title;
	struct rh_slice body;
	int status;
	struct rh_uuid assignee_id;
	int64_t due_at;
	bool has_body, has_assignee, has_due;
};

struct tasks_page {
	struct task *rows;
	size_t n;
};

extern const struct rh_resource tasks_resource;
extern struct rh_stmt tasks_stmts[];

void tasks_repo_page(struct rh_call *c, const struct tasks_query *q,
    struct tasks_page *out);
/* *parent: whether the project is there. */
void tasks_repo_page_of_project(struct rh_call *c, struct rh_uuid project,
    const struct tasks_query *q, struct tasks_page *out, bool *parent);
bool tasks_repo_get(struct rh_call *c, struct rh_uuid id, struct task *out);
void tasks_repo_create(struct rh_call *c, const struct task *what,
    struct task *out);
bool tasks_repo_update(struct rh_call *c, struct rh_uuid id,
    const struct task_change *what, struct task *out, bool *exists);
bool tasks_repo_delete(struct rh_call *c, struct rh_uuid id, bool *exists);

#endif
