/*
 * tenants - the tenant itself.
 *
 * Shape    struct tenant is a row and a JSON object; the slug never changes
 * Errors   tenant.missing 404, by authorization
 */
#ifndef TENANTS_TENANTS_H
#define TENANTS_TENANTS_H

#include "serve/app.h"

struct tenant {
	struct rh_uuid id;
	struct rh_slice slug;
	struct rh_slice name;
	int64_t created_at, updated_at;
	int64_t version;
};

#define TENANT_NAME_MAX_CHARS 200

extern const struct rh_field tenant_shape[];
extern const struct rh_resource tenants_resource;
extern struct rh_stmt tenants_stmts[];

bool tenants_repo_get(struct rh_call *c, struct tenant *out);
/* False: another version. name p == NULL: as it is. */
bool tenants_repo_update(struct rh_call *c, struct rh_slice name,
    struct tenant *out);
/* Its keys go at once, its members are refused from then on; its rows stay. */
bool tenants_repo_delete(struct rh_call *c);

#endif
