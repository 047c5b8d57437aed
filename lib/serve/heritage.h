/*
 * heritage - what survives the fork: all that a worker has from its master.
 *
 * Shape    one struct, filled by the master, copied by fork
 * Owner    each process has its own fds, under numbers of its own once the
 *          two have gone separate ways
 */
#ifndef RH_SERVE_HERITAGE_H
#define RH_SERVE_HERITAGE_H

#include <signal.h>
#include <sys/epoll.h>

#include "serve/pool.h"
#include "serve/share.h"
#include "serve/waiting.h"

/* How a worker says why it left: its number of requests, its memory … */
#define RH_EXIT_REQUESTS	64
#define RH_EXIT_MEMORY		65
/* … or that it was told there are too many: nobody takes its place. */
#define RH_EXIT_SPARE		66

/* With a SIGTERM of sigqueue(3): there are too many of you. */
#define RH_TERM_SPARE		1

struct rh_heritage {
	const struct rh_pool_spec *spec;
	struct rh_share *share;
	unsigned nseats;
	int *fds;		/* by seat; -1: none */
	uint32_t *generations;	/* by seat: whose fds[seat] is */
	pid_t master;		/* 0: there is none */
	struct rh_waiting waiting;	/* the master's, and the shedder's */
	/* the worker's own */
	unsigned slot;
	int channel;
	uint64_t max_requests, max_memory;
	bool sheds;		/* turns away what is over queue_max */
};

/* What woke us, in epoll_event.data: kind and index. */
enum rh_woke {
	RH_WOKE_SIGNAL, RH_WOKE_CALL, RH_WOKE_CHANNEL, RH_WOKE_LISTEN, RH_WOKE_FRESH,
	RH_WOKE_SEAT
};

static inline struct epoll_event
rh_wake(uint32_t events, enum rh_woke kind, unsigned index)
{
	return (struct epoll_event){ .events = events,
		.data.u64 = (uint64_t)kind << 32 | index };
}

static inline enum rh_woke
rh_woke_kind(const struct epoll_event *ev)
{
	return (enum rh_woke)(ev->data.u64 >> 32);
}

static inline unsigned
rh_woke_index(const struct epoll_event *ev)
{
	return (unsigned)(ev->data.u64 & UINT32_MAX);
}

/* Ends in _exit. */
RH_NORETURN void rh_worker_run(struct rh_heritage *heritage);

#endif
