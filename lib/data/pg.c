#include "config.h"

#include "data/pg_session.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include <libpq-fe.h>

#include "base/clock.h"

enum { BACKOFF_FIRST_MS = 100, BACKOFF_MAX_MS = 5000, STALE_AFTER_MS = 500 };
/* Who tries has others to serve; a server that is there answers by then. */
enum { TRY_MS = 10 };
#define MS_NS		UINT64_C(1000000)

struct rh_pg *
rh_pg_new(struct rh_arena *arena, const struct rh_pg_conf *conf,
    const struct rh_pg_obs *obs)
{
	struct rh_pg *pg = RH_NEW(arena, struct rh_pg);

	pg->conf = conf;
	pg->obs = obs;
	pg->prepared = conf->prepared != 2;
	pg->pipe.pg = pg;
	return pg;
}

const char *
rh_pg_trouble(const struct rh_pg *pg)
{
	return pg->trouble;
}

bool
rh_pg_is_open(const struct rh_pg *pg)
{
	return pg->conn != NULL && !pg->connecting;
}

bool
rh_pg_is_connecting(const struct rh_pg *pg)
{
	return pg->connecting;
}

void
rh_pg_share_gauge(struct rh_pg *pg, unsigned *open)
{
	pg->open = open;
}

static void
note_open(struct rh_pg *pg, bool open)
{
	if (pg->open && open != pg->is_counted)
		*pg->open += open ? 1 : -1u;
	pg->is_counted = open;
	if (pg->obs->tally)
		rh_gauge_set(pg->obs->tally, pg->obs->connections, 0,
		    pg->open ? *pg->open : open);
}

void
rh_pg_close(struct rh_pg *pg)
{
	rh_pg_cancel_abandon(pg);
	PQfinish(pg->conn);
	pg->conn = NULL;
	pg->begun = pg->ending = pg->connecting = false;
	note_open(pg, false);
}

static void
trouble(struct rh_pg *pg, const char *what)
{
	size_t n = strcspn(what, "\n");

	n = RH_MIN(n, sizeof(pg->trouble) - 1);
	memcpy(pg->trouble, what, n);
	pg->trouble[n] = '\0';
}

bool
rh_pg_wait(const struct rh_pg *pg, short events, uint64_t until_ns)
{
	struct pollfd p = { .fd = PQsocket(pg->conn), .events = events };

	for (;;) {
		uint64_t now = rh_clock_mono_ns();
		uint64_t left = until_ns > now ? until_ns - now : 0;
		int n = poll(&p, 1, (int)((left + MS_NS - 1) / MS_NS));

		/* a signal is no answer */
		if (n >= 0 || errno != EINTR)
			return n > 0;
	}
}

void
rh_pg_deadline(struct rh_pg *pg, uint64_t deadline_ns)
{
	pg->deadline_ns = deadline_ns;
}

bool
rh_pg_is_late(const struct rh_pg *pg)
{
	return pg->deadline_ns && rh_clock_mono_ns() >= pg->deadline_ns;
}

static uint64_t
earlier(const struct rh_pg *pg, uint64_t until_ns)
{
	return pg->deadline_ns ? RH_MIN(pg->deadline_ns, until_ns) : until_ns;
}

static void
connect_begin(struct rh_pg *pg)
{
	const char *const keys[] = { "dbname", "fallback_application_name",
		"client_encoding", NULL };
	const char *const values[] = { pg->conf->url,
		pg->conf->application_name, "UTF8", NULL };

	pg->trouble[0] = '\0';
	pg->conn = PQconnectStartParams(keys, values, 1);
	rh_assert(pg->conn != NULL);
	pg->polling = PGRES_POLLING_WRITING;
	pg->connecting = true;
	pg->connect_by_ns = earlier(pg, rh_clock_mono_ns() +
	    (uint64_t)pg->conf->connect_timeout_ms * MS_NS);
}

/* Until then, or for as long as it may take. False: not yet, or it failed. */
static bool
connect_go_on(struct rh_pg *pg, uint64_t until_ns)
{
	until_ns = RH_MIN(until_ns, pg->connect_by_ns);
	while (PQstatus(pg->conn) != CONNECTION_BAD &&
	    pg->polling != PGRES_POLLING_OK &&
	    pg->polling != PGRES_POLLING_FAILED) {
		if (!rh_pg_wait(pg, pg->polling == PGRES_POLLING_READING ?
		    POLLIN : POLLOUT, until_ns)) {
			if (rh_clock_mono_ns() < pg->connect_by_ns)
				return false;
			trouble(pg, "connecting took too long");
			break;
		}
		pg->polling = (int)PQconnectPoll(pg->conn);
	}
	pg->connecting = false;
	if (PQstatus(pg->conn) == CONNECTION_OK)
		return true;
	if (!pg->trouble[0])
		trouble(pg, PQerrorMessage(pg->conn));
	return false;
}

/* The server is to speak first. */
uint64_t
rh_pg_until_ns(const struct rh_pg *pg)
{
	return earlier(pg, rh_clock_mono_ns() +
	    (uint64_t)(pg->conf->statement_timeout_ms + 1000) * MS_NS);
}

bool
rh_pg_await(struct rh_pg *pg)
{
	while (PQisBusy(pg->conn)) {
		if (!rh_pg_wait(pg, POLLIN, rh_pg_until_ns(pg))) {
			errno = ETIMEDOUT;
			return false;
		}
		if (!PQconsumeInput(pg->conn)) {
			errno = EPIPE;
			return false;
		}
	}
	return true;
}

static bool
state_is(const char *state, const char *other)
{
	return state && strcmp(state, other) == 0;
}

bool
rh_pg_is_forgetful(const char *sqlstate)
{
	return state_is(sqlstate, "26000") || state_is(sqlstate, "42P05");
}

/*
 * A transaction of its own: a statement that fails must not take it along. Its
 * second answer says who serves us, for session_judge.
 */
static bool
session_send(struct rh_pg *pg)
{
	char sql[80];

	snprintf(sql, sizeof(sql), "set statement_timeout = %lld",
	    (long long)pg->conf->statement_timeout_ms);
	return PQsendQueryParams(pg->conn, sql, 0, NULL, NULL, NULL, NULL, 0) &&
	    PQsendQueryParams(pg->conn, "select pg_backend_pid()", 0, NULL,
	    NULL, NULL, NULL, 0) && PQpipelineSync(pg->conn);
}

/*
 * A pooler makes up the key by which its client may cancel; so who answers is
 * not who the key says it is. Known before anything is prepared or sent apart.
 */
static void
session_judge(struct rh_pg *pg, const PGresult *r)
{
	if (PQresultStatus(r) == PGRES_TUPLES_OK)
		pg->pooled = strtol(PQgetvalue(r, 0, 0), NULL, 10) !=
		    PQbackendPID(pg->conn);
}

static bool
prepare_send(struct rh_pg *pg)
{
	for (unsigned i = 0; i < rh_stmts_count(); i++) {
		const struct rh_stmt *s = rh_stmts_get(i);

		if (!PQsendPrepare(pg->conn, s->name, s->sql, 0, NULL))
			return false;
	}
	return PQpipelineSync(pg->conn);
}

/* False and the trouble told, but for the kind of server that auto is for. */
static bool
warm_judge(struct rh_pg *pg, const PGresult *r, unsigned statement)
{
	char text[200];

	if (PQresultStatus(r) != PGRES_FATAL_ERROR)
		return true;
	if (pg->conf->prepared == 0 &&
	    rh_pg_is_forgetful(PQresultErrorField(r, PG_DIAG_SQLSTATE))) {
		pg->prepared = false;
		return true;
	}
	snprintf(text, sizeof(text), "%s: %s", statement < rh_stmts_count() ?
	    rh_stmts_get(statement)->name : "session", PQresultErrorMessage(r));
	trouble(pg, text);
	return false;
}

/* Reads to the Sync; an error names its statement. */
static bool
warm_read(struct rh_pg *pg, bool statements)
{
	ExecStatusType state = PGRES_EMPTY_QUERY;
	bool good = true;

	for (unsigned i = 0; state != PGRES_PIPELINE_SYNC;) {
		PGresult *r;

		if (!rh_pg_await(pg))
			return false;
		r = PQgetResult(pg->conn);
		state = PQresultStatus(r);
		if (r && !statements)
			session_judge(pg, r);
		if (r && good)
			good = warm_judge(pg, r, statements ? i : UINT_MAX);
		i += r != NULL;
		PQclear(r);
		if (PQstatus(pg->conn) != CONNECTION_OK)
			return false;
	}
	return good;
}

/* A round trip each: why not one, rh_pipe_apart_end says. */
static bool
warm(struct rh_pg *pg)
{
	if (!PQenterPipelineMode(pg->conn) || !session_send(pg) ||
	    !warm_read(pg, false))
		return false;
	if (pg->pooled && pg->conf->prepared == 0)
		pg->prepared = false;
	return !pg->prepared || (prepare_send(pg) && warm_read(pg, true));
}

/* As spans name it: a socket by its path, anything else by host and port. */
static void
name_peer(struct rh_pg *pg)
{
	const char *host = PQhost(pg->conn), *port = PQport(pg->conn);
	bool is_socket = host && (host[0] == '/' || host[0] == '@');

	snprintf(pg->database, sizeof(pg->database), "%s", PQdb(pg->conn));
	snprintf(pg->server, sizeof(pg->server), "%s%s%s", host ? host : "",
	    is_socket ? "/.s.PGSQL." : "", is_socket ? port : "");
	pg->port = is_socket || !port ? 0 : (int)strtol(port, NULL, 10);
}

/* A connection that is there, or will not be. */
static bool
open_warm(struct rh_pg *pg, bool connected)
{
	if (connected && warm(pg) && PQsetnonblocking(pg->conn, 1) == 0) {
		name_peer(pg);
		pg->backoff_ms = 0;
		pg->forgot = false;
		pg->last_used_ns = rh_clock_mono_ns();
		note_open(pg, true);
		return true;
	}
	if (!pg->trouble[0])
		trouble(pg, PQerrorMessage(pg->conn));
	rh_pg_close(pg);
	pg->backoff_ms = RH_MIN(RH_MAX(pg->backoff_ms * 2, BACKOFF_FIRST_MS),
	    BACKOFF_MAX_MS);
	pg->next_try_ns = rh_clock_mono_ns() + (uint64_t)pg->backoff_ms * MS_NS;
	return false;
}

/*
 * A server that went away while we were idle has left its farewell in the
 * socket; nothing else has business there, so what it is need not be known
 * (libpq sees the end only at the read after it). Looking costs a system call,
 * so only after a pause.
 */
static bool
is_stale(struct rh_pg *pg, uint64_t now)
{
	return now - pg->last_used_ns > STALE_AFTER_MS * MS_NS &&
	    rh_pg_wait(pg, POLLIN, 0);
}

/* False: it is to be opened. */
static bool
is_fresh(struct rh_pg *pg, uint64_t at)
{
	if (!pg->conn || pg->connecting)
		return false;
	if (!pg->forgot && !is_stale(pg, at))
		return true;
	rh_pg_close(pg);
	return false;
}

bool
rh_pg_ready(struct rh_pg *pg, bool now)
{
	uint64_t at = rh_clock_mono_ns();

	if (pg->deadline_ns && at >= pg->deadline_ns)
		return false;
	if (is_fresh(pg, at))
		return true;
	if (!pg->connecting) {
		if (!now && at < pg->next_try_ns)
			return false;
		connect_begin(pg);
	}
	return open_warm(pg, connect_go_on(pg, pg->connect_by_ns));
}

bool
rh_pg_try(struct rh_pg *pg)
{
	uint64_t at = rh_clock_mono_ns();
	bool connected;

	if (is_fresh(pg, at))
		return true;
	if (!pg->connecting) {
		if (at < pg->next_try_ns)
			return false;
		connect_begin(pg);
	}
	connected = connect_go_on(pg, at + TRY_MS * MS_NS);
	return !pg->connecting && open_warm(pg, connected);
}
