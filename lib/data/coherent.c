#include "config.h"

#include "data/coherent.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "data/coherent_lua.h"
#include "data/coherent_part.h"

#define AGE_MAX_MS	((int64_t)1 << 40)

const char *const rh_cache_results[RH_CACHE_RESULTS + 1] = {
	[RH_CACHE_OFF] = "off", [RH_CACHE_MISS] = "miss",
	[RH_CACHE_BUSY] = "busy", [RH_CACHE_HIT] = "hit"
};

void
rh_coherent_register(void)
{
	rh_scripts_register(rh_coherent_scripts);
}

struct rh_coherent *
rh_coherent_new(struct rh_arena *worker_arena,
    const struct rh_coherent_conf *conf, const struct rh_coherent_obs *obs)
{
	struct rh_coherent *c = RH_NEW(worker_arena, struct rh_coherent);

	rh_assert(conf->slot < conf->slots && conf->lease_ms > 0);
	c->conf = *conf;
	c->first_since_ms = conf->redis ? rh_redis_since_ms(conf->redis) : 0;
	c->obs = *obs;
	c->place = &conf->shared->places[conf->slot];
	if (conf->quarantine_ms)
		conf->shared->cold.several = true;
	return c;
}

/* ---- a look ---- */

void
rh_coherent_begin(struct rh_coherent *c)
{
	c->nasked = c->nanswered = c->nforgone = 0;
	c->is_queued = false;
	rh_coherent_rebuild_end(c->place);
}

/*
 * How old an entry may be and yet be trusted, by this host's clocks: they run
 * on until Redis compares, so that errs on the safe side. The milliseconds cut
 * off are the 1.
 */
static int64_t
trusted_ms(const struct rh_coherent *c)
{
	int64_t host_ms = rh_coherent_now_ms() - c->conf.shared->not_before_ms;
	int64_t here_ms = rh_clock_wall_us() / 1000 -
	    rh_redis_since_ms(c->conf.redis);

	return RH_MIN(RH_MIN(host_ms, here_ms), AGE_MAX_MS) - 1;
}

/*
 * What Redis has, it may have from a snapshot: without the tombstones of writers
 * who are at work on other hosts, nor have these a connection again at once.
 */
static int64_t
lease_ms(const struct rh_coherent *c)
{
	int64_t since_ms = rh_redis_since_ms(c->conf.redis),
	    doubt_ms = c->conf.quarantine_ms;

	if (doubt_ms && since_ms != c->first_since_ms)
		doubt_ms += c->conf.away_ms;
	return rh_clock_wall_us() / 1000 - since_ms < doubt_ms ? 0 :
	    c->conf.lease_ms;
}

static uint16_t
throw(void)
{
	uint16_t dice;

	rh_random(&dice, sizeof(dice));
	return dice;
}

/* The one before it has asked the same node for it. */
static bool
has_time(const struct rh_coherent *c, struct rh_uuid tenant)
{
	const struct rh_coherent_asked *before;

	if (c->nasked < 2)
		return false;
	before = &c->asked[(c->nasked - 2) % RH_COHERENT_LOOKS];
	return before->is_glance && rh_uuid_is(before->tenant, tenant);
}

/* TIME may be early: what it is held against was older when it was sent. */
static void
glance_send(struct rh_coherent *c, struct rh_coherent_asked *a,
    const struct rh_coherent_keys *k)
{
	a->asks_time = !has_time(c, a->tenant);
	if (a->asks_time)
		rh_redis_send(c->conf.redis, k->key[0], RH_SLICE("TIME"));
	rh_redis_send(c->conf.redis, k->key[0], RH_SLICE("MGET"), k->key[0],
	    k->key[1]);
}

/* 1 to 65536: the fewer, the earlier a refresh. */
static int64_t
dice_of(const struct rh_coherent *c, const struct rh_coherent_asked *a)
{
	return rh_glance_is_late(&c->conf.shared->hints, a->mark) ? 1 :
	    (int64_t)throw() + 1;
}

static void
look_send(struct rh_coherent *c, struct rh_coherent_asked *a,
    struct rh_coherent_keys *k)
{
	char lease[RH_COHERENT_NUMBER_MAX], age[RH_COHERENT_NUMBER_MAX],
	    dice[RH_COHERENT_NUMBER_MAX], doubt[RH_COHERENT_NUMBER_MAX];
	struct rh_slice args[5];

	rh_coherent_key(k, 'l', a->tenant, a->group, &a->entry);
	rh_coherent_token_make(a->token);
	args[0] = rh_coherent_token(a->token);
	args[1] = rh_coherent_number(lease, lease_ms(c));
	args[2] = rh_coherent_number(age, a->trusted_ms);
	args[3] = rh_coherent_number(dice, dice_of(c, a));
	args[4] = rh_coherent_number(doubt, c->conf.quarantine_ms);
	rh_redis_run(c->conf.redis, &rh_coherent_scripts[RH_COHERENT_LOOK],
	    k->key, k->n, args, RH_COUNT(args));
}

void
rh_coherent_look(struct rh_coherent *c, struct rh_uuid tenant,
    struct rh_slice group, struct rh_slice entry)
{
	struct rh_coherent_asked *a = &c->asked[c->nasked % RH_COHERENT_LOOKS];
	struct rh_coherent_keys k = { .n = 0 };

	rh_assert(c->nasked++ - c->nanswered < RH_COHERENT_LOOKS);
	*a = (struct rh_coherent_asked){ .tenant = tenant, .group = group,
		.entry = entry };
	rh_coherent_key(&k, 'g', tenant, group, NULL);
	if (!rh_redis_usable_for(c->conf.redis, k.key[0]))
		return;
	a->otherwise = RH_CACHE_BUSY;
	if (rh_coherent_now_ms() <= c->conf.shared->not_before_ms)
		return;
	rh_coherent_key(&k, 'e', tenant, group, &entry);
	a->since_ms = rh_redis_since_ms(c->conf.redis);
	a->trusted_ms = RH_MAX(trusted_ms(c), 0);
	a->is_sent = true;
	a->mark = rh_glance_mark(&c->conf.shared->hints, tenant, group, entry);
	a->is_glance = rh_glance_is_likely(&c->conf.shared->hints, a->mark);
	if (a->is_glance)
		glance_send(c, a, &k);
	else
		look_send(c, a, &k);
}

/*
 * A tombstone that Redis has lost stands in the segment: who would read the
 * database now may read what is about to be written over. So does the one who
 * rebuilds it, and has lost his lease.
 */
static void
take_lease(struct rh_coherent *c, const struct rh_coherent_asked *a,
    struct rh_slice generation, struct rh_cached *to)
{
	struct rh_lease lease = { true, a->tenant, a->group, a->entry, "", "" };

	if (generation.n != RH_COHERENT_TOKEN)
		return;
	memcpy(lease.token, a->token, sizeof(lease.token));
	memcpy(lease.generation, generation.p, sizeof(lease.generation));
	rh_cold_forget(&c->conf.shared->cold, rh_coherent_hash(a->tenant,
	    a->group));
	if (!rh_coherent_is_written(c->conf.shared, c->conf.slots, a->tenant,
	    a->group) && rh_coherent_rebuild_begin(c->conf.shared,
	    c->conf.slots, c->conf.slot, &lease, c->conf.lease_ms)) {
		to->lease = lease;
		return;
	}
	if (to->result == RH_CACHE_MISS)
		to->result = RH_CACHE_BUSY;
	rh_coherent_forgo(c, &lease);
}

static bool
take_entry(struct rh_slice entry, struct rh_cached *to)
{
	if (entry.n < RH_COHERENT_HEAD)
		return false;
	to->result = RH_CACHE_HIT;
	to->value = rh_slice_from(entry, RH_COHERENT_HEAD);
	return true;
}

/* False: Redis has said nothing that makes sense. */
static bool
take_look(struct rh_coherent *c, const struct rh_coherent_asked *a,
    struct rh_cached *to)
{
	const struct rh_redis_value *v = rh_redis_read(c->conf.redis);

	switch (v->kind) {
	case RH_REDIS_INT:
		to->result = RH_CACHE_BUSY;
		break;
	case RH_REDIS_TEXT:
		if (take_entry(v->text, to))
			rh_glance_hit(&c->conf.shared->hints, a->mark);
		break;
	case RH_REDIS_ARRAY:
		if (v->n == 2 && !take_entry(v->items[0].text, to))
			return false;
		if (v->n == 1)
			to->result = RH_CACHE_MISS;
		if (v->n)
			take_lease(c, a, v->items[v->n - 1].text, to);
		break;
	default:
		return false;
	}
	return true;
}

static bool
take_glance(struct rh_coherent *c, const struct rh_coherent_asked *a,
    struct rh_cached *to)
{
	struct rh_glance_judge judge = { .trusted_ms = a->trusted_ms,
		.dice = throw() };
	const struct rh_redis_value *v;
	enum rh_glance found;

	if (a->asks_time)
		c->glance_ms = rh_glance_time_ms(rh_redis_read(c->conf.redis));
	judge.now_ms = c->glance_ms;
	v = rh_redis_read(c->conf.redis);
	if (v->kind != RH_REDIS_ARRAY)
		return false;
	found = rh_glance_at(v, &judge, &to->value);
	to->result = found == RH_GLANCE_NONE ? RH_CACHE_BUSY : RH_CACHE_HIT;
	if (found == RH_GLANCE_NONE)
		rh_glance_missed(&c->conf.shared->hints, a->mark);
	else if (found == RH_GLANCE_LATE)
		rh_glance_late(&c->conf.shared->hints, a->mark);
	return true;
}

static void
take_answer(struct rh_coherent *c, const struct rh_coherent_asked *a,
    struct rh_cached *to)
{
	to->result = RH_CACHE_OFF;
	if (!(a->is_glance ? take_glance : take_look)(c, a, to))
		return;
	/* another connection than that whose age it was judged by */
	if (a->since_ms != rh_redis_since_ms(c->conf.redis) &&
	    (to->result == RH_CACHE_HIT || c->conf.quarantine_ms)) {
		to->result = RH_CACHE_BUSY;
		to->value = RH_SLICE_NONE;
		rh_coherent_forgo(c, &to->lease);
		to->lease = (struct rh_lease){ .held = false };
	}
	rh_coherent_posts_arrived(c, a->tenant);
}

static void
count(const struct rh_coherent *c, struct rh_slice group,
    enum rh_cache_result result)
{
	struct rh_slice rest = group, name = rh_slice_cut(&rest, ':');
	unsigned cache = 0;

	if (!c->obs.tally)
		return;
	for (unsigned i = 1; c->obs.caches[i] && !cache; i++)
		if (rh_slice_is(name, rh_slice_of(c->obs.caches[i])))
			cache = i;
	rh_count(c->obs.tally, c->obs.requests, cache, result, 1);
}

void
rh_coherent_answer(struct rh_coherent *c, struct rh_cached *to)
{
	const struct rh_coherent_asked *a = &c->asked[c->nanswered % RH_COHERENT_LOOKS];

	rh_assert(c->nanswered++ < c->nasked);
	*to = (struct rh_cached){ .result = a->otherwise };
	if (a->is_sent)
		take_answer(c, a, to);
	count(c, a->group, to->result);
}

/* ---- a lease's end ---- */

void
rh_coherent_fill_send(struct rh_coherent *c, const struct rh_lease *lease,
    struct rh_slice value, int64_t ttl_ms)
{
	char ttl[RH_COHERENT_NUMBER_MAX];
	struct rh_slice args[4] = { rh_coherent_token(lease->token),
	    rh_coherent_token(lease->generation),
	    rh_coherent_number(ttl, ttl_ms), value };
	struct rh_coherent_keys k = { .n = 0 };

	rh_coherent_key(&k, 'g', lease->tenant, lease->group, NULL);
	rh_coherent_key(&k, 'e', lease->tenant, lease->group, &lease->entry);
	rh_coherent_key(&k, 'l', lease->tenant, lease->group, &lease->entry);
	rh_redis_run(c->conf.redis, &rh_coherent_scripts[RH_COHERENT_FILL],
	    k.key, k.n, args, RH_COUNT(args));
	c->is_queued = true;
}

void
rh_coherent_fill(struct rh_coherent *c, const struct rh_lease *lease,
    struct rh_slice value, int64_t ttl_ms)
{
	rh_assert(ttl_ms > 0);
	if (lease->held && rh_redis_usable(c->conf.redis))
		rh_coherent_fill_send(c, lease, value, ttl_ms);
}

/* Remembered, for other answers may not have been read yet. */
void
rh_coherent_forgo(struct rh_coherent *c, const struct rh_lease *lease)
{
	if (lease->held && c->nforgone < RH_COHERENT_LOOKS)
		c->forgone[c->nforgone++] = *lease;
}
