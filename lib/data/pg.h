/*
 * pg - a worker's connection to PostgreSQL: opened and warmed before it
 * accepts, opened anew with back-off when it breaks.
 *
 * Shape    one session; all registered statements are prepared in one flush
 *          when it opens
 * Errors   RH_E_UNAVAILABLE while the server is away; a request in the middle
 *          of which it went is RH_E_UNAVAILABLE too
 * Owner    the worker; never shared over a fork
 */
#ifndef RH_DATA_PG_H
#define RH_DATA_PG_H

#include "data/pipe.h"
#include "obs/flight.h"
#include "obs/metric.h"
#include "obs/trace.h"

struct rh_pg_conf {
	const char *url;
	int64_t connect_timeout_ms, statement_timeout_ms;
	int prepared;		/* enum rh_prepared of serve/conf.h: 0 auto (not behind a pooler), 1 on, 2 off */
	const char *application_name;
};

/* A table ended by { 0 }, before the fork: gives its statements their index. */
void rh_stmts_register(struct rh_stmt *stmts);
unsigned rh_stmts_count(void);
const struct rh_stmt *rh_stmts_get(unsigned index);

/* Outcomes of db_query_duration_seconds, dimension b. */
enum rh_query_outcome { RH_Q_OK, RH_Q_ERROR, RH_Q_OUTCOMES };

/* What the session tells as it goes; tally NULL: it counts nothing. */
struct rh_pg_obs {
	const struct rh_tally *tally;
	struct rh_family query_duration;	/* statement, outcome */
	struct rh_family round_trips;		/* store: 0 pg */
	struct rh_family connections;		/* state: 0 open */
	struct rh_flight *flight;		/* is told what it waits for; NULL: none */
};

struct rh_pg *rh_pg_new(struct rh_arena *worker_arena,
    const struct rh_pg_conf *conf, const struct rh_pg_obs *obs);
/*
 * Opens and warms the connection if it is not open and its back-off has passed
 * (now: at once). True when it is open.
 */
bool rh_pg_ready(struct rh_pg *pg, bool now);
/*
 * Likewise, for who has others to serve meanwhile: a connection that takes its
 * time is gone on with by the next call.
 */
bool rh_pg_try(struct rh_pg *pg);
bool rh_pg_is_connecting(const struct rh_pg *pg);
bool rh_pg_is_open(const struct rh_pg *pg);
/* Several sessions of one worker: they count themselves together, here. */
void rh_pg_share_gauge(struct rh_pg *pg, unsigned *open);
/* Why the last attempt failed, or "" . */
const char *rh_pg_trouble(const struct rh_pg *pg);
void rh_pg_close(struct rh_pg *pg);

/*
 * The pipe of one request: everything it makes lives in that arena, its spans
 * in that trace (NULL: none).
 */
struct rh_pipe *rh_pg_begin(struct rh_pg *pg, struct rh_arena *arena,
    struct rh_trace *trace);
/* Likewise, for a request that has asked elsewhere before: its counts go on. */
struct rh_pipe *rh_pg_begin_on(struct rh_pg *pg, struct rh_arena *arena,
    struct rh_trace *trace, const struct rh_pipe *before);
/*
 * Until when the request may wait for the server, mono ns; rh_pg_end forgets
 * it. At that time the statement is cancelled, and the pipe's error is
 * "request.timeout".
 */
void rh_pg_deadline(struct rh_pg *pg, uint64_t deadline_ns);
/* The same request once more: its error is forgotten, its counts go on. */
void rh_pg_again(struct rh_pg *pg);
/* Discards what was queued and not sent, ends what was sent. At request's end. */
void rh_pg_end(struct rh_pg *pg);
/* Round trips and time waited for them since rh_pg_begin. */
unsigned rh_pipe_round_trips(const struct rh_pipe *p);
uint64_t rh_pipe_wait_ns(const struct rh_pipe *p);

#endif
