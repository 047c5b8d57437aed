#include "config.h"

#include "data/coherent_lua.h"
#include "data/coherent_part.h"

/* ---- tombstones ---- */

#define WRITTEN_MS \
	600000 /* a generation of a group that is written and not read */

/* doubt_ms < 0: none is laid where Redis knows no such group. */
static void
tomb_send(struct rh_coherent *c, const struct rh_coherent_keys *k,
    const char token[RH_COHERENT_TOKEN], int64_t life_ms, int64_t doubt_ms)
{
	char life[RH_COHERENT_NUMBER_MAX], doubt[RH_COHERENT_NUMBER_MAX];
	const struct rh_slice args[] = { rh_coherent_token(token),
		rh_coherent_number(life, life_ms),
		doubt_ms < 0 ? RH_SLICE("") :
			       rh_coherent_number(doubt, doubt_ms) };

	rh_redis_run(c->conf.redis, &rh_coherent_scripts[RH_COHERENT_TOMB],
	    k->key, k->n, args, RH_COUNT(args));
}

/* What is known is of this host's leases: there must be no others. */
static bool
is_known_cold(const struct rh_coherent *c, const struct rh_tomb *tomb)
{
	return tomb->place >= 0 && !c->conf.quarantine_ms &&
	    rh_cold_is(&c->conf.shared->cold, tomb->hash, tomb->word);
}

/* Its record stands before anything is read: coherent_cold.h says why. */
void
rh_coherent_tomb(struct rh_coherent *c, struct rh_uuid tenant,
    struct rh_slice group, int64_t life_ms, struct rh_tomb *tomb)
{
	struct rh_coherent_keys k = { .n = 0 };

	rh_assert(life_ms > 0);
	*tomb = (struct rh_tomb){ .tenant = tenant,
		.group = group,
		.life_ms = life_ms,
		.since_ms = rh_coherent_now_ms(),
		.place = -1 };
	if (!c->conf.redis)
		return;
	rh_glance_written(&c->conf.shared->hints, tenant, group);
	rh_coherent_token_make(tomb->token);
	rh_coherent_key(&k, 'g', tenant, group, NULL);
	tomb->hash = rh_coherent_hash(tenant, group);
	tomb->place = rh_coherent_place_take(c->place, tomb);
	if (tomb->place >= 0)
		c->posted &= ~(1u << tomb->place);
	tomb->word = rh_cold_word(&c->conf.shared->cold, tomb->hash);
	tomb->is_cold = is_known_cold(c, tomb);
	if (tomb->is_cold || !rh_redis_usable_for(c->conf.redis, k.key[0]))
		return;
	tomb_send(c, &k, tomb->token, life_ms,
	    tomb->place < 0 ? c->conf.quarantine_ms : -1);
	tomb->is_sent = true;
}

static void
distrust_for(struct rh_coherent *c, int64_t ms)
{
	rh_coherent_distrust(c->conf.shared, rh_coherent_now_ms() + ms);
}

/* Its answer: one that says nothing is a server that has not laid it. */
static void
hear(struct rh_coherent *c, struct rh_tomb *tomb)
{
	const struct rh_redis_value *v = rh_redis_read(c->conf.redis);

	tomb->is_laid = v->kind == RH_REDIS_INT;
	tomb->is_cold = tomb->is_laid && v->number == 0;
	if (tomb->is_laid)
		rh_coherent_posts_arrived(c, tomb->tenant);
	if (!tomb->is_cold)
		return;
	rh_coherent_place_cold(c->place, tomb->place, true);
	rh_cold_learn(&c->conf.shared->cold, tomb->hash, tomb->word);
}

bool
rh_coherent_tomb_laid(struct rh_coherent *c, struct rh_tomb *tomb)
{
	if (tomb->is_sent)
		hear(c, tomb);
	if (tomb->is_cold)
		return true;
	if (!c->conf.redis || (tomb->is_laid && tomb->place >= 0))
		return tomb->is_laid;
	if (tomb->place >= 0)
		rh_coherent_place_blind(c->place, tomb->place);
	else
		distrust_for(c, tomb->life_ms);
	return tomb->is_laid;
}

/* An eighth is for two clocks that are cut to milliseconds. */
static bool
is_late(const struct rh_coherent *c, const struct rh_tomb *tomb)
{
	return tomb->place >= 0 && !tomb->is_dropped && c->conf.quarantine_ms &&
	    rh_coherent_now_ms() - tomb->since_ms >=
	    c->conf.quarantine_ms * 7 / 8;
}

/*
 * What another host's, or an older, look has filled meanwhile is as good as
 * none. Of a group that Redis did not know nobody has, but after quarantine_ms.
 */
void
rh_coherent_done(struct rh_coherent *c, struct rh_tomb *tomb)
{
	if (tomb->place < 0 || tomb->is_dropped)
		return;
	tomb->is_dropped = tomb->is_cold && !is_late(c, tomb);
	if (tomb->is_dropped) {
		rh_coherent_place_free(c->place, tomb->place);
		return;
	}
	if (rh_coherent_place_is_blind(c->place, tomb->place))
		distrust_for(c, 0);
	rh_coherent_place_done(c->place, tomb->place);
}

/* What it left out, since it would be over soon: for other hosts. */
static void
lay_after_all(struct rh_coherent *c, int record)
{
	const struct rh_coherent_record *r = &c->place->records[record];
	int64_t left_ms = r->until_ms - rh_coherent_now_ms();
	struct rh_coherent_keys k = { .n = 0 };

	if (!c->conf.quarantine_ms || left_ms <= 0 ||
	    !rh_redis_usable(c->conf.redis))
		return;
	rh_coherent_key(&k, 'g', r->tenant,
	    (struct rh_slice){ r->group, r->group_n }, NULL);
	tomb_send(c, &k, r->token, left_ms, c->conf.quarantine_ms);
	rh_coherent_place_cold(c->place, record, false);
	c->is_queued = true;
}

void
rh_coherent_unsettled(struct rh_coherent *c, struct rh_tomb *tomb)
{
	if (tomb->place < 0)
		return;
	if (rh_coherent_place_is_blind(c->place, tomb->place))
		distrust_for(c, tomb->life_ms);
	if (tomb->is_cold)
		lay_after_all(c, tomb->place);
}

static void
drop_send(struct rh_coherent *c, struct rh_uuid tenant, struct rh_slice group,
    const char token[RH_COHERENT_TOKEN])
{
	char left[RH_COHERENT_NUMBER_MAX];
	const struct rh_slice args[] = { rh_coherent_token(token),
		rh_coherent_number(left,
		    c->conf.quarantine_ms ? WRITTEN_MS : 0) };
	struct rh_coherent_keys k = { .n = 0 };

	rh_coherent_key(&k, 'g', tenant, group, NULL);
	rh_redis_run(c->conf.redis, &rh_coherent_scripts[RH_COHERENT_DROP],
	    k.key, k.n, args, RH_COUNT(args));
	c->is_queued = true;
}

/* One that did not arrive goes again, as those behind a reply do. */
bool
rh_coherent_confirm(struct rh_coherent *c, struct rh_tomb *tombs, unsigned n)
{
	struct rh_tomb *late[RH_COHERENT_TOMBS];
	unsigned nlate = 0, told = 0;

	for (unsigned i = 0; i < n; i++)
		if (is_late(c, &tombs[i]))
			late[nlate++] = &tombs[i];
	if (!nlate || !rh_redis_usable(c->conf.redis))
		return !nlate;
	for (unsigned i = 0; i < nlate; i++)
		drop_send(c, late[i]->tenant, late[i]->group, late[i]->token);
	c->is_queued = false; /* what is read has not to be posted */
	for (unsigned i = 0; i < nlate; i++) {
		late[i]->is_dropped = rh_redis_read(c->conf.redis)->kind ==
		    RH_REDIS_INT;
		if (late[i]->is_dropped)
			rh_coherent_place_free(c->place, late[i]->place);
		told += late[i]->is_dropped;
	}
	return told == nlate;
}

void
rh_coherent_drop(struct rh_coherent *c, struct rh_tomb *tomb)
{
	rh_coherent_done(c, tomb); /* its record is what post goes by */
	if (tomb->place < 0 && rh_redis_usable(c->conf.redis))
		drop_send(c, tomb->tenant, tomb->group, tomb->token);
}

/* ---- after the reply ---- */

void
rh_coherent_posts_arrived(struct rh_coherent *c, struct rh_uuid tenant)
{
	if (!c->posted ||
	    rh_redis_since_ms(c->conf.redis) != c->posted_since_ms)
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
	for (int i = 0; i < RH_COHERENT_TOMBS; i++)
		if (c->place->laid & c->place->cold & 1u << i)
			lay_after_all(c, i);
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
