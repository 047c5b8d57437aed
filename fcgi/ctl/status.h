/*
 * status - rowhouse-ctl status: the pools and their workers, and what waits, as
 * the segment has them now.
 *
 * Shape    status_read copies what there is into plain structs; two ways to
 *          print them, for a person and as JSON
 * Units    _us microseconds of the wall clock, or of a duration
 * Errors   status_read answers the exit status: STATUS_FAULT with a reason
 * Owner    the arena passed in
 * Source   exit statuses: Linux Standard Base, init scripts' "status"
 */
#ifndef RH_CTL_STATUS_H
#define RH_CTL_STATUS_H

#include "base/program.h"
#include "ctl/memory.h"
#include "obs/segment.h"

enum { STATUS_RUNNING = 0, STATUS_FAULT = 1, STATUS_STOPPED = 3 };

struct status_row {
	unsigned slot;
	pid_t pid;
	enum rh_slot_state state;
	int64_t started_us;
	int64_t since_us;	/* its request came, the last one, or it started */
	uint64_t requests;
	unsigned generation;
	struct memory memory;
	const struct rh_flight *flight;	/* NULL: no request in work */
};

struct status_pool {
	char name[16];
	bool runs;
	pid_t master;
	int64_t started_us;
	int64_t kept;		/* connections; -1: not told */
	struct rh_slice restarts;	/* lines of worker_restarts_total */
	const struct status_row *rows;
	unsigned n;
};

/* What is counted by an outcome, a result. */
struct status_count {
	struct rh_slice name;
	uint64_t n;
};

/* What is done behind requests; counts are since the segment was made. */
struct status_work {
	uint64_t jobs, oldest_s;	/* that wait; the longest of them */
	uint64_t events, lag_ns;
	const struct status_count *outcomes, *deliveries;
	unsigned noutcomes, ndeliveries;
};

struct status {
	const char *path;	/* of the segment */
	const char *why;	/* requests' pool is not running; NULL: it is */
	int64_t now_us;
	struct rh_segment_build build;
	struct status_pool fcgi, jobs;
	struct status_work work;
};

extern const char *const status_states[RH_SLOT_STATES];

int status_read(struct status *status, const char *path,
    struct rh_arena *arena, struct rh_buf *why);
/* The next reason and its count; false: that was the last one. */
RH_MUST_CHECK bool status_restart(const struct status_pool *pool,
    struct rh_slice *restarts, struct rh_slice *reason, struct rh_slice *count);

void status_put_text(struct rh_buf *to, const struct status *status);
void status_put_json(struct rh_buf *to, const struct status *status);

extern const struct rh_option status_options[];
int status_run(struct rh_program *self, int argc, char **argv);

#endif
