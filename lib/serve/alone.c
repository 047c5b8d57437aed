#include "config.h"

#include "serve/pool.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"
#include "obs/asked.h"
#include "obs/segment.h"
#include "serve/heritage.h"
#include "serve/pass.h"
#include "serve/watch.h"

/*
 * A worker without a master: whoever started us decides when there is another
 * one. Nothing is kept over a request, for nobody could take it; the channel
 * is there because a worker looks at one. Nobody watches over its requests, so
 * an alarm makes it look itself.
 */

static struct {
	const struct rh_pool_spec *spec;	/* the caller's */
	unsigned slot;
	struct rh_flight slow;	/* the last one that was, as it was then */
	uint64_t ns;		/* how long it had taken; 0: it is told */
} self;

/* Acts once the alarm's handler is left, and so where the request stands. */
static void
send_self(int sig)
{
	syscall(SYS_tgkill, getpid(), getpid(), sig);
}

static void
on_alarm(int sig)
{
	const struct rh_pool_spec *spec = self.spec;
	uint64_t now_ns = rh_clock_mono_ns();
	int saved = errno;
	struct rh_flight f;

	(void)sig;
	if (!rh_flight_read(rh_segment_flight(spec->segment, self.slot), false,
	    &f))
		return;
	if (now_ns >= rh_watch_overdue_ns(&f, spec->timeout_ms,
	    spec->timeout_grace_ms))
		send_self(SIGABRT);
	else if (f.slow_ns && now_ns >= f.slow_ns &&
	    self.slow.start_ns != f.start_ns) {
		self.slow = f;
		self.ns = now_ns - f.start_ns;
		if (spec->slow_backtrace)
			send_self(RH_SIGNAL_ASK);
	}
	errno = saved;
}

static void
watch(const struct rh_pool_spec *spec)
{
	struct sigaction action = { .sa_handler = on_alarm,
		.sa_flags = SA_RESTART | SA_ONSTACK };
	int64_t ms = RH_MIN(spec->timeout_grace_ms / 4, spec->slow_ms / 2);
	struct timeval every;

	if (spec->timeout_grace_ms == 0)
		return;
	ms = RH_MAX(10, RH_MIN(ms, 1000));
	every = (struct timeval){ ms / 1000, ms % 1000 * 1000 };
	sigemptyset(&action.sa_mask);
	sigaddset(&action.sa_mask, SIGABRT);
	sigaddset(&action.sa_mask, RH_SIGNAL_ASK);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &(struct itimerval){ every, every }, NULL);
}

static bool
start(void *ctx, unsigned slot)
{
	bool ready = !self.spec->hooks.start || self.spec->hooks.start(ctx, slot);

	watch(self.spec);
	return ready;
}

/* Names are for when there is time: the request is over. */
static void
tell_slow(void)
{
	struct rh_moment where;
	bool answered = rh_moment_read(rh_segment_moment(self.spec->segment,
	    self.slot), getpid(), false, &where) &&
	    where.at_ns >= self.slow.start_ns;

	rh_watch_tell_slow(self.spec->log, &(struct rh_slow){ &self.slow,
	    getpid(), self.ns, answered ? &where : NULL, 0 });
	self.ns = 0;
}

static enum rh_served
serve(void *ctx, int fd)
{
	enum rh_served served = self.spec->hooks.serve(ctx, fd);

	if (self.ns)
		tell_slow();
	return served;
}

int
rh_pool_alone(const struct rh_pool_spec *spec, unsigned slot)
{
	static struct rh_share share;
	static struct rh_heritage heritage;
	static struct rh_pool_spec watched;
	int ends[2];

	if (!rh_pass_open(ends))
		return 1;
	self.spec = spec;
	self.slot = slot;
	watched = *spec;
	watched.hooks.start = start;
	watched.hooks.serve = serve;
	atomic_store(&share.draining, 1);	/* there is no heir */
	heritage = (struct rh_heritage){ .spec = &watched, .share = &share,
		.slot = slot, .channel = ends[1] };
	signal(SIGCHLD, SIG_DFL);
	rh_worker_run(&heritage);
}
