#include "config.h"

#include "data/pg_session.h"

#include <poll.h>

#include <libpq-fe.h>

#include "base/clock.h"

/* For a server that rolls back; where it takes longer, we close. */
#define ROLLBACK_NS	UINT64_C(500000000)

/* Never prepared: SQL's PREPARE knows no such statements, and they need no plan. */
static const struct rh_stmt begin = { .name = "transaction.begin",
	.sql = "begin" };
static const struct rh_stmt commit = { .name = "transaction.commit",
	.sql = "commit" };

static bool
word_send(struct rh_pg *pg, const char *sql)
{
	return PQsendQueryParams(pg->conn, sql, 0, NULL, NULL, NULL, NULL, 1);
}

static void
word_queue(struct rh_pipe *p, const struct rh_stmt *word)
{
	rh_pipe_queue(p, word_send(p->pg, word->sql),
	    &(struct sent){ .stmt = word, .word = true });
}

void
rh_pipe_hold(struct rh_pipe *p)
{
	rh_assert(!p->held);
	p->held = true;
	if (rh_pipe_can_send(p, &begin))
		word_queue(p, &begin);
}

void
rh_pipe_commit(struct rh_pipe *p)
{
	rh_assert(p->held);
	p->held = false;
	p->commits = rh_pipe_can_send(p, &commit);
}

/*
 * Not before: libpq sends what it has queued also where it is only told to
 * close, and a COMMIT needs no Sync to be one.
 */
void
rh_pipe_commit_send(struct rh_pipe *p)
{
	if (p->commits)
		word_queue(p, &commit);
	p->commits = false;
}

void
rh_pipe_word_read(struct rh_pipe *p, const struct rh_stmt *word,
    const PGresult *r)
{
	ExecStatusType state = PQresultStatus(r);

	if (state == PGRES_PIPELINE_ABORTED)
		return;
	/* a commit that fails, by a deferred constraint, is an end as well */
	p->pg->begun = word == &begin && state == PGRES_COMMAND_OK;
}

/* Posts it. A socket that does not take forty bytes is a session's end. */
static void
rollback_send(struct rh_pg *pg)
{
	if (!pg->conn || !pg->begun || pg->ending)
		return;
	if (word_send(pg, "rollback") && PQpipelineSync(pg->conn) &&
	    PQflush(pg->conn) == 0)
		pg->ending = true;
	else
		rh_pg_close(pg);
}

void
rh_pipe_rollback(struct rh_pipe *p)
{
	p->held = p->commits = false;
	/* where something is queued and was not sent, rh_pipe_error closes */
	if (p->queued == 0)
		rollback_send(p->pg);
}

/* Reads up to the Sync behind it. */
static bool
rollback_read(struct rh_pg *pg, uint64_t until_ns)
{
	ExecStatusType state = PGRES_EMPTY_QUERY;

	while (state != PGRES_PIPELINE_SYNC) {
		PGresult *r;

		while (PQisBusy(pg->conn))
			if (!rh_pg_wait(pg, POLLIN, until_ns) ||
			    !PQconsumeInput(pg->conn))
				return false;
		r = PQgetResult(pg->conn);
		if (!r && PQstatus(pg->conn) != CONNECTION_OK)
			return false;
		if (r)
			state = PQresultStatus(r);
		PQclear(r);
		if (state == PGRES_FATAL_ERROR)
			return false;
	}
	return true;
}

void
rh_pg_rollback_end(struct rh_pg *pg)
{
	rollback_send(pg);
	if (!pg->conn || !pg->ending)
		return;
	pg->begun = pg->ending = false;
	if (!rollback_read(pg, rh_clock_mono_ns() + ROLLBACK_NS))
		rh_pg_close(pg);
}
