#include "config.h"

#include "ctl/job.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "ctl/conf.h"
#include "ctl/tenant.h"

enum {
	TENANT, PLACEMENT, KIND, STATE, LIMIT, ALL, CONCURRENCY, RATE, TIMEOUT,
	JSON, OPTIONS
};

/* clang-format off */
const struct rh_option job_options[] = {
	[TENANT] = { "--tenant", "SLUG", "of that tenant alone, in the database that it lives in", NULL },
	[PLACEMENT] = { "--placement", "NAME", "of the tenants of that placement, not of home's", NULL },
	[KIND] = { "--kind", "KIND", "of that kind alone", NULL },
	[STATE] = { "--state", "STATE", "list: scheduled, ready, running, done, dead or cancelled; retry --all: dead, or cancelled", NULL },
	[LIMIT] = { "--limit", "N", "list: so many, the newest", "100" },
	[ALL] = { "--all", NULL, "retry, cancel: all that are named", NULL },
	[CONCURRENCY] = { "--concurrency", "N", "limit: so many run at a time; 0: any", NULL },
	[RATE] = { "--rate", "N", "limit: so many begin in a second, 0.1 is one in ten; 0: any", NULL },
	[TIMEOUT] = { "--timeout", "TIME", "drain: for so long at the most", "60s" },
	[JSON] = { "--json", NULL, "one JSON object", NULL },
	{ 0 }
};
/* clang-format on */

struct job_given {
	const char *values[OPTIONS];
	struct rh_uuid id;
};

static int
fault(const struct job_ask *a, const struct rh_err *err)
{
	/* what is ours to say is not PostgreSQL's to say better */
	return rh_program_fail(a->self, "%s",
	    err->kind == RH_E_CONFLICT || !err->cause ? err->detail :
							err->cause);
}

/* ---- numbers and times ---- */

struct number {
	int64_t of;
};

static bool
number(const struct job_ask *a, const struct job_given *g, int option,
    const struct rh_directive *rule, int64_t *to)
{
	struct number n = { 0 };
	struct rh_buf why;

	if (!g->values[option])
		return true;
	rh_buf_init(&why, a->self->arena, 128, 1024);
	if (!rh_conf_value_get(&n, rule, rh_slice_of(g->values[option]),
		a->self->arena, &why)) {
		rh_program_fail(a->self, "%s: %.*s", job_options[option].name,
		    RH_SLICE_ARG(rh_buf_get(&why)));
		return false;
	}
	*to = n.of;
	return true;
}

/* As PostgreSQL's real; p NULL: it was not given. */
static bool
rate(const struct job_ask *a, const struct job_given *g, struct rh_slice *to)
{
	const char *text = g->values[RATE];
	char *end;
	double value;

	*to = rh_slice_of(text);
	if (!text)
		return true;
	value = strtod(text, &end);
	if (end != text && !*end && isfinite(value) && value >= 0 &&
	    value <= 1e9 && (value == 0 || value >= 1e-6))
		return true;
	rh_program_fail(a->self, "--rate: wants a number from 0 to 1e9");
	return false;
}

/* ---- the sub-commands ---- */

static int
list(struct job_ask *a, const struct job_given *g)
{
	static const struct rh_directive rule = { "", RH_CONF(INT,
	    struct number, of), NULL, "1", "10000", RH_RELOAD, "", NULL };
	int64_t limit = 100;
	struct job_row *rows;
	struct rh_err *err;
	size_t n;

	if (!number(a, g, LIMIT, &rule, &limit))
		return EXIT_FAILURE;
	if ((err = job_ask_list(a, rh_slice_of(g->values[STATE]), limit, &rows,
		 &n)))
		return fault(a, err);
	return job_print_list(a, rows, n);
}

static int
no_job(const struct job_ask *a)
{
	return rh_program_fail(a->self, "there is no such job");
}

static int
show(struct job_ask *a, const struct job_given *g)
{
	struct job_row row;
	struct rh_err *err;
	bool found;

	if ((err = job_ask_show(a, g->id, &row, &found)))
		return fault(a, err);
	return found ? job_print_one(a, &row) : no_job(a);
}

static int
retry_all(struct job_ask *a, const struct job_given *g)
{
	const char *state = g->values[STATE] ? g->values[STATE] : "dead";
	struct rh_err *err;
	int64_t n;

	if ((err = job_ask_retry_all(a, rh_slice_of(state), &n)))
		return fault(a, err);
	return job_print_count(a, "retried", n);
}

static int
retry(struct job_ask *a, const struct job_given *g)
{
	struct rh_err *err;
	bool found;

	if (g->values[ALL])
		return retry_all(a, g);
	if ((err = job_ask_retry(a, g->id, &found)))
		return fault(a, err);
	return found ? show(a, g) : no_job(a);
}

static int
cancel(struct job_ask *a, const struct job_given *g)
{
	struct rh_err *err;
	bool found;
	int64_t n;

	if (g->values[ALL]) {
		err = job_ask_cancel_all(a, &n);
		return err ? fault(a, err) :
			     job_print_count(a, "cancelled", n);
	}
	if ((err = job_ask_cancel(a, g->id, &found)))
		return fault(a, err);
	return found ? show(a, g) : no_job(a);
}

static int
controls(struct job_ask *a)
{
	struct job_control *rows;
	struct rh_err *err;
	size_t n;

	if ((err = job_ask_controls(a, &rows, &n)))
		return fault(a, err);
	return job_print_controls(a, rows, n);
}

static int
control(struct job_ask *a, const struct job_change *change)
{
	struct rh_err *err = job_ask_control(a, change);

	return err ? fault(a, err) : controls(a);
}

static int
pause_jobs(struct job_ask *a, const struct job_given *g)
{
	(void)g;
	return control(a, &(struct job_change){ 1, -1, RH_SLICE_NONE });
}

static int
resume(struct job_ask *a, const struct job_given *g)
{
	(void)g;
	return control(a, &(struct job_change){ 0, -1, RH_SLICE_NONE });
}

static int
limit(struct job_ask *a, const struct job_given *g)
{
	static const struct rh_directive rule = { "", RH_CONF(INT,
	    struct number, of), NULL, "0", "1000000", RH_RELOAD, "", NULL };
	struct job_change change = { -1, -1, RH_SLICE_NONE };

	if (!number(a, g, CONCURRENCY, &rule, &change.concurrency) ||
	    !rate(a, g, &change.rate))
		return EXIT_FAILURE;
	return g->values[CONCURRENCY] || g->values[RATE] ? control(a, &change) :
							   controls(a);
}

static int
drain(struct job_ask *a, const struct job_given *g)
{
	static const struct rh_directive rule = { "", RH_CONF(MS,
	    struct number, of), NULL, "0ms", "1d", RH_RELOAD, "", NULL };
	static const struct timespec pause = { 0, 200000000 };
	int64_t for_ms = 60000, left_ms, start_ms, now_ms;
	struct job_left left = { 0, 0 };
	struct rh_err *err;

	if (!number(a, g, TIMEOUT, &rule, &for_ms))
		return EXIT_FAILURE;
	start_ms = (int64_t)(rh_clock_mono_ns() / 1000000);
	for (;;) {
		now_ms = (int64_t)(rh_clock_mono_ns() / 1000000);
		left_ms = start_ms + for_ms - now_ms;
		if ((err = job_ask_left(a, RH_MAX(left_ms, 0), &left)))
			return fault(a, err);
		if (left.left == 0)
			return job_print_left(a, &left);
		if (left_ms <= 0)
			break;
		nanosleep(&pause, NULL);
	}
	(void)job_print_left(a, &left);
	return rh_program_fail(a->self, "not drained: %lld wait or run still",
	    (long long)left.left);
}

static int
cron(struct job_ask *a, const struct job_given *g)
{
	struct job_cron *rows;
	struct rh_err *err;
	size_t n;

	(void)g;
	if ((err = job_ask_crons(a, &rows, &n)))
		return fault(a, err);
	return job_print_crons(a, rows, n);
}

/* ---- which of them ---- */

static const struct sub {
	const char *name;
	bool wants_id;	     /* unless it is for --all */
	const char *operand; /* NULL: none */
	bool changes;
	int (*run)(struct job_ask *a, const struct job_given *g);
	unsigned options; /* of its own, by bits */
} subs[] = {
	{ "list", false, NULL, false, list, 1 << STATE | 1 << LIMIT },
	{ "show", true, NULL, false, show, 0 },
	{ "retry", true, NULL, true, retry, 1 << ALL | 1 << STATE },
	{ "cancel", true, NULL, true, cancel, 1 << ALL },
	{ "pause", false, NULL, true, pause_jobs, 0 },
	{ "resume", false, NULL, true, resume, 0 },
	{ "limit", false, NULL, true, limit, 1 << CONCURRENCY | 1 << RATE },
	{ "drain", false, NULL, false, drain, 1 << TIMEOUT },
	{ "cron", false, "list", false, cron, 0 },
};
#define OF_ALL (1 << TENANT | 1 << PLACEMENT | 1 << KIND | 1 << JSON)

static const struct sub *
sub_of(const struct rh_program *self, int argc, char **argv,
    struct job_given *g)
{
	const struct sub *s = NULL;

	for (size_t i = 0; i < RH_COUNT(subs) && argc > 1; i++)
		if (strcmp(argv[1], subs[i].name) == 0)
			s = &subs[i];
	if (!s) {
		rh_program_fail(self, "job: wants list, show, retry, cancel,"
		    " pause, resume, limit, drain or \"cron list\"");
		return NULL;
	}
	for (unsigned i = 0; i < OPTIONS; i++)
		if (g->values[i] && !((s->options | OF_ALL) >> i & 1)) {
			rh_program_fail(self, "job %s has no option %s",
			    s->name, job_options[i].name);
			return NULL;
		}
	if (s->wants_id && !g->values[ALL]) {
		if (argc == 3 && rh_uuid_get(&g->id, rh_slice_of(argv[2])))
			return s;
		rh_program_fail(self, "job %s: wants a job's id", s->name);
		return NULL;
	}
	if (s->operand ? argc == 3 && strcmp(argv[2], s->operand) == 0 :
			 argc == 2)
		return s;
	rh_program_fail(self, "job %s: wants %s", s->name,
	    s->operand ? s->operand : "no operand");
	return NULL;
}

/* ---- where ---- */

static struct database *
open_placement(const struct rh_program *self, const char *name)
{
	const struct rh_placement_conf *p =
	    rh_serve_conf_placement(&ctl_conf, rh_slice_of(name));

	if (p && p->admin_database_url.n)
		return database_connect(self, p->admin_database_url.p);
	rh_program_fail(self, "%s has no admin_database_url of placement %s",
	    self->conf_path, name);
	return NULL;
}

static struct database *
open_place(const struct rh_program *self, const struct job_given *g,
    bool changes)
{
	const char *redis_url;

	if (g->values[TENANT])
		return tenant_open(self, rh_slice_of(g->values[TENANT]),
		    changes, &redis_url);
	return g->values[PLACEMENT] ?
	    open_placement(self, g->values[PLACEMENT]) :
	    database_open(self, NULL);
}

static int
run(struct job_ask *a, const struct sub *s, const struct job_given *g)
{
	struct rh_err *err;
	bool found = true;

	if (g->values[TENANT]) {
		if ((err = job_ask_tenant(a, rh_slice_of(g->values[TENANT]),
			 &found)))
			return fault(a, err);
		if (!found)
			return rh_program_fail(a->self,
			    "there is no tenant \"%s\"", g->values[TENANT]);
	}
	return s->run(a, g);
}

int
job_run(struct rh_program *self, int argc, char **argv)
{
	struct job_given g = { .id = RH_UUID_NIL };
	struct job_ask a = { .self = self };
	const struct sub *s;
	int status;

	if (!rh_program_take_options(self, &argc, argv, g.values) ||
	    !(s = sub_of(self, argc, argv, &g)))
		return EXIT_FAILURE;
	if (g.values[TENANT] && g.values[PLACEMENT])
		return rh_program_fail(self, "job: --tenant knows its placement"
		    " itself");
	job_ask_register();
	a.kind = rh_slice_of(g.values[KIND]);
	a.json = g.values[JSON];
	if (!(a.db = open_place(self, &g, s->changes)))
		return EXIT_FAILURE;
	status = run(&a, s, &g);
	database_close(&a.db);
	return status;
}
