/*
 * duty - what a worker of the jobs' pool does: duties, one after the other.
 *
 * Shape    a table of steps (duty.c). A step does a little, and says when there
 *          may be more; the worker rests until the first of them is due
 * Units    nanoseconds
 * Errors   a step tells of its own, in the log; what it could not do it does
 *          again when it is due
 * Owner    the worker; what a duty keeps from step to step is its own, made by
 *          _open
 */
#ifndef RH_SERVE_DUTY_H
#define RH_SERVE_DUTY_H

#include "serve/server.h"

struct rh_duty {
	const char *name;
	/* When the worker starts; NULL: nothing to prepare. */
	void (*open)(struct rh_server *s);
	/*
	 * With the request's arena and session, empty and ready; *again_ns: how
	 * long there is nothing to do, as far as it knows. Answers how many
	 * things it has done.
	 */
	unsigned (*step)(struct rh_server *s, int64_t *again_ns);
};

/* duty_jobs.c: the queue's. */
void rh_duty_jobs_open(struct rh_server *s);
void rh_duty_jobs_close(struct rh_server *s);
unsigned rh_duty_jobs_step(struct rh_server *s, int64_t *again_ns);
unsigned rh_duty_jobs_tend(struct rh_server *s, int64_t *again_ns);

/* The hooks of serve/pool.h. */
bool rh_duty_start(void *server, unsigned slot);
int64_t rh_duty_work(void *server, uint64_t *done);
void rh_duty_stop(void *server, int64_t deadline_ms);

#endif
