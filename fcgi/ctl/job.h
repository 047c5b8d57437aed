/*
 * job - rowhouse-ctl job: what waits, runs and is over, and what bounds it.
 *
 * Shape    job.c has the sub-commands, job_ask.c their statements, job_text.c
 *          how they are told. Of a tenant (--tenant) they are those of the
 *          database that it lives in; else home's, or --placement's
 * Units    rates a second; ids as elsewhere
 * Errors   1, with a reason on stderr: no such tenant, no such job, one that
 *          cannot be retried; drain: not within --timeout
 * Source   migrate/sql/0007_jobs, 0009_jobs_more
 */
#ifndef RH_CTL_JOB_H
#define RH_CTL_JOB_H

#include "base/program.h"
#include "ctl/database.h"

extern const struct rh_option job_options[];
int job_run(struct rh_program *self, int argc, char **argv);

/* ---- shared by job*.c ---- */

struct job_ask {
	const struct rh_program *self;
	struct database *db;
	struct rh_uuid tenant; /* nil: each */
	struct rh_slice kind;  /* p NULL: each */
	bool json;
};

struct job_row {
	struct rh_uuid id, tenant_id;
	struct rh_slice tenant, kind, state, error, request_id, trace_id, args,
	    result;
	int64_t attempt, max_attempts, progress, run_at, created_at, started_at,
	    finished_at;
	bool cancelling, sealed;
};
struct job_control {
	struct rh_slice tenant, kind, rate; /* p NULL: each; rate: a number */
	int64_t concurrency;		    /* 0: any */
	bool paused;
};
struct job_cron {
	struct rh_slice tenant, name, kind, schedule;
	int64_t next_at, last_at;
	bool paused;
};
struct job_left {
	int64_t left, later;
};
extern const struct rh_field job_row_shape[], job_one_shape[],
    job_control_shape[], job_cron_shape[];

/* What to change of what bounds jobs; -1 and p NULL: as it was; 0: no bound. */
struct job_change {
	int paused; /* 0, 1 */
	int64_t concurrency;
	struct rh_slice rate;
};

/* job_ask.c: each a transaction. */
RH_MUST_CHECK struct rh_err *job_ask_tenant(struct job_ask *a,
    struct rh_slice slug, bool *found);
RH_MUST_CHECK struct rh_err *job_ask_list(struct job_ask *a,
    struct rh_slice state, int64_t limit, struct job_row **rows, size_t *n);
RH_MUST_CHECK struct rh_err *job_ask_show(struct job_ask *a, struct rh_uuid id,
    struct job_row *row, bool *found);
/* False in *found: there is none. */
RH_MUST_CHECK struct rh_err *job_ask_retry(struct job_ask *a, struct rh_uuid id,
    bool *found);
RH_MUST_CHECK struct rh_err *job_ask_cancel(struct job_ask *a,
    struct rh_uuid id, bool *found);
/* All that are dead, or cancelled; how many. */
RH_MUST_CHECK struct rh_err *job_ask_retry_all(struct job_ask *a,
    struct rh_slice state, int64_t *n);
/* All that wait or run. */
RH_MUST_CHECK struct rh_err *job_ask_cancel_all(struct job_ask *a, int64_t *n);
RH_MUST_CHECK struct rh_err *job_ask_control(struct job_ask *a,
    const struct job_change *change);
RH_MUST_CHECK struct rh_err *job_ask_controls(struct job_ask *a,
    struct job_control **rows, size_t *n);
/* later: scheduled for when within_ms are over. */
RH_MUST_CHECK struct rh_err *job_ask_left(struct job_ask *a, int64_t within_ms,
    struct job_left *left);
RH_MUST_CHECK struct rh_err *job_ask_crons(struct job_ask *a,
    struct job_cron **rows, size_t *n);
void job_ask_register(void);

/* job_text.c: on stdout; they answer the exit status. */
int job_print_list(const struct job_ask *a, const struct job_row *rows,
    size_t n);
int job_print_one(const struct job_ask *a, const struct job_row *row);
int job_print_controls(const struct job_ask *a, const struct job_control *rows,
    size_t n);
int job_print_crons(const struct job_ask *a, const struct job_cron *rows,
    size_t n);
/* {"name": n} */
int job_print_count(const struct job_ask *a, const char *name, int64_t n);
int job_print_left(const struct job_ask *a, const struct job_left *left);

#endif
