#include "config.h"

#include "serve/master.h"

/* So many of the workers, and one at the least, may be on their way at once. */
#define SHARE		4
/*
 * One that was told to leave is in a request if it is not gone by then: it
 * would not have served anybody else meanwhile either.
 */
#define LEAVES_MS	1000
/* A short shutdown_grace is for the pool's end: nobody hurries us here. */
#define GRACE_MIN_MS	30000

void
rh_master_roll_begin(struct rh_master *m)
{
	for (unsigned i = 0; i < m->spec->nworkers; i++)
		m->children[i].old = m->children[i].pid != 0;
	rh_master_shed_end(m);
	m->rolling = true;
}

void
rh_master_reload(struct rh_master *m)
{
	const struct rh_pool_spec *spec = m->spec;

	if (m->stop_ms)
		return;
	rh_master_notify_reload(m);
	if (spec->reload && !spec->reload(spec->ctx, &m->own))
		return;
	rh_log_say(spec->log, RH_LOG_INFO, "pool %s: reloading", spec->name);
	rh_master_ship_again(m);
	rh_master_size_tune(m);
	rh_master_roll_begin(m);
}

/* It serves nobody new: it leaves, or it starts. */
static bool
is_on_its_way(const struct rh_master *m, unsigned i, uint64_t now_ms)
{
	const struct rh_child *c = &m->children[i];
	const struct rh_slot *slot = rh_segment_slot(m->spec->segment, i + 1);

	if (c->pid == 0)
		return false;
	if (c->told_ms)
		return now_ms - c->told_ms < LEAVES_MS;
	return atomic_load(&slot->state) == RH_SLOT_STARTING;
}

unsigned
rh_master_away(const struct rh_master *m)
{
	uint64_t now_ms = rh_master_now_ms();
	unsigned away = m->missing;

	for (unsigned i = 0; i < m->spec->nworkers; i++)
		away += is_on_its_way(m, i, now_ms);
	return away;
}

static void
kill_late(const struct rh_master *m, const struct rh_child *c, uint64_t now_ms)
{
	if (now_ms - c->told_ms < (uint64_t)RH_MAX(GRACE_MIN_MS,
	    m->spec->shutdown_grace_ms))
		return;
	rh_log_say(m->spec->log, RH_LOG_WARN, "pool %s: worker %u (pid %d) did"
	    " not end in time and is killed", m->spec->name,
	    (unsigned)(c - m->children) + 1, (int)c->pid);
	kill(c->pid, SIGKILL);
}

/* How many may be on their way now: a successor has to be able to start. */
static unsigned
most_away(const struct rh_master *m)
{
	unsigned running = 0;

	for (unsigned i = 0; i < m->spec->nworkers; i++)
		running += m->children[i].pid != 0;
	return rh_master_is_held(m) ? 0 : RH_MAX(running / SHARE, 1);
}

static void
replace(struct rh_master *m, struct rh_child *c, uint64_t now_ms)
{
	c->told_ms = now_ms;
	kill(c->pid, SIGTERM);
	/* where there is a place left its successor need not wait for it */
	m->look_ms = 0;
}

void
rh_master_roll(struct rh_master *m)
{
	uint64_t now_ms = rh_master_now_ms();
	unsigned away, most, left = 0;

	if (!m->rolling)
		return;
	away = rh_master_away(m);
	most = most_away(m);
	for (unsigned i = 0; i < m->spec->nworkers; i++) {
		struct rh_child *c = &m->children[i];

		if (c->pid == 0 || !c->old)
			continue;
		left++;
		if (c->told_ms)
			kill_late(m, c, now_ms);
		else if (away < most) {
			away++;
			replace(m, c, now_ms);
		}
	}
	if (left || away)
		return;
	m->rolling = false;
	rh_log_say(m->spec->log, RH_LOG_INFO, "pool %s: all workers are new",
	    m->spec->name);
}
