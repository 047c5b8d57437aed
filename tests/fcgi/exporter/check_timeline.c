/* tests/fcgi/exporter/check_timeline.c - one axis for all legs: long pauses are folded, nothing else is bent. */
#include "config.h"

#include "exporter/timeline.h"

#include <math.h>

#include "rh_check.h"

#define MS	UINT64_C(1000000)
#define LEGS	4

/* Of each leg its start and its end, ms; the pauses that are folded. */
static const struct {
	uint64_t legs[LEGS][2];
	size_t n;
	unsigned folds;
} traces[] = {
	{ { { 0, 10 } }, 1, 0 },
	{ { { 0, 10 }, { 11, 21 } }, 2, 0 },		/* shorter than a quarter of the work */
	{ { { 0, 10 }, { 3000, 3010 } }, 2, 1 },
	{ { { 0, 10 }, { 3000, 3010 }, { 3011, 3020 }, { 9000, 9001 } }, 4, 2 },
	{ { { 0, 4000 }, { 100, 200 }, { 4100, 4200 } }, 3, 0 },
	{ { { 0, 5000 }, { 3000, 3010 }, { 20000, 20001 } }, 3, 1 },	/* within another */
	{ { { 5, 5 }, { 5, 5 } }, 2, 0 },		/* nothing took any time */
	{ { { 50, 10 }, { 60, 61 } }, 2, 1 },		/* an end before its start */
	{ { { 0, UINT64_MAX / MS }, { 7, 8 } }, 2, 0 },
};

static struct timeline
timeline(size_t i)
{
	static struct rh_past_leg legs[LEGS];
	struct rh_past_found found = { .legs = legs, .nlegs = traces[i].n };
	struct timeline t;

	for (size_t l = 0; l < found.nlegs; l++)
		legs[l] = (struct rh_past_leg){
			.start_ns = traces[i].legs[l][0] * MS,
			.end_ns = traces[i].legs[l][1] * MS };
	timeline_of(&t, &found);
	return t;
}

START_TEST(long_pauses_are_folded)
{
	ck_assert_uint_eq(timeline((size_t)_i).nfolds, traces[_i].folds);
}
END_TEST

START_TEST(later_is_never_to_the_left)
{
	struct timeline t = timeline((size_t)_i);
	uint64_t span_ns = t.end_ns - t.start_ns;
	double before = 0;

	for (unsigned i = 0; i <= 1000; i++) {
		uint64_t ns = t.start_ns + (uint64_t)((double)span_ns / 1000 *
		    i);
		double place = timeline_place(&t, ns);

		ck_assert(isfinite(place) && place >= before && place <= 1);
		before = place;
	}
	ck_assert(timeline_place(&t, 0) >= 0);
	ck_assert(timeline_place(&t, UINT64_MAX) <= 1);
	if (span_ns)
		ck_assert(timeline_place(&t, t.end_ns) > 0.999);
}
END_TEST

START_TEST(a_place_is_told_as_its_time)
{
	struct timeline t = timeline((size_t)_i);
	double span_ns = (double)(t.end_ns - t.start_ns);

	for (unsigned i = 0; span_ns > 0 && i <= 100; i++) {
		double place = i / 100.0;
		uint64_t since_ns = timeline_since(&t, place);

		ck_assert_msg(fabs(timeline_place(&t, t.start_ns + since_ns) -
		    place) < 0.001, "%g", place);
	}
}
END_TEST

/* Of 20 ms of work and 2,990 of pause all but the pause's eight hundredths. */
START_TEST(work_has_the_room)
{
	struct timeline t = timeline(2);

	ck_assert(fabs(timeline_place(&t, 10 * MS) - 0.46) < 0.001);
	ck_assert(fabs(timeline_place(&t, 3000 * MS) - 0.54) < 0.001);
	ck_assert(fabs((double)timeline_since(&t, 0.46 + 0.04) / (double)MS -
	    1505) < 1);
}
END_TEST

RH_CHECK_MAIN("exporter/timeline",
    RH_LOOP(long_pauses_are_folded, traces),
    RH_LOOP(later_is_never_to_the_left, traces),
    RH_LOOP(a_place_is_told_as_its_time, traces),
    RH_CASE(work_has_the_room))
