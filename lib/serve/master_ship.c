#include "config.h"

#include "serve/master.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "obs/journal.h"
#include "obs/otlp.h"

/*
 * The master's own spans, of requests whose workers died, and all that these
 * left. Shipping wants a thread and a library that may block, so it is a
 * child's, started once there is something: most pools never have one.
 */

/* Less than what the master has at its own end. */
#define STOP_MS		3000
#define RETRY_MS	1000

static bool
is_wanted(const struct rh_master *m)
{
	const struct rh_shipper_spec *ship = m->spec->ship;

	return ship && ship->conf->traces && !ship->conf->disabled &&
	    rh_ring_has(ship->ring);
}

/* The ring stays whole if the master dies: the next one's child goes on. */
static RH_NORETURN void
ship(const struct rh_master *m)
{
	struct rh_shipper_spec spec = *m->spec->ship;
	struct rh_otlp_conf conf = *spec.conf;
	struct rh_shipper *shipper;
	sigset_t term;
	int sig;

	prctl(PR_SET_NAME, "rh-ship");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != m->h.master)
		_exit(0);
	close_range(3, ~0u, 0);
	/* what it ships has waited long enough */
	conf.schedule_delay_ms = 0;
	spec.conf = &conf;
	if (!(shipper = rh_shipper_start(&spec)))
		_exit(1);
	/* blocked since the fork, like all that the master hears itself */
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigwait(&term, &sig);
	rh_shipper_stop(&shipper, STOP_MS);
	_exit(0);
}

static void
spawn(struct rh_master *m)
{
	m->ship.due_ms = rh_master_now_ms() + RETRY_MS;
	if ((m->ship.pid = fork()) == 0)
		ship(m);
	m->ship.pid = RH_MAX(m->ship.pid, 0);
}

void
rh_master_ship_due(struct rh_master *m)
{
	if (m->ship.pid == 0 && m->ship.due_ms <= rh_master_now_ms() &&
	    is_wanted(m))
		spawn(m);
}

uint64_t
rh_master_ship_wait_ms(const struct rh_master *m, uint64_t now_ms)
{
	if (m->ship.pid || !is_wanted(m))
		return UINT64_MAX;
	return m->ship.due_ms > now_ms ? m->ship.due_ms - now_ms : 0;
}

void
rh_master_ship_again(struct rh_master *m)
{
	if (m->ship.pid)
		kill(m->ship.pid, SIGTERM);
}

void
rh_master_ship_end(struct rh_master *m, uint64_t deadline_ms)
{
	const struct timespec nap = { .tv_nsec = 5 * 1000 * 1000 };

	if (m->ship.pid == 0 && is_wanted(m))
		spawn(m);
	if (m->ship.pid == 0)
		return;
	kill(m->ship.pid, SIGTERM);
	while (waitpid(m->ship.pid, NULL, WNOHANG) == 0) {
		if (rh_master_now_ms() >= deadline_ms)
			kill(m->ship.pid, SIGKILL);
		nanosleep(&nap, NULL);
	}
	rh_journal_settle(m->spec->segment, 0);
	m->ship.pid = 0;
}
