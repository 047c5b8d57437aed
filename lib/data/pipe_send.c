#include "config.h"

#include "data/pg_session.h"

#include <endian.h>

#include <libpq-fe.h>

#include "base/clock.h"

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
		    RH_TIME_INFINITY ? a->number : a->number - RH_PG_EPOCH_US));
		v->at[i] = (const char *)&v->wire[i];
		v->length[i] = sizeof(v->wire[i]);
		v->format[i] = 1;
		break;
	case RH_ARG_INT:
		if (a->number == RH_INT_NONE)
			break;
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

/* Once something is queued, it and what follows share one connection. */
static bool
can_begin(struct rh_pipe *p, const struct rh_stmt *stmt)
{
	struct rh_pg *pg = p->pg;

	/* held: what went before is on this connection, or nowhere */
	if (!p->stopped && (pg->begun ? pg->conn != NULL :
	    rh_pg_ready(pg, false)))
		return true;
	if (p->stopped || rh_pg_is_late(pg))
		rh_pipe_fail_late(p, stmt);
	else
		rh_pipe_fail(p, "08006", pg->trouble[0] ? pg->trouble : "not connected");
	return false;
}

bool
rh_pipe_can_send(struct rh_pipe *p, const struct rh_stmt *stmt)
{
	if (p->err)
		return false;
	if (p->flushed && rh_pipe_error(p))	/* a second transaction, unless held */
		return false;
	rh_assert(p->queued < RH_PIPE_MAX);
	if (p->pg->ending)
		rh_pg_rollback_end(p->pg);
	return p->queued > 0 || can_begin(p, stmt);
}

void
rh_pipe_queue(struct rh_pipe *p, bool sent, const struct sent *what)
{
	if (sent)
		p->queue[p->queued++] = *what;
	else
		rh_pipe_lost(p, "08006", PQerrorMessage(p->pg->conn));
}

void
rh_pipe_preface(struct rh_pipe *p, void (*send)(void *of), void *of)
{
	p->preface = send;
	p->preface_of = of;
}

static void
preface(struct rh_pipe *p)
{
	void (*send)(void *of) = p->preface;

	p->preface = NULL;
	if (send)
		send(p->preface_of);
}

void
rh_pipe_send_into(struct rh_pipe *p, const struct rh_stmt *stmt,
    const struct rh_arg *args, unsigned n, const struct rh_into *into)
{
	struct rh_pg *pg = p->pg;
	struct values v;
	int sent;

	rh_assert(n <= RH_ARGS_MAX);
	preface(p);
	if (!rh_pipe_can_send(p, stmt))
		return;
	for (unsigned i = 0; i < n; i++)
		value_put(&v, i, &args[i]);
	sent = pg->prepared ?
	    PQsendQueryPrepared(pg->conn, stmt->name, (int)n, v.at, v.length,
	    v.format, 1) :
	    PQsendQueryParams(pg->conn, stmt->sql, (int)n, NULL, v.at, v.length,
	    v.format, 1);
	rh_pipe_queue(p, sent, &(struct sent){ .stmt = stmt,
	    .into = into ? *into : (struct rh_into){ NULL, NULL } });
}

void
rh_pipe_send_args(struct rh_pipe *p, const struct rh_stmt *stmt,
    const struct rh_arg *args, unsigned n)
{
	rh_pipe_send_into(p, stmt, args, n, NULL);
}

void
rh_pipe_send_apart(struct rh_pipe *p, const struct rh_stmt *stmt,
    const struct rh_arg *args, unsigned n, const struct rh_into *into)
{
	unsigned queued = p->queued;

	rh_assert(!p->flushed && (queued == 0 || p->queue[queued - 1].apart));
	rh_pipe_send_into(p, stmt, args, n, into);
	if (p->queued == queued)
		return;
	p->queue[queued].apart = true;
	/* libpq 15 lets it leave at once */
	if (!PQpipelineSync(p->pg->conn))
		rh_pipe_lost(p, "08006", PQerrorMessage(p->pg->conn));
	else if (p->pg->pooled || !p->pg->prepared)
		rh_pipe_apart_end(p);
}
