/*
 * api_keys - what an admin can do with a tenant's keys.
 */
#include "config.h"

#include "api_keys/api_keys.h"

#define T "/v1/t/{tenant}"

enum { NAME_MAX_CHARS = 200 };

/* clang-format off */
const struct rh_field api_key_shape[] = {
	{ RH_FIELD("id", UUID, struct api_key, id) },
	{ RH_FIELD("name", TEXT, struct api_key, name) },
	{ RH_FIELD("role", ENUM, struct api_key, role), .names = rh_role_names },
	{ RH_FIELD("created_by", UUID, struct api_key, created_by) },
	{ RH_FIELD("expires_at", TIME, struct api_key, expires_at), .flags = RH_F_NULLABLE },
	{ RH_FIELD("created_at", TIME, struct api_key, created_at) },
	{ RH_FIELD("updated_at", TIME, struct api_key, updated_at) },
	{ RH_FIELD("version", INT, struct api_key, version) },
	{ 0 }
};

static const struct rh_field made_shape[] = {
	{ RH_FIELD("id", UUID, struct api_key_made, row.id) },
	{ RH_FIELD("name", TEXT, struct api_key_made, row.name) },
	{ RH_FIELD("role", ENUM, struct api_key_made, row.role), .names = rh_role_names },
	{ RH_FIELD("created_by", UUID, struct api_key_made, row.created_by) },
	{ RH_FIELD("expires_at", TIME, struct api_key_made, row.expires_at), .flags = RH_F_NULLABLE },
	{ RH_FIELD("created_at", TIME, struct api_key_made, row.created_at) },
	{ RH_FIELD("updated_at", TIME, struct api_key_made, row.updated_at) },
	{ RH_FIELD("version", INT, struct api_key_made, row.version) },
	{ RH_FIELD("key", TEXT, struct api_key_made, key), .doc = "the key itself: shown this once" },
	{ 0 }
};

static const struct rh_field new_shape[] = {
	{ RH_FIELD("name", TEXT, struct api_key_new, name),
	  .flags = RH_F_REQUIRED | RH_F_LINE, .min = 1, .max = NAME_MAX_CHARS },
	{ RH_FIELD("role", ENUM, struct api_key_new, role), .names = rh_role_names,
	  .flags = RH_F_REQUIRED, .doc = "not above the caller's own" },
	{ RH_FIELD("expires_at", TIME, struct api_key_new, expires_at), .flags = RH_F_NULLABLE,
	  .doc = "not given or null: never" },
	{ 0 }
};

static const struct rh_field page_params[] = {
	RH_PAGING_FIELDS(struct api_keys_query, paging),
	{ 0 }
};
/* clang-format on */

static struct rh_err *
above_own(struct rh_call *c)
{
	return rh_err_new(c->arena, RH_E_DENIED, "role.above_own",
	    "Nobody gives or takes a role above their own.");
}

static struct rh_err *
unchanged(struct rh_call *c, const struct api_key_state *state)
{
	if (state->above)
		return above_own(c);
	return rh_call_unchanged(c, state->exists, "api_key.missing",
	    "There is no such API key.");
}

/* GET /v1/t/{tenant}/api-keys?limit=&cursor=	200 page of API key | 400 */
static struct rh_err *
api_keys_list(struct rh_call *c)
{
	struct api_keys_query q = { { .limit = RH_PAGE_DEFAULT } };
	struct api_keys_page page;
	struct rh_err *err;

	if ((err = rh_call_query(c, &q)) ||
	    (err = rh_call_paging(c, &q.paging, 0)))
		return err;
	api_keys_repo_page(c, &q, &page);
	return rh_call_reply_page(c, &q.paging, &(struct rh_page_of){
	    page.rows, page.n, sizeof(*page.rows),
	    offsetof(struct api_key, created_at), offsetof(struct api_key, id) });
}

/* POST /v1/t/{tenant}/api-keys {name,role,expires_at?}	201 API key with its key | 403 422 */
static struct rh_err *
api_keys_create(struct rh_call *c)
{
	struct api_key_new what = { .expires_at = RH_TIME_NONE };
	struct api_key_made made = { .row.version = 1 };
	struct rh_token token;
	struct rh_err *err;

	if ((err = rh_call_body(c, &what, NULL)))
		return err;
	made.key = rh_token_make(c->arena, RH_TOKEN_KEY, &token);
	if (!api_keys_repo_create(c, &what, &token, &made.row))
		return above_own(c);
	return rh_reply_created(c->rq, made_shape, &made,
	    rh_call_location(c, made.row.id), made.row.version);
}

/* GET /v1/t/{tenant}/api-keys/{id}	200 API key | 304 404 */
static struct rh_err *
api_keys_show(struct rh_call *c)
{
	struct api_key key;
	struct rh_uuid id;
	struct rh_err *err;

	if ((err = rh_req_uuid(c->rq, "id", &id)))
		return err;
	if (!api_keys_repo_get(c, id, &key))
		return rh_call_missing(c, "api_key.missing",
		    "There is no such API key.");
	return rh_reply_one(c->rq, api_key_shape, &key, key.version);
}

/* POST /v1/t/{tenant}/api-keys/{id}/rotate	200 API key with its new key | 403 404 412 */
static struct rh_err *
api_keys_rotate(struct rh_call *c)
{
	struct api_key_made made;
	struct api_key_state state;
	struct rh_token token;
	struct rh_uuid id;
	struct rh_err *err;

	if ((err = rh_req_uuid(c->rq, "id", &id)))
		return err;
	made.key = rh_token_make(c->arena, RH_TOKEN_KEY, &token);
	if (!api_keys_repo_rotate(c, id, &token, &made.row, &state))
		return unchanged(c, &state);
	return rh_reply_one(c->rq, made_shape, &made, made.row.version);
}

/* DELETE /v1/t/{tenant}/api-keys/{id}	204 | 403 404 412 */
static struct rh_err *
api_keys_revoke(struct rh_call *c)
{
	struct api_key_state state;
	struct rh_uuid id;
	struct rh_err *err;

	if ((err = rh_req_uuid(c->rq, "id", &id)))
		return err;
	if (!api_keys_repo_revoke(c, id, &state))
		return unchanged(c, &state);
	return rh_reply_none(c->rq);
}

/* clang-format off */
static const struct rh_route routes[] = {
	{ .method = RH_GET, .template = T "/api-keys", .role = RH_ADMIN, .handler = api_keys_list,
	  .rate = RH_RATE_READ, .params = page_params, .answer = RH_ANSWER_PAGE, .shape = api_key_shape,
	  .summary = "List API keys, the newest first" },
	{ .method = RH_POST, .template = T "/api-keys", .role = RH_ADMIN, .handler = api_keys_create,
	  .rate = RH_RATE_WRITE, .body = new_shape, .answer = RH_ANSWER_CREATED, .shape = made_shape,
	  .flags = RH_ROUTE_CREDENTIALS | RH_ROUTE_SECURITY, .summary = "Create an API key" },
	{ .method = RH_GET, .template = T "/api-keys/{id}", .role = RH_ADMIN, .handler = api_keys_show,
	  .rate = RH_RATE_READ, .shape = api_key_shape, .flags = RH_ROUTE_ETAG, .summary = "Read an API key, less the key" },
	{ .method = RH_POST, .template = T "/api-keys/{id}/rotate", .role = RH_ADMIN, .handler = api_keys_rotate,
	  .rate = RH_RATE_WRITE, .shape = made_shape, .flags = RH_ROUTE_CREDENTIALS | RH_ROUTE_SECURITY,
	  .drops = { "principals" }, .summary = "Replace the key; the old one is refused at once" },
	{ .method = RH_DELETE, .template = T "/api-keys/{id}", .role = RH_ADMIN, .handler = api_keys_revoke,
	  .rate = RH_RATE_WRITE, .answer = RH_ANSWER_NONE, .flags = RH_ROUTE_ETAG | RH_ROUTE_SECURITY,
	  .drops = { "principals" }, .summary = "Revoke an API key" },
	{ 0 }
};

static const struct rh_pg_constraint constraints[] = {
	{ "api_keys_tenant_id_created_by_fkey", RH_E_CONFLICT, "member.missing",
	  "Whoever makes a key has to be a member.", NULL },
	{ 0 }
};
/* clang-format on */

const struct rh_resource api_keys_resource = {
	.name = "api_keys", .routes = routes, .stmts = api_keys_stmts,
	.constraints = constraints,
};
