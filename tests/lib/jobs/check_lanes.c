/* check_lanes.c - whose look is whose: one for all of a host while one lane is all there is. */
#include "config.h"

#include "base/clock.h"
#include "jobs/runner_part.h"
#include "rh_check.h"

#define HOUR_NS (3600 * 1000 * MS_NS)

static struct rh_err *
nothing(struct rh_job *job)
{
	(void)job;
	return NULL;
}

static struct rh_job_kind kinds[] = { { .name = "one", .handler = nothing },
	{ .name = "two", .handler = nothing }, { 0 } };
static const struct rh_uuid a = { { 0xa } }, b = { { 0xb } };

static struct rh_looks looks;
static struct rh_lane lanes[4];
static struct rh_runner r;

/* In the lane of a's first kind, its last look long ago, another's to be an hour off. */
static void
set_up(void)
{
	rh_job_kinds_register(kinds);
	lanes[0] = (struct rh_lane){ .tenant = a,
		.kind = &kinds[0],
		.above = 5 };
	r = (struct rh_runner){ .lanes = lanes,
		.nlanes = 1,
		.want = 1,
		.alone = true,
		.looked_ns = rh_clock_mono_ns() - 1000 * MS_NS,
		.obs.looks = &looks };
	atomic_store(&looks.began_ns, rh_clock_mono_ns() + HOUR_NS);
}

START_TEST(another_s_look_is_its_own)
{
	set_up();
	ck_assert_int_gt(rh_lanes_look_in(&r), 0);
	/* nobody looked since: it does, and all others need not */
	atomic_store(&looks.began_ns, r.looked_ns);
	ck_assert_int_eq(rh_lanes_look_in(&r), 0);
	rh_lanes_look(&r);
	ck_assert_uint_gt(atomic_load(&looks.began_ns), r.looked_ns);
}
END_TEST

/* Each of these looks for himself. */
enum own { MOVED, SEVERAL, BATCH, NONE, WOKEN, UNSHARED };
static const enum own owns[] = { MOVED, SEVERAL, BATCH, NONE, WOKEN, UNSHARED };

START_TEST(it_looks_for_himself)
{
	set_up();
	if (owns[_i] == MOVED)
		atomic_store(&looks.moved_ns, r.looked_ns + 1);
	r.alone = owns[_i] != SEVERAL;
	r.want = owns[_i] == BATCH ? 2 : 1;
	r.nlanes = owns[_i] != NONE;
	r.woken = owns[_i] == WOKEN;
	if (owns[_i] == UNSHARED)
		r.obs.looks = NULL;
	ck_assert_int_eq(rh_lanes_look_in(&r), 0);
}
END_TEST

/* Where a look led to, from the lane of a's first kind. */
static const struct {
	const struct rh_uuid *tenant; /* NULL: nothing waits */
	const char *kind;
	int64_t priority;
	bool alone;
} ledto[] = {
	{ &a, "one", 0, true },
	{ &a, "two", 0, false },
	{ &a, "one", 1, false },
	{ &a, "another program's", 0, false },
	{ &b, "one", 0, false },
	{ NULL, NULL, 0, false },
};

START_TEST(it_is_alone_where_a_look_leads_back)
{
	struct rh_claimed row = { .seq = 7, .priority = ledto[_i].priority };
	struct rh_batch batch = { .rows = &row };

	set_up();
	if (ledto[_i].tenant) {
		row.tenant = *ledto[_i].tenant;
		row.kind = rh_slice_of(ledto[_i].kind);
		batch.n = 1;
	}
	r.alone = !ledto[_i].alone;
	rh_lanes_note(&r, &batch, true);
	ck_assert_int_eq(r.alone, ledto[_i].alone);
	ck_assert_int_eq(r.gap, ledto[_i].alone ? 7 - 5 : 0);
	ck_assert_int_eq(atomic_load(&looks.moved_ns) > 0, !ledto[_i].alone);
}
END_TEST

START_TEST(what_is_no_look_says_nothing)
{
	struct rh_claimed row;
	struct rh_batch batch = { .rows = &row };

	set_up();
	rh_lanes_note(&r, &batch, false);
	ck_assert(r.alone);
	ck_assert_uint_eq(atomic_load(&looks.moved_ns), 0);
}
END_TEST

/* ---- where all of a host are ---- */

enum { LANE = 7, FAR = 10 };

/* What the word had, of whom; where a worker is, how many it wants, where it begins. */
static const struct {
	uint64_t whose;
	int64_t was, above, n, from;
} fronts[] = {
	{ LANE, 0, 5, 1, 5 },			    /* nobody was there */
	{ LANE, 5, 5, 1, 5 },			    /* all are where it is */
	{ LANE, 8, 5, 1, 8 },			    /* others are further */
	{ LANE, 8, 5, 4, 8 },			    /* and it takes several */
	{ LANE, 3, 5, 1, 5 },			    /* it is the furthest */
	{ LANE, 14, 5, 1, 14 },			    /* about as far as may be */
	{ LANE, 16, 5, 1, 5 },			    /* it was led back: alone */
	{ LANE + (UINT64_C(1) << 48), 8, 5, 1, 5 }, /* another lane's word */
};

START_TEST(each_takes_a_part_of_what_is_to_come)
{
	struct rh_fronts f = { 0 };
	bool led_back = fronts[_i].was > fronts[_i].above + FAR;

	if (fronts[_i].was)
		rh_front_raise(&f, fronts[_i].whose, fronts[_i].was);
	ck_assert_int_eq(rh_front_take(&f, LANE, fronts[_i].above, fronts[_i].n,
			     FAR),
	    fronts[_i].from);
	/* who is next begins behind that */
	ck_assert_int_eq(rh_front_take(&f, LANE, fronts[_i].above, 1, FAR),
	    fronts[_i].from + (led_back ? 0 : fronts[_i].n));
}
END_TEST

START_TEST(a_front_is_raised_and_forgotten_by_its_lane_alone)
{
	const uint64_t other = LANE + (UINT64_C(1) << 48);
	struct rh_fronts f = { 0 };

	rh_front_raise(&f, LANE, 8);
	rh_front_raise(&f, LANE, 6);
	rh_front_forget(&f, other);
	ck_assert_int_eq(rh_front_take(&f, LANE, 5, 1, FAR), 8);
	rh_front_forget(&f, LANE);
	ck_assert_int_eq(rh_front_take(&f, LANE, 5, 1, FAR), 5);
	/* more than a word has room for is nobody's */
	rh_front_raise(&f, LANE, INT64_C(1) << 48);
	ck_assert_int_eq(rh_front_take(&f, LANE, 5, 1, FAR), 5);
}
END_TEST

/* So many were claimed of two that were wanted. */
static const size_t had[] = { 1, 2 };

START_TEST(who_got_less_than_it_took_forgets_the_front)
{
	struct rh_claimed rows[] = { { .tenant = a, .seq = 7 },
		{ .tenant = a, .seq = 9 } };
	struct rh_batch batch = { .rows = rows, .n = had[_i] };
	size_t known = 0;

	set_up();
	r.want = 2;
	rows[0].kind = rows[1].kind = rh_slice_of("one");
	rh_lanes_note(&r, &batch, true); /* a look: it is there */
	r.nlanes = 1;
	lanes[0] = (struct rh_lane){ .tenant = a,
		.kind = &kinds[0],
		.above = 5 };
	rh_lanes_note(&r, &batch, false);
	for (size_t i = 0; i < RH_FRONTS; i++)
		known += atomic_load(&looks.fronts.at[i]) != 0;
	ck_assert_uint_eq(known, had[_i] == 2);
}
END_TEST

/* A look that costs what a claim costs is none: what is more is a fifth of the time. */
static const struct {
	uint64_t looks_ms, claims_ms, ms;
} costs[] = { { 20, 20, 0 }, { 18, 20, 0 }, { 50, 20, 30 } };

START_TEST(a_look_costs_what_it_takes_more_than_a_claim)
{
	set_up();
	rh_lanes_took(&r, true, true, 7 * MS_NS);
	/* there is no claim to compare it with */
	ck_assert_uint_eq(r.look_ns, 7 * MS_NS);
	for (int i = 0; i < 100; i++) {
		/* as the disk has it, now this and now that */
		uint64_t jitter = i % 2 ? MS_NS : 0;

		rh_lanes_took(&r, false, true,
		    costs[_i].claims_ms * MS_NS + jitter);
		rh_lanes_took(&r, true, true,
		    costs[_i].looks_ms * MS_NS + jitter);
	}
	ck_assert_uint_le(r.look_ns, (costs[_i].ms + 1) * MS_NS);
	ck_assert_uint_ge(r.look_ns + MS_NS, costs[_i].ms * MS_NS);
	ck_assert_uint_ge(r.lasted_ns, costs[_i].looks_ms * MS_NS);
	/* where there was nothing to go on with it is all its own */
	rh_lanes_took(&r, true, false, 3 * MS_NS);
	ck_assert_uint_eq(r.look_ns, 3 * MS_NS);
}
END_TEST

RH_CHECK_MAIN("jobs/lanes", RH_CASE(another_s_look_is_its_own),
    RH_LOOP(it_looks_for_himself, owns),
    RH_LOOP(it_is_alone_where_a_look_leads_back, ledto),
    RH_CASE(what_is_no_look_says_nothing),
    RH_LOOP(each_takes_a_part_of_what_is_to_come, fronts),
    RH_CASE(a_front_is_raised_and_forgotten_by_its_lane_alone),
    RH_LOOP(who_got_less_than_it_took_forgets_the_front, had),
    RH_LOOP(a_look_costs_what_it_takes_more_than_a_claim, costs))
