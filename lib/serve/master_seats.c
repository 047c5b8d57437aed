#include "config.h"

#include "serve/master.h"

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

static void
watch(struct rh_master *m, unsigned seat)
{
	/* no EPOLLIN: requests are none of our business, and would wake us */
	struct epoll_event ev = rh_wake(EPOLLRDHUP | EPOLLET, RH_WOKE_SEAT,
	    seat);

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
	for (unsigned i = 0; i < m->spec->nworkers; i++) {
		if (m->children[i].pid)
			owe(&m->children[i], seat);
	}
}

void
rh_master_tell_all(struct rh_master *m)
{
	for (unsigned i = 0; i < m->spec->nworkers; i++) {
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
	for (unsigned i = 0; i < m->spec->nworkers; i++)
		unowe(&m->children[i], seat);
	m->free_seats[m->nfree++] = seat;
	atomic_fetch_sub(&h->share->open, 1);
}

void
rh_master_seat_ended(struct rh_master *m, unsigned seat)
{
	/* not closed: a worker will look, close it, and wake us once more */
	if (m->h.fds[seat] >= 0 &&
	    rh_seat_is_closed(&m->h.share->seats[seat]))
		give_up(m, seat);
}

static void
shut(struct rh_master *m, unsigned seat)
{
	/* whoever has a copy is woken by this, and drops it */
	shutdown(m->h.fds[seat], SHUT_RDWR);
	give_up(m, seat);
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
	struct rh_child *c = m->children;

	while (c < m->children + m->spec->nworkers && c->pid == 0)
		c++;
	if (c == m->children + m->spec->nworkers)
		return;		/* the next one to start sees them all */
	rh_master_remind_one(m, c);
}

void
rh_master_expire(struct rh_master *m)
{
	uint64_t now_ms = rh_master_now_ms();

	for (unsigned i = 0; i < m->h.nseats; i++) {
		if (m->h.fds[i] >= 0 &&
		    rh_seat_expire(&m->h.share->seats[i], now_ms))
			shut(m, i);
	}
}
