#include "config.h"

#include "jobs/job.h"

#include <string.h>

#include "base/clock.h"

static const struct rh_job_kind *kinds[RH_JOB_KINDS_MAX];
static unsigned nkinds;
static uint64_t sent; /* a worker's own: it is copied by the fork, as 0 */

void
rh_job_kinds_register(struct rh_job_kind *table)
{
	for (struct rh_job_kind *k = table; k->name; k++) {
		rh_assert(k->handler && nkinds + 1 < RH_JOB_KINDS_MAX &&
		    !rh_job_kinds_find(rh_slice_of(k->name)));
		kinds[nkinds++] = k;
		k->index = nkinds;
	}
}

unsigned
rh_job_kinds_count(void)
{
	return nkinds;
}

const struct rh_job_kind *
rh_job_kinds_get(unsigned index)
{
	return index > 0 && index <= nkinds ? kinds[index - 1] : NULL;
}

const struct rh_job_kind *
rh_job_kinds_find(struct rh_slice name)
{
	for (unsigned i = 0; i < nkinds; i++)
		if (rh_slice_is(name, rh_slice_of(kinds[i]->name)))
			return kinds[i];
	return NULL;
}

/* ---- leaving one ---- */

enum { ADD };
struct rh_stmt rh_job_stmts[] = {
	[ADD] = { .name = "jobs.add", .sql =
	    "insert into jobs (tenant_id, id, kind, state, priority, args,"
	    "  unique_key, run_at, max_attempts, actor_id, trace_id,"
	    "  parent_span_id, trace_flags, request_id)"
	    " values ($1, $2, $3, case when $7::timestamptz > now() then"
	    "  'scheduled' else 'ready' end::job_state, $4, $5::text::jsonb, $6,"
	    "  coalesce($7::timestamptz, now()), $8, nullif(actor_id(),"
	    "  '00000000-0000-0000-0000-000000000000'), $9, $10, $11, $12)"
	    " on conflict (tenant_id, kind, unique_key)"
	    "  where unique_key is not null do nothing" },
	{ 0 }
};

uint64_t
rh_job_sent(void)
{
	return sent;
}

struct rh_slice
rh_job_seal(const struct rh_job_origin *origin, const struct rh_job_kind *kind,
    struct rh_uuid row, struct rh_slice args)
{
	rh_assert(args.n && args.n <= RH_JOB_ARGS_MAX);
	if (!kind->secret)
		return args;
	rh_assert(origin->sealer && origin->arena && args.n <= RH_SEALED_MAX);
	return rh_args_seal(origin->sealer, origin->arena, origin->tenant, row,
	    args);
}

struct rh_uuid
rh_job_send(struct rh_pipe *pipe, const struct rh_job_origin *origin,
    const struct rh_job_kind *kind, struct rh_slice args,
    const struct rh_job_options *options)
{
	static const struct rh_job_options none;
	const struct rh_job_options *o = options ? options : &none;
	const struct rh_trace *t = origin->trace;
	struct rh_uuid id = rh_uuid_v7();
	int64_t at = o->run_at_us ? o->run_at_us : RH_TIME_NONE;
	unsigned most = kind->max_attempts ? kind->max_attempts :
	    RH_JOB_ATTEMPTS;

	/* both are the caller's own mistakes: its rows would be nobody's */
	rh_assert(kind->index && !rh_uuid_is_nil(origin->tenant));
	sent++;
	args = rh_job_seal(origin, kind, id, args);
	rh_pipe_send(pipe, &rh_job_stmts[ADD], RH_UUID(origin->tenant),
	    RH_UUID(id), RH_TEXT(rh_slice_of(kind->name)),
	    RH_INT(kind->priority + o->priority), RH_TEXT(args),
	    RH_TEXT(o->unique), RH_TIME(at), RH_INT(most),
	    RH_BYTES(((struct rh_slice){ (const char *)t->trace_id, 16 })),
	    RH_BYTES(((struct rh_slice){
		(const char *)rh_trace_server(t)->id, 8 })),
	    RH_INT(rh_trace_left(t)), RH_TEXT(origin->request_id));
	return id;
}
