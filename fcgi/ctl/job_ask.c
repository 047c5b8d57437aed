#include "config.h"

#include "ctl/job.h"

#include "data/pg_err.h"

#define ANY .global = "an operator names any tenant"
/* $1 and $2: null is each. */
#define OF(alias) " ($1::uuid is null or " alias ".tenant_id = $1)"		\
    " and ($2::text is null or " alias ".kind = $2)"
#define COMMON "id, tenant_id, kind, state::text, attempt, max_attempts::int,"	\
    " coalesce(progress, 0::smallint) as progress, error, request_id,"		\
    " trace_id::bytea, created_at, started_at, args::jsonb"
#define LIVE "select " COMMON ", run_at, null::timestamptz as finished_at, cancel,"	\
    " null::jsonb as result from jobs"
#define PAST "select " COMMON ", null::timestamptz as run_at, finished_at,"	\
    " false as cancel, result from jobs_past"
#define ROW "j.id, j.tenant_id, t.slug, j.kind, j.state, j.attempt, j.max_attempts,"	\
    " j.progress, j.cancel, j.run_at, j.created_at, j.started_at, j.finished_at,"	\
    " j.error, j.request_id, encode(j.trace_id, 'hex')"
#define EACH "'00000000-0000-0000-0000-000000000000'::uuid"

enum { AT_ONCE = 1000 };

enum {
	TENANT, LIST, SHOW, RETRY, CANCEL, RETRY_ALL, CANCEL_ALL, CONTROL, TIDY,
	CONTROLS, LEFT, CRONS
};

/* clang-format off */
static struct rh_stmt stmts[] = {
	[TENANT] = { .name = "ctl_jobs.tenant", ANY, .sql =
	    "select id from tenants where slug = $1 and deleted_at is null" },
	[LIST] = { .name = "ctl_jobs.list", ANY, .sql =
	    "select " ROW " from (" LIVE " union all " PAST ") j left join tenants t on t.id = j.tenant_id"
	    " where" OF("j") " and ($3::text is null or j.state = $3) order by j.id desc limit $4" },
	[SHOW] = { .name = "ctl_jobs.show", ANY, .sql =
	    "select " ROW ", case when args ? 'rowhouse.sealed' then null else args::text end,"
	    " args ? 'rowhouse.sealed', result::text"
	    " from (" LIVE " union all " PAST ") j left join tenants t on t.id = j.tenant_id"
	    " where ($1::uuid is null or j.tenant_id = $1) and j.id = $2" },
	[RETRY] = { .name = "ctl_jobs.retry", ANY, .sql =
	    "select count(job_retry(j.tenant_id, j.id)) from (select tenant_id, id from jobs union all"
	    " select tenant_id, id from jobs_past) j where ($1::uuid is null or j.tenant_id = $1) and j.id = $2" },
	[CANCEL] = { .name = "ctl_jobs.cancel", ANY, .sql =
	    "select count(job_cancel(j.tenant_id, j.id)) from (select tenant_id, id from jobs union all"
	    " select tenant_id, id from jobs_past) j where ($1::uuid is null or j.tenant_id = $1) and j.id = $2" },
	/* of those that share a key, and of one whose key is taken, none twice */
	[RETRY_ALL] = { .name = "ctl_jobs.retry_all", ANY, .sql =
	    "select count(job_retry(p.tenant_id, p.id)) from (select distinct on (j.tenant_id, j.kind,"
	    "  coalesce(j.unique_key, j.id::text)) j.tenant_id, j.id from jobs_past j"
	    " where" OF("j") " and j.state::text = $3 and j.state <> 'done' and not exists (select from jobs w"
	    "  where w.tenant_id = j.tenant_id and w.kind = j.kind and w.unique_key = j.unique_key)"
	    " limit $4) p" },
	[CANCEL_ALL] = { .name = "ctl_jobs.cancel_all", ANY, .sql =
	    "select count(job_cancel(j.tenant_id, j.id)) from (select tenant_id, id from jobs j where" OF("j")
	    " and not cancel limit $3 for update) j" },
	[CONTROL] = { .name = "ctl_jobs.control", ANY, .sql =
	    "insert into job_controls as c (tenant_id, kind, paused, concurrency, rate_per_s)"
	    " values (coalesce($1::uuid, " EACH "), coalesce($2::text, ''), $3::int > 0,"
	    "  nullif(greatest($4::int, 0), 0), nullif($5::text::real, 0))"
	    " on conflict (tenant_id, kind) do update set updated_at = now(),"
	    "  paused = case when $3::int < 0 then c.paused else excluded.paused end,"
	    "  concurrency = case when $4::int < 0 then c.concurrency else excluded.concurrency end,"
	    "  rate_per_s = case when $5::text is null then c.rate_per_s else excluded.rate_per_s end" },
	[TIDY] = { .name = "ctl_jobs.tidy", ANY, .sql =
	    "delete from job_controls where not paused and concurrency is null and rate_per_s is null" },
	[CONTROLS] = { .name = "ctl_jobs.controls", ANY, .sql =
	    "select t.slug, nullif(c.kind, ''), c.paused, c.concurrency, c.rate_per_s::text from job_controls c"
	    " left join tenants t on t.id = c.tenant_id where" OF("c")
	    " order by c.tenant_id <> " EACH ", t.slug, c.kind" },
	[LEFT] = { .name = "ctl_jobs.left", ANY, .sql =
	    "select count(*) filter (where not later), count(*) filter (where later) from ("
	    " select j.state = 'scheduled' and j.run_at > now() + $3::bigint * interval '1 ms' as later"
	    " from jobs j where" OF("j") ") x" },
	[CRONS] = { .name = "ctl_jobs.crons", ANY, .sql =
	    "select t.slug, c.name, c.kind, c.schedule, c.next_at, c.last_at, c.paused from job_crons c"
	    " left join tenants t on t.id = c.tenant_id where" OF("c") " order by c.next_at, t.slug, c.name" },
	{ 0 }
};

static const struct rh_pg_constraint refused[] = {
	{ "job_is_over", RH_E_CONFLICT, "job.over", "it is over", NULL },
	{ "job_not_retried", RH_E_CONFLICT, "job.not_retried",
	  "it is ready, runs or is done: there is nothing to be tried again", NULL },
	{ "jobs_unique", RH_E_CONFLICT, "job.key_taken",
	  "another of its kind waits or runs under its key", NULL },
	{ 0 }
};

#define R struct job_row
#define OPTIONAL .flags = RH_F_NULLABLE
#define SUMMARY									\
	{ RH_FIELD("id", UUID, R, id) },					\
	{ RH_FIELD("tenant_id", UUID, R, tenant_id) },				\
	{ RH_FIELD("tenant", TEXT, R, tenant), OPTIONAL },			\
	{ RH_FIELD("kind", TEXT, R, kind) },					\
	{ RH_FIELD("state", TEXT, R, state) },					\
	{ RH_FIELD("attempt", INT, R, attempt) },				\
	{ RH_FIELD("max_attempts", INT, R, max_attempts) },			\
	{ RH_FIELD("progress", INT, R, progress) },				\
	{ RH_FIELD("cancelling", BOOL, R, cancelling) },			\
	{ RH_FIELD("run_at", TIME, R, run_at), OPTIONAL },			\
	{ RH_FIELD("created_at", TIME, R, created_at) },			\
	{ RH_FIELD("started_at", TIME, R, started_at), OPTIONAL },		\
	{ RH_FIELD("finished_at", TIME, R, finished_at), OPTIONAL },		\
	{ RH_FIELD("error", TEXT, R, error), OPTIONAL },			\
	{ RH_FIELD("request_id", TEXT, R, request_id) },			\
	{ RH_FIELD("trace_id", TEXT, R, trace_id) }
const struct rh_field job_row_shape[] = { SUMMARY, { 0 } };
const struct rh_field job_one_shape[] = {
	SUMMARY,
	{ RH_FIELD("args", JSON, R, args), OPTIONAL },
	{ RH_FIELD("sealed", BOOL, R, sealed) },
	{ RH_FIELD("result", JSON, R, result), OPTIONAL },
	{ 0 }
};
const struct rh_field job_control_shape[] = {
	{ RH_FIELD("tenant", TEXT, struct job_control, tenant), OPTIONAL },
	{ RH_FIELD("kind", TEXT, struct job_control, kind), OPTIONAL },
	{ RH_FIELD("paused", BOOL, struct job_control, paused) },
	{ RH_FIELD("concurrency", INT, struct job_control, concurrency) },
	{ RH_FIELD("rate_per_s", JSON, struct job_control, rate), OPTIONAL },
	{ 0 }
};
const struct rh_field job_cron_shape[] = {
	{ RH_FIELD("tenant", TEXT, struct job_cron, tenant), OPTIONAL },
	{ RH_FIELD("name", TEXT, struct job_cron, name) },
	{ RH_FIELD("kind", TEXT, struct job_cron, kind) },
	{ RH_FIELD("schedule", TEXT, struct job_cron, schedule) },
	{ RH_FIELD("next_at", TIME, struct job_cron, next_at) },
	{ RH_FIELD("last_at", TIME, struct job_cron, last_at), OPTIONAL },
	{ RH_FIELD("paused", BOOL, struct job_cron, paused) },
	{ 0 }
};
static const struct rh_field left_columns[] = {
	{ RH_FIELD("left", INT, struct job_left, left) },
	{ RH_FIELD("later", INT, struct job_left, later) },
	{ 0 }
};
static const struct rh_field tenant_columns[] = {
	{ RH_FIELD("id", UUID, struct job_ask, tenant) },
	{ 0 }
};
/* clang-format on */

void
job_ask_register(void)
{
	rh_stmts_register(stmts);
	rh_pg_constraints_register(refused);
}

struct rh_err *
job_ask_tenant(struct job_ask *a, struct rh_slice slug, bool *found)
{
	rh_pipe_send(a->db->pipe, &stmts[TENANT], RH_TEXT(slug));
	*found = rh_pipe_row(a->db->pipe, tenant_columns, a);
	return rh_pipe_error(a->db->pipe);
}

struct rh_err *
job_ask_list(struct job_ask *a, struct rh_slice state, int64_t limit,
    struct job_row **rows, size_t *n)
{
	rh_pipe_send(a->db->pipe, &stmts[LIST], RH_UUID(a->tenant),
	    RH_TEXT(a->kind), RH_TEXT(state), RH_INT(limit));
	*n = rh_pipe_rows(a->db->pipe, job_row_shape, sizeof(**rows), rows);
	return rh_pipe_error(a->db->pipe);
}

struct rh_err *
job_ask_show(struct job_ask *a, struct rh_uuid id, struct job_row *row,
    bool *found)
{
	rh_pipe_send(a->db->pipe, &stmts[SHOW], RH_UUID(a->tenant),
	    RH_UUID(id));
	*found = rh_pipe_row(a->db->pipe, job_one_shape, row);
	return rh_pipe_error(a->db->pipe);
}

static struct rh_err *
change(struct job_ask *a, unsigned stmt, struct rh_uuid id, bool *found)
{
	rh_pipe_send(a->db->pipe, &stmts[stmt], RH_UUID(a->tenant),
	    RH_UUID(id));
	*found = rh_pipe_int(a->db->pipe) > 0;
	return rh_pipe_error(a->db->pipe);
}

struct rh_err *
job_ask_retry(struct job_ask *a, struct rh_uuid id, bool *found)
{
	return change(a, RETRY, id, found);
}

struct rh_err *
job_ask_cancel(struct job_ask *a, struct rh_uuid id, bool *found)
{
	return change(a, CANCEL, id, found);
}

/* A thousand at a time, so that no lock is held for long. */
struct rh_err *
job_ask_retry_all(struct job_ask *a, struct rh_slice state, int64_t *n)
{
	struct rh_err *err;
	int64_t more;

	*n = 0;
	do {
		rh_pipe_send(a->db->pipe, &stmts[RETRY_ALL], RH_UUID(a->tenant),
		    RH_TEXT(a->kind), RH_TEXT(state), RH_INT(AT_ONCE));
		more = rh_pipe_int(a->db->pipe);
		if ((err = rh_pipe_error(a->db->pipe)))
			return err;
		*n += more;
	} while (more == AT_ONCE);
	return NULL;
}

struct rh_err *
job_ask_cancel_all(struct job_ask *a, int64_t *n)
{
	struct rh_err *err;
	int64_t more;

	*n = 0;
	do {
		rh_pipe_send(a->db->pipe, &stmts[CANCEL_ALL],
		    RH_UUID(a->tenant), RH_TEXT(a->kind), RH_INT(AT_ONCE));
		more = rh_pipe_int(a->db->pipe);
		if ((err = rh_pipe_error(a->db->pipe)))
			return err;
		*n += more;
	} while (more == AT_ONCE);
	return NULL;
}

struct rh_err *
job_ask_control(struct job_ask *a, const struct job_change *change)
{
	rh_pipe_send(a->db->pipe, &stmts[CONTROL], RH_UUID(a->tenant),
	    RH_TEXT(a->kind), RH_INT(change->paused),
	    RH_INT(change->concurrency), RH_TEXT(change->rate));
	rh_pipe_send_args(a->db->pipe, &stmts[TIDY], NULL, 0);
	(void)rh_pipe_done(a->db->pipe);
	(void)rh_pipe_done(a->db->pipe);
	return rh_pipe_error(a->db->pipe);
}

struct rh_err *
job_ask_controls(struct job_ask *a, struct job_control **rows, size_t *n)
{
	rh_pipe_send(a->db->pipe, &stmts[CONTROLS], RH_UUID(a->tenant),
	    RH_TEXT(a->kind));
	*n = rh_pipe_rows(a->db->pipe, job_control_shape, sizeof(**rows), rows);
	return rh_pipe_error(a->db->pipe);
}

struct rh_err *
job_ask_left(struct job_ask *a, int64_t within_ms, struct job_left *left)
{
	static struct rh_arena *scratch;
	struct rh_pipe *pipe;
	struct rh_err *err;

	/* asked again and again: what an answer takes is given back */
	if (!scratch)
		scratch = rh_arena_new(4 << 10, 16 << 20);
	rh_pg_end(a->db->pg);
	rh_arena_reset(scratch);
	pipe = rh_pg_begin(a->db->pg, scratch, NULL);
	rh_pipe_send(pipe, &stmts[LEFT], RH_UUID(a->tenant), RH_TEXT(a->kind),
	    RH_INT(within_ms));
	(void)rh_pipe_row(pipe, left_columns, left);
	if ((err = rh_pipe_error(pipe)))
		return err;
	rh_pg_end(a->db->pg);
	a->db->pipe = rh_pg_begin(a->db->pg, a->db->arena, NULL);
	return NULL;
}

struct rh_err *
job_ask_crons(struct job_ask *a, struct job_cron **rows, size_t *n)
{
	rh_pipe_send(a->db->pipe, &stmts[CRONS], RH_UUID(a->tenant),
	    RH_TEXT(a->kind));
	*n = rh_pipe_rows(a->db->pipe, job_cron_shape, sizeof(**rows), rows);
	return rh_pipe_error(a->db->pipe);
}
