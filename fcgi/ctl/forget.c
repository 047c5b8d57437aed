#include "config.h"

#include "ctl/forget.h"

#include <stdio.h>

#include "ctl/conf.h"
#include "data/coherent.h"

/* It is dropped at once: should that not arrive, for so long nobody trusts it. */
#define TOMB_MS	5000
/* No request waits for this: Redis gets more time than for one. */
#define PATIENCE_MS	INT64_C(2000)

static struct rh_coherent *
cache_open(const struct rh_program *self, struct rh_redis *redis)
{
	static const struct rh_coherent_obs nothing;

	/* a segment would be the pool's: here nobody else is at work */
	return rh_coherent_new(self->arena, &(struct rh_coherent_conf){
	    .redis = redis, .slots = 1, .lease_ms = TOMB_MS,
	    .quarantine_ms = ctl_conf.cache_quarantine_ms, .shared =
	    rh_arena_zalloc(self->arena, 1, rh_coherent_shared_bytes(1)) },
	    &nothing);
}

static bool
drop(struct rh_coherent *cache, struct rh_uuid tenant, struct rh_slice group)
{
	struct rh_tomb tomb;

	rh_coherent_begin(cache);
	rh_coherent_tomb(cache, tenant, group, TOMB_MS, &tomb);
	if (!rh_coherent_tomb_laid(cache, &tomb))
		return false;
	rh_coherent_done(cache, &tomb);
	rh_coherent_drop(cache, &tomb);
	rh_coherent_post(cache);
	return true;
}

static struct rh_redis *
redis_open(const struct rh_program *self, const char *url)
{
	static const struct rh_redis_obs nothing;
	static bool registered;
	struct rh_redis_conf *conf = RH_NEW(self->arena, struct rh_redis_conf);
	struct rh_redis *redis;

	*conf = (struct rh_redis_conf){ url,
		RH_MAX(ctl_conf.redis_connect_timeout_ms, PATIENCE_MS),
		RH_MAX(ctl_conf.redis_timeout_ms, PATIENCE_MS),
		ctl_conf.redis_retry_ms, self->name };
	if (!registered)
		rh_coherent_register();
	registered = true;
	redis = rh_redis_new(self->arena, conf, &nothing);
	(void)rh_redis_warm(redis);
	rh_redis_begin(redis, self->arena, NULL);
	return redis;
}

static bool
redis_end(const struct rh_program *self, struct rh_redis *redis, bool good)
{
	if (!good)
		fprintf(stderr, "%s: Redis does not answer (%s): what it has"
		    " cached may be used for cache_ttl more\n", self->name,
		    rh_redis_trouble(redis));
	rh_redis_end(redis);
	rh_redis_close(redis);
	return good;
}

bool
forget_at(const struct rh_program *self, const char *url,
    struct rh_uuid tenant, struct rh_slice group)
{
	struct rh_redis *redis;

	if (!url || !url[0])
		return true;
	redis = redis_open(self, url);
	return redis_end(self, redis, drop(cache_open(self, redis), tenant,
	    group));
}

/* One step of SCAN, at the node of a cluster that has the tenant. */
static bool
sweep(struct rh_redis *redis, struct rh_slice node, struct rh_slice match,
    struct rh_slice *cursor)
{
	const struct rh_redis_value *got, *keys;

	rh_redis_send(redis, node, RH_SLICE("SCAN"), *cursor,
	    RH_SLICE("MATCH"), match, RH_SLICE("COUNT"), RH_SLICE("1000"));
	got = rh_redis_read(redis);
	if (rh_redis_error(redis) || got->kind != RH_REDIS_ARRAY || got->n != 2)
		return false;
	*cursor = got->items[0].text;
	keys = &got->items[1];
	for (size_t i = 0; i < keys->n; i++) {
		rh_redis_send(redis, keys->items[i].text, RH_SLICE("UNLINK"),
		    keys->items[i].text);
		(void)rh_redis_read(redis);
		if (rh_redis_error(redis))
			return false;
	}
	return true;
}

bool
forget_all(const struct rh_program *self, const char *url,
    struct rh_uuid tenant)
{
	struct rh_slice cursor = RH_SLICE("0"), match, node;
	char id[RH_UUID_LEN];
	struct rh_redis *redis;
	bool good;

	if (!url || !url[0])
		return true;
	rh_uuid_put(id, tenant);
	match = rh_slice_of(rh_arena_printf(self->arena, "{%.*s}:e:*",
	    RH_UUID_LEN, id));
	node = rh_slice_of(rh_arena_printf(self->arena, "{%.*s}", RH_UUID_LEN,
	    id));
	redis = redis_open(self, url);
	do
		good = sweep(redis, node, match, &cursor);
	while (good && !rh_slice_is(cursor, RH_SLICE("0")));
	return redis_end(self, redis, good);
}
