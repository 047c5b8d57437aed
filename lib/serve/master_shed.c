#include "config.h"

#include "serve/master.h"

/* So long after it was needed last, the shedder ends. */
#define REST_MS		10000
#define AGAIN_MS	1000

static void
start(struct rh_master *m, struct rh_child *c, unsigned unserved,
    uint64_t now_ms)
{
	const struct rh_pool_spec *spec = m->spec;

	c->due_ms = now_ms + AGAIN_MS;
	if (!rh_master_spawn(m, spec->nworkers))
		return;
	rh_log_say(spec->log, RH_LOG_WARN, "pool %s: %u requests wait, and"
	    " queue_max is %u: those over it are turned away", spec->name,
	    unserved, spec->queue_max);
}

void
rh_master_shed_end(struct rh_master *m)
{
	struct rh_child *c = &m->children[m->spec->nworkers];

	if (c->pid == 0 || c->told_ms)
		return;
	rh_master_retire(c);
	c->due_ms = 0;		/* the next one need not wait: this one was well */
}

void
rh_master_shed(struct rh_master *m, unsigned unserved, bool grows,
    uint64_t now_ms)
{
	struct rh_child *c = &m->children[m->spec->nworkers];

	if (m->spec->queue_max == 0)
		return;
	/* workers that are on their way may well do for all who wait */
	atomic_store(&m->h.share->queue_bound,
	    grows ? UINT32_MAX : m->spec->queue_max);
	if (!grows && unserved > m->spec->queue_max) {
		m->shed_ms = now_ms;
		if (c->pid == 0 && c->due_ms <= now_ms)
			start(m, c, unserved, now_ms);
	} else if (c->pid && c->told_ms == 0 &&
	    now_ms - m->shed_ms >= REST_MS) {
		rh_master_retire(c);
		rh_log_say(m->spec->log, RH_LOG_INFO, "pool %s: no request is"
		    " turned away any more", m->spec->name);
	}
}
