#include "config.h"

#include "serve/master.h"

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "serve/will.h"

/*
 * After an upgrade that lays the segment out anew, the workers of before live
 * on in the old one, with the connections that they share there: nobody may
 * claim one in two segments. So ours serve what is new, and once all of us
 * accept, they are told to leave. What they hand over is seated anew at once.
 * What they share is claimed by the master and seated anew when none of them
 * waits for events any longer, since a wake-up would be lost on him: each is in
 * a request then, or on its way out.
 */

/* A short shutdown_grace is for the pool's end: nobody hurries them here. */
#define GRACE_MIN_MS	30000
/* Who claims a connection in the old seats: no worker's slot. */
#define MASTER		0xffff

struct rh_estate {
	struct rh_segment *segment;
	struct rh_share *share;
	unsigned nworkers, nchildren;	/* with the shedder; how many run */
	struct rh_child *children;
	unsigned nseats;
	int *fds;
	pid_t writer;
	uint64_t told_ms;
};

/* Their events are told from ours by indexes above ours. */
static void
watch(struct rh_master *m, int fd, uint32_t events, enum rh_woke kind,
    unsigned index)
{
	struct epoll_event ev = rh_wake(events, kind, index);

	rh_assert(epoll_ctl(m->epfd, EPOLL_CTL_ADD, fd, &ev) == 0);
}

void
rh_master_estate_open(struct rh_master *m, const struct rh_will *w,
    struct rh_arena *arena)
{
	struct rh_estate *e = RH_NEW(arena, struct rh_estate);
	struct rh_buf why;

	rh_buf_init(&why, arena, 256, 4096);
	/* the trial has seen to it that we know this layout */
	rh_assert(rh_segment_attach(&e->segment, w->segment,
	    "the segment of"
	    " the program before",
	    m->spec->name, &why));
	e->share = rh_segment_area(e->segment, RH_POOL_AREA);
	e->nworkers = w->nworkers;
	e->children = rh_arena_zalloc(arena, w->nworkers, sizeof(*e->children));
	for (unsigned i = 0; i < w->nworkers; i++) {
		if (w->workers[i].pid == 0)
			continue;
		e->children[i].pid = w->workers[i].pid;
		e->children[i].channel = w->workers[i].channel;
		e->nchildren++;
		watch(m, w->workers[i].channel, EPOLLIN, RH_WOKE_CHANNEL,
		    m->nplaces + i);
	}
	/* what it is sorting out is ours to sort */
	if (e->children[e->nworkers - 1].pid)
		kill(e->children[e->nworkers - 1].pid, SIGTERM);
	e->nseats = w->nseats;
	e->fds = w->seats;
	for (unsigned i = 0; i < e->nseats; i++) {
		if (e->fds[i] >= 0)
			watch(m, e->fds[i], EPOLLRDHUP | EPOLLET, RH_WOKE_SEAT,
			    m->h.nseats + i);
	}
	e->writer = w->writer;
	m->estate = e;
}

static void
drop(struct rh_master *m, unsigned seat)
{
	struct rh_estate *e = m->estate;

	epoll_ctl(m->epfd, EPOLL_CTL_DEL, e->fds[seat], NULL);
	close(e->fds[seat]);
	e->fds[seat] = -1;
}

void
rh_master_estate_woke(struct rh_master *m, enum rh_woke kind, unsigned index)
{
	struct rh_estate *e = m->estate;

	if (!e)
		return;
	if (kind == RH_WOKE_CHANNEL && e->children[index].pid)
		rh_master_receive(m, &e->children[index]);
	if (kind == RH_WOKE_SEAT && e->fds[index] >= 0 &&
	    rh_seat_is_closed(&e->share->seats[index]))
		drop(m, index);
}

/* What a worker that died has owned is closed, as in our own seats. */
static void
bereave(struct rh_master *m, unsigned slot)
{
	struct rh_estate *e = m->estate;

	for (unsigned i = 0; i < e->nseats; i++) {
		struct rh_seat *seat = &e->share->seats[i];

		if (e->fds[i] < 0)
			continue;
		if (rh_seat_bereave(seat, slot) || rh_seat_is_closed(seat)) {
			shutdown(e->fds[i], SHUT_RDWR);
			drop(m, i);
		}
	}
}

void
rh_master_estate_reap(struct rh_master *m, pid_t pid, int status)
{
	struct rh_estate *e = m->estate;

	for (unsigned i = 0; e && i < e->nworkers; i++) {
		struct rh_child *c = &e->children[i];

		if (c->pid != pid)
			continue;
		rh_master_receive(m, c);
		epoll_ctl(m->epfd, EPOLL_CTL_DEL, c->channel, NULL);
		close(c->channel);
		c->pid = 0;
		e->nchildren--;
		bereave(m, i + 1);
		if (i + 1 < e->nworkers)
			rh_count(m->spec->tally, m->spec->restarts,
			    rh_master_is_planned(status) ? RH_END_RELOAD :
			    RH_END_KILLED, 0, 1);
	}
}

void
rh_master_estate_signal(const struct rh_master *m, int sig)
{
	const struct rh_estate *e = m->estate;

	for (unsigned i = 0; e && i < e->nworkers; i++) {
		if (e->children[i].pid)
			kill(e->children[i].pid, sig);
	}
}

unsigned
rh_master_estate_count(const struct rh_master *m)
{
	return m->estate ? m->estate->nchildren : 0;
}

static bool
waits_for_events(const struct rh_estate *e)
{
	for (unsigned i = 0; i < e->nworkers; i++) {
		uint32_t state = atomic_load(
		    &rh_segment_slot(e->segment, i + 1)->state);

		if (e->children[i].pid &&
		    (state == RH_SLOT_IDLE || state == RH_SLOT_STARTING))
			return true;
	}
	return false;
}

/* Ours look at each as they learn of it, and so find what waits there. */
static void
inherit(struct rh_master *m)
{
	struct rh_estate *e = m->estate;

	for (unsigned i = 0; i < e->nseats; i++) {
		struct rh_seat *seat = &e->share->seats[i];
		int fd = e->fds[i];

		if (fd < 0 || rh_seat_claim(seat, rh_seat_generation(seat),
		    MASTER) != RH_CLAIM_MINE)
			continue;
		epoll_ctl(m->epfd, EPOLL_CTL_DEL, fd, NULL);
		e->fds[i] = -1;
		rh_seat_close(seat);
		rh_master_take(m, fd, atomic_load(&seat->deadline_ms));
	}
	rh_master_tell_all(m);
}

static void
close_estate(struct rh_master *m)
{
	struct rh_estate *e = m->estate;

	/* those that are left were closed by their last worker */
	for (unsigned i = 0; i < e->nseats; i++) {
		if (e->fds[i] >= 0)
			drop(m, i);
	}
	if (e->writer)
		kill(e->writer, SIGTERM);
	rh_segment_close(&e->segment);
	m->estate = NULL;
	rh_master_remind(m);
	rh_log_say(m->spec->log, RH_LOG_INFO, "pool %s: all workers are new",
	    m->spec->name);
}

void
rh_master_estate(struct rh_master *m)
{
	struct rh_estate *e = m->estate;
	uint64_t now_ms = rh_master_now_ms();

	if (!e)
		return;
	if (e->told_ms && !waits_for_events(e))
		inherit(m);
	if (e->nchildren == 0) {
		inherit(m);
		close_estate(m);
	} else if (e->told_ms == 0 && rh_master_away(m) == 0) {
		e->told_ms = now_ms;
		rh_master_estate_signal(m, SIGTERM);
	} else if (e->told_ms && now_ms - e->told_ms >= (uint64_t)RH_MAX(
	    GRACE_MIN_MS, m->spec->shutdown_grace_ms))
		rh_master_estate_signal(m, SIGKILL);
}

/* None of it is a new worker's: a copy there would outlive the connection. */
void
rh_master_estate_forget(struct rh_master *m)
{
	struct rh_estate *e = m->estate;

	if (!e)
		return;
	for (unsigned i = 0; i < e->nworkers; i++) {
		if (e->children[i].pid)
			close(e->children[i].channel);
	}
	for (unsigned i = 0; i < e->nseats; i++) {
		if (e->fds[i] >= 0)
			close(e->fds[i]);
	}
	rh_segment_close(&e->segment);
}

void
rh_master_estate_drain(struct rh_master *m)
{
	if (!m->estate)
		return;
	atomic_store(&m->estate->share->draining, 1);
	rh_master_estate_signal(m, SIGTERM);
}
