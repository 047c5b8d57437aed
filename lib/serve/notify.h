/*
 * notify - tells the service manager how we are, as sd_notify(3) does.
 *
 * Shape    a datagram of VARIABLE=value lines to the unix socket that
 *          NOTIFY_SOCKET names, a path or @abstract
 * Units    watchdog in mono milliseconds
 * Errors   none: without a manager, or where it does not take it, nothing is
 *          sent; never blocks
 * Owner    the master
 * Source   sd_notify(3), sd_watchdog_enabled(3)
 */
#ifndef RH_SERVE_NOTIFY_H
#define RH_SERVE_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/un.h>

#include "base/attr.h"

struct rh_notify {
	int fd;			/* -1: nobody listens */
	struct sockaddr_un to;
	unsigned to_bytes;
	uint64_t watchdog_ms;	/* half of what the manager waits; 0: none */
	uint64_t next_ms;	/* when it is to hear from us again */
	bool said_ready;
};

/* By NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. */
void rh_notify_open(struct rh_notify *notify);
void rh_notify_close(struct rh_notify *notify);
/* "READY=1\nSTATUS=8 workers" */
void rh_notify_say(const struct rh_notify *notify, const char *fmt, ...)
    RH_PRINTF(2, 3);

#endif
