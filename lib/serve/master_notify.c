#include "config.h"

#include "serve/master.h"

#include <inttypes.h>

#include "base/clock.h"

static void
say_ready(struct rh_master *m)
{
	bool sheds = m->children[m->spec->nworkers].pid != 0;

	rh_notify_say(&m->notify, "READY=1\nSTATUS=%u workers, pool %s",
	    m->nchildren - sheds, m->spec->name);
	m->notify.said_ready = true;
}

void
rh_master_notify(struct rh_master *m)
{
	struct rh_notify *n = &m->notify;
	uint64_t now_ms = rh_master_now_ms();

	if (n->fd < 0)
		return;
	if (!n->said_ready && m->stop_ms == 0 && !m->rolling &&
	    !m->estate && rh_master_away(m) == 0)
		say_ready(m);
	if (n->watchdog_ms && now_ms >= n->next_ms) {
		rh_notify_say(n, "WATCHDOG=1");
		n->next_ms = now_ms + n->watchdog_ms;
	}
}

/* Until it is ready anew; one that was not ready yet only goes on starting. */
void
rh_master_notify_reload(struct rh_master *m)
{
	if (!m->notify.said_ready)
		return;
	rh_notify_say(&m->notify, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64
	    "\nSTATUS=reloading", rh_clock_mono_ns() / 1000);
	m->notify.said_ready = false;
}

void
rh_master_notify_stop(struct rh_master *m)
{
	rh_notify_say(&m->notify, "STOPPING=1\nSTATUS=draining");
}

uint64_t
rh_master_notify_wait_ms(const struct rh_master *m, uint64_t now_ms)
{
	const struct rh_notify *n = &m->notify;

	if (n->fd < 0)
		return UINT64_MAX;
	if (!n->said_ready && m->stop_ms == 0)
		return RH_LOOK_MS;
	if (n->watchdog_ms == 0)
		return UINT64_MAX;
	return n->next_ms > now_ms ? n->next_ms - now_ms : 0;
}
