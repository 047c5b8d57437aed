/* tests/lib/data/check_glance.c - what a look without a script believes. */
#include "config.h"

#include "data/coherent_glance.h"

#include <math.h>
#include <stdlib.h>

#include "rh_check.h"

#define G	"0123456789abcdef"
#define OTHER	"0123456789abcdeF"

static const struct rh_uuid tenant = { { 1, 2, 3 } }, other = { { 1, 2, 4 } };
static const struct rh_slice group = RH_SLICE_INIT("projects");
static const struct rh_slice entry = RH_SLICE_INIT("/projects?limit=20");

static struct rh_redis_value
text(const char *value)
{
	return value ? (struct rh_redis_value){ .kind = RH_REDIS_TEXT,
		.text = rh_slice_of(value) } :
	    (struct rh_redis_value){ .kind = RH_REDIS_NIL };
}

/* What MGET answers to generation and entry. */
static enum rh_glance
glance(const char *g, const char *e, const struct rh_glance_judge *judge,
    struct rh_slice *to)
{
	struct rh_redis_value items[2] = { text(g), text(e) };
	struct rh_redis_value both = { .kind = RH_REDIS_ARRAY, .items = items,
		.n = 2 };

	return rh_glance_at(&both, judge, to);
}

/* ---- answers ---- */

/* clang-format off */
static const struct {
	const char *g, *e;
	int64_t now_ms, trusted_ms;
	enum rh_glance found;
} rows[] = {
	/* made at 1000, good until 9000, took 0 ms */
	{ G, G "0000000001000" "0000000009000" "000000" "page", 1500, 501, RH_GLANCE_HIT },
	{ G, G "0000000001000" "0000000009000" "000000" "page", 8999, 9999, RH_GLANCE_HIT },
	/* its time is over */
	{ G, G "0000000001000" "0000000009000" "000000" "page", 9000, 9999, RH_GLANCE_LATE },
	/* older than is trusted */
	{ G, G "0000000001000" "0000000009000" "000000" "page", 1500, 500, RH_GLANCE_NONE },
	{ G, G "0000000001000" "0000000009000" "000000" "page", 1000, 0, RH_GLANCE_NONE },
	/* filled after the clock was read */
	{ G, G "0000000001000" "0000000009000" "000000" "page", 999, 1, RH_GLANCE_HIT },
	/* of another generation; while somebody writes; of none */
	{ G, OTHER "0000000001000" "0000000009000" "000000" "page", 1500, 501, RH_GLANCE_NONE },
	{ "!", G "0000000001000" "0000000009000" "000000" "page", 1500, 501, RH_GLANCE_NONE },
	{ NULL, G "0000000001000" "0000000009000" "000000" "page", 1500, 501, RH_GLANCE_NONE },
	{ G, NULL, 1500, 501, RH_GLANCE_NONE },
	/* no clock */
	{ G, G "0000000001000" "0000000009000" "000000" "page", -1, 501, RH_GLANCE_NONE },
	/* somebody else's keys */
	{ G, G "000000000100x" "0000000009000" "000000" "page", 1500, 501, RH_GLANCE_NONE },
	{ G, G "0000000001000" "-000000009000" "000000" "page", 1500, 501, RH_GLANCE_NONE },
	{ G, G "0000000001000" "0000000009000" "00000 " "page", 1500, 501, RH_GLANCE_NONE },
	{ G, G "0000000001000" "0000000009000" "00000", 1500, 501, RH_GLANCE_NONE },
	{ G, "", 1500, 501, RH_GLANCE_NONE },
};
/* clang-format on */

START_TEST(it_believes_what_the_script_would)
{
	struct rh_slice found = RH_SLICE_NONE;
	struct rh_glance_judge judge = { rows[_i].now_ms, rows[_i].trusted_ms,
		65535 };

	ck_assert_int_eq(glance(rows[_i].g, rows[_i].e, &judge, &found),
	    rows[_i].found);
	if (rows[_i].found != RH_GLANCE_NONE)
		rh_assert_slice_eq(found, RH_SLICE("page"));
	else
		ck_assert_ptr_null(found.p);
}
END_TEST

START_TEST(an_empty_page_is_a_page)
{
	struct rh_slice found = RH_SLICE_NONE;
	struct rh_glance_judge judge = { 1500, 501, 0 };

	ck_assert_int_eq(glance(G, G "0000000001000" "0000000009000" "000000",
	    &judge, &found), RH_GLANCE_HIT);
	ck_assert_uint_eq(found.n, 0);
}
END_TEST

START_TEST(what_is_no_pair_is_not_believed)
{
	struct rh_redis_value items[2] = { text(G), text(G) };
	struct rh_redis_value odd[] = {
		{ .kind = RH_REDIS_ARRAY, .items = items, .n = 1 },
		{ .kind = RH_REDIS_ARRAY }, { .kind = RH_REDIS_NIL },
		{ .kind = RH_REDIS_ERROR, .text = RH_SLICE("MOVED") },
	};
	struct rh_glance_judge judge = { 1500, 501, 0 };
	struct rh_slice found;

	for (size_t i = 0; i < RH_COUNT(odd); i++)
		ck_assert_int_eq(rh_glance_at(&odd[i], &judge, &found),
		    RH_GLANCE_NONE);
}
END_TEST

/* As often as an exponential distribution has it, of all dice there are. */
START_TEST(the_longer_it_took_the_earlier_it_is_late)
{
	const char *e = G "0000000001000" "0000000009000" "001000";
	struct rh_slice found;

	for (int64_t left_ms = 1; left_ms < 5000; left_ms *= 3) {
		struct rh_glance_judge judge = { 9000 - left_ms, 1 << 20, 0 };
		double late = 0;

		for (int dice = 0; dice < 65536; dice++) {
			judge.dice = (uint16_t)dice;
			late += glance(G, e, &judge, &found) == RH_GLANCE_LATE;
		}
		ck_assert_double_eq_tol(late / 65536,
		    exp(-(double)left_ms / 1000), 0.05);
	}
}
END_TEST

START_TEST(the_clock_is_what_time_says)
{
	struct rh_redis_value items[2] = { text("1732211200"), text("123999") };
	struct rh_redis_value time = { .kind = RH_REDIS_ARRAY, .items = items,
		.n = 2 };

	ck_assert_int_eq(rh_glance_time_ms(&time), INT64_C(1732211200123));
	items[1] = text("soon");
	ck_assert_int_eq(rh_glance_time_ms(&time), -1);
	time.n = 1;
	ck_assert_int_eq(rh_glance_time_ms(&time), -1);
	ck_assert_int_eq(rh_glance_time_ms(&items[0]), -1);
}
END_TEST

/* ---- hints ---- */

static struct rh_glance_hints *
hints_new(void)
{
	return rh_arena_zalloc(rh_check_arena(), 1,
	    sizeof(struct rh_glance_hints));
}

START_TEST(a_hint_is_of_one_entry_and_ends_with_a_miss)
{
	struct rh_glance_hints *h = hints_new();
	uint64_t mark = rh_glance_mark(h, tenant, group, entry);

	ck_assert(!rh_glance_is_likely(h, mark));
	rh_glance_hit(h, mark);
	ck_assert(rh_glance_is_likely(h, rh_glance_mark(h, tenant, group,
	    entry)));
	ck_assert(!rh_glance_is_likely(h, rh_glance_mark(h, other, group,
	    entry)));
	ck_assert(!rh_glance_is_likely(h, rh_glance_mark(h, tenant,
	    RH_SLICE("tasks"), entry)));
	ck_assert(!rh_glance_is_likely(h, rh_glance_mark(h, tenant, group,
	    RH_SLICE("/projects"))));
	rh_glance_missed(h, mark);
	ck_assert(!rh_glance_is_likely(h, mark));
}
END_TEST

START_TEST(who_is_late_is_looked_at_by_a_script)
{
	struct rh_glance_hints *h = hints_new();
	uint64_t mark = rh_glance_mark(h, tenant, group, entry);

	rh_glance_late(h, mark);
	ck_assert(!rh_glance_is_late(h, mark));		/* nobody said it hit */
	rh_glance_hit(h, mark);
	rh_glance_late(h, mark);
	ck_assert(rh_glance_is_late(h, mark) && !rh_glance_is_likely(h, mark));
	rh_glance_hit(h, mark);
	ck_assert(!rh_glance_is_late(h, mark) && rh_glance_is_likely(h, mark));
}
END_TEST

START_TEST(a_write_ends_those_of_its_group)
{
	struct rh_glance_hints *h = hints_new();

	rh_glance_hit(h, rh_glance_mark(h, tenant, group, entry));
	rh_glance_hit(h, rh_glance_mark(h, other, group, entry));
	rh_glance_written(h, tenant, group);
	ck_assert(!rh_glance_is_likely(h, rh_glance_mark(h, tenant, group,
	    entry)));
	ck_assert(rh_glance_is_likely(h, rh_glance_mark(h, other, group,
	    entry)));
}
END_TEST

RH_CHECK_MAIN("data/glance",
    RH_LOOP(it_believes_what_the_script_would, rows),
    RH_CASE(an_empty_page_is_a_page),
    RH_CASE(what_is_no_pair_is_not_believed),
    RH_CASE(the_longer_it_took_the_earlier_it_is_late),
    RH_CASE(the_clock_is_what_time_says),
    RH_CASE(a_hint_is_of_one_entry_and_ends_with_a_miss),
    RH_CASE(who_is_late_is_looked_at_by_a_script),
    RH_CASE(a_write_ends_those_of_its_group))
