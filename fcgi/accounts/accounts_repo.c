#include "config.h"

#include "accounts/accounts.h"

#include "serve/event.h"
#include "tenancy/authorize.h"

#define OUTSIDE	"users and their sessions stand outside of tenants"
#define USER	"id, email, name, created_at, updated_at, version"

enum { SIGNUP, PASSWORD, REHASH, SESSION_OPEN, SESSION_CLOSE, USER_OF_TOKEN, MEMBERSHIPS,
	SESSION_SHUT, MEMBERSHIPS_OF_USER };

/* clang-format off */
struct rh_stmt accounts_stmts[] = {
	[SIGNUP] = { .name = "accounts.signup", .global = "makes the tenant", .sql =
	    "select signup($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)" },
	[PASSWORD] = { .name = "accounts.password", .global = OUTSIDE, .sql =
	    "select " USER ", password_hash from password_find($1)" },
	[REHASH] = { .name = "accounts.rehash", .global = OUTSIDE, .sql =
	    "select password_rehash($1, $2, $3)" },
	[SESSION_OPEN] = { .name = "accounts.session_open", .global = OUTSIDE, .sql =
	    "select session_open($1, $2, $3, $4)" },
	[SESSION_CLOSE] = { .name = "accounts.session_close", .global = OUTSIDE, .sql =
	    "select 1 from session_close($1)" },
	[USER_OF_TOKEN] = { .name = "accounts.user_of_token", .global = OUTSIDE, .sql =
	    "select " USER " from user_of_token($1)" },
	[MEMBERSHIPS] = { .name = "accounts.memberships", .global = OUTSIDE, .sql =
	    "select tenant_id, slug, name, role from memberships_of_token($1)" },
	[SESSION_SHUT] = { .name = "accounts.session_shut", .global = OUTSIDE, .sql =
	    "select session_shut($1, $2, $3)" },
	[MEMBERSHIPS_OF_USER] = { .name = "accounts.memberships_of_user", .global = OUTSIDE, .sql =
	    "select tenant_id, slug, name, role from memberships_of_user($1)" },
	{ 0 }
};

static const struct rh_field made_at[] = {
	{ RH_FIELD("signup", TIME, struct user, created_at) },
	{ 0 }
};
static const struct rh_field with_hash_columns[] = {
	{ RH_FIELD_OBJECT("user", struct user_with_hash, user, user_shape) },
	{ RH_FIELD("password_hash", TEXT, struct user_with_hash, password_hash) },
	{ 0 }
};
const struct rh_field membership_columns[] = {
	{ RH_FIELD("id", UUID, struct membership, id) },
	{ RH_FIELD("slug", TEXT, struct membership, slug) },
	{ RH_FIELD("name", TEXT, struct membership, name) },
	{ RH_FIELD("role", ENUM, struct membership, role), .names = rh_role_names },
	{ 0 }
};
/* clang-format on */

void
accounts_repo_signup(struct rh_call *c, const struct new_account *what,
    struct rh_slice password_hash, const struct rh_token *token,
    struct signed_in *out)
{
	out->user.id = rh_uuid_v7();
	out->tenant.id = rh_uuid_v7();
	rh_pipe_send(c->pipe, &accounts_stmts[SIGNUP], RH_UUID(out->user.id),
	    RH_TEXT(what->email), RH_TEXT(what->name), RH_TEXT(password_hash),
	    RH_UUID(out->tenant.id), RH_TEXT(what->tenant.slug),
	    RH_TEXT(what->tenant.name), RH_UUID(rh_uuid_v7()), RH_HASH(token),
	    RH_TIME(out->expires_at), RH_UUID(rh_uuid_v7()),
	    RH_BYTES(((struct rh_slice){ (const char *)c->trace->trace_id, 16 })),
	    RH_BYTES(rh_event_span(c->arena, c->trace)), RH_TEXT(c->request_id));
	rh_pipe_row(c->pipe, made_at, &out->user);
}

bool
accounts_repo_password(struct rh_call *c, struct rh_slice email,
    struct user_with_hash *out)
{
	rh_pipe_send(c->pipe, &accounts_stmts[PASSWORD], RH_TEXT(email));
	return rh_pipe_row(c->pipe, with_hash_columns, out);
}

void
accounts_repo_session_open(struct rh_call *c, const struct user_with_hash *who,
    struct rh_slice rehash, const struct rh_token *token,
    const struct signed_in *in)
{
	if (rehash.p)
		rh_pipe_send(c->pipe, &accounts_stmts[REHASH],
		    RH_UUID(who->user.id), RH_TEXT(who->password_hash),
		    RH_TEXT(rehash));
	rh_pipe_send(c->pipe, &accounts_stmts[SESSION_OPEN],
	    RH_UUID(rh_uuid_v7()), RH_UUID(who->user.id), RH_HASH(token),
	    RH_TIME(in->expires_at));
}

bool
accounts_repo_session_close(struct rh_call *c, struct rh_list *memberships)
{
	rh_pipe_send(c->pipe, &accounts_stmts[MEMBERSHIPS], RH_HASH(&c->token));
	rh_pipe_send(c->pipe, &accounts_stmts[SESSION_CLOSE], RH_HASH(&c->token));
	memberships->n = rh_pipe_rows(c->pipe, membership_columns,
	    sizeof(struct membership), &memberships->items);
	return rh_pipe_int(c->pipe) == 1;
}

bool
accounts_repo_me(struct rh_call *c, struct user *user,
    struct rh_list *memberships)
{
	bool found;

	rh_pipe_send(c->pipe, &accounts_stmts[USER_OF_TOKEN], RH_HASH(&c->token));
	rh_pipe_send(c->pipe, &accounts_stmts[MEMBERSHIPS], RH_HASH(&c->token));
	found = rh_pipe_row(c->pipe, user_shape, user);
	memberships->n = rh_pipe_rows(c->pipe, membership_columns,
	    sizeof(struct membership), &memberships->items);
	return found;
}

void
accounts_repo_memberships(struct rh_call *c, struct rh_uuid user,
    struct rh_list *memberships)
{
	rh_pipe_send(c->pipe, &accounts_stmts[MEMBERSHIPS_OF_USER],
	    RH_UUID(user));
	memberships->n = rh_pipe_rows(c->pipe, membership_columns,
	    sizeof(struct membership), &memberships->items);
}

void
accounts_repo_session_shut(struct rh_call *c, struct rh_list *memberships)
{
	rh_pipe_send(c->pipe, &accounts_stmts[SESSION_SHUT], RH_HASH(&c->token),
	    RH_UUID(c->who.token_id), RH_UUID(c->who.user_id));
	rh_pipe_send(c->pipe, &accounts_stmts[MEMBERSHIPS_OF_USER],
	    RH_UUID(c->who.user_id));
	(void)rh_pipe_done(c->pipe);
	memberships->n = rh_pipe_rows(c->pipe, membership_columns,
	    sizeof(struct membership), &memberships->items);
}
