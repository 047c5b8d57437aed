/* tests/lib/obs/check_moment.c - where a process stood can be read by anybody. */
#include "config.h"

#include "obs/moment.h"

#include <string.h>
#include <unistd.h>

#include "rh_check.h"

static struct rh_moment *
none(void)
{
	return rh_arena_zalloc(rh_check_arena(), 1, sizeof(struct rh_moment));
}

START_TEST(there_is_none_at_first_and_once_it_is_cleared)
{
	struct rh_moment *m = none(), copy;

	ck_assert(!rh_moment_read(m, getpid(), false, &copy));
	rh_moment_begin(m, RH_MOMENT_SLOW, NULL, NULL);
	ck_assert(rh_moment_read(m, getpid(), false, &copy));
	rh_moment_clear(m);
	ck_assert(!rh_moment_read(m, getpid(), false, &copy));
}
END_TEST

START_TEST(nobody_may_listen)
{
	rh_moment_begin(NULL, RH_MOMENT_SLOW, NULL, NULL);
	rh_moment_walk(NULL, NULL);
	rh_moment_text(NULL, RH_SLICE("x"));
	rh_moment_answered(NULL);
}
END_TEST

static struct rh_moment *asked;

static void
on_question(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	rh_moment_begin(asked, RH_MOMENT_SLOW, info, context);
	rh_moment_walk(asked, context);
}

static __attribute__((noinline)) void
is_busy(void)
{
	raise(SIGUSR1);
	asked->answered = 0;
}

/* The process goes on: frames of a crash are check_crash.c's. */
START_TEST(a_process_can_be_asked)
{
	struct sigaction action = { .sa_sigaction = on_question,
		.sa_flags = SA_SIGINFO };
	struct rh_moment copy;
	bool found = false;

	asked = none();
	rh_moment_prepare();
	ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
	is_busy();
	ck_assert(rh_moment_read(asked, getpid(), false, &copy));
	ck_assert_uint_eq(copy.why, RH_MOMENT_SLOW);
	ck_assert_int_eq(copy.signal, SIGUSR1);
	ck_assert_uint_eq(copy.address, 0);
	for (unsigned i = 0; i < copy.nframes; i++)
		found |= copy.frames[i] - (uintptr_t)is_busy < 256;
	ck_assert(found);
}
END_TEST

START_TEST(a_text_without_room_is_cut)
{
	struct rh_moment *m = none(), copy;
	static char text[500];

	memset(text, 't', sizeof(text));
	rh_moment_begin(m, RH_MOMENT_CRASH, NULL, NULL);
	rh_moment_text(m, (struct rh_slice){ text, sizeof(text) });
	ck_assert(rh_moment_read(m, getpid(), false, &copy));
	ck_assert_uint_eq(copy.text_n, sizeof(copy.text));
}
END_TEST

/* A worker that dies writing leaves turn odd for ever: only its master reads on. */
START_TEST(a_dead_writer_is_read_by_its_master_alone)
{
	struct rh_moment *m = none(), copy;

	rh_moment_begin(m, RH_MOMENT_CRASH, NULL, NULL);
	atomic_fetch_add(&m->turn, 1);
	ck_assert(!rh_moment_read(m, getpid(), false, &copy));
	ck_assert(rh_moment_read(m, getpid(), true, &copy));
}
END_TEST

START_TEST(rubbish_has_no_count_beyond_its_room)
{
	struct rh_moment *m = none(), copy;

	memset(m, 0xee, sizeof(*m));
	m->pid = getpid();
	ck_assert(!rh_moment_read(m, getpid(), true, &copy));
	m->why = RH_MOMENT_CRASH;
	ck_assert(rh_moment_read(m, getpid(), true, &copy));
	ck_assert_uint_le(copy.nframes, RH_FRAMES_MAX);
	ck_assert_uint_le(copy.text_n, sizeof(copy.text));
}
END_TEST

RH_CHECK_MAIN("obs/moment",
    RH_CASE(there_is_none_at_first_and_once_it_is_cleared),
    RH_CASE(nobody_may_listen),
    RH_CASE(a_process_can_be_asked),
    RH_CASE(a_text_without_room_is_cut),
    RH_CASE(a_dead_writer_is_read_by_its_master_alone),
    RH_CASE(rubbish_has_no_count_beyond_its_room))
