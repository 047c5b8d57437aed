/*
 * waiting - the kept connections with a request that no worker has taken.
 *
 * Shape    one poll(2) over the seats that nobody owns, so for when all
 *          workers are busy: as long as one is idle, none waits
 * Owner    made before the fork; each process looks for itself
 */
#ifndef RH_SERVE_WAITING_H
#define RH_SERVE_WAITING_H

#include <poll.h>

#include "base/arena.h"

struct rh_heritage;

struct rh_waiting {
	struct pollfd *polls;
	unsigned *seats;	/* as rh_waiting_look left them */
	unsigned n;
};

void rh_waiting_init(struct rh_waiting *w, unsigned nseats,
    struct rh_arena *arena);
/* Finds them: w->seats, w->n. A part of a request is none. */
void rh_waiting_look(struct rh_waiting *w, const struct rh_heritage *h);

#endif
