/*
 * principal - who calls, and with what.
 *
 * Shape    a token as presented (kind, SHA-256), and what the database says of
 *          it in the same round trip as the request's own statements
 * Errors   a token that is malformed (prefix, length, CRC-32) never reaches
 *          the database: RH_E_ANON
 * Owner    plain values; nothing here is a secret that can be used again
 */
#ifndef RH_TENANCY_PRINCIPAL_H
#define RH_TENANCY_PRINCIPAL_H

#include "base/arena.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/field.h"
#include "http/route.h"
#include "tenancy/directory.h"

/* INBOX: of a URL; no Authorization field has it. */
enum rh_token_kind {
	RH_TOKEN_NONE, RH_TOKEN_SESSION, RH_TOKEN_KEY, RH_TOKEN_INBOX
};

struct rh_token {
	enum rh_token_kind kind;
	unsigned char sha256[RH_SHA256_LEN];
};

/* "rhs_", "rhk_" or "rhi_", 32 base62 digits at random, 6 of their CRC-32. */
#define RH_TOKEN_LEN (4 + 32 + 6)
/* The value of an Authorization field. p == NULL: RH_TOKEN_NONE, which is no error here. */
RH_MUST_CHECK struct rh_err *rh_token_read(struct rh_arena *arena,
    struct rh_slice authorization, struct rh_token *token);
/* A token as such, of that kind. */
RH_MUST_CHECK bool rh_token_get(struct rh_slice text, enum rh_token_kind kind,
    struct rh_token *token);
/* A new one: the text, for the reply, and what is stored of it. */
struct rh_slice rh_token_make(struct rh_arena *arena, enum rh_token_kind kind,
    struct rh_token *token);

/* What the database says of a token in the request's own round trip. */
struct rh_principal {
	struct rh_slice actor;		/* "user role token expiry", and the plan where there is one; borrowed */
	struct rh_uuid tenant_id;	/* where the slug had to be looked up as well */
	struct rh_uuid user_id;
	struct rh_uuid token_id;
	int role;			/* enum rh_role; RH_ROLE_NONE outside of a tenant */
	int64_t expires_ms;		/* of the token, wall; 0: it does not */
	struct rh_limits plan;		/* the tenant's */
};
/* Fills in the rest from actor, where there is one. */
void rh_principal_read(struct rh_principal *who);

#endif
