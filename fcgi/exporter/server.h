/*
 * server - HTTP for the exporter, in one thread.
 *
 * Units    listens on "address:port", "[address]:port" or "name:port"
 * Errors   a reason in *why: the address is none, or is taken
 * Owner    the thread of its own alone uses the source, until server_stop
 * Source   libmicrohttpd (server.c alone sees it)
 */
#ifndef RH_EXPORTER_SERVER_H
#define RH_EXPORTER_SERVER_H

#include "base/buf.h"
#include "exporter/source.h"

struct server;

/* token n == 0: all may look. NULL and a reason, or a server that answers. */
struct server *server_start(struct rh_slice listen, struct rh_slice token,
    struct source *source, struct rh_arena *arena, struct rh_buf *why);
void server_stop(struct server **server);

#endif
