/*
 * duty - what a worker of the jobs' pool does: duties, at each place in turn.
 *
 * Shape    a table of steps (duty.c). A step does a little, at one place, home
 *          or a placement, and says when there may be more; who is due for the
 *          longest is next, and the worker rests until somebody is
 * Units    nanoseconds
 * Errors   a step tells of its own, in the log; what it could not do it does
 *          again when it is due. The duties at a place whose database is away
 *          rest; those at the others go on
 * Owner    the worker. What a duty keeps from step to step it keeps by place,
 *          in a struct of its own that hangs on struct rh_kept
 *
 * To write one: a row in duty.c's table; a pointer in struct rh_kept, which
 * _open sets, at each place, when that is reached for the first time; a step,
 * which finds it in s->kept, and the place's session in s->pg, ready. A step
 * is never told which place it is at, and need not know.
 */
#ifndef RH_SERVE_DUTY_H
#define RH_SERVE_DUTY_H

#include "serve/server.h"

/*
 * Of several workers the first is the courier. A job may hold its worker for
 * as long as its kind may take; what must not wait for one is the courier's, and
 * he runs none. A worker that is alone does all.
 */
enum rh_duty_who { RH_DUTY_EVERYBODY, RH_DUTY_COURIER, RH_DUTY_JOBS };

/*
 * With the request's arena, empty, and the place's session, ready, as far as
 * is known; *again_ns: how long there is nothing to do there. Answers how many
 * things it has done.
 */
typedef unsigned rh_duty_step(struct rh_server *s, int64_t *again_ns);

struct rh_duty {
	const char *name;
	enum rh_duty_who who;
	/* At a place that is reached for the first time; NULL: nothing to prepare. */
	void (*open)(struct rh_server *s);
	rh_duty_step *step;
	/* Before the worker ends, at each place where it was opened; or NULL. */
	void (*close)(struct rh_server *s);
	enum rh_wake wake; /* what is left for it; at once, and then … */
	int64_t gap_ns;	   /* … not before so long after its last step */
};

/* What the duties keep at one place; zero at first. */
struct rh_kept {
	struct rh_relaying *relaying;	/* duty_relay.c */
	struct rh_runner *runner;	/* duty_jobs.c */
	struct rh_cronning *cronning;	/* duty_cron.c */
	struct rh_deliver *deliver;	/* duty_deliver.c */
	uint64_t purge_ns;		/* mono: when replies that expired are looked for */
	bool inboxes_failed;		/* duty_inboxes.c */
	/* duty.c's own */
	bool opened;
	bool ready;
	bool away;		/* as the log was told */
	uint64_t look_ns;	/* mono: not before is it asked again whether it is there */
	uint64_t *due_ns;	/* mono: of each duty's next step */
	uint64_t *stepped_ns;	/* mono: of its last one's end */
	unsigned called;	/* for what, as bits of wake.h; who heeds it takes it back */
};

/* One that another has left something for is due, at this place. */
void rh_duty_hasten(struct rh_server *s, rh_duty_step *whose);

/* duty_part.c: of several. */

/*
 * Who a claim is for: not the process but its slot. Whoever has it next knows
 * that the one before is gone, and need not wait for the end of its leases.
 */
struct rh_uuid rh_duty_holder(const struct rh_server *s);
/* A step's own transaction, of which the master is not told. */
struct rh_pipe *rh_duty_begin(struct rh_server *s);
/* Its end; what went wrong is said once, until it works again. */
void rh_duty_end(struct rh_server *s, const char *what,
    const struct rh_err *err, bool *failed);

/* duty_jobs.c: the queue's. Two rows share the runner. */
void rh_duty_jobs_open(struct rh_server *s);
void rh_duty_jobs_close(struct rh_server *s);
unsigned rh_duty_jobs_step(struct rh_server *s, int64_t *again_ns);
unsigned rh_duty_jobs_tend(struct rh_server *s, int64_t *again_ns);

/* duty_cron.c: jobs of what is due by a schedule. */
void rh_duty_cron_open(struct rh_server *s);
unsigned rh_duty_cron_step(struct rh_server *s, int64_t *again_ns);

/* duty_inboxes.c; rh_duty_out: what a job's handler may reach. */
const struct rh_out_conf *rh_duty_out(struct rh_server *s);
extern struct rh_stmt rh_duty_inboxes_stmts[];
unsigned rh_duty_inboxes(struct rh_server *s, int64_t *again_ns);

/* The hooks of serve/pool.h. */
bool rh_duty_start(void *server, unsigned slot);
int rh_duty_called(void *server);
int64_t rh_duty_work(void *server, uint64_t *done);
void rh_duty_stop(void *server, int64_t deadline_ms);

#endif
