#include "config.h"

#include "jobs/crons.h"

#include "base/clock.h"
#include "jobs/cron.h"

enum { SET, DROP, DUE, FIRE };

/* clang-format off */
struct rh_stmt rh_cron_stmts[] = {
	[SET] = { .name = "crons.set", .sql =
	    "insert into job_crons (tenant_id, name, id, kind, schedule, args,"
	    "  next_at, actor_id)"
	    " values ($1, $2, $3, $4, $5, $6::text::jsonb, $7, nullif(actor_id(),"
	    "  '00000000-0000-0000-0000-000000000000'))"
	    " on conflict (tenant_id, name) do update set id = excluded.id,"
	    "  kind = excluded.kind, schedule = excluded.schedule,"
	    "  args = excluded.args, actor_id = excluded.actor_id,"
	    "  updated_at = now(), next_at = case when job_crons.schedule ="
	    "  excluded.schedule then job_crons.next_at else excluded.next_at end" },
	[DROP] = { .name = "crons.drop", .sql =
	    "delete from job_crons where tenant_id = $1 and name = $2" },
	[DUE] = { .name = "crons.due",
	    .global = "a worker is nobody's: it looks for all tenants", .sql =
	    "select tenant_id, id, name, kind, schedule, args, next_at, today"
	    " from job_cron_due($1)" },
	[FIRE] = { .name = "crons.fire", .sql =
	    "select job_cron_fire($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11,"
	    "  $12)::int" },
	{ 0 }
};

#define R struct rh_cron_due
static const struct rh_field due_columns[] = {
	{ RH_FIELD("tenant_id", UUID, R, tenant) },
	{ RH_FIELD("id", UUID, R, id) },
	{ RH_FIELD("name", TEXT, R, name) },
	{ RH_FIELD("kind", TEXT, R, kind) },
	{ RH_FIELD("schedule", TEXT, R, schedule) },
	{ RH_FIELD("args", TEXT, R, args) },
	{ RH_FIELD("next_at", TIME, R, next_at) },
	{ RH_FIELD("today", TIME, R, today) },
	{ 0 }
};
/* clang-format on */

struct rh_err *
rh_cron_set_send(struct rh_pipe *pipe, const struct rh_job_origin *origin,
    const struct rh_cron_set *what)
{
	struct rh_uuid id = rh_uuid_v7();
	struct rh_slice args = what->args;
	struct rh_cron cron;
	const char *fault = rh_cron_read(&cron, what->schedule);

	/* these are the caller's own: no client gave them */
	rh_assert(what->kind->index && !rh_uuid_is_nil(origin->tenant));
	rh_assert(what->name.n && what->name.n <= RH_CRON_NAME_MAX);
	if (fault)
		return rh_err_new(origin->arena, RH_E_INVALID, "cron.schedule",
		    "The schedule cannot be read: %s.", fault);
	args = rh_job_seal(origin, what->kind, id, args);
	rh_pipe_send(pipe, &rh_cron_stmts[SET], RH_UUID(origin->tenant),
	    RH_TEXT(what->name), RH_UUID(id),
	    RH_TEXT(rh_slice_of(what->kind->name)),
	    RH_TEXT(rh_slice_trim(what->schedule)), RH_TEXT(args),
	    RH_TIME(rh_cron_next(&cron, what->now_us)));
	return NULL;
}

void
rh_cron_drop_send(struct rh_pipe *pipe, struct rh_uuid tenant,
    struct rh_slice name)
{
	rh_pipe_send(pipe, &rh_cron_stmts[DROP], RH_UUID(tenant), RH_TEXT(name));
}

size_t
rh_cron_due(struct rh_pipe *pipe, int64_t most, struct rh_cron_due **rows)
{
	rh_pipe_send(pipe, &rh_cron_stmts[DUE], RH_INT(most));
	return rh_pipe_rows(pipe, due_columns, sizeof(**rows), rows);
}

/* From the row's to the job's. One that does not open fails as the job's. */
static struct rh_slice
resealed(const struct rh_job_origin *origin, const struct rh_cron_due *due,
    struct rh_uuid job)
{
	struct rh_slice args = due->args;

	if (!rh_args_are_sealed(args) ||
	    !rh_args_open(origin->sealer, origin->arena, due->tenant, due->id,
		&args))
		return due->args;
	return rh_args_seal(origin->sealer, origin->arena, due->tenant, job,
	    args);
}

bool
rh_cron_fire(struct rh_pipe *pipe, const struct rh_job_origin *origin,
    const struct rh_cron_due *due, struct rh_uuid *job)
{
	const struct rh_job_kind *kind = rh_job_kinds_find(due->kind);
	const struct rh_trace *t = origin->trace;
	int64_t next = RH_TIME_NONE;
	struct rh_cron cron;

	*job = rh_uuid_v7();
	if (!rh_cron_read(&cron, due->schedule))
		next = rh_cron_next(&cron, RH_MAX(due->next_at, due->today));
	rh_pipe_send(pipe, &rh_cron_stmts[FIRE], RH_UUID(due->tenant),
	    RH_TEXT(due->name), RH_TIME(due->next_at), RH_TIME(next),
	    RH_UUID(*job), RH_TEXT(resealed(origin, due, *job)),
	    RH_INT(kind ? kind->priority : 0),
	    RH_INT(kind && kind->max_attempts ? kind->max_attempts :
						RH_JOB_ATTEMPTS),
	    RH_BYTES(((struct rh_slice){ (const char *)t->trace_id, 16 })),
	    RH_BYTES(((struct rh_slice){
		(const char *)rh_trace_server(t)->id, 8 })),
	    RH_INT(rh_trace_left(t)), RH_TEXT(origin->request_id));
	return rh_pipe_int(pipe);
}
