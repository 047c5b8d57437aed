#include "config.h"

#include "serve/inherit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"
#include "serve/listen.h"

#define SYSTEMD_FD	3

static bool
number_of(const char *name, uint64_t *value)
{
	const char *text = getenv(name);

	return text && rh_u64_get(value, rh_slice_of(text));
}

static bool
is_option(int fd, int option, int want)
{
	int is = 0;
	socklen_t n = sizeof(is);

	return getsockopt(fd, SOL_SOCKET, option, &is, &n) == 0 && is == want;
}

static bool
is_listening(int fd)
{
	return is_option(fd, SO_ACCEPTCONN, 1) &&
	    is_option(fd, SO_TYPE, SOCK_STREAM);
}

/* Several processes accept from it: none may wait for what another has got. */
static bool
take(struct rh_listen *l, int fd)
{
	const int on = 1;

	*l = (struct rh_listen){ .fd = fd };
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 &&
	    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0;
}

static bool
take_systemds(struct rh_listen *l, uint64_t n, struct rh_buf *why)
{
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	if (n != 1) {
		rh_buf_printf(why, "systemd passes %llu sockets; name one in"
		    " the .socket unit", (unsigned long long)n);
		return false;
	}
	if (is_listening(SYSTEMD_FD) && take(l, SYSTEMD_FD))
		return true;
	rh_buf_lit(why, "what systemd passes is no listening stream socket");
	return false;
}

static bool
stdin_has_no_peer(void)
{
	struct sockaddr_storage peer;
	socklen_t n = sizeof(peer);

	return getpeername(STDIN_FILENO, (struct sockaddr *)&peer, &n) < 0 &&
	    errno == ENOTCONN;
}

/* Out of the way of whatever takes descriptor 0 for its input. */
static bool
take_stdin(struct rh_listen *l, struct rh_buf *why)
{
	int null, fd;

	if (!is_listening(STDIN_FILENO)) {
		rh_buf_lit(why, "descriptor 0 is a socket, but no listening"
		    " stream socket");
		return false;
	}
	fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && null >= 0 && dup2(null, STDIN_FILENO) >= 0 &&
	    close(null) == 0 && take(l, fd))
		return true;
	rh_buf_printf(why, "cannot take descriptor 0: %s", strerror(errno));
	return false;
}

bool
rh_inherit(struct rh_listen *l, enum rh_inherited *what, struct rh_buf *why)
{
	uint64_t pid, n;

	*what = RH_INHERITED_NOTHING;
	if (number_of("LISTEN_PID", &pid) && pid == (uint64_t)getpid() &&
	    number_of("LISTEN_FDS", &n) && n > 0) {
		*what = RH_INHERITED_SYSTEMD;
		return take_systemds(l, n, why);
	}
	if (stdin_has_no_peer()) {
		*what = RH_INHERITED_STDIN;
		return take_stdin(l, why);
	}
	return true;
}
