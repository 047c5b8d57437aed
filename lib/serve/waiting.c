#include "config.h"

#include "serve/waiting.h"

#include "serve/heritage.h"

void
rh_waiting_init(struct rh_waiting *w, unsigned nseats, struct rh_arena *arena)
{
	w->polls = rh_arena_alloc(arena, nseats * sizeof(*w->polls));
	w->seats = rh_arena_alloc(arena, nseats * sizeof(*w->seats));
	w->n = 0;
}

void
rh_waiting_look(struct rh_waiting *w, const struct rh_heritage *h)
{
	unsigned n = 0;

	w->n = 0;
	for (unsigned i = 0; i < h->nseats; i++) {
		if (h->fds[i] < 0 || !rh_seat_is_free(&h->share->seats[i]))
			continue;
		w->polls[n] = (struct pollfd){ h->fds[i], POLLIN | POLLRDHUP, 0 };
		w->seats[n++] = i;
	}
	if (n == 0 || poll(w->polls, n, 0) <= 0)
		return;
	for (unsigned k = 0; k < n; k++) {
		/* one that its web server has closed waits for nothing */
		if (w->polls[k].revents == POLLIN)
			w->seats[w->n++] = w->seats[k];
	}
}
