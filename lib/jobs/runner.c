#include "config.h"

#include "jobs/runner.h"

#include "base/clock.h"
#include "jobs/runner_part.h"

/* As many as take so long; and after so long no more. */
#define SHORT_NS (20 * MS_NS)
#define LONG_NS (50 * MS_NS)
#define ENOUGH_NS (100 * MS_NS)
/* Where the database did not answer as it should. */
#define TROUBLE_NS (1000 * MS_NS)
/* For all but the handlers' own statements. */
#define STATEMENT_NS (10000 * MS_NS)

enum {
	BATCH_FIRST = 64 << 10,
	BATCH_CAP = 192 << 20,
	ARRAY_FIRST = 4096,
	ARRAY_MAX = WANT_MAX * (RH_UUID_LEN + 1) + 2
};

#define EVERYBODYS \
	.global = "a worker is nobody's: it works for all tenants in turn"

/* clang-format off */
struct rh_stmt rh_runner_stmts[] = {
	[RH_RUNNER_CLAIM] = { .name = "jobs.claim", EVERYBODYS, .sql =
	    "select tenant_id, id, kind, args, attempt, max_attempts, actor_id,"
	    "  trace_id, parent_span_id, trace_flags, request_id, waited_ms,"
	    "  priority, seq from job_claim($1, $2, $3, $4, $5::text::uuid[],"
	    "  $6::text::int[], $7::text::text[], $8::text::bigint[])" },
	[RH_RUNNER_NEXT] = { .name = "jobs.next", EVERYBODYS, .sql =
	    "select coalesce(job_next_ms(), -1)" },
	[RH_RUNNER_ENTER] = { .name = "jobs.enter", .sql =
	    "select job_enter($1, $2, $3, $4)" },
	[RH_RUNNER_OVER] = { .name = "jobs.over", .sql =
	    "select job_over($1, $2, $3, $4, 'done', $5::text::jsonb, null)::int" },
	[RH_RUNNER_OVER_ALL] = { .name = "jobs.over_all", EVERYBODYS, .sql =
	    "select job_over_all($1, $2::text::uuid[], $3::text::uuid[],"
	    "  $4::text::int[])" },
	[RH_RUNNER_FAIL] = { .name = "jobs.fail", .sql =
	    "select case job_fail($1, $2, $3, $4, $5, $6) when 'scheduled' then 1"
	    "  when 'dead' then 2 when 'cancelled' then 3 else 4 end" },
	[RH_RUNNER_GIVE_BACK] = { .name = "jobs.give_back", EVERYBODYS, .sql =
	    "select job_give_back($1, $2::text::uuid[], $3::text::uuid[],"
	    "  $4::text::int[])" },
	[RH_RUNNER_EXTEND] = { .name = "jobs.extend", .sql =
	    "select coalesce(job_extend($1, $2, $3, $4, $5, $6), true)::int" },
	[RH_RUNNER_RESCUE] = { .name = "jobs.rescue", EVERYBODYS, .sql =
	    "select job_rescue($1, $2, $3)" },
	[RH_RUNNER_WAITING] = { .name = "jobs.waiting", EVERYBODYS, .sql =
	    "select kind, n, oldest_ms from job_waiting()" },
	[RH_RUNNER_FORGET] = { .name = "jobs.forget", EVERYBODYS, .sql =
	    "select job_forget($1, $2)" },
	[RH_RUNNER_KINDS] = { .name = "jobs.kinds", EVERYBODYS, .sql =
	    "select job_kinds_say($1::text::text[], $2::text::int[],"
	    "  $3::text::real[])::int" },
	[RH_RUNNER_TURN] = { .name = "jobs.turn", EVERYBODYS, .sql =
	    "select job_turn_one($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)" },
	{ 0 }
};
/* clang-format on */
_Static_assert(RH_JOB_RETRIED == 1 && RH_JOB_DEAD == 2 &&
	RH_JOB_CANCELLED == 3 && RH_JOB_LOST == 4,
    "as jobs.fail says them");

const struct rh_pg_constraint rh_job_constraints[] = {
	{ "job_lost", RH_E_CONFLICT, "job.lost", "Another has the job by now.",
	    NULL },
	{ "jobs_args_check", RH_E_INVALID, "job.args",
	    "The job's arguments are"
	    " too long.",
	    NULL },
	{ 0 }
};

#define R struct rh_claimed
/* As the functions have them: what comes in another order is made into it. */
static const struct rh_field claim_columns[] = { { RH_FIELD("tenant_id", UUID,
						     R, tenant) },
	{ RH_FIELD("id", UUID, R, id) }, { RH_FIELD("kind", TEXT, R, kind) },
	{ RH_FIELD("args", TEXT, R, args) },
	{ RH_FIELD("attempt", INT, R, attempt) },
	{ RH_FIELD("max_attempts", INT, R, max_attempts) },
	{ RH_FIELD("actor_id", UUID, R, actor) },
	{ RH_FIELD("trace_id", TEXT, R, trace_id) },
	{ RH_FIELD("parent_span_id", TEXT, R, parent_span_id) },
	{ RH_FIELD("trace_flags", INT, R, trace_flags) },
	{ RH_FIELD("request_id", TEXT, R, request_id) },
	{ RH_FIELD("waited_ms", INT, R, waited_ms) },
	{ RH_FIELD("priority", INT, R, priority) },
	{ RH_FIELD("seq", INT, R, seq) }, { 0 } };

/* ---- its own statements: no job's, so the master is not told of them ---- */

struct rh_pipe *
rh_runner_begin(struct rh_runner *r, struct rh_arena *arena)
{
	struct rh_pipe *p = rh_pg_begin(r->pg, arena, NULL);

	r->pg_obs->flight = NULL;
	rh_pg_deadline(r->pg, rh_clock_mono_ns() + STATEMENT_NS);
	return p;
}

bool
rh_runner_commit(struct rh_runner *r, struct rh_pipe *p, const char *what)
{
	struct rh_err *err = rh_pipe_error(p);

	if (err)
		rh_log_say(r->obs.log, RH_LOG_WARN, "jobs: cannot %s: %s: %s",
		    what, err->code, err->cause ? err->cause : err->detail);
	rh_pg_end(r->pg);
	r->pg_obs->flight = r->obs.flight;
	return !err;
}

/* Three arrays of PostgreSQL's, as text: tenants, ids, attempts. */
struct arrays {
	struct rh_buf tenants, ids, attempts;
};

static void
array_uuid(struct rh_buf *b, struct rh_uuid id)
{
	char text[RH_UUID_LEN];

	rh_uuid_put(text, id);
	rh_buf_char(b, b->n ? ',' : '{');
	rh_buf_put(b, text, sizeof(text));
}

static void
arrays_init(struct arrays *a, struct rh_arena *arena)
{
	rh_buf_init(&a->tenants, arena, ARRAY_FIRST, ARRAY_MAX);
	rh_buf_init(&a->ids, arena, ARRAY_FIRST, ARRAY_MAX);
	rh_buf_init(&a->attempts, arena, ARRAY_FIRST, ARRAY_MAX);
}

static void
arrays_add(struct arrays *a, const struct rh_claimed *row)
{
	array_uuid(&a->tenants, row->tenant);
	array_uuid(&a->ids, row->id);
	rh_buf_char(&a->attempts, a->attempts.n ? ',' : '{');
	rh_buf_i64(&a->attempts, row->attempt);
}

static void
arrays_send(struct rh_runner *r, struct rh_pipe *p, unsigned stmt,
    struct arrays *a)
{
	rh_buf_char(&a->tenants, '}');
	rh_buf_char(&a->ids, '}');
	rh_buf_char(&a->attempts, '}');
	rh_assert(!a->tenants.full && !a->ids.full && !a->attempts.full);
	rh_pipe_send(p, &rh_runner_stmts[stmt], RH_UUID(r->holder),
	    RH_TEXT(rh_buf_get(&a->tenants)), RH_TEXT(rh_buf_get(&a->ids)),
	    RH_TEXT(rh_buf_get(&a->attempts)));
}

/* ---- a batch ---- */

static struct rh_batch *
batch_new(struct rh_arena *own)
{
	struct rh_batch *b = RH_NEW(own, struct rh_batch);

	b->arena = rh_arena_new(BATCH_FIRST, BATCH_CAP);
	return b;
}

static void
batch_reset(struct rh_batch *b)
{
	struct rh_arena *arena = b->arena;

	rh_arena_reset(arena);
	*b = (struct rh_batch){ .arena = arena };
}

void
rh_runner_settle(struct rh_runner *r, struct rh_pipe *p, struct rh_arena *arena)
{
	const struct rh_batch *b = r->settling;
	struct arrays a;

	arrays_init(&a, arena);
	for (size_t i = 0; i < b->ndone; i++)
		arrays_add(&a, &b->rows[b->done[i]]);
	arrays_send(r, p, RH_RUNNER_OVER_ALL, &a);
}

/* And settles the batch before, in the same transaction. */
static bool
claim(struct rh_runner *r, bool look, int64_t *next_ms)
{
	struct rh_batch *b = r->running;
	const struct rh_batch *last = r->settling;
	struct rh_pipe *p = rh_runner_begin(r, b->arena);
	bool settles = last->ndone > 0;
	bool one = !look && r->want == 1 && r->nlanes == 1 && last->ndone <= 1;

	if (settles && !one)
		rh_runner_settle(r, p, b->arena);
	if (one)
		rh_lanes_turn_one(r, p,
		    settles ? &last->rows[last->done[0]] : NULL);
	else
		rh_lanes_claim(r, p, b->arena, look);
	if (look)
		rh_pipe_send_args(p, &rh_runner_stmts[RH_RUNNER_NEXT], NULL, 0);
	if (settles && !one)
		(void)rh_pipe_int(p);
	if (one)
		rh_lanes_turned(r, p, b);
	else
		b->n = rh_pipe_rows(p, claim_columns, sizeof(*b->rows),
		    &b->rows);
	*next_ms = look ? rh_pipe_int(p) : 0;
	if (!rh_runner_commit(r, p, "claim")) {
		/* it may have been done, and the answer lost */
		r->sweep = RH_MAX(r->sweep, RH_SWEEP_UNBEGUN);
		return false;
	}
	if (settles)
		batch_reset(r->settling);
	b->claimed_ns = rh_clock_mono_ns();
	b->done = rh_arena_alloc(b->arena, (b->n + 1) * sizeof(*b->done));
	return true;
}

/* A look at all who wait, where there is time for one, or else nothing to do. */
static bool
claim_somewhere(struct rh_runner *r, int64_t *next_ms)
{
	uint64_t before = rh_clock_mono_ns(), took;
	bool look = rh_lanes_look_in(r) == 0;
	bool had = r->nlanes > 0;

	r->woken = r->woken && !look;
	if (look)
		rh_lanes_look(r);
	if (!claim(r, look, next_ms))
		return false;
	took = rh_clock_mono_ns() - before;
	if (look)
		r->looked_ns = before;
	rh_lanes_took(r, look, had, took);
	rh_lanes_note(r, r->running, look);
	return true;
}

static void
give_back(struct rh_runner *r, struct rh_batch *b)
{
	struct rh_pipe *p;
	struct arrays a;

	if (b->begun == b->n)
		return;
	arrays_init(&a, b->arena);
	for (size_t i = b->begun; i < b->n; i++)
		arrays_add(&a, &b->rows[i]);
	p = rh_runner_begin(r, b->arena);
	arrays_send(r, p, RH_RUNNER_GIVE_BACK, &a);
	(void)rh_pipe_int(p);
	if (!rh_runner_commit(r, p, "give back"))
		r->sweep = RH_MAX(r->sweep, RH_SWEEP_UNBEGUN);
}

/* ---- a step ---- */

static void
learn(struct rh_runner *r, const struct rh_batch *b)
{
	uint64_t ns = rh_clock_mono_ns() - b->claimed_ns;
	unsigned most = r->obs.batch ? r->obs.batch : WANT_MAX;

	if (b->n == r->want && ns < SHORT_NS)
		r->want = RH_MIN(r->want * 2, most);
	else if (ns > LONG_NS)
		r->want = RH_MAX(r->want / 2, 1);
}

/* Where nothing was claimed. */
static int64_t
rest_ns(const struct rh_runner *r, int64_t next_ms)
{
	int64_t ns = r->obs.poll_ms * (int64_t)MS_NS;

	if (next_ms >= 0)
		ns = RH_MIN(ns, next_ms * (int64_t)MS_NS);
	return RH_MAX(ns, rh_lanes_look_in(r));
}

static void
work(struct rh_runner *r, struct rh_batch *b)
{
	while (b->begun < b->n &&
	    (b->begun == 0 || rh_clock_mono_ns() - b->claimed_ns < ENOUGH_NS))
		rh_runner_run(r, b, b->begun++);
	rh_lanes_turn(r, b);
	learn(r, b);
	give_back(r, b);
}

unsigned
rh_runner_step(struct rh_runner *r, int64_t *again_ns)
{
	struct rh_batch *b = r->running;
	int64_t next_ms;

	*again_ns = TROUBLE_NS;
	if (r->sweep && !rh_runner_sweep(r))
		return 0;
	if (!claim_somewhere(r, &next_ms)) {
		batch_reset(b);
		return 0;
	}
	work(r, b);
	*again_ns = b->n ? 0 : rest_ns(r, next_ms);
	r->running = r->settling;
	r->settling = b;
	batch_reset(r->running);
	return (unsigned)b->begun;
}

/* ---- the rest ---- */

struct rh_runner *
rh_runner_new(struct rh_arena *own, struct rh_pg *pg, struct rh_pg_obs *pg_obs,
    struct rh_uuid holder, const struct rh_runner_obs *obs)
{
	struct rh_runner *r = RH_NEW(own, struct rh_runner);

	r->pg = pg;
	r->pg_obs = pg_obs;
	r->obs = *obs;
	r->holder = holder;
	r->trace = RH_NEW(own, struct rh_trace);
	r->settling = batch_new(own);
	r->running = batch_new(own);
	r->lanes = rh_arena_zalloc(own, WANT_MAX, sizeof(*r->lanes));
	r->want = 1;
	r->sweep = RH_SWEEP_BEGUN; /* the one before in this slot is gone */
	return r;
}

void
rh_runner_end(struct rh_runner *r)
{
	struct rh_pipe *p;

	if (r->settling->ndone) {
		p = rh_runner_begin(r, r->running->arena);
		rh_runner_settle(r, p, r->running->arena);
		(void)rh_pipe_int(p);
		(void)rh_runner_commit(r, p, "settle");
	}
	rh_arena_destroy(&r->settling->arena);
	rh_arena_destroy(&r->running->arena);
}
