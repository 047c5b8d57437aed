/*
 * will - what a master leaves to the program that it becomes by exec: the
 * socket, the segment, its workers, the connections they share.
 *
 * Shape    lines of text in a memfd, whose number ROWHOUSE_WILL names; the
 *          descriptors keep their numbers over the exec
 * Units    times in mono milliseconds
 * Errors   false and a sentence in *why: lines that cannot be, or another
 *          RH_WILL_VERSION
 * Owner    who reads it has the descriptors, close-on-exec again
 */
#ifndef RH_SERVE_WILL_H
#define RH_SERVE_WILL_H

#include <sys/types.h>

#include "base/arena.h"
#include "base/buf.h"
#include "obs/segment.h"

/*
 * Raised with every change of what workers of two versions would share: the
 * seats' words, the parcels, how any area of the segment is laid out. Programs
 * that differ in it do not succeed each other.
 */
#define RH_WILL_VERSION		(1002u + RH_SEGMENT_VERSION)
#define RH_WILL_ENV		"ROWHOUSE_WILL"
/* Of the trial: the version that the master would leave. */
#define RH_TRIAL_ENV		"ROWHOUSE_TRIAL"

struct rh_will_worker {
	pid_t pid;		/* 0: none */
	int channel;
	uint64_t started_ms;
	bool owes;		/* it is still to be told of connections */
};

struct rh_will {
	int listen;
	char *path;		/* of the socket file; NULL: not ours */
	dev_t dev;
	ino_t ino;
	int segment;
	bool same_segment;	/* set by who reads it: the geometry fits */
	pid_t writer, ship;
	unsigned nworkers;	/* places: the last is the shedder's */
	struct rh_will_worker *workers;
	unsigned nseats;
	int *seats;		/* the connections' descriptors; -1: none */
};

/* An empty one, to be filled. */
struct rh_will *rh_will_new(struct rh_arena *arena, unsigned nworkers,
    unsigned nseats);
/* The memfd; -1 where there is none, as errno says. */
int rh_will_write(const struct rh_will *will, struct rh_arena *arena);
/* Whether its descriptors outlive an exec. */
void rh_will_keep(const struct rh_will *will, bool over_exec);
/* *will NULL: nothing was left to us. */
RH_MUST_CHECK bool rh_will_read(struct rh_will **will, struct rh_arena *arena,
    struct rh_buf *why);
/* The version of a trial that is asked for; 0: this is none. */
unsigned rh_will_trial(void);

#endif
