#include "config.h"

#include "serve/master.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t writer_stop;
static unsigned writer_grace_s;

/* SIGUSR1: what is left in the rings is another writer's. */
static void
end_writer(int sig)
{
	writer_stop = sig == SIGUSR1 ? RH_DRAIN_LEAVE : RH_DRAIN_EMPTY;
	/* without a master nobody else ends one whose reader has stalled */
	alarm(writer_grace_s);
}

static void
take_signals(void)
{
	struct sigaction on_term = { .sa_handler = end_writer };
	sigset_t none;

	sigemptyset(&on_term.sa_mask);
	sigaction(SIGTERM, &on_term, NULL);
	sigaction(SIGUSR1, &on_term, NULL);
	signal(SIGALRM, SIG_DFL);
	/* the terminal's are the master's to hear */
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGUSR2, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Nothing of the pool's may be kept open by a process that outlives it. */
static void
close_all_but(int fd)
{
	if (fd > 3)
		close_range(3, (unsigned)fd - 1, 0);
	close_range((unsigned)RH_MAX(fd + 1, 3), ~0u, 0);
}

static RH_NORETURN void
write_log(const struct rh_master *m)
{
	prctl(PR_SET_NAME, "rh-log");
	writer_grace_s = 1 + (unsigned)(m->spec->shutdown_grace_ms / 1000);
	take_signals();
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != m->h.master)
		writer_stop = RH_DRAIN_EMPTY;
	close_all_but(m->spec->log_fd);
	rh_log_drain(m->spec->segment, m->spec->log_fd, &writer_stop);
	_exit(0);
}

void
rh_master_writer_spawn(struct rh_master *m)
{
	struct rh_child *c = &m->writer;

	c->due_ms = UINT64_MAX;
	if (m->spec->log_fd < 0)
		return;
	c->started_ms = rh_master_now_ms();
	if ((c->pid = fork()) == 0)
		write_log(m);
	if (c->pid > 0)
		return;
	c->pid = 0;
	c->due_ms = c->started_ms + 1000;
}

void
rh_master_writer_end(struct rh_master *m, uint64_t deadline_ms)
{
	const struct timespec nap = { .tv_nsec = 5 * 1000 * 1000 };

	if (m->writer.pid == 0)
		return;
	kill(m->writer.pid, SIGTERM);
	while (waitpid(m->writer.pid, NULL, WNOHANG) == 0) {
		if (rh_master_now_ms() >= deadline_ms)
			kill(m->writer.pid, SIGKILL);
		nanosleep(&nap, NULL);
	}
	m->writer.pid = 0;
}
