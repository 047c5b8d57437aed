/*
 * redis_server - a Redis of the test's own, on a unix socket, that remembers
 * nothing over a restart but what it was told to save.
 *
 * Owner    the process that started it: it dies with it
 */
#ifndef TESTS_REDIS_SERVER_H
#define TESTS_REDIS_SERVER_H

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/attr.h"

struct redis_server {
	char dir[64], path[96], url[128];
	const char *memory;	/* "2mb": least recently used keys go; NULL: no bound */
	pid_t pid;
};

static inline void
rest_ms(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

/* The program's own folder: what a failed test leaves in it goes at the end. */
static char redis_server_home[32] = "/tmp/rh-redis-XXXXXX";

static inline void
redis_server_home_open(void)
{
	rh_assert(mkdtemp(redis_server_home) != NULL);
}

static inline int
redis_server_home_close(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", redis_server_home);
	return system(command);
}

static inline bool
redis_server_is_there(void)
{
	return system("command -v redis-server >/dev/null 2>&1") == 0;
}

static inline bool
redis_server_answers(const struct redis_server *s)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool open;

	snprintf(at.sun_path, sizeof(at.sun_path), "%s", s->path);
	open = connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0;
	close(fd);
	return open;
}

static inline void
redis_server_start(struct redis_server *s)
{
	pid_t parent = getpid();

	if (!s->dir[0]) {
		snprintf(s->dir, sizeof(s->dir), "%s/XXXXXX",
		    redis_server_home);
		rh_assert(mkdtemp(s->dir) != NULL);
		snprintf(s->path, sizeof(s->path), "%s/socket", s->dir);
		snprintf(s->url, sizeof(s->url), "unix://%s", s->path);
	}
	unlink(s->path);
	if ((s->pid = fork()) == 0) {
		int null = open("/dev/null", O_RDWR);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		dup2(null, 0);
		dup2(null, 1);
		execlp("redis-server", "redis-server", "--port", "0",
		    "--unixsocket", s->path, "--dir", s->dir, "--save", "",
		    "--appendonly", "no", "--maxmemory",
		    s->memory ? s->memory : "0", "--maxmemory-policy",
		    "allkeys-lru", (char *)NULL);
		_exit(127);
	}
	for (int i = 0; i < 8000 && !redis_server_answers(s); i++)
		rest_ms(5);
	rh_assert(redis_server_answers(s));
}

/* As a crash does it. */
static inline void
redis_server_kill(struct redis_server *s)
{
	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0);
}

/* It hears nothing, from here on: a signal alone may still be on its way. */
static inline void
redis_server_freeze(struct redis_server *s)
{
	int status = 0;

	kill(s->pid, SIGSTOP);
	waitpid(s->pid, &status, WUNTRACED);
	rh_assert(WIFSTOPPED(status));
}

static inline void
redis_server_remove(struct redis_server *s)
{
	redis_server_kill(s);
	unlink(s->path);
	rmdir(s->dir);
}

#endif
