#include "config.h"

#include "serve/worker.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"
#include "serve/listen.h"
#include "serve/memory.h"

/* For requests whose first bytes are still to come, and for stop(). */
#define FAREWELL_MS	1000
/* Requests between two looks at its memory, which cost a system call. */
#define MEMORY_EVERY	16
/* Between the shedder's looks at who waits. */
#define SHED_MS		10
/* So long a request may take before those who wait here alone go to others. */
#define SPARE_US	20000

static struct rh_worker self;

uint64_t
rh_worker_now_ms(void)
{
	return rh_clock_mono_ns() / 1000000;
}

void
rh_worker_trouble(struct rh_worker *w, const char *what)
{
	if (w->h->spec->trouble)
		w->h->spec->trouble(w->h->spec->ctx, what, errno);
}

static void
show(struct rh_worker *w, enum rh_slot_state state)
{
	if (w->h->sheds)
		return;
	atomic_store_explicit(&w->record->state, state, memory_order_relaxed);
}

/* Why it has to be replaced; 0: it has not. */
static int
worn(const struct rh_worker *w)
{
	uint64_t max = w->h->max_memory;

	if (w->h->max_requests && w->requests >= w->h->max_requests)
		return RH_EXIT_REQUESTS;
	if (max && w->requests % MEMORY_EVERY == 0 &&
	    rh_memory_bytes(w->statm) > max)
		return RH_EXIT_MEMORY;
	return 0;
}

static void
on_alarm(int sig)
{
	int saved = errno;

	(void)sig;
	if (self.serving >= 0)
		rh_fresh_spare(&self);
	errno = saved;
}

static void
set_alarm(suseconds_t us)
{
	setitimer(ITIMER_REAL, &(struct itimerval){ .it_value.tv_usec = us },
	    NULL);
}

/*
 * Who was accepted here before its request was there, no other worker knows of;
 * and the request in work may take long. The rule is that nobody waits here,
 * and then it costs nothing.
 */
static enum rh_served
serve(struct rh_worker *w, int fd)
{
	const struct rh_pool_spec *spec = w->h->spec;
	bool others = rh_fresh_count(w) > w->nkept + w->looking &&
	    w->h->master;
	enum rh_served served;

	if (others)
		set_alarm(SPARE_US);
	w->serving = fd;
	served = spec->hooks.serve(spec->ctx, fd);
	w->serving = -1;
	if (others)
		set_alarm(0);
	return served;
}

enum rh_served
rh_worker_serve(struct rh_worker *w, int fd, struct rh_seat *seat)
{
	enum rh_served served;

	show(w, RH_SLOT_BUSY);
	w->seat = seat;
	served = serve(w, fd);
	show(w, w->leaving ? RH_SLOT_DRAINING : RH_SLOT_IDLE);
	if (served != RH_SERVED_KEEP && served != RH_SERVED_CLOSE)
		return served;
	w->requests++;
	atomic_store_explicit(&w->record->requests, w->requests,
	    memory_order_relaxed);
	if (!w->leaving && (w->status = worn(w)))
		w->leaving = RH_LEAVES_TO_HEIR;
	/* nobody will be there to serve another one */
	return w->leaving == RH_LEAVES_LAST ? RH_SERVED_CLOSE : served;
}

/* Who missed it, or was to look at it, is reminded once we are gone. */
void
rh_pool_bequeath(bool answered)
{
	struct rh_worker *w = &self;

	if (!w->h || w->leaving == RH_LEAVES_LAST)
		return;
	rh_fresh_bequeath(w, answered && !w->seat ? w->serving : -1);
	if (!answered || w->serving < 0 || !w->seat)
		return;
	atomic_store(&w->seat->deadline_ms, 0);
	while (!rh_seat_release(w->seat))
		;
}

static void
stop_listening(struct rh_worker *w)
{
	show(w, RH_SLOT_DRAINING);
	if (!w->listening)
		return;
	w->listening = false;
	epoll_ctl(w->epfd, EPOLL_CTL_DEL, w->h->spec->listen->fd, NULL);
	close(w->h->spec->listen->fd);
}

static void
tell(struct rh_worker *w, bool spare)
{
	if (!w->leaving) {
		w->leaving = spare ? RH_LEAVES_SPARE : RH_LEAVES_TO_HEIR;
		w->status = spare ? RH_EXIT_SPARE : 0;
	}
	if (!atomic_load(&w->h->share->draining))
		return;
	w->leaving = RH_LEAVES_LAST;
	rh_fresh_hurry(w, FAREWELL_MS);
}

static void
hear(struct rh_worker *w)
{
	struct signalfd_siginfo info;

	if (read(w->signals, &info, sizeof(info)) == sizeof(info))
		tell(w, info.ssi_code == SI_QUEUE &&
		    info.ssi_int == RH_TERM_SPARE);
}

/* That there was one is all it says; the work hook comes next anyway. */
static void
forget_calls(const struct rh_worker *w)
{
	char byte;

	while (recv(w->calls, &byte, 1, MSG_DONTWAIT) >= 0)
		;
}

static void
dispatch(struct rh_worker *w, const struct epoll_event *ev)
{
	switch (rh_woke_kind(ev)) {
	case RH_WOKE_SEAT:
		rh_seats_look(w, rh_woke_index(ev));
		break;
	case RH_WOKE_LISTEN:
		rh_fresh_accept(w);
		break;
	case RH_WOKE_FRESH:
		rh_fresh_look(w, rh_woke_index(ev));
		break;
	case RH_WOKE_CHANNEL:
		if (!rh_seats_receive(w))
			tell(w, false);
		break;
	case RH_WOKE_SIGNAL:
		hear(w);
		break;
	case RH_WOKE_CALL:
		forget_calls(w);
		break;
	}
}

static int
patience_ms(const struct rh_worker *w)
{
	int64_t idle_ms = w->h->spec->idle_ms ? w->h->spec->idle_ms : 1000;
	uint64_t now_ms;

	if (w->shedding || (w->leaving && rh_fresh_count(w) ==
	    (w->leaving == RH_LEAVES_LAST ? w->nkept : 0)))
		return 0;
	if (w->h->sheds)
		idle_ms = SHED_MS;
	if (w->h->spec->hooks.work)
		return (int)RH_MIN(idle_ms, w->rest_ms);
	if (w->nkept && (w->leaving || !rh_fresh_is_full(w)))
		idle_ms = 10;
	if (w->next_deadline_ms == UINT64_MAX)
		return (int)idle_ms;
	now_ms = rh_worker_now_ms();
	if (w->next_deadline_ms <= now_ms)
		return 0;
	return (int)RH_MIN((uint64_t)idle_ms, w->next_deadline_ms - now_ms);
}

/*
 * Once in idle_ms, also where one event follows the other: a worker that is
 * never idle, and one that is woken for what others take, have to notice too
 * that the database went.
 */
static bool
is_time_to_tend(struct rh_worker *w, bool is_idle)
{
	const struct rh_pool_spec *spec = w->h->spec;
	uint64_t now_ms = rh_worker_now_ms();

	if (!spec->hooks.idle || (!is_idle && now_ms - w->tended_ms <
	    (uint64_t)(spec->idle_ms ? spec->idle_ms : 1000)))
		return false;
	w->tended_ms = now_ms;
	return true;
}

/* Its own kind of requests: nobody waits for them in an epoll. */
static void
work(struct rh_worker *w)
{
	const struct rh_pool_spec *spec = w->h->spec;
	uint64_t before = w->requests;

	show(w, RH_SLOT_BUSY);
	w->rest_ms = spec->hooks.work(spec->ctx, &w->requests);
	show(w, RH_SLOT_IDLE);
	if (w->requests == before)
		return;
	atomic_store_explicit(&w->record->requests, w->requests,
	    memory_order_relaxed);
	if ((w->status = worn(w)))
		w->leaving = RH_LEAVES_TO_HEIR;
}

static void
loop(struct rh_worker *w)
{
	const struct rh_pool_spec *spec = w->h->spec;
	struct epoll_event ev;
	int n;

	for (;;) {
		n = epoll_wait(w->epfd, &ev, 1, patience_ms(w));
		rh_assert(n >= 0 || errno == EINTR);
		if (n > 0)
			dispatch(w, &ev);
		if (rh_fresh_count(w))
			rh_fresh_tend(w);
		if (w->leaving)
			stop_listening(w);
		else if (w->h->sheds)
			w->shedding = rh_shed(w);
		else if (spec->hooks.work)
			work(w);
		else if (is_time_to_tend(w, n == 0))
			spec->hooks.idle(spec->ctx);
		if (w->leaving == RH_LEAVES_TO_HEIR ||
		    w->leaving == RH_LEAVES_SPARE)
			rh_fresh_hand_over(w);
		if (w->leaving == RH_LEAVES_LAST && n == 0)
			rh_fresh_part(w);
		/*
		 * Kept connections that wait in our epoll wait in our
		 * successor's, too; if there is none we serve them first.
		 */
		if (w->leaving && rh_fresh_count(w) == 0 &&
		    (n == 0 || w->leaving == RH_LEAVES_TO_HEIR))
			return;
	}
}

static void
watch(struct rh_worker *w, int fd, uint32_t events, enum rh_woke kind)
{
	struct epoll_event ev = rh_wake(events, kind, 0);

	rh_assert(epoll_ctl(w->epfd, EPOLL_CTL_ADD, fd, &ev) == 0);
}

static void
bind_to_master(struct rh_worker *w)
{
	char name[16];

	snprintf(name, sizeof(name), w->h->sheds ? "rh-shedder" :
	    "rh-worker %u", w->h->slot);
	prctl(PR_SET_NAME, name);
	if (w->h->master == 0)
		return;
	/* the kill is certain, and frees the socket for the next master */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != w->h->master)
		_exit(0);
}

/*
 * A worker that preempts the web server for each request it is sent goes to
 * sleep behind each reply. The kernel may refuse, as under a filter of system
 * calls: then it is as it was.
 */
static void
be_scheduled(const struct rh_worker *w)
{
	if (w->h->spec->batch)
		(void)sched_setscheduler(0, SCHED_BATCH,
		    &(struct sched_param){ .sched_priority = 0 });
}

static void
take_signals(struct rh_worker *w)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGUSR2, SIG_IGN);
	/* a terminal sends these to all of us; the master decides */
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	sigaction(SIGALRM, &(struct sigaction){ .sa_handler = on_alarm,
	    .sa_flags = SA_RESTART | SA_ONSTACK }, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_SETMASK, &set, NULL);
	w->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	rh_assert(w->signals >= 0);
}

static void
open_eyes(struct rh_worker *w)
{
	w->epfd = epoll_create1(EPOLL_CLOEXEC);
	rh_assert(w->epfd >= 0);
	watch(w, w->signals, EPOLLIN, RH_WOKE_SIGNAL);
	watch(w, w->h->channel, EPOLLIN, RH_WOKE_CHANNEL);
	w->calls = w->h->spec->hooks.called && !w->h->sheds ?
	    w->h->spec->hooks.called(w->h->spec->ctx) : -1;
	if (w->calls >= 0)
		watch(w, w->calls, EPOLLIN, RH_WOKE_CALL);
	w->listening = w->h->spec->listen->fd >= 0;
	/* it would be woken for what workers can take */
	if (w->h->sheds) {
		rh_shed_init(w);
		return;
	}
	if (w->listening)
		watch(w, w->h->spec->listen->fd, EPOLLIN | EPOLLEXCLUSIVE,
		    RH_WOKE_LISTEN);
	rh_seats_inherit(w);
}

static void
farewell(const struct rh_worker *w)
{
	const struct rh_pool_spec *spec = w->h->spec;
	int64_t left_ms = FAREWELL_MS;

	if (w->leaving == RH_LEAVES_LAST)
		left_ms = RH_MIN(left_ms, spec->shutdown_grace_ms / 2);
	if (spec->hooks.stop)
		spec->hooks.stop(spec->ctx,
		    (int64_t)rh_worker_now_ms() + left_ms);
}

void
rh_worker_run(struct rh_heritage *heritage)
{
	struct rh_worker *w = &self;
	const struct rh_pool_spec *spec = heritage->spec;

	w->h = heritage;
	w->serving = -1;
	w->record = rh_segment_slot(spec->segment, heritage->slot);
	bind_to_master(w);
	be_scheduled(w);
	take_signals(w);
	w->statm = heritage->max_memory ? rh_memory_open() : -1;
	rh_fresh_init(w);
	if (spec->hooks.start)
		spec->hooks.start(spec->ctx, heritage->slot);
	open_eyes(w);
	show(w, RH_SLOT_IDLE);
	loop(w);
	farewell(w);
	/* a master would do it */
	if (heritage->master == 0) {
		show(w, RH_SLOT_EMPTY);
		atomic_store(&w->record->pid, 0);
	}
	_exit(w->leaving == RH_LEAVES_LAST ? 0 : w->status);
}
