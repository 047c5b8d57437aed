/* tests/lib/serve/check_size.c - how many workers, when, and how fast. */
#include "config.h"

#include "serve/size.h"

#include <limits.h>

#include "rh_check.h"

#define SLOTS	8

/* A letter a slot: . empty, s starting, i idle, I idle for long, b busy, d draining */
static unsigned
picture(const char *text, struct rh_size_seen seen[SLOTS])
{
	static const struct {
		char letter;
		struct rh_size_seen seen;
	} letters[] = {
		{ '.', { RH_SLOT_EMPTY, 0 } }, { 's', { RH_SLOT_STARTING, 0 } },
		{ 'i', { RH_SLOT_IDLE, 10 } }, { 'I', { RH_SLOT_IDLE, 2000 } },
		{ 'L', { RH_SLOT_IDLE, 3000 } }, { 'b', { RH_SLOT_BUSY, 0 } },
		{ 'd', { RH_SLOT_DRAINING, 0 } },
	};
	unsigned n = 0;

	for (; *text; text++) {
		for (size_t i = 0; i < RH_COUNT(letters); i++)
			if (letters[i].letter == *text)
				seen[n++] = letters[i].seen;
	}
	return n;
}

static const struct rh_size fixed = { 4, 0, 4, 32, 1000 };
static const struct rh_size dynamic = { 2, 2, 3, 32, 1000 };
static const struct rh_size ondemand = { 0, 0, 0, 32, 1000 };

static const struct {
	const struct rh_size *size;
	const char *slots;
	unsigned waiting;
	struct rh_size_plan plan;	/* missing, more, unserved, leaves */
} plans[] = {
	/* a static pool has all it may have */
	{ &fixed, "....", 0, { 4, 0, 0, -1 } },
	{ &fixed, "i.b.", 0, { 2, 0, 0, -1 } },
	{ &fixed, "sibb", 9, { 0, 0, 7, -1 } },
	{ &fixed, "IIII", 0, { 0, 0, 0, -1 } },
	/* whoever leaves has the slot until it is gone */
	{ &fixed, "dbbb", 3, { 0, 0, 3, -1 } },

	{ &dynamic, "......", 0, { 2, 0, 0, -1 } },
	{ &dynamic, "b.....", 0, { 1, 4, 0, -1 } },
	{ &dynamic, "bi....", 0, { 0, 4, 0, -1 } },
	{ &dynamic, "bis...", 0, { 0, 0, 0, -1 } },
	{ &dynamic, "bii...", 0, { 0, 0, 0, -1 } },
	{ &dynamic, "bb....", 5, { 0, 4, 5, -1 } },
	{ &dynamic, "bbbbbb", 5, { 0, 0, 5, -1 } },
	/* idle for a moment, and yet not enough */
	{ &dynamic, "iibb..", 9, { 0, 2, 7, -1 } },
	{ &dynamic, "iibb..", 3, { 0, 1, 1, -1 } },
	/* one at a time, the longest idle one, and not before its time */
	{ &dynamic, "iiii..", 0, { 0, 0, 0, -1 } },
	{ &dynamic, "iILI..", 0, { 0, 0, 0, 2 } },
	{ &dynamic, "IIIIII", 0, { 0, 0, 0, 0 } },
	{ &dynamic, "III...", 0, { 0, 0, 0, -1 } },
	{ &dynamic, "IIId..", 0, { 0, 0, 0, -1 } },

	{ &ondemand, "....", 0, { 0, 0, 0, -1 } },
	{ &ondemand, "....", 1, { 0, 1, 1, -1 } },
	{ &ondemand, "....", 9, { 0, 4, 9, -1 } },
	{ &ondemand, "s...", 1, { 0, 0, 0, -1 } },
	{ &ondemand, "b...", 0, { 0, 0, 0, -1 } },
	{ &ondemand, "b...", 2, { 0, 2, 2, -1 } },
	{ &ondemand, "i...", 0, { 0, 0, 0, -1 } },
	{ &ondemand, "bI..", 0, { 0, 0, 0, 1 } },
	{ &ondemand, "d...", 1, { 0, 1, 1, -1 } },
};

START_TEST(what_is_seen_says_how_many)
{
	struct rh_size_seen seen[SLOTS];
	unsigned n = picture(plans[_i].slots, seen);
	struct rh_size_plan got = rh_size_plan(plans[_i].size, seen, n,
	    plans[_i].waiting);

	ck_assert_uint_eq(got.missing, plans[_i].plan.missing);
	ck_assert_uint_eq(got.more, plans[_i].plan.more);
	ck_assert_uint_eq(got.unserved, plans[_i].plan.unserved);
	ck_assert_int_eq(got.leaves, plans[_i].plan.leaves);
}
END_TEST

/* ---- the pace ---- */

static const struct rh_size_plan grows = { 0, 100, 0, -1 };

START_TEST(growth_doubles_up_to_the_rate)
{
	static const unsigned born[] = { 1, 2, 4, 8, 5, 0, 0, 0, 0, 0, 20, 0 };
	const struct rh_size size = { 0, 1, 1, 20, 1000 };
	struct rh_pace pace = { 0 };

	for (unsigned look = 0; look < RH_COUNT(born); look++) {
		unsigned n = rh_pace_allow(&pace, &size, &grows,
		    5000 + look * 100);

		ck_assert_uint_eq(n, born[look]);
		while (n--)
			rh_pace_born(&pace);
	}
}
END_TEST

START_TEST(looks_in_a_row_do_not_double)
{
	struct rh_pace pace = { 0 };

	for (unsigned i = 0; i < 10; i++)
		ck_assert_uint_eq(rh_pace_allow(&pace, &dynamic, &grows,
		    5000 + i), 1);
	ck_assert_uint_eq(rh_pace_allow(&pace, &dynamic, &grows, 5100), 2);
}
END_TEST

START_TEST(whoever_is_owed_is_free)
{
	const struct rh_size size = { 4, 0, 4, 1, 1000 };
	const struct rh_size_plan plan = { 4, 0, 0, -1 };
	struct rh_pace pace = { .owed = 3 };
	unsigned n = rh_pace_allow(&pace, &size, &plan, 5000);

	ck_assert_uint_eq(n, 4);
	while (n--)
		rh_pace_born(&pace);
	ck_assert_uint_eq(rh_pace_allow(&pace, &size, &plan, 5900), 0);
	pace.owed = 2;
	ck_assert_uint_eq(rh_pace_allow(&pace, &size, &plan, 5900), 2);
	/* nobody is missing: what is owed is forgotten */
	ck_assert_uint_eq(rh_pace_allow(&pace, &size,
	    &(struct rh_size_plan){ .leaves = -1 }, 5900), 0);
	ck_assert_uint_eq(rh_pace_allow(&pace, &size, &plan, 5900), 0);
	ck_assert_uint_eq(rh_pace_allow(&pace, &size, &plan, 6000), 1);
}
END_TEST

/* ---- the back-off ---- */

START_TEST(all_who_crash_at_once_make_one_step)
{
	struct rh_backoff b = { 0 };

	ck_assert_uint_eq(rh_backoff_room(&b, 1000), UINT_MAX);
	ck_assert(rh_backoff_fail(&b, 1000));
	for (unsigned i = 0; i < 64; i++)
		ck_assert(!rh_backoff_fail(&b, 1000 + i));
	ck_assert_uint_eq(b.steps, 1);
	ck_assert_uint_eq(rh_backoff_room(&b, 1099), 0);
	ck_assert_uint_eq(rh_backoff_room(&b, 1100), 1);
	rh_backoff_tried(&b, 1100);
	ck_assert_uint_eq(rh_backoff_room(&b, 1100), 0);
}
END_TEST

START_TEST(each_step_waits_twice_as_long)
{
	static const uint64_t waits[] = { 100, 200, 400, 800, 1600, 3200, 6400,
		10000, 10000, 10000 };
	struct rh_backoff b = { 0 };
	uint64_t now_ms = 1000;

	for (unsigned i = 0; i < RH_COUNT(waits); i++) {
		ck_assert(rh_backoff_fail(&b, now_ms));
		ck_assert_uint_eq(rh_backoff_wait_ms(&b), waits[i]);
		ck_assert_uint_eq(rh_backoff_room(&b, now_ms + waits[i] - 1), 0);
		now_ms += waits[i];
		ck_assert_uint_eq(rh_backoff_room(&b, now_ms), 1);
		rh_backoff_tried(&b, now_ms);
		ck_assert(!rh_backoff_look(&b, false, now_ms + 10));
	}
}
END_TEST

START_TEST(an_answer_ends_it)
{
	struct rh_backoff b = { 0 };

	ck_assert(rh_backoff_fail(&b, 1000));
	ck_assert(!rh_backoff_look(&b, true, 1050));	/* of an older one */
	rh_backoff_tried(&b, 1100);
	ck_assert(rh_backoff_look(&b, true, 1110));
	ck_assert_uint_eq(rh_backoff_room(&b, 1110), UINT_MAX);
	ck_assert_uint_eq(b.steps, 0);
}
END_TEST

START_TEST(staying_up_lets_the_others_in_but_is_not_forgotten_yet)
{
	struct rh_backoff b = { 0 };

	ck_assert(rh_backoff_fail(&b, 1000));
	rh_backoff_tried(&b, 1100);
	ck_assert(!rh_backoff_look(&b, false, 2099));
	ck_assert_uint_eq(rh_backoff_room(&b, 2099), 0);
	ck_assert(!rh_backoff_look(&b, false, 2100));
	ck_assert_uint_eq(rh_backoff_room(&b, 2100), UINT_MAX);
	/* those who end slowly meet a longer step each time */
	ck_assert(rh_backoff_fail(&b, 2600));
	ck_assert_uint_eq(b.steps, 2);
	rh_backoff_tried(&b, 2800);
	ck_assert(!rh_backoff_look(&b, false, 12999));
	ck_assert(rh_backoff_look(&b, false, 13000));
	ck_assert_uint_eq(b.steps, 0);
}
END_TEST

RH_CHECK_MAIN("serve/size",
    RH_LOOP(what_is_seen_says_how_many, plans),
    RH_CASE(growth_doubles_up_to_the_rate),
    RH_CASE(looks_in_a_row_do_not_double),
    RH_CASE(whoever_is_owed_is_free),
    RH_CASE(all_who_crash_at_once_make_one_step),
    RH_CASE(each_step_waits_twice_as_long),
    RH_CASE(an_answer_ends_it),
    RH_CASE(staying_up_lets_the_others_in_but_is_not_forgotten_yet))
