/*
 * pass - connections on their way between the master and a worker.
 *
 * Shape    a message of a few bytes with up to RH_PASS_MAX descriptors
 *          (SCM_RIGHTS) over a SOCK_SEQPACKET pair; never blocks
 * Errors   RH_PASS_LATER: the channel is full, or too many descriptors are
 *          in flight; nothing was sent
 * Owner    the sender keeps its copies; what was taken is the receiver's
 */
#ifndef RH_SERVE_PASS_H
#define RH_SERVE_PASS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

#define RH_PASS_MAX	32

/* From a worker, with one descriptor: keep this. */
struct rh_pass_keep {
	uint64_t deadline_ms;	/* of the request that came in part; 0: none */
};

/* From the master, one for each descriptor: serve this, too. */
struct rh_pass_seat {
	uint32_t seat, generation;
};

enum rh_pass { RH_PASS_DONE, RH_PASS_LATER, RH_PASS_BROKEN };

struct rh_parcel {
	union {
		struct rh_pass_keep keep;
		struct rh_pass_seat seats[RH_PASS_MAX];
	} as;
	size_t bytes;		/* of as */
	int fds[RH_PASS_MAX];
	unsigned nfds;
};

/* A pair of ends, non-blocking and close-on-exec. */
RH_MUST_CHECK bool rh_pass_open(int ends[2]);
enum rh_pass rh_pass_send(int channel, const struct rh_parcel *parcel);
/* LATER: there is none now. */
enum rh_pass rh_pass_take(int channel, struct rh_parcel *parcel);

#endif
