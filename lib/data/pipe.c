#include "config.h"

#include "data/pg_session.h"

#include <endian.h>
#include <errno.h>
#include <poll.h>

#include <libpq-fe.h>

#include "base/clock.h"
#include "base/text.h"
#include "data/pg_err.h"

#define PG_EPOCH_US	INT64_C(946684800000000)	/* 2000-01-01 */

/* ---- sending ---- */

struct rh_pipe *
rh_pg_begin(struct rh_pg *pg, struct rh_arena *arena, struct rh_trace *trace)
{
	pg->pipe = (struct rh_pipe){ .pg = pg, .arena = arena, .trace = trace };
	return &pg->pipe;
}

void
rh_pg_again(struct rh_pg *pg)
{
	rh_pg_end(pg);
	pg->pipe.err = NULL;
}

static void
fail(struct rh_pipe *p, const char *sqlstate, const char *message)
{
	if (!p->err)
		p->err = rh_pg_err_make(p->arena, sqlstate, NULL, message);
}

/* The connection cannot be trusted any more: the next request opens another. */
static void
lost(struct rh_pipe *p, const char *sqlstate, const char *message)
{
	fail(p, sqlstate, message);
	rh_pg_close(p->pg);
	p->read = p->queued;
}

struct values {
	const char *at[RH_ARGS_MAX];
	int length[RH_ARGS_MAX];
	int format[RH_ARGS_MAX];
	int64_t wire[RH_ARGS_MAX];
	char text[RH_ARGS_MAX][24];
};

/*
 * Binary where PostgreSQL's type is certain; numbers as text, so that the
 * server makes of them what the statement needs (int2, int4, int8).
 */
static void
value_put(struct values *v, unsigned i, const struct rh_arg *a)
{
	struct rh_buf b;

	v->at[i] = NULL;
	v->length[i] = 0;
	v->format[i] = 0;
	switch (a->kind) {
	case RH_ARG_TEXT:
	case RH_ARG_BYTES:
		/* text's binary form is its bytes, and needs no NUL behind it */
		v->at[i] = a->text.p;
		v->length[i] = (int)a->text.n;
		v->format[i] = 1;
		break;
	case RH_ARG_UUID:
		v->at[i] = rh_uuid_is_nil(a->uuid) ? NULL : (const char *)a->uuid.b;
		v->length[i] = sizeof(a->uuid.b);
		v->format[i] = 1;
		break;
	case RH_ARG_TIME:
		if (a->number == RH_TIME_NONE)
			break;
		v->wire[i] = (int64_t)htobe64((uint64_t)(a->number ==
		    RH_TIME_INFINITY ? a->number : a->number - PG_EPOCH_US));
		v->at[i] = (const char *)&v->wire[i];
		v->length[i] = sizeof(v->wire[i]);
		v->format[i] = 1;
		break;
	case RH_ARG_INT:
		rh_buf_init_fixed(&b, v->text[i], sizeof(v->text[i]));
		rh_buf_i64(&b, a->number);
		rh_buf_char(&b, '\0');
		v->at[i] = v->text[i];
		break;
	case RH_ARG_BOOL:
		v->at[i] = a->number ? "t" : "f";
		break;
	}
}

void
rh_pipe_send_into(struct rh_pipe *p, const struct rh_stmt *stmt,
    const struct rh_arg *args, unsigned n, const struct rh_into *into)
{
	struct rh_pg *pg = p->pg;
	struct values v;
	int sent;

	if (p->err)
		return;
	if (p->flushed && rh_pipe_error(p))	/* a second transaction */
		return;
	rh_assert(n <= RH_ARGS_MAX && p->queued < RH_PIPE_MAX);
	/* once something is queued, it and what follows share one connection */
	if (p->queued == 0 && !rh_pg_ready(pg, false)) {
		fail(p, "08006", pg->trouble[0] ? pg->trouble : "not connected");
		return;
	}
	for (unsigned i = 0; i < n; i++)
		value_put(&v, i, &args[i]);
	sent = pg->prepared ?
	    PQsendQueryPrepared(pg->conn, stmt->name, (int)n, v.at, v.length,
	    v.format, 1) :
	    PQsendQueryParams(pg->conn, stmt->sql, (int)n, NULL, v.at, v.length,
	    v.format, 1);
	if (!sent) {
		lost(p, "08006", PQerrorMessage(pg->conn));
		return;
	}
	p->queue[p->queued++] = (struct sent){ .stmt = stmt,
	    .into = into ? *into : (struct rh_into){ NULL, NULL } };
}

void
rh_pipe_send_args(struct rh_pipe *p, const struct rh_stmt *stmt,
    const struct rh_arg *args, unsigned n)
{
	rh_pipe_send_into(p, stmt, args, n, NULL);
}

/* ---- waiting ---- */

/* A round trip goes by the name of the handler's first statement. */
static const struct rh_stmt *
main_stmt(const struct rh_pipe *p)
{
	for (unsigned i = 0; i < p->queued; i++)
		if (!p->queue[i].into.columns)
			return p->queue[i].stmt;
	return p->queue[0].stmt;
}

static bool
flush(struct rh_pipe *p)
{
	struct rh_pg *pg = p->pg;
	int left;

	p->flushed = true;
	p->flushed_at = rh_clock_mono_ns();
	p->round_trips++;
	rh_count(pg->obs->tally, pg->obs->round_trips, 0, 0, 1);
	rh_flight_at(pg->obs->flight, RH_PHASE_QUERYING, main_stmt(p)->name);
	if (!PQpipelineSync(pg->conn)) {
		lost(p, "08006", PQerrorMessage(pg->conn));
		return false;
	}
	while ((left = PQflush(pg->conn)) == 1) {
		/* the server may be sending too, so take what it has */
		if (!rh_pg_wait(pg, POLLIN | POLLOUT, rh_pg_patience_ms(pg)) ||
		    !PQconsumeInput(pg->conn))
			break;
	}
	if (left)
		lost(p, "08006", PQerrorMessage(pg->conn));
	return left == 0;
}

/* The next result of the pipeline, NULLs between statements skipped. */
static PGresult *
result_take(struct rh_pipe *p)
{
	struct rh_pg *pg = p->pg;
	PGresult *r;

	for (;;) {
		if (!rh_pg_await(pg)) {
			if (errno == ETIMEDOUT)
				lost(p, "57014", "no answer from the server");
			else
				lost(p, "08006", PQerrorMessage(pg->conn));
			return NULL;
		}
		if ((r = PQgetResult(pg->conn)))
			return r;
		if (PQstatus(pg->conn) != CONNECTION_OK) {
			lost(p, "08006", PQerrorMessage(pg->conn));
			return NULL;
		}
	}
}

static void
note_failure(struct rh_pipe *p, const PGresult *r)
{
	const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
	const char *text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);

	if (p->err)
		return;
	p->err = rh_pg_err_make(p->arena, state ? state : "08006",
	    PQresultErrorField(r, PG_DIAG_CONSTRAINT_NAME),
	    text ? text : PQresultErrorMessage(r));
	if (!rh_pg_is_forgetful(state))
		return;
	if (p->pg->conf->prepared == 0)
		p->pg->prepared = false;	/* do without from now on */
	else
		p->pg->forgot = true;
}

static void
clear_result(void *result)
{
	PQclear(result);
}

static void into_read(struct rh_pipe *p, const PGresult *r,
    const struct rh_into *into);

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
		if (p->err)
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

static int64_t
int_get(const char *at, int length)
{
	uint64_t v8;
	uint32_t v4;
	uint16_t v2;

	switch (length) {
	case 8:
		memcpy(&v8, at, sizeof(v8));
		return (int64_t)be64toh(v8);
	case 4:
		memcpy(&v4, at, sizeof(v4));
		return (int32_t)be32toh(v4);
	case 2:
		memcpy(&v2, at, sizeof(v2));
		return (int16_t)be16toh(v2);
	default:
		return length == 1 && *at;
	}
}

static void
field_get(const struct rh_field *f, char *to, const PGresult *r, int row,
    int column)
{
	struct rh_slice text = { PQgetvalue(r, row, column),
		(size_t)PQgetlength(r, row, column) };
	bool null = text.n == 0 && PQgetisnull(r, row, column);
	int64_t number;

	switch (f->type) {
	case RH_T_TEXT:
		*(struct rh_slice *)(void *)to = null ? RH_SLICE_NONE : text;
		break;
	case RH_T_UUID:
		memset(to, 0, sizeof(struct rh_uuid));
		if (!null && text.n == sizeof(struct rh_uuid))
			memcpy(to, text.p, text.n);
		break;
	case RH_T_TIME:
		number = null ? RH_TIME_NONE : int_get(text.p, (int)text.n);
		if (number != RH_TIME_NONE && number != RH_TIME_INFINITY)
			number += PG_EPOCH_US;
		*(int64_t *)(void *)to = number;
		break;
	case RH_T_INT:
		*(int64_t *)(void *)to = null ? 0 : int_get(text.p, (int)text.n);
		break;
	case RH_T_BOOL:
		*(bool *)to = !null && text.n && *text.p;
		break;
	case RH_T_ENUM:
		*(int *)(void *)to = null ? -1 : rh_field_enum(f, text);
		break;
	case RH_T_OBJECT:
	case RH_T_LIST:
	case RH_T_END:
		rh_assert(!"a column of a plain type");
	}
}

/* Columns of a nested object follow in line. */
static int
row_get(const struct rh_field *columns, char *to, const PGresult *r, int row,
    int column)
{
	for (const struct rh_field *f = columns; f->type != RH_T_END; f++) {
		if (f->type == RH_T_OBJECT)
			column = row_get(f->of, to + f->at, r, row, column);
		else
			field_get(f, to + f->at, r, row, column++);
	}
	return column;
}

static void
into_read(struct rh_pipe *p, const PGresult *r, const struct rh_into *into)
{
	if (PQntuples(r) == 1)
		rh_assert(row_get(into->columns, into->row, r, 0, 0) == PQnfields(r));
	else
		fail(p, "P0002", "no row where one had to be");
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
		rh_assert(row_get(columns, to + (size_t)i * size, r, i, 0) ==
		    PQnfields(r));
	return (size_t)n;
}

bool
rh_pipe_row(struct rh_pipe *p, const struct rh_field *columns, void *row)
{
	const PGresult *r = next(p);

	if (!r || PQntuples(r) == 0)
		return false;
	rh_assert(row_get(columns, row, r, 0, 0) == PQnfields(r));
	return true;
}

int64_t
rh_pipe_int(struct rh_pipe *p)
{
	const PGresult *r = next(p);

	if (!r || PQntuples(r) == 0 || PQgetisnull(r, 0, 0))
		return 0;
	return int_get(PQgetvalue(r, 0, 0), PQgetlength(r, 0, 0));
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
	rh_observe(obs->tally, obs->query_duration, stmt->index,
	    p->err ? RH_Q_ERROR : RH_Q_OK, ns, NULL);
	if (!p->trace || !p->trace->on)
		return;
	span = rh_span_open(p->trace, RH_SPAN_CLIENT, rh_slice_of(stmt->name));
	span->start_ns = p->trace->wall_ns + (p->flushed_at - p->trace->mono_ns);
	rh_span_text(span, "db.system.name", RH_SLICE("postgresql"));
	rh_span_text(span, "db.namespace",
	    rh_slice_of(p->pg->database));
	rh_span_text(span, "db.query.summary", rh_slice_of(stmt->name));
	rh_span_text(span, "db.query.text", rh_slice_of(stmt->sql));
	if (p->queued > 1)
		rh_span_int(span, "db.operation.batch.size", p->queued);
	if (p->err && p->err->cause) {
		rh_span_text(span, "db.response.status_code",
		    (struct rh_slice){ p->err->cause, 5 });
		rh_span_fail(span, (struct rh_slice){ p->err->cause, 5 },
		    rh_slice_of(p->err->code));
	}
	rh_span_close(p->trace, span);
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
}

struct rh_err *
rh_pipe_error(struct rh_pipe *p)
{
	if (p->queued && !p->flushed && !p->err)
		flush(p);
	if (p->queued && p->flushed)
		settle(p);
	else if (p->queued && p->pg->conn)
		rh_pg_close(p->pg);	/* what libpq has queued cannot be taken back */
	p->queued = p->read = 0;
	p->flushed = false;
	return p->err;
}

void
rh_pg_end(struct rh_pg *pg)
{
	struct rh_pipe *p = &pg->pipe;

	if (p->queued && p->flushed)
		settle(p);
	else if (p->queued && pg->conn)
		rh_pg_close(pg);
	p->queued = 0;
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
