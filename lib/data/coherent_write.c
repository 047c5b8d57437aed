#include "config.h"

#include "data/coherent_lua.h"
#include "data/coherent_part.h"

/* ---- tombstones ---- */

void
rh_coherent_tomb(struct rh_coherent *c, struct rh_uuid tenant,
    struct rh_slice group, int64_t life_ms, struct rh_tomb *tomb)
{
	char life[RH_COHERENT_NUMBER_MAX], doubt[RH_COHERENT_NUMBER_MAX];
	struct rh_coherent_keys k = { .n = 0 };
	struct rh_slice args[3];

	rh_assert(life_ms > 0);
	*tomb = (struct rh_tomb){ .tenant = tenant, .group = group,
	    .life_ms = life_ms, .since_ms = rh_coherent_now_ms(), .place = -1 };
	if (!c->conf.redis)
		return;
	rh_glance_written(&c->conf.shared->hints, tenant, group);
	rh_coherent_token_make(tomb->token);
	rh_coherent_key(&k, 'g', tenant, group, NULL);
	tomb->place = rh_coherent_place_take(c->place, tomb);
	if (tomb->place >= 0)
		c->posted &= ~(1u << tomb->place);
	if (!rh_redis_usable_for(c->conf.redis, k.key[0]))
		return;
	args[0] = rh_coherent_token(tomb->token);
	args[1] = rh_coherent_number(life, life_ms);
	args[2] = rh_coherent_number(doubt, c->conf.quarantine_ms);
	rh_redis_run(c->conf.redis, &rh_coherent_scripts[RH_COHERENT_TOMB],
	    k.key, k.n, args, RH_COUNT(args));
	tomb->is_sent = true;
}

static void
distrust_for(struct rh_coherent *c, int64_t ms)
{
	rh_coherent_distrust(c->conf.shared, rh_coherent_now_ms() + ms);
}

bool
rh_coherent_tomb_laid(struct rh_coherent *c, struct rh_tomb *tomb)
{
	if (tomb->is_sent)
		tomb->is_laid =
		    rh_redis_read(c->conf.redis)->kind == RH_REDIS_INT;
	if (tomb->is_laid)
		rh_coherent_posts_arrived(c, tomb->tenant);
	if (!c->conf.redis || (tomb->is_laid && tomb->place >= 0))
		return tomb->is_laid;
	if (tomb->place >= 0)
		rh_coherent_place_blind(c->place, tomb->place);
	else
		distrust_for(c, tomb->life_ms);
	return tomb->is_laid;
}

/* What another host's, or an older, look has filled meanwhile is as good as none. */
void
rh_coherent_done(struct rh_coherent *c, const struct rh_tomb *tomb)
{
	if (tomb->place < 0)
		return;
	if (rh_coherent_place_is_blind(c->place, tomb->place))
		distrust_for(c, 0);
	rh_coherent_place_done(c->place, tomb->place);
}

void
rh_coherent_unsettled(struct rh_coherent *c, const struct rh_tomb *tomb)
{
	if (tomb->place >= 0 &&
	    rh_coherent_place_is_blind(c->place, tomb->place))
		distrust_for(c, tomb->life_ms);
}

static void
drop_send(struct rh_coherent *c, struct rh_uuid tenant, struct rh_slice group,
    const char token[RH_COHERENT_TOKEN])
{
	struct rh_slice arg = rh_coherent_token(token);
	struct rh_coherent_keys k = { .n = 0 };

	rh_coherent_key(&k, 'g', tenant, group, NULL);
	rh_redis_run(c->conf.redis, &rh_coherent_scripts[RH_COHERENT_DROP],
	    k.key, k.n, &arg, 1);
	c->is_queued = true;
}

/* An eighth is for two clocks that are cut to milliseconds. */
static bool
is_late(const struct rh_coherent *c, const struct rh_tomb *tomb)
{
	return tomb->place >= 0 && rh_coherent_now_ms() - tomb->since_ms >=
	    c->conf.quarantine_ms * 7 / 8;
}

/* One that did not arrive goes again, as those behind a reply do. */
bool
rh_coherent_confirm(struct rh_coherent *c, struct rh_tomb *tombs,
    unsigned n)
{
	struct rh_tomb *late[RH_COHERENT_TOMBS];
	unsigned nlate = 0, told = 0;

	for (unsigned i = 0; i < n && c->conf.quarantine_ms; i++)
		if (is_late(c, &tombs[i]))
			late[nlate++] = &tombs[i];
	if (!nlate || !rh_redis_usable(c->conf.redis))
		return !nlate;
	for (unsigned i = 0; i < nlate; i++)
		drop_send(c, late[i]->tenant, late[i]->group, late[i]->token);
	c->is_queued = false;	/* what is read has not to be posted */
	for (unsigned i = 0; i < nlate; i++) {
		late[i]->is_dropped =
		    rh_redis_read(c->conf.redis)->kind == RH_REDIS_INT;
		if (late[i]->is_dropped)
			rh_coherent_place_free(c->place, late[i]->place);
		told += late[i]->is_dropped;
	}
	return told == nlate;
}

void
rh_coherent_drop(struct rh_coherent *c, const struct rh_tomb *tomb)
{
	if (tomb->is_dropped)
		return;
	rh_coherent_done(c, tomb);	/* its record is what post goes by */
	if (tomb->place < 0 && rh_redis_usable(c->conf.redis))
		drop_send(c, tomb->tenant, tomb->group, tomb->token);
}

/* ---- after the reply ---- */

void
rh_coherent_posts_arrived(struct rh_coherent *c, struct rh_uuid tenant)
{
	if (!c->posted || rh_redis_since_ms(c->conf.redis) != c->posted_since_ms)
		return;
	for (int i = 0; i < RH_COHERENT_TOMBS; i++)
		if (c->posted >> i & 1 &&
		    rh_uuid_is(c->place->records[i].tenant, tenant)) {
			rh_coherent_place_free(c->place, i);
			c->posted &= ~(1u << i);
		}
}

/* Answers which. Another connection than the one they left by: once more. */
static uint32_t
drops_send(struct rh_coherent *c)
{
	uint32_t sent = 0, done = c->place->done;

	if (rh_redis_since_ms(c->conf.redis) != c->posted_since_ms)
		c->posted = 0;
	for (int i = 0; i < RH_COHERENT_TOMBS; i++) {
		const struct rh_coherent_record *r = &c->place->records[i];

		if (!(done >> i & 1) || c->posted >> i & 1)
			continue;
		drop_send(c, r->tenant,
		    (struct rh_slice){ r->group, r->group_n }, r->token);
		sent |= 1u << i;
	}
	return sent;
}

void
rh_coherent_post(struct rh_coherent *c)
{
	uint32_t sent;

	rh_coherent_rebuild_end(c->place);
	if (!c->place->done && !c->nforgone && !c->is_queued)
		return;
	if (!rh_redis_usable(c->conf.redis))
		return;
	sent = drops_send(c);
	for (unsigned i = 0; i < c->nforgone; i++)
		rh_coherent_fill_send(c, &c->forgone[i], RH_SLICE(""), 0);
	c->nforgone = 0;
	if (!c->is_queued || !rh_redis_post(c->conf.redis))
		return;
	c->is_queued = false;
	c->posted |= sent;
	c->posted_since_ms = rh_redis_since_ms(c->conf.redis);
}

void
rh_coherent_inherit(struct rh_coherent *c)
{
	rh_coherent_place_tidy(c->place, c->conf.shared);
	rh_coherent_begin(c);
	rh_coherent_post(c);
}

/*
 * A tombstone whose drop did not get away keeps its group from everybody for as
 * long as it lives, and the next request may be another worker's.
 */
void
rh_coherent_idle(struct rh_coherent *c)
{
	if (!c->place->done)
		return;
	rh_coherent_begin(c);
	rh_coherent_post(c);
}
