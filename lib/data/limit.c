#include "config.h"

#include "data/limit.h"

#include <stdatomic.h>

#include "base/attr.h"
#include "base/clock.h"
#include "data/cells.h"

/*
 * A key stands in one of sixteen cells. Its theoretical arrival time (GCRA's
 * TAT) is moved by one compare-and-swap; a cell whose time has
 * passed says no more than an empty one, so it may be taken over.
 */
struct cell {
	_Atomic uint64_t key;
	_Atomic uint64_t tat_ns;
};

struct rh_limit_table {
	struct cell cells[1];
};

size_t
rh_limit_bytes(unsigned keys)
{
	return rh_cells(keys) * sizeof(struct cell);
}

static struct cell *
cell_find(struct rh_limit_table *t, unsigned keys, uint64_t key)
{
	for (unsigned i = 0; i < RH_CELLS_PLACES; i++) {
		struct cell *c = &t->cells[rh_cell_at(keys, key, i)];
		uint64_t has = atomic_load_explicit(&c->key,
		    memory_order_relaxed);

		if (has == key)
			return c;
		if (has == 0)	/* whoever claims takes it, and goes no further */
			return NULL;
	}
	return NULL;
}

static struct cell *
cell_claim(struct rh_limit_table *t, unsigned keys, uint64_t key,
    uint64_t now_ns)
{
	for (unsigned i = 0; i < RH_CELLS_PLACES; i++) {
		struct cell *c = &t->cells[rh_cell_at(keys, key, i)];
		uint64_t had = atomic_load(&c->key);

		if (had == key)	/* another worker's, since we looked */
			return c;
		if (had != 0 && atomic_load(&c->tat_ns) > now_ns)
			continue;
		if (atomic_compare_exchange_strong(&c->key, &had, key))
			return c;
		if (had == key)	/* another worker was first with this key */
			return c;
	}
	return NULL;
}

struct rh_gcra
rh_limit_pace(struct rh_quota q)
{
	int64_t step = q.window_ms * 1000000 / q.quota;

	step += step == 0;
	return (struct rh_gcra){ step, step * q.quota };
}

static int64_t
ms_of(int64_t ns)
{
	return (ns + 999999) / 1000000;
}

struct rh_verdict
rh_limit_verdict(struct rh_gcra p, bool granted, int64_t used_ns)
{
	struct rh_verdict v = { .granted = granted, .reset_ms = ms_of(used_ns) };

	if (granted)
		v.remaining = (p.window_ns - used_ns) / p.step_ns;
	else
		/* where time went by since it was denied: now, but not 0 */
		v.retry_ms = RH_MAX(ms_of(used_ns + p.step_ns - p.window_ns), 1);
	return v;
}

/* Where a request would start: not before now, nor past the window's end. */
static uint64_t
start_of(uint64_t tat, uint64_t now_ns, struct rh_gcra p)
{
	return tat < now_ns ? now_ns : RH_MIN(tat, now_ns + (uint64_t)p.window_ns);
}

static bool
is_full(uint64_t start, uint64_t now_ns, struct rh_gcra p)
{
	return start - now_ns > (uint64_t)(p.window_ns - p.step_ns);
}

/*
 * A window that became shorter leaves a time too far ahead. Who was held up
 * since he read the clock sees others' times like that, too, and to draw those
 * back would grant them twice: so the clock is read after the time was.
 */
static void
mend(struct cell *c, uint64_t tat, uint64_t now_ns, struct rh_gcra p)
{
	uint64_t end;

	if (tat - now_ns <= (uint64_t)p.window_ns)
		return;
	end = RH_MAX(now_ns, rh_clock_mono_ns()) + (uint64_t)p.window_ns;
	if (tat > end)
		(void)atomic_compare_exchange_strong(&c->tat_ns, &tat, end);
}

struct rh_verdict
rh_limit_take(struct rh_limit_table *t, unsigned keys, uint64_t key,
    struct rh_quota q, uint64_t now_ns)
{
	struct rh_gcra p = rh_limit_pace(q);
	uint64_t tat, start, next;
	struct cell *c;

	key += key == 0;
	if (!(c = cell_find(t, keys, key)) &&
	    !(c = cell_claim(t, keys, key, now_ns)))
		return rh_limit_verdict(p, true, p.step_ns);
	tat = atomic_load(&c->tat_ns);
	do {
		start = start_of(tat, now_ns, p);
		if (is_full(start, now_ns, p)) {
			mend(c, tat, now_ns, p);
			return rh_limit_verdict(p, false,
			    (int64_t)(start - now_ns));
		}
		next = start + (uint64_t)p.step_ns;
	} while (!atomic_compare_exchange_weak(&c->tat_ns, &tat, next));
	return rh_limit_verdict(p, true, (int64_t)(next - now_ns));
}

struct rh_verdict
rh_limit_look(struct rh_limit_table *t, unsigned keys, uint64_t key,
    struct rh_quota q, uint64_t now_ns)
{
	struct cell *c = cell_find(t, keys, key + (key == 0));
	struct rh_gcra p = rh_limit_pace(q);
	uint64_t start = c ? start_of(atomic_load(&c->tat_ns), now_ns, p) :
	    now_ns;

	return rh_limit_verdict(p, !is_full(start, now_ns, p),
	    (int64_t)(start - now_ns));
}

void
rh_limit_give(struct rh_limit_table *t, unsigned keys, uint64_t key,
    struct rh_quota q)
{
	uint64_t step = (uint64_t)rh_limit_pace(q).step_ns, tat;
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
