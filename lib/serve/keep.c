/*
 * keep - what handlers keep in Redis by themselves: whose Redis that is, and
 * that nobody asks it for who may not.
 */
#include "config.h"

#include "serve/server.h"
#include "tenancy/authorize.h"

/* Sessions of a worker to Redises of placements, and how long for nobody. */
enum { SESSIONS_MAX = 8, IDLE_MS = 60000 };

/* Where the request is by now, its tenant's data are. */
static struct rh_err *
resolve(void *of, struct rh_arena *arena, struct rh_uuid tenant,
    const char **url)
{
	const struct rh_server *s = of;
	size_t place = (size_t)(s->at - s->places);

	(void)arena;
	(void)tenant;
	*url = NULL;
	if (place) {
		*url = s->host->places[place - 1].redis.url;
		if (!*url)
			*url = "";
	}
	return NULL;
}

void
rh_keep_open(struct rh_server *s)
{
	const struct rh_host *h = s->host;

	s->caches_obs = (struct rh_cache_obs){ &s->tally,
		h->series.cache_requests, RH_CACHE_APPLICATION,
		h->series.lock_attempts };
	s->caches_conf = (struct rh_cache_manager_conf){ .shared = s->redis,
		.resolver = resolve,
		.of = s,
		.max = SESSIONS_MAX,
		.idle_ms = IDLE_MS,
		.own = h->redis,
		.redis_obs = &s->placed_redis_obs,
		.obs = &s->caches_obs,
		.gate = h->caches };
	s->caches = rh_cache_manager_new(s->own, &s->caches_conf);
}

static void
authorize_again(void *call)
{
	struct rh_call *c = call;

	rh_authorize_tenant(c->pipe, &c->token, c->tenant,
	    c->rq->match.route->role, &c->who);
}

/*
 * The pipe's transaction ends here, and its tenant with it: in front of another
 * that is said once more. But one that is held, for an Idempotency-Key, goes on.
 */
static struct rh_err *
authorize(struct rh_call *c)
{
	struct rh_err *err;

	rh_assert(c->rq->match.route->access == RH_TENANT);
	if ((err = rh_pipe_error(c->pipe)))
		return err;
	if (!c->idem.on)
		rh_pipe_preface(c->pipe, authorize_again, c);
	return NULL;
}

struct rh_err *
rh_call_cache(struct rh_call *c, struct rh_cache **cache)
{
	struct rh_err *err;

	*cache = NULL;
	/* where there is none nobody is asked, and nothing has to be known */
	if (c->server->redis && (err = authorize(c)))
		return err;
	return rh_cache_manager_get(c->server->caches,
	    &(struct rh_cache_for){ c->arena, c->trace, c->deadline_ns,
		c->tenant },
	    cache);
}
