#include "config.h"

#include "ctl/forget.h"

#include <stdio.h>

#include "ctl/conf.h"
#include "data/coherent.h"

/* It is dropped at once: should that not arrive, for so long nobody trusts it. */
#define TOMB_MS	5000

static struct rh_coherent *
cache_open(const struct rh_program *self, struct rh_redis *redis)
{
	static const struct rh_coherent_obs nothing;

	/* a segment would be the pool's: here nobody else is at work */
	return rh_coherent_new(self->arena, &(struct rh_coherent_conf){
	    .redis = redis, .slots = 1, .lease_ms = TOMB_MS, .shared =
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

void
forget(const struct rh_program *self, struct rh_uuid tenant,
    struct rh_slice group)
{
	const struct rh_redis_conf conf = { ctl_conf.redis_url.p,
		ctl_conf.redis_connect_timeout_ms, ctl_conf.redis_timeout_ms,
		ctl_conf.redis_retry_ms, self->name };
	static const struct rh_redis_obs nothing;
	struct rh_redis *redis;

	if (ctl_conf.redis_url.n == 0)
		return;
	rh_coherent_register();
	redis = rh_redis_new(self->arena, &conf, &nothing);
	(void)rh_redis_warm(redis);
	rh_redis_begin(redis, self->arena, NULL);
	if (!drop(cache_open(self, redis), tenant, group))
		fprintf(stderr, "%s: Redis does not answer (%s): what it has"
		    " cached may be used for cache_ttl more\n", self->name,
		    rh_redis_trouble(redis));
	rh_redis_end(redis);
	rh_redis_close(redis);
}
