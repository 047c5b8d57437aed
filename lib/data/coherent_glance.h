/*
 * coherent_glance - the look that is likely to hit, without a script: between
 * coherent.c and coherent_glance.c.
 *
 * A script that hits costs Redis ten times of what a MGET does, for it has to
 * take the page into Lua and to hash it there. So where the last look at an
 * entry hit, the next one asks for generation and entry alone, reads the clock,
 * and judges here what the script would judge there. It takes no lease: what it
 * does not like is nobody's to fill, and the look after it is a script again.
 *
 * Shape    a hint for each of some entries, and the writes of a group that it
 *          knows of; both by hash, so that two may share one: what is wrong
 *          costs a look that misses, and is never believed. Two entries of a
 *          thousand tenants each share few: a page of memory that no entry
 *          falls into is never touched
 * Owner    the segment; any process of the host writes
 */
#ifndef RH_DATA_COHERENT_GLANCE_H
#define RH_DATA_COHERENT_GLANCE_H

#include <stdatomic.h>

#include "data/coherent.h"

enum { RH_GLANCE_HINTS = 65536, RH_GLANCE_GROUPS = 512 };

struct rh_glance_hints {
	_Atomic uint32_t writes[RH_GLANCE_GROUPS];
	_Atomic uint64_t hits[RH_GLANCE_HINTS];	/* 0: none; even: late */
};

/* What stands for the entry as of now; odd. */
uint64_t rh_glance_mark(const struct rh_glance_hints *hints,
    struct rh_uuid tenant, struct rh_slice group, struct rh_slice entry);
bool rh_glance_is_likely(const struct rh_glance_hints *hints, uint64_t mark);
void rh_glance_hit(struct rh_glance_hints *hints, uint64_t mark);
void rh_glance_missed(struct rh_glance_hints *hints, uint64_t mark);
/* It hit, and the dice want it refreshed: the next look's script is to see to it. */
void rh_glance_late(struct rh_glance_hints *hints, uint64_t mark);
bool rh_glance_is_late(const struct rh_glance_hints *hints, uint64_t mark);
/* This host is about to change what is in the group. */
void rh_glance_written(struct rh_glance_hints *hints, struct rh_uuid tenant,
    struct rh_slice group);

/* Redis' clock: the answer to TIME. -1: it is none. */
int64_t rh_glance_time_ms(const struct rh_redis_value *time);

enum rh_glance { RH_GLANCE_NONE, RH_GLANCE_HIT, RH_GLANCE_LATE };

struct rh_glance_judge {
	int64_t now_ms;
	int64_t trusted_ms;	/* an age below which an entry is trusted */
	uint16_t dice;		/* for the early refresh; any value as likely */
};
/*
 * values: generation and entry. LATE: a hit, and somebody should refresh it.
 */
enum rh_glance rh_glance_at(const struct rh_redis_value *values,
    const struct rh_glance_judge *judge, struct rh_slice *entry);

#endif
