#include "config.h"

#include "serve/master.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "serve/listen.h"
#include "serve/worker.h"

#define EVENTS_MAX	64
/*
 * What rh-ship and then the log-writer have at the least, however short the
 * grace: what a worker that was killed at its end has left is still to be told.
 */
#define SHIP_MS		4000
#define WRITER_MS	3000

const char *const rh_end_names[RH_ENDS] = {
	[RH_END_EXIT] = "exit", [RH_END_SIGNAL] = "signal",
	[RH_END_KILLED] = "killed", [RH_END_REQUESTS] = "requests",
	[RH_END_RELOAD] = "reload", [RH_END_STUCK] = "stuck",
	[RH_END_MEMORY] = "memory",
};

const char *const rh_pool_names[RH_POOLS] = {
	[RH_POOL_FCGI] = "fcgi",
	[RH_POOL_JOBS] = "jobs",
};

uint64_t
rh_master_now_ms(void)
{
	return rh_clock_mono_ns() / 1000000;
}

size_t
rh_pool_area_bytes(unsigned max_connections)
{
	return rh_share_bytes(max_connections + RH_SEATS_SPARE);
}

unsigned
rh_pool_slots(unsigned nworkers)
{
	return 1 + nworkers + 1;
}

static void
stop(struct rh_master *m, int sig)
{
	if (m->stop_ms)
		return;
	m->stop_ms = rh_master_now_ms() +
	    (uint64_t)m->spec->shutdown_grace_ms;
	rh_log_say(m->spec->log, RH_LOG_INFO,
	    "pool %s: draining after signal %d, for at most %lld ms",
	    m->spec->name, sig, (long long)m->spec->shutdown_grace_ms);
	rh_master_notify_stop(m);
	rh_listen_close(m->spec->listen);
	atomic_store(&m->h.share->draining, 1);
	rh_master_signal_all(m, SIGTERM);
	rh_master_estate_drain(m);
}

static void
hear(struct rh_master *m)
{
	struct signalfd_siginfo info;

	while (read(m->signals, &info, sizeof(info)) == sizeof(info)) {
		switch (info.ssi_signo) {
		case SIGCHLD:
			rh_master_reap(m);
			break;
		case SIGHUP:
			rh_master_reload(m);
			break;
		case SIGUSR2:
			rh_master_upgrade(m);
			break;
		default:
			stop(m, (int)info.ssi_signo);
			break;
		}
	}
}

static void
dispatch(struct rh_master *m, const struct epoll_event *ev)
{
	unsigned i = rh_woke_index(ev);

	switch (rh_woke_kind(ev)) {
	case RH_WOKE_SIGNAL:
		hear(m);
		break;
	case RH_WOKE_CHANNEL:
		if (i >= m->nplaces) {
			rh_master_estate_woke(m, RH_WOKE_CHANNEL,
			    i - m->nplaces);
			break;
		}
		/* of a worker that went in this very batch, there is none */
		if (m->children[i].pid == 0)
			break;
		rh_master_receive(m, &m->children[i]);
		rh_master_tell(m, &m->children[i]);
		break;
	case RH_WOKE_SEAT:
		if (i >= m->h.nseats)
			rh_master_estate_woke(m, RH_WOKE_SEAT, i - m->h.nseats);
		else
			rh_master_seat_ended(m, i);
		break;
	case RH_WOKE_LISTEN:
		rh_master_called(m);
		break;
	case RH_WOKE_CALL:
	case RH_WOKE_FRESH:
		break;
	}
}

/* How late an overdue request may be noticed, or a slow one, or a stuck one. */
static int
tick_ms(const struct rh_pool_spec *spec)
{
	int64_t ms = RH_MIN(spec->header_timeout_ms / 4, 1000);

	if (spec->timeout_grace_ms) {
		ms = RH_MIN(ms, spec->timeout_grace_ms / 4);
		ms = RH_MIN(ms, spec->slow_ms / 2);
	}
	return (int)RH_MAX(10, ms);
}

static void
kill_late(struct rh_master *m)
{
	if (m->stop_ms == 0 || rh_master_now_ms() < m->stop_ms)
		return;
	rh_log_say(m->spec->log, RH_LOG_WARN,
	    "pool %s: %u workers did not end in time and are killed",
	    m->spec->name, m->nchildren + rh_master_estate_count(m));
	rh_master_signal_all(m, SIGKILL);
	rh_master_estate_signal(m, SIGKILL);
	m->stop_ms = UINT64_MAX;
}

static void
loop(struct rh_master *m)
{
	struct epoll_event events[EVENTS_MAX];
	uint64_t tick, next_ms = 0, now_ms;
	int n;

	while (m->stop_ms == 0 || m->nchildren || rh_master_estate_count(m)) {
		if (m->stop_ms == 0) {
			rh_master_size(m);
			rh_master_writer_due(m);
			rh_master_ship_due(m);
			rh_master_roll(m);
			rh_master_estate(m);
			rh_master_upgrade_late(m);
		}
		rh_master_notify(m);
		tick = (uint64_t)tick_ms(m->spec);
		n = epoll_wait(m->epfd, events, EVENTS_MAX,
		    rh_master_patience_ms(m, (int)tick));
		for (int i = 0; i < n; i++)
			dispatch(m, &events[i]);
		kill_late(m);
		if ((now_ms = rh_master_now_ms()) >= next_ms) {
			rh_master_expire(m);
			rh_master_watch(m);
			if (m->spec->tick)
				m->spec->tick(m->spec->ctx);
			next_ms = now_ms + tick;
		} else if (m->asking)
			rh_master_watch(m);
	}
}

static void
take_signals(struct rh_master *m)
{
	static const int taken[] = { SIGTERM, SIGQUIT, SIGINT, SIGHUP, SIGUSR2,
		SIGCHLD };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < RH_COUNT(taken); i++)
		sigaddset(&set, taken[i]);
	/* inherited as ignored, SIGCHLD would let our children go unseen */
	signal(SIGCHLD, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	m->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	rh_assert(m->signals >= 0);
}

static void
open_eyes(struct rh_master *m)
{
	struct epoll_event ev = rh_wake(EPOLLIN, RH_WOKE_SIGNAL, 0);

	m->epfd = epoll_create1(EPOLL_CLOEXEC);
	rh_assert(m->epfd >= 0);
	rh_assert(epoll_ctl(m->epfd, EPOLL_CTL_ADD, m->signals, &ev) == 0);
}

/* Every process may have every kept connection open. */
static unsigned
room_for_seats(const struct rh_pool_spec *spec)
{
	const rlim_t other = 64 + RH_FRESH_MAX + 2 *
	    (rlim_t)rh_pool_slots(spec->nworkers);
	unsigned seats = spec->max_connections + RH_SEATS_SPARE;
	rlim_t want = seats + other;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return seats;
	if (limit.rlim_cur < want) {
		limit.rlim_cur = RH_MIN(want, limit.rlim_max);
		if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
			getrlimit(RLIMIT_NOFILE, &limit);
	}
	if (limit.rlim_cur >= want)
		return seats;
	want = limit.rlim_cur > other ? limit.rlim_cur - other : 1;
	if (want < spec->max_connections)
		rh_log_say(spec->log, RH_LOG_WARN, "pool %s: %llu descriptors"
		    " a process (ulimit -n) leave room for %u kept"
		    " connections, not %u", spec->name,
		    (unsigned long long)limit.rlim_cur, (unsigned)want,
		    spec->max_connections);
	return (unsigned)want;
}

static void
set_up(struct rh_master *m, const struct rh_pool_spec *spec,
    struct rh_arena *arena)
{
	size_t words;

	m->own = *spec;
	m->spec = m->h.spec = &m->own;
	m->h.master = getpid();
	m->h.nseats = room_for_seats(spec);
	words = (m->h.nseats + 63) / 64;
	m->nplaces = rh_pool_slots(spec->nworkers) - 1;
	m->children = rh_arena_zalloc(arena, m->nplaces,
	    sizeof(*m->children));
	for (unsigned i = 0; i < m->nplaces; i++)
		m->children[i].unsent = rh_arena_zalloc(arena, words,
		    sizeof(uint64_t));
	rh_master_seats_init(m, arena);
	rh_master_size_init(m, arena);
}

/* Until the end of the grace; more, where a worker has used it up. */
static uint64_t
last_ms(const struct rh_master *m, uint64_t least_ms)
{
	return RH_MAX(rh_master_now_ms() + least_ms,
	    m->stop_ms == UINT64_MAX ? 0 : m->stop_ms);
}

int
rh_pool_run(const struct rh_pool_spec *spec, struct rh_arena *arena)
{
	struct rh_master *m = RH_NEW(arena, struct rh_master);
	struct rh_slot *record = rh_segment_slot(spec->segment, 0);

	prctl(PR_SET_NAME, "rh-master");
	take_signals(m);
	set_up(m, spec, arena);
	open_eyes(m);
	if (spec->will)
		rh_master_succeed(m, spec->will, arena);
	/* who ended while the program changed has signalled nobody */
	rh_master_reap(m);
	if (m->writer.pid == 0)
		rh_master_writer_spawn(m);
	rh_notify_open(&m->notify);
	atomic_store(&record->pid, getpid());
	atomic_store(&record->started_us, rh_clock_wall_us());
	atomic_store(&record->state, RH_SLOT_IDLE);
	rh_log_say(spec->log, RH_LOG_INFO, "pool %s: %u workers", spec->name,
	    spec->nworkers);
	loop(m);
	rh_master_ship_end(m, last_ms(m, SHIP_MS));
	rh_log_say(spec->log, RH_LOG_INFO, "pool %s: stopped", spec->name);
	atomic_store(&record->state, RH_SLOT_EMPTY);
	atomic_store(&record->pid, 0);
	rh_master_writer_end(m, last_ms(m, WRITER_MS));
	rh_notify_close(&m->notify);
	close(m->epfd);
	close(m->signals);
	return 0;
}
