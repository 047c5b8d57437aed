#include "config.h"

#include "serve/listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "serve/privilege.h"

#define MODE_DEFAULT	0660

static bool
fail(struct rh_buf *why, struct rh_slice address, const char *what)
{
	rh_buf_printf(why, "cannot listen on %.*s: %s", RH_SLICE_ARG(address),
	    what);
	return false;
}

static int
new_socket(int family)
{
	return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* ---- unix ---- */

struct access {
	unsigned uid, gid;	/* -1: as it is */
	mode_t mode;
};

static bool
read_mode(struct rh_slice text, mode_t *mode)
{
	mode_t value = 0;

	if (text.n == 0) {
		*mode = MODE_DEFAULT;
		return true;
	}
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] < '0' || text.p[i] > '7')
			return false;
		value = value * 8 + (mode_t)(text.p[i] - '0');
		if (value > 0777)
			return false;
	}
	*mode = value;
	return true;
}

static bool
read_access(const struct rh_listen_spec *spec, struct access *access,
    struct rh_buf *why)
{
	access->uid = access->gid = (unsigned)-1;
	if (!read_mode(spec->mode, &access->mode))
		return fail(why, spec->address, "its mode is not octal");
	if (spec->owner.n && !rh_privilege_uid(spec->owner, &access->uid, why))
		return false;
	return spec->group.n == 0 ||
	    rh_privilege_gid(spec->group, &access->gid, why);
}

/* A full backlog is somebody, too. */
static bool
is_listened_on(const struct sockaddr_un *un)
{
	int fd = new_socket(AF_UNIX);
	bool listened;

	if (fd < 0)
		return true;
	listened = connect(fd, (const struct sockaddr *)un, sizeof(*un)) == 0 ||
	    errno != ECONNREFUSED;
	close(fd);
	return listened;
}

static bool
make_way(const struct sockaddr_un *un, struct rh_slice address,
    struct rh_buf *why)
{
	struct stat st;

	if (lstat(un->sun_path, &st) != 0) {
		if (errno == ENOENT)
			return true;
		return fail(why, address, strerror(errno));
	}
	if (!S_ISSOCK(st.st_mode))
		return fail(why, address,
		    "a file that is no socket is there");
	if (is_listened_on(un))
		return fail(why, address, "another process listens there");
	if (unlink(un->sun_path) != 0 && errno != ENOENT)
		return fail(why, address, strerror(errno));
	return true;
}

static bool
bind_unix(struct rh_listen *l, const struct sockaddr_un *un, char *path)
{
	/* nobody else may connect before its owner and mode are set */
	mode_t mask = umask(0177);
	int bound = bind(l->fd, (const struct sockaddr *)un, sizeof(*un));
	struct stat st;

	umask(mask);
	if (bound != 0 || lstat(path, &st) != 0)
		return false;
	l->path = path;
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	return true;
}

static bool
open_unix(struct rh_listen *l, const struct rh_listen_spec *spec,
    struct rh_arena *arena, struct rh_buf *why)
{
	struct rh_slice path = rh_slice_from(spec->address, 5);
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct access access;

	if (path.n == 0 || path.n >= sizeof(un.sun_path))
		return fail(why, spec->address, "the path is empty, or longer"
		    " than 107 bytes");
	memcpy(un.sun_path, path.p, path.n);
	if (!read_access(spec, &access, why) ||
	    !make_way(&un, spec->address, why))
		return false;
	if ((l->fd = new_socket(AF_UNIX)) >= 0 &&
	    bind_unix(l, &un, rh_arena_strdup(arena, path)) &&
	    chown(un.sun_path, access.uid, access.gid) == 0 &&
	    chmod(un.sun_path, access.mode) == 0)
		return true;
	return fail(why, spec->address, strerror(errno));
}

/* ---- TCP ---- */

/* "[::1]:9000", "127.0.0.1:9000", "localhost:9000", ":9000" */
static bool
split(struct rh_slice address, char host[256], char port[8])
{
	const char *colon = memrchr(address.p, ':', address.n);
	struct rh_slice h, p;

	if (!colon)
		return false;
	h = (struct rh_slice){ address.p, (size_t)(colon - address.p) };
	p = rh_slice_from(address, h.n + 1);
	if (h.n >= 2 && h.p[0] == '[' && h.p[h.n - 1] == ']')
		h = (struct rh_slice){ h.p + 1, h.n - 2 };
	if (p.n == 0 || p.n >= 8 || h.n >= 256)
		return false;
	memcpy(host, h.p, h.n);
	host[h.n] = '\0';
	memcpy(port, p.p, p.n);
	port[p.n] = '\0';
	return true;
}

static bool
bind_tcp(struct rh_listen *l, const struct addrinfo *ai)
{
	const int on = 1;

	if ((l->fd = new_socket(ai->ai_family)) < 0)
		return false;
	/* accepted connections inherit TCP_NODELAY: replies wait for no ACK */
	setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return bind(l->fd, ai->ai_addr, ai->ai_addrlen) == 0;
}

static bool
open_tcp(struct rh_listen *l, const struct rh_listen_spec *spec,
    struct rh_buf *why)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE };
	struct addrinfo *found;
	char host[256], port[8];
	bool bound;
	int err;

	if (!split(spec->address, host, port))
		return fail(why, spec->address, "it is neither unix:/path nor"
		    " address:port");
	err = getaddrinfo(host[0] ? host : NULL, port, &hints, &found);
	if (err)
		return fail(why, spec->address, gai_strerror(err));
	bound = bind_tcp(l, found);
	err = errno;
	freeaddrinfo(found);
	return bound || fail(why, spec->address, strerror(err));
}

bool
rh_listen_open(struct rh_listen *listener, const struct rh_listen_spec *spec,
    struct rh_arena *arena, struct rh_buf *why)
{
	bool bound;

	*listener = (struct rh_listen){ .fd = -1 };
	bound = rh_slice_has_prefix(spec->address, RH_SLICE("unix:")) ?
	    open_unix(listener, spec, arena, why) :
	    open_tcp(listener, spec, why);
	if (bound && listen(listener->fd, (int)spec->backlog) != 0)
		bound = fail(why, spec->address, strerror(errno));
	if (!bound)
		rh_listen_close(listener);
	return bound;
}

void
rh_listen_close(struct rh_listen *listener)
{
	struct stat st;

	if (listener->fd >= 0)
		close(listener->fd);
	listener->fd = -1;
	if (listener->path && lstat(listener->path, &st) == 0 &&
	    st.st_dev == listener->dev && st.st_ino == listener->ino)
		unlink(listener->path);
	listener->path = NULL;
}
