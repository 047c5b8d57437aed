#include "config.h"

#include "serve/app.h"

#include <limits.h>
#include <signal.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "serve/duty.h"
#include "serve/inherit.h"
#include "serve/listen.h"
#include "serve/past.h"
#include "serve/postmortem.h"
#include "serve/privilege.h"
#include "serve/server.h"
#include "serve/trial.h"
#include "serve/will.h"

/* Between two tries to follow the first pool into its segment. */
#define FOLLOW_NS (10 * UINT64_C(1000000000))

enum { WHY_MAX = 1024, RELOAD_FIRST = 64 << 10, RELOAD_CAP = 64 << 20 };

static struct rh_serve_conf conf;
static const struct rh_app *app;
static bool alone;	/* -1 */

/* What is another in the other program: rh_app_main's pool, and rh_jobs_main's. */
struct part {
	enum rh_pool_kind pool;
	struct rh_pool_hooks hooks;
	void (*tick)(void *server);
	const struct rh_option *options;
};
static const struct part *part;
static struct rh_joined joined;	/* of -1: its slot, and whose it was */

/* The master's own line to the log and to the counters. */
static void
master_signals(struct rh_host *h, struct rh_server *master,
    struct rh_arena *arena)
{
	master->host = h;
	rh_tally_bind(&master->tally, h->metrics,
	    conf.metrics ? h->segment : NULL, 0);
	rh_log_bind(&master->log, h->segment, 0, arena);
	rh_log_name(&master->log, arena, (char *)h->otlp.service_name.p,
	    app->version);
	master->log.tally = &master->tally;
	master->log.lines = h->series.lines;
}

/* ---- SIGHUP, in the master ---- */

static void
say_each(struct rh_log *log, enum rh_level level, const char *what,
    struct rh_slice lines)
{
	while (lines.n) {
		struct rh_slice line = rh_slice_cut(&lines, '\n');

		rh_log_say(log, level, "%s: %.*s", what, RH_SLICE_ARG(line));
	}
}

static bool
reread(struct rh_server *master, struct rh_arena *arena)
{
	struct rh_buf faults, restart;

	rh_buf_init(&faults, arena, WHY_MAX, RELOAD_CAP / 4);
	rh_buf_init(&restart, arena, WHY_MAX, RELOAD_CAP / 4);
	if (!rh_program_reread(master->host->program, arena, &faults,
	    &restart)) {
		say_each(&master->log, RH_LOG_ERROR,
		    "the configuration is bad, the old one stays",
		    rh_buf_get(&faults));
		return false;
	}
	if (restart.n)
		rh_log_say(&master->log, RH_LOG_WARN, "a reload does not"
		    " change these, a restart does: %.*s",
		    RH_SLICE_ARG(rh_buf_get(&restart)));
	return true;
}

/* The enums are the same; configuration knows no pool. */
static enum rh_pool_mode
pool_mode(void)
{
	_Static_assert((int)RH_SIZING_DYNAMIC == (int)RH_POOL_DYNAMIC &&
	    (int)RH_SIZING_ONDEMAND == (int)RH_POOL_ONDEMAND, "in this order");
	return (enum rh_pool_mode)conf.sizing;
}

/* No connections, and nobody who waits in a queue to be served. */
static void
spec_of_jobs(struct rh_pool_spec *spec)
{
	spec->nworkers = (unsigned)conf.jobs_workers;
	spec->mode = RH_POOL_STATIC;
	spec->max_connections = 0;
}

static void
spec_tune(struct rh_pool_spec *spec)
{
	spec->size = (struct rh_size){ (unsigned)conf.workers_min,
		(unsigned)conf.workers_spare_min,
		(unsigned)conf.workers_spare_max, (unsigned)conf.spawn_rate,
		(uint64_t)conf.idle_timeout_ms };
	spec->queue_max = part->pool == RH_POOL_FCGI ?
	    (unsigned)conf.queue_max :
	    0;
	spec->max_memory = (uint64_t)conf.max_memory_bytes;
	spec->max_requests = part->pool == RH_POOL_FCGI ?
	    (uint64_t)conf.max_requests : 0;
	spec->shutdown_grace_ms = conf.shutdown_grace_ms;
	spec->header_timeout_ms = conf.header_timeout_ms;
	spec->timeout_ms = conf.timeout_other_ms;
	spec->timeout_grace_ms = conf.timeout_grace_ms;
	spec->slow_ms = conf.slow_ms;
	spec->slow_backtrace = conf.slow_backtrace;
	spec->batch = part->pool == RH_POOL_FCGI &&
	    conf.scheduling == RH_SCHEDULING_BATCH;
}

static bool
reload(void *ctx, struct rh_pool_spec *spec)
{
	struct rh_server *master = ctx;
	struct rh_host *h = master->host;
	struct rh_arena *arena = rh_arena_new(RELOAD_FIRST, RELOAD_CAP);
	struct rh_buf warnings;

	if (!reread(master, arena)) {
		rh_arena_destroy(&arena);
		return false;
	}
	rh_buf_init(&warnings, arena, WHY_MAX, WHY_MAX * 4);
	rh_host_tune(h, arena, &warnings);
	spec_tune(spec);
	rh_log_name(&master->log, arena, (char *)h->otlp.service_name.p,
	    app->version);
	say_each(&master->log, RH_LOG_WARN, "environment",
	    rh_buf_get(&warnings));
	rh_arena_destroy(&h->reloaded);
	h->reloaded = arena;
	return true;
}

/*
 * By the name we were called, not by what it led to: that may be a link that
 * leads to another release by now.
 */
static const char *
program_path(const struct rh_program *self, struct rh_arena *arena)
{
	const char *name = self->argv0[0];
	char there[PATH_MAX];
	ssize_t n;

	if (name[0] == '/')
		return name;
	if (strchr(name, '/') && getcwd(there, sizeof(there)))
		return rh_arena_printf(arena, "%s/%s", there, name);
	n = readlink("/proc/self/exe", there, sizeof(there));
	return n > 0 ? rh_arena_strdup(arena,
	    (struct rh_slice){ there, (size_t)n }) : NULL;
}

static void
becoming(void *server, bool yes)
{
	struct rh_server *s = server;

	rh_host_beside(s->host, yes);
}

static void
tick(void *server)
{
	struct rh_server *s = server;

	rh_past_look(s->host->past);
}

/* The first pool lays the segment out anew as it likes: we follow, as by USR2. */
static void
tick_jobs(void *server)
{
	static uint64_t next_ns;
	struct rh_server *s = server;
	uint64_t now_ns = rh_clock_mono_ns();

	if (now_ns < next_ns || !rh_segment_is_replaced(s->host->segment))
		return;
	next_ns = now_ns + FOLLOW_NS;
	rh_log_say(&s->log, RH_LOG_WARN,
	    "the segment was laid out anew by"
	    " another pool: this one starts over in it");
	kill(getpid(), SIGUSR2);
}

static int
serve(struct rh_host *h, struct rh_listen *listen, const struct rh_will *will,
    struct rh_arena *arena)
{
	struct rh_server *server = RH_NEW(arena, struct rh_server);
	const struct rh_shipper_spec ship = { .conf = &h->otlp,
		.segment = h->segment,
		.ring = rh_segment_spans(h->segment, 0),
		.tally = &server->tally, .spans = h->series.spans,
		.version = app->version };
	struct rh_pool_spec spec = {
		.name = rh_pool_names[part->pool],
		.listen = listen,
		.nworkers = (unsigned)conf.workers,
		.mode = pool_mode(),
		.max_connections = (unsigned)conf.max_connections,
		.segment = h->segment,
		.log = &server->log,
		.tally = &server->tally,
		.restarts = rh_series_restarts(&h->series, part->pool),
		.queue_length = h->series.queue_length,
		.log_fd = 1,
		.ctx = server,
		.trouble = rh_server_trouble,
		.died = rh_postmortem,
		.ship = &ship,
		.tick = part->tick,
		.reload = reload,
		.will = will,
		.program = program_path(h->program, arena),
		.argv = h->program->argv0,
		.hooks = part->hooks,
	};

	spec_tune(&spec);
	if (part->pool == RH_POOL_JOBS)
		spec_of_jobs(&spec);
	else
		h->past = rh_past_open(h, arena);
	if (part->pool == RH_POOL_FCGI)
		spec.becoming = becoming;
	master_signals(h, server, arena);
	if (!will)
		rh_unburied_tell(server);
	rh_crypto_prepare();
	rh_shipper_prepare(&h->otlp);
	signal(SIGPIPE, SIG_IGN);
	return rh_pool_run(&spec, arena);
}

/* From the program before, from whoever started us, or our own. */
static bool
listen_open(struct rh_listen *listen, const struct rh_will *will,
    struct rh_arena *arena, struct rh_buf *why)
{
	enum rh_inherited what;

	if (part->pool == RH_POOL_JOBS) {
		*listen = (struct rh_listen){ .fd = -1 };
		return true;
	}
	if (will) {
		*listen = (struct rh_listen){ will->listen, will->path,
			will->dev, will->ino };
		return true;
	}
	if (!rh_inherit(listen, &what, why))
		return false;
	return what != RH_INHERITED_NOTHING ||
	    rh_listen_open(listen, &(struct rh_listen_spec){ conf.listen,
	    conf.listen_owner, conf.listen_group, conf.listen_mode,
	    conf.listen_backlog }, arena, why);
}

static int
fail(const struct rh_program *self, const struct rh_buf *why)
{
	return rh_program_fail(self, "%.*s", RH_SLICE_ARG(rh_buf_get(why)));
}

/* In place of the rest of run(): nothing here touches what serves. */
static int
try(const struct rh_program *self, struct rh_host *h, struct rh_buf *why)
{
	return rh_privilege_drop(conf.user, conf.group, why) ?
	    rh_trial_run(self, h, &part->hooks, rh_will_trial()) :
	    fail(self, why);
}

/* ---- -1: one of several, on descriptor 0 ---- */

/* Who dies here has no master to tell of it: the next one does, and the others. */
static bool
start_alone(void *server, unsigned slot)
{
	bool ready = rh_server_start(server, slot);

	rh_unburied_left(server, joined.left);
	rh_unburied_look(server);
	return ready;
}

static void
idle_alone(void *server)
{
	rh_server_idle(server);
	rh_unburied_look(server);
}

static int
serve_alone(const struct rh_program *self, struct rh_host *h,
    struct rh_buf *why)
{
	struct rh_server *server = RH_NEW(self->arena, struct rh_server);
	enum rh_inherited what;
	struct rh_listen listen;
	struct rh_pool_spec spec;

	if (!rh_inherit(&listen, &what, why) ||
	    !rh_privilege_drop(conf.user, conf.group, why))
		return fail(self, why);
	if (what == RH_INHERITED_NOTHING)
		return rh_program_fail(self, "-1 serves descriptor 0, and that"
		    " is no listening socket");
	if (!rh_host_segment(h, (char *)conf.segment.p, NULL, &joined,
	    why))
		return fail(self, why);
	h->alone = true;
	server->host = h;
	spec = (struct rh_pool_spec){ .name = rh_pool_names[part->pool],
		.listen = &listen,
		.segment = h->segment,
		.log = &server->log,
		.ctx = server,
		.trouble = rh_server_trouble,
		.hooks = part->hooks };
	spec.hooks.start = start_alone;
	spec.hooks.idle = idle_alone;
	spec_tune(&spec);
	signal(SIGPIPE, SIG_IGN);
	return rh_pool_alone(&spec, joined.slot);
}

static int
run(struct rh_program *self, int argc, char **argv)
{
	struct rh_host *h = RH_NEW(self->arena, struct rh_host);
	struct rh_will *will;
	struct rh_listen listen;
	struct rh_buf why;
	int status;

	(void)argc;
	(void)argv;
	rh_buf_init(&why, self->arena, WHY_MAX, WHY_MAX * 4);
	h->app = app;
	h->conf = &conf;
	h->pool = part->pool;
	h->program = self;
	if (!rh_host_open(h, self->arena, &why))
		return fail(self, &why);
	if (why.n)	/* OTEL_* of the environment that make no sense are no reason to stop */
		fail(self, &why);
	why.n = 0;
	if (rh_will_trial())
		return try(self, h, &why);
	if (alone)
		return serve_alone(self, h, &why);
	if (!rh_will_read(&will, self->arena, &why) ||
	    !listen_open(&listen, will, self->arena, &why))
		return fail(self, &why);
	if (!rh_privilege_drop(conf.user, conf.group, &why) ||
	    !rh_host_segment(h, (char *)conf.segment.p, will, NULL, &why)) {
		rh_listen_close(&listen);
		return fail(self, &why);
	}
	status = serve(h, &listen, will, self->arena);
	rh_segment_close(&h->segment);
	rh_arena_destroy(&h->reloaded);
	return status;
}

static void
check(const struct rh_conf_table *tables, struct rh_buf *faults)
{
	rh_serve_conf_check(tables[0].to, faults);
	rh_serve_conf_check_urls(tables[0].to, faults);
	rh_serve_conf_check_placements(tables[1].to, faults);
	rh_serve_conf_check_placement_urls(tables[1].to, faults);
}

static const struct rh_option own_options[] = {
	{ "-1", NULL, "serve descriptor 0 as one process of several: mod_fcgid", NULL },
	{ 0 }
};

static void
option(struct rh_program *self, int letter, const char *value)
{
	(void)self;
	(void)value;
	alone = letter == '1';
}

static int
program_main(const struct rh_app *application, const struct part *its, int argc,
    char **argv)
{
	struct rh_conf_table tables[8] = {
		{ rh_serve_directives, &conf, NULL },
		{ rh_placement_directives, conf.placements, &rh_placement_section },
	};
	struct rh_program program = { .name = application->name,
		.summary = application->description,
		.tables = tables,
		.check = check,
		.run = run,
		.options = its->options,
		.option = option };

	app = application;
	part = its;
	for (size_t i = 0; app->tables && app->tables[i].directives; i++) {
		rh_assert(i + 3 < RH_COUNT(tables));
		tables[i + 2] = app->tables[i];
	}
	return rh_program_main(&program, argc, argv);
}

int
rh_app_main(const struct rh_app *application, int argc, char **argv)
{
	static const struct part requests = {
		.pool = RH_POOL_FCGI,
		.hooks = { .start = rh_server_start,
		    .serve = rh_life,
		    .idle = rh_server_idle,
		    .stop = rh_server_stop },
		.tick = tick,
		.options = own_options,
	};

	return program_main(application, &requests, argc, argv);
}

int
rh_jobs_main(const struct rh_app *application, int argc, char **argv)
{
	static const struct part jobs = {
		.pool = RH_POOL_JOBS,
		.hooks = { .start = rh_duty_start,
		    .work = rh_duty_work,
		    .called = rh_duty_called,
		    .stop = rh_duty_stop },
		.tick = tick_jobs,
	};

	return program_main(application, &jobs, argc, argv);
}
