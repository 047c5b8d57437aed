/*
 * debug - what a service should never do, by request.
 */
#include "config.h"

#include "debug/debug.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "serve/enqueue.h"
#include "serve/event.h"

#define T "/v1/t/{tenant}"

enum { MS_MAX = 600000, REPLY_MAX = 64 << 20 };

/* clang-format off */
enum { TOUCH, SLEEP, PROJECT };
static struct rh_stmt stmts[] = {
	[TOUCH] = { .name = "debug.touch", .global = "reads no table", .sql = "select 1" },
	[SLEEP] = { .name = "debug.sleep", .global = "reads no table", .sql =
	    "select 1 from pg_sleep($1::bigint / 1000.0)" },
	[PROJECT] = { .name = "debug.project", .sql =
	    "with x as (insert into projects (tenant_id, id, name) select $1, $6, $7 returning id), e as ("
	    RH_EVENT("project.created", "x", "x.id", "to_jsonb(x)") ") select * from x" },
	{ 0 }
};
/* clang-format on */

/* ---- ways to die; each has to stand in the backtrace ---- */

#define DIES static __attribute__((noinline, no_sanitize("undefined"))) void

static volatile int zero, seven = 7;
static int *volatile nowhere = (int *)8;
static void (*volatile no_function)(void);

DIES crash_segv(void) { *nowhere = 1; zero++; }
DIES crash_fpe(void) { zero = seven / zero; zero++; }
DIES crash_ill(void) { __builtin_trap(); }
DIES crash_abort(void) { abort(); }
DIES crash_assert(void) { rh_assert(zero == 7); zero++; }
DIES crash_call(void) { no_function(); zero++; }
DIES crash_exit(void) { _exit(3); }
DIES crash_kill(void) { kill(getpid(), SIGKILL); zero++; }

DIES crash_bus(void)
{
	int fd = memfd_create("empty", MFD_CLOEXEC);
	char *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

	zero = p[0];
	zero++;
}

DIES crash_stack(void)
{
	volatile char frame[4096];

	frame[seven] = (char)zero;
	if (frame[seven] == 0)
		crash_stack();
	zero += frame[seven];
}

static void *
crashing_thread(void *arg)
{
	crash_segv();
	return arg;
}

DIES crash_thread(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, crashing_thread, NULL) == 0)
		pthread_join(thread, NULL);
}

static const struct { const char *name; void (*how)(void); } kinds[] = {
	{ "segv", crash_segv }, { "bus", crash_bus }, { "fpe", crash_fpe },
	{ "ill", crash_ill }, { "abort", crash_abort }, { "stack", crash_stack },
	{ "assert", crash_assert }, { "call", crash_call }, { "exit", crash_exit },
	{ "kill", crash_kill }, { "thread", crash_thread },
};

/* ---- routes ---- */

struct debug_query {
	struct rh_slice kind, file;
	int64_t ms, bytes;
};

static const struct rh_field crash_params[] = {
	{ RH_FIELD("kind", TEXT, struct debug_query, kind) }, { 0 }
};
static const struct rh_field sleep_params[] = {
	{ RH_FIELD("ms", INT, struct debug_query, ms), .min = 0, .max = MS_MAX },
	{ 0 }
};
static const struct rh_field linger_params[] = {
	{ RH_FIELD("while", TEXT, struct debug_query, file) }, { 0 }
};
static const struct rh_field reply_params[] = {
	{ RH_FIELD("bytes", INT, struct debug_query, bytes), .min = 0,
	    .max = REPLY_MAX },
	{ 0 }
};

/* POST …/debug/crash?kind=	never | 400 401 404 */
static struct rh_err *
debug_crash(struct rh_call *c)
{
	struct debug_query q = { .kind = RH_SLICE("segv") };
	struct rh_err *err;

	if ((err = rh_call_query(c, &q)))
		return err;
	/* only who may ask gets so far */
	rh_pipe_send_args(c->pipe, &stmts[TOUCH], NULL, 0);
	if ((err = rh_pipe_error(c->pipe)))
		return err;
	for (size_t i = 0; i < RH_COUNT(kinds); i++)
		if (rh_slice_is(q.kind, rh_slice_of(kinds[i].name)))
			kinds[i].how();
	return rh_err_new(c->arena, RH_E_MALFORMED, "debug.kind",
	    "There is no such way to die.");
}

static void
dawdle(int64_t ms)
{
	struct timespec left = { ms / 1000, ms % 1000 * 1000000 };

	while (nanosleep(&left, &left) < 0)
		;
}

/* GET …/debug/sleep?ms=	204 | 400: in the process, where nothing can end it */
static struct rh_err *
debug_sleep(struct rh_call *c)
{
	struct debug_query q = { .ms = 1000 };
	struct rh_err *err;

	if ((err = rh_call_query(c, &q)))
		return err;
	dawdle(q.ms);
	return rh_reply_none(c->rq);
}

/*
 * POST …/debug/linger?while=FILE	204 | 400: between its effect, an event, and
 * its reply, until the file is gone; under an Idempotency-Key the transaction is
 * open meanwhile
 */
static struct rh_err *
debug_linger(struct rh_call *c)
{
	struct debug_query q = { .file = RH_SLICE("") };
	const char *file;
	struct rh_err *err;

	if ((err = rh_call_query(c, &q)))
		return err;
	file = rh_arena_strdup(c->arena, q.file);
	rh_event_send(c, &(struct rh_event_of){ "debug.lingered", rh_uuid_v7(),
	    sleep_params, &q });
	if (rh_pipe_done(c->pipe) == 1)
		for (int ms = 0; ms < MS_MAX && access(file, F_OK) == 0;
		    ms += 10)
			dawdle(10);
	return rh_reply_none(c->rq);
}

/* GET …/debug/query?ms=	204 | 400: in PostgreSQL */
static struct rh_err *
debug_query(struct rh_call *c)
{
	struct debug_query q = { .ms = 1000 };
	struct rh_err *err;

	if ((err = rh_call_query(c, &q)))
		return err;
	rh_pipe_send(c->pipe, &stmts[SLEEP], RH_INT(q.ms));
	(void)rh_pipe_int(c->pipe);
	return rh_reply_none(c->rq);
}

/* GET …/debug/reply?bytes=	200 with so many: more than the sockets hold keeps it replying */
static struct rh_err *
debug_reply(struct rh_call *c)
{
	struct debug_query q = { .bytes = 1 };
	struct rh_err *err;
	char *bytes;

	if ((err = rh_call_query(c, &q)))
		return err;
	bytes = rh_arena_alloc(c->arena, (size_t)q.bytes + 1);
	memset(bytes, 'x', (size_t)q.bytes);
	return rh_reply_bytes(c->rq, 200, "text/plain",
	    (struct rh_slice){ bytes, (size_t)q.bytes });
}

/* ---- jobs ---- */

struct debug_job {
	struct rh_slice what, key;
	int64_t n, delay_ms;
};

static const struct rh_field job_fields[] = {
	{ RH_FIELD("what", TEXT, struct debug_job, what) },
	{ RH_FIELD("key", TEXT, struct debug_job, key) },
	{ RH_FIELD("n", INT, struct debug_job, n), .min = 1, .max = 10 },
	{ RH_FIELD("delay_ms", INT, struct debug_job, delay_ms), .min = 0, .max = MS_MAX },
	{ 0 }
};

static struct rh_err *
job_nothing(struct rh_job *job)
{
	(void)job;
	return NULL;
}

/* Makes a project, named as its argument says: an effect that can be counted. */
static struct rh_err *
job_project(struct rh_job *job)
{
	struct rh_pipe *p = rh_job_pipe(job);

	rh_pipe_send(p, &stmts[PROJECT], RH_UUID(job->tenant),
	    RH_UUID(rh_uuid_v7()), RH_BYTES(((struct rh_slice){
	    (const char *)job->trace->trace_id, 16 })),
	    RH_BYTES(rh_event_span(job->arena, job->trace)),
	    RH_TEXT(job->request_id), RH_UUID(rh_uuid_v7()), RH_TEXT(job->args));
	(void)rh_pipe_done(p);
	job->result = RH_SLICE("{\"made\":1}");
	return NULL;
}

/* The same, and fails: nothing may be left of it. */
static struct rh_err *
job_fails(struct rh_job *job)
{
	struct rh_err *err = job_project(job);

	return err ? err : rh_err_new(job->arena, RH_E_UNAVAILABLE,
	    "debug.failed", "It fails, as it was told to.");
}

static struct rh_err *
job_final(struct rh_job *job)
{
	job->final = true;
	return job_fails(job);
}

/* The first attempt ends with its worker, the second does what it is for. */
static struct rh_err *
job_dies_once(struct rh_job *job)
{
	struct rh_err *err = job_project(job);

	if (job->attempt == 1)
		crash_segv();
	return err;
}

/* Until somebody lets it go on, who knows when. */
static struct rh_err *
job_freezes_once(struct rh_job *job)
{
	if (job->attempt == 1)
		raise(SIGSTOP);
	return job_project(job);
}

static struct rh_err *
job_slow(struct rh_job *job)
{
	(void)job;
	dawdle(2000);
	return NULL;
}

/* In PostgreSQL, for longer than it may. */
static struct rh_err *
job_late(struct rh_job *job)
{
	struct rh_pipe *p = rh_job_pipe(job);

	rh_pipe_send(p, &stmts[SLEEP], RH_INT(MS_MAX));
	(void)rh_pipe_int(p);
	return rh_pipe_error(p);
}

/* Another job, in its own transaction. */
static struct rh_err *
job_leaves(struct rh_job *job)
{
	struct rh_job_origin origin = { .tenant = job->tenant,
		.trace = job->trace,
		.request_id = job->request_id,
		.arena = job->arena };

	(void)rh_job_send(rh_job_pipe(job), &origin,
	    rh_job_kinds_find(RH_SLICE("debug.nothing")), RH_SLICE("{}"), NULL);
	return NULL;
}

static struct rh_job_kind job_kinds[] = {
	{ .name = "debug.nothing", .handler = job_nothing },
	{ .name = "debug.leaves", .handler = job_leaves },
	{ .name = "debug.project", .handler = job_project },
	{ .name = "debug.fails", .handler = job_fails, .max_attempts = 2 },
	{ .name = "debug.final", .handler = job_final },
	{ .name = "debug.dies_once", .handler = job_dies_once },
	{ .name = "debug.freezes_once", .handler = job_freezes_once },
	{ .name = "debug.slow", .handler = job_slow },
	{ .name = "debug.late", .handler = job_late, .max_attempts = 1, .timeout_ms = 300 },
	{ 0 }
};

static const struct rh_job_kind *
job_kind(struct rh_slice what)
{
	const char *name;

	for (struct rh_job_kind *k = job_kinds; (name = k->name); k++)
		if (rh_slice_is(what, rh_slice_of(name + strlen("debug."))))
			return k;
	return NULL;
}

/* POST …/debug/jobs?what=&key=&n=&delay_ms=	204 | 400 409: leaves n such jobs */
static struct rh_err *
debug_jobs(struct rh_call *c)
{
	struct debug_job q = { .what = RH_SLICE("nothing"), .n = 1 };
	const struct rh_job_kind *kind;
	struct rh_job_options o = { 0 };
	struct rh_err *err;
	int64_t left = 0;

	if ((err = rh_call_query(c, &q)))
		return err;
	if (!(kind = job_kind(q.what)))
		return rh_err_new(c->arena, RH_E_MALFORMED, "debug.job",
		    "There is no such job.");
	o.unique = q.key;
	o.run_at_us = q.delay_ms ? c->start_us + q.delay_ms * 1000 : 0;
	for (int64_t i = 0; i < q.n; i++)
		(void)rh_job_enqueue(c, kind, RH_SLICE("{\"of\":\"debug\"}"), &o);
	for (int64_t i = 0; i < q.n; i++)
		left += rh_pipe_done(c->pipe);
	if ((err = rh_pipe_error(c->pipe)))
		return err;
	return left ? rh_reply_none(c->rq) : rh_err_new(c->arena, RH_E_CONFLICT,
	    "debug.job_waits", "One with that key waits.");
}

/* clang-format off */
#define SUMMARY .summary = "Misbehave on purpose"
#define ROW(access_, method_, path, role_, handler_, params_)			\
	{ .method = method_, .template = path, .access = access_, .role = role_,	\
	  .handler = handler_, .params = params_, .answer = RH_ANSWER_NONE, SUMMARY }
static const struct rh_route routes[] = {
	ROW(RH_PUBLIC, RH_POST, "/v1/debug/crash",   RH_ROLE_NONE, debug_crash, crash_params),
	ROW(RH_PUBLIC, RH_GET,  "/v1/debug/sleep",   RH_ROLE_NONE, debug_sleep, sleep_params),
	ROW(RH_PUBLIC, RH_GET,  "/v1/debug/query",   RH_ROLE_NONE, debug_query, sleep_params),
	ROW(RH_PUBLIC, RH_GET,  "/v1/debug/reply",   RH_ROLE_NONE, debug_reply, reply_params),
	ROW(RH_TENANT, RH_POST, T "/debug/crash",    RH_VIEWER,    debug_crash, crash_params),
	ROW(RH_TENANT, RH_GET,  T "/debug/sleep",    RH_VIEWER,    debug_sleep, sleep_params),
	ROW(RH_TENANT, RH_GET,  T "/debug/query",    RH_VIEWER,    debug_query, sleep_params),
	ROW(RH_TENANT, RH_POST, T "/debug/jobs",     RH_VIEWER,    debug_jobs, job_fields),
	ROW(RH_TENANT, RH_POST, T "/debug/linger",   RH_VIEWER,    debug_linger, linger_params),
	{ 0 }
};
/* clang-format on */

const struct rh_resource debug_resource = {
	.name = "debug", .routes = routes, .stmts = stmts, .kinds = job_kinds
};
