#include "config.h"

#include "tenancy/concurrency.h"

#include <sched.h>
#include <stdatomic.h>

#include "obs/segment.h"

/*
 * A word is a hash whose last bit says that its worker is still at the door.
 * Who enters says so first and counts then, so that of two in the same moment
 * at least one sees the other. For the last place to be given all the same, and
 * once, those at the door go by their slots: the lower one counts for the
 * higher as if it were inside; the lower waits for the higher to be in or gone.
 */
#define AT_THE_DOOR	UINT64_C(1)
#define PATIENCE	64

struct rh_concurrency {
	_Atomic uint64_t words[1];
};

size_t
rh_concurrency_bytes(unsigned slots)
{
	return slots * sizeof(uint64_t);
}

static bool
is_busy(const struct rh_segment *segment, unsigned slot)
{
	return atomic_load(&rh_segment_slot(segment, slot)->state) ==
	    RH_SLOT_BUSY;
}

/* Whether that other worker has a place that counts for ours. */
static bool
has_place(struct rh_concurrency *c, const struct rh_segment *segment,
    unsigned other, unsigned slot, uint64_t tenant)
{
	for (int i = 0; i < PATIENCE; i++) {
		uint64_t word = atomic_load(&c->words[other]);

		if ((word & ~AT_THE_DOOR) != tenant || !is_busy(segment, other))
			return false;
		if (!(word & AT_THE_DOOR) || other < slot)
			return true;
		sched_yield();
	}
	return true;
}

bool
rh_concurrency_enter(struct rh_concurrency *c, const struct rh_segment *segment,
    unsigned slot, uint64_t tenant, unsigned most)
{
	unsigned slots = rh_segment_slots(segment), inside = 0;

	tenant = (tenant | AT_THE_DOOR << 1) & ~AT_THE_DOOR;	/* and not 0 */
	atomic_store(&c->words[slot], tenant | AT_THE_DOOR);
	for (unsigned i = 0; i < slots && inside < most; i++)
		inside += i != slot && has_place(c, segment, i, slot, tenant);
	atomic_store(&c->words[slot], inside < most ? tenant : 0);
	return inside < most;
}

void
rh_concurrency_leave(struct rh_concurrency *c, unsigned slot)
{
	atomic_store(&c->words[slot], 0);
}
