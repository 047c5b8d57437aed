/* tests/lib/obs/check_symbol.c - code has a name, and no file's lies lead astray. */
#include "config.h"

#include "obs/symbol.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rh_check.h"

static volatile int touched;

static __attribute__((noinline)) void
nobody_exports_this(void)
{
	touched++;
}

static struct rh_slice
put(const uint64_t *frames, unsigned n, size_t room)
{
	struct rh_buf b;

	rh_buf_init_fixed(&b, rh_arena_alloc(rh_check_arena(), room), room);
	rh_symbols_put(&b, frames, n, 0, true);
	ck_assert(!b.full);
	return rh_buf_get(&b);
}

static bool
holds(struct rh_slice text, const char *what)
{
	return memmem(text.p, text.n, what, strlen(what)) != NULL;
}

START_TEST(a_static_function_has_its_name)
{
	uint64_t frame = (uintptr_t)nobody_exports_this;
	struct rh_slice got = put(&frame, 1, 200);

	nobody_exports_this();
	ck_assert(rh_slice_has_prefix(got, RH_SLICE("nobody_exports_this+0x0 (")));
	ck_assert(holds(got, "check_symbol+0x"));
}
END_TEST

/* A call may be the last thing in a function: its return address is the next one's. */
START_TEST(a_return_address_belongs_to_the_call_before_it)
{
	uint64_t frames[] = { (uintptr_t)nobody_exports_this + 1,
		(uintptr_t)nobody_exports_this + 1 };
	struct rh_slice got = put(frames, 2, 200), first = rh_slice_cut(&got, '\n');

	ck_assert(rh_slice_has_prefix(first, RH_SLICE("nobody_exports_this+0x1 (")));
	ck_assert(rh_slice_has_prefix(got, RH_SLICE("nobody_exports_this+0x1 (")));
	frames[1]--;
	got = put(frames, 2, 200);
	rh_slice_cut(&got, '\n');
	ck_assert(!rh_slice_has_prefix(got, RH_SLICE("nobody_exports_this")));
}
END_TEST

START_TEST(a_library_s_function_has_its_name)
{
	uint64_t frame = (uintptr_t)strtol;

	ck_assert(holds(put(&frame, 1, 200), "strtol"));
}
END_TEST

START_TEST(an_address_of_nobody_s_is_printed_as_it_is)
{
	uint64_t frames[] = { 0, 0x1234 };

	rh_assert_slice_eq(put(frames, 2, 200), RH_SLICE("0x0\n0x1234"));
}
END_TEST

START_TEST(frames_are_whole_or_left_out)
{
	uint64_t frames[] = { 0x11, 0x22, 0x3333 };

	rh_assert_slice_eq(put(frames, 3, 12), RH_SLICE("0x11\n0x22"));
	rh_assert_slice_eq(put(frames, 3, 4), RH_SLICE("0x11"));
	rh_assert_slice_eq(put(frames, 3, 3), RH_SLICE(""));
}
END_TEST

/* ---- files that are no such thing ---- */

static char *
own_bytes(size_t *n)
{
	int fd = open("/proc/self/exe", O_RDONLY);
	struct stat st;
	char *bytes;

	ck_assert_int_eq(fstat(fd, &st), 0);
	*n = (size_t)st.st_size;
	bytes = rh_arena_alloc(rh_check_arena(), *n);
	ck_assert_int_eq(read(fd, bytes, *n), (ssize_t)*n);
	close(fd);
	return bytes;
}

static char *
written(const char *bytes, size_t n)
{
	char *path = rh_arena_printf(rh_check_arena(), "/tmp/rh-elf-XXXXXX");
	int fd = mkstemp(path);

	ck_assert_int_eq(write(fd, bytes, n), (ssize_t)n);
	close(fd);
	return path;
}

/* Whatever it finds, it comes back. */
static void
look(const char *bytes, size_t n)
{
	char *path = written(bytes, n);
	struct rh_slice name;
	struct rh_elf elf;
	uint64_t offset;

	if (rh_elf_open(&elf, path)) {
		if (rh_elf_find(&elf, 0x1000, &name, &offset))
			ck_assert_uint_gt(name.n, 0);
		rh_elf_close(&elf);
	}
	unlink(path);
}

START_TEST(a_cut_file_is_read_as_far_as_it_goes)
{
	size_t n, step;
	char *bytes = own_bytes(&n);

	step = n / 37 + 1;
	for (size_t cut = 0; cut < n; cut += step)
		look(bytes, cut);
	look(bytes, 63);
	look(bytes, n - 1);
}
END_TEST

START_TEST(a_lying_head_leads_nowhere)
{
	size_t n;
	char *bytes = own_bytes(&n), *sections;
	uint64_t at;

	memcpy(&at, bytes + 40, sizeof(at));	/* e_shoff */
	for (unsigned i = 16; i < 64; i++) {
		char saved = bytes[i];

		bytes[i] = (char)0xff;
		look(bytes, n);
		bytes[i] = saved;
	}
	sections = bytes + at;
	for (size_t i = 0; at + i + 8 <= n; i += 8) {
		uint64_t saved, lie = UINT64_MAX - 7;

		memcpy(&saved, sections + i, sizeof(saved));
		memcpy(sections + i, &lie, sizeof(lie));
		look(bytes, n);
		memcpy(sections + i, &saved, sizeof(saved));
	}
}
END_TEST

START_TEST(no_file_is_no_elf)
{
	struct rh_elf elf;

	ck_assert(!rh_elf_open(&elf, "/nonexistent"));
	ck_assert(!rh_elf_open(&elf, "/dev/null"));
	ck_assert(!rh_elf_open(&elf, "/tmp"));
}
END_TEST

RH_CHECK_MAIN("obs/symbol",
    RH_CASE(a_static_function_has_its_name),
    RH_CASE(a_return_address_belongs_to_the_call_before_it),
    RH_CASE(a_library_s_function_has_its_name),
    RH_CASE(an_address_of_nobody_s_is_printed_as_it_is),
    RH_CASE(frames_are_whole_or_left_out),
    RH_CASE(a_cut_file_is_read_as_far_as_it_goes),
    RH_CASE(a_lying_head_leads_nowhere),
    RH_CASE(no_file_is_no_elf))
