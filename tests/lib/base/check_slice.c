/* tests/lib/base/check_slice.c - no value, an empty one and a text are three things. */
#include "config.h"

#include "base/slice.h"

#include "rh_check.h"

static const struct { const char *a, *b; bool same, same_nocase; } pairs[] = {
	{ "abc", "abc", true, true },
	{ "abc", "ABC", false, true },
	{ "abc", "abd", false, false },
	{ "abc", "ab", false, false },
	{ "", "", true, true },
	{ NULL, "", true, true },	/* both have no bytes to differ in */
	{ NULL, NULL, true, true },
	{ "[", "{", false, false },	/* 0x20 apart, and no letters */
	{ "\xc3\x89", "\xc3\xa9", false, false },	/* ASCII only */
};

START_TEST(texts_compare_by_bytes)
{
	struct rh_slice a = rh_slice_of(pairs[_i].a);
	struct rh_slice b = rh_slice_of(pairs[_i].b);

	ck_assert_int_eq(rh_slice_is(a, b), pairs[_i].same);
	ck_assert_int_eq(rh_slice_is(b, a), pairs[_i].same);
	ck_assert_int_eq(rh_slice_is_nocase(a, b), pairs[_i].same_nocase);
	ck_assert_int_eq(rh_slice_is_nocase(b, a), pairs[_i].same_nocase);
}
END_TEST

static const struct { const char *text, *prefix; bool has; } prefixes[] = {
	{ "Bearer x", "Bearer ", true }, { "Bearer", "Bearer ", false },
	{ "abc", "", true }, { "abc", "abc", true }, { "", "", true },
	{ "xabc", "abc", false },
};

START_TEST(a_prefix_stands_in_front)
{
	ck_assert_int_eq(rh_slice_has_prefix(rh_slice_of(prefixes[_i].text),
	    rh_slice_of(prefixes[_i].prefix)), prefixes[_i].has);
}
END_TEST

static const struct { const char *text, *trimmed; } trims[] = {
	{ "a", "a" }, { " \t a b \t", "a b" }, { "", "" }, { " \t ", "" },
	{ "\n a \n", "\n a \n" },	/* OWS is spaces and tabs */
};

START_TEST(optional_white_space_goes)
{
	rh_assert_slice_eq(rh_slice_trim(rh_slice_of(trims[_i].text)),
	    rh_slice_of(trims[_i].trimmed));
}
END_TEST

static const struct { const char *text; const char *parts[5]; } cuts[] = {
	{ "a,b,c", { "a", "b", "c" } },
	{ "a", { "a" } },
	{ "a,", { "a", "" } },
	{ ",a", { "", "a" } },
	{ ",,", { "", "", "" } },
	{ "", { "" } },
};

START_TEST(cutting_loses_no_part)
{
	struct rh_slice rest = rh_slice_of(cuts[_i].text);
	size_t n = 0;

	while (rest.p) {
		ck_assert_ptr_nonnull(cuts[_i].parts[n]);
		rh_assert_slice_eq(rh_slice_cut(&rest, ','),
		    rh_slice_of(cuts[_i].parts[n]));
		n++;
	}
	ck_assert_ptr_null(cuts[_i].parts[n]);
}
END_TEST

START_TEST(nothing_is_cut_from_nothing)
{
	struct rh_slice rest = RH_SLICE_NONE;

	ck_assert_ptr_null(rh_slice_cut(&rest, ',').p);
	ck_assert_ptr_null(rest.p);
}
END_TEST

START_TEST(a_literal_may_hold_nulls)
{
	ck_assert_uint_eq(RH_SLICE("a\0b").n, 3);
	ck_assert(!rh_slice_is(RH_SLICE("a\0b"), RH_SLICE("a\0c")));
}
END_TEST

RH_CHECK_MAIN("base/slice",
    RH_LOOP(texts_compare_by_bytes, pairs),
    RH_LOOP(a_prefix_stands_in_front, prefixes),
    RH_LOOP(optional_white_space_goes, trims),
    RH_LOOP(cutting_loses_no_part, cuts),
    RH_CASE(nothing_is_cut_from_nothing),
    RH_CASE(a_literal_may_hold_nulls))
