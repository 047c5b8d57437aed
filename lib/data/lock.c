#include "config.h"

#include "data/lock.h"

#include "base/crypto.h"
#include "base/text.h"
#include "data/cache_part.h"

/* A day after the last use nobody has a fence of that name in hand. */
#define FENCE_MS	"86400000"

enum { ACQUIRE, EXTEND, RELEASE };
static struct rh_script scripts[] = {
	/* the fence grows by the clock, so that it also does over a restart */
	[ACQUIRE] = { .name = "lock.acquire", .lua =
	    "if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then\n"
	    "	return 0\n"
	    "end\n"
	    "local t = redis.call('TIME')\n"
	    "local was = tonumber(redis.call('GET', KEYS[2]) or 0)\n"
	    "local fence = math.max(was + 1, t[1] * 1000000 + t[2])\n"
	    "redis.call('SET', KEYS[2], string.format('%.0f', fence), 'PX',\n"
	    "    " FENCE_MS ")\n"
	    "return fence\n" },
	[EXTEND] = { .name = "lock.extend", .lua =
	    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then\n"
	    "	return 0\n"
	    "end\n"
	    "return redis.call('PEXPIRE', KEYS[1], ARGV[2])\n" },
	[RELEASE] = { .name = "lock.release", .lua =
	    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then\n"
	    "	return 0\n"
	    "end\n"
	    "return redis.call('DEL', KEYS[1])\n" },
	{ 0 }
};

const char *const rh_lock_results[RH_LOCK_RESULTS + 1] = {
	[RH_LOCK_ACQUIRED] = "acquired", [RH_LOCK_HELD] = "held",
	[RH_LOCK_OFF] = "off"
};

void
rh_lock_register(void)
{
	rh_scripts_register(scripts);
}

static void
count(const struct rh_cache *c, enum rh_lock_result result)
{
	const struct rh_cache_obs *obs = c->conf.obs;

	if (obs && obs->tally)
		rh_count(obs->tally, obs->locks, result, 0, 1);
}

static void
make_token(char to[RH_LOCK_TOKEN])
{
	unsigned char bytes[RH_LOCK_TOKEN * 3 / 4];

	rh_random(bytes, sizeof(bytes));
	rh_base64url_put(to, bytes, sizeof(bytes));
}

static struct rh_slice
token_of(const struct rh_lock *lock)
{
	return (struct rh_slice){ lock->token, sizeof(lock->token) };
}

struct rh_err *
rh_lock_acquire(struct rh_cache *c, struct rh_slice name, int64_t ttl_ms,
    struct rh_lock *lock)
{
	struct rh_cache_call call = { .cache = c, .operation = "acquire",
	    .kind = 'k', .other = 'f', .key = name, .script = &scripts[ACQUIRE],
	    .nwords = 2, .ttl_ms = ttl_ms, .has_ttl = true };
	struct rh_err *err;

	*lock = (struct rh_lock){ .cache = c, .name = name };
	make_token(lock->token);
	call.words[0] = token_of(lock);
	call.words[1] = rh_cache_number(c, ttl_ms);
	if ((err = rh_cache_ask(&call))) {
		count(c, RH_LOCK_OFF);
		return err;
	}
	lock->fence = call.answer->number;
	count(c, lock->fence ? RH_LOCK_ACQUIRED : RH_LOCK_HELD);
	return lock->fence ? NULL : rh_cache_fail(&call, RH_E_CONFLICT,
	    "lock.held", "Another has the lock.", NULL);
}

static struct rh_err *
ask_as_owner(struct rh_cache_call *call)
{
	struct rh_err *err;

	if ((err = rh_cache_ask(call)))
		return err;
	return call->answer->number ? NULL : rh_cache_fail(call, RH_E_CONFLICT,
	    "lock.lost", "The lock is not the caller's any more.", NULL);
}

struct rh_err *
rh_lock_extend(struct rh_lock *lock, int64_t ttl_ms)
{
	struct rh_cache_call call = { .cache = lock->cache,
	    .operation = "extend", .kind = 'k', .key = lock->name,
	    .script = &scripts[EXTEND], .words = { token_of(lock),
	    rh_cache_number(lock->cache, ttl_ms) }, .nwords = 2,
	    .ttl_ms = ttl_ms, .has_ttl = true };

	return ask_as_owner(&call);
}

struct rh_err *
rh_lock_release(struct rh_lock *lock)
{
	struct rh_cache_call call = { .cache = lock->cache,
	    .operation = "release", .kind = 'k', .key = lock->name,
	    .script = &scripts[RELEASE], .words = { token_of(lock) },
	    .nwords = 1 };

	return ask_as_owner(&call);
}

void
rh_lock_resume(struct rh_lock *lock, struct rh_cache *c)
{
	lock->cache = c;
}

/* ---- once: "?" and a token while it is done, "=" and the result after it ---- */

struct rh_err *
rh_once_begin(struct rh_cache *c, struct rh_slice name, int64_t claim_ms,
    struct rh_once *once)
{
	char token[RH_LOCK_TOKEN];
	struct rh_slice stored;
	struct rh_err *err;
	bool was_set;

	make_token(token);
	*once = (struct rh_once){ .cache = c,
	    .key = rh_slice_of(rh_arena_printf(c->arena, "once:%.*s",
	    RH_SLICE_ARG(name))),
	    .claim = rh_slice_of(rh_arena_printf(c->arena, "?%.*s",
	    RH_LOCK_TOKEN, token)) };
	if ((err = rh_cache_get_or_set(c, once->key, once->claim, claim_ms,
	    &stored, &was_set)))
		return err;
	once->state = was_set ? RH_ONCE_FIRST :
	    rh_slice_has_prefix(stored, RH_SLICE("=")) ? RH_ONCE_DONE :
	    RH_ONCE_RUNNING;
	if (once->state == RH_ONCE_DONE)
		once->result = rh_slice_from(stored, 1);
	return NULL;
}

struct rh_err *
rh_once_done(struct rh_once *once, struct rh_slice result, int64_t keep_ms)
{
	struct rh_buf b;

	rh_buf_init(&b, once->cache->arena, result.n + 1, result.n + 1);
	rh_buf_char(&b, '=');
	rh_buf_slice(&b, result);
	return rh_cache_compare_and_set(once->cache, once->key, once->claim,
	    rh_buf_get(&b), keep_ms);
}

struct rh_err *
rh_once_undo(struct rh_once *once)
{
	return rh_cache_compare_and_delete(once->cache, once->key, once->claim);
}
