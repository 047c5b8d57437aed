#include "config.h"

#include "data/coherent_place.h"

#include "base/clock.h"
#include "base/crypto.h"

size_t
rh_coherent_shared_bytes(unsigned slots)
{
	return sizeof(struct rh_coherent_shared) +
	    slots * sizeof(struct rh_coherent_place);
}

int64_t
rh_coherent_now_ms(void)
{
	return (int64_t)(rh_clock_mono_ns() / 1000000);
}

uint64_t
rh_coherent_hash(struct rh_uuid tenant, struct rh_slice group)
{
	char text[sizeof(tenant.b) + RH_COHERENT_GROUP_MAX];

	memcpy(text, tenant.b, sizeof(tenant.b));
	memcpy(text + sizeof(tenant.b), group.p, group.n);
	return rh_hash64(text, sizeof(tenant.b) + group.n);
}

static uint64_t
hash_of_entry(const struct rh_lease *lease)
{
	uint64_t hash = rh_coherent_hash(lease->tenant, lease->group);

	return hash ^ rh_hash64(lease->entry.p, lease->entry.n) * 3;
}

/* A drop that waits for a Redis that is away gives way; one at work does not. */
static int
find_room(struct rh_coherent_place *p, int64_t now_ms)
{
	int64_t oldest_ms = INT64_MAX;
	int found = -1;

	for (int i = 0; i < RH_COHERENT_TOMBS; i++) {
		struct rh_coherent_record *r = &p->records[i];
		bool is_laid = p->laid >> i & 1, is_done = p->done >> i & 1;

		if (!is_done && (!is_laid || r->until_ms < now_ms))
			return i;
		if (is_done && r->until_ms < oldest_ms) {
			oldest_ms = r->until_ms;
			found = i;
		}
	}
	return found;
}

int
rh_coherent_place_take(struct rh_coherent_place *p, const struct rh_tomb *tomb)
{
	int64_t now_ms = rh_coherent_now_ms();
	struct rh_coherent_record *r;
	int i;

	if ((i = find_room(p, now_ms)) < 0)
		return i;
	r = &p->records[i];
	rh_coherent_place_free(p, i);
	r->tenant = tomb->tenant;
	memcpy(r->token, tomb->token, sizeof(r->token));
	memcpy(r->group, tomb->group.p, tomb->group.n);
	r->group_n = (uint8_t)tomb->group.n;
	r->hash = tomb->hash;
	r->until_ms = now_ms + tomb->life_ms;
	p->laid |= 1u << i;
	return i;
}

/* Killed in between it is both, and done counts. */
void
rh_coherent_place_done(struct rh_coherent_place *p, int record)
{
	p->done |= 1u << record;
	p->laid &= ~(1u << record);
	p->blind &= ~(1u << record);
	p->cold &= ~(1u << record);
}

void
rh_coherent_place_blind(struct rh_coherent_place *p, int record)
{
	p->blind |= 1u << record;
}

bool
rh_coherent_place_is_blind(const struct rh_coherent_place *p, int record)
{
	return p->blind >> record & 1;
}

void
rh_coherent_place_cold(struct rh_coherent_place *p, int record, bool is)
{
	if (is)
		p->cold |= 1u << record;
	else
		p->cold &= ~(1u << record);
}

void
rh_coherent_place_free(struct rh_coherent_place *p, int record)
{
	p->laid &= ~(1u << record);
	p->done &= ~(1u << record);
	p->blind &= ~(1u << record);
	p->cold &= ~(1u << record);
}

void
rh_coherent_place_tidy(struct rh_coherent_place *p,
    struct rh_coherent_shared *shared)
{
	int64_t now_ms = rh_coherent_now_ms();

	rh_coherent_rebuild_end(p);
	p->laid &= ~p->done;
	for (int i = 0; i < RH_COHERENT_TOMBS; i++) {
		if (!(p->laid >> i & 1))
			continue;
		if (p->blind >> i & 1)
			rh_coherent_distrust(shared, p->records[i].until_ms);
		if (p->records[i].until_ms < now_ms)
			p->laid &= ~(1u << i);
	}
	p->blind = 0;
}

bool
rh_coherent_is_written(const struct rh_coherent_shared *shared, unsigned slots,
    struct rh_uuid tenant, struct rh_slice group)
{
	uint64_t hash = rh_coherent_hash(tenant, group);
	int64_t now_ms = rh_coherent_now_ms();

	for (unsigned slot = 0; slot < slots; slot++) {
		const struct rh_coherent_place *p = &shared->places[slot];

		for (uint32_t laid = p->laid; laid; laid &= laid - 1) {
			const struct rh_coherent_record *r =
			    &p->records[__builtin_ctz(laid)];

			if (r->hash == hash && r->until_ms >= now_ms)
				return true;
		}
	}
	return false;
}

static bool
is_rebuilt(const struct rh_coherent_place *p, uint64_t hash, int64_t now_ms)
{
	for (uint32_t i = 0; i < RH_MIN(p->rebuilds, RH_COHERENT_LOOKS); i++)
		if (p->rebuild[i].hash == hash &&
		    p->rebuild[i].until_ms >= now_ms)
			return true;
	return false;
}

bool
rh_coherent_rebuild_begin(struct rh_coherent_shared *shared, unsigned slots,
    unsigned slot, const struct rh_lease *lease, int64_t lease_ms)
{
	struct rh_coherent_place *own = &shared->places[slot];
	uint64_t hash = hash_of_entry(lease);
	int64_t now_ms = rh_coherent_now_ms();
	uint32_t at = own->rebuilds;

	if (at >= RH_COHERENT_LOOKS)
		return false;
	own->rebuild[at].hash = hash;
	own->rebuild[at].until_ms = now_ms + lease_ms;
	own->rebuilds = at + 1;	/* said before the others are looked at */
	for (unsigned i = 0; i < slots; i++)
		if (i != slot && is_rebuilt(&shared->places[i], hash, now_ms)) {
			own->rebuilds = at;
			return false;
		}
	return true;
}

void
rh_coherent_rebuild_end(struct rh_coherent_place *p)
{
	p->rebuilds = 0;
}

void
rh_coherent_beside(struct rh_coherent_shared *shared, bool others)
{
	shared->cold.off = others;
}

void
rh_coherent_after(struct rh_coherent_shared *shared, int64_t ms)
{
	rh_coherent_distrust(shared, rh_coherent_now_ms() + ms);
}

void
rh_coherent_distrust(struct rh_coherent_shared *shared, int64_t until_ms)
{
	int64_t was = shared->not_before_ms;

	while (was < until_ms &&
	    !atomic_compare_exchange_weak(&shared->not_before_ms, &was,
	    until_ms))
		;
}
