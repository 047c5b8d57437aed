/*
 * idempotency - a POST that comes again gets its first answer again.
 *
 * Shape    queues a claim of the key behind the authorization, and a guard that
 *          stops the pipeline unless the key is new; the reply is stored in the
 *          transaction of what it tells (migrate/sql/0004)
 * Units    wait, idle and ttl in milliseconds
 * Errors   a claim that waited in vain for another's is 55P03 with the outcome
 *          still UNKNOWN; the guard's is class RH2
 * Owner    a plain value of the request; what it points to is the arena's
 * Source   draft-ietf-httpapi-idempotency-key-header; RFC 8941 3.3.3
 *
 * A key is its caller's: of one tenant and one token, or outside of tenants of
 * a route and an address. Neither the key nor the body is stored, but hashes
 * of them, and that of the body is keyed: it may hold a password.
 */
#ifndef RH_TENANCY_IDEMPOTENCY_H
#define RH_TENANCY_IDEMPOTENCY_H

#include "data/pg_err.h"
#include "data/pipe.h"
#include "tenancy/principal.h"

#define RH_IDEMPOTENCY_KEY_MAX	255

enum rh_claimed {
	RH_CLAIM_UNKNOWN,	/* no answer: the transaction failed before */
	RH_CLAIM_NEW,
	RH_CLAIM_ANSWERED,
	RH_CLAIM_OTHER,		/* the key was used for another request */
};

struct rh_kept_reply {
	int64_t status;
	struct rh_slice head;	/* header fields, "Name: value\r\n" each */
	struct rh_slice body;
	bool sealed;
};

struct rh_idempotency {
	bool on;
	unsigned char id[RH_SHA256_LEN];
	unsigned char fingerprint[RH_SHA256_LEN];
	unsigned char seal[RH_SEAL_KEY_LEN];
	/* as the claim answers it */
	int64_t claimed;	/* enum rh_claimed */
	struct rh_kept_reply reply;
	int64_t passed;		/* the guard */
};

/* What makes a request the same one. */
struct rh_same {
	struct rh_slice secret;		/* the service's own */
	struct rh_slice key;
	struct rh_slice caller;		/* whose key it is */
	struct rh_slice credentials;	/* as presented; p == NULL: none */
	struct rh_slice method, target, body;
};

extern struct rh_stmt rh_idempotency_stmts[];
extern const struct rh_pg_constraint rh_idempotency_constraints[];

/*
 * The field's value: a string in quotes, or bare without blanks, quotes, commas
 * and semicolons. p == NULL: neither, or not 1 to RH_IDEMPOTENCY_KEY_MAX bytes.
 */
struct rh_slice rh_idempotency_key(struct rh_arena *arena,
    struct rh_slice field);
void rh_idempotency_of(struct rh_idempotency *idem, struct rh_arena *arena,
    const struct rh_same *same);

/* tenant nil: outside of tenants. */
void rh_idempotency_claim(struct rh_pipe *pipe, struct rh_uuid tenant,
    struct rh_idempotency *idem, int64_t wait_ms, int64_t idle_ms);
/* Not sealed yet where reply->sealed says that it is to be. */
void rh_idempotency_store(struct rh_pipe *pipe, struct rh_arena *arena,
    struct rh_uuid tenant, const struct rh_idempotency *idem,
    const struct rh_kept_reply *reply, int64_t ttl_ms);
/* Opens the body of idem->reply; false: it is not what was stored. */
RH_MUST_CHECK bool rh_idempotency_open(struct rh_idempotency *idem,
    struct rh_arena *arena);

/* At most so many keys that have expired, of all tenants: how many it were. */
int64_t rh_idempotency_purge(struct rh_pipe *pipe, int64_t most);

#endif
