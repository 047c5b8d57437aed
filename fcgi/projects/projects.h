/*
 * projects - what a tenant works on.
 *
 * Shape    struct project is a row and a JSON object; status active|archived
 * Errors   project.missing 404
 */
#ifndef PROJECTS_PROJECTS_H
#define PROJECTS_PROJECTS_H

#include "serve/app.h"

struct project {
	struct rh_uuid id;
	struct rh_slice name;
	struct rh_slice description;
	int status;
	int64_t created_at, updated_at;
	int64_t version;
};

enum { PROJECT_ACTIVE, PROJECT_ARCHIVED };
extern const char *const project_statuses[];
extern const struct rh_field project_shape[];

struct projects_query {
	int status;		/* -1: any */
	struct rh_paging paging;
};

/* What a POST or PATCH may say; p == NULL and -1 are "not said". */
struct project_change {
	struct rh_slice name;
	struct rh_slice description;
	int status;
};

struct projects_page {
	struct project *rows;
	size_t n;
};

extern const struct rh_resource projects_resource;
extern struct rh_stmt projects_stmts[];

void projects_repo_page(struct rh_call *c, const struct projects_query *q,
    struct projects_page *out);
bool projects_repo_get(struct rh_call *c, struct rh_uuid id,
    struct project *out);
void projects_repo_create(struct rh_call *c, const struct project_change *what,
    struct project *out);
/* False with *exists: no row of that id, or not of that version. */
bool projects_repo_update(struct rh_call *c, struct rh_uuid id,
    const struct project_change *what, struct project *out, bool *exists);
bool projects_repo_delete(struct rh_call *c, struct rh_uuid id, bool *exists);
/* Queued; read with rh_pipe_int: 1 where it is there. */
void projects_repo_exists_send(struct rh_call *c, struct rh_uuid id);

struct rh_err *project_missing(struct rh_call *c);

#endif
