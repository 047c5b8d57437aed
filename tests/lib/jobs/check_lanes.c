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

RH_CHECK_MAIN("jobs/lanes", RH_CASE(another_s_look_is_its_own),
    RH_LOOP(it_looks_for_himself, owns),
    RH_LOOP(it_is_alone_where_a_look_leads_back, ledto),
    RH_CASE(what_is_no_look_says_nothing))
