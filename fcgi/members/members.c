/*
 * members - who belongs to a tenant, and what an admin may do about it.
 */
#include "config.h"

#include "members/members.h"

#define T "/v1/t/{tenant}"

struct role_change {
	int role;
};

/* clang-format off */
const struct rh_field member_shape[] = {
	{ RH_FIELD("user_id", UUID, struct member, user_id) },
	{ RH_FIELD("email", TEXT, struct member, email), .format = "email" },
	{ RH_FIELD("name", TEXT, struct member, name) },
	{ RH_FIELD("role", ENUM, struct member, role), .names = rh_role_names },
	{ RH_FIELD("created_at", TIME, struct member, created_at) },
	{ RH_FIELD("updated_at", TIME, struct member, updated_at) },
	{ RH_FIELD("version", INT, struct member, version) },
	{ 0 }
};

static const struct rh_field change_shape[] = {
	{ RH_FIELD("role", ENUM, struct role_change, role), .names = rh_role_names,
	  .flags = RH_F_REQUIRED, .doc = "not above the caller's own" },
	{ 0 }
};

static const struct rh_field page_params[] = {
	RH_PAGING_FIELDS(struct members_query, paging),
	{ 0 }
};
/* clang-format on */

/* GET /v1/t/{tenant}/members?limit=&cursor=	200 page of member | 400 */
static struct rh_err *
members_list(struct rh_call *c)
{
	struct members_query q = { { .limit = RH_PAGE_DEFAULT } };
	struct members_page page;
	struct rh_err *err;

	if ((err = rh_call_query(c, &q)) ||
	    (err = rh_call_paging(c, &q.paging, 0)))
		return err;
	members_repo_page(c, &q, &page);
	return rh_call_reply_page(c, &q.paging, &(struct rh_page_of){
	    page.rows, page.n, sizeof(*page.rows),
	    offsetof(struct member, created_at),
	    offsetof(struct member, user_id) });
}

/* GET /v1/t/{tenant}/members/{user_id}	200 member | 304 404 */
static struct rh_err *
members_show(struct rh_call *c)
{
	struct member member;
	struct rh_uuid user;
	struct rh_err *err;

	if ((err = rh_req_uuid(c->rq, "user_id", &user)))
		return err;
	if (!members_repo_get(c, user, &member))
		return rh_call_missing(c, "member.missing",
		    "There is no such member.");
	return rh_reply_one(c->rq, member_shape, &member, member.version);
}

/* PATCH /v1/t/{tenant}/members/{user_id} {role}	200 member | 403 404 409 412 422 */
static struct rh_err *
members_update(struct rh_call *c)
{
	struct role_change what = { RH_ROLE_NONE };
	struct member member = { .version = 1 };
	struct rh_given given;
	struct rh_uuid user;
	struct rh_err *err;

	if ((err = rh_req_uuid(c->rq, "user_id", &user)) ||
	    (err = rh_call_body(c, &what, &given)))
		return err;
	if (!given.given)	/* an empty merge patch changes nothing */
		return members_show(c);
	members_repo_set_role(c, user, what.role, &member);
	return rh_reply_one(c->rq, member_shape, &member, member.version);
}

/* DELETE /v1/t/{tenant}/members/{user_id}	204 | 403 404 409 412 */
static struct rh_err *
members_remove(struct rh_call *c)
{
	struct rh_uuid user;
	struct rh_err *err;

	if ((err = rh_req_uuid(c->rq, "user_id", &user)))
		return err;
	members_repo_remove(c, user);
	return rh_reply_none(c->rq);
}

/* clang-format off */
static const struct rh_route routes[] = {
	{ .method = RH_GET, .template = T "/members", .role = RH_VIEWER, .handler = members_list,
	  .rate = RH_RATE_READ, .params = page_params, .answer = RH_ANSWER_PAGE, .shape = member_shape,
	  .summary = "List members, the newest first" },
	{ .method = RH_GET, .template = T "/members/{user_id}", .role = RH_VIEWER, .handler = members_show,
	  .rate = RH_RATE_READ, .shape = member_shape, .flags = RH_ROUTE_ETAG, .summary = "Read a member" },
	{ .method = RH_PATCH, .template = T "/members/{user_id}", .role = RH_ADMIN, .handler = members_update,
	  .rate = RH_RATE_WRITE, .body = change_shape, .shape = member_shape,
	  .flags = RH_ROUTE_ETAG | RH_ROUTE_MERGE | RH_ROUTE_SECURITY, .drops = { "principals" }, .summary = "Give a member another role" },
	{ .method = RH_DELETE, .template = T "/members/{user_id}", .role = RH_ADMIN, .handler = members_remove,
	  .rate = RH_RATE_WRITE, .answer = RH_ANSWER_NONE, .flags = RH_ROUTE_ETAG | RH_ROUTE_SECURITY,
	  .drops = { "principals", "tasks" }, .summary = "Remove a member, and the keys it made" },
	{ 0 }
};

static const struct rh_pg_constraint constraints[] = {
	{ "member_missing", RH_E_MISSING, "member.missing", "There is no such member.", NULL },
	{ "member_last_owner", RH_E_CONFLICT, "member.last_owner",
	  "The tenant's last owner cannot go, nor become less.", NULL },
	{ "role_above_own", RH_E_DENIED, "role.above_own",
	  "Nobody gives or takes a role above their own.", NULL },
	{ 0 }
};
/* clang-format on */

const struct rh_resource members_resource = {
	.name = "members", .routes = routes, .stmts = members_stmts,
	.constraints = constraints,
};
