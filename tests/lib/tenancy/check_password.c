/* tests/lib/tenancy/check_password.c - hashes, and how many at once. */
#include "config.h"

#include "tenancy/password.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "rh_check.h"

#define PROCESSES	4

static struct rh_hashers
hashers(unsigned n)
{
	void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(at, MAP_FAILED);
	return (struct rh_hashers){ .pids = at, .n = n };
}

/* Where this machine stands still, turns are long in coming. */
static bool
comes_again(const struct rh_err *err)
{
	return err && strcmp(err->code, "password.busy") == 0;
}

static struct rh_slice
hash(const struct rh_hashers *h, const char *password)
{
	struct rh_slice encoded = RH_SLICE_NONE;
	struct rh_err *err;

	do
		err = rh_password_hash(rh_check_arena(), h,
		    rh_slice_of(password), &encoded);
	while (comes_again(err));
	ck_assert_ptr_null(err);
	return encoded;
}

static bool
check(const struct rh_hashers *h, const char *password, struct rh_slice encoded)
{
	bool good = true;
	struct rh_err *err;

	do
		err = rh_password_check(rh_check_arena(), h,
		    rh_slice_of(password), encoded, &good);
	while (comes_again(err));
	ck_assert_ptr_null(err);
	return good;
}

START_TEST(a_password_goes_with_its_hash_alone)
{
	struct rh_hashers h = hashers(1);
	struct rh_slice first = hash(&h, "correct horse"), second;

	ck_assert(check(&h, "correct horse", first));
	ck_assert(!check(&h, "correct horsf", first));
	ck_assert(!check(&h, "correct hors", first));
	ck_assert(!check(&h, "", first));
	second = hash(&h, "correct horse");
	ck_assert(!rh_slice_is(first, second));	/* salted */
	ck_assert_int_eq(h.pids[0], 0);
}
END_TEST

START_TEST(any_bytes_may_be_a_password)
{
	static const char text[] = "Grüße\0behind";
	const struct rh_slice all = { text, sizeof(text) - 1 };
	struct rh_hashers h = hashers(1);
	struct rh_slice encoded;
	bool good;

	ck_assert_ptr_null(rh_password_hash(rh_check_arena(), &h, all, &encoded));
	ck_assert_ptr_null(rh_password_check(rh_check_arena(), &h, all, encoded,
	    &good));
	ck_assert(good);
	ck_assert(!check(&h, "Grüße", encoded));
}
END_TEST

START_TEST(nobody_has_no_password)
{
	struct rh_hashers h = hashers(1);

	ck_assert(!check(&h, "correct horse", RH_SLICE_NONE));
	ck_assert(!check(&h, "", RH_SLICE_NONE));
	ck_assert_int_eq(h.pids[0], 0);
}
END_TEST

static const char *const no_hashes[] = {
	"", "x", "$argon2id$", "$argon2id$v=19$m=19456,t=2,p=1$AAAA$AAAA",
	"$2b$12$abcdefghijklmnopqrstuv",
};

START_TEST(what_is_no_hash_lets_nobody_in)
{
	struct rh_hashers h = hashers(1);

	ck_assert(!check(&h, "correct horse", rh_slice_of(no_hashes[_i])));
	ck_assert(!check(&h, "", rh_slice_of(no_hashes[_i])));
}
END_TEST

static const struct {
	const char *encoded;
	bool dated;
} dates[] = {
	{ "$argon2id$v=19$m=19456,t=2,p=1$CEyc46W2506MJDECwDB6xw$x", false },
	{ "$argon2id$v=19$m=19456,t=3,p=1$CEyc46W2506MJDECwDB6xw$x", true },
	{ "$argon2id$v=19$m=4096,t=2,p=1$CEyc46W2506MJDECwDB6xw$x", true },
	{ "$argon2i$v=19$m=19456,t=2,p=1$CEyc46W2506MJDECwDB6xw$x", true },
	{ "$argon2id$v=16$m=19456,t=2,p=1$CEyc46W2506MJDECwDB6xw$x", true },
	{ "", true },
};

START_TEST(other_parameters_are_dated)
{
	ck_assert_int_eq(rh_password_is_dated(rh_slice_of(dates[_i].encoded)),
	    dates[_i].dated);
}
END_TEST

START_TEST(todays_hash_is_not_dated)
{
	struct rh_hashers h = hashers(1);

	ck_assert(!rh_password_is_dated(hash(&h, "correct horse")));
}
END_TEST

START_TEST(processes_take_turns_at_one_hasher)
{
	struct rh_hashers h = hashers(1);
	int status;

	for (int i = 0; i < PROCESSES; i++)
		if (fork() == 0)
			_exit(!check(&h, "correct horse",
			    hash(&h, "correct horse")));
	for (int i = 0; i < PROCESSES; i++) {
		wait(&status);
		ck_assert_int_eq(status, 0);
	}
	ck_assert_int_eq(h.pids[0], 0);
}
END_TEST

START_TEST(who_finds_none_free_waits)
{
	const struct timespec a_while = { 0, 150000000 };
	struct rh_hashers h = hashers(1);
	_Atomic int32_t *done = &h.pids[1];	/* beyond the one hasher */
	int status;

	h.pids[0] = (int32_t)getpid();
	if (fork() == 0) {
		hash(&h, "correct horse");
		*done = 1;
		_exit(0);
	}
	nanosleep(&a_while, NULL);
	ck_assert_int_eq(*done, 0);
	h.pids[0] = 0;
	wait(&status);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(*done, 1);
}
END_TEST

START_TEST(who_waits_too_long_is_told_to_come_again)
{
	struct rh_hashers h = hashers(1);
	struct rh_slice encoded;
	struct rh_err *err;

	h.pids[0] = (int32_t)getppid();
	err = rh_password_hash(rh_check_arena(), &h, RH_SLICE("correct horse"),
	    &encoded);
	ck_assert_ptr_nonnull(err);
	ck_assert_int_eq(err->kind, RH_E_UNAVAILABLE);
	ck_assert_str_eq(err->code, "password.busy");
	ck_assert_uint_gt(err->retry_after_s, 0);
	ck_assert_int_eq(h.pids[0], getppid());
}
END_TEST

/* Without one a turn is waited for five seconds: each time, not by chance. */
START_TEST(nobody_waits_past_the_requests_deadline)
{
	struct rh_hashers h = hashers(1);
	uint64_t least = UINT64_MAX;
	struct rh_slice encoded;
	struct rh_err *err;

	h.pids[0] = (int32_t)getppid();
	for (int i = 0; i < 5 && least > UINT64_C(4000000000); i++) {
		uint64_t begun = rh_clock_mono_ns();

		h.deadline_ns = begun + 50000000;
		err = rh_password_hash(rh_check_arena(), &h,
		    RH_SLICE("correct horse"), &encoded);
		ck_assert_ptr_nonnull(err);
		ck_assert_str_eq(err->code, "request.timeout");
		ck_assert_int_eq(err->kind, RH_E_TIMEOUT);
		least = RH_MIN(least, rh_clock_mono_ns() - begun);
	}
	ck_assert_uint_lt(least, UINT64_C(4000000000));
}
END_TEST

START_TEST(a_dead_processs_hasher_is_taken_over)
{
	struct rh_hashers h = hashers(2);
	pid_t child = fork();

	if (child == 0)
		_exit(0);
	waitpid(child, NULL, 0);
	h.pids[0] = h.pids[1] = (int32_t)child;
	hash(&h, "correct horse");
	ck_assert_int_eq(h.pids[0], 0);
	ck_assert_int_eq(h.pids[1], child);
}
END_TEST

RH_CHECK_MAIN("tenancy/password",
    RH_CASE(a_password_goes_with_its_hash_alone),
    RH_CASE(any_bytes_may_be_a_password),
    RH_CASE(nobody_has_no_password),
    RH_LOOP(what_is_no_hash_lets_nobody_in, no_hashes),
    RH_LOOP(other_parameters_are_dated, dates),
    RH_CASE(todays_hash_is_not_dated),
    RH_CASE(processes_take_turns_at_one_hasher),
    RH_CASE(who_finds_none_free_waits),
    RH_CASE(who_waits_too_long_is_told_to_come_again),
    RH_CASE(nobody_waits_past_the_requests_deadline),
    RH_CASE(a_dead_processs_hasher_is_taken_over))
