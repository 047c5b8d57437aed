#include "config.h"

#include "data/coherent_glance.h"

#include "base/crypto.h"
#include "base/text.h"
#include "data/coherent_lua.h"

/* ---- hints ---- */

static uint64_t
hash_of(struct rh_uuid tenant, struct rh_slice text)
{
	return rh_hash64(tenant.b, sizeof(tenant.b)) ^
	    rh_hash64(text.p, text.n) * 3;
}

static uint32_t
writes_of(const struct rh_glance_hints *hints, uint64_t group)
{
	return atomic_load_explicit(&hints->writes[group % RH_GLANCE_GROUPS],
	    memory_order_relaxed);
}

uint64_t
rh_glance_mark(const struct rh_glance_hints *hints, struct rh_uuid tenant,
    struct rh_slice group, struct rh_slice entry)
{
	uint64_t hash = hash_of(tenant, group);

	hash += writes_of(hints, hash) * UINT64_C(0x9e3779b97f4a7c15);
	return (hash ^ rh_hash64(entry.p, entry.n) * 5) | 3;
}

static _Atomic uint64_t *
place_of(struct rh_glance_hints *hints, uint64_t mark)
{
	return &hints->hits[(mark >> 32) % RH_GLANCE_HINTS];
}

static uint64_t
hint_of(const struct rh_glance_hints *hints, uint64_t mark)
{
	return atomic_load_explicit(&hints->hits[(mark >> 32) %
	    RH_GLANCE_HINTS], memory_order_relaxed);
}

bool
rh_glance_is_likely(const struct rh_glance_hints *hints, uint64_t mark)
{
	return hint_of(hints, mark) == mark;
}

bool
rh_glance_is_late(const struct rh_glance_hints *hints, uint64_t mark)
{
	return hint_of(hints, mark) == mark - 1;
}

/* A line of memory that all workers read is written where it changes alone. */
void
rh_glance_hit(struct rh_glance_hints *hints, uint64_t mark)
{
	if (!rh_glance_is_likely(hints, mark))
		atomic_store_explicit(place_of(hints, mark), mark,
		    memory_order_relaxed);
}

void
rh_glance_missed(struct rh_glance_hints *hints, uint64_t mark)
{
	atomic_compare_exchange_strong_explicit(place_of(hints, mark), &mark, 0,
	    memory_order_relaxed, memory_order_relaxed);
}

void
rh_glance_late(struct rh_glance_hints *hints, uint64_t mark)
{
	atomic_compare_exchange_strong_explicit(place_of(hints, mark),
	    &(uint64_t){ mark }, mark - 1, memory_order_relaxed,
	    memory_order_relaxed);
}

void
rh_glance_written(struct rh_glance_hints *hints, struct rh_uuid tenant,
    struct rh_slice group)
{
	atomic_fetch_add_explicit(&hints->writes[hash_of(tenant, group) %
	    RH_GLANCE_GROUPS], 1, memory_order_relaxed);
}

/* ---- answers ---- */

int64_t
rh_glance_time_ms(const struct rh_redis_value *time)
{
	uint64_t seconds, us;

	if (time->kind != RH_REDIS_ARRAY || time->n != 2 ||
	    !rh_u64_get(&seconds, time->items[0].text) ||
	    !rh_u64_get(&us, time->items[1].text))
		return -1;
	return (int64_t)(seconds * 1000 + us / 1000);
}

/* Digits of an entry's head; -1 where there are others. */
static int64_t
digits(struct rh_slice entry, size_t at, size_t n)
{
	int64_t value = 0;

	for (size_t i = at; i < at + n; i++) {
		if (entry.p[i] < '0' || entry.p[i] > '9')
			return -1;
		value = value * 10 + (entry.p[i] - '0');
	}
	return value;
}

/*
 * -ln(u) of a u in (0, 1] that the dice stand for, in 1/65536: its exponent, and
 * a straight line within it, which is 0.06 off at most.
 */
static int64_t
exponential(uint16_t dice)
{
	uint32_t u = (uint32_t)dice + 1;	/* of 65536 */
	unsigned halvings = (unsigned)__builtin_clz(u) - 15;
	uint32_t mantissa = u << halvings;	/* 65536 to 131071 */

	return ((int64_t)halvings * 65536 + 65536 - (int64_t)mantissa) *
	    45426 / 65536;	/* ln 2 */
}

enum rh_glance
rh_glance_at(const struct rh_redis_value *values,
    const struct rh_glance_judge *judge, struct rh_slice *entry)
{
	int64_t since_ms, until_ms, took_ms;
	struct rh_slice generation, e;

	if (values->kind != RH_REDIS_ARRAY || values->n != 2)
		return RH_GLANCE_NONE;
	generation = values->items[0].text;
	e = values->items[1].text;
	if (judge->now_ms < 0 || generation.n != RH_COHERENT_TOKEN ||
	    e.n < RH_COHERENT_HEAD ||
	    memcmp(generation.p, e.p, RH_COHERENT_TOKEN) != 0)
		return RH_GLANCE_NONE;
	since_ms = digits(e, 16, 13);
	until_ms = digits(e, 29, 13);
	took_ms = digits(e, 42, 6);
	if (since_ms < 0 || until_ms < 0 || took_ms < 0 ||
	    judge->now_ms - since_ms >= judge->trusted_ms)
		return RH_GLANCE_NONE;
	*entry = rh_slice_from(e, RH_COHERENT_HEAD);
	return judge->now_ms + took_ms * exponential(judge->dice) / 65536 <
	    until_ms ? RH_GLANCE_HIT : RH_GLANCE_LATE;
}
