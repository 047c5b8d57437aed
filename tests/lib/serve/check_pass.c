/* tests/lib/serve/check_pass.c - what was sent arrives, however its sender ends. */
#include "config.h"

#include "serve/pass.h"

#include <sys/socket.h>
#include <unistd.h>

#include "rh_check.h"

static void
send_one(int channel, uint64_t deadline_ms)
{
	struct rh_parcel parcel = { .as.keep = { deadline_ms },
		.bytes = sizeof(struct rh_pass_keep),
		.fds = { STDERR_FILENO }, .nfds = 1 };

	ck_assert_int_eq(rh_pass_send(channel, &parcel), RH_PASS_DONE);
}

static void
take_one(int channel, uint64_t deadline_ms)
{
	struct rh_parcel parcel;

	ck_assert_int_eq(rh_pass_take(channel, &parcel), RH_PASS_DONE);
	ck_assert_uint_eq(parcel.nfds, 1);
	ck_assert_uint_eq(parcel.as.keep.deadline_ms, deadline_ms);
	close(parcel.fds[0]);
}

static void
open_pair(int ends[2])
{
	ck_assert(rh_pass_open(ends));
}

START_TEST(parcels_arrive_in_order)
{
	struct rh_parcel parcel;
	int ends[2];

	open_pair(ends);
	for (uint64_t i = 1; i <= 3; i++)
		send_one(ends[0], i);
	for (uint64_t i = 1; i <= 3; i++)
		take_one(ends[1], i);
	ck_assert_int_eq(rh_pass_take(ends[1], &parcel), RH_PASS_LATER);
	close(ends[0]);
	ck_assert_int_eq(rh_pass_take(ends[1], &parcel), RH_PASS_BROKEN);
	close(ends[1]);
}
END_TEST

START_TEST(what_was_sent_survives_its_sender)
{
	struct rh_parcel parcel;
	int ends[2];

	open_pair(ends);
	send_one(ends[0], 7);
	close(ends[0]);
	take_one(ends[1], 7);
	ck_assert_int_eq(rh_pass_take(ends[1], &parcel), RH_PASS_BROKEN);
	close(ends[1]);
}
END_TEST

/* 1 in 10,000 of a pool's connections went that way: its worker was replaced. */
START_TEST(also_where_the_sender_left_something_unread)
{
	struct rh_parcel parcel;
	int ends[2];

	open_pair(ends);
	send_one(ends[0], 7);
	send_one(ends[0], 8);
	send_one(ends[1], 9);
	close(ends[0]);
	take_one(ends[1], 7);
	take_one(ends[1], 8);
	ck_assert_int_eq(rh_pass_take(ends[1], &parcel), RH_PASS_BROKEN);
	close(ends[1]);
}
END_TEST

RH_CHECK_MAIN("serve/pass",
    RH_CASE(parcels_arrive_in_order),
    RH_CASE(what_was_sent_survives_its_sender),
    RH_CASE(also_where_the_sender_left_something_unread))
