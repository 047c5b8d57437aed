#include "config.h"

#include "data/advance.h"

#include <stdatomic.h>

#include "base/attr.h"
#include "data/cells.h"

/*
 * Two words carry a time and a number: the time's upper 48 bits, in steps of
 * 65 us, and 16 bits. So each changes by one compare-and-swap.
 */
#define NUMBER_BITS	16
#define NUMBER_MAX	((UINT64_C(1) << NUMBER_BITS) - 1)
#define TIME_OF(word)	((word) & ~NUMBER_MAX)
#define NUMBER_OF(word)	((word) & NUMBER_MAX)
#define WORD(time, n)	(((time) & ~NUMBER_MAX) | (n))

struct cell {
	_Atomic uint64_t key;
	_Atomic uint64_t lot;	/* until when, how many are left */
	_Atomic uint64_t heat;	/* since when, how many came */
	_Atomic uint64_t size;	/* of the lot when it came */
	_Atomic uint64_t tat_ns;
};

struct rh_advances {
	struct cell cells[1];
};

/* Less is not worth a lot. */
enum { LEAST = 4, CAME_LEAST = 3 };

size_t
rh_advances_bytes(unsigned keys)
{
	return rh_cells(keys) * sizeof(struct cell);
}

static struct cell *
cell_find(struct rh_advances *a, unsigned keys, uint64_t key)
{
	for (unsigned i = 0; i < RH_CELLS_PLACES; i++) {
		struct cell *c = &a->cells[rh_cell_at(keys, key, i)];
		uint64_t has = atomic_load_explicit(&c->key,
		    memory_order_relaxed);

		if (has == key)
			return c;
		if (has == 0)	/* whoever claims takes it, and goes no further */
			return NULL;
	}
	return NULL;
}

/* One that nobody came by for a while; what its lot had is forgotten, and ends. */
static struct cell *
cell_claim(struct rh_advances *a, unsigned keys, uint64_t key, uint64_t now_ns,
    uint64_t life_ns)
{
	for (unsigned i = 0; i < RH_CELLS_PLACES; i++) {
		struct cell *c = &a->cells[rh_cell_at(keys, key, i)];
		uint64_t had = atomic_load(&c->key);

		if (had == key)
			return c;
		if (had && (TIME_OF(atomic_load(&c->lot)) > now_ns ||
		    TIME_OF(atomic_load(&c->heat)) + 4 * life_ns > now_ns))
			continue;
		if (!atomic_compare_exchange_strong(&c->key, &had, key)) {
			if (had == key)
				return c;
			continue;
		}
		atomic_store(&c->lot, 0);
		atomic_store(&c->size, 0);
		atomic_store(&c->heat, WORD(now_ns, 0));
		return c;
	}
	return NULL;
}

bool
rh_advance_spend(struct rh_advances *a, unsigned keys, uint64_t key,
    uint64_t now_ns, int64_t *left, uint64_t *tat_ns)
{
	struct cell *c = cell_find(a, keys, key + (key == 0));
	uint64_t lot;

	if (!c)
		return false;
	lot = atomic_load(&c->lot);
	do {
		if (NUMBER_OF(lot) == 0 || TIME_OF(lot) <= now_ns)
			return false;
	} while (!atomic_compare_exchange_weak(&c->lot, &lot, lot - 1));
	atomic_fetch_add_explicit(&c->heat, 1, memory_order_relaxed);
	*left = (int64_t)NUMBER_OF(lot) - 1;
	*tat_ns = atomic_load_explicit(&c->tat_ns, memory_order_relaxed);
	return true;
}

int64_t
rh_advance_left(struct rh_advances *a, unsigned keys, uint64_t key,
    uint64_t now_ns)
{
	struct cell *c = cell_find(a, keys, key + (key == 0));
	uint64_t lot = c ? atomic_load(&c->lot) : 0;

	return TIME_OF(lot) > now_ns ? (int64_t)NUMBER_OF(lot) : 0;
}

void
rh_advance_unspend(struct rh_advances *a, unsigned keys, uint64_t key)
{
	struct cell *c = cell_find(a, keys, key + (key == 0));
	uint64_t lot;

	if (!c)
		return;
	lot = atomic_load(&c->lot);
	/* where that is another lot by now, that has one more: this one was drawn */
	while (lot && NUMBER_OF(lot) < NUMBER_MAX &&
	    !atomic_compare_exchange_weak(&c->lot, &lot, lot + 1))
		continue;
}

/*
 * As many as come in a lot's life, by what came since the last draw. Who moves
 * the time is who draws; the others ask for their own request meanwhile.
 */
static int64_t
want(struct cell *c, uint64_t now_ns, uint64_t life_ns, int64_t most)
{
	uint64_t heat = atomic_load(&c->heat);
	uint64_t since = now_ns - RH_MIN(TIME_OF(heat), now_ns);
	uint64_t came = NUMBER_OF(heat) + 1, n;

	if (since > 4 * life_ns) {
		(void)atomic_compare_exchange_strong(&c->heat, &heat,
		    WORD(now_ns, 1));
		return 0;
	}
	n = came * life_ns / RH_MAX(since, life_ns / 16);
	n = RH_MIN(n, (uint64_t)most);
	if (came < CAME_LEAST || n < LEAST) {
		(void)atomic_compare_exchange_strong(&c->heat, &heat,
		    heat + (NUMBER_OF(heat) < NUMBER_MAX));
		return 0;
	}
	return atomic_compare_exchange_strong(&c->heat, &heat,
	    WORD(now_ns, 0)) ? (int64_t)n : 0;
}

struct rh_draw
rh_advance_draw(struct rh_advances *a, unsigned keys, uint64_t key,
    uint64_t now_ns, uint64_t life_ns, int64_t most)
{
	struct rh_draw d = { 0, 0, 0 };
	struct cell *c;
	uint64_t lot;

	key += key == 0;
	if (most < LEAST || (!(c = cell_find(a, keys, key)) &&
	    !(c = cell_claim(a, keys, key, now_ns, life_ns))))
		return d;
	lot = atomic_load(&c->lot);
	if (NUMBER_OF(lot) && TIME_OF(lot) > now_ns)
		return d;	/* another of its budgets has none */
	d.want = want(c, now_ns, life_ns, RH_MIN(most, (int64_t)NUMBER_MAX / 4));
	if (lot && atomic_compare_exchange_strong(&c->lot, &lot, 0)) {
		d.back = (int64_t)NUMBER_OF(lot);
		d.over = (int64_t)atomic_exchange(&c->size, 0);
	}
	return d;
}

void
rh_advance_put(struct rh_advances *a, unsigned keys, uint64_t key, int64_t n,
    uint64_t until_ns, uint64_t tat_ns)
{
	struct cell *c = cell_find(a, keys, key + (key == 0));
	uint64_t lot, next;

	if (!c)
		return;	/* it ends in Redis by itself */
	atomic_store_explicit(&c->tat_ns, tat_ns, memory_order_relaxed);
	lot = atomic_load(&c->lot);
	do {
		next = lot ? WORD(RH_MIN(TIME_OF(lot), until_ns),
		    RH_MIN(NUMBER_OF(lot) + (uint64_t)n, NUMBER_MAX)) :
		    WORD(until_ns, (uint64_t)n);
	} while (!atomic_compare_exchange_weak(&c->lot, &lot, next));
	/* behind it: who claims in between tells Redis too little, not too much */
	atomic_fetch_add(&c->size, (uint64_t)n);
}
