#include "config.h"

#include "serve/worker.h"

#include <stdlib.h>

#include "serve/listen.h"

/* In one go, before signals and channel are looked at. */
#define AT_ONCE		64

void
rh_shed_init(struct rh_worker *w)
{
	w->since = calloc(w->h->nseats, sizeof(*w->since));
	rh_assert(w->since != NULL);
	if (!rh_queue_open(&w->queue, w->h->spec->listen->fd))
		rh_worker_trouble(w, "cannot see the listening socket's queue");
}

static void
stamp(struct rh_worker *w)
{
	const struct rh_waiting *waiting = &w->h->waiting;

	w->looks++;
	for (unsigned k = 0; k < waiting->n; k++) {
		struct rh_since *since = &w->since[waiting->seats[k]];

		if (since->seen + 1 != w->looks)
			since->first = w->looks;
		since->seen = w->looks;
	}
}

static void
refuse_newest(struct rh_worker *w, unsigned over)
{
	struct rh_waiting *waiting = &w->h->waiting;

	for (; over; over--) {
		unsigned newest = 0;

		for (unsigned k = 1; k < waiting->n; k++) {
			if (w->since[waiting->seats[k]].first >
			    w->since[waiting->seats[newest]].first)
				newest = k;
		}
		rh_seats_look(w, waiting->seats[newest]);
		waiting->seats[newest] = waiting->seats[--waiting->n];
	}
}

/*
 * The kernel gives the oldest connection first, and the newest is the one to
 * refuse. So whoever may wait is taken out of its queue, and waits in a seat
 * for the next worker; who comes after that is over the bound. Without a seat
 * left the oldest has to do. True: perhaps not all were looked at.
 */
static bool
sort_out(struct rh_worker *w, unsigned length, unsigned seated, unsigned bound)
{
	unsigned budget = AT_ONCE;

	for (; length && length + seated > bound && budget; budget--) {
		if (seated < bound && rh_fresh_pass_on(w))
			seated++;
		else
			rh_fresh_accept(w);
		length--;
	}
	return budget == 0;
}

bool
rh_shed(struct rh_worker *w)
{
	struct rh_heritage *h = w->h;
	unsigned bound = atomic_load(&h->share->queue_bound);
	unsigned length = 0;
	bool more;

	if (!rh_queue_length(&w->queue, &length))
		length = 0;
	rh_waiting_look(&h->waiting, h);
	stamp(w);
	if (length + h->waiting.n + w->underway <= bound)
		return false;
	more = sort_out(w, length, h->waiting.n + w->underway, bound);
	if (h->waiting.n > bound)
		refuse_newest(w, RH_MIN(h->waiting.n - bound, AT_ONCE));
	return more;
}
