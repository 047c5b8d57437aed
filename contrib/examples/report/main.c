/* report - what is dear is made by one and kept, and a run happens once: data/cache.h and data/lock.h in routes. */
#include "data/cbor.h"
#include "data/lock.h"
#include "serve/app.h"

#define PATH	"/v1/t/{tenant}/report"
#define KEY	RH_SLICE("report")
enum { KEEP_MS = 60000, LOCK_MS = 30000, DAY_MS = 86400000 };

struct report { int64_t tasks, made_at; };
static const struct rh_field shape[] = {	/* a row, a JSON object, what the cache keeps */
	{ RH_FIELD("tasks", INT, struct report, tasks) },
	{ RH_FIELD("made_at", TIME, struct report, made_at) },
	{ 0 }
};
struct run { struct rh_slice message; };
static const struct rh_field body[] = {
	{ RH_FIELD("message", TEXT, struct run, message), .flags = RH_F_REQUIRED, .min = 1, .max = 200 },
	{ 0 }
};

static struct rh_stmt stmts[] = {	/* pg_sleep: what makes it dear */
	{ .name = "report.make", .sql = "select (select count(*) from tasks where tenant_id = $1) as tasks,"
	    " clock_timestamp() as made_at from pg_sleep(0.3)" },
	{ 0 }
};

enum { SHOWN, RUN };
static const char *const reasons[] = { "shown", "run", NULL };
static struct rh_instrument instruments[] = {
	{ .name = "reports_made_total", .kind = RH_M_COUNTER, .help = "reports made",
	  .label = "reason", .values = reasons },
	{ 0 }
};

static struct rh_err *
make(struct rh_call *c, int reason, struct report *report)
{
	rh_pipe_send(c->pipe, &stmts[0], RH_UUID(c->tenant));
	if (rh_pipe_row(c->pipe, shape, report))
		rh_call_count(c, &instruments[0], reason, 1);
	return rh_pipe_error(c->pipe);
}

static struct rh_slice
bytes_of(struct rh_call *c, const struct report *report)
{
	struct rh_buf b;

	rh_buf_init(&b, c->arena, 256, 256);
	return rh_cbor_put(&b, shape, report) ? rh_buf_get(&b) : RH_SLICE_NONE;
}

/* There, and of this version of the program. */
static bool
is_kept(struct rh_call *c, struct rh_cache *cache, struct report *report)
{
	struct rh_slice bytes;

	return !rh_cache_get(cache, KEY, &bytes) && !rh_cbor_get(c->arena, shape, bytes, report);
}

/* GET …/report	200 | 409 another makes it now. Without Redis each request makes its own. */
static struct rh_err *
show(struct rh_call *c)
{
	struct report report = { 0, 0 };
	struct rh_cache *cache;
	struct rh_lock lock;
	struct rh_err *err, *away;

	if ((away = rh_call_cache(c, &cache)) && !rh_cache_err_of(away))
		return away;				/* 401 403 404 */
	if (!away && is_kept(c, cache, &report))
		return rh_reply_one(c->rq, shape, &report, 0);
	if (!away && rh_cache_err_is(away = rh_lock_acquire(cache, KEY, LOCK_MS, &lock), "lock.held"))
		return away;
	/* who had the lock before us may have made it since we looked */
	if (!away && is_kept(c, cache, &report))
		err = NULL;
	else if (!(err = make(c, SHOWN, &report)) && !away)
		(void)!rh_cache_set(cache, KEY, bytes_of(c, &report), KEEP_MS);
	if (!away)
		(void)!rh_lock_release(&lock);		/* lock.lost: it took too long */
	return err ? err : rh_reply_one(c->rq, shape, &report, 0);
}

/* POST …/report/runs {message}	200, the same for the same message | 409 it runs | 503 nobody knows */
static struct rh_err *
run(struct rh_call *c)
{
	struct report report = { 0, 0 };
	struct run in = { RH_SLICE_NONE };
	struct rh_cache *cache;
	struct rh_once once;
	struct rh_err *err;

	if ((err = rh_call_body(c, &in, NULL)) || (err = rh_call_cache(c, &cache)) ||
	    (err = rh_once_begin(cache, in.message, LOCK_MS, &once)))
		return err;
	if (once.state == RH_ONCE_RUNNING)
		return rh_err_new(c->arena, RH_E_CONFLICT, "run.running", "This message is being worked on.");
	if (once.state == RH_ONCE_DONE)
		err = rh_cbor_get(c->arena, shape, once.result, &report);
	else if ((err = make(c, RUN, &report)))
		(void)!rh_once_undo(&once);
	else
		err = rh_once_done(&once, bytes_of(c, &report), DAY_MS);
	return err ? err : rh_reply_one(c->rq, shape, &report, 0);
}

static const struct rh_route routes[] = {
	{ .method = RH_GET, .template = PATH, .role = RH_VIEWER, .handler = show, .rate = RH_RATE_READ,
	  .shape = shape, .summary = "Show the report" },
	{ .method = RH_POST, .template = PATH "/runs", .role = RH_MEMBER, .handler = run, .rate = RH_RATE_WRITE,
	  .body = body, .shape = shape, .summary = "Run the report for a message, once" },
	{ 0 }
};

int
main(int argc, char **argv)
{
	static const struct rh_resource report = { .name = "report", .routes = routes, .stmts = stmts,
		.instruments = instruments };
	static const struct rh_resource *const resources[] = { &report, NULL };
	static const struct rh_app app = { .name = "report", .title = "Report", .version = "1.0",
		.description = "makes a tenant's report", .resources = resources };

	return rh_app_main(&app, argc, argv);
}
