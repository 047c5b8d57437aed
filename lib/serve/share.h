/*
 * share - who may serve a kept connection now: a word for each, in the
 * segment.
 *
 * Shape    a seat for each connection that the pool may keep; its word is
 *          generation << 32 | owner << 16 | turn << 2 | closed << 1 | missed
 * Units    deadlines in mono milliseconds, 0: none
 * Owner    the master gives seats out and takes them back; a seat's connection
 *          belongs to the process whose slot its word names, 0: to nobody
 *
 * A claim is one compare-and-swap. One that fails leaves the missed bit, and
 * the owner, who finds it on release, looks at the connection once more: so no
 * readiness that any process was told of is ever lost. The generation makes
 * those who still know a seat's last connection harmless; the turn tells a
 * release and a new claim apart from no change at all.
 */
#ifndef RH_SERVE_SHARE_H
#define RH_SERVE_SHARE_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"

/* A cache line each: neighbours are claimed by different cores. */
struct rh_seat {
	_Atomic uint64_t word;
	_Atomic uint64_t deadline_ms;	/* of a request that came in part */
	char pad[48];
};

struct rh_share {
	_Atomic uint32_t open;	/* seats taken; the master alone writes */
	uint32_t limit;		/* past it only leaving workers hand over more */
	_Atomic uint32_t draining;	/* the pool ends: keep nothing */
	_Atomic uint32_t queue_bound;	/* more than wait are turned away */
	char pad[48];
	struct rh_seat seats[];
};

enum rh_claim {
	RH_CLAIM_MINE,
	RH_CLAIM_TAKEN,		/* its owner will look again */
	RH_CLAIM_STALE,		/* closed, or another connection by now */
};

size_t rh_share_bytes(unsigned seats);

/* The master's. What an earlier pool left in the seats is closed. */
void rh_share_init(struct rh_share *share, unsigned seats);
/* A new connection in a closed seat, nobody's; answers its generation. */
uint32_t rh_seat_open(struct rh_seat *seat, uint64_t deadline_ms);
/* Closes what nobody owns and is past its deadline. */
RH_MUST_CHECK bool rh_seat_expire(struct rh_seat *seat, uint64_t now_ms);
/* Closes what the dead process of that slot owned. */
RH_MUST_CHECK bool rh_seat_bereave(struct rh_seat *seat, unsigned owner);
bool rh_seat_is_closed(const struct rh_seat *seat);
uint32_t rh_seat_generation(const struct rh_seat *seat);
/* Open, nobody's, and not known to hold but a part of a request. */
bool rh_seat_is_free(const struct rh_seat *seat);

/* The workers'. owner: their slot, 1 to 65535. */
RH_MUST_CHECK enum rh_claim rh_seat_claim(struct rh_seat *seat,
    uint32_t generation, unsigned owner);
/* False: somebody missed it. It is still owned: look again, then release. */
RH_MUST_CHECK bool rh_seat_release(struct rh_seat *seat);
/* By its owner, who then shuts the connection down: that tells all others. */
void rh_seat_close(struct rh_seat *seat);

#endif
