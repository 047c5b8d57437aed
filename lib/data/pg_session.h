/*
 * pg_session - what pg.c (the session) and pipe.c (a request's statements)
 * share; nobody else includes it.
 */
#ifndef RH_DATA_PG_SESSION_H
#define RH_DATA_PG_SESSION_H

#include "data/pg.h"

struct pg_conn;		/* libpq's PGconn */

/* What was sent and not yet read. */
struct sent {
	const struct rh_stmt *stmt;
	struct rh_into into;
};

struct rh_pipe {
	struct rh_pg *pg;
	struct rh_arena *arena;
	struct rh_trace *trace;
	struct rh_err *err;
	struct sent queue[RH_PIPE_MAX];
	unsigned queued, read;
	bool flushed;
	unsigned round_trips;
	uint64_t wait_ns, flushed_at;
};

struct rh_pg {
	struct pg_conn *conn;
	const struct rh_pg_conf *conf;
	const struct rh_pg_obs *obs;
	bool prepared;
	bool forgot;		/* it lost what was prepared: open another */
	uint64_t next_try_ns, last_used_ns;
	int64_t backoff_ms;
	char trouble[256];
	char database[64];	/* outlives the connection: spans of its loss name it */
	struct rh_pipe pipe;
};

/* Readable or writable within the time. */
bool rh_pg_wait(const struct rh_pg *pg, short events, int64_t timeout_ms);
/* How long the server may be silent: a little more than its own timeout. */
int64_t rh_pg_patience_ms(const struct rh_pg *pg);
/*
 * A whole result can be taken. False: nothing came in time (errno:
 * ETIMEDOUT), or the server has gone.
 */
bool rh_pg_await(struct rh_pg *pg);
/* A pooler that hands a session from one client to the next: 26000, 42P05. */
bool rh_pg_is_forgetful(const char *sqlstate);

#endif
