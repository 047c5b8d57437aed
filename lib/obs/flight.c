#include "config.h"

#include "obs/flight.h"

#include <string.h>

#define READ_TRIES	64

const char *const rh_phase_names[RH_PHASES] = {
	[RH_PHASE_NONE] = "", [RH_PHASE_READING] = "reading",
	[RH_PHASE_HANDLING] = "handling", [RH_PHASE_QUERYING] = "querying",
	[RH_PHASE_REPLYING] = "replying", [RH_PHASE_ACCOUNTING] = "accounting",
};

/* ---- writing: one process, so plain stores between two of turn ---- */

static uint32_t
touch(struct rh_flight *f)
{
	uint32_t turn = atomic_load_explicit(&f->turn, memory_order_relaxed) | 1;

	atomic_store_explicit(&f->turn, turn, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	return turn;
}

static void
settle(struct rh_flight *f, uint32_t turn)
{
	atomic_store_explicit(&f->turn, turn + 1, memory_order_release);
}

static void
set_phase(struct rh_flight *f, enum rh_phase phase)
{
	atomic_store_explicit(&f->phase, phase, memory_order_relaxed);
}

static size_t
put(char *to, size_t room, struct rh_slice text)
{
	size_t n = RH_MIN(text.n, room);

	if (n)
		memcpy(to, text.p, n);
	return n;
}
#define PUT(f, member, text)						\
	((f)->member##_n = (__typeof__((f)->member##_n))		\
	    put((f)->member, sizeof((f)->member), text))

static void
put_id(unsigned char *to, const unsigned char *id, size_t n)
{
	if (id)
		memcpy(to, id, n);
}

void
rh_flight_open(struct rh_flight *f, int64_t start_us, uint64_t start_ns)
{
	uint32_t turn;

	if (!f)
		return;
	turn = touch(f);
	/* all that tells what else is there, and nothing of the texts */
	memset(&f->start_us, 0, offsetof(struct rh_flight, method) -
	    offsetof(struct rh_flight, start_us));
	f->start_us = start_us;
	f->start_ns = start_ns;
	set_phase(f, RH_PHASE_READING);
	settle(f, turn);
}

void
rh_flight_tell(struct rh_flight *f, const struct rh_flight_facts *facts)
{
	uint32_t turn;

	if (!f)
		return;
	turn = touch(f);
	PUT(f, request_id, facts->request_id);
	PUT(f, method, facts->method);
	PUT(f, route, facts->route);
	PUT(f, path, facts->path);
	PUT(f, tenant, facts->tenant);
	PUT(f, remote, facts->remote);
	put_id(f->trace_id, facts->trace_id, sizeof(f->trace_id));
	put_id(f->span_id, facts->span_id, sizeof(f->span_id));
	put_id(f->parent_id, facts->parent_id, sizeof(f->parent_id));
	f->on = facts->on;
	f->head = facts->head;
	f->flags = facts->flags;
	f->tenant_id = facts->tenant_id;
	f->series = facts->series;
	f->tenant_label = facts->tenant_label;
	f->deadline_ns = facts->deadline_ns;
	f->slow_ns = facts->slow_ns;
	set_phase(f, RH_PHASE_HANDLING);
	settle(f, turn);
}

void
rh_flight_who(struct rh_flight *f, struct rh_uuid user, struct rh_uuid token,
    unsigned role)
{
	uint32_t turn;

	if (!f)
		return;
	turn = touch(f);
	f->user_id = user;
	f->token_id = token;
	f->role = (uint8_t)role;
	settle(f, turn);
}

void
rh_flight_at(struct rh_flight *f, enum rh_phase phase, const char *what)
{
	uint32_t turn;

	if (!f)
		return;
	turn = touch(f);
	PUT(f, waits_for, what ? rh_slice_of(what) : RH_SLICE_NONE);
	set_phase(f, phase);
	settle(f, turn);
}

void
rh_flight_close(struct rh_flight *f)
{
	if (f)
		atomic_store_explicit(&f->phase, RH_PHASE_NONE,
		    memory_order_release);
}

/* ---- reading: the segment may hold anything ---- */

#define BOUND(copy, member)						\
	((copy)->member##_n = (__typeof__((copy)->member##_n))RH_MIN(	\
	    sizeof((copy)->member), (copy)->member##_n))

static bool
is_sound(struct rh_flight *copy)
{
	BOUND(copy, method);
	BOUND(copy, route);
	BOUND(copy, tenant);
	BOUND(copy, remote);
	BOUND(copy, waits_for);
	BOUND(copy, request_id);
	BOUND(copy, path);
	return copy->phase > RH_PHASE_NONE && copy->phase < RH_PHASES;
}

bool
rh_flight_read(const struct rh_flight *f, bool is_dead, struct rh_flight *copy)
{
	for (int i = 0; i < READ_TRIES; i++) {
		uint32_t turn = atomic_load_explicit(&f->turn,
		    memory_order_acquire);

		memcpy(copy, f, sizeof(*copy));
		atomic_thread_fence(memory_order_acquire);
		if (is_dead || (!(turn & 1) &&
		    atomic_load_explicit(&f->turn, memory_order_relaxed) == turn))
			return is_sound(copy);
	}
	return false;
}
