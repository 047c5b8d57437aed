/*
 * check_deliver.c - when a webhook is tried again: pauses, and what a receiver
 * asks for. The rest is told by tests/e2e/test_deliver.py.
 */
#include "config.h"

#include "jobs/deliver.h"

#include "tests/rh_check.h"

START_TEST(there_are_ten_attempts_over_three_days)
{
	int64_t sum = 0, last = 0;

	for (int64_t i = 1; i < RH_DELIVER_ATTEMPTS; i++) {
		ck_assert_int_gt(rh_deliver_pause(i), last);
		last = rh_deliver_pause(i);
		sum += last * 5;
	}
	ck_assert_int_eq(rh_deliver_pause(1), 1);
	ck_assert_int_eq(rh_deliver_pause(RH_DELIVER_ATTEMPTS), 0);
	ck_assert_int_eq(rh_deliver_pause(RH_DELIVER_ATTEMPTS + 1), 0);
	ck_assert_int_eq(rh_deliver_pause(0), 0);
	ck_assert_int_gt(sum, 3 * 24 * 3600);
	ck_assert_int_lt(sum, 4 * 24 * 3600);
}
END_TEST

/* Of 1994-11-06T08:49:00Z. */
#define NOW_US (INT64_C(784111740) * 1000000)
static const struct {
	const char *value;
	int64_t ms;
} retries[] = {
	{ NULL, 0 },
	{ "", 0 },
	{ "0", 0 },
	{ "120", 120000 },
	{ "99999999999", INT64_C(2147483647000) },
	{ "Sun, 06 Nov 1994 08:49:37 GMT", 37000 },
	{ "Sun, 06 Nov 1994 08:48:00 GMT", 0 },
	{ "Mon, 07 Nov 1994 08:49:00 GMT", 86400000 },
	{ "Sunday, 06-Nov-94 08:49:37 GMT", 0 },
	{ "Sun Nov  6 08:49:37 1994", 0 },
	{ "Sun, 06 Xxx 1994 08:49:37 GMT", 0 },
	{ "Sun, 06 anF 1994 08:49:37 GMT", 0 },
	{ "-1", 0 },
	{ "1.5", 0 },
	{ "soon", 0 },
};

START_TEST(a_receiver_may_say_when)
{
	ck_assert_int_eq(rh_deliver_retry_after(rh_slice_of(retries[_i].value),
			     NOW_US),
	    retries[_i].ms);
}
END_TEST

RH_CHECK_MAIN("jobs/deliver", RH_CASE(there_are_ten_attempts_over_three_days),
    RH_LOOP(a_receiver_may_say_when, retries))
