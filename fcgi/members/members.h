/*
 * members - who belongs to a tenant, and as what.
 *
 * Shape    struct member is a membership with its user; id is the user's
 * Errors   member.missing 404, role.above_own 403, member.last_owner 409
 */
#ifndef MEMBERS_MEMBERS_H
#define MEMBERS_MEMBERS_H

#include "serve/app.h"

struct member {
	struct rh_uuid user_id;
	struct rh_slice email;
	struct rh_slice name;
	int role;
	int64_t created_at, updated_at;
	int64_t version;
};

struct members_query {
	struct rh_paging paging;
};

struct members_page {
	struct member *rows;
	size_t n;
};

extern const struct rh_field member_shape[];
extern const struct rh_resource members_resource;
extern struct rh_stmt members_stmts[];

void members_repo_page(struct rh_call *c, const struct members_query *q,
    struct members_page *out);
bool members_repo_get(struct rh_call *c, struct rh_uuid user, struct member *out);
/* Both raise in the database what is against the rules (migrate/sql/0001). */
void members_repo_set_role(struct rh_call *c, struct rh_uuid user, int role,
    struct member *out);
void members_repo_remove(struct rh_call *c, struct rh_uuid user);

#endif
