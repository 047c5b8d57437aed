#include "config.h"

#include "serve/worker.h"

#include <sys/socket.h>
#include <unistd.h>

#include "serve/pass.h"

static void
drop(struct rh_worker *w, unsigned seat)
{
	struct rh_heritage *h = w->h;

	if (h->fds[seat] < 0)
		return;
	/* first: the siblings' copies would keep its events coming */
	epoll_ctl(w->epfd, EPOLL_CTL_DEL, h->fds[seat], NULL);
	close(h->fds[seat]);
	h->fds[seat] = -1;
}

static void
watch(struct rh_worker *w, unsigned seat)
{
	/* where it is readable already, this tells us at once */
	struct epoll_event ev = rh_wake(EPOLLIN | EPOLLET | EPOLLEXCLUSIVE,
	    RH_WOKE_SEAT, seat);

	if (w->h->sheds ||
	    epoll_ctl(w->epfd, EPOLL_CTL_ADD, w->h->fds[seat], &ev) == 0)
		return;
	rh_worker_trouble(w, "cannot watch a kept connection");
	close(w->h->fds[seat]);
	w->h->fds[seat] = -1;
}

void
rh_seats_inherit(struct rh_worker *w)
{
	for (unsigned i = 0; i < w->h->nseats; i++) {
		if (w->h->fds[i] >= 0)
			watch(w, i);
	}
}

static void
adopt(struct rh_worker *w, const struct rh_pass_seat *what, int fd)
{
	rh_assert(what->seat < w->h->nseats);
	drop(w, what->seat);
	w->h->fds[what->seat] = fd;
	w->h->generations[what->seat] = what->generation;
	w->underway -= w->underway > 0;
	watch(w, what->seat);
}

bool
rh_seats_receive(struct rh_worker *w)
{
	struct rh_parcel parcel;
	enum rh_pass pass = rh_pass_take(w->h->channel, &parcel);

	if (pass != RH_PASS_DONE)
		return pass != RH_PASS_BROKEN;
	/* out of descriptors, the kernel cuts the list; others serve these */
	if (parcel.nfds * sizeof(parcel.as.seats[0]) < parcel.bytes)
		rh_worker_trouble(w, "cannot take all kept connections");
	for (unsigned i = 0; i < parcel.nfds; i++)
		adopt(w, &parcel.as.seats[i], parcel.fds[i]);
	return true;
}

static void
set_deadline(struct rh_worker *w, struct rh_seat *seat)
{
	if (atomic_load_explicit(&seat->deadline_ms, memory_order_relaxed))
		return;
	atomic_store_explicit(&seat->deadline_ms, rh_worker_now_ms() +
	    (uint64_t)w->h->spec->header_timeout_ms, memory_order_relaxed);
}

static void
clear_deadline(struct rh_seat *seat)
{
	if (atomic_load_explicit(&seat->deadline_ms, memory_order_relaxed))
		atomic_store_explicit(&seat->deadline_ms, 0,
		    memory_order_relaxed);
}

static void
end(struct rh_worker *w, unsigned i)
{
	/* in this order: who is woken by the shutdown must find it closed */
	rh_seat_close(&w->h->share->seats[i]);
	shutdown(w->h->fds[i], SHUT_RDWR);
	drop(w, i);
}

void
rh_seats_look(struct rh_worker *w, unsigned i)
{
	struct rh_seat *seat = &w->h->share->seats[i];

	if (w->h->fds[i] < 0)
		return;
	switch (rh_seat_claim(seat, w->h->generations[i], w->h->slot)) {
	case RH_CLAIM_TAKEN:
		return;
	case RH_CLAIM_STALE:
		drop(w, i);
		return;
	case RH_CLAIM_MINE:
		break;
	}
	do {
		switch (rh_worker_serve(w, w->h->fds[i], seat)) {
		case RH_SERVED_KEEP:
			clear_deadline(seat);
			break;
		case RH_SERVED_NOT_YET:
			set_deadline(w, seat);
			break;
		case RH_SERVED_NOTHING:
			break;
		case RH_SERVED_CLOSE:
		case RH_SERVED_GONE:
			end(w, i);
			return;
		}
	} while (!rh_seat_release(seat));
}
