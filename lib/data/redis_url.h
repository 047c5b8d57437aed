/*
 * redis_url - where a Redis is, and as whom to speak to it.
 *
 * Shape    redis://[[user][:password]@]host[:port][/db]
 *          unix://[[user][:password]@]/path[?db=n]
 *          user and password percent-encoded (RFC 3986); [::1] for IPv6
 * Errors   a sentence that never quotes the URL: there is a password in it
 * Owner    texts live in the arena that was passed in
 */
#ifndef RH_DATA_REDIS_URL_H
#define RH_DATA_REDIS_URL_H

#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"

struct rh_redis_url {
	const char *path;	/* of the unix socket; NULL: TCP */
	const char *host;
	uint16_t port;
	const char *user;	/* NULL: the default one */
	const char *password;	/* NULL: none */
	unsigned db;
};

RH_MUST_CHECK bool rh_redis_url_get(struct rh_redis_url *to, struct rh_slice url,
    struct rh_arena *arena, struct rh_buf *why);

#endif
