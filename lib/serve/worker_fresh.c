#include "config.h"

#include "serve/worker.h"

#include <errno.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "serve/listen.h"
#include "serve/pass.h"

void
rh_fresh_init(struct rh_worker *w)
{
	for (unsigned i = 0; i < RH_FRESH_MAX; i++) {
		w->fresh[i].fd = -1;
		w->free_fresh[i] = (uint16_t)i;
	}
	w->nfree = RH_FRESH_MAX;
	w->next_deadline_ms = UINT64_MAX;
}

unsigned
rh_fresh_count(const struct rh_worker *w)
{
	return RH_FRESH_MAX - w->nfree;
}

static void
forget(struct rh_worker *w, unsigned i)
{
	if (w->fresh[i].deadline_ms == 0)
		w->nkept--;
	w->fresh[i].fd = -1;
	w->free_fresh[w->nfree++] = (uint16_t)i;
	if (w->nfree == RH_FRESH_MAX)
		w->next_deadline_ms = UINT64_MAX;
}

static void
end(struct rh_worker *w, unsigned i)
{
	int fd = w->fresh[i].fd;

	/* no other process has it: close takes it out of the epoll, too */
	forget(w, i);
	close(fd);
}

static enum rh_pass
send_to_master(struct rh_worker *w, int fd, uint64_t deadline_ms)
{
	struct rh_parcel parcel = { .as.keep = { deadline_ms },
		.bytes = sizeof(parcel.as.keep), .fds = { fd }, .nfds = 1 };

	return rh_pass_send(w->h->channel, &parcel);
}

static bool
seats_ran_out(const struct rh_worker *w)
{
	return atomic_load_explicit(&w->h->share->open,
	    memory_order_relaxed) >= w->h->share->limit;
}

/* What stayed with the shedder, would be refused for as long as it lives. */
bool
rh_fresh_is_full(const struct rh_worker *w)
{
	return !w->h->sheds && seats_ran_out(w);
}

/* Out of our epoll, where its description would outlive our descriptor. */
static int
take_out(struct rh_worker *w, unsigned i)
{
	int fd = w->fresh[i].fd;

	epoll_ctl(w->epfd, EPOLL_CTL_DEL, fd, NULL);
	forget(w, i);
	return fd;
}

static void
offer(struct rh_worker *w, unsigned i)
{
	struct rh_fresh *f = &w->fresh[i];

	if (send_to_master(w, f->fd, f->deadline_ms) == RH_PASS_DONE)
		close(take_out(w, i));
}

/* The kept one whose last use is the longest ago; else the next to be overdue. */
static unsigned
oldest(const struct rh_worker *w, bool kept)
{
	uint64_t least = UINT64_MAX;
	unsigned found = 0;

	for (unsigned i = 0; i < RH_FRESH_MAX; i++) {
		const struct rh_fresh *f = &w->fresh[i];
		uint64_t age = kept ? f->used : f->deadline_ms;

		if (f->fd < 0 || (f->deadline_ms == 0) != kept || age > least)
			continue;
		found = i;
		least = age;
	}
	return found;
}

/* Too many wait here for their first bytes: the pool takes one, if it can. */
static void
spare_oldest(struct rh_worker *w)
{
	unsigned i = oldest(w, false);

	if (!rh_fresh_is_full(w))
		offer(w, i);
	if (w->fresh[i].fd >= 0)
		end(w, i);
}

/* 0: it is kept. */
static void
set_deadline(struct rh_worker *w, unsigned i, uint64_t deadline_ms)
{
	struct rh_fresh *f = &w->fresh[i];

	f->deadline_ms = deadline_ms;
	f->used = w->requests;
	if (deadline_ms == 0)
		w->nkept++;
	else if (deadline_ms < w->next_deadline_ms)
		w->next_deadline_ms = deadline_ms;
}

/* Whom a web server has not used for so long it will hardly use right now. */
static void
make_room(struct rh_worker *w, uint64_t deadline_ms)
{
	if (deadline_ms == 0 && w->nkept == RH_PRIVATE_MAX)
		end(w, oldest(w, true));
	else if (w->nfree == 0)
		spare_oldest(w);
}

static void
remember(struct rh_worker *w, int fd, uint64_t deadline_ms)
{
	struct epoll_event ev;
	unsigned i;

	make_room(w, deadline_ms);
	i = w->free_fresh[--w->nfree];
	w->fresh[i].fd = fd;
	set_deadline(w, i, deadline_ms);
	ev = rh_wake(EPOLLIN | EPOLLET, RH_WOKE_FRESH, i);
	if (epoll_ctl(w->epfd, EPOLL_CTL_ADD, fd, &ev) == 0)
		return;
	rh_worker_trouble(w, "cannot watch a connection");
	end(w, i);
}

static uint64_t
headers_due_ms(const struct rh_worker *w)
{
	return rh_worker_now_ms() + (uint64_t)w->h->spec->header_timeout_ms;
}

/*
 * It was answered, and its web server keeps it open. To close it would race
 * with the next request, which no web server sends twice if it is a POST.
 */
static void
keep(struct rh_worker *w, int fd)
{
	if (rh_fresh_is_full(w) || send_to_master(w, fd, 0) == RH_PASS_LATER)
		remember(w, fd, 0);
	else
		close(fd);
}

void
rh_fresh_bequeath(struct rh_worker *w, int answered)
{
	if (answered >= 0)
		(void)send_to_master(w, answered, 0);
	for (unsigned i = 0; i < RH_FRESH_MAX; i++) {
		const struct rh_fresh *f = &w->fresh[i];

		if (f->fd >= 0 && f->fd != w->serving)
			(void)send_to_master(w, f->fd, f->deadline_ms);
	}
}

static void
keep_on(struct rh_worker *w, unsigned i)
{
	if (rh_fresh_is_full(w) && w->fresh[i].deadline_ms == 0)
		w->fresh[i].used = w->requests;
	else
		keep(w, take_out(w, i));
}

static void
expect_rest(struct rh_worker *w, unsigned i)
{
	if (w->fresh[i].deadline_ms)
		return;
	w->nkept--;
	set_deadline(w, i, headers_due_ms(w));
}

static int
take_one(struct rh_worker *w)
{
	static const struct timespec rest = { .tv_nsec = 10 * 1000 * 1000 };
	int fd = accept4(w->h->spec->listen->fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd >= 0 || (errno != EMFILE && errno != ENFILE &&
	    errno != ENOBUFS && errno != ENOMEM))
		return fd;
	rh_worker_trouble(w, "cannot accept a connection");
	nanosleep(&rest, NULL);
	return -1;
}

static void
begin(struct rh_worker *w, int fd)
{
	switch (rh_worker_serve(w, fd, NULL)) {
	case RH_SERVED_KEEP:
		keep(w, fd);
		break;
	case RH_SERVED_NOT_YET:
	case RH_SERVED_NOTHING:
		remember(w, fd, headers_due_ms(w));
		break;
	case RH_SERVED_CLOSE:
	case RH_SERVED_GONE:
		close(fd);
		break;
	}
}

void
rh_fresh_accept(struct rh_worker *w)
{
	int fd = take_one(w);

	if (fd >= 0)
		begin(w, fd);
}

bool
rh_fresh_pass_on(struct rh_worker *w)
{
	char byte;
	int fd;

	if (seats_ran_out(w) || (fd = take_one(w)) < 0)
		return false;
	/* without a byte it does not wait, and would wait there for ever */
	if (recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1 &&
	    send_to_master(w, fd, 0) == RH_PASS_DONE) {
		w->underway++;
		close(fd);
	} else
		begin(w, fd);
	return true;
}

void
rh_fresh_look(struct rh_worker *w, unsigned i)
{
	enum rh_served served;

	if (w->fresh[i].fd < 0)
		return;
	w->looking = w->fresh[i].deadline_ms != 0;
	served = rh_worker_serve(w, w->fresh[i].fd, NULL);
	w->looking = false;
	switch (served) {
	case RH_SERVED_KEEP:
		keep_on(w, i);
		break;
	case RH_SERVED_CLOSE:
	case RH_SERVED_GONE:
		end(w, i);
		break;
	case RH_SERVED_NOT_YET:
		expect_rest(w, i);
		break;
	case RH_SERVED_NOTHING:
		break;
	}
}

/*
 * What was missing may have come while this worker was at another request, for
 * longer than the deadline: a last look, before a whole request is thrown away.
 */
static void
end_overdue(struct rh_worker *w, unsigned i)
{
	int fd = w->fresh[i].fd;

	rh_fresh_look(w, i);
	if (w->fresh[i].fd == fd && w->fresh[i].deadline_ms)
		end(w, i);
}

void
rh_fresh_tend(struct rh_worker *w)
{
	uint64_t now_ms, next_ms = UINT64_MAX;

	for (unsigned i = 0; i < RH_FRESH_MAX && w->nkept &&
	    w->leaving != RH_LEAVES_LAST && !rh_fresh_is_full(w); i++) {
		if (w->fresh[i].fd >= 0 && w->fresh[i].deadline_ms == 0)
			offer(w, i);
	}
	if (w->next_deadline_ms == UINT64_MAX ||
	    (now_ms = rh_worker_now_ms()) < w->next_deadline_ms)
		return;
	for (unsigned i = 0; i < RH_FRESH_MAX; i++) {
		struct rh_fresh *f = &w->fresh[i];

		if (f->fd < 0 || f->deadline_ms == 0)
			continue;
		if (f->deadline_ms <= now_ms)
			end_overdue(w, i);
		else
			next_ms = RH_MIN(next_ms, f->deadline_ms);
	}
	w->next_deadline_ms = next_ms;
}

void
rh_fresh_hurry(struct rh_worker *w, uint64_t left_ms)
{
	uint64_t deadline_ms = rh_worker_now_ms() + left_ms;

	for (unsigned i = 0; i < RH_FRESH_MAX; i++) {
		struct rh_fresh *f = &w->fresh[i];

		if (f->fd >= 0 && f->deadline_ms)
			f->deadline_ms = RH_MIN(f->deadline_ms, deadline_ms);
	}
	if (rh_fresh_count(w))
		w->next_deadline_ms = RH_MIN(w->next_deadline_ms, deadline_ms);
}

/*
 * From a signal's handler, in the midst of a request: nobody else touches the
 * table then, and all that this calls is async-signal-safe.
 */
void
rh_fresh_spare(struct rh_worker *w)
{
	for (unsigned i = 0; i < RH_FRESH_MAX && !rh_fresh_is_full(w); i++) {
		if (w->fresh[i].fd >= 0 && w->fresh[i].fd != w->serving)
			offer(w, i);
	}
}

void
rh_fresh_hand_over(struct rh_worker *w)
{
	for (unsigned i = 0; i < RH_FRESH_MAX; i++) {
		if (w->fresh[i].fd >= 0)
			offer(w, i);
	}
}

void
rh_fresh_part(struct rh_worker *w)
{
	for (unsigned i = 0; w->nkept && i < RH_FRESH_MAX; i++) {
		if (w->fresh[i].fd >= 0 && w->fresh[i].deadline_ms == 0)
			end(w, i);
	}
}
