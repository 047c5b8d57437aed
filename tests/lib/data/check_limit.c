/* tests/lib/data/check_limit.c - so many requests and not one more. */
#include "config.h"

#include "data/limit.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "rh_check.h"

#define KEYS		64
#define PROBES		16	/* cells that a key may stand in */
#define SAME		448	/* keys so far apart stand in the same ones: 8 * 56 */
#define PROCESSES	16
#define S		UINT64_C(1000000000)
#define MS		UINT64_C(1000000)
#define T0		(1000 * S)

static struct rh_limit_table *
table(void)
{
	void *at = mmap(NULL, rh_limit_bytes(KEYS), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(at, MAP_FAILED);
	return at;
}

static struct rh_verdict
take(struct rh_limit_table *t, uint64_t key, struct rh_quota q, uint64_t now)
{
	return rh_limit_take(t, KEYS, key, q, now);
}

static int
granted_of(struct rh_limit_table *t, uint64_t key, struct rh_quota q,
    uint64_t now, int tries)
{
	int granted = 0;

	for (int i = 0; i < tries; i++)
		granted += take(t, key, q, now).granted;
	return granted;
}

/* One key, four requests to ten seconds: a step is 2.5 s. */
static const struct row {
	uint64_t at_ms;
	bool granted;
	int64_t remaining, reset_ms, retry_ms;
} rows[] = {
	{ 0,     true,  3, 2500,  0 },
	{ 0,     true,  2, 5000,  0 },
	{ 1000,  true,  1, 6500,  0 },
	{ 1000,  true,  0, 9000,  0 },
	{ 1000,  false, 0, 9000,  1500 },
	{ 2499,  false, 0, 7501,  1 },
	{ 2500,  true,  0, 10000, 0 },
	{ 2500,  false, 0, 10000, 2500 },
	{ 12499, true,  2, 2501,  0 },	/* all but a millisecond is back */
	{ 60000, true,  3, 2500,  0 },
};

START_TEST(verdicts_say_what_is_left_and_when)
{
	const struct rh_quota q = { 4, 10000 };
	struct rh_limit_table *t = table();

	for (size_t i = 0; i < RH_COUNT(rows); i++) {
		const struct row *r = &rows[i];
		struct rh_verdict v = take(t, 7, q, T0 + r->at_ms * MS);

		ck_assert_msg(v.granted == r->granted &&
		    v.remaining == r->remaining && v.reset_ms == r->reset_ms &&
		    v.retry_ms == r->retry_ms,
		    "row %zu: %d %lld %lld %lld", i, v.granted,
		    (long long)v.remaining, (long long)v.reset_ms,
		    (long long)v.retry_ms);
	}
}
END_TEST

static const struct rh_quota quotas[] = {
	{ 1, 1000 }, { 1, 1 }, { 7, 60000 }, { 600, 60000 }, { 1000, 3 },
	{ 3333, 7 },	/* the window is no multiple of the step */
	{ 2000, 1 },	/* 500 ns: two thousand of them, not one more */
	{ 1500000, 1 },	/* more than the window has nanoseconds */
};

START_TEST(a_quota_is_met_exactly)
{
	const struct rh_quota q = quotas[_i];
	struct rh_limit_table *t = table();

	ck_assert_int_eq(granted_of(t, 9, q, T0, (int)q.quota + 50), q.quota);
	ck_assert(!take(t, 9, q, T0).granted);
	/* after its window all of it is there again */
	ck_assert_int_eq(granted_of(t, 9, q, T0 + 2 * (uint64_t)q.window_ms * MS,
	    (int)q.quota + 50), q.quota);
}
END_TEST

START_TEST(a_retry_at_the_time_named_is_granted)
{
	const struct rh_quota q = { 7, 1000 };
	struct rh_limit_table *t = table();
	uint64_t now = T0;

	granted_of(t, 9, q, now, 7);
	for (int i = 0; i < 20; i++) {
		struct rh_verdict v = take(t, 9, q, now);

		ck_assert(!v.granted && v.retry_ms > 0);
		now += (uint64_t)v.retry_ms * MS;
		ck_assert(take(t, 9, q, now).granted);
	}
}
END_TEST

/* Many processes at one instant: they share the quota and never pass it. */
static int
crowd(struct rh_limit_table *t, uint64_t key, struct rh_quota q)
{
	_Atomic int *granted = mmap(NULL, sizeof(*granted),
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	for (int i = 0; i < PROCESSES; i++)
		if (fork() == 0) {
			*granted += granted_of(t, key, q, T0, (int)q.quota);
			_exit(0);
		}
	for (int i = 0; i < PROCESSES; i++)
		wait(NULL);
	return *granted;
}

START_TEST(sixteen_processes_share_one_quota)
{
	struct rh_limit_table *t = table();

	for (uint64_t key = 1; key <= 20; key++)
		ck_assert_int_eq(crowd(t, key * 1000003,
		    (struct rh_quota){ 5000, 60000 }), 5000);
}
END_TEST

START_TEST(what_is_given_back_can_be_taken_again)
{
	const struct rh_quota q = { 3, 60000 };
	struct rh_limit_table *t = table();

	ck_assert_int_eq(granted_of(t, 5, q, T0, 10), 3);
	rh_limit_give(t, KEYS, 5, q);
	ck_assert_int_eq(granted_of(t, 5, q, T0, 10), 1);
	rh_limit_give(t, KEYS, 6, q);	/* not known: nothing happens */
	ck_assert_int_eq(granted_of(t, 6, q, T0, 10), 3);
}
END_TEST

START_TEST(a_look_takes_nothing_and_says_what_a_request_would_find)
{
	const struct rh_quota q = { 2, 60000 };
	struct rh_limit_table *t = table();

	for (int i = 0; i < 5; i++)
		ck_assert(rh_limit_look(t, KEYS, 5, q, T0).granted);
	ck_assert_int_eq(rh_limit_look(t, KEYS, 5, q, T0).remaining, 2);
	ck_assert_int_eq(granted_of(t, 5, q, T0, 10), 2);
	ck_assert(!rh_limit_look(t, KEYS, 5, q, T0).granted);
	ck_assert(rh_limit_look(t, KEYS, 5, q, T0 + 30 * S).granted);
}
END_TEST

/* Who was held up between the clock and the counter draws nothing back. */
START_TEST(a_late_comers_clock_grants_nobody_twice)
{
	const struct rh_quota q = { 4, 1000 };
	struct rh_limit_table *t = table();
	uint64_t now = rh_clock_mono_ns();

	ck_assert_int_eq(granted_of(t, 5, q, now, 10), 4);
	for (int i = 0; i < 5; i++)
		ck_assert(!take(t, 5, q, now - 900 * MS).granted);
	ck_assert_int_eq(granted_of(t, 5, q, now, 10), 0);
}
END_TEST

START_TEST(giving_back_what_was_never_counted_locks_nobody_out)
{
	const struct rh_quota q = { 3, 60000 };
	struct rh_limit_table *t = table();

	ck_assert(take(t, 5, q, 10).granted);	/* a clock that began just now */
	for (int i = 0; i < 5; i++)
		rh_limit_give(t, KEYS, 5, q);
	ck_assert_int_eq(granted_of(t, 5, q, 10, 10), 3);
}
END_TEST

START_TEST(keys_do_not_disturb_each_other)
{
	const struct rh_quota q = { 2, 60000 };
	struct rh_limit_table *t = table();

	for (uint64_t key = 0; key < PROBES; key++)	/* 0 is a key too */
		ck_assert_int_eq(granted_of(t, key * SAME, q, T0, 5), 2);
	for (uint64_t key = 0; key < PROBES; key++)
		ck_assert(!take(t, key * SAME, q, T0).granted);
}
END_TEST

/* One key more than cells: it goes uncounted, and lets no other out. */
START_TEST(a_full_neighbourhood_grants_uncounted)
{
	const struct rh_quota q = { 2, 60000 };
	struct rh_limit_table *t = table();

	for (uint64_t i = 1; i <= PROBES; i++)
		granted_of(t, 3 + i * SAME, q, T0, 2);
	ck_assert_int_eq(granted_of(t, 3, q, T0, 50), 50);
	ck_assert_int_eq(take(t, 3, q, T0).remaining, 1);
	for (uint64_t i = 1; i <= PROBES; i++)
		ck_assert(!take(t, 3 + i * SAME, q, T0).granted);
}
END_TEST

/* Of a segment, which is sparse, what is touched is memory. */
START_TEST(few_keys_of_a_large_table_are_few_pages)
{
	const unsigned keys = 65536, some = 2000;
	const struct rh_quota q = { 2, 60000 };
	const size_t bytes = rh_limit_bytes(keys);
	int fd = memfd_create("limits", MFD_CLOEXEC);
	struct rh_limit_table *t;
	struct stat st;

	ck_assert_int_eq(ftruncate(fd, (off_t)bytes), 0);
	t = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(t, MAP_FAILED);
	for (uint64_t i = 1; i <= some; i++) {
		uint64_t key = i * UINT64_C(0x9e3779b97f4a7c15);

		ck_assert_int_eq(rh_limit_look(t, keys, key, q, T0).remaining, 2);
		ck_assert(rh_limit_take(t, keys, key, q, T0).granted);
	}
	ck_assert_int_eq(fstat(fd, &st), 0);
	/* 32 are the first eighth; of so many keys few do not stand there */
	ck_assert_int_lt(st.st_blocks / 8, 48);
	close(fd);
}
END_TEST

START_TEST(an_idle_cell_is_taken_over)
{
	const struct rh_quota q = { 2, 60000 };
	struct rh_limit_table *t = table();

	for (uint64_t i = 1; i <= PROBES; i++)
		granted_of(t, 3 + i * SAME, q, T0 + i * S, 2);
	/* the first of them has its quota back, the others do not */
	ck_assert_int_eq(granted_of(t, 3, q, T0 + 61 * S, 10), 2);
	ck_assert_int_eq(granted_of(t, 3 + 16 * SAME, q, T0 + 61 * S, 10), 1);
}
END_TEST

RH_CHECK_MAIN("data/limit",
    RH_CASE(verdicts_say_what_is_left_and_when),
    RH_LOOP(a_quota_is_met_exactly, quotas),
    RH_CASE(a_retry_at_the_time_named_is_granted),
    RH_CASE(sixteen_processes_share_one_quota),
    RH_CASE(what_is_given_back_can_be_taken_again),
    RH_CASE(a_look_takes_nothing_and_says_what_a_request_would_find),
    RH_CASE(a_late_comers_clock_grants_nobody_twice),
    RH_CASE(giving_back_what_was_never_counted_locks_nobody_out),
    RH_CASE(keys_do_not_disturb_each_other),
    RH_CASE(a_full_neighbourhood_grants_uncounted),
    RH_CASE(few_keys_of_a_large_table_are_few_pages),
    RH_CASE(an_idle_cell_is_taken_over))
