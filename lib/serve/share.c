#include "config.h"

#include "serve/share.h"

#define MISSED		((uint64_t)1)
#define CLOSED		((uint64_t)2)
#define TURN		((uint64_t)4)
#define TURNS		((uint64_t)0xfffc)
#define OWNER_SHIFT	16
#define OWNERS		((uint64_t)0xffff << OWNER_SHIFT)
#define GENERATION(word)	((uint32_t)((word) >> 32))

_Static_assert(sizeof(struct rh_seat) == 64, "a seat is a cache line");
_Static_assert(sizeof(struct rh_share) == 64, "so is what is before them");

static uint64_t
see(const struct rh_seat *seat)
{
	return atomic_load_explicit(&seat->word, memory_order_acquire);
}

static bool
swap(struct rh_seat *seat, uint64_t *seen, uint64_t next)
{
	return atomic_compare_exchange_weak_explicit(&seat->word, seen, next,
	    memory_order_acq_rel, memory_order_acquire);
}

size_t
rh_share_bytes(unsigned seats)
{
	return sizeof(struct rh_share) + seats * sizeof(struct rh_seat);
}

void
rh_share_init(struct rh_share *share, unsigned seats)
{
	atomic_store(&share->open, 0);
	atomic_store(&share->draining, 0);
	atomic_store(&share->queue_bound, UINT32_MAX);
	share->limit = seats;
	for (unsigned i = 0; i < seats; i++)
		rh_seat_close(&share->seats[i]);
}

uint32_t
rh_seat_open(struct rh_seat *seat, uint64_t deadline_ms)
{
	uint32_t generation = GENERATION(see(seat)) + 1;

	atomic_store_explicit(&seat->deadline_ms, deadline_ms,
	    memory_order_relaxed);
	atomic_store_explicit(&seat->word, (uint64_t)generation << 32,
	    memory_order_release);
	return generation;
}

bool
rh_seat_expire(struct rh_seat *seat, uint64_t now_ms)
{
	uint64_t word = see(seat);
	uint64_t deadline_ms = atomic_load_explicit(&seat->deadline_ms,
	    memory_order_relaxed);

	if (deadline_ms == 0 || now_ms < deadline_ms ||
	    (word & (OWNERS | CLOSED)))
		return false;
	/* the deadline was read after the word: its turn vouches for both */
	return atomic_compare_exchange_strong(&seat->word, &word,
	    word | CLOSED);
}

bool
rh_seat_bereave(struct rh_seat *seat, unsigned owner)
{
	uint64_t word = see(seat);

	/* others may still set the missed bit, and nothing else */
	while ((word & OWNERS) >> OWNER_SHIFT == owner && !(word & CLOSED)) {
		if (swap(seat, &word, (word & ~OWNERS) | CLOSED))
			return true;
	}
	return false;
}

bool
rh_seat_is_closed(const struct rh_seat *seat)
{
	return see(seat) & CLOSED;
}

uint32_t
rh_seat_generation(const struct rh_seat *seat)
{
	return GENERATION(see(seat));
}

bool
rh_seat_is_free(const struct rh_seat *seat)
{
	return !(see(seat) & (OWNERS | CLOSED)) &&
	    atomic_load_explicit(&seat->deadline_ms,
	    memory_order_relaxed) == 0;
}

enum rh_claim
rh_seat_claim(struct rh_seat *seat, uint32_t generation, unsigned owner)
{
	uint64_t word = see(seat);

	for (;;) {
		uint64_t turn = (word + TURN) & TURNS;

		if (GENERATION(word) != generation || (word & CLOSED))
			return RH_CLAIM_STALE;
		if (!(word & OWNERS)) {
			if (swap(seat, &word, (uint64_t)generation << 32 |
			    (uint64_t)owner << OWNER_SHIFT | turn))
				return RH_CLAIM_MINE;
		} else if ((word & MISSED) || swap(seat, &word, word | MISSED))
			return RH_CLAIM_TAKEN;
	}
}

bool
rh_seat_release(struct rh_seat *seat)
{
	uint64_t word = see(seat);

	while (!(word & MISSED)) {
		if (swap(seat, &word, word & ~OWNERS))
			return true;
	}
	atomic_fetch_and_explicit(&seat->word, ~MISSED, memory_order_acq_rel);
	return false;
}

void
rh_seat_close(struct rh_seat *seat)
{
	uint64_t word = see(seat);

	while (!swap(seat, &word, (word & ~(OWNERS | MISSED)) | CLOSED))
		;
}
