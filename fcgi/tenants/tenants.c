/*
 * tenants - what an owner can do with the tenant itself.
 */
#include "config.h"

#include "tenants/tenants.h"

#define T "/v1/t/{tenant}"

struct tenant_change {
	struct rh_slice name;
};

/* clang-format off */
const struct rh_field tenant_shape[] = {
	{ RH_FIELD("id", UUID, struct tenant, id) },
	{ RH_FIELD("slug", TEXT, struct tenant, slug) },
	{ RH_FIELD("name", TEXT, struct tenant, name) },
	{ RH_FIELD("created_at", TIME, struct tenant, created_at) },
	{ RH_FIELD("updated_at", TIME, struct tenant, updated_at) },
	{ RH_FIELD("version", INT, struct tenant, version) },
	{ 0 }
};

static const struct rh_field change_shape[] = {
	{ RH_FIELD("name", TEXT, struct tenant_change, name),
	  .flags = RH_F_REQUIRED | RH_F_LINE, .min = 1, .max = TENANT_NAME_MAX_CHARS },
	{ 0 }
};
/* clang-format on */

static struct rh_err *
unchanged(struct rh_call *c)
{
	return rh_call_unchanged(c, true, "tenant.missing", "");
}

/* GET /v1/t/{tenant}	200 tenant | 304 */
static struct rh_err *
tenants_show(struct rh_call *c)
{
	struct tenant tenant;

	if (!tenants_repo_get(c, &tenant))
		return rh_call_missing(c, "tenant.missing",
		    "There is no such tenant.");
	return rh_reply_one(c->rq, tenant_shape, &tenant, tenant.version);
}

/* PATCH /v1/t/{tenant} {name}	200 tenant | 412 422 */
static struct rh_err *
tenants_update(struct rh_call *c)
{
	struct tenant_change what = { RH_SLICE_NONE };
	struct tenant tenant;
	struct rh_err *err;

	if ((err = rh_call_body(c, &what, NULL)))
		return err;
	if (!tenants_repo_update(c, what.name, &tenant))
		return unchanged(c);
	return rh_reply_one(c->rq, tenant_shape, &tenant, tenant.version);
}

/* DELETE /v1/t/{tenant}	204 | 412 */
static struct rh_err *
tenants_delete(struct rh_call *c)
{
	if (!tenants_repo_delete(c))
		return unchanged(c);
	return rh_reply_none(c->rq);
}

/* clang-format off */
static const struct rh_route routes[] = {
	{ .method = RH_GET, .template = T, .role = RH_VIEWER, .handler = tenants_show,
	  .rate = RH_RATE_READ, .shape = tenant_shape, .flags = RH_ROUTE_ETAG, .summary = "Read the tenant" },
	{ .method = RH_PATCH, .template = T, .role = RH_OWNER, .handler = tenants_update,
	  .rate = RH_RATE_WRITE, .body = change_shape, .shape = tenant_shape,
	  .flags = RH_ROUTE_ETAG | RH_ROUTE_MERGE, .summary = "Rename the tenant" },
	{ .method = RH_DELETE, .template = T, .role = RH_OWNER, .handler = tenants_delete,
	  .rate = RH_RATE_WRITE, .answer = RH_ANSWER_NONE, .flags = RH_ROUTE_ETAG | RH_ROUTE_SECURITY,
	  .drops = { "principals" }, .summary = "Close the tenant: nobody is let in any more, its slug stays taken" },
	{ 0 }
};
/* clang-format on */

const struct rh_resource tenants_resource = {
	.name = "tenants", .routes = routes, .stmts = tenants_stmts,
};
