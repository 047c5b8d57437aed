/*
 * debug_jobs - kinds of jobs that tests look into while they run, and crons.
 */
#include "config.h"

#include "debug/debug.h"

#include <time.h>
#include <unistd.h>

#include "serve/enqueue.h"

#define T "/v1/t/{tenant}"

enum { MS_MAX = 60000, NAME_MAX_CHARS = 100, STEP_MS = 10, STEP = 40 };

struct debug_left {
	struct rh_slice id, what, text, name, schedule;
};

static const struct rh_field left_shape[] = {
	{ RH_FIELD("id", TEXT, struct debug_left, id) }, { 0 }
};
static const struct rh_field left_params[] = {
	{ RH_FIELD("what", TEXT, struct debug_left, what) },
	{ RH_FIELD("text", TEXT, struct debug_left, text) }, { 0 }
};
static const struct rh_field cron_params[] = {
	{ RH_FIELD("name", TEXT, struct debug_left, name), .min = 1,
	    .max = NAME_MAX_CHARS },
	{ RH_FIELD("schedule", TEXT, struct debug_left, schedule) },
	{ RH_FIELD("what", TEXT, struct debug_left, what) },
	{ RH_FIELD("text", TEXT, struct debug_left, text) }, { 0 }
};

/* ---- kinds ---- */

static void
pause_ms(int64_t ms)
{
	struct timespec left = { ms / 1000, ms % 1000 * 1000000 };

	while (nanosleep(&left, &left) < 0)
		;
}

/* {"text": "FILE"} */
static const char *
text_of(const struct rh_job *job)
{
	static const struct rh_field shape[] = {
		{ RH_FIELD("text", TEXT, struct debug_left, text) }, { 0 }
	};
	struct debug_left in = { .text = RH_SLICE("") };
	struct rh_given given;

	if (rh_shape_read(job->arena, shape, job->args, false, &in, &given))
		return "";
	return rh_arena_strdup(job->arena, in.text);
}

/* Two fifths done; then it waits until the file is gone, or it is told to stop. */
static struct rh_err *
job_steps(struct rh_job *job)
{
	const char *file = text_of(job);

	if (!rh_job_go_on(job, STEP))
		goto stopped;
	for (int ms = 0; ms < MS_MAX && access(file, F_OK) == 0;
	    ms += STEP_MS) {
		pause_ms(STEP_MS);
		if (!rh_job_go_on(job, -1))
			goto stopped;
	}
	if (!rh_job_go_on(job, 2 * STEP))
		goto stopped;
	job->result = RH_SLICE("{\"steps\": 2}");
	return NULL;
stopped:
	return rh_err_new(job->arena, RH_E_CONFLICT, "job.cancelled",
	    "It was told to stop.");
}

/* What it was told it tells only by how long it was. */
static struct rh_err *
job_secret(struct rh_job *job)
{
	job->result = rh_slice_of(rh_arena_printf(job->arena,
	    "{\"bytes\": %zu}", strlen(text_of(job))));
	return NULL;
}

static struct rh_job_kind job_kinds[] = {
	{ .name = "debug.steps", .handler = job_steps },
	{ .name = "debug.secret", .handler = job_secret, .secret = true },
	{ 0 }
};

static const struct rh_job_kind *
kind_of(struct rh_slice what)
{
	return &job_kinds[rh_slice_is(what, RH_SLICE("secret"))];
}

static struct rh_slice
args_of(struct rh_call *c, struct rh_slice text)
{
	struct rh_buf b;

	rh_buf_init(&b, c->arena, 256, 65536);
	rh_buf_lit(&b, "{\"text\": ");
	rh_buf_json(&b, text);
	rh_buf_char(&b, '}');
	return rh_buf_get(&b);
}

/* ---- routes ---- */

/* POST …/debug/job?what=&text=	200 {id} */
static struct rh_err *
debug_job(struct rh_call *c)
{
	struct debug_left q = { .what = RH_SLICE("steps"),
		.text = RH_SLICE("") };
	struct rh_uuid id;
	struct rh_err *err;
	char *text;

	if ((err = rh_call_query(c, &q)))
		return err;
	id = rh_job_enqueue(c, kind_of(q.what), args_of(c, q.text), NULL);
	(void)rh_pipe_done(c->pipe);
	text = rh_arena_alloc(c->arena, RH_UUID_LEN);
	rh_uuid_put(text, id);
	q.id = (struct rh_slice){ text, RH_UUID_LEN };
	return rh_reply_one(c->rq, left_shape, &q, 0);
}

/* POST …/debug/cron?name=&schedule=&what=&text=	204 | 422; without a schedule it is dropped: 404 */
static struct rh_err *
debug_cron(struct rh_call *c)
{
	struct debug_left q = { .what = RH_SLICE("secret"),
		.text = RH_SLICE(""),
		.name = RH_SLICE("c"),
		.schedule = RH_SLICE_NONE };
	struct rh_err *err;

	if ((err = rh_call_query(c, &q)))
		return err;
	if (!q.schedule.p)
		rh_cron_drop(c, q.name);
	else if ((err = rh_cron_set(c, kind_of(q.what), q.name, q.schedule,
		     args_of(c, q.text))))
		return err;
	if (rh_pipe_done(c->pipe) == 0)
		return rh_call_missing(c, "cron.missing",
		    "There is no such cron.");
	return rh_reply_none(c->rq);
}

/* clang-format off */
static const struct rh_route routes[] = {
	{ .method = RH_POST, .template = T "/debug/job", .role = RH_VIEWER, .handler = debug_job,
	  .params = left_params, .shape = left_shape, .summary = "Leave a job on purpose" },
	{ .method = RH_POST, .template = T "/debug/cron", .role = RH_VIEWER, .handler = debug_cron,
	  .params = cron_params, .answer = RH_ANSWER_NONE, .summary = "Set a cron on purpose" },
	{ 0 }
};
/* clang-format on */

const struct rh_resource debug_jobs_resource = {
	.name = "debug_jobs", .routes = routes, .kinds = job_kinds
};
