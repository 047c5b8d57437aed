/*
 * rh_check - what a file of unit tests ends in, and an arena for them.
 *
 *	RH_CHECK_MAIN("http/route",
 *	    RH_CASE(whole_segments_match),
 *	    RH_LOOP(id_is_one_segment, cases))
 *
 * Shape    RH_CASE runs a START_TEST function once, RH_LOOP once for each
 *          row of an array, with the row's index in _i
 * Units    a test may take RH_CHECK_TIMEOUT_S seconds before it is killed as
 *          stuck; CK_TIMEOUT_MULTIPLIER scales it
 * Errors   main answers 1 where a test failed
 * Owner    every test runs in a process of its own (CK_FORK=no: in one), so
 *          none sees what another left; rh_check_arena() is the test's own,
 *          and is destroyed when it ends
 *
 * CK_RUN_CASE=name runs one test alone.
 */
#ifndef RH_CHECK_H
#define RH_CHECK_H

#include <check.h>
#include <stdlib.h>

#include "base/arena.h"

/* Generous: it ends a hang, and passes no judgement on speed. */
#define RH_CHECK_TIMEOUT_S	300

struct rh_check_case {
	const TTest *test;
	const char *name;
	size_t rows;
};

#define RH_CASE(test)		{ (test), #test, 1 }
#define RH_LOOP(test, table)	{ (test), #test, RH_COUNT(table) }

static struct rh_arena *rh_check_arena_of_test;

static inline struct rh_arena *
rh_check_arena(void)
{
	if (!rh_check_arena_of_test)
		rh_check_arena_of_test = rh_arena_new(65536, 64 << 20);
	return rh_check_arena_of_test;
}

static inline void
rh_check_close(void)
{
	rh_arena_destroy(&rh_check_arena_of_test);
}

/* set_up and tear_down, or NULL, go around each test, in its process. */
static inline int
rh_check_run_with(const char *name, const struct rh_check_case *cases, size_t n,
    void (*set_up)(void), void (*tear_down)(void))
{
	Suite *suite = suite_create(name);
	SRunner *runner = srunner_create(suite);
	int failed;

	for (size_t i = 0; i < n; i++) {
		TCase *c = tcase_create(cases[i].name);

		tcase_set_timeout(c, RH_CHECK_TIMEOUT_S);
		tcase_add_checked_fixture(c, NULL, rh_check_close);
		tcase_add_checked_fixture(c, set_up, tear_down);
		tcase_add_loop_test(c, cases[i].test, 0, (int)cases[i].rows);
		suite_add_tcase(suite, c);
	}
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static inline int
rh_check_run(const char *name, const struct rh_check_case *cases, size_t n)
{
	return rh_check_run_with(name, cases, n, NULL, NULL);
}

#define RH_CHECK_MAIN(suite_name, ...)					\
	int								\
	main(void)							\
	{								\
		const struct rh_check_case rh_cases[] =			\
		    { __VA_ARGS__ };					\
									\
		return rh_check_run((suite_name), rh_cases,		\
		    RH_COUNT(rh_cases));				\
	}

/* The two texts are the same bytes. */
#define rh_assert_slice_eq(got, want)					\
	do {								\
		struct rh_slice got_ = (got), want_ = (want);		\
									\
		ck_assert_msg(rh_slice_is(got_, want_),			\
		    "%s is \"%.*s\", not \"%.*s\"", #got,		\
		    RH_SLICE_ARG(got_), RH_SLICE_ARG(want_));		\
	} while (0)

#endif
