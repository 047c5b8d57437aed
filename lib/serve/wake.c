#include "config.h"

#include "serve/wake.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* As many as jobs_workers may say, and slot 0. */
#define SLOTS 65

struct rh_wake_words {
	_Atomic uint32_t left[RH_WAKE_BUCKETS][RH_WAKES];
	_Atomic uint32_t rests[SLOTS]; /* bits; 0: it works */
};

size_t
rh_wake_bytes(void)
{
	return sizeof(struct rh_wake_words);
}

void
rh_waker_init(struct rh_waker *w, const struct rh_segment *segment)
{
	*w = (struct rh_waker){ .words = rh_segment_area(segment, RH_WAKE_AREA),
		.segment = segment,
		.fd = -1 };
}

static socklen_t
address(const struct rh_waker *w, unsigned slot, struct sockaddr_un *to)
{
	const unsigned char *id = rh_segment_id(w->segment);
	size_t n = 1;

	*to = (struct sockaddr_un){ .sun_family = AF_UNIX };
	n += (size_t)snprintf(to->sun_path + n, sizeof(to->sun_path) - n,
	    "rowhouse-jobs/%u/", slot);
	for (size_t i = 0; i < 16; i++)
		n += (size_t)snprintf(to->sun_path + n,
		    sizeof(to->sun_path) - n, "%02x", id[i]);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
}

static int
open_socket(void)
{
	return socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* ---- who is called ---- */

int
rh_waker_listen(struct rh_waker *w, unsigned slot)
{
	struct sockaddr_un own;
	socklen_t n = address(w, slot, &own);

	rh_assert(slot < SLOTS);
	w->slot = slot;
	atomic_store(&w->words->rests[slot], 0);
	w->fd = open_socket();
	if (w->fd >= 0 && bind(w->fd, (struct sockaddr *)&own, n)) {
		close(w->fd);
		w->fd = -1;
	}
	return w->fd;
}

static unsigned
bucket(uint64_t place)
{
	return (unsigned)(place % RH_WAKE_BUCKETS);
}

unsigned
rh_waker_hear(struct rh_waker *w, uint64_t place)
{
	unsigned what = 0, b = bucket(place);

	atomic_store(&w->words->rests[w->slot], 0);
	w->hears |= UINT32_C(1) << b;
	for (unsigned i = 1; i < RH_WAKES; i++) {
		uint32_t left = atomic_load(&w->words->left[b][i]);

		if (left != w->seen[b][i])
			what |= 1U << i;
		w->seen[b][i] = left;
	}
	return what;
}

static bool
has_heard(const struct rh_waker *w, unsigned i)
{
	for (unsigned b = 0; b < RH_WAKE_BUCKETS; b++)
		if (w->hears & UINT32_C(1) << b &&
		    atomic_load(&w->words->left[b][i]) != w->seen[b][i])
			return false;
	return true;
}

bool
rh_waker_rest(struct rh_waker *w, unsigned what)
{
	if (w->fd < 0)
		return true;
	atomic_store(&w->words->rests[w->slot], what);
	for (unsigned i = 1; i < RH_WAKES; i++)
		if (what & 1U << i && !has_heard(w, i))
			return false;
	return true;
}

/* ---- who calls ---- */

/* False: it is gone, or in another network's namespace. */
static bool
call(struct rh_waker *w, unsigned slot)
{
	struct sockaddr_un to;
	socklen_t n = address(w, slot, &to);

	if (w->fd < 0)
		w->fd = open_socket();
	return w->fd >= 0 &&
	    sendto(w->fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL,
		(struct sockaddr *)&to, n) == 1;
}

/* One worker will do: it finds all that is there. */
static void
call_one(struct rh_waker *w, uint32_t bit)
{
	for (unsigned slot = 1; slot < SLOTS; slot++) {
		uint32_t rests = atomic_load(&w->words->rests[slot]);

		if (rests & bit &&
		    atomic_compare_exchange_strong(&w->words->rests[slot],
			&rests, 0) &&
		    call(w, slot))
			return;
	}
}

void
rh_waker_call(struct rh_waker *w, uint64_t place, unsigned what)
{
	for (unsigned i = 1; i < RH_WAKES; i++) {
		if (!(what & 1U << i))
			continue;
		atomic_fetch_add(&w->words->left[bucket(place)][i], 1);
		call_one(w, 1U << i);
	}
}
