#include "config.h"

#include "serve/master.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/wait.h>

#include "serve/listen.h"

/* A worker that ends sooner than this is taken for one that cannot start. */
#define EARLY_MS	5000
/* Between two looks: where the number follows the load, and where it does not. */
#define LOOK_MS		100
#define STATIC_LOOK_MS	1000

static bool
follows_load(const struct rh_master *m)
{
	return m->spec->mode != RH_POOL_STATIC || m->spec->queue_max;
}

void
rh_master_size_tune(struct rh_master *m)
{
	const struct rh_pool_spec *spec = m->spec;

	m->size = spec->size;
	if (spec->mode == RH_POOL_STATIC)
		m->size.min = m->size.spare_max = spec->nworkers;
	if (spec->mode != RH_POOL_DYNAMIC)
		m->size.spare_min = 0;
	if (spec->mode == RH_POOL_ONDEMAND)
		m->size.min = m->size.spare_max = 0;
	m->look_ms = 0;
}

void
rh_master_size_init(struct rh_master *m, struct rh_arena *arena)
{
	const struct rh_pool_spec *spec = m->spec;

	rh_master_size_tune(m);
	m->pace.owed = m->size.min;
	m->seen = rh_arena_zalloc(arena, spec->nworkers, sizeof(*m->seen));
	rh_waiting_init(&m->h.waiting, m->h.nseats, arena);
	m->queue = (struct rh_queue){ .listen_fd = -1, .netlink = -1 };
	if (spec->listen->fd >= 0 &&
	    !rh_queue_open(&m->queue, spec->listen->fd)) {
		rh_log_say(spec->log, RH_LOG_WARN, "pool %s: the length of the"
		    " listening socket's queue is not to be had: %s",
		    spec->name, strerror(errno));
		rh_queue_close(&m->queue);
	}
}

/* ---- what there is ---- */

static struct rh_size_seen
see(struct rh_master *m, unsigned i, uint64_t now_ms)
{
	const struct rh_slot *slot = rh_segment_slot(m->spec->segment, i + 1);
	struct rh_child *c = &m->children[i];
	uint64_t requests = atomic_load(&slot->requests);
	enum rh_slot_state state = atomic_load(&slot->state);

	if (c->pid == 0)
		return (struct rh_size_seen){ .state = RH_SLOT_EMPTY };
	if (c->told_ms)
		return (struct rh_size_seen){ .state = RH_SLOT_DRAINING };
	if (requests && m->backoff.tried_ms &&
	    c->started_ms >= m->backoff.tried_ms)
		m->answered = true;
	if (state != RH_SLOT_IDLE || requests != c->requests) {
		c->requests = requests;
		c->idle_since_ms = now_ms;
	}
	return (struct rh_size_seen){ state, now_ms - c->idle_since_ms };
}

static unsigned
waiting(struct rh_master *m)
{
	struct pollfd listen = { m->spec->listen->fd, POLLIN, 0 };
	unsigned length = 0;
	bool known = rh_queue_length(&m->queue, &length);

	if (m->spec->listen->fd < 0)
		return 0;
	rh_gauge_set(m->spec->tally, m->spec->queue_length, 0,
	    known ? length : RH_GAUGE_UNKNOWN);
	if (!follows_load(m))
		return 0;
	if (!known)
		length = poll(&listen, 1, 0) > 0;
	rh_waiting_look(&m->h.waiting, &m->h);
	return RH_MAX(length + m->h.waiting.n, m->called);
}

/* ---- more, and less ---- */

/* What cannot come yet is shown in the slots that it would have. */
static void
show_held(struct rh_master *m, unsigned held)
{
	for (unsigned i = 0; i < m->spec->nworkers; i++) {
		struct rh_slot *slot = rh_segment_slot(m->spec->segment, i + 1);

		if (m->children[i].pid)
			continue;
		atomic_store(&slot->state, held ? RH_SLOT_BACKOFF :
		    RH_SLOT_EMPTY);
		held -= held > 0;
	}
}

static void
fail(struct rh_master *m, const char *what, const char *why)
{
	const struct rh_pool_spec *spec = m->spec;

	if (!rh_backoff_fail(&m->backoff, rh_master_now_ms()))
		return;
	m->answered = false;
	rh_log_say(spec->log, RH_LOG_ERROR, "pool %s: %s%s; the next try in"
	    " %llu ms (%u in a row)", spec->name, what, why,
	    (unsigned long long)rh_backoff_wait_ms(&m->backoff),
	    m->backoff.steps);
}

bool
rh_master_is_held(const struct rh_master *m)
{
	return rh_backoff_room(&m->backoff, rh_master_now_ms()) != UINT_MAX;
}

static unsigned
grow(struct rh_master *m, const struct rh_size_plan *plan, uint64_t now_ms)
{
	unsigned paced = rh_pace_allow(&m->pace, &m->size, plan, now_ms);
	unsigned room = rh_backoff_room(&m->backoff, now_ms), born = 0;

	for (unsigned i = 0; i < m->spec->nworkers &&
	    born < RH_MIN(paced, room); i++) {
		if (m->children[i].pid)
			continue;
		if (!rh_master_spawn(m, i)) {
			fail(m, "cannot start a worker: ", strerror(errno));
			break;
		}
		rh_pace_born(&m->pace);
		rh_backoff_tried(&m->backoff, now_ms);
		born++;
	}
	show_held(m, room == UINT_MAX ? 0 : plan->missing +
	    RH_MIN(plan->more, 1) - RH_MIN(born, plan->missing));
	return born;
}

void
rh_master_retire(struct rh_child *c)
{
	const union sigval spare = { .sival_int = RH_TERM_SPARE };

	if (sigqueue(c->pid, SIGTERM, spare) == 0)
		c->told_ms = rh_master_now_ms();
}

/* ---- none at all: the master waits for the first request itself ---- */

static void
watch(struct rh_master *m, bool wants)
{
	struct epoll_event ev = rh_wake(EPOLLIN, RH_WOKE_LISTEN, 0);

	if (m->watching == wants)
		return;
	m->watching = wants;
	epoll_ctl(m->epfd, wants ? EPOLL_CTL_ADD : EPOLL_CTL_DEL,
	    m->spec->listen->fd, &ev);
	rh_master_seats_watch(m);
}

void
rh_master_called(struct rh_master *m)
{
	m->called = true;
	m->look_ms = 0;
}

static bool
is_empty(const struct rh_master *m)
{
	for (unsigned i = 0; i < m->spec->nworkers; i++) {
		if (m->children[i].pid)
			return false;
	}
	return true;
}

/* ---- a look ---- */

static uint64_t
interval_ms(const struct rh_master *m)
{
	if (m->watching)
		return STATIC_LOOK_MS;
	return follows_load(m) || m->backoff.steps ? LOOK_MS : STATIC_LOOK_MS;
}

void
rh_master_size(struct rh_master *m)
{
	uint64_t now_ms = rh_master_now_ms();
	struct rh_size_plan plan;
	unsigned born;

	if (now_ms < m->look_ms)
		return;
	for (unsigned i = 0; i < m->spec->nworkers; i++)
		m->seen[i] = see(m, i, now_ms);
	if (rh_backoff_look(&m->backoff, m->answered, now_ms))
		rh_log_say(m->spec->log, RH_LOG_INFO,
		    "pool %s: workers start again", m->spec->name);
	plan = rh_size_plan(&m->size, m->seen, m->spec->nworkers, waiting(m));
	m->called = false;
	born = grow(m, &plan, now_ms);
	m->missing = plan.missing - RH_MIN(born, plan.missing);
	if (plan.leaves >= 0)
		rh_master_retire(&m->children[plan.leaves]);
	rh_master_shed(m, plan.unserved, born > 0, now_ms);
	watch(m, m->spec->mode != RH_POOL_STATIC && is_empty(m) &&
	    plan.missing + plan.more == 0);
	m->look_ms = now_ms + interval_ms(m);
}

/* ---- an end ---- */

bool
rh_master_is_planned(int status)
{
	return WIFEXITED(status) && (WEXITSTATUS(status) == 0 ||
	    (WEXITSTATUS(status) >= RH_EXIT_REQUESTS &&
	    WEXITSTATUS(status) <= RH_EXIT_SPARE));
}

bool
rh_master_is_spare(int status)
{
	return WIFEXITED(status) && WEXITSTATUS(status) == RH_EXIT_SPARE;
}

void
rh_master_size_ended(struct rh_master *m, unsigned i, int status)
{
	const struct rh_slot *slot = rh_segment_slot(m->spec->segment, i + 1);
	struct rh_child *c = &m->children[i];
	uint64_t now_ms = rh_master_now_ms();
	bool planned = rh_master_is_planned(status), has_heir;

	m->look_ms = 0;
	if (m->stop_ms || i == m->spec->nworkers)
		return;
	if (!planned && slot->requests == 0 &&
	    now_ms - c->started_ms < EARLY_MS)
		fail(m, "workers end before they answer a request", "");
	else if (m->backoff.tried_ms && c->started_ms >= m->backoff.tried_ms)
		m->answered = true;
	has_heir = planned && m->spec->mode == RH_POOL_STATIC &&
	    !rh_master_is_held(m);
	/*
	 * Whoever starts at once sees what this one was told of and did not
	 * look at; a spare one has looked at all of it.
	 */
	if (!has_heir && !rh_master_is_spare(status))
		rh_master_remind(m);
	m->pace.owed += planned && !rh_master_is_spare(status);
}
