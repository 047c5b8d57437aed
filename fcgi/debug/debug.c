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

#include "serve/event.h"

#define T "/v1/t/{tenant}"

enum { MS_MAX = 600000, REPLY_MAX = 64 << 20 };

/* clang-format off */
enum { TOUCH, SLEEP };
static struct rh_stmt stmts[] = {
	[TOUCH] = { .name = "debug.touch", .global = "reads no table", .sql = "select 1" },
	[SLEEP] = { .name = "debug.sleep", .global = "reads no table", .sql =
	    "select 1 from pg_sleep($1::bigint / 1000.0)" },
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
	ROW(RH_TENANT, RH_POST, T "/debug/linger",   RH_VIEWER,    debug_linger, linger_params),
	{ 0 }
};
/* clang-format on */

const struct rh_resource debug_resource = {
	.name = "debug", .routes = routes, .stmts = stmts
};
