#include "config.h"

#include "tenancy/password.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include <argon2.h>

#include "base/clock.h"
#include "base/crypto.h"

enum { MEMORY_KIB = 19456, PASSES = 2, LANES = 1, SALT = 16, HASH = 32 };
enum { WAIT_MS = 5000, LOOK_AGAIN_MS = 2, ENCODED_MAX = 128 };

static const char todays[] = "$argon2id$v=19$m=19456,t=2,p=1$";
/* Of a password that was drawn at random and never written down. */
static const char nobodys[] = "$argon2id$v=19$m=19456,t=2,p=1$"
    "CEyc46W2506MJDECwDB6xw$grTQFP8yptz5+yBMHz9B+BZ9ie6/wdi4zrm9G/VTEFU";

static bool
take_over(_Atomic int32_t *slot, int32_t self)
{
	int32_t had = atomic_load(slot);

	if (had != 0 && (kill(had, 0) == 0 || errno != ESRCH))
		return false;
	return atomic_compare_exchange_strong(slot, &had, self);
}

static _Atomic int32_t *
hasher_take(const struct rh_hashers *hashers)
{
	const struct timespec pause = { 0, LOOK_AGAIN_MS * 1000000L };
	uint64_t until = rh_clock_mono_ns() + WAIT_MS * UINT64_C(1000000);

	if (hashers->deadline_ns)
		until = RH_MIN(until, hashers->deadline_ns);
	do {
		for (unsigned i = 0; i < hashers->n; i++)
			if (take_over(&hashers->pids[i], (int32_t)getpid()))
				return &hashers->pids[i];
		nanosleep(&pause, NULL);
	} while (rh_clock_mono_ns() < until);
	return NULL;
}

static struct rh_err *
busy(struct rh_arena *arena, const struct rh_hashers *hashers)
{
	struct rh_err *err;

	if (hashers->deadline_ns && rh_clock_mono_ns() >= hashers->deadline_ns)
		return rh_err_late(arena, "waiting for a password hasher");
	err = rh_err_new(arena, RH_E_UNAVAILABLE, "password.busy",
	    "Too many sign-ins at once; try again.");
	err->retry_after_s = 1;
	return err;
}

struct rh_err *
rh_password_hash(struct rh_arena *arena, const struct rh_hashers *hashers,
    struct rh_slice password, struct rh_slice *encoded)
{
	unsigned char salt[SALT];
	char *text = rh_arena_alloc(arena, ENCODED_MAX);
	_Atomic int32_t *hasher = hasher_take(hashers);
	int rc;

	if (!hasher)
		return busy(arena, hashers);
	rh_random(salt, sizeof(salt));
	rc = argon2id_hash_encoded(PASSES, MEMORY_KIB, LANES, password.p,
	    password.n, salt, sizeof(salt), HASH, text, ENCODED_MAX);
	atomic_store(hasher, 0);
	if (rc != ARGON2_OK)
		return rh_err_new(arena, RH_E_UNAVAILABLE, "password.failed",
		    "The password could not be hashed: %s.",
		    argon2_error_message(rc));
	*encoded = rh_slice_of(text);
	return NULL;
}

struct rh_err *
rh_password_check(struct rh_arena *arena, const struct rh_hashers *hashers,
    struct rh_slice password, struct rh_slice encoded, bool *good)
{
	const char *text = encoded.p ? rh_arena_strdup(arena, encoded) : nobodys;
	_Atomic int32_t *hasher = hasher_take(hashers);
	int rc;

	if (!hasher)
		return busy(arena, hashers);
	rc = argon2id_verify(text, password.p, password.n);
	atomic_store(hasher, 0);
	*good = rc == ARGON2_OK && encoded.p;
	return NULL;
}

bool
rh_password_is_dated(struct rh_slice encoded)
{
	return !rh_slice_has_prefix(encoded, rh_slice_of(todays));
}
