/*
 * stand - a pool of its own for a test, and clients to talk to it.
 *
 * Shape    lines instead of FastCGI: "keep", "close", "slow" (a third of a
 *          second), "gate" (until stand_open_gate), "hang", "die"; the answer is
 *          the worker's pid and a newline, the shedder's STAND_REFUSED
 * Units    every wait of a client is bounded by STAND_WAIT_MS
 * Owner    stand_open forks the master; stand_close ends it and removes all
 */
#ifndef STAND_H
#define STAND_H

#include <sys/types.h>

#include "obs/segment.h"
#include "serve/pool.h"

#define STAND_WAIT_MS	60000
#define STAND_REFUSED	1

struct stand {
	pid_t master;
	unsigned nworkers;
	char folder[64];
	char address[128];	/* unix:… unless set before stand_open */
	char segment_path[96];
	struct rh_segment *segment;
	int port;		/* of TCP */
	bool broken_start;	/* every worker exits in its start hook */
	bool false_start;	/* … or says false */
	_Atomic int *gate;
};

/* Fills spec with small defaults, for the test to change before stand_open. */
void stand_init(struct stand *s, struct rh_pool_spec *spec, unsigned nworkers);
void stand_open(struct stand *s, struct rh_pool_spec *spec);
/* SIGTERM, and the master's exit status. */
int stand_close(struct stand *s);
/* After the master's end. */
void stand_clean(struct stand *s);
int stand_wait(struct stand *s);
/* Until every slot has a worker that has started. */
void stand_settle(struct stand *s, unsigned nworkers);
/* How many workers there are; until they are that many. */
unsigned stand_count(struct stand *s);
void stand_await_count(struct stand *s, unsigned min, unsigned max);
/* Until so many workers are inside a request; what "gate" waits for. */
void stand_await_busy(const struct stand *s, unsigned nworkers);
void stand_open_gate(struct stand *s);
/*
 * Until so many connections are kept, and no worker has one: whoever heard the
 * last answer is ahead of the worker, which has yet to give it back.
 */
void stand_await_kept(const struct stand *s, unsigned n);
/* Until workers can know that the pool ends. */
void stand_await_draining(const struct stand *s);
/* worker_restarts_total for that reason. */
unsigned stand_restarts(struct stand *s, enum rh_end reason);
/* Until it is at least so many. */
void stand_await_restarts(struct stand *s, enum rh_end reason, unsigned n);

int stand_connect(const struct stand *s);
void stand_say(int fd, const char *text);
/* The pid that answered; 0: the connection was closed. Fails after the wait. */
pid_t stand_hear(int fd);
/* Says it and hears the answer. */
pid_t stand_ask(int fd, const char *line);
void stand_nap(int ms);

#endif
