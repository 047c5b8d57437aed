/*
 * job - what a request leaves to be done behind it, and the code that does it.
 *
 * Shape    a table of kinds in the resource, as its routes are one; a row of
 *          jobs for each that waits or runs, of jobs_past for each that is over
 * Units    _ms milliseconds; progress in percent
 * Errors   what a handler returns is told once, by the runner, and the job is
 *          tried again after a pause, which doubles: 1 s, 2 s … an hour. After
 *          max_attempts it is dead
 * Owner    kinds are static tables of the application; a job is the runner's,
 *          and lives as long as its handler
 * Source   migrate/sql/0007_jobs
 *
 * A job is run at least once. What its handler does by rh_job_pipe, and that it
 * is done, are one transaction: of that there is all, once, or nothing. What it
 * does elsewhere it may do again: when its worker dies, or is so late that
 * another has the job by then.
 */
#ifndef RH_JOBS_JOB_H
#define RH_JOBS_JOB_H

#include "data/pipe.h"
#include "jobs/sealed.h"
#include "obs/log.h"
#include "obs/trace.h"

#define RH_JOB_ATTEMPTS 8
#define RH_JOB_TIMEOUT_MS 20000
#define RH_JOB_ARGS_MAX 65536
#define RH_JOB_KINDS_MAX 256

struct rh_job;
struct rh_out_conf;
struct rh_runner;
struct rh_serve_conf;	/* serve/conf.h: carried, never opened here */

struct rh_job_kind {
	const char *name; /* "exports.make": the label of metric and span */
	/* NULL: done. It may take timeout_ms; what waits for PostgreSQL knows. */
	struct rh_err *(*handler)(struct rh_job *job);
	unsigned max_attempts; /* 0: RH_JOB_ATTEMPTS */
	int64_t timeout_ms;    /* 0: RH_JOB_TIMEOUT_MS */
	int priority;	       /* the higher first, within its tenant */
	/* each tenant's; what job_controls has of that tenant and kind goes first */
	unsigned concurrency; /* at most so many run at a time; 0: any */
	double rate_per_s;    /* at most so many begin in a second; 0: any */
	bool secret;	       /* the database is not to read its args: sealed.h */
	unsigned index;	       /* given by rh_job_kinds_register, from 1 on */
};

struct rh_job {
	const struct rh_job_kind *kind; /* NULL: not of this program */
	struct rh_slice kind_name;
	struct rh_uuid tenant, id;
	struct rh_uuid actor;	    /* who asked for it; nil: nobody */
	struct rh_slice args;	    /* JSON, as PostgreSQL prints it */
	int attempt, max_attempts;  /* attempt: 1 is the first */
	struct rh_slice request_id; /* of the request that left it */
	struct rh_arena *arena;
	struct rh_trace *trace;
	struct rh_log *log;
	const struct rh_serve_conf *conf;
	/* what the handler may say besides its error */
	struct rh_slice
	    result; /* JSON, at most RH_JOB_ARGS_MAX bytes; p NULL: none */
	bool final; /* with an error: it is not to be tried again */
	const struct rh_sealer *sealer; /* for what it leaves itself */
	struct rh_runner *runner;
	const struct rh_out_conf *out; /* for rh_out_ask; NULL: this program has none */
};

/* A table ended by { 0 }, before the fork. */
void rh_job_kinds_register(struct rh_job_kind *kinds);
/* 1 to the count; 0 stands for those that are not known. */
unsigned rh_job_kinds_count(void);
const struct rh_job_kind *rh_job_kinds_get(unsigned index);
const struct rh_job_kind *rh_job_kinds_find(struct rh_slice name);

/*
 * The job's transaction, as the tenant whose it is: from here on others cannot
 * take the job, and statements are under its row-level security. It ends with
 * the handler: committed where that answers NULL, else taken back.
 */
struct rh_pipe *rh_job_pipe(struct rh_job *job);
/*
 * A look at what the job is about, in front of what takes its time outside of
 * PostgreSQL: a transaction as rh_job_pipe's, which rh_job_looked ends and takes
 * back. Not once rh_job_pipe was called.
 */
struct rh_pipe *rh_job_look(struct rh_job *job);
RH_MUST_CHECK struct rh_err *rh_job_looked(struct rh_job *job,
    struct rh_pipe *pipe);
/*
 * For a handler that takes its time outside of PostgreSQL: says how far it is
 * (percent; negative: as before) and keeps the job for as long again as its
 * kind may take. False: it is to stop, for it was cancelled or is another's.
 * Not once rh_job_pipe was called.
 */
RH_MUST_CHECK bool rh_job_go_on(struct rh_job *job, int percent);

/*
 * Of what a job is left, no row is made without. Who leaves it is known in the
 * transaction: the request's caller, or the one of the job whose it is.
 */
struct rh_job_origin {
	struct rh_uuid tenant;
	const struct rh_trace *trace;
	struct rh_slice request_id;
	/* for kinds that are secret; others may go without */
	const struct rh_sealer *sealer;
	struct rh_arena *arena; /* lives until the pipe is flushed */
};
struct rh_job_options {
	int64_t run_at_us; /* wall clock; 0: at once */
	struct rh_slice
	    unique; /* while one of its kind with this key waits or runs, there is no second */
	int priority; /* on top of the kind's */
};
/*
 * Queues the row, in the transaction that the pipe is in; read it with
 * rh_pipe_done in its turn: 0 where .unique is taken. args: a JSON value, at
 * most RH_JOB_ARGS_MAX bytes, RH_SEALED_MAX of a secret kind. Answers the
 * job's id.
 */
struct rh_uuid rh_job_send(struct rh_pipe *pipe,
    const struct rh_job_origin *origin, const struct rh_job_kind *kind,
    struct rh_slice args, const struct rh_job_options *options);

/* How many this process has sent, committed or not: who left some looks who rests. */
uint64_t rh_job_sent(void);
/* args as they are to be stored in that row: sealed where the kind is secret. */
struct rh_slice rh_job_seal(const struct rh_job_origin *origin,
    const struct rh_job_kind *kind, struct rh_uuid row, struct rh_slice args);

extern struct rh_stmt rh_job_stmts[];

#endif
