#include "config.h"

#include "tenancy/authorize.h"

enum { KEY, SESSION, SLUG_KEY, SLUG_SESSION, USER };

/* clang-format off */
struct rh_stmt rh_authorize_stmts[] = {
	[KEY] = { .name = "authorize.key", .sql =
	    "select authorize_key($2, $1, $3)" },
	[SESSION] = { .name = "authorize.session", .sql =
	    "select authorize_session($2, $1, $3)" },
	[SLUG_KEY] = { .name = "authorize.slug_key",
	    .global = "finds the tenant's id by its slug",
	    .sql = "select authorize_key($2, id, $3), id from tenant_find($1) t(id)" },
	[SLUG_SESSION] = { .name = "authorize.slug_session",
	    .global = "finds the tenant's id by its slug",
	    .sql = "select authorize_session($2, id, $3), id from tenant_find($1) t(id)" },
	[USER] = { .name = "authorize.user",
	    .global = "a user stands outside of tenants",
	    .sql = "select authorize_user($1)" },
	{ 0 }
};
/* clang-format on */

/* What the functions answer: "user role token expiry" in one text, a plan behind it. */
static const struct rh_field columns[] = {
	{ RH_FIELD("actor", TEXT, struct rh_principal, actor) },
	{ 0 }
};
static const struct rh_field slug_columns[] = {
	{ RH_FIELD("actor", TEXT, struct rh_principal, actor) },
	{ RH_FIELD("id", UUID, struct rh_principal, tenant_id) },
	{ 0 }
};

static struct rh_slice
name_of(enum rh_role role)
{
	return rh_slice_of(rh_role_names[role]);
}

void
rh_authorize_tenant(struct rh_pipe *pipe, const struct rh_token *token,
    struct rh_uuid tenant, enum rh_role role, struct rh_principal *who)
{
	const struct rh_arg args[] = { RH_UUID(tenant), RH_HASH(token),
		RH_TEXT(name_of(role)) };

	rh_pipe_send_into(pipe, &rh_authorize_stmts[token->kind ==
	    RH_TOKEN_KEY ? KEY : SESSION], args, RH_COUNT(args),
	    &(struct rh_into){ columns, who });
}

struct rh_err *
rh_authorize_slug(struct rh_pipe *pipe, const struct rh_token *token,
    struct rh_slice slug, enum rh_role role, struct rh_principal *who)
{
	const struct rh_arg args[] = { RH_TEXT(slug), RH_HASH(token),
		RH_TEXT(name_of(role)) };

	rh_pipe_send_into(pipe, &rh_authorize_stmts[token->kind ==
	    RH_TOKEN_KEY ? SLUG_KEY : SLUG_SESSION], args, RH_COUNT(args),
	    &(struct rh_into){ slug_columns, who });
	return rh_pipe_error(pipe);
}

void
rh_authorize_user(struct rh_pipe *pipe, const struct rh_token *token,
    struct rh_principal *who)
{
	const struct rh_arg args[] = { RH_HASH(token) };

	rh_pipe_send_into(pipe, &rh_authorize_stmts[USER], args,
	    RH_COUNT(args), &(struct rh_into){ columns, who });
}
