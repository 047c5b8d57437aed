/*
 * sign - webhooks' secrets and signatures, as Standard Webhooks has them.
 *
 * Shape    a secret is 24 to 64 bytes; as a text "whsec_" and their base64; in
 *          the database sealed, with a key made of the directive secret_key,
 *          bound to its tenant and its webhook
 * Errors   false: the text is none, or what is sealed is another's, or by
 *          another key
 * Owner    plain values; texts and signatures go where the caller says
 * Source   https://www.standardwebhooks.com, "Signature scheme"
 */
#ifndef RH_JOBS_SIGN_H
#define RH_JOBS_SIGN_H

#include "base/arena.h"
#include "base/crypto.h"
#include "base/id.h"

#define RH_HOOK_SECRET_MIN 24
#define RH_HOOK_SECRET_MAX 64
#define RH_HOOK_SECRET_NEW 32 /* bytes of one that we make */
#define RH_HOOK_SEALED_MAX (RH_HOOK_SECRET_MAX + RH_SEAL_MORE)
/* "whsec_" and the base64 of the longest; no NUL. */
#define RH_HOOK_SECRET_TEXT_MAX (6 + (RH_HOOK_SECRET_MAX + 2) / 3 * 4)
/* At once: the present one, and the one before. */
#define RH_HOOK_SECRETS 2
/* "v1,<base64>" of each, a blank between them; no NUL. */
#define RH_HOOK_SIGNATURE_MAX (RH_HOOK_SECRETS * (3 + 44 + 1))

struct rh_hook_key {
	unsigned char b[RH_SEAL_KEY_LEN];
};
struct rh_hook_secret {
	size_t n;
	unsigned char b[RH_HOOK_SECRET_MAX];
};

/* secret_key: the directive's value. */
void rh_hook_key_init(struct rh_hook_key *key, struct rh_slice secret_key);

/* A new one, of random bytes. */
void rh_hook_secret_make(struct rh_hook_secret *to);
/* As users see it, once; of RH_HOOK_SECRET_TEXT_MAX bytes at to. */
struct rh_slice rh_hook_secret_spell(char to[RH_HOOK_SECRET_TEXT_MAX],
    const struct rh_hook_secret *secret);
/* One that a user brought. */
RH_MUST_CHECK bool rh_hook_secret_get(struct rh_hook_secret *to,
    struct rh_slice text);

/* For webhooks.secret and old_secret; of RH_HOOK_SEALED_MAX bytes at to. */
struct rh_slice rh_hook_secret_seal(unsigned char to[RH_HOOK_SEALED_MAX],
    const struct rh_hook_key *key, struct rh_uuid tenant,
    struct rh_uuid webhook, const struct rh_hook_secret *secret);
RH_MUST_CHECK bool rh_hook_secret_unseal(struct rh_hook_secret *to,
    const struct rh_hook_key *key, struct rh_uuid tenant,
    struct rh_uuid webhook, struct rh_slice sealed);

/* What webhook-signature says; id and at_s are those of webhook-id and -timestamp. */
struct rh_hook_signed {
	struct rh_slice id;
	int64_t at_s;
	struct rh_slice body;
};
/* By n secrets, at most RH_HOOK_SECRETS. */
struct rh_slice rh_hook_sign(char to[RH_HOOK_SIGNATURE_MAX],
    struct rh_arena *scratch, const struct rh_hook_secret *secrets, size_t n,
    const struct rh_hook_signed *what);

#endif
