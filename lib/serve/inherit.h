/*
 * inherit - a listening socket that whoever started us has opened.
 *
 * Shape    systemd's: LISTEN_PID is us and LISTEN_FDS is 1, descriptor 3
 *          (sd_listen_fds(3)). A FastCGI process manager's, such as
 *          spawn-fcgi: descriptor 0 is a socket without a peer (FastCGI
 *          specification, 2.2)
 * Errors   false and a sentence in *why: more than one socket, or one that is
 *          no listening stream socket
 * Owner    the caller has the descriptor, non-blocking and close-on-exec; its
 *          socket file is the manager's, and stays
 */
#ifndef RH_SERVE_INHERIT_H
#define RH_SERVE_INHERIT_H

#include "base/buf.h"

struct rh_listen;

enum rh_inherited {
	RH_INHERITED_NOTHING, RH_INHERITED_SYSTEMD, RH_INHERITED_STDIN
};

RH_MUST_CHECK bool rh_inherit(struct rh_listen *listener,
    enum rh_inherited *what, struct rh_buf *why);

#endif
