#include "config.h"

#include "data/cache.h"

#include "data/cache_part.h"
#include "data/coherent.h"

enum { GET_OR_SET, COMPARE_AND_SET, COMPARE_AND_DELETE };
static struct rh_script scripts[] = {
	[GET_OR_SET] = { .name = "cache.get_or_set", .lua =
	    "if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then\n"
	    "	return 1\n"
	    "end\n"
	    "return redis.call('GET', KEYS[1])\n" },
	[COMPARE_AND_SET] = { .name = "cache.compare_and_set", .lua =
	    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then\n"
	    "	return 0\n"
	    "end\n"
	    "redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])\n"
	    "return 1\n" },
	[COMPARE_AND_DELETE] = { .name = "cache.compare_and_delete", .lua =
	    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then\n"
	    "	return 0\n"
	    "end\n"
	    "return redis.call('DEL', KEYS[1])\n" },
	{ 0 }
};

void
rh_cache_register(void)
{
	rh_scripts_register(scripts);
}

struct rh_cache *
rh_cache_open(struct rh_arena *arena, const struct rh_cache_conf *conf)
{
	struct rh_cache *c = RH_NEW(arena, struct rh_cache);

	c->arena = arena;
	c->conf = *conf;
	return c;
}

void
rh_cache_close(struct rh_cache *c)
{
	c->is_closed = true;
}

/* ---- what is counted ---- */

static void
count(const struct rh_cache *c, enum rh_cache_result result)
{
	const struct rh_cache_obs *obs = c->conf.obs;

	if (obs && obs->tally)
		rh_count(obs->tally, obs->requests, obs->cache, result, 1);
}

#define COUNT(c, member)						\
	((c)->conf.stats ? (void)(c)->conf.stats->member++ : (void)0)

/* ---- errors ---- */

const struct rh_cache_err *
rh_cache_err_of(const struct rh_err *err)
{
	return err && (strncmp(err->code, "cache.", 6) == 0 ||
	    strncmp(err->code, "lock.", 5) == 0) ?
	    (const struct rh_cache_err *)err : NULL;
}

bool
rh_cache_err_is(const struct rh_err *err, const char *code)
{
	return err && strcmp(err->code, code) == 0;
}

struct rh_err *
rh_cache_fail(const struct rh_cache_call *call, enum rh_err_kind kind,
    const char *code, const char *detail, const char *cause)
{
	struct rh_arena *arena = call->cache->arena;
	struct rh_cache_err *e = RH_NEW(arena, struct rh_cache_err);

	e->err = *rh_err_new(arena, kind, code, "%s", detail);
	e->err.cause = rh_arena_printf(arena, "%s%s%s", call->operation,
	    cause ? ": " : "", cause ? cause : "");
	e->operation = call->operation;
	e->key = call->key;
	return &e->err;
}

static struct rh_err *
fault(const struct rh_cache_call *call, enum rh_err_kind kind, const char *code,
    const char *detail, const char *cause)
{
	COUNT(call->cache, errors);
	count(call->cache, RH_CACHE_OFF);
	return rh_cache_fail(call, kind, code, detail, cause);
}

static struct rh_err *
check(const struct rh_cache_call *call)
{
	if (call->cache->is_closed)
		return fault(call, RH_E_BUG, "cache.closed",
		    "This cache was closed before.", NULL);
	if (!call->cache->conf.redis)
		return fault(call, RH_E_UNAVAILABLE, "cache.configuration",
		    "No cache is configured.", NULL);
	if (call->has_ttl && (call->ttl_ms < 1 ||
	    call->ttl_ms > RH_CACHE_TTL_MAX_MS))
		return fault(call, RH_E_BUG, "cache.invalid_ttl",
		    "What is cached has to end, within a year.", NULL);
	if (call->key.n > RH_CACHE_KEY_MAX || (!call->key.n && call->kind))
		return fault(call, RH_E_BUG, "cache.operation",
		    "The key is empty, or too long.", NULL);
	for (unsigned i = 0; i < call->nwords; i++)
		if (call->words[i].n > RH_CACHE_VALUE_MAX)
			return fault(call, RH_E_TOO_LARGE, "cache.operation",
			    "The value is too large for the cache.", NULL);
	return NULL;
}

/* ---- there and back ---- */

static struct rh_slice
full_key(const struct rh_cache_call *call, char kind)
{
	struct rh_buf b;

	rh_buf_init(&b, call->cache->arena, RH_UUID_LEN + 5 + call->key.n,
	    RH_UUID_LEN + 5 + call->key.n);
	rh_buf_char(&b, '{');
	if (rh_buf_room(&b, RH_UUID_LEN))
		rh_uuid_put(b.p + b.n, call->cache->conf.tenant);
	b.n += RH_UUID_LEN;
	rh_buf_lit(&b, "}:");
	if (kind) {
		rh_buf_char(&b, kind);
		rh_buf_char(&b, ':');
		rh_buf_slice(&b, call->key);
	}
	return rh_buf_get(&b);
}

static void
send_command(struct rh_redis *r, const struct rh_cache_call *call,
    struct rh_slice key)
{
	struct rh_slice argv[2 + RH_COUNT(call->words)];
	unsigned n = 0;

	argv[n++] = rh_slice_of(call->verb);
	if (call->kind)
		argv[n++] = key;
	for (unsigned i = 0; i < call->nwords; i++)
		argv[n++] = call->words[i];
	rh_redis_send_args(r, key, argv, n);
}

struct rh_err *
rh_cache_ask(struct rh_cache_call *call)
{
	struct rh_redis *r = call->cache->conf.redis;
	struct rh_err *err;
	struct rh_slice keys[2];

	if ((err = check(call)))
		return err;
	keys[0] = full_key(call, call->kind);
	if (call->other)
		keys[1] = full_key(call, call->other);
	if (call->script)
		rh_redis_run(r, call->script, keys, call->other ? 2 : 1,
		    call->words, call->nwords);
	else
		send_command(r, call, keys[0]);
	call->answer = rh_redis_read(r);
	if (call->answer->kind == RH_REDIS_NIL && (err = rh_redis_error(r)))
		return fault(call, RH_E_UNAVAILABLE, "cache.connection",
		    "The cache is away.", err->cause ? err->cause : err->code);
	if (call->answer->kind == RH_REDIS_ERROR)
		return fault(call, RH_E_UNAVAILABLE, "cache.operation",
		    "The cache refused.", rh_arena_strdup(call->cache->arena,
		    call->answer->text));
	return NULL;
}

struct rh_slice
rh_cache_number(struct rh_cache *c, int64_t value)
{
	struct rh_buf b;

	rh_buf_init(&b, c->arena, 24, 24);
	rh_buf_i64(&b, value);
	return rh_buf_get(&b);
}

static struct rh_slice
value_of(struct rh_slice value)
{
	return value.p ? value : RH_SLICE("");
}

/* ---- the calls ---- */

struct rh_err *
rh_cache_get(struct rh_cache *c, struct rh_slice key, struct rh_slice *value)
{
	struct rh_cache_call call = { .cache = c, .operation = "get",
	    .kind = 'c', .key = key, .verb = "GET" };
	struct rh_err *err;

	*value = RH_SLICE_NONE;
	if ((err = rh_cache_ask(&call)))
		return err;
	if (call.answer->kind == RH_REDIS_NIL) {
		COUNT(c, misses);
		count(c, RH_CACHE_MISS);
		return rh_cache_fail(&call, RH_E_MISSING, "cache.not_found",
		    "Nothing is cached under this key.", NULL);
	}
	COUNT(c, hits);
	count(c, RH_CACHE_HIT);
	*value = call.answer->text;
	return NULL;
}

struct rh_err *
rh_cache_set(struct rh_cache *c, struct rh_slice key, struct rh_slice value,
    int64_t ttl_ms)
{
	struct rh_cache_call call = { .cache = c, .operation = "set",
	    .kind = 'c', .key = key, .verb = "SET", .words = { value_of(value),
	    RH_SLICE_INIT("PX"), rh_cache_number(c, ttl_ms) }, .nwords = 3,
	    .ttl_ms = ttl_ms, .has_ttl = true };
	struct rh_err *err = rh_cache_ask(&call);

	if (!err)
		COUNT(c, stored);
	return err;
}

struct rh_err *
rh_cache_delete(struct rh_cache *c, struct rh_slice key)
{
	struct rh_cache_call call = { .cache = c, .operation = "delete",
	    .kind = 'c', .key = key, .verb = "DEL" };
	struct rh_err *err = rh_cache_ask(&call);

	if (!err && call.answer->number)
		COUNT(c, deleted);
	return err;
}

struct rh_err *
rh_cache_get_or_set(struct rh_cache *c, struct rh_slice key,
    struct rh_slice value, int64_t ttl_ms, struct rh_slice *stored,
    bool *was_set)
{
	struct rh_cache_call call = { .cache = c, .operation = "get_or_set",
	    .kind = 'c', .key = key, .script = &scripts[GET_OR_SET],
	    .words = { value_of(value), rh_cache_number(c, ttl_ms) },
	    .nwords = 2, .ttl_ms = ttl_ms, .has_ttl = true };
	struct rh_err *err;

	*stored = RH_SLICE_NONE;
	*was_set = false;
	if ((err = rh_cache_ask(&call)))
		return err;
	*was_set = call.answer->kind == RH_REDIS_INT;
	*stored = *was_set ? call.words[0] : call.answer->text;
	if (*was_set) {
		COUNT(c, misses);
		COUNT(c, stored);
	} else {
		COUNT(c, hits);
	}
	count(c, *was_set ? RH_CACHE_MISS : RH_CACHE_HIT);
	return NULL;
}

/* It was there and another value, or not there, or there at all. */
static struct rh_err *
judge_cas(const struct rh_cache_call *call)
{
	const struct rh_redis_value *v = call->answer;

	if (v->kind == RH_REDIS_TEXT ||
	    (v->kind == RH_REDIS_INT && v->number == 1))
		return NULL;
	COUNT(call->cache, cas_failed);
	count(call->cache, RH_CACHE_BUSY);
	return rh_cache_fail(call, RH_E_CONFLICT, "cache.cas_failed",
	    "What is cached is not what was expected.", NULL);
}

struct rh_err *
rh_cache_compare_and_set(struct rh_cache *c, struct rh_slice key,
    struct rh_slice expected, struct rh_slice value, int64_t ttl_ms)
{
	struct rh_cache_call absent = { .cache = c,
	    .operation = "compare_and_set", .kind = 'c', .key = key,
	    .verb = "SET", .words = { value_of(value), RH_SLICE_INIT("PX"),
	    rh_cache_number(c, ttl_ms), RH_SLICE_INIT("NX") }, .nwords = 4,
	    .ttl_ms = ttl_ms, .has_ttl = true };
	struct rh_cache_call same = { .cache = c,
	    .operation = "compare_and_set", .kind = 'c', .key = key,
	    .script = &scripts[COMPARE_AND_SET], .words = { expected,
	    value_of(value), absent.words[2] }, .nwords = 3,
	    .ttl_ms = ttl_ms, .has_ttl = true };
	struct rh_cache_call *call = expected.p ? &same : &absent;
	struct rh_err *err;

	if ((err = rh_cache_ask(call)) || (err = judge_cas(call)))
		return err;
	COUNT(c, stored);
	return NULL;
}

struct rh_err *
rh_cache_compare_and_delete(struct rh_cache *c, struct rh_slice key,
    struct rh_slice expected)
{
	struct rh_cache_call call = { .cache = c,
	    .operation = "compare_and_delete", .kind = 'c', .key = key,
	    .script = &scripts[COMPARE_AND_DELETE],
	    .words = { value_of(expected) }, .nwords = 1 };
	struct rh_err *err;

	if ((err = rh_cache_ask(&call)) || (err = judge_cas(&call)))
		return err;
	COUNT(c, deleted);
	return NULL;
}

/* The tenant's own node is asked. */
struct rh_err *
rh_cache_health(struct rh_cache *c)
{
	struct rh_cache_call call = { .cache = c, .operation = "health",
	    .verb = "PING" };

	return rh_cache_ask(&call);
}

struct rh_err *
rh_cache_stats(struct rh_cache *c, struct rh_cache_stats *to)
{
	struct rh_cache_call call = { .cache = c, .operation = "stats" };

	*to = c->conf.stats ? *c->conf.stats : (struct rh_cache_stats){ 0 };
	return check(&call);
}
