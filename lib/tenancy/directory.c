#include "config.h"

#include "tenancy/directory.h"

#include <stdatomic.h>

#include "base/crypto.h"

enum { FREE, WRITING, READY };
enum { PROBES = 32 };
enum { TENANT, TOKEN, TENANT_WRITE, TOKEN_WRITE, WINDOW_MS, LIMITS };

struct entry {
	_Atomic uint32_t state;
	uint32_t label;
	struct rh_uuid id;
	_Atomic uint64_t placement;
	_Atomic uint32_t limits[LIMITS];
	uint8_t length;
	char slug[RH_SLUG_MAX - 1 + 8];
};

struct rh_directory {
	struct entry entries[1];
};

/* Twice the tenants, so that probes stay short. */
static size_t
cells(unsigned tenants)
{
	return (size_t)tenants * 2;
}

size_t
rh_directory_bytes(unsigned tenants)
{
	return (cells(tenants) + PROBES) * sizeof(struct entry);
}

static bool
entry_is(const struct entry *e, struct rh_slice slug)
{
	return e->length == slug.n && memcmp(e->slug, slug.p, slug.n) == 0;
}

static const struct entry *
entry_find(const struct rh_directory *d, unsigned tenants, struct rh_slice slug)
{
	const struct entry *e = &d->entries[rh_hash64(slug.p, slug.n) %
	    cells(tenants)];

	for (int i = 0; i < PROBES; i++, e++) {
		uint32_t state = atomic_load_explicit(&e->state,
		    memory_order_acquire);

		if (state == FREE)
			return NULL;
		if (state == READY && entry_is(e, slug))
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
	const struct entry *e = entry_find(d, tenants, slug);

	if (e)
		limits_put(&d->entries[e - d->entries], limits);
}

void
rh_directory_place(struct rh_directory *d, unsigned tenants,
    struct rh_slice slug, uint64_t placement)
{
	const struct entry *e = entry_find(d, tenants, slug);

	if (e)
		atomic_store_explicit(&d->entries[e - d->entries].placement,
		    placement, memory_order_relaxed);
}

uint64_t
rh_placement_hash(struct rh_slice name)
{
	return name.n ? rh_hash64(name.p, name.n) | 1 : 0;
}

void
rh_directory_put(struct rh_directory *d, unsigned tenants,
    struct rh_slice slug, const struct rh_tenant *tenant)
{
	struct entry *e = &d->entries[rh_hash64(slug.p, slug.n) %
	    cells(tenants)];

	for (int i = 0; i < PROBES; i++, e++) {
		uint32_t state = FREE;

		if (atomic_compare_exchange_strong(&e->state, &state, WRITING)) {
			e->label = tenant->label;
			e->id = tenant->id;
			atomic_store_explicit(&e->placement, tenant->placement,
			    memory_order_relaxed);
			limits_put(e, &tenant->limits);
			e->length = (uint8_t)slug.n;
			memcpy(e->slug, slug.p, slug.n);
			atomic_store_explicit(&e->state, READY,
			    memory_order_release);
			return;
		}
		if (state == READY && entry_is(e, slug))
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
