#include "config.h"

#include "tenancy/directory.h"

#include <stdatomic.h>

#include "base/crypto.h"

enum { PROBES = 32 };
enum { TENANT, TOKEN, TENANT_WRITE, TOKEN_WRITE, WINDOW_MS, LIMITS };

/*
 * A place says which entry, by its number from 1 on, and some bits of the
 * slug's hash, so that another's entry is hardly ever looked at.
 */
#define NUMBER_BITS	23
#define NUMBER_MAX	((UINT32_C(1) << NUMBER_BITS) - 1)
#define NUMBER_OF(place) ((place) & NUMBER_MAX)
#define TAG_OF(place)	((place) & ~NUMBER_MAX)
#define FREE		UINT32_C(0)
#define WRITING		NUMBER_MAX

struct entry {
	struct rh_uuid id;
	_Atomic uint64_t placement;
	_Atomic uint32_t limits[LIMITS];
	uint32_t label;
	uint8_t length;
	char slug[RH_SLUG_MAX - 1 + 8];
};

/* The places, and then the entries, in the order in which they came. */
struct rh_directory {
	_Atomic uint32_t given;	/* entries */
	uint32_t unused[15];
	_Atomic uint32_t places[];
};

/* Twice the tenants, so that probes stay short. */
static size_t
places(unsigned tenants)
{
	return (size_t)tenants * 2;
}

static size_t
entries_at(unsigned tenants)
{
	size_t n = sizeof(struct rh_directory) +
	    (places(tenants) + PROBES) * sizeof(uint32_t);

	return (n + 63) & ~(size_t)63;
}

/* As many: two workers may enter one tenant at once, and unused they are free. */
static uint32_t
entries(unsigned tenants)
{
	return (uint32_t)RH_MIN(places(tenants), (size_t)NUMBER_MAX - 1);
}

size_t
rh_directory_bytes(unsigned tenants)
{
	return entries_at(tenants) + entries(tenants) * sizeof(struct entry);
}

static struct entry *
entry_of(const struct rh_directory *d, unsigned tenants, uint32_t number)
{
	return (struct entry *)((char *)(uintptr_t)d + entries_at(tenants)) +
	    (number - 1);
}

static bool
entry_is(const struct entry *e, struct rh_slice slug)
{
	return e->length == slug.n && memcmp(e->slug, slug.p, slug.n) == 0;
}

static uint32_t
tag_of(uint64_t hash)
{
	return TAG_OF((uint32_t)(hash >> 32));
}

/* The entry that this place names, if it is the slug's. */
static struct entry *
entry_at(const struct rh_directory *d, unsigned tenants, uint32_t place,
    uint64_t hash, struct rh_slice slug)
{
	struct entry *e;

	if (NUMBER_OF(place) == WRITING || TAG_OF(place) != tag_of(hash))
		return NULL;
	e = entry_of(d, tenants, NUMBER_OF(place));
	return entry_is(e, slug) ? e : NULL;
}

static struct entry *
entry_find(const struct rh_directory *d, unsigned tenants, struct rh_slice slug)
{
	uint64_t hash = rh_hash64(slug.p, slug.n);
	const _Atomic uint32_t *p = &d->places[hash % places(tenants)];
	struct entry *e;

	for (int i = 0; i < PROBES; i++, p++) {
		uint32_t place = atomic_load_explicit(p, memory_order_acquire);

		if (place == FREE)
			return NULL;
		if ((e = entry_at(d, tenants, place, hash, slug)))
			return e;
	}
	return NULL;
}

static uint32_t
limit_get(const struct entry *e, int which)
{
	return atomic_load_explicit(&e->limits[which], memory_order_relaxed);
}

static void
limits_put(struct entry *e, const struct rh_limits *l)
{
	const uint32_t values[LIMITS] = { [TENANT] = l->tenant,
		[TOKEN] = l->token, [TENANT_WRITE] = l->tenant_write,
		[TOKEN_WRITE] = l->token_write, [WINDOW_MS] = l->window_ms };

	for (int i = 0; i < LIMITS; i++)
		atomic_store_explicit(&e->limits[i], values[i],
		    memory_order_relaxed);
}

bool
rh_directory_find(const struct rh_directory *d, unsigned tenants,
    struct rh_slice slug, struct rh_tenant *tenant)
{
	const struct entry *e = entry_find(d, tenants, slug);

	if (!e)
		return false;
	tenant->id = e->id;
	tenant->label = e->label;
	tenant->placement = atomic_load_explicit(&e->placement,
	    memory_order_relaxed);
	tenant->limits = (struct rh_limits){ limit_get(e, TENANT),
		limit_get(e, TOKEN), limit_get(e, TENANT_WRITE),
		limit_get(e, TOKEN_WRITE), limit_get(e, WINDOW_MS) };
	return true;
}

void
rh_directory_limit(struct rh_directory *d, unsigned tenants,
    struct rh_slice slug, const struct rh_limits *limits)
{
	struct entry *e = entry_find(d, tenants, slug);

	if (e)
		limits_put(e, limits);
}

void
rh_directory_place(struct rh_directory *d, unsigned tenants,
    struct rh_slice slug, uint64_t placement)
{
	struct entry *e = entry_find(d, tenants, slug);

	if (e)
		atomic_store_explicit(&e->placement, placement,
		    memory_order_relaxed);
}

uint64_t
rh_placement_hash(struct rh_slice name)
{
	return name.n ? rh_hash64(name.p, name.n) | 1 : 0;
}

static void
entry_put(struct entry *e, struct rh_slice slug, const struct rh_tenant *tenant)
{
	e->label = tenant->label;
	e->id = tenant->id;
	atomic_store_explicit(&e->placement, tenant->placement,
	    memory_order_relaxed);
	limits_put(e, &tenant->limits);
	e->length = (uint8_t)slug.n;
	memcpy(e->slug, slug.p, slug.n);
}

/* 0: all of them are given. */
static uint32_t
entry_take(struct rh_directory *d, unsigned tenants)
{
	uint32_t given = atomic_load(&d->given);

	do {
		if (given >= entries(tenants))
			return 0;
	} while (!atomic_compare_exchange_weak(&d->given, &given, given + 1));
	return given + 1;
}

/* The place is the caller's. Where there is no entry for it, it stays taken. */
static void
place_fill(struct rh_directory *d, unsigned tenants, _Atomic uint32_t *p,
    uint64_t hash, struct rh_slice slug, const struct rh_tenant *tenant)
{
	uint32_t number = entry_take(d, tenants);

	if (!number)
		return;
	entry_put(entry_of(d, tenants, number), slug, tenant);
	atomic_store_explicit(p, tag_of(hash) | number, memory_order_release);
}

void
rh_directory_put(struct rh_directory *d, unsigned tenants,
    struct rh_slice slug, const struct rh_tenant *tenant)
{
	uint64_t hash = rh_hash64(slug.p, slug.n);
	_Atomic uint32_t *p = &d->places[hash % places(tenants)];

	for (int i = 0; i < PROBES; i++, p++) {
		uint32_t place = FREE;

		/* what is not to be had is not to be tried for ever anew */
		if (atomic_load_explicit(&d->given, memory_order_relaxed) ==
		    entries(tenants))
			return;
		if (atomic_compare_exchange_strong(p, &place, WRITING)) {
			place_fill(d, tenants, p, hash, slug, tenant);
			return;
		}
		if (entry_at(d, tenants, place, hash, slug))
			return;
	}
}

static bool
is_letter(char c)
{
	return c >= 'a' && c <= 'z';
}

bool
rh_slug_is(struct rh_slice slug)
{
	if (slug.n < 3 || slug.n > RH_SLUG_MAX || !is_letter(slug.p[0]) ||
	    slug.p[slug.n - 1] == '-')
		return false;
	for (size_t i = 0; i < slug.n; i++)
		if (!is_letter(slug.p[i]) && slug.p[i] != '-' &&
		    (slug.p[i] < '0' || slug.p[i] > '9'))
			return false;
	return true;
}
