#include "config.h"

#include "serve/master.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "obs/journal.h"
#include "serve/pass.h"

/* A writer that ends sooner than this is taken for one that cannot start. */
#define EARLY_MS	5000
#define BACKOFF_MS	100
#define BACKOFF_MAX_MS	10000

static uint64_t
backoff_ms(unsigned early)
{
	if (early == 0)
		return 0;
	return RH_MIN((uint64_t)BACKOFF_MS << RH_MIN(early - 1, 10u),
	    BACKOFF_MAX_MS);
}

/*
 * The first ones of all slots, as those after a reload, would reach their
 * number together; spread over its last quarter, they never do again.
 */
static uint64_t
requests_of(const struct rh_master *m, unsigned i)
{
	uint64_t max = m->spec->max_requests;

	if (m->children[i].started_ms && !m->rolling)
		return max;
	return max - max / 4 * i / m->spec->nworkers;
}

static void
become_worker(struct rh_master *m, unsigned i, int channel)
{
	struct rh_heritage *h = &m->h;

	close(m->epfd);
	close(m->signals);
	rh_notify_close(&m->notify);
	rh_master_estate_forget(m);
	for (unsigned k = 0; k < m->nplaces; k++) {
		if (m->children[k].pid)
			close(m->children[k].channel);
	}
	h->slot = i + 1;
	h->channel = channel;
	h->sheds = i == m->spec->nworkers;
	h->max_requests = h->sheds ? 0 : requests_of(m, i);
	h->max_memory = h->sheds ? 0 : m->spec->max_memory;
	rh_worker_run(h);
}

static void
record_start(const struct rh_master *m, unsigned i, pid_t pid)
{
	struct rh_slot *slot = rh_segment_slot(m->spec->segment, i + 1);

	atomic_store(&slot->requests, 0);
	atomic_store(&slot->started_us, rh_clock_wall_us());
	atomic_fetch_add(&slot->generation, 1);
	/* the shedder is no worker, and not counted as one */
	atomic_store(&slot->state, i < m->spec->nworkers ? RH_SLOT_STARTING :
	    RH_SLOT_EMPTY);
	atomic_store(&slot->pid, pid);
}

/* It has inherited all that its predecessor was still to be told of. */
static void
forget_debts(const struct rh_master *m, struct rh_child *c)
{
	memset(c->unsent, 0, (m->h.nseats + 63) / 64 * sizeof(*c->unsent));
	c->nunsent = 0;
}

bool
rh_master_spawn(struct rh_master *m, unsigned i)
{
	struct rh_child *c = &m->children[i];
	struct epoll_event ev = rh_wake(EPOLLIN, RH_WOKE_CHANNEL, i);
	int ends[2];
	pid_t pid;

	if (!rh_pass_open(ends))
		return false;
	record_start(m, i, 0);
	if ((pid = fork()) < 0) {
		close(ends[0]);
		close(ends[1]);
		return false;
	}
	if (pid == 0) {
		close(ends[0]);
		become_worker(m, i, ends[1]);
	}
	close(ends[1]);
	atomic_store(&rh_segment_slot(m->spec->segment, i + 1)->pid, pid);
	c->pid = pid;
	c->channel = ends[0];
	c->wants_room = c->old = false;
	c->told_ms = c->stuck_ms = 0;
	c->watch = (struct rh_watch){ 0 };
	forget_debts(m, c);
	c->started_ms = c->idle_since_ms = rh_master_now_ms();
	m->nchildren++;
	rh_assert(epoll_ctl(m->epfd, EPOLL_CTL_ADD, ends[0], &ev) == 0);
	return true;
}

void
rh_master_writer_due(struct rh_master *m)
{
	if (m->writer.pid == 0 && m->writer.due_ms <= rh_master_now_ms())
		rh_master_writer_spawn(m);
}

static uint64_t
left_ms(uint64_t due_ms, uint64_t now_ms)
{
	return due_ms > now_ms ? due_ms - now_ms : 0;
}

int
rh_master_patience_ms(const struct rh_master *m, int limit_ms)
{
	uint64_t now_ms = rh_master_now_ms(), wait_ms = RH_MIN(
	    (uint64_t)limit_ms, rh_master_notify_wait_ms(m, now_ms));

	if (m->stop_ms)
		return (int)RH_MIN(wait_ms, left_ms(m->stop_ms, now_ms));
	if (m->rolling || m->estate || m->asking)
		wait_ms = RH_MIN(wait_ms, RH_LOOK_MS);
	if (m->writer.pid == 0)
		wait_ms = RH_MIN(wait_ms, left_ms(m->writer.due_ms, now_ms));
	wait_ms = RH_MIN(wait_ms, rh_master_ship_wait_ms(m, now_ms));
	return (int)RH_MIN(wait_ms, left_ms(m->look_ms, now_ms));
}

static enum rh_end
why(const struct rh_child *c, int status)
{
	if (WIFSIGNALED(status) && c->stuck_ms)
		return RH_END_STUCK;
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGKILL ? RH_END_KILLED :
		    RH_END_SIGNAL;
	if (status == 0 && c->told_ms)
		return RH_END_RELOAD;
	return WEXITSTATUS(status) == RH_EXIT_REQUESTS ? RH_END_REQUESTS :
	    WEXITSTATUS(status) == RH_EXIT_MEMORY ? RH_END_MEMORY :
	    RH_END_EXIT;
}

static bool
is_expected(enum rh_end end)
{
	return end == RH_END_REQUESTS || end == RH_END_RELOAD ||
	    end == RH_END_MEMORY;
}

static void
tell_end(const struct rh_master *m, unsigned i, int status, enum rh_end end)
{
	const struct rh_pool_spec *spec = m->spec;
	const struct rh_child *c = &m->children[i];
	bool signaled = WIFSIGNALED(status);

	if (rh_master_is_spare(status)) {
		if (i < spec->nworkers)
			rh_log_say(spec->log, RH_LOG_INFO, "pool %s: worker %u"
			    " (pid %d) ended: idle", spec->name, i + 1,
			    (int)c->pid);
		return;
	}
	rh_log_say(spec->log, is_expected(end) ? RH_LOG_INFO :
	    RH_LOG_WARN, "pool %s: worker %u (pid %d) ended: %s (%s %d)",
	    spec->name, i + 1, (int)c->pid, rh_end_names[end],
	    signaled ? "signal" : "exit status",
	    signaled ? WTERMSIG(status) : WEXITSTATUS(status));
	rh_count(spec->tally, spec->restarts, end, 0, 1);
}

static void
bury(struct rh_master *m, unsigned i, int status)
{
	struct rh_child *c = &m->children[i];
	struct rh_slot *slot = rh_segment_slot(m->spec->segment, i + 1);
	enum rh_end end = why(c, status);

	rh_journal_settle(m->spec->segment, i + 1);
	if (m->stop_ms == 0)
		tell_end(m, i, status, end);
	if (m->spec->died)
		m->spec->died(m->spec->ctx, &(struct rh_death){ i + 1, c->pid,
		    status, end });
	/* what it sent with its last breath is a connection all the same */
	rh_master_receive(m, c);
	epoll_ctl(m->epfd, EPOLL_CTL_DEL, c->channel, NULL);
	close(c->channel);
	c->pid = 0;
	m->nchildren--;
	rh_master_bereave(m, i + 1);
	rh_master_size_ended(m, i, status);
	atomic_store(&slot->pid, 0);
	atomic_store(&slot->state, RH_SLOT_EMPTY);
}

static void
bury_writer(struct rh_master *m)
{
	struct rh_child *c = &m->writer;
	uint64_t now_ms = rh_master_now_ms();

	c->pid = 0;
	c->early = now_ms - c->started_ms >= EARLY_MS ? 0 : c->early + 1;
	c->due_ms = now_ms + backoff_ms(c->early);
}

void
rh_master_reap(struct rh_master *m)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == m->writer.pid)
			bury_writer(m);
		if (pid == m->ship.pid) {
			rh_journal_settle(m->spec->segment, 0);
			m->ship.pid = 0;
		}
		if (pid == m->trial.pid)
			rh_master_upgrade_tried(m, status);
		rh_master_estate_reap(m, pid, status);
		for (unsigned i = 0; i < m->nplaces; i++) {
			if (m->children[i].pid == pid)
				bury(m, i, status);
		}
	}
}

void
rh_master_signal_all(struct rh_master *m, int sig)
{
	for (unsigned i = 0; i < m->nplaces; i++) {
		if (m->children[i].pid)
			kill(m->children[i].pid, sig);
	}
}
