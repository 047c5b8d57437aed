#include "config.h"

#include "serve/master.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "serve/listen.h"
#include "serve/will.h"

/*
 * The program on disk is tried first, by a child: whether it starts, likes the
 * configuration, and has a worker that reaches PostgreSQL. Only then the
 * master becomes that program, in place, and with it the parent of the workers
 * there are; so its pid stays, and at no time is there a pool too few.
 */

#define TRIAL_MS	60000
#define SAID_MAX	16384

static void
refuse(struct rh_master *m, const char *what, const char *why)
{
	rh_log_say(m->spec->log, RH_LOG_ERROR,
	    "pool %s: no upgrade, the old program goes on: %s%s",
	    m->spec->name, what, why);
}

/* ---- the trial ---- */

static RH_NORETURN void
become_trial(const struct rh_master *m, int said)
{
	char version[16];
	sigset_t none;
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != m->h.master)
		_exit(1);
	dup2(null, STDOUT_FILENO);
	dup2(said, STDERR_FILENO);
	snprintf(version, sizeof(version), "%u", RH_WILL_VERSION);
	setenv(RH_TRIAL_ENV, version, 1);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execv(m->spec->program, m->spec->argv);
	dprintf(STDERR_FILENO, "cannot run %s: %s\n", m->spec->program,
	    strerror(errno));
	_exit(1);
}

static bool
is_changing(const struct rh_master *m)
{
	return m->stop_ms || m->rolling || m->estate || m->trial.pid;
}

void
rh_master_upgrade(struct rh_master *m)
{
	int said[2];

	if (!m->spec->program || is_changing(m)) {
		refuse(m, m->spec->program ? "another change is under way" :
		    "this pool knows no program to become", "");
		return;
	}
	if (pipe2(said, O_CLOEXEC | O_NONBLOCK) < 0) {
		refuse(m, "", strerror(errno));
		return;
	}
	m->trial.due_ms = rh_master_now_ms() + TRIAL_MS;
	if ((m->trial.pid = fork()) == 0)
		become_trial(m, said[1]);
	close(said[1]);
	m->trial.said = said[0];
	if (m->trial.pid > 0)
		return;
	m->trial.pid = 0;
	close(said[0]);
	refuse(m, "", strerror(errno));
}

void
rh_master_upgrade_late(struct rh_master *m)
{
	if (m->trial.pid == 0 || rh_master_now_ms() < m->trial.due_ms)
		return;
	m->trial.due_ms = UINT64_MAX;
	kill(m->trial.pid, SIGKILL);
}

/* What did not fit into the pipe was not said: nobody waits for a trial. */
static void
tell_trial(struct rh_master *m, int status)
{
	char text[SAID_MAX], how[64];
	ssize_t n = read(m->trial.said, text, sizeof(text) - 1);
	char *line, *rest;

	text[RH_MAX(n, 0)] = '\0';
	for (line = strtok_r(text, "\n", &rest); line;
	    line = strtok_r(NULL, "\n", &rest))
		rh_log_say(m->spec->log, RH_LOG_ERROR, "pool %s: %s says: %s",
		    m->spec->name, m->spec->program, line);
	snprintf(how, sizeof(how), "its trial ended with %s %d",
	    WIFSIGNALED(status) ? "signal" : "exit status",
	    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	refuse(m, how, "");
}

/* ---- the change ---- */

static struct rh_will *
make_will(const struct rh_master *m, struct rh_arena *arena)
{
	const struct rh_heritage *h = &m->h;
	const struct rh_listen *listen = m->spec->listen;
	struct rh_will *w = rh_will_new(arena, m->nplaces, h->nseats);

	w->listen = listen->fd;
	w->path = listen->path;
	w->dev = listen->dev;
	w->ino = listen->ino;
	w->segment = rh_segment_fd(m->spec->segment);
	w->writer = m->writer.pid;
	w->ship = m->ship.pid;
	for (unsigned i = 0; i < w->nworkers; i++) {
		const struct rh_child *c = &m->children[i];

		w->workers[i] = (struct rh_will_worker){ c->pid, c->channel,
			c->started_ms, c->nunsent > 0 };
	}
	memcpy(w->seats, h->fds, h->nseats * sizeof(*w->seats));
	return w;
}

static void
tell_becoming(const struct rh_master *m, bool yes)
{
	if (m->spec->becoming)
		m->spec->becoming(m->spec->ctx, yes);
}

/* Answers only where it failed. */
static void
become(struct rh_master *m)
{
	struct rh_arena *arena = rh_arena_new(65536, 64 << 20);
	struct rh_will *w = make_will(m, arena);
	int fd = rh_will_write(w, arena);
	char number[16];

	if (fd >= 0) {
		snprintf(number, sizeof(number), "%d", fd);
		setenv(RH_WILL_ENV, number, 1);
		rh_will_keep(w, true);
		fcntl(fd, F_SETFD, 0);
		rh_log_say(m->spec->log, RH_LOG_INFO, "pool %s: becoming %s",
		    m->spec->name, m->spec->program);
		tell_becoming(m, true);
		execv(m->spec->program, m->spec->argv);
	}
	refuse(m, "cannot become it: ", strerror(errno));
	tell_becoming(m, false);
	rh_will_keep(w, false);
	unsetenv(RH_WILL_ENV);
	if (fd >= 0)
		close(fd);
	rh_arena_destroy(&arena);
}

void
rh_master_upgrade_tried(struct rh_master *m, int status)
{
	m->trial.pid = 0;
	if (status != 0)
		tell_trial(m, status);
	close(m->trial.said);
	if (status != 0 || m->stop_ms)
		return;
	rh_master_notify_reload(m);
	become(m);
}

/* ---- and after it ---- */

static void
adopt_workers(struct rh_master *m, const struct rh_will *w)
{
	for (unsigned i = 0; i < w->nworkers; i++) {
		const struct rh_will_worker *x = &w->workers[i];
		struct epoll_event ev = rh_wake(EPOLLIN, RH_WOKE_CHANNEL, i);

		if (x->pid == 0)
			continue;
		m->children[i].pid = x->pid;
		m->children[i].channel = x->channel;
		m->children[i].started_ms = x->started_ms;
		m->children[i].idle_since_ms = rh_master_now_ms();
		m->nchildren++;
		rh_assert(epoll_ctl(m->epfd, EPOLL_CTL_ADD, x->channel,
		    &ev) == 0);
		if (x->owes)
			rh_master_remind_one(m, &m->children[i]);
	}
}

void
rh_master_succeed(struct rh_master *m, const struct rh_will *w,
    struct rh_arena *arena)
{
	if (!w->same_segment) {
		rh_master_estate_open(m, w, arena);
		return;
	}
	rh_assert(w->nworkers == m->nplaces && w->nseats == m->h.nseats);
	tell_becoming(m, false);
	rh_master_seats_adopt(m, w->seats);
	adopt_workers(m, w);
	m->writer.pid = w->writer;
	m->ship.pid = w->ship;
	rh_master_ship_again(m);
	/* it leaves what it has not taken to the next one, of our own code */
	if (w->writer)
		kill(w->writer, SIGUSR1);
	rh_master_roll_begin(m);
}
