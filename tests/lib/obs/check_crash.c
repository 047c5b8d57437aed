/* tests/lib/obs/check_crash.c - whoever dies of a signal says where, and dies of it. */
#include "config.h"

#include "obs/crash.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rh_check.h"

/* Shared with the process that dies. */
struct wall {
	struct rh_moment moment;
	_Atomic unsigned last_words;
	_Atomic unsigned frames_by_then;
};

static struct wall *
wall_new(void)
{
	struct wall *w = mmap(NULL, sizeof(*w), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(w, MAP_FAILED);
	return w;
}

static void
last(void *ctx)
{
	struct wall *w = ctx;

	w->last_words++;
	w->frames_by_then = w->moment.nframes;
}

static volatile int zero, seven = 7;
static int *volatile nowhere = (int *)8;
static void (*volatile no_function)(void);

/* No tail calls: each has to stand in the frames of what it dies of. */
#define DIES	static __attribute__((noinline, no_sanitize("undefined"))) void
DIES dies_writing(void) { *nowhere = 1; zero++; }
DIES dies_dividing(void) { zero = seven / zero; zero++; }
DIES dies_aborting(void) { abort(); }
DIES dies_asserting(void) { rh_assert(zero == 7); zero++; }
DIES dies_raising(void) { raise(SIGILL); zero++; }
DIES dies_calling(void) { no_function(); zero++; }
DIES dies_of_depth(void)
{
	volatile char frame[4096];

	memset((char *)(uintptr_t)frame, zero, sizeof(frame));
	if (frame[17] == 0)
		dies_of_depth();
	zero += frame[0];
}
DIES dies_of_a_hole(void)
{
	FILE *empty = tmpfile();
	char *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fileno(empty), 0);

	zero = p[0];
	zero++;
}

static const struct death {
	void (*how)(void);
	int signal;
	uint64_t address;
	const char *text;
} deaths[] = {
	{ dies_writing, SIGSEGV, 8, "" },
	{ dies_of_a_hole, SIGBUS, 0, "" },
	{ dies_dividing, SIGFPE, 0, "" },
	{ dies_raising, SIGILL, 0, "" },
	{ dies_aborting, SIGABRT, 0, "" },
	{ dies_asserting, SIGABRT, 0, "zero == 7" },
	{ dies_of_depth, SIGSEGV, 0, "" },
	{ dies_calling, SIGSEGV, 0, "" },
};

static void *
die_in_a_thread(void *how)
{
	(*(void (**)(void))how)();
	return NULL;
}

static RH_NORETURN void
die(struct wall *w, const struct death *d, bool in_a_thread)
{
	const struct rlimit none = { 0, 0 };
	void (*how)(void) = d->how;
	pthread_t thread;

	setrlimit(RLIMIT_CORE, &none);
	(void)!freopen("/dev/null", "w", stderr);
	if (!rh_crash_arm(&(struct rh_crash_spec){ &w->moment, last, w }))
		_exit(9);
	if (in_a_thread &&
	    pthread_create(&thread, NULL, die_in_a_thread, &how) == 0)
		pthread_join(thread, NULL);
	how();
	_exit(8);
}

/* Its master's view: what it died of, and what it said. */
static struct rh_moment
moment_of(const struct death *d, bool in_a_thread)
{
	struct wall *w = wall_new();
	struct rh_moment copy;
	pid_t pid = fork();
	int status;

	if (pid == 0)
		die(w, d, in_a_thread);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), d->signal);
	ck_assert(rh_moment_read(&w->moment, pid, true, &copy));
	ck_assert_uint_eq(w->last_words, 1);
	ck_assert_uint_eq(w->frames_by_then, 1);
	ck_assert(!rh_moment_read(&w->moment, pid + 1, true, &copy));
	return copy;
}

/* Within the first bytes of that function, one of the first few. */
static bool
has_frame_of(const struct rh_moment *m, void (*how)(void))
{
	for (unsigned i = 0; i < m->nframes && i < 12; i++)
		if (m->frames[i] - (uintptr_t)how < 1024)
			return true;
	return false;
}

START_TEST(it_says_of_what_and_where)
{
	const struct death *d = &deaths[_i];
	struct rh_moment m = moment_of(d, false);
	struct rh_slice text = { m.text, m.text_n };

	ck_assert_uint_eq(m.why, RH_MOMENT_CRASH);
	ck_assert_int_eq(m.signal, d->signal);
	if (d->address)
		ck_assert_uint_eq(m.address, d->address);
	ck_assert_uint_ge(m.nframes, 3);
	ck_assert(has_frame_of(&m, d->how));
	ck_assert(memmem(text.p, text.n, d->text, strlen(d->text)));
}
END_TEST

START_TEST(a_thread_s_death_is_told_as_well)
{
	struct rh_moment m = moment_of(&deaths[0], true);

	ck_assert(has_frame_of(&m, deaths[0].how));
}
END_TEST

/* What walks a stack that was overwritten may fault in turn. */
static void
fault_again(void *ctx)
{
	struct wall *w = ctx;

	w->last_words++;
	*nowhere = 2;
}

START_TEST(a_fault_in_the_handler_ends_it_all_the_same)
{
	struct wall *w = wall_new();
	struct rh_moment copy;
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		const struct rlimit none = { 0, 0 };

		setrlimit(RLIMIT_CORE, &none);
		if (!rh_crash_arm(&(struct rh_crash_spec){ &w->moment,
		    fault_again, w }))
			_exit(9);
		dies_dividing();
		_exit(8);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status));
	ck_assert_uint_eq(w->last_words, 1);
	ck_assert(rh_moment_read(&w->moment, pid, true, &copy));
	ck_assert_int_eq(copy.signal, SIGFPE);
	ck_assert_uint_eq(copy.nframes, 1);
	ck_assert_uint_lt(copy.frames[0] - (uintptr_t)dies_dividing, 1024);
}
END_TEST

START_TEST(the_fatal_ones_stay_unblocked)
{
	sigset_t set;

	sigfillset(&set);
	rh_crash_unblock(&set);
	ck_assert(!sigismember(&set, SIGSEGV) && !sigismember(&set, SIGABRT));
	ck_assert(sigismember(&set, SIGTERM));
}
END_TEST

RH_CHECK_MAIN("obs/crash",
    RH_LOOP(it_says_of_what_and_where, deaths),
    RH_CASE(a_thread_s_death_is_told_as_well),
    RH_CASE(a_fault_in_the_handler_ends_it_all_the_same),
    RH_CASE(the_fatal_ones_stay_unblocked))
