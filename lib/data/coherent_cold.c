#include "config.h"

#include "data/coherent_cold.h"

#define TIMES_BITS 24
#define TIMES_MASK ((UINT64_C(1) << TIMES_BITS) - 1)

/* The index is of the bits that the word has not got. */
static unsigned
index_of(uint64_t group)
{
	return (unsigned)(group & TIMES_MASK) % RH_COLD_GROUPS;
}

/* Never none at all: a word that was only ever forgotten is of no group. */
static uint64_t
tag_of(uint64_t group)
{
	return (group | (UINT64_C(1) << 63)) & ~TIMES_MASK;
}

uint64_t
rh_cold_word(const struct rh_cold *cold, uint64_t group)
{
	return cold->words[index_of(group)];
}

bool
rh_cold_is(const struct rh_cold *cold, uint64_t group, uint64_t word)
{
	return (word & ~TIMES_MASK) == tag_of(group) && !cold->off &&
	    !cold->several;
}

void
rh_cold_learn(struct rh_cold *cold, uint64_t group, uint64_t word)
{
	atomic_compare_exchange_strong(&cold->words[index_of(group)], &word,
	    tag_of(group) | (word & TIMES_MASK));
}

void
rh_cold_forget(struct rh_cold *cold, uint64_t group)
{
	_Atomic uint64_t *at = &cold->words[index_of(group)];
	uint64_t word = *at;

	while (
	    !atomic_compare_exchange_weak(at, &word, (word + 1) & TIMES_MASK))
		;
}
