/*
 * coherent_cold - of which groups Redis has nothing: between coherent*.c and
 * coherent_cold.c, for a host that is alone (quarantine_ms 0).
 *
 * A write has to keep off what others fill from what they read before it. Where
 * Redis knows no generation of the group there is nothing to keep off; and it
 * will know of none before one of this host has taken a lease. So a write that
 * has learned this once says so here, and the next one asks Redis nothing.
 *
 * Two orders make it hold. Who takes a lease first forgets the group here, and
 * then looks whether somebody writes; who writes first stands in the segment as
 * a writer, and then looks here. Who learns that a group is cold says so only
 * where nobody has taken a lease since before Redis was asked.
 *
 * Shape    a word for a group, by hash: 39 bits of it, above how often it was
 *          forgotten. Two groups that share a word forget each other, and cost
 *          a question more
 * Owner    the segment; any process of the host writes
 */
#ifndef RH_DATA_COHERENT_COLD_H
#define RH_DATA_COHERENT_COLD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { RH_COLD_GROUPS = 8192 };

struct rh_cold {
	_Atomic bool off; /* others are at work, of another segment */
	/* what it knew may be of a time with other hosts: never again */
	_Atomic bool several;
	_Atomic uint64_t words[RH_COLD_GROUPS];
};

/* The word as it is: for the other two. Before Redis is asked. */
uint64_t rh_cold_word(const struct rh_cold *cold, uint64_t group);
bool rh_cold_is(const struct rh_cold *cold, uint64_t group, uint64_t word);
/* Redis has said that it knows nothing of the group. */
void rh_cold_learn(struct rh_cold *cold, uint64_t group, uint64_t word);
/* Somebody has a lease. */
void rh_cold_forget(struct rh_cold *cold, uint64_t group);

#endif
