#include "config.h"

#include "data/coherent.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/text.h"
#include "data/coherent_lua.h"
#include "data/coherent_place.h"

#define KEY_MAX		(RH_UUID_LEN + RH_COHERENT_GROUP_MAX + \
	RH_COHERENT_ENTRY_MAX + 6)
#define NUMBER_MAX	21
#define AGE_MAX_MS	((int64_t)1 << 40)
#define FORGONE_MAX	RH_COHERENT_LOOKS

const char *const rh_cache_results[RH_CACHE_RESULTS + 1] = {
	[RH_CACHE_OFF] = "off", [RH_CACHE_MISS] = "miss",
	[RH_CACHE_BUSY] = "busy", [RH_CACHE_HIT] = "hit"
};

/* A look on its way. */
struct asked {
	struct rh_uuid tenant;
	struct rh_slice group, entry;
	char token[RH_COHERENT_TOKEN];
	int64_t since_ms;	/* of the connection, as it was judged by */
	int64_t trusted_ms;
	uint64_t mark;
	bool is_sent, is_glance;
	enum rh_cache_result otherwise;	/* where it is not */
};

struct rh_coherent {
	struct rh_coherent_conf conf;
	struct rh_coherent_obs obs;
	struct rh_coherent_place *place;	/* our own */
	struct asked asked[RH_COHERENT_LOOKS];
	unsigned nasked, nanswered;
	struct rh_lease forgone[FORGONE_MAX];
	unsigned nforgone;
	uint32_t posted;	/* records whose drop has left */
	int64_t posted_since_ms;	/* by the connection of that time */
	bool is_queued;
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
	c->obs = *obs;
	c->place = &conf->shared->places[conf->slot];
	return c;
}

/* ---- keys and arguments ---- */

struct keys {
	struct rh_slice key[4];
	unsigned n;
	char text[4 * KEY_MAX];
	size_t used;
};

/* {tenant}:g:group or {tenant}:e:group:entry */
static void
add_key(struct keys *k, char kind, struct rh_uuid tenant, struct rh_slice group,
    const struct rh_slice *entry)
{
	struct rh_buf b;

	rh_assert(group.n <= RH_COHERENT_GROUP_MAX &&
	    (!entry || entry->n <= RH_COHERENT_ENTRY_MAX));
	rh_buf_init_fixed(&b, k->text + k->used, sizeof(k->text) - k->used);
	rh_buf_char(&b, '{');
	if (k->n == 0)
		rh_uuid_put(b.p + b.n, tenant);
	else
		memcpy(b.p + b.n, k->text + 1, RH_UUID_LEN);
	b.n += RH_UUID_LEN;
	rh_buf_lit(&b, "}:");
	rh_buf_char(&b, kind);
	rh_buf_char(&b, ':');
	rh_buf_slice(&b, group);
	if (entry) {
		rh_buf_char(&b, ':');
		rh_buf_slice(&b, *entry);
	}
	rh_assert(!b.full);
	k->key[k->n++] = rh_buf_get(&b);
	k->used += b.n;
}

static struct rh_slice
number(char to[NUMBER_MAX], int64_t value)
{
	struct rh_buf b;

	rh_buf_init_fixed(&b, to, NUMBER_MAX);
	rh_buf_i64(&b, value);
	return rh_buf_get(&b);
}

static struct rh_slice
token_of(const char token[RH_COHERENT_TOKEN])
{
	return (struct rh_slice){ token, RH_COHERENT_TOKEN };
}

static void
make_token(char to[RH_COHERENT_TOKEN])
{
	unsigned char bytes[RH_COHERENT_TOKEN * 3 / 4];

	rh_random(bytes, sizeof(bytes));
	rh_base64url_put(to, bytes, sizeof(bytes));
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

static uint16_t
throw(void)
{
	uint16_t dice;

	rh_random(&dice, sizeof(dice));
	return dice;
}

/* TIME may be early: what it is held against was older when it was sent. */
static void
glance_send(struct rh_coherent *c, const struct keys *k)
{
	rh_redis_send(c->conf.redis, k->key[0], RH_SLICE("TIME"));
	rh_redis_send(c->conf.redis, k->key[0], RH_SLICE("MGET"), k->key[0],
	    k->key[1]);
}

static void
look_send(struct rh_coherent *c, struct asked *a, struct keys *k)
{
	char lease[NUMBER_MAX], age[NUMBER_MAX], dice[NUMBER_MAX];
	struct rh_slice args[4];

	add_key(k, 'w', a->tenant, a->group, NULL);
	add_key(k, 'l', a->tenant, a->group, &a->entry);
	make_token(a->token);
	args[0] = token_of(a->token);
	args[1] = number(lease, c->conf.lease_ms);
	args[2] = number(age, a->trusted_ms);
	args[3] = number(dice, (int64_t)throw() + 1);
	rh_redis_run(c->conf.redis, &rh_coherent_scripts[RH_COHERENT_LOOK],
	    k->key, k->n, args, RH_COUNT(args));
}

void
rh_coherent_look(struct rh_coherent *c, struct rh_uuid tenant,
    struct rh_slice group, struct rh_slice entry)
{
	struct asked *a = &c->asked[c->nasked % RH_COHERENT_LOOKS];
	struct keys k = { .n = 0 };

	rh_assert(c->nasked++ - c->nanswered < RH_COHERENT_LOOKS);
	*a = (struct asked){ .tenant = tenant, .group = group, .entry = entry };
	add_key(&k, 'g', tenant, group, NULL);
	if (!rh_redis_usable_for(c->conf.redis, k.key[0]))
		return;
	a->otherwise = RH_CACHE_BUSY;
	if (rh_coherent_now_ms() <= c->conf.shared->not_before_ms)
		return;
	add_key(&k, 'e', tenant, group, &entry);
	a->since_ms = rh_redis_since_ms(c->conf.redis);
	a->trusted_ms = RH_MAX(trusted_ms(c), 0);
	a->is_sent = true;
	a->mark = rh_glance_mark(&c->conf.shared->hints, tenant, group, entry);
	a->is_glance = rh_glance_is_likely(&c->conf.shared->hints, a->mark);
	if (a->is_glance)
		glance_send(c, &k);
	else
		look_send(c, a, &k);
}

/* A later answer on the same connection: what was posted before it was done. */
static void
posts_arrived(struct rh_coherent *c, struct rh_uuid tenant)
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

/*
 * A tombstone that Redis has lost stands in the segment: who would read the
 * database now may read what is about to be written over. So does the one who
 * rebuilds it, and has lost his lease.
 */
static void
take_lease(struct rh_coherent *c, const struct asked *a,
    struct rh_slice generation, struct rh_cached *to)
{
	struct rh_lease lease = { true, a->tenant, a->group, a->entry, "", "" };

	if (generation.n != RH_COHERENT_TOKEN)
		return;
	memcpy(lease.token, a->token, sizeof(lease.token));
	memcpy(lease.generation, generation.p, sizeof(lease.generation));
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
take_look(struct rh_coherent *c, const struct asked *a, struct rh_cached *to)
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
take_glance(struct rh_coherent *c, const struct asked *a, struct rh_cached *to)
{
	struct rh_glance_judge judge = { .trusted_ms = a->trusted_ms,
		.dice = throw() };
	const struct rh_redis_value *v;
	enum rh_glance found;

	judge.now_ms = rh_glance_time_ms(rh_redis_read(c->conf.redis));
	v = rh_redis_read(c->conf.redis);
	if (v->kind != RH_REDIS_ARRAY)
		return false;
	found = rh_glance_at(v, &judge, &to->value);
	to->result = found == RH_GLANCE_NONE ? RH_CACHE_BUSY : RH_CACHE_HIT;
	if (found != RH_GLANCE_HIT)
		rh_glance_missed(&c->conf.shared->hints, a->mark);
	return true;
}

static void
take_answer(struct rh_coherent *c, const struct asked *a, struct rh_cached *to)
{
	to->result = RH_CACHE_OFF;
	if (!(a->is_glance ? take_glance : take_look)(c, a, to))
		return;
	/* another connection than that whose age it was judged by */
	if (a->since_ms != rh_redis_since_ms(c->conf.redis) &&
	    to->result == RH_CACHE_HIT) {
		to->result = RH_CACHE_BUSY;
		to->value = RH_SLICE_NONE;
		rh_coherent_forgo(c, &to->lease);
		to->lease = (struct rh_lease){ .held = false };
	}
	posts_arrived(c, a->tenant);
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
	const struct asked *a = &c->asked[c->nanswered % RH_COHERENT_LOOKS];

	rh_assert(c->nanswered++ < c->nasked);
	*to = (struct rh_cached){ .result = a->otherwise };
	if (a->is_sent)
		take_answer(c, a, to);
	count(c, a->group, to->result);
}

/* ---- a lease's end ---- */

static void
fill_send(struct rh_coherent *c, const struct rh_lease *lease,
    struct rh_slice value, int64_t ttl_ms)
{
	char ttl[NUMBER_MAX];
	struct rh_slice args[4] = { token_of(lease->token),
	    token_of(lease->generation), number(ttl, ttl_ms), value };
	struct keys k = { .n = 0 };

	add_key(&k, 'g', lease->tenant, lease->group, NULL);
	add_key(&k, 'e', lease->tenant, lease->group, &lease->entry);
	add_key(&k, 'l', lease->tenant, lease->group, &lease->entry);
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
		fill_send(c, lease, value, ttl_ms);
}

/* Remembered, for other answers may not have been read yet. */
void
rh_coherent_forgo(struct rh_coherent *c, const struct rh_lease *lease)
{
	if (lease->held && c->nforgone < FORGONE_MAX)
		c->forgone[c->nforgone++] = *lease;
}

/* ---- a write ---- */

void
rh_coherent_tomb(struct rh_coherent *c, struct rh_uuid tenant,
    struct rh_slice group, int64_t life_ms, struct rh_tomb *tomb)
{
	char life[NUMBER_MAX];
	struct keys k = { .n = 0 };
	struct rh_slice args[2];

	rh_assert(life_ms > 0);
	*tomb = (struct rh_tomb){ .tenant = tenant, .group = group,
	    .life_ms = life_ms, .place = -1 };
	if (!c->conf.redis)
		return;
	rh_glance_written(&c->conf.shared->hints, tenant, group);
	make_token(tomb->token);
	add_key(&k, 'g', tenant, group, NULL);
	add_key(&k, 'w', tenant, group, NULL);
	tomb->place = rh_coherent_place_take(c->place, tomb);
	if (tomb->place >= 0)
		c->posted &= ~(1u << tomb->place);
	if (!rh_redis_usable_for(c->conf.redis, k.key[0]))
		return;
	args[0] = token_of(tomb->token);
	args[1] = number(life, life_ms);
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
		posts_arrived(c, tomb->tenant);
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
	struct rh_slice arg = token_of(token);
	struct keys k = { .n = 0 };

	add_key(&k, 'g', tenant, group, NULL);
	add_key(&k, 'w', tenant, group, NULL);
	rh_redis_run(c->conf.redis, &rh_coherent_scripts[RH_COHERENT_DROP],
	    k.key, k.n, &arg, 1);
	c->is_queued = true;
}

void
rh_coherent_drop(struct rh_coherent *c, const struct rh_tomb *tomb)
{
	rh_coherent_done(c, tomb);	/* its record is what post goes by */
	if (tomb->place < 0 && rh_redis_usable(c->conf.redis))
		drop_send(c, tomb->tenant, tomb->group, tomb->token);
}

/* ---- after the reply ---- */

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
		fill_send(c, &c->forgone[i], RH_SLICE(""), 0);
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
