/*
 * password - argon2id, a bounded number of them at once.
 *
 * Shape    the encoded form ($argon2id$v=19$…) is what is stored
 * Units    19 MiB, two passes, one lane: about 30 ms of a core
 * Errors   RH_E_UNAVAILABLE with Retry-After where no hasher came free in time,
 *          "request.timeout" where the request's deadline came first
 * Owner    hashers are the segment's area "hashers", one process id each; one
 *          that died with its hasher is taken over
 * Source   RFC 9106; OWASP's password storage cheat sheet for the parameters;
 *          libargon2 (password.c alone sees it)
 */
#ifndef RH_TENANCY_PASSWORD_H
#define RH_TENANCY_PASSWORD_H

#include <stdint.h>

#include "base/err.h"

struct rh_hashers {
	_Atomic int32_t *pids;
	unsigned n;
	uint64_t deadline_ns;	/* of the request that wants one, mono; 0: none */
};

/* Code points of a password. */
#define RH_PASSWORD_MIN 10
#define RH_PASSWORD_MAX 200

RH_MUST_CHECK struct rh_err *rh_password_hash(struct rh_arena *arena,
    const struct rh_hashers *hashers, struct rh_slice password,
    struct rh_slice *encoded);
/*
 * encoded p == NULL: nobody has that name; a hash of nobody's is compared, in
 * the same time, and *good is false.
 */
RH_MUST_CHECK struct rh_err *rh_password_check(struct rh_arena *arena,
    const struct rh_hashers *hashers, struct rh_slice password,
    struct rh_slice encoded, bool *good);
/* It was made with other parameters than today's. */
bool rh_password_is_dated(struct rh_slice encoded);

#endif
