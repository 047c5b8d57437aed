#include "config.h"

#include "jobs/jobs.h"

#include "base/clock.h"
#include "serve/event.h"
#include "serve/wake.h"

/*
 * Two tables, one list. Ids are UUIDv7, so the primary keys have them in the
 * order in which they were left. Types are said, for those of jobs are domains: of
 * two types a column has, its order is lost in a union.
 */
#define COMMON	"id, kind, state, priority, attempt, max_attempts::int,"		\
    " progress::smallint, error, actor_id, trace_id::bytea, request_id,"	\
    " created_at, started_at, args::jsonb"
#define LIVE	"select " COMMON ", run_at, cancel, null::jsonb as result,"	\
    " null::timestamptz as finished_at from jobs where tenant_id = $1"
#define PAST	"select " COMMON ", null::timestamptz as run_at, false as cancel,"	\
    " result, finished_at from jobs_past where tenant_id = $1"

#define SUMMARY	"id, kind, state::text, priority, attempt, max_attempts, run_at,"	\
    " coalesce(progress, 0), cancel, error, actor_id, encode(trace_id, 'hex'),"	\
    " request_id, created_at, started_at, finished_at"
#define WHOLE	SUMMARY ", case when args ? 'rowhouse.sealed' then null"	\
    " else args::text end, args ? 'rowhouse.sealed', result::text"

/* Of each table as many as are wanted, in order: nothing is sorted. */
#define BEFORE(from, where)							\
	"(" from " and id < $2" where " order by id desc limit $3)"
#define PAGE_OF(tables)								\
	"select " SUMMARY " from (" tables ") j order by id desc limit $3"

enum {
	PAGE, PAGE_KIND, PAGE_LIVE, PAGE_RUNNING, PAGE_DONE, PAGE_DONE_KIND,
	PAGE_FAILED, PAGE_FAILED_KIND, SHOW, RETRY, CANCEL
};

/* clang-format off */
struct rh_stmt jobs_stmts[] = {
	[PAGE] = { .name = "jobs.page", .sql =
	    PAGE_OF(BEFORE(LIVE, "") " union all " BEFORE(PAST, "")) },
	[PAGE_KIND] = { .name = "jobs.page_kind", .sql =
	    PAGE_OF(BEFORE(LIVE, " and kind = $4") " union all " BEFORE(PAST, " and kind = $4")) },
	/* few: what waits is read whole, at the worst */
	[PAGE_LIVE] = { .name = "jobs.page_live", .sql =
	    PAGE_OF(BEFORE(LIVE, " and state = $4::text::job_state and ($5::text is null or kind = $5)")) },
	/*
	 * Far fewer still, with an index. Under the policy a state's statistics are
	 * not looked at: but for the WITH, what waits would be walked for them.
	 */
	[PAGE_RUNNING] = { .name = "jobs.page_running", .sql =
	    "with r as materialized (" LIVE " and id < $2 and state = 'running'"
	    " and ($4::text is null or kind = $4)) " PAGE_OF("select * from r") },
	[PAGE_DONE] = { .name = "jobs.page_done", .sql =
	    PAGE_OF(BEFORE(PAST, " and state = 'done'")) },
	[PAGE_DONE_KIND] = { .name = "jobs.page_done_kind", .sql =
	    PAGE_OF(BEFORE(PAST, " and kind = $4 and state = 'done'")) },
	/* the states of which there are little have an index */
	[PAGE_FAILED] = { .name = "jobs.page_failed", .sql =
	    PAGE_OF(BEFORE(PAST, " and state = $4::text::job_state and state <> 'done'")) },
	[PAGE_FAILED_KIND] = { .name = "jobs.page_failed_kind", .sql =
	    PAGE_OF(BEFORE(PAST, " and state = $4::text::job_state and state <> 'done' and kind = $5")) },
	[SHOW] = { .name = "jobs.show", .sql =
	    "select " WHOLE " from (" LIVE " and id = $2 union all " PAST " and id = $2) j" },
	[RETRY] = { .name = "jobs.retry", .sql =
	    "with x as (select j as told from job_retry($1, $6) j where j is not null), e as ("
	    RH_EVENT("job.retried", "x", "$6::uuid", "x.told") ") select 1 from x" },
	[CANCEL] = { .name = "jobs.cancel", .sql =
	    "with x as (select j as told from job_cancel($1, $6) j where j is not null), e as ("
	    RH_EVENT("job.cancelled", "x", "$6::uuid", "x.told") ") select 1 from x" },
	{ 0 }
};
/* clang-format on */

static struct rh_uuid
before(const struct rh_cursor *after)
{
	struct rh_uuid last;

	if (after->at != RH_TIME_INFINITY)
		return after->id;
	memset(last.b, 0xff, sizeof(last.b));
	return last;
}

/* By what is asked for: a statement each, so that each has its plan. */
static unsigned
page_of(const struct jobs_query *q)
{
	bool kind = q->kind.p;

	switch (q->state) {
	case JOB_SCHEDULED:
	case JOB_READY:
		return PAGE_LIVE;
	case JOB_RUNNING:
		return PAGE_RUNNING;
	case JOB_DONE:
		return kind ? PAGE_DONE_KIND : PAGE_DONE;
	case JOB_DEAD:
	case JOB_CANCELLED:
		return kind ? PAGE_FAILED_KIND : PAGE_FAILED;
	default:
		return kind ? PAGE_KIND : PAGE;
	}
}

void
jobs_repo_page(struct rh_call *c, const struct jobs_query *q,
    struct jobs_page *out)
{
	static const unsigned nargs[] = { [PAGE] = 3, [PAGE_KIND] = 4,
		[PAGE_LIVE] = 5, [PAGE_RUNNING] = 4, [PAGE_DONE] = 3,
		[PAGE_DONE_KIND] = 4, [PAGE_FAILED] = 4,
		[PAGE_FAILED_KIND] = 5 };
	unsigned page = page_of(q);
	bool by_state = page == PAGE_LIVE || page == PAGE_FAILED ||
	    page == PAGE_FAILED_KIND;
	const struct rh_arg args[] = { RH_UUID(c->tenant),
		RH_UUID(before(&q->paging.after)),
		RH_INT(q->paging.limit + 1),
		by_state ? RH_TEXT(rh_slice_of(job_states[q->state])) :
			   RH_TEXT(q->kind),
		RH_TEXT(q->kind) };

	rh_pipe_send_args(c->pipe, &jobs_stmts[page], args, nargs[page]);
	out->n = rh_pipe_rows(c->pipe, job_shape, sizeof(*out->rows),
	    &out->rows);
}

bool
jobs_repo_get(struct rh_call *c, struct rh_uuid id, struct job *out)
{
	rh_pipe_send(c->pipe, &jobs_stmts[SHOW], RH_UUID(c->tenant),
	    RH_UUID(id));
	return rh_pipe_row(c->pipe, job_whole_shape, out);
}

static bool
change(struct rh_call *c, unsigned stmt, struct rh_uuid id, struct job *out)
{
	bool changed;

	rh_pipe_send(c->pipe, &jobs_stmts[stmt], RH_EVENT_ARGS(c), RH_UUID(id));
	rh_pipe_send(c->pipe, &jobs_stmts[SHOW], RH_UUID(c->tenant),
	    RH_UUID(id));
	changed = rh_pipe_done(c->pipe) == 1;
	return rh_pipe_row(c->pipe, job_whole_shape, out) && changed;
}

bool
jobs_repo_retry(struct rh_call *c, struct rh_uuid id, struct job *out)
{
	c->leaves |= 1U << RH_WAKE_JOBS;
	return change(c, RETRY, id, out);
}

bool
jobs_repo_cancel(struct rh_call *c, struct rh_uuid id, struct job *out)
{
	return change(c, CANCEL, id, out);
}
