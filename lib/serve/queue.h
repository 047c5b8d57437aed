/*
 * queue - how many connections wait to be accepted.
 *
 * Shape    unix: NETLINK_SOCK_DIAG, asked for the socket's inode; TCP:
 *          tcp_info
 * Errors   false where the kernel does not tell: no sock_diag, a filter on
 *          address families
 * Owner    the process that opened it: a netlink socket is not shared
 */
#ifndef RH_SERVE_QUEUE_H
#define RH_SERVE_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

struct rh_queue {
	int listen_fd;
	int netlink;		/* -1: TCP, or none */
	uint32_t inode;		/* of a unix socket */
};

/* False: no length is to be had; errno says why. */
RH_MUST_CHECK bool rh_queue_open(struct rh_queue *q, int listen_fd);
void rh_queue_close(struct rh_queue *q);
/* Never blocks: the kernel answers within the question. */
RH_MUST_CHECK bool rh_queue_length(const struct rh_queue *q, unsigned *length);

#endif
