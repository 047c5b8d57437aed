/*
 * authorize - the first statement of a request's one round trip.
 *
 * Shape    queues a call of authorize_key, authorize_session or
 *          authorize_user (migrate/sql/0001) in front of the handler's
 *          statements. It sets the tenant of row-level security for this
 *          transaction alone, or raises, and then nothing behind it is run
 * Errors   RH_E_ANON 401, RH_E_DENIED 403, RH_E_MISSING 404, latched in the
 *          pipe like those of any statement
 * Owner    *who is filled in when the answer is read
 */
#ifndef RH_TENANCY_AUTHORIZE_H
#define RH_TENANCY_AUTHORIZE_H

#include "data/pipe.h"
#include "tenancy/principal.h"

/* A token as an argument of a statement: what is stored of it. */
#define RH_HASH(token)								\
	RH_BYTES(((struct rh_slice){ (const char *)(token)->sha256,		\
	    RH_SHA256_LEN }))

extern struct rh_stmt rh_authorize_stmts[];

/* tenant nil: no such tenant, which the caller is told like a foreign one. */
void rh_authorize_tenant(struct rh_pipe *pipe, const struct rh_token *token,
    struct rh_uuid tenant, enum rh_role role, struct rh_principal *who);
/*
 * The same for a slug that this host has not seen: a round trip of its own,
 * read to its end here; then who->tenant_id is the slug's.
 */
RH_MUST_CHECK struct rh_err *rh_authorize_slug(struct rh_pipe *pipe,
    const struct rh_token *token, struct rh_slice slug, enum rh_role role,
    struct rh_principal *who);
/* A session's user or the maker of a key, outside of any tenant. */
void rh_authorize_user(struct rh_pipe *pipe, const struct rh_token *token,
    struct rh_principal *who);

#endif
