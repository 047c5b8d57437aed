/*
 * accounts - signing up, in and out, and who one is.
 *
 * Shape    struct user is a row and a JSON object; a session's token is shown
 *          once and only its SHA-256 is stored
 * Errors   account.email_taken 409, tenant.slug_taken 409, credentials.wrong
 *          401 for an unknown e-mail and for a wrong password alike
 */
#ifndef ACCOUNTS_ACCOUNTS_H
#define ACCOUNTS_ACCOUNTS_H

#include "serve/app.h"
#include "tenants/tenants.h"

struct user {
	struct rh_uuid id;
	struct rh_slice email;
	struct rh_slice name;
	int64_t created_at, updated_at;
	int64_t version;
};

struct user_with_hash {
	struct user user;
	struct rh_slice password_hash;
};

struct new_tenant {
	struct rh_slice slug;
	struct rh_slice name;
};

struct new_account {
	struct rh_slice email;
	struct rh_slice password;
	struct rh_slice name;
	struct new_tenant tenant;
};

struct signed_in {
	struct user user;
	struct tenant tenant;	/* a sign-up's alone */
	struct rh_slice token;
	int64_t expires_at;
};

struct membership {
	struct rh_uuid id;
	struct rh_slice slug;
	struct rh_slice name;
	int role;
};

extern const struct rh_field user_shape[];
extern const struct rh_field membership_columns[];
extern const struct rh_resource accounts_resource;
extern struct rh_stmt accounts_stmts[];

/* Fills in ids and times of *out. */
void accounts_repo_signup(struct rh_call *c, const struct new_account *what,
    struct rh_slice password_hash, const struct rh_token *token,
    struct signed_in *out);
bool accounts_repo_password(struct rh_call *c, struct rh_slice email,
    struct user_with_hash *out);
/* rehash p == NULL: the stored one stays. */
void accounts_repo_session_open(struct rh_call *c,
    const struct user_with_hash *who, struct rh_slice rehash,
    const struct rh_token *token, const struct signed_in *in);
/* memberships: where it let its user in. */
bool accounts_repo_session_close(struct rh_call *c,
    struct rh_list *memberships);
/* At a placement: home's session of c->who, and its user's memberships there. */
void accounts_repo_session_shut(struct rh_call *c,
    struct rh_list *memberships);
void accounts_repo_memberships(struct rh_call *c, struct rh_uuid user,
    struct rh_list *memberships);
/* Of the request's own token. */
bool accounts_repo_me(struct rh_call *c, struct user *user,
    struct rh_list *memberships);

#endif
