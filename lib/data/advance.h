/*
 * advance - requests that a host has drawn from Redis before they came.
 *
 * Shape    a cell a budget in the segment, shared by the host's workers: how
 *          many of a lot are left, and until when they may be used. A lot is as
 *          large as the budget is busy, so that a busy tenant costs one trip to
 *          Redis for many requests, and an idle one is counted there each time
 * Units    nanoseconds of the monotonic clock; requests
 * Errors   none: where no cell is free nothing is drawn in advance
 * Owner    the segment's area "advances". Whoever claims what is over of a lot
 *          has to tell Redis of it
 *
 * Nothing is granted that Redis has not charged: see limiter.c.
 */
#ifndef RH_DATA_ADVANCE_H
#define RH_DATA_ADVANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rh_advances;	/* in shared memory, zeros at first */

size_t rh_advances_bytes(unsigned keys);

/* *left, *tat_ns: what the cell says afterwards; for the verdict alone. */
bool rh_advance_spend(struct rh_advances *a, unsigned keys, uint64_t key,
    uint64_t now_ns, int64_t *left, uint64_t *tat_ns);
/* How many this host has still; 0 where their time is over. */
int64_t rh_advance_left(struct rh_advances *a, unsigned keys, uint64_t key,
    uint64_t now_ns);
/* The request was not granted by another of its budgets: back into its lot. */
void rh_advance_unspend(struct rh_advances *a, unsigned keys, uint64_t key);

/* What to ask for: of the lot before, which is over, and of the next. */
struct rh_draw {
	int64_t want;	/* requests besides this one; 0: too few come */
	int64_t over;	/* so large the lot before was */
	int64_t back;	/* and so much of it nobody had */
};
struct rh_draw rh_advance_draw(struct rh_advances *a, unsigned keys,
    uint64_t key, uint64_t now_ns, uint64_t life_ns, int64_t most);
/* until_ns: life_ns after the asking began. tat_ns: when all is back again. */
void rh_advance_put(struct rh_advances *a, unsigned keys, uint64_t key,
    int64_t n, uint64_t until_ns, uint64_t tat_ns);

#endif
