#include "config.h"

#include "obs/crash.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"

/* Unwinding takes some 10 KiB, a sanitizer's build several times that. */
#define STACK_BYTES	((size_t)256 << 10)
#define GUARD_BYTES	((size_t)64 << 10)

static const int fatal[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
static struct rh_crash_spec armed;
static _Atomic int dying;	/* the thread that is */

static void
tell_assertion(void)
{
	char text[sizeof(armed.moment->text)];
	struct rh_buf b;

	if (!rh_assertion.what)
		return;
	rh_buf_init_fixed(&b, text, sizeof(text));
	rh_buf_lit(&b, "assertion failed at ");
	rh_buf_slice(&b, rh_slice_of(rh_assertion.file));
	rh_buf_char(&b, ':');
	rh_buf_i64(&b, rh_assertion.line);
	rh_buf_lit(&b, ": ");
	rh_buf_put(&b, rh_assertion.what,
	    RH_MIN(strlen(rh_assertion.what), b.cap - b.n));
	rh_moment_text(armed.moment, rh_buf_get(&b));
}

/* Blocked until the handler returns; then it is the default that acts. */
static void
die_of(int sig)
{
	signal(sig, SIG_DFL);
	raise(sig);
}

static void
on_fatal(int sig, siginfo_t *info, void *context)
{
	int self = (int)syscall(SYS_gettid), none = 0;

	if (!atomic_compare_exchange_strong(&dying, &none, self)) {
		/* the other thread ends this one, too, when it has said all */
		while (none != self)
			pause();
		die_of(sig);
		return;
	}
	rh_moment_begin(armed.moment, RH_MOMENT_CRASH, info, context);
	if (sig == SIGABRT)
		tell_assertion();
	if (armed.last)
		armed.last(armed.ctx);
	rh_moment_walk(armed.moment, context);
	die_of(sig);
}

/* What overflows it as well meets the guard, and no other memory. */
static bool
take_stack(void)
{
	stack_t stack = { .ss_size = STACK_BYTES };
	char *memory = mmap(NULL, GUARD_BYTES + STACK_BYTES,
	    PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK |
	    MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		return false;
	stack.ss_sp = memory + GUARD_BYTES;
	return mprotect(memory, GUARD_BYTES, PROT_NONE) == 0 &&
	    sigaltstack(&stack, NULL) == 0;
}

bool
rh_crash_arm(const struct rh_crash_spec *spec)
{
	struct sigaction action = { .sa_sigaction = on_fatal,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND };
	bool done;

	armed = *spec;
	rh_moment_prepare();
	done = take_stack();
	sigfillset(&action.sa_mask);
	for (size_t i = 0; i < RH_COUNT(fatal); i++)
		done = sigaction(fatal[i], &action, NULL) == 0 && done;
	return done;
}

void
rh_crash_unblock(sigset_t *set)
{
	for (size_t i = 0; i < RH_COUNT(fatal); i++)
		sigdelset(set, fatal[i]);
}
