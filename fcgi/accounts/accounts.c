/*
 * accounts - signing up, in and out, and who one is.
 */
#include "config.h"

#include "accounts/accounts.h"

#include <stdlib.h>

#include "base/clock.h"
#include "tenancy/directory.h"
#include "tenancy/password.h"

enum { EMAIL_MAX_CHARS = 254, NAME_MAX_CHARS = 200 };

struct credentials {
	struct rh_slice email;
	struct rh_slice password;
};

struct me {
	struct user user;
	struct rh_list memberships;
};

/* clang-format off */
const struct rh_field user_shape[] = {
	{ RH_FIELD("id", UUID, struct user, id) },
	{ RH_FIELD("email", TEXT, struct user, email), .format = "email" },
	{ RH_FIELD("name", TEXT, struct user, name) },
	{ RH_FIELD("created_at", TIME, struct user, created_at) },
	{ RH_FIELD("updated_at", TIME, struct user, updated_at) },
	{ RH_FIELD("version", INT, struct user, version) },
	{ 0 }
};

static const struct rh_field new_tenant_shape[] = {
	{ RH_FIELD("slug", TEXT, struct new_tenant, slug), .flags = RH_F_REQUIRED,
	  .min = 3, .max = RH_SLUG_MAX, .doc = "lower-case letters, digits and hyphens; never changes" },
	{ RH_FIELD("name", TEXT, struct new_tenant, name), .flags = RH_F_REQUIRED | RH_F_LINE,
	  .min = 1, .max = TENANT_NAME_MAX_CHARS },
	{ 0 }
};

static const struct rh_field signup_shape[] = {
	{ RH_FIELD("email", TEXT, struct new_account, email), .flags = RH_F_REQUIRED | RH_F_LINE,
	  .min = 3, .max = EMAIL_MAX_CHARS, .format = "email" },
	{ RH_FIELD("password", TEXT, struct new_account, password), .flags = RH_F_REQUIRED,
	  .min = RH_PASSWORD_MIN, .max = RH_PASSWORD_MAX, .format = "password" },
	{ RH_FIELD("name", TEXT, struct new_account, name), .flags = RH_F_REQUIRED | RH_F_LINE,
	  .min = 1, .max = NAME_MAX_CHARS },
	{ RH_FIELD_OBJECT("tenant", struct new_account, tenant, new_tenant_shape), .flags = RH_F_REQUIRED },
	{ 0 }
};

static const struct rh_field credentials_shape[] = {
	{ RH_FIELD("email", TEXT, struct credentials, email), .flags = RH_F_REQUIRED,
	  .min = 1, .max = EMAIL_MAX_CHARS },
	{ RH_FIELD("password", TEXT, struct credentials, password), .flags = RH_F_REQUIRED,
	  .min = 1, .max = RH_PASSWORD_MAX, .format = "password" },
	{ 0 }
};

static const struct rh_field signed_up_shape[] = {
	{ RH_FIELD_OBJECT("user", struct signed_in, user, user_shape) },
	{ RH_FIELD_OBJECT("tenant", struct signed_in, tenant, tenant_shape) },
	{ RH_FIELD("token", TEXT, struct signed_in, token), .doc = "a session's: shown this once" },
	{ RH_FIELD("expires_at", TIME, struct signed_in, expires_at) },
	{ 0 }
};

static const struct rh_field signed_in_shape[] = {
	{ RH_FIELD_OBJECT("user", struct signed_in, user, user_shape) },
	{ RH_FIELD("token", TEXT, struct signed_in, token), .doc = "a session's: shown this once" },
	{ RH_FIELD("expires_at", TIME, struct signed_in, expires_at) },
	{ 0 }
};

static const struct rh_field tenant_of_shape[] = {
	{ RH_FIELD("id", UUID, struct membership, id) },
	{ RH_FIELD("slug", TEXT, struct membership, slug) },
	{ RH_FIELD("name", TEXT, struct membership, name) },
	{ 0 }
};
static const struct rh_field membership_shape[] = {
	{ RH_NAMED("tenant"), .type = RH_T_OBJECT, .at = 0, .of = tenant_of_shape },
	{ RH_FIELD("role", ENUM, struct membership, role), .names = rh_role_names },
	{ 0 }
};
static const struct rh_field me_shape[] = {
	{ RH_FIELD_OBJECT("user", struct me, user, user_shape) },
	{ RH_FIELD("memberships", LIST, struct me, memberships), .of = membership_shape,
	  .size = sizeof(struct membership) },
	{ 0 }
};
/* clang-format on */

static int64_t
expiry(const struct rh_call *c)
{
	return c->start_us + c->conf->session_ttl_ms * 1000;
}

static struct rh_err *
slug_refused(struct rh_call *c)
{
	struct rh_err *err = rh_err_new(c->arena, RH_E_INVALID,
	    "tenant.slug_form", "A slug has 3 to 40 lower-case letters, digits"
	    " and hyphens, starts with a letter and ends with none of the"
	    " hyphens.");

	err->field = "/tenant/slug";
	return err;
}

/* POST /v1/signup {email,password,name,tenant:{slug,name}}	201 | 409 422 */
static struct rh_err *
signup(struct rh_call *c)
{
	struct new_account what;
	struct signed_in in = { .expires_at = expiry(c) };
	struct rh_token token;
	struct rh_slice hash;
	struct rh_err *err;

	if ((err = rh_call_body(c, &what, NULL)))
		return err;
	if (!rh_slug_is(what.tenant.slug))
		return slug_refused(c);
	if ((err = rh_password_hash(c->arena, c->hashers,
	    what.password, &hash)))
		return err;
	in.token = rh_token_make(c->arena, RH_TOKEN_SESSION, &token);
	accounts_repo_signup(c, &what, hash, &token, &in);
	in.user.email = what.email;
	in.user.name = what.name;
	in.user.updated_at = in.user.created_at;
	in.user.version = 1;
	in.tenant = (struct tenant){ in.tenant.id, what.tenant.slug,
		what.tenant.name, in.user.created_at, in.user.created_at, 1 };
	c->who.user_id = in.user.id;
	return rh_reply_created(c->rq, signed_up_shape, &in,
	    rh_slice_of(rh_arena_printf(c->arena, "/v1/t/%.*s",
	    RH_SLICE_ARG(what.tenant.slug))), 0);
}

/*
 * POST /v1/sessions {email,password}	201 | 401 422
 *
 * Nobody's hash is compared where nobody has that e-mail, so that the answer
 * and its time are the same as for a wrong password.
 */
static struct rh_err *
sign_in(struct rh_call *c)
{
	const struct rh_hashers *hashers = c->hashers;
	struct user_with_hash who = { .password_hash = RH_SLICE_NONE };
	struct signed_in in = { .expires_at = expiry(c) };
	struct rh_slice rehash = RH_SLICE_NONE;
	struct credentials given;
	struct rh_token token;
	struct rh_err *err;
	bool good;

	if ((err = rh_call_body(c, &given, NULL)))
		return err;
	accounts_repo_password(c, given.email, &who);
	if ((err = rh_pipe_error(c->pipe)) ||
	    (err = rh_password_check(c->arena, hashers, given.password,
	    who.password_hash, &good)))
		return err;
	if (!good)
		return rh_err_new(c->arena, RH_E_ANON, "credentials.wrong",
		    "E-mail and password do not go together.");
	if (rh_password_is_dated(who.password_hash) &&
	    (err = rh_password_hash(c->arena, hashers, given.password, &rehash)))
		return err;
	in.user = who.user;
	in.token = rh_token_make(c->arena, RH_TOKEN_SESSION, &token);
	accounts_repo_session_open(c, &who, rehash, &token, &in);
	c->who.user_id = who.user.id;
	return rh_reply_created(c->rq, signed_in_shape, &in,
	    RH_SLICE("/v1/sessions/current"), 0);
}

static void
forget(struct rh_call *c, const struct rh_list *memberships)
{
	const struct membership *of = memberships->items;
	struct rh_uuid *tenants = rh_arena_zalloc(c->arena, memberships->n,
	    sizeof(*tenants));

	for (size_t i = 0; i < memberships->n; i++)
		tenants[i] = of[i].id;
	rh_recall_forget(c, tenants, memberships->n);
}

/*
 * Its copies first: it is never known at a placement and not at home. Where a
 * placement cannot be told, the session is as it was at home, and the caller
 * comes again.
 */
static struct rh_err *
sign_out_elsewhere(struct rh_call *c)
{
	struct rh_list memberships;
	struct rh_err *err = rh_pipe_error(c->pipe);

	if (err)
		return err;
	rh_principal_read(&c->who);
	while (rh_call_next_place(c)) {
		accounts_repo_session_shut(c, &memberships);
		if ((err = rh_pipe_error(c->pipe))) {
			rh_call_home(c);
			return err;
		}
		forget(c, &memberships);
	}
	return NULL;
}

/* DELETE /v1/sessions/current	204 | 401 403 503 */
static struct rh_err *
sign_out(struct rh_call *c)
{
	struct rh_list memberships;
	struct rh_err *err;

	if (c->token.kind == RH_TOKEN_SESSION && rh_call_has_places(c) &&
	    (err = sign_out_elsewhere(c)))
		return err;
	if (!accounts_repo_session_close(c, &memberships))
		return rh_err_new(c->arena, RH_E_DENIED, "session.none",
		    "This is an API key; only a session can be signed out.");
	if ((err = rh_pipe_error(c->pipe)))
		return err;
	forget(c, &memberships);
	return rh_reply_none(c->rq);
}

static int
by_slug(const void *a, const void *b)
{
	const struct membership *x = a, *y = b;
	int order = memcmp(x->slug.p, y->slug.p, RH_MIN(x->slug.n, y->slug.n));

	if (order)
		return order;
	return (x->slug.n > y->slug.n) - (x->slug.n < y->slug.n);
}

/* The user's tenants at every place. */
static struct rh_err *
memberships_elsewhere(struct rh_call *c, struct rh_uuid user,
    struct rh_list *all)
{
	size_t each = sizeof(struct membership), n = all->n;
	struct rh_list more;
	struct rh_err *err;

	while (rh_call_next_place(c)) {
		accounts_repo_memberships(c, user, &more);
		if ((err = rh_pipe_error(c->pipe))) {
			rh_call_home(c);
			return err;
		}
		all->items = rh_arena_grow(c->arena, (void *)all->items,
		    n * each, (n + more.n) * each);
		memcpy((char *)all->items + n * each, more.items,
		    more.n * each);
		n += more.n;
	}
	all->n = n;
	qsort((void *)all->items, n, each, by_slug);
	return NULL;
}

/* GET /v1/me	200 {user,memberships} */
static struct rh_err *
me(struct rh_call *c)
{
	struct me out;
	struct rh_err *err;

	if (!accounts_repo_me(c, &out.user, &out.memberships))
		return rh_err_new(c->arena, RH_E_ANON, "token.unknown",
		    "The token is not known, has expired or was revoked.");
	if (c->token.kind == RH_TOKEN_SESSION && rh_call_has_places(c) &&
	    ((err = rh_pipe_error(c->pipe)) ||
	    (err = memberships_elsewhere(c, out.user.id, &out.memberships))))
		return err;
	return rh_reply_one(c->rq, me_shape, &out, 0);
}

/* clang-format off */
static const struct rh_route routes[] = {
	{ .method = RH_POST, .template = "/v1/signup", .access = RH_PUBLIC, .handler = signup,
	  .rate = RH_RATE_CREDENTIALS, .body = signup_shape, .answer = RH_ANSWER_CREATED, .shape = signed_up_shape,
	  .flags = RH_ROUTE_SECURITY | RH_ROUTE_CREDENTIALS, .summary = "Sign up: a user, a tenant, a session" },
	{ .method = RH_POST, .template = "/v1/sessions", .access = RH_PUBLIC, .handler = sign_in,
	  .rate = RH_RATE_CREDENTIALS, .body = credentials_shape, .answer = RH_ANSWER_CREATED, .shape = signed_in_shape,
	  .flags = RH_ROUTE_SECURITY | RH_ROUTE_CREDENTIALS, .summary = "Sign in" },
	{ .method = RH_DELETE, .template = "/v1/sessions/current", .access = RH_USER, .handler = sign_out,
	  .rate = RH_RATE_WRITE, .answer = RH_ANSWER_NONE, .flags = RH_ROUTE_SECURITY, .summary = "Sign out" },
	{ .method = RH_GET, .template = "/v1/me", .access = RH_USER, .handler = me,
	  .rate = RH_RATE_READ, .shape = me_shape, .summary = "Who the token belongs to, and its tenants" },
	{ 0 }
};

static const struct rh_pg_constraint constraints[] = {
	{ "users_email_key", RH_E_CONFLICT, "account.email_taken",
	  "There is an account with that e-mail already.", "/email" },
	{ "tenants_slug_key", RH_E_CONFLICT, "tenant.slug_taken",
	  "That slug is taken, or was once.", "/tenant/slug" },
	{ 0 }
};
/* clang-format on */

const struct rh_resource accounts_resource = {
	.name = "accounts", .routes = routes, .stmts = accounts_stmts,
	.constraints = constraints,
};
