/* tests/lib/base/check_err.c - an error tells what, where and to whom. */
#include "config.h"

#include "base/err.h"

#include "rh_check.h"

START_TEST(an_error_is_the_full_story)
{
	struct rh_err *err = rh_err_new(rh_check_arena(), RH_E_CONFLICT,
	    "project.name_taken", "%s is taken", "x");

	ck_assert_int_eq(err->kind, RH_E_CONFLICT);
	ck_assert_str_eq(err->code, "project.name_taken");
	ck_assert_str_eq(err->detail, "x is taken");
	ck_assert_ptr_nonnull(strstr(err->where, "check_err.c:"));
	ck_assert_ptr_null(err->field);
	ck_assert_ptr_null(err->cause);
	ck_assert_ptr_null(err->next);
	ck_assert_uint_eq(err->retry_after_s, 0);
}
END_TEST

START_TEST(an_endless_detail_is_still_told)
{
	char *text = rh_arena_alloc(rh_check_arena(), 10000);
	struct rh_err *err;

	memset(text, 'x', 9999);
	text[9999] = '\0';
	err = rh_err_new(rh_check_arena(), RH_E_BUG, "bug", "so: %s", text);
	ck_assert_str_eq(err->detail, "so: %s");
}
END_TEST

START_TEST(every_kind_has_its_name)
{
	ck_assert_str_eq(rh_err_kind_name(RH_E_MALFORMED), "MALFORMED");
	ck_assert_str_eq(rh_err_kind_name(RH_E_BUG), "BUG");
	for (int kind = 0; kind < RH_E_COUNT; kind++)
		ck_assert_ptr_nonnull(rh_err_kind_name((enum rh_err_kind)kind));
}
END_TEST

RH_CHECK_MAIN("base/err",
    RH_CASE(an_error_is_the_full_story),
    RH_CASE(an_endless_detail_is_still_told),
    RH_CASE(every_kind_has_its_name))
