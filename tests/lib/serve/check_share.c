/* tests/lib/serve/check_share.c - one owner at a time, and nothing missed. */
#include "config.h"

#include "serve/share.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rh_check.h"

#define PROCESSES	4
#define SEATS		3
#define ROUNDS		100000

START_TEST(a_claim_is_exclusive)
{
	struct rh_seat seat = { 0 };
	uint32_t g = rh_seat_open(&seat, 0);

	ck_assert_int_eq(rh_seat_claim(&seat, g, 1), RH_CLAIM_MINE);
	ck_assert_int_eq(rh_seat_claim(&seat, g, 2), RH_CLAIM_TAKEN);
	ck_assert_int_eq(rh_seat_claim(&seat, g, 3), RH_CLAIM_TAKEN);
	ck_assert(!rh_seat_release(&seat));
	ck_assert_int_eq(rh_seat_claim(&seat, g, 2), RH_CLAIM_TAKEN);
	ck_assert(!rh_seat_release(&seat));
	ck_assert(rh_seat_release(&seat));
	ck_assert_int_eq(rh_seat_claim(&seat, g, 2), RH_CLAIM_MINE);
	ck_assert(rh_seat_release(&seat));
}
END_TEST

START_TEST(a_closed_seat_is_stale_for_all_who_knew_it)
{
	struct rh_seat seat = { 0 };
	uint32_t g = rh_seat_open(&seat, 0), next;

	ck_assert_int_eq(rh_seat_claim(&seat, g, 1), RH_CLAIM_MINE);
	ck_assert_int_eq(rh_seat_claim(&seat, g, 2), RH_CLAIM_TAKEN);
	rh_seat_close(&seat);
	ck_assert(rh_seat_is_closed(&seat));
	ck_assert_int_eq(rh_seat_claim(&seat, g, 2), RH_CLAIM_STALE);
	next = rh_seat_open(&seat, 0);
	ck_assert_uint_ne(next, g);
	ck_assert_int_eq(rh_seat_claim(&seat, g, 2), RH_CLAIM_STALE);
	ck_assert_int_eq(rh_seat_claim(&seat, next, 2), RH_CLAIM_MINE);
}
END_TEST

START_TEST(only_what_nobody_owns_expires)
{
	struct rh_seat seat = { 0 };
	uint32_t g = rh_seat_open(&seat, 100);

	ck_assert(!rh_seat_expire(&seat, 99));
	ck_assert_int_eq(rh_seat_claim(&seat, g, 7), RH_CLAIM_MINE);
	ck_assert(!rh_seat_expire(&seat, 101));
	ck_assert(rh_seat_release(&seat));
	ck_assert(rh_seat_expire(&seat, 100));
	ck_assert(!rh_seat_expire(&seat, 100));
	ck_assert_int_eq(rh_seat_claim(&seat, g, 7), RH_CLAIM_STALE);
	rh_seat_open(&seat, 0);
	ck_assert(!rh_seat_expire(&seat, UINT64_MAX));
}
END_TEST

START_TEST(the_dead_lose_what_they_owned_and_no_more)
{
	struct rh_seat seat = { 0 };
	uint32_t g = rh_seat_open(&seat, 0);

	ck_assert(!rh_seat_bereave(&seat, 5));
	ck_assert_int_eq(rh_seat_claim(&seat, g, 5), RH_CLAIM_MINE);
	ck_assert_int_eq(rh_seat_claim(&seat, g, 6), RH_CLAIM_TAKEN);
	ck_assert(!rh_seat_bereave(&seat, 6));
	ck_assert(rh_seat_bereave(&seat, 5));
	ck_assert(!rh_seat_bereave(&seat, 5));
	ck_assert(rh_seat_is_closed(&seat));
}
END_TEST

START_TEST(a_new_pool_finds_every_seat_closed)
{
	struct rh_share *share = calloc(1, rh_share_bytes(2));
	uint32_t g;

	rh_share_init(share, 2);
	g = rh_seat_open(&share->seats[1], 0);
	ck_assert_int_eq(rh_seat_claim(&share->seats[1], g, 1), RH_CLAIM_MINE);
	rh_share_init(share, 2);
	ck_assert(rh_seat_is_closed(&share->seats[0]));
	ck_assert(rh_seat_is_closed(&share->seats[1]));
	ck_assert_uint_ne(rh_seat_open(&share->seats[1], 0), g);
	free(share);
}
END_TEST

/*
 * What a connection is to the workers: things arrive, whoever is told claims
 * it and takes all that are there by then.
 */
struct model {
	_Atomic unsigned arrived[SEATS], taken[SEATS], inside[SEATS];
	_Atomic unsigned collisions;
	_Alignas(64) struct rh_share share;
};

static void
take_all(struct model *m, unsigned i, unsigned me)
{
	struct rh_seat *seat = &m->share.seats[i];

	do {
		if (atomic_exchange(&m->inside[i], me) != 0)
			atomic_fetch_add(&m->collisions, 1);
		atomic_store(&m->taken[i], atomic_load(&m->arrived[i]));
		if (atomic_exchange(&m->inside[i], 0) != me)
			atomic_fetch_add(&m->collisions, 1);
	} while (!rh_seat_release(seat));
}

static void
be_a_worker(struct model *m, unsigned me, const uint32_t generations[SEATS])
{
	unsigned random = me;

	for (int n = 0; n < ROUNDS; n++) {
		unsigned i = (random = random * 1103515245 + 12345) >> 16;

		i %= SEATS;
		atomic_fetch_add(&m->arrived[i], 1);
		if (rh_seat_claim(&m->share.seats[i], generations[i], me) ==
		    RH_CLAIM_MINE)
			take_all(m, i, me);
	}
	_exit(0);
}

START_TEST(nothing_is_missed_and_nobody_meets)
{
	size_t bytes = sizeof(struct model) + SEATS * sizeof(struct rh_seat);
	struct model *m = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint32_t generations[SEATS];
	int status;

	ck_assert_ptr_ne(m, MAP_FAILED);
	rh_share_init(&m->share, SEATS);
	for (unsigned i = 0; i < SEATS; i++)
		generations[i] = rh_seat_open(&m->share.seats[i], 0);
	for (unsigned p = 1; p <= PROCESSES; p++) {
		if (fork() == 0)
			be_a_worker(m, p, generations);
	}
	for (unsigned p = 1; p <= PROCESSES; p++) {
		ck_assert_int_gt(wait(&status), 0);
		ck_assert_int_eq(status, 0);
	}
	ck_assert_uint_eq(m->collisions, 0);
	for (unsigned i = 0; i < SEATS; i++)
		ck_assert_uint_eq(m->taken[i], m->arrived[i]);
	munmap(m, bytes);
}
END_TEST

RH_CHECK_MAIN("serve/share",
    RH_CASE(a_claim_is_exclusive),
    RH_CASE(a_closed_seat_is_stale_for_all_who_knew_it),
    RH_CASE(only_what_nobody_owns_expires),
    RH_CASE(the_dead_lose_what_they_owned_and_no_more),
    RH_CASE(a_new_pool_finds_every_seat_closed),
    RH_CASE(nothing_is_missed_and_nobody_meets))
