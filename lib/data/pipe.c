#include "config.h"

#include "data/pg_session.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>

#include <libpq-fe.h>

#include "base/clock.h"
#include "base/text.h"
#include "data/pg_err.h"

#define MS_NS		UINT64_C(1000000)
/* For the server's last word after its statement was cancelled. */
#define LAST_WORD_NS	(500 * MS_NS)

/* ---- its begin, and how it fails ---- */

static void discard(struct rh_pipe *p);

struct rh_pipe *
rh_pg_begin(struct rh_pg *pg, struct rh_arena *arena, struct rh_trace *trace)
{
	pg->pipe = (struct rh_pipe){ .pg = pg, .arena = arena, .trace = trace };
	return &pg->pipe;
}

struct rh_pipe *
rh_pg_begin_on(struct rh_pg *pg, struct rh_arena *arena,
    struct rh_trace *trace, const struct rh_pipe *before)
{
	struct rh_pipe *p = rh_pg_begin(pg, arena, trace);

	p->round_trips = before->round_trips;
	p->wait_ns = before->wait_ns;
	return p;
}

void
rh_pg_again(struct rh_pg *pg)
{
	discard(&pg->pipe);
	pg->pipe.err = NULL;
	pg->pipe.sqlstate[0] = '\0';
}

void
rh_pipe_fail(struct rh_pipe *p, const char *sqlstate, const char *message)
{
	if (p->err)
		return;
	memcpy(p->sqlstate, sqlstate, sizeof(p->sqlstate));
	p->err = rh_pg_err_make(p->arena, sqlstate, NULL, message);
}

/* The deadline came first. */
void
rh_pipe_fail_late(struct rh_pipe *p, const struct rh_stmt *stmt)
{
	uint64_t ns = rh_clock_mono_ns() - p->flushed_at;

	if (p->err)
		return;
	p->err = p->flushed ? rh_err_late(p->arena, "querying %s for %llu ms",
	    stmt->name, (unsigned long long)(ns / MS_NS)) :
	    rh_err_late(p->arena, "before querying %s", stmt->name);
}

/* The connection cannot be trusted any more: the next request opens another. */
void
rh_pipe_lost(struct rh_pipe *p, const char *sqlstate, const char *message)
{
	rh_pipe_fail(p, sqlstate, message);
	rh_pg_close(p->pg);
	p->read = p->queued;
}

/* ---- waiting ---- */

/* A round trip goes by the name of the handler's first statement. */
static const struct rh_stmt *
main_stmt(const struct rh_pipe *p)
{
	const struct rh_stmt *any = NULL;

	for (unsigned i = 0; i < p->queued; i++) {
		if (p->queue[i].word)
			continue;
		if (!p->queue[i].into.columns)
			return p->queue[i].stmt;
		if (!any)
			any = p->queue[i].stmt;
	}
	return any ? any : p->queue[0].stmt;
}

static void
lost_late(struct rh_pipe *p)
{
	rh_pipe_fail_late(p, main_stmt(p));
	rh_pg_close(p->pg);
	p->read = p->queued;
}

/* What libpq holds goes out: a round trip begins. */
static bool
push(struct rh_pipe *p)
{
	struct rh_pg *pg = p->pg;
	int left;

	p->round_trips++;
	if (pg->obs->tally)
		rh_count(pg->obs->tally, pg->obs->round_trips, 0, 0, 1);
	rh_flight_at(pg->obs->flight, RH_PHASE_QUERYING, main_stmt(p)->name);
	while ((left = PQflush(pg->conn)) == 1) {
		/* the server may be sending too, so take what it has */
		if (!rh_pg_wait(pg, POLLIN | POLLOUT, rh_pg_until_ns(pg)) ||
		    !PQconsumeInput(pg->conn))
			break;
	}
	if (left && rh_pg_is_late(pg))
		lost_late(p);
	else if (left)
		rh_pipe_lost(p, "08006", PQerrorMessage(pg->conn));
	return left == 0;
}

/* False: what went before took all the time. */
static bool
has_time(struct rh_pipe *p)
{
	const struct rh_pg *pg = p->pg;

	p->flushed_at = rh_clock_mono_ns();
	if (!pg->deadline_ns || p->flushed_at < pg->deadline_ns)
		return true;
	lost_late(p);
	return false;
}

static bool
flush(struct rh_pipe *p)
{
	if (!has_time(p))
		return false;
	rh_pipe_commit_send(p);
	p->flushed = true;
	if (!PQpipelineSync(p->pg->conn)) {
		rh_pipe_lost(p, "08006", PQerrorMessage(p->pg->conn));
		return false;
	}
	return push(p);
}

/*
 * The deadline has come: the server is told to stop, once. Its last word
 * leaves the session usable; and where it had done it all, all is well.
 */
static bool
stop(struct rh_pipe *p)
{
	struct rh_pg *pg = p->pg;

	if (p->stopped || !rh_pg_is_late(pg))
		return false;
	p->stopped = true;
	pg->deadline_ns = rh_clock_mono_ns() + LAST_WORD_NS;
	return rh_pg_cancel_begin(pg);
}

/* The next result of the pipeline, NULLs between statements skipped. */
static PGresult *
result_take(struct rh_pipe *p)
{
	struct rh_pg *pg = p->pg;
	PGresult *r;

	for (;;) {
		if (!rh_pg_await(pg)) {
			bool silent = errno == ETIMEDOUT;

			if (silent && stop(p))
				continue;
			if (p->stopped)
				lost_late(p);
			else if (silent)
				rh_pipe_lost(p, "57014", "no answer from the server");
			else
				rh_pipe_lost(p, "08006", PQerrorMessage(pg->conn));
			return NULL;
		}
		if ((r = PQgetResult(pg->conn)))
			return r;
		if (PQstatus(pg->conn) != CONNECTION_OK) {
			rh_pipe_lost(p, "08006", PQerrorMessage(pg->conn));
			return NULL;
		}
	}
}

static void
note_forgetful(struct rh_pipe *p, const char *state)
{
	if (!rh_pg_is_forgetful(state))
		return;
	if (p->pg->conf->prepared == 0)
		p->pg->prepared = false;	/* do without from now on */
	else
		p->pg->forgot = true;
}

static void
note_failure(struct rh_pipe *p, const PGresult *r)
{
	const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
	const char *text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);

	if (p->err)
		return;
	snprintf(p->sqlstate, sizeof(p->sqlstate), "%s", state ? state : "08006");
	if (p->stopped && strcmp(p->sqlstate, "57014") == 0) {
		rh_pipe_fail_late(p, main_stmt(p));
		return;
	}
	p->err = rh_pg_err_make(p->arena, p->sqlstate,
	    PQresultErrorField(r, PG_DIAG_CONSTRAINT_NAME),
	    text ? text : PQresultErrorMessage(r));
	note_forgetful(p, state);
}

static void
clear_result(void *result)
{
	PQclear(result);
}

static void into_read(struct rh_pipe *p, const PGresult *r,
    const struct rh_into *into);

/* The deadline's cancel hit what stood apart: the rest has yet to be stopped. */
static void
stop_again(struct rh_pipe *p)
{
	if (!rh_pg_cancel_end(p->pg, p->pg->deadline_ns) ||
	    !rh_pg_cancel_begin(p->pg))
		lost_late(p);
}

/* And its Sync: only then does the transaction behind it begin. */
static void
apart_read(struct rh_pipe *p, PGresult *r, const struct rh_into *into)
{
	ExecStatusType state = PQresultStatus(r);

	rh_arena_defer(p->arena, clear_result, r);
	if (state == PGRES_TUPLES_OK)
		into_read(p, r, into);
	else
		note_forgetful(p, PQresultErrorField(r, PG_DIAG_SQLSTATE));
	if (state != PGRES_TUPLES_OK && p->stopped)
		stop_again(p);
	while (p->pg->conn && state != PGRES_PIPELINE_SYNC &&
	    (r = result_take(p))) {
		state = PQresultStatus(r);
		PQclear(r);
	}
}

/*
 * PgBouncer takes a session for ready at its first Sync's answer, though another
 * is under way: were we killed between the two, it would give the session to
 * somebody else (1.18; its disconnect_client looks at no count), with our rows
 * on their way. So behind a pooler what stands apart is waited for.
 */
void
rh_pipe_apart_end(struct rh_pipe *p)
{
	const struct sent *s = &p->queue[p->read];
	PGresult *r;

	if (!has_time(p) || !push(p) || !(r = result_take(p)))
		return;
	p->read++;
	apart_read(p, r, &s->into);
	p->wait_ns += rh_clock_mono_ns() - p->flushed_at;
}

/* The result of the next statement that a caller reads, or NULL. */
static PGresult *
next(struct rh_pipe *p)
{
	PGresult *r;

	if (!p->flushed && !p->err && p->queued && !flush(p))
		return NULL;
	while (p->read < p->queued && p->pg->conn) {
		const struct sent *s = &p->queue[p->read];

		if (!(r = result_take(p)))
			return NULL;
		p->read++;
		if (s->apart) {
			apart_read(p, r, &s->into);
			continue;
		}
		if (s->word)
			rh_pipe_word_read(p, s->stmt, r);
		switch (PQresultStatus(r)) {
		case PGRES_TUPLES_OK:
		case PGRES_COMMAND_OK:
			break;
		case PGRES_PIPELINE_ABORTED:
			PQclear(r);
			continue;
		default:
			note_failure(p, r);
			PQclear(r);
			continue;
		}
		rh_arena_defer(p->arena, clear_result, r);
		if (p->err || s->word)
			continue;
		if (s->into.columns) {
			into_read(p, r, &s->into);
			continue;
		}
		return r;
	}
	return NULL;
}

/* ---- rows ---- */

static void
into_read(struct rh_pipe *p, const PGresult *r, const struct rh_into *into)
{
	if (PQntuples(r) == 1)
		rh_assert(rh_pg_row_get(into->columns, into->row, r, 0, 0) == PQnfields(r));
	else
		rh_pipe_fail(p, "P0002", "no row where one had to be");
}

size_t
rh_pipe_rows(struct rh_pipe *p, const struct rh_field *columns, size_t size,
    void *rows)
{
	const PGresult *r = next(p);
	int n = r ? PQntuples(r) : 0;
	char *to = rh_arena_zalloc(p->arena, (size_t)n, size);

	*(void **)rows = to;
	for (int i = 0; i < n; i++)
		rh_assert(rh_pg_row_get(columns, to + (size_t)i * size, r, i, 0) ==
		    PQnfields(r));
	return (size_t)n;
}

bool
rh_pipe_row(struct rh_pipe *p, const struct rh_field *columns, void *row)
{
	const PGresult *r = next(p);

	if (!r || PQntuples(r) == 0)
		return false;
	rh_assert(rh_pg_row_get(columns, row, r, 0, 0) == PQnfields(r));
	return true;
}

int64_t
rh_pipe_int(struct rh_pipe *p)
{
	const PGresult *r = next(p);

	if (!r || PQntuples(r) == 0 || PQgetisnull(r, 0, 0))
		return 0;
	return rh_pg_int_get(PQgetvalue(r, 0, 0), PQgetlength(r, 0, 0));
}

int64_t
rh_pipe_done(struct rh_pipe *p)
{
	PGresult *r = next(p);
	uint64_t n = 0;

	if (r && !rh_u64_get(&n, rh_slice_of(PQcmdTuples(r))))
		n = 0;
	return (int64_t)n;
}

/* ---- the end of the transaction ---- */

/* Class RH2 stops a pipeline as it is meant to: what was asked is answered. */
static bool
has_failed(const struct rh_pipe *p)
{
	return p->err && strncmp(p->sqlstate, "RH2", 3) != 0;
}

/* error.type is the server's word, but where it was we who ended it. */
static void
span_judge(const struct rh_pipe *p, struct rh_span *span)
{
	struct rh_slice state, code;

	if (!has_failed(p))
		return;
	code = rh_slice_of(p->err->code);
	/* a second try has a state of its own, and this span still its first */
	state = rh_slice_of(rh_arena_printf(p->arena, "%s", p->sqlstate));
	if (state.n)
		rh_span_text(span, "db.response.status_code", state);
	rh_span_fail(span, p->stopped || !state.n ? code : state, code);
}

static void
span_tell(struct rh_span *span, const struct rh_span_later *later)
{
	const struct rh_pg *pg = later->of;
	const struct rh_stmt *stmt = later->with;

	rh_span_text(span, "db.system.name", RH_SLICE("postgresql"));
	rh_span_text(span, "db.namespace", rh_slice_of(pg->database));
	rh_span_text(span, "server.address", rh_slice_of(pg->server));
	if (pg->port)
		rh_span_int(span, "server.port", pg->port);
	rh_span_text(span, "db.query.summary", rh_slice_of(stmt->name));
	rh_span_text(span, "db.query.text", rh_slice_of(stmt->sql));
	if (later->n > 1)
		rh_span_int(span, "db.operation.batch.size", later->n);
}

static void
account(struct rh_pipe *p)
{
	const struct rh_pg_obs *obs = p->pg->obs;
	const struct rh_stmt *stmt = main_stmt(p);
	uint64_t ns = rh_clock_mono_ns() - p->flushed_at;
	struct rh_span *span;

	rh_flight_at(obs->flight, RH_PHASE_HANDLING, NULL);
	p->wait_ns += ns;
	p->pg->last_used_ns = p->flushed_at + ns;
	if (obs->tally)
		rh_observe(obs->tally, obs->query_duration, stmt->index,
		    has_failed(p) ? RH_Q_ERROR : RH_Q_OK, ns, NULL);
	if (!p->trace || !p->trace->on)
		return;
	span = rh_span_past(p->trace, RH_SPAN_CLIENT, rh_slice_of(stmt->name),
	    p->flushed_at, p->flushed_at + ns);
	span->later = (struct rh_span_later){ span_tell, p->pg, stmt,
	    p->queued };
	span_judge(p, span);
}

static void
settle(struct rh_pipe *p)
{
	PGresult *r;
	ExecStatusType state = PGRES_EMPTY_QUERY;

	while (p->read < p->queued && p->pg->conn)
		next(p);
	while (p->pg->conn && state != PGRES_PIPELINE_SYNC &&
	    (r = result_take(p))) {
		state = PQresultStatus(r);
		/* a deferred constraint speaks only at the commit */
		if (state == PGRES_FATAL_ERROR)
			note_failure(p, r);
		PQclear(r);
	}
	account(p);
	/* a cancel that is still on its way would hit the next request */
	if (p->stopped && p->pg->conn &&
	    !rh_pg_cancel_end(p->pg, p->pg->deadline_ns))
		rh_pg_close(p->pg);
}

struct rh_err *
rh_pipe_error(struct rh_pipe *p)
{
	if ((p->queued || p->commits) && !p->flushed && !p->err)
		flush(p);
	if (p->queued && p->flushed)
		settle(p);
	else if (p->queued && p->pg->conn)
		rh_pg_close(p->pg);	/* what libpq has queued cannot be taken back */
	p->queued = p->read = 0;
	p->flushed = false;
	return p->err;
}

static void
discard(struct rh_pipe *p)
{
	if (p->queued && p->flushed)
		settle(p);
	else if (p->queued && p->pg->conn)
		rh_pg_close(p->pg);
	p->queued = p->read = 0;
	p->flushed = p->held = p->commits = false;
	p->preface = NULL;
	rh_pg_rollback_end(p->pg);
}

void
rh_pg_end(struct rh_pg *pg)
{
	discard(&pg->pipe);
	pg->deadline_ns = 0;
}

unsigned
rh_pipe_round_trips(const struct rh_pipe *p)
{
	return p->round_trips;
}

uint64_t
rh_pipe_wait_ns(const struct rh_pipe *p)
{
	return p->wait_ns;
}
