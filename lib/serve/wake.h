/*
 * wake - a worker of rowhouse-jobs that rests is called when a request, or a job,
 * has left something for it.
 *
 * Shape    an area of the segment: how often something was left, by what it is
 *          and at which place (by its rh_place.hash, for the pools may number
 *          places differently until both are told of a new one; two that share
 *          a bucket are both looked at), and for each worker what it wants to be called for while it rests.
 *          The call is a datagram to an abstract address, named after the
 *          segment and the slot: it ends an epoll_wait, as a signal does
 * Errors   none: who is not called looks by himself, a moment later
 * Owner    each pool's worker for its own side
 *
 * A worker says that it rests and then looks once more; who leaves something
 * counts it and then looks who rests: so one of them sees the other. One call
 * takes the word back: a hundred requests call a worker once, and where all are
 * busy it costs them an addition.
 */
#ifndef RH_SERVE_WAKE_H
#define RH_SERVE_WAKE_H

#include <stdatomic.h>

#include "obs/segment.h"

#define RH_WAKE_AREA "wake"
#define RH_WAKE_BUCKETS 32

enum rh_wake { RH_WAKE_NOT, RH_WAKE_EVENTS, RH_WAKE_JOBS, RH_WAKES };

struct rh_wake_words;
size_t rh_wake_bytes(void);

struct rh_waker {
	struct rh_wake_words *words;
	const struct rh_segment *segment;
	int fd; /* who is called: its own address; who calls: none. -1: not open */
	unsigned slot;
	uint32_t hears; /* bits: the buckets of its places */
	uint32_t seen[RH_WAKE_BUCKETS][RH_WAKES];
};

void rh_waker_init(struct rh_waker *w, const struct rh_segment *segment);
/* A worker of rowhouse-jobs: opens the descriptor to be watched; -1: it is not to be had. */
int rh_waker_listen(struct rh_waker *w, unsigned slot);
/* What was left at that place since it asked last, as bits 1 << RH_WAKE_…; it does not rest. */
unsigned rh_waker_hear(struct rh_waker *w, uint64_t place);
/* It rests, and wants to be called for these. False: there is something already. */
RH_MUST_CHECK bool rh_waker_rest(struct rh_waker *w, unsigned what);
/* These were left at that place, and are committed. */
void rh_waker_call(struct rh_waker *w, uint64_t place, unsigned what);

#endif
