#include "config.h"

#include "data/limit.h"

#include <stdatomic.h>

/*
 * A key stands in one of eight neighbouring cells. Its theoretical arrival
 * time (GCRA's TAT) is moved by one compare-and-swap; a cell whose time has
 * passed says no more than an empty one, so it may be taken over.
 */
struct cell {
	_Atomic uint64_t key;
	_Atomic uint64_t tat_ns;
};

struct rh_limit_table {
	struct cell cells[1];
};

enum { PROBES = 8 };

size_t
rh_limit_bytes(unsigned keys)
{
	return (keys + PROBES) * sizeof(struct cell);
}

static struct cell *
cell_find(struct rh_limit_table *t, unsigned keys, uint64_t key)
{
	struct cell *c = &t->cells[key % keys];

	for (int i = 0; i < PROBES; i++)
		if (atomic_load_explicit(&c[i].key, memory_order_relaxed) == key)
			return &c[i];
	return NULL;
}

static struct cell *
cell_claim(struct rh_limit_table *t, unsigned keys, uint64_t key,
    uint64_t now_ns)
{
	struct cell *c = &t->cells[key % keys];

	for (int i = 0; i < PROBES; i++) {
		uint64_t had = atomic_load(&c[i].key);

		if (had != 0 && atomic_load(&c[i].tat_ns) > now_ns)
			continue;
		if (atomic_compare_exchange_strong(&c[i].key, &had, key))
			return &c[i];
		if (had == key)	/* another worker was first with this key */
			return &c[i];
	}
	return NULL;
}

static uint64_t
step_of(struct rh_quota q)
{
	uint64_t step = (uint64_t)q.window_ms * 1000000 / (uint64_t)q.quota;

	return step + (step == 0);
}

struct rh_verdict
rh_limit_take(struct rh_limit_table *t, unsigned keys, uint64_t key,
    struct rh_quota q, uint64_t now_ns)
{
	uint64_t step = step_of(q), tat, next;
	/* whole steps: a rest of the division is no request more */
	uint64_t window = step * (uint64_t)q.quota;
	struct rh_verdict v = { .granted = true, .remaining = q.quota - 1 };
	struct cell *c;

	key += key == 0;
	if (!(c = cell_find(t, keys, key)) &&
	    !(c = cell_claim(t, keys, key, now_ns)))
		return v;
	tat = atomic_load(&c->tat_ns);
	do {
		next = (tat > now_ns ? tat : now_ns) + step;
		if (next - now_ns > window) {
			v.granted = false;
			v.remaining = 0;
			v.reset_ms = (int64_t)((tat - now_ns + 999999) / 1000000);
			v.retry_ms = (int64_t)((next - now_ns - window + 999999) / 1000000);
			return v;
		}
	} while (!atomic_compare_exchange_weak(&c->tat_ns, &tat, next));
	v.remaining = (int64_t)((window - (next - now_ns)) / step);
	v.reset_ms = (int64_t)((next - now_ns + 999999) / 1000000);
	return v;
}

void
rh_limit_give(struct rh_limit_table *t, unsigned keys, uint64_t key,
    struct rh_quota q)
{
	uint64_t step = step_of(q), tat;
	struct cell *c;

	key += key == 0;
	if (!(c = cell_find(t, keys, key)))
		return;
	/* what was granted uncounted may find its key here, and no step */
	tat = atomic_load(&c->tat_ns);
	while (!atomic_compare_exchange_weak(&c->tat_ns, &tat,
	    tat > step ? tat - step : 0))
		continue;
}
