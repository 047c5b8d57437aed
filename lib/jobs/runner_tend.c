#include "config.h"

#include "jobs/runner_part.h"

#include "base/clock.h"

#define LEFT_MAX 1000

enum { KINDS_FIRST = 1024, KINDS_MAX = 64 << 10 };

/* What our kinds say of themselves: three arrays, as text. */
static void
kinds_send(struct rh_pipe *p, struct rh_arena *arena)
{
	struct rh_buf names, concurrency, rates;

	rh_buf_init(&names, arena, KINDS_FIRST, KINDS_MAX);
	rh_buf_init(&concurrency, arena, KINDS_FIRST, KINDS_MAX);
	rh_buf_init(&rates, arena, KINDS_FIRST, KINDS_MAX);
	for (unsigned i = 1; i <= rh_job_kinds_count(); i++) {
		const struct rh_job_kind *k = rh_job_kinds_get(i);
		char before = i > 1 ? ',' : '{';

		rh_buf_printf(&names, "%c\"%s\"", before, k->name);
		rh_buf_printf(&concurrency, k->concurrency ? "%c%u" : "%cNULL",
		    before, k->concurrency);
		rh_buf_printf(&rates, k->rate_per_s > 0 ? "%c%.6g" : "%cNULL",
		    before, k->rate_per_s);
	}
	rh_buf_char(&names, '}');
	rh_buf_char(&concurrency, '}');
	rh_buf_char(&rates, '}');
	rh_pipe_send(p, &rh_runner_stmts[RH_RUNNER_KINDS],
	    RH_TEXT(rh_buf_get(&names)), RH_TEXT(rh_buf_get(&concurrency)),
	    RH_TEXT(rh_buf_get(&rates)));
}

/*
 * What this slot has by the database and not by us: of the worker before, or of
 * a connection that broke before we heard. What was done is settled first.
 */
bool
rh_runner_sweep(struct rh_runner *r)
{
	struct rh_arena *arena = r->running->arena;
	struct rh_pipe *p = rh_runner_begin(r, arena);
	bool settles = r->settling->ndone > 0, tells;
	int64_t n;

	tells = !r->told && rh_job_kinds_count();
	if (tells)
		kinds_send(p, arena);
	if (settles)
		rh_runner_settle(r, p, arena);
	rh_pipe_send(p, &rh_runner_stmts[RH_RUNNER_RESCUE], RH_UUID(r->holder),
	    RH_INT(LEFT_MAX), RH_BOOL(r->sweep == RH_SWEEP_BEGUN));
	if (tells)
		(void)rh_pipe_int(p);
	if (settles)
		(void)rh_pipe_int(p);
	n = rh_pipe_int(p);
	settles = rh_runner_commit(r, p, "take back");
	rh_arena_reset(arena);
	if (!settles)
		return false;
	if (n)
		rh_log_say(r->obs.log, RH_LOG_WARN, "jobs: %lld that this slot"
		    " had and nobody worked at are taken back", (long long)n);
	r->told = true;
	r->settling->ndone = 0;
	r->sweep = RH_SWEEP_NONE;
	return true;
}

struct waiting {
	struct rh_slice kind;
	int64_t n, oldest_ms;
};
static const struct rh_field waiting_columns[] = { { RH_FIELD("kind", TEXT,
						       struct waiting, kind) },
	{ RH_FIELD("n", INT, struct waiting, n) },
	{ RH_FIELD("oldest_ms", INT, struct waiting, oldest_ms) }, { 0 } };

static void
note_waiting(struct rh_runner *r, const struct waiting *rows, size_t n)
{
	struct rh_job_waiting *w = &r->waiting;

	*w = (struct rh_job_waiting){ .oldest_ms = 0 };
	for (size_t i = 0; i < n; i++) {
		const struct rh_job_kind *k = rh_job_kinds_find(rows[i].kind);

		w->pending[k ? k->index : 0] += (uint64_t)rows[i].n;
		w->oldest_ms = RH_MAX(w->oldest_ms, rows[i].oldest_ms);
	}
}

void
rh_job_waiting_show(const struct rh_tally *tally,
    const struct rh_job_series *series, const struct rh_job_waiting *waiting)
{
	for (unsigned i = 0; i <= rh_job_kinds_count(); i++)
		rh_gauge_set(tally, series->pending, i, waiting->pending[i]);
	rh_gauge_set(tally, series->oldest, 0,
	    (uint64_t)waiting->oldest_ms / 1000);
}

void
rh_runner_tend(struct rh_runner *r, int64_t keep_ms)
{
	struct rh_arena *arena = r->running->arena;
	struct rh_pipe *p = rh_runner_begin(r, arena);
	struct waiting *rows;
	int64_t rescued;
	size_t n;

	rh_pipe_send(p, &rh_runner_stmts[RH_RUNNER_RESCUE], RH_UUID(RH_UUID_NIL),
	    RH_INT(LEFT_MAX), RH_BOOL(true));
	rh_pipe_send(p, &rh_runner_stmts[RH_RUNNER_FORGET], RH_INT(keep_ms),
	    RH_INT(LEFT_MAX));
	rh_pipe_send_args(p, &rh_runner_stmts[RH_RUNNER_WAITING], NULL, 0);
	rescued = rh_pipe_int(p);
	(void)rh_pipe_int(p);
	n = rh_pipe_rows(p, waiting_columns, sizeof(*rows), &rows);
	if (rh_runner_commit(r, p, "look after them"))
		note_waiting(r, rows, n);
	if (rescued)
		rh_log_say(r->obs.log, RH_LOG_WARN,
		    "jobs: %lld whose lease was"
		    " over failed",
		    (long long)rescued);
	rh_arena_reset(arena);
}
