/*
 * listen - the socket that the web server connects to.
 *
 * Shape    "unix:/path", "address:port", "[v6]:port", "name:port"
 * Errors   false and a sentence in *why: a path that somebody listens on, a
 *          file that is no socket, an unknown user or group, bind(2)'s reason
 * Owner    the master opens it; workers inherit it. Non-blocking, close-on-exec
 */
#ifndef RH_SERVE_LISTEN_H
#define RH_SERVE_LISTEN_H

#include <sys/types.h>

#include "base/arena.h"
#include "base/buf.h"

struct rh_listen {
	int fd;			/* -1: closed */
	char *path;		/* of a unix socket; NULL: TCP */
	dev_t dev;		/* the socket file that we made */
	ino_t ino;
};

struct rh_listen_spec {
	struct rh_slice address;
	struct rh_slice owner, group;	/* unix; empty: as they come */
	struct rh_slice mode;		/* octal; empty: 0660 */
	int64_t backlog;
};

/* A socket file that nobody listens on is taken over. path lives in arena. */
RH_MUST_CHECK bool rh_listen_open(struct rh_listen *listener,
    const struct rh_listen_spec *spec, struct rh_arena *arena,
    struct rh_buf *why);
/* Removes the socket file where it is still the one that was made. */
void rh_listen_close(struct rh_listen *listener);

#endif
