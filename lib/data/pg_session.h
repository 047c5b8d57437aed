/*
 * pg_session - what pg.c (the session) and pipe.c (a request's statements)
 * share; nobody else includes it.
 */
#ifndef RH_DATA_PG_SESSION_H
#define RH_DATA_PG_SESSION_H

#include <pthread.h>

#include "data/pg.h"

struct pg_conn;		/* libpq's PGconn */
struct pg_result;	/* and its PGresult */

/* What was sent and not yet read. */
struct sent {
	const struct rh_stmt *stmt;
	struct rh_into into;
	bool apart;	/* a Sync of its own behind it */
	bool word;	/* BEGIN or COMMIT: nobody reads its result */
};

struct rh_pipe {
	struct rh_pg *pg;
	struct rh_arena *arena;
	struct rh_trace *trace;
	struct rh_err *err;
	void (*preface)(void *of);	/* NULL: none */
	void *preface_of;
	struct sent queue[RH_PIPE_MAX + 1];	/* and a COMMIT */
	unsigned queued, read;
	bool flushed;
	bool held;		/* between hold and commit */
	bool commits;		/* the next flush ends with a COMMIT */
	bool stopped;		/* its deadline came while the server was at work */
	char sqlstate[6];	/* of err, where the server or the connection gave one */
	unsigned round_trips;
	uint64_t wait_ns, flushed_at;
};

struct rh_pg {
	struct pg_conn *conn;
	const struct rh_pg_conf *conf;
	const struct rh_pg_obs *obs;
	unsigned *open;		/* how many of them are, this one included; NULL: it counts alone */
	bool is_counted;
	bool pooled;		/* who answers is not who took the connection */
	bool prepared;
	bool forgot;		/* it lost what was prepared: open another */
	bool begun;		/* BEGIN was answered, and no end of it yet */
	bool ending;		/* ROLLBACK was sent, its answer not read */
	bool connecting;
	int polling;		/* then: libpq's PostgresPollingStatusType */
	uint64_t connect_by_ns;
	uint64_t next_try_ns, last_used_ns;
	uint64_t deadline_ns;	/* of the request, mono; 0: none */
	bool cancelling;
	pthread_t canceller;
	int64_t backoff_ms;
	char trouble[256];
	/* these outlive the connection: spans of its loss name them */
	char database[64];
	char server[256];	/* a host, or the path of a unix socket */
	int port;		/* 0: a unix socket */
	struct rh_pipe pipe;
};

/* ---- pipe.c and pipe_send.c, for each other and pg_hold.c ---- */

/* Whether anything may be queued now; false: the pipe's error says why. */
/* pipe.c: the first one is the pipe's; _late: the deadline came first. */
void rh_pipe_fail(struct rh_pipe *p, const char *sqlstate,
    const char *message);
void rh_pipe_fail_late(struct rh_pipe *p, const struct rh_stmt *stmt);
/* The connection cannot be trusted any more: the next request opens another. */
void rh_pipe_lost(struct rh_pipe *p, const char *sqlstate,
    const char *message);

bool rh_pipe_can_send(struct rh_pipe *p, const struct rh_stmt *stmt);
void rh_pipe_queue(struct rh_pipe *p, bool sent, const struct sent *what);
/* Of what was just sent apart: its answer is waited for, a round trip. */
void rh_pipe_apart_end(struct rh_pipe *p);

/* ---- pg_hold.c, for pipe.c ---- */

/* The commit that was asked for: the last before the Sync. */
void rh_pipe_commit_send(struct rh_pipe *p);
/* What became of a BEGIN or COMMIT. */
void rh_pipe_word_read(struct rh_pipe *p, const struct rh_stmt *word,
    const struct pg_result *r);
/* Rolls back what is still open, and waits for that. */
void rh_pg_rollback_end(struct rh_pg *pg);

/* ---- pg.c ---- */

/* Readable or writable before that time. */
bool rh_pg_wait(const struct rh_pg *pg, short events, uint64_t until_ns);
/*
 * Until when the server may be silent: a little more than its own timeout, and
 * not past the request's deadline.
 */
uint64_t rh_pg_until_ns(const struct rh_pg *pg);
bool rh_pg_is_late(const struct rh_pg *pg);
/*
 * A whole result can be taken. False: nothing came in time (errno:
 * ETIMEDOUT), or the server has gone.
 */
bool rh_pg_await(struct rh_pg *pg);
/*
 * pg_cancel.c: asks the server to stop what it does for this session, without
 * waiting for it. False: it cannot be asked.
 */
RH_MUST_CHECK bool rh_pg_cancel_begin(struct rh_pg *pg);
/* False: the request to stop is still on its way; close the session. */
RH_MUST_CHECK bool rh_pg_cancel_end(struct rh_pg *pg, uint64_t until_ns);
void rh_pg_cancel_abandon(struct rh_pg *pg);
/* A pooler that hands a session from one client to the next: 26000, 42P05. */
bool rh_pg_is_forgetful(const char *sqlstate);


/* ---- pg_row.c: what a result holds ---- */

#define RH_PG_EPOCH_US	INT64_C(946684800000000)	/* 2000-01-01 */

int64_t rh_pg_int_get(const char *at, int length);
/* Columns of a nested object follow in line. Answers the column after the last. */
int rh_pg_row_get(const struct rh_field *columns, char *to,
    const struct pg_result *r, int row, int column);

#endif
