/* tests/lib/tenancy/check_directory.c - slugs and tenants, for all workers. */
#include "config.h"

#include "tenancy/directory.h"

#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/crypto.h"
#include "rh_check.h"

#define TENANTS		256
#define PROCESSES	8
#define ROUNDS		20
#define PLACES_AT	64	/* of the table: a word for each */
#define WRITING		0x7fffff	/* of a place whose writer is at it */

static void *
table(unsigned tenants)
{
	void *at = mmap(NULL, rh_directory_bytes(tenants), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(at, MAP_FAILED);
	return at;
}

static struct rh_slice
slug(char to[RH_SLUG_MAX + 1], unsigned i)
{
	return (struct rh_slice){ to, (size_t)snprintf(to, RH_SLUG_MAX + 1,
	    "tenant-%u%s", i, i % 3 ? "" : "-with-a-name-that-is-long") };
}

static struct rh_tenant
tenant(unsigned i)
{
	struct rh_tenant t = { .label = i + 1 };

	memset(t.id.b, (int)(i % 251) + 1, sizeof(t.id.b));
	return t;
}

static void
put(struct rh_directory *d, unsigned tenants, unsigned i)
{
	char text[RH_SLUG_MAX + 1];
	struct rh_tenant t = tenant(i);

	rh_directory_put(d, tenants, slug(text, i), &t);
}

/* 0: not known; 1: known, and as it was put; -1: as something else. */
static int
find(struct rh_directory *d, unsigned tenants, unsigned i)
{
	char text[RH_SLUG_MAX + 1];
	struct rh_tenant got, want = tenant(i);

	if (!rh_directory_find(d, tenants, slug(text, i), &got))
		return 0;
	return rh_uuid_is(got.id, want.id) && got.label == want.label ? 1 : -1;
}

START_TEST(limits_change_and_nothing_else_does)
{
	struct rh_directory *d = table(TENANTS);
	const struct rh_limits plan = { 1, 2, 3, 4, 5000 }, none = { 0 };
	char text[RH_SLUG_MAX + 1];
	struct rh_tenant got;

	put(d, TENANTS, 1);
	put(d, TENANTS, 2);
	rh_directory_limit(d, TENANTS, slug(text, 1), &plan);
	rh_directory_limit(d, TENANTS, slug(text, 3), &plan);	/* not known */
	ck_assert_int_eq(find(d, TENANTS, 3), 0);
	ck_assert_int_eq(find(d, TENANTS, 1), 1);
	ck_assert(rh_directory_find(d, TENANTS, slug(text, 1), &got));
	ck_assert_mem_eq(&got.limits, &plan, sizeof(plan));
	ck_assert(rh_directory_find(d, TENANTS, slug(text, 2), &got));
	ck_assert_mem_eq(&got.limits, &none, sizeof(none));
	/* and back to what is configured */
	rh_directory_limit(d, TENANTS, slug(text, 1), &none);
	ck_assert(rh_directory_find(d, TENANTS, slug(text, 1), &got));
	ck_assert_mem_eq(&got.limits, &none, sizeof(none));
}
END_TEST

START_TEST(what_was_put_is_found)
{
	struct rh_directory *d = table(TENANTS);

	for (unsigned i = 0; i < TENANTS; i++) {
		ck_assert_int_eq(find(d, TENANTS, i), 0);
		put(d, TENANTS, i);
		ck_assert_int_eq(find(d, TENANTS, i), 1);
	}
	for (unsigned i = 0; i < TENANTS; i++)
		ck_assert_int_eq(find(d, TENANTS, i), 1);
	ck_assert_int_eq(find(d, TENANTS, TENANTS + 1), 0);
}
END_TEST

static const char *const strangers[] = {
	"", "t", "tenant", "tenant-", "tenant-1x", "Tenant-1",
	"tenant-1tenant-1tenant-1tenant-1tenant-1tenant-1tenant-1tenant-1",
};

/* Of a segment, which is sparse, what is touched is memory. */
START_TEST(few_tenants_of_a_large_table_are_few_pages)
{
	const unsigned most = 16384, some = 1000;
	const size_t bytes = rh_directory_bytes(most);
	int fd = memfd_create("tenants", MFD_CLOEXEC);
	struct rh_directory *d;
	struct stat st;

	ck_assert_int_eq(ftruncate(fd, (off_t)bytes), 0);
	d = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(d, MAP_FAILED);
	for (unsigned i = 0; i < some; i++) {
		ck_assert_int_eq(find(d, most, i), 0);
		put(d, most, i);
		ck_assert_int_eq(find(d, most, i), 1);
	}
	ck_assert_int_eq(fstat(fd, &st), 0);
	/* places: 33 pages; a thousand entries of a hundred bytes: 26 */
	ck_assert_int_lt(st.st_blocks / 8, 70);
	close(fd);
}
END_TEST

START_TEST(another_text_is_not_found)
{
	struct rh_directory *d = table(TENANTS);
	struct rh_tenant got;

	put(d, TENANTS, 1);
	ck_assert(!rh_directory_find(d, TENANTS, rh_slice_of(strangers[_i]),
	    &got));
}
END_TEST

static void
crowd_run(struct rh_directory *d, unsigned self)
{
	for (int round = 0; round < ROUNDS; round++)
		for (unsigned n = 0; n < TENANTS; n++) {
			unsigned i = (n * 7 + self * 31) % TENANTS;

			if (find(d, TENANTS, i) < 0)
				_exit(1);
			put(d, TENANTS, i);
			if (find(d, TENANTS, i) < 0)
				_exit(2);
		}
	_exit(0);
}

START_TEST(eight_processes_agree)
{
	struct rh_directory *d = table(TENANTS);
	int status;

	for (unsigned p = 0; p < PROCESSES; p++)
		if (fork() == 0)
			crowd_run(d, p);
	for (unsigned p = 0; p < PROCESSES; p++) {
		wait(&status);
		ck_assert_int_eq(status, 0);
	}
	for (unsigned i = 0; i < TENANTS; i++)
		ck_assert_int_eq(find(d, TENANTS, i), 1);
}
END_TEST

START_TEST(a_full_table_remembers_no_more_and_forgets_nothing)
{
	struct rh_directory *d = table(1);
	unsigned known[200], n = 0;

	for (unsigned i = 0; i < RH_COUNT(known); i++) {
		put(d, 1, i);
		known[i] = (unsigned)find(d, 1, i);
		n += known[i];
	}
	ck_assert_uint_ge(n, 1);
	ck_assert_uint_lt(n, RH_COUNT(known));
	for (unsigned i = 0; i < RH_COUNT(known); i++) {
		put(d, 1, i);
		ck_assert_int_eq(find(d, 1, i), known[i]);
	}
}
END_TEST

START_TEST(a_writer_that_died_loses_one_cell)
{
	char *d = table(TENANTS), text[RH_SLUG_MAX + 1];
	struct rh_slice s = slug(text, 5);
	uint32_t place = WRITING;

	memcpy(d + PLACES_AT + rh_hash64(s.p, s.n) % (TENANTS * 2) *
	    sizeof(place), &place, sizeof(place));
	ck_assert_int_eq(find((struct rh_directory *)d, TENANTS, 5), 0);
	put((struct rh_directory *)d, TENANTS, 5);
	ck_assert_int_eq(find((struct rh_directory *)d, TENANTS, 5), 1);
}
END_TEST

START_TEST(writers_that_are_killed_leave_nothing_wrong)
{
	struct rh_directory *d = table(TENANTS);
	const struct timespec soon = { 0, 300000 };

	for (unsigned p = 0; p < 24; p++) {
		pid_t child = fork();

		if (child == 0)
			for (unsigned i = p * 8;; i++)
				put(d, TENANTS, i % TENANTS);
		nanosleep(&soon, NULL);
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	for (unsigned i = 0; i < TENANTS; i++)
		put(d, TENANTS, i);
	for (unsigned i = 0; i < TENANTS; i++)
		ck_assert_int_eq(find(d, TENANTS, i), 1);
}
END_TEST

static const struct {
	const char *slug;
	bool good;
} slugs[] = {
	{ "abc", true }, { "a-b", true }, { "a1b", true }, { "ab1", true },
	{ "a--b", true }, { "acme-corp-2026", true },
	{ "a123456789-123456789-123456789-123456789", true },	/* 40 */
	{ "a123456789-123456789-123456789-1234567890", false },
	{ "", false }, { "a", false }, { "ab", false },
	{ "1ab", false }, { "-ab", false }, { "ab-", false }, { "a_b", false },
	{ "Abc", false }, { "aBc", false }, { "a.b", false }, { "a b", false },
	{ "a/b", false }, { "ab\n", false }, { "\xc3\xa4" "bc", false },
	{ "ab\xc3\xa4", false }, { "a%2fb", false },
};

/* The same as the constraint tenants_slug_form. */
START_TEST(a_slug_is_what_the_database_takes)
{
	ck_assert_int_eq(rh_slug_is(rh_slice_of(slugs[_i].slug)), slugs[_i].good);
}
END_TEST

START_TEST(a_tenant_moves)
{
	struct rh_directory *d = table(TENANTS);
	struct rh_slice text = RH_SLICE("mover"), other = RH_SLICE("stayer");
	uint64_t big = rh_placement_hash(RH_SLICE("big"));
	struct rh_tenant t = tenant(1);

	ck_assert_uint_eq(rh_placement_hash(RH_SLICE_NONE), 0);
	ck_assert_uint_ne(big, 0);
	ck_assert_uint_ne(big, rh_placement_hash(RH_SLICE("bigger")));
	rh_directory_place(d, TENANTS, text, big);	/* nobody of that name */
	rh_directory_put(d, TENANTS, text, &t);
	t.placement = big;
	rh_directory_put(d, TENANTS, other, &t);
	ck_assert(rh_directory_find(d, TENANTS, text, &t));
	ck_assert_uint_eq(t.placement, 0);
	rh_directory_place(d, TENANTS, text, big);
	rh_directory_place(d, TENANTS, other, 0);
	ck_assert(rh_directory_find(d, TENANTS, text, &t));
	ck_assert_uint_eq(t.placement, big);
	ck_assert(rh_directory_find(d, TENANTS, other, &t));
	ck_assert_uint_eq(t.placement, 0);
}
END_TEST

START_TEST(a_slug_has_no_nul)
{
	ck_assert(!rh_slug_is(RH_SLICE("ab\0c")));
	ck_assert(!rh_slug_is(RH_SLICE_NONE));
}
END_TEST

RH_CHECK_MAIN("tenancy/directory",
    RH_CASE(limits_change_and_nothing_else_does),
    RH_CASE(what_was_put_is_found),
    RH_CASE(few_tenants_of_a_large_table_are_few_pages),
    RH_LOOP(another_text_is_not_found, strangers),
    RH_CASE(eight_processes_agree),
    RH_CASE(a_full_table_remembers_no_more_and_forgets_nothing),
    RH_CASE(a_writer_that_died_loses_one_cell),
    RH_CASE(writers_that_are_killed_leave_nothing_wrong),
    RH_LOOP(a_slug_is_what_the_database_takes, slugs),
    RH_CASE(a_tenant_moves),
    RH_CASE(a_slug_has_no_nul))
