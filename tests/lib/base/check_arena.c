/* tests/lib/base/check_arena.c - memory lives until the reset, and no longer. */
#include "config.h"

#include "base/arena.h"

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rh_check.h"

static const size_t sizes[] = { 0, 1, 15, 16, 17, 255, 4096, 100000 };

START_TEST(every_size_is_aligned_and_writable)
{
	struct rh_arena *a = rh_arena_new(256, 1 << 20);
	char *p = rh_arena_alloc(a, sizes[_i]), *q = rh_arena_alloc(a, sizes[_i]);

	ck_assert_uint_eq((uintptr_t)p % 16, 0);
	ck_assert_uint_eq((uintptr_t)q % 16, 0);
	ck_assert_ptr_ne(p, q);
	memset(p, 'p', sizes[_i]);
	memset(q, 'q', sizes[_i]);
	for (size_t i = 0; i < sizes[_i]; i++)
		ck_assert_int_eq(p[i], 'p');
	ck_assert_uint_ge(rh_arena_used(a), 2 * sizes[_i]);
	rh_arena_destroy(&a);
	ck_assert_ptr_null(a);
}
END_TEST

START_TEST(a_reset_forgets_and_memory_is_used_again)
{
	struct rh_arena *a = rh_arena_new(64, 4096);

	for (int round = 0; round < 1000; round++) {
		for (int i = 0; i < 30; i++)
			memset(rh_arena_alloc(a, 100), round, 100);
		rh_arena_reset(a);
		ck_assert_uint_eq(rh_arena_used(a), 0);
	}
	rh_arena_destroy(&a);
}
END_TEST

START_TEST(zalloc_is_zero_also_in_used_memory)
{
	struct rh_arena *a = rh_arena_new(1024, 4096);
	unsigned char *p;

	memset(rh_arena_alloc(a, 512), 0xff, 512);
	rh_arena_reset(a);
	p = rh_arena_zalloc(a, 32, 16);
	for (int i = 0; i < 512; i++)
		ck_assert_int_eq(p[i], 0);
	rh_arena_destroy(&a);
}
END_TEST

static const struct { size_t from, to; bool last; } growths[] = {
	{ 0, 10, true }, { 10, 12, true }, { 10, 100, true }, { 10, 100, false },
	{ 100, 5000, true }, { 100, 5000, false }, { 100, 50, true },
};

START_TEST(growing_keeps_what_was_there)
{
	struct rh_arena *a = rh_arena_new(1024, 1 << 20);
	char *p = rh_arena_alloc(a, growths[_i].from), *other = NULL;

	memset(p, 'x', growths[_i].from);
	if (!growths[_i].last)
		other = memset(rh_arena_alloc(a, 16), 'o', 16);
	p = rh_arena_grow(a, p, growths[_i].from, growths[_i].to);
	for (size_t i = 0; i < RH_MIN(growths[_i].from, growths[_i].to); i++)
		ck_assert_int_eq(p[i], 'x');
	memset(p, 'y', growths[_i].to);
	for (int i = 0; other && i < 16; i++)
		ck_assert_int_eq(other[i], 'o');
	rh_arena_destroy(&a);
}
END_TEST

START_TEST(growing_nothing_allocates)
{
	char *p = rh_arena_grow(rh_check_arena(), NULL, 0, 20);

	memset(p, 'x', 20);
}
END_TEST

START_TEST(copies_end_in_nul)
{
	struct rh_arena *a = rh_check_arena();
	struct rh_slice s = rh_arena_slice(a, (struct rh_slice){ "abcdef", 3 });

	ck_assert_str_eq(s.p, "abc");
	ck_assert_str_eq(rh_arena_strdup(a, RH_SLICE_NONE), "");
	ck_assert_ptr_null(rh_arena_slice(a, RH_SLICE_NONE).p);
	ck_assert_ptr_nonnull(rh_arena_slice(a, RH_SLICE("")).p);
	ck_assert_str_eq(rh_arena_printf(a, "%d-%s", 7, "x"), "7-x");
}
END_TEST

static char order[8];
static struct rh_arena *deferring;

static void
note(void *what)
{
	strcat(order, what);
}

static void
note_and_defer(void *what)
{
	strcat(order, what);
	rh_arena_defer(deferring, note, rh_arena_strdup(deferring,
	    RH_SLICE("!")));
}

START_TEST(defers_run_newest_first_and_once)
{
	static char a[] = "a", b[] = "b", c[] = "c";

	deferring = rh_arena_new(64, 4096);
	rh_arena_defer(deferring, note, a);
	rh_arena_defer(deferring, note_and_defer, b);
	rh_arena_defer(deferring, note, c);
	rh_arena_reset(deferring);
	ck_assert_str_eq(order, "cb!a");
	rh_arena_defer(deferring, note, c);
	rh_arena_destroy(&deferring);
	ck_assert_str_eq(order, "cb!ac");
}
END_TEST

START_TEST(destroying_nothing_is_fine)
{
	struct rh_arena *none = NULL;

	rh_arena_destroy(&none);
}
END_TEST

static void
over_cap(void)
{
	struct rh_arena *a = rh_arena_new(64, 4096);

	rh_arena_alloc(a, 4097);
}

static void
over_cap_in_parts(void)
{
	struct rh_arena *a = rh_arena_new(64, 4096);

	for (int i = 0; i < 5; i++)
		rh_arena_alloc(a, 1024);
}

static void
overflow(void)
{
	rh_arena_zalloc(rh_arena_new(64, SIZE_MAX), SIZE_MAX / 2, 3);
}

static void
near_the_end(void)
{
	rh_arena_alloc(rh_arena_new(64, SIZE_MAX), SIZE_MAX - 3);
}

static void (*const bugs[])(void) = {
	over_cap, over_cap_in_parts, overflow, near_the_end,
};

START_TEST(crossing_the_cap_asserts)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (!freopen("/dev/null", "w", stderr))
			_exit(2);
		signal(SIGABRT, SIG_DFL);
		bugs[_i]();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), SIGABRT);
}
END_TEST

RH_CHECK_MAIN("base/arena",
    RH_LOOP(every_size_is_aligned_and_writable, sizes),
    RH_CASE(a_reset_forgets_and_memory_is_used_again),
    RH_CASE(zalloc_is_zero_also_in_used_memory),
    RH_LOOP(growing_keeps_what_was_there, growths),
    RH_CASE(growing_nothing_allocates),
    RH_CASE(copies_end_in_nul),
    RH_CASE(defers_run_newest_first_and_once),
    RH_CASE(destroying_nothing_is_fine),
    RH_LOOP(crossing_the_cap_asserts, bugs))
