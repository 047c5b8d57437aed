/* tests/lib/serve/check_will.c - what was left is read back, or refused. */
#include "config.h"

#include "serve/will.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "rh_check.h"

static char reason[256];

static struct rh_will *
left(int fd)
{
	struct rh_will *will = NULL;
	struct rh_buf why;
	char number[16];
	bool read;

	snprintf(number, sizeof(number), "%d", fd);
	setenv(RH_WILL_ENV, number, 1);
	rh_buf_init_fixed(&why, reason, sizeof(reason) - 1);
	read = rh_will_read(&will, rh_check_arena(), &why);
	reason[why.n] = '\0';
	ck_assert(read == (will != NULL));
	ck_assert_ptr_null(getenv(RH_WILL_ENV));
	return will;
}

static bool
is_kept(int fd)
{
	return !(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

static const bool with_path[] = { false, true };

START_TEST(it_is_read_back)
{
	struct rh_will *w = rh_will_new(rh_check_arena(), 3, 100), *got;
	char path[] = "/run/with space/fcgi.sock";

	w->listen = open("/dev/null", O_RDONLY | O_CLOEXEC);
	w->path = with_path[_i] ? path : NULL;
	w->dev = 26;
	w->ino = 1234567890123;
	w->segment = open("/dev/null", O_RDONLY | O_CLOEXEC);
	w->writer = 4711;
	w->ship = 4712;
	w->workers[1] = (struct rh_will_worker){ 4712, open("/dev/null",
	    O_RDONLY | O_CLOEXEC), 123456789012, true };
	w->seats[99] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	rh_will_keep(w, true);
	ck_assert(is_kept(w->listen) && is_kept(w->segment) &&
	    is_kept(w->workers[1].channel) && is_kept(w->seats[99]));
	got = left(rh_will_write(w, rh_check_arena()));
	ck_assert_msg(got != NULL, "%s", reason);
	ck_assert(!is_kept(w->listen) && !is_kept(w->segment) &&
	    !is_kept(w->workers[1].channel) && !is_kept(w->seats[99]));
	ck_assert_int_eq(got->listen, w->listen);
	ck_assert_pstr_eq(got->path, w->path);
	ck_assert_uint_eq(got->dev, w->dev);
	ck_assert_uint_eq(got->ino, w->ino);
	ck_assert_int_eq(got->segment, w->segment);
	ck_assert_int_eq(got->writer, 4711);
	ck_assert_int_eq(got->ship, 4712);
	ck_assert_uint_eq(got->nworkers, 3);
	ck_assert_int_eq(got->workers[0].pid, 0);
	ck_assert_int_eq(got->workers[1].pid, 4712);
	ck_assert_int_eq(got->workers[1].channel, w->workers[1].channel);
	ck_assert_uint_eq(got->workers[1].started_ms, 123456789012);
	ck_assert(got->workers[1].owes);
	ck_assert_uint_eq(got->nseats, 100);
	ck_assert_int_eq(got->seats[0], -1);
	ck_assert_int_eq(got->seats[99], w->seats[99]);
}
END_TEST

/* Behind "will VERSION". */
static const struct { unsigned version; const char *rest; } bad[] = {
	{ 1, " 1 1\nend\n" },
	{ RH_WILL_VERSION, " 1\nend\n" },
	{ RH_WILL_VERSION, " 1 1\n" },
	{ RH_WILL_VERSION, " 1 1\nworker 1 4 4 4 0\nend\n" },
	{ RH_WILL_VERSION, " 1 1\nseat 1 4\nend\n" },
	{ RH_WILL_VERSION, " 1 1\nlisten 4\nend\n" },
	{ RH_WILL_VERSION, " 1 1\nanything\nend\n" },
};

START_TEST(what_cannot_be_is_refused)
{
	char text[128];
	int fd = memfd_create("will", 0);
	int n = snprintf(text, sizeof(text), "will %u%s", bad[_i].version,
	    bad[_i].rest);

	ck_assert_int_eq(pwrite(fd, text, (size_t)n, 0), n);
	ck_assert_ptr_null(left(fd));
	ck_assert_str_ne(reason, "");
}
END_TEST

START_TEST(nothing_left_is_a_start)
{
	struct rh_will *will = rh_will_new(rh_check_arena(), 1, 1);
	struct rh_buf why;

	unsetenv(RH_WILL_ENV);
	rh_buf_init_fixed(&why, reason, sizeof(reason));
	ck_assert(rh_will_read(&will, rh_check_arena(), &why));
	ck_assert_ptr_null(will);
	ck_assert_uint_eq(rh_will_trial(), 0);
}
END_TEST

RH_CHECK_MAIN("serve/will",
    RH_LOOP(it_is_read_back, with_path),
    RH_LOOP(what_cannot_be_is_refused, bad),
    RH_CASE(nothing_left_is_a_start))
