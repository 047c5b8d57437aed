#include "config.h"

#include "serve/master.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "serve/pass.h"
#include "serve/will.h"

void
rh_master_seats_init(struct rh_master *m, struct rh_arena *arena)
{
	struct rh_heritage *h = &m->h;
	unsigned n = h->nseats;

	h->share = rh_segment_area(m->spec->segment, RH_POOL_AREA);
	if (!m->spec->will || !m->spec->will->same_segment)
		rh_share_init(h->share, n);
	h->share->limit = RH_MIN(n, m->spec->max_connections);
	h->fds = rh_arena_alloc(arena, n * sizeof(*h->fds));
	h->generations = rh_arena_zalloc(arena, n, sizeof(*h->generations));
	m->free_seats = rh_arena_alloc(arena, n * sizeof(*m->free_seats));
	for (unsigned i = 0; i < n; i++) {
		h->fds[i] = -1;
		m->free_seats[i] = n - 1 - i;
	}
	m->nfree = n;
}

/* Requests are none of our business, and would wake us: unless nobody is. */
static struct epoll_event
wake_of(const struct rh_master *m, unsigned seat)
{
	return rh_wake(EPOLLRDHUP | EPOLLET | (m->watching ? EPOLLIN : 0),
	    RH_WOKE_SEAT, seat);
}

static void
watch(struct rh_master *m, unsigned seat)
{
	struct epoll_event ev = wake_of(m, seat);

	epoll_ctl(m->epfd, EPOLL_CTL_ADD, m->h.fds[seat], &ev);
}

void
rh_master_seats_adopt(struct rh_master *m, const int *fds)
{
	struct rh_heritage *h = &m->h;

	m->nfree = 0;
	for (unsigned i = h->nseats; i-- > 0;) {
		h->fds[i] = fds[i];
		h->generations[i] = rh_seat_generation(&h->share->seats[i]);
		if (fds[i] < 0)
			m->free_seats[m->nfree++] = i;
		else
			watch(m, i);
	}
	atomic_store(&h->share->open, h->nseats - m->nfree);
}

/* ---- telling the workers ---- */

static void
owe(struct rh_child *c, unsigned seat)
{
	uint64_t bit = (uint64_t)1 << seat % 64;

	if (!(c->unsent[seat / 64] & bit))
		c->nunsent++;
	c->unsent[seat / 64] |= bit;
}

static void
unowe(struct rh_child *c, unsigned seat)
{
	uint64_t bit = (uint64_t)1 << seat % 64;

	if (c->unsent[seat / 64] & bit)
		c->nunsent--;
	c->unsent[seat / 64] &= ~bit;
}

static void
pack(const struct rh_heritage *h, const struct rh_child *c,
    struct rh_parcel *parcel)
{
	unsigned n = 0;

	for (unsigned k = 0; k < (h->nseats + 63) / 64; k++) {
		uint64_t bits = c->unsent[k];

		for (; bits && n < RH_PASS_MAX; bits &= bits - 1) {
			unsigned seat = k * 64 +
			    (unsigned)__builtin_ctzll(bits);

			parcel->as.seats[n] = (struct rh_pass_seat){ seat,
				h->generations[seat] };
			parcel->fds[n++] = h->fds[seat];
		}
	}
	parcel->nfds = n;
	parcel->bytes = n * sizeof(parcel->as.seats[0]);
}

static void
want_room(struct rh_master *m, struct rh_child *c, bool wants)
{
	unsigned i = (unsigned)(c - m->children);
	struct epoll_event ev = rh_wake(EPOLLIN | (wants ? EPOLLOUT : 0),
	    RH_WOKE_CHANNEL, i);

	if (c->wants_room == wants)
		return;
	c->wants_room = wants;
	epoll_ctl(m->epfd, EPOLL_CTL_MOD, c->channel, &ev);
}

void
rh_master_tell(struct rh_master *m, struct rh_child *c)
{
	struct rh_parcel parcel;

	while (c->nunsent) {
		pack(&m->h, c, &parcel);
		if (rh_pass_send(c->channel, &parcel) != RH_PASS_DONE)
			break;
		for (unsigned i = 0; i < parcel.nfds; i++)
			unowe(c, parcel.as.seats[i].seat);
	}
	want_room(m, c, c->nunsent > 0);
}

/* ---- connections that come ---- */

static bool
has_room(const struct rh_master *m)
{
	return m->nfree && m->stop_ms == 0;
}

void
rh_master_take(struct rh_master *m, int fd, uint64_t deadline_ms)
{
	struct rh_heritage *h = &m->h;
	unsigned seat;

	if (!has_room(m)) {
		shutdown(fd, SHUT_RDWR);
		close(fd);
		return;
	}
	seat = m->free_seats[--m->nfree];
	h->fds[seat] = fd;
	h->generations[seat] = rh_seat_open(&h->share->seats[seat],
	    deadline_ms);
	atomic_fetch_add(&h->share->open, 1);
	watch(m, seat);
	for (unsigned i = 0; i < m->nplaces; i++) {
		if (m->children[i].pid)
			owe(&m->children[i], seat);
	}
}

void
rh_master_tell_all(struct rh_master *m)
{
	for (unsigned i = 0; i < m->nplaces; i++) {
		if (m->children[i].pid)
			rh_master_tell(m, &m->children[i]);
	}
}

void
rh_master_receive(struct rh_master *m, struct rh_child *c)
{
	struct rh_parcel parcel;
	bool any = false;

	while (rh_pass_take(c->channel, &parcel) == RH_PASS_DONE) {
		if (parcel.nfds != 1)
			continue;
		rh_master_take(m, parcel.fds[0], parcel.as.keep.deadline_ms);
		any = true;
	}
	if (any)
		rh_master_tell_all(m);
}

/* ---- and go ---- */

static void
give_up(struct rh_master *m, unsigned seat)
{
	struct rh_heritage *h = &m->h;

	epoll_ctl(m->epfd, EPOLL_CTL_DEL, h->fds[seat], NULL);
	close(h->fds[seat]);
	h->fds[seat] = -1;
	for (unsigned i = 0; i < m->nplaces; i++)
		unowe(&m->children[i], seat);
	m->free_seats[m->nfree++] = seat;
	atomic_fetch_sub(&h->share->open, 1);
}

static void
shut(struct rh_master *m, unsigned seat)
{
	/* whoever has a copy is woken by this, and drops it */
	shutdown(m->h.fds[seat], SHUT_RDWR);
	give_up(m, seat);
}

/* In place of the workers that are not there. */
static void
look(struct rh_master *m, unsigned seat)
{
	char byte;
	ssize_t n = recv(m->h.fds[seat], &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	if (n > 0)
		rh_master_called(m);
	if (n > 0 || (n < 0 && errno == EAGAIN))
		return;
	/* its web server closed it: no reason to start anybody */
	rh_seat_close(&m->h.share->seats[seat]);
	shut(m, seat);
}

void
rh_master_seat_ended(struct rh_master *m, unsigned seat)
{
	if (m->h.fds[seat] < 0)
		return;
	if (rh_seat_is_closed(&m->h.share->seats[seat]))
		give_up(m, seat);
	else if (m->watching)
		look(m, seat);
	/* else a worker will look, close it, and wake us once more */
}

void
rh_master_seats_watch(struct rh_master *m)
{
	for (unsigned i = 0; i < m->h.nseats; i++) {
		struct epoll_event ev = wake_of(m, i);

		/* what is readable already wakes us again */
		if (m->h.fds[i] >= 0)
			epoll_ctl(m->epfd, EPOLL_CTL_MOD, m->h.fds[i], &ev);
	}
}

void
rh_master_bereave(struct rh_master *m, unsigned slot)
{
	for (unsigned i = 0; i < m->h.nseats; i++) {
		struct rh_seat *seat = &m->h.share->seats[i];

		if (m->h.fds[i] < 0)
			continue;
		/* it may also have died between closing and shutting down */
		if (rh_seat_bereave(seat, slot) || rh_seat_is_closed(seat))
			shut(m, i);
	}
}

/* Idle, if there is one: it can look at once. */
static struct rh_child *
anyone(const struct rh_master *m)
{
	struct rh_child *found = NULL;

	for (unsigned i = 0; i < m->spec->nworkers; i++) {
		struct rh_slot *slot = rh_segment_slot(m->spec->segment, i + 1);

		if (m->children[i].pid == 0 || m->children[i].told_ms)
			continue;
		found = &m->children[i];
		if (atomic_load(&slot->state) == RH_SLOT_IDLE)
			break;
	}
	return found;
}

void
rh_master_remind_one(struct rh_master *m, struct rh_child *c)
{
	for (unsigned i = 0; i < m->h.nseats; i++) {
		if (m->h.fds[i] >= 0)
			owe(c, i);
	}
	rh_master_tell(m, c);
}

void
rh_master_remind(struct rh_master *m)
{
	struct rh_child *c = anyone(m);

	if (c == NULL)
		return;		/* the next one to start sees them all */
	rh_master_remind_one(m, c);
}

/* Who is idle was told of whatever has come, and has looked. */
static bool
is_anyone_idle(const struct rh_master *m)
{
	for (unsigned i = 1; i <= m->spec->nworkers; i++) {
		if (atomic_load(&rh_segment_slot(m->spec->segment, i)->state) ==
		    RH_SLOT_IDLE)
			return true;
	}
	return false;
}

void
rh_master_expire(struct rh_master *m)
{
	uint64_t now_ms = rh_master_now_ms();

	/* while all are busy, a request that is late may be whole by now */
	if (!is_anyone_idle(m))
		return;
	for (unsigned i = 0; i < m->h.nseats; i++) {
		if (m->h.fds[i] >= 0 &&
		    rh_seat_expire(&m->h.share->seats[i], now_ms))
			shut(m, i);
	}
}
