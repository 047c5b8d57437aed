/* check_wake.c - what is left ends a rest, whichever comes first; one call for many. */
#include "config.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "obs/metric.h"
#include "rh_check.h"
#include "serve/wake.h"

#define HOME 0

enum { EVENTS = 1 << RH_WAKE_EVENTS, JOBS = 1 << RH_WAKE_JOBS, BOTH = EVENTS | JOBS };

static struct rh_waker request, a, b;

/* The file's name is not needed any more once it is mapped. */
static void
set_up(void)
{
	const struct rh_area areas[] = {
		{ RH_WAKE_AREA, rh_wake_bytes(), false, 0 }, { NULL, 0, false, 0 }
	};
	struct rh_segment_spec spec = { .pool = "jobs", .service = "s",
		.version = "1", .revision = "r", .slots = 3,
		.log_ring_bytes = 16384, .span_ring_bytes = 16384,
		.areas = areas, .metrics = rh_metrics_new(rh_check_arena()) };
	struct rh_segment *segment;
	struct rh_buf why;
	char path[64];

	snprintf(path, sizeof(path), "/tmp/check_wake.%d", (int)getpid());
	rh_buf_init(&why, rh_check_arena(), 256, 4096);
	ck_assert(rh_segment_create(&segment, path, &spec, &why));
	unlink(path);
	rh_waker_init(&request, segment);
	rh_waker_init(&a, segment);
	rh_waker_init(&b, segment);
	ck_assert_int_ge(rh_waker_listen(&a, 1), 0);
	ck_assert_int_ge(rh_waker_listen(&b, 2), 0);
	ck_assert_uint_eq(rh_waker_hear(&a, HOME), 0);
	ck_assert_uint_eq(rh_waker_hear(&b, HOME), 0);
}

/* How many calls it has had; none is left afterwards. */
static int
calls(const struct rh_waker *w)
{
	char byte;
	int n = 0;

	while (recv(w->fd, &byte, 1, MSG_DONTWAIT) == 1)
		n++;
	return n;
}

START_TEST(who_rests_is_called_once)
{
	set_up();
	ck_assert(rh_waker_rest(&a, BOTH));
	for (int i = 0; i < 100; i++)
		rh_waker_call(&request, HOME, JOBS);
	ck_assert_int_eq(calls(&a), 1);
	ck_assert_int_eq(calls(&b), 0);
	ck_assert_uint_eq(rh_waker_hear(&a, HOME), JOBS);
	ck_assert_uint_eq(rh_waker_hear(&a, HOME), 0);
}
END_TEST

START_TEST(the_next_one_is_called_for_the_next)
{
	set_up();
	ck_assert(rh_waker_rest(&a, BOTH));
	ck_assert(rh_waker_rest(&b, BOTH));
	rh_waker_call(&request, HOME, JOBS);
	rh_waker_call(&request, HOME, JOBS);
	ck_assert_int_eq(calls(&a), 1);
	ck_assert_int_eq(calls(&b), 1);
}
END_TEST

START_TEST(who_works_is_not_called_and_does_not_rest_over_it)
{
	set_up();
	rh_waker_call(&request, HOME, JOBS);
	ck_assert_int_eq(calls(&a), 0);
	ck_assert(!rh_waker_rest(&a, BOTH));
	ck_assert_uint_eq(rh_waker_hear(&a, HOME), JOBS);
	ck_assert(rh_waker_rest(&a, BOTH));
}
END_TEST

START_TEST(each_is_called_for_what_it_wants)
{
	set_up();
	ck_assert(rh_waker_rest(&a, JOBS));
	ck_assert(rh_waker_rest(&b, EVENTS));
	rh_waker_call(&request, HOME, EVENTS);
	ck_assert_int_eq(calls(&a), 0);
	ck_assert_int_eq(calls(&b), 1);
	ck_assert_uint_eq(rh_waker_hear(&a, HOME), EVENTS);
}
END_TEST

START_TEST(who_is_gone_holds_up_nobody)
{
	set_up();
	ck_assert(rh_waker_rest(&a, BOTH));
	ck_assert(rh_waker_rest(&b, BOTH));
	close(a.fd);
	rh_waker_call(&request, HOME, JOBS);
	ck_assert_int_eq(calls(&b), 1);
	/* its slot's next one hears of nothing that was before it rests */
	ck_assert_int_ge(rh_waker_listen(&a, 1), 0);
	ck_assert_int_eq(calls(&a), 0);
}
END_TEST

/* Of two that share a bucket neither can be told from the other. */
START_TEST(it_is_said_at_which_place)
{
	set_up();
	ck_assert_uint_eq(rh_waker_hear(&a, HOME), 0);
	ck_assert_uint_eq(rh_waker_hear(&a, 5), 0);
	ck_assert(rh_waker_rest(&a, BOTH));
	rh_waker_call(&request, 5, JOBS);
	ck_assert_int_eq(calls(&a), 1);
	ck_assert(!rh_waker_rest(&a, BOTH));
	ck_assert_uint_eq(rh_waker_hear(&a, HOME), 0);
	ck_assert_uint_eq(rh_waker_hear(&a, 5), JOBS);
	rh_waker_call(&request, 5 + RH_WAKE_BUCKETS, EVENTS);
	ck_assert_uint_eq(rh_waker_hear(&a, 5), EVENTS);
	/* one that this host's configuration does not have keeps nobody from resting */
	rh_waker_call(&request, 6, JOBS);
	ck_assert(rh_waker_rest(&a, BOTH));
}
END_TEST

RH_CHECK_MAIN("serve/wake", RH_CASE(it_is_said_at_which_place),
    RH_CASE(who_rests_is_called_once),
    RH_CASE(the_next_one_is_called_for_the_next),
    RH_CASE(who_works_is_not_called_and_does_not_rest_over_it),
    RH_CASE(each_is_called_for_what_it_wants),
    RH_CASE(who_is_gone_holds_up_nobody))
