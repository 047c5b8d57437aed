#include "config.h"

#include "serve/app.h"

#include <signal.h>

#include "http/openapi.h"
#include "serve/event.h"
#include "serve/listen.h"
#include "serve/privilege.h"
#include "serve/server.h"
#include "tenancy/authorize.h"

enum { RESOURCES_MAX = 64, WHY_MAX = 1024 };

static struct rh_serve_conf conf;
static const struct rh_app *app;

static void
resource_register(const struct rh_resource *r, const struct rh_route **tables)
{
	if (r->stmts)
		rh_stmts_register(r->stmts);
	if (r->constraints)
		rh_pg_constraints_register(r->constraints);
	if (!r->routes)
		return;
	while (*tables)
		tables++;
	*tables = r->routes;
}

static struct rh_router *
resources_open(struct rh_arena *arena, struct rh_buf *why)
{
	const struct rh_route *tables[RESOURCES_MAX + 1] = { NULL };
	unsigned n = 0;

	rh_stmts_register(rh_authorize_stmts);
	rh_stmts_register(rh_event_stmts);
	resource_register(&rh_resource_health, tables);
	for (const struct rh_resource *const *r = app->resources; *r; r++) {
		rh_assert(++n < RESOURCES_MAX);
		resource_register(*r, tables);
	}
	return rh_router_new(arena, tables, why);
}

static bool
instruments_open(struct rh_metrics *m, struct rh_buf *why)
{
	for (const struct rh_resource *const *r = app->resources; *r; r++) {
		if ((*r)->instruments &&
		    !rh_instruments_register(m, (*r)->instruments, why))
			return false;
	}
	return true;
}

static bool
segment_open(struct rh_host *h, struct rh_buf *why)
{
	const struct rh_area areas[] = {
		{ RH_POOL_AREA, rh_pool_area_bytes((unsigned)conf.max_connections) },
		{ "tenants", rh_directory_bytes((unsigned)conf.tenants_max) },
		{ "limits", rh_limit_bytes(RH_LIMIT_KEYS) },
		{ "hashers", (size_t)conf.password_hashers * sizeof(int32_t) },
		{ NULL, 0 }
	};
	const struct rh_segment_spec spec = {
		.pool = "fcgi", .service = (char *)h->otlp.service_name.p,
		.version = app->version, .revision = RH_REVISION,
		.slots = (unsigned)conf.workers + 1,
		.log_ring_bytes = (size_t)conf.log_ring_bytes,
		.span_ring_bytes = (size_t)conf.span_ring_bytes,
		.areas = areas, .metrics = h->metrics,
	};

	if (!rh_segment_create(&h->segment, (char *)conf.segment.p, &spec, why))
		return false;
	h->directory = rh_segment_area(h->segment, "tenants");
	h->limits = rh_segment_area(h->segment, "limits");
	h->hashers = (struct rh_hashers){ rh_segment_area(h->segment, "hashers"),
		(unsigned)conf.password_hashers };
	return true;
}

static bool
host_open(struct rh_host *h, struct rh_arena *arena, struct rh_buf *why)
{
	const struct rh_api_info info = { app->title, app->version,
		app->description };

	h->app = app;
	h->conf = &conf;
	if (!(h->router = resources_open(arena, why)))
		return false;
	rh_otlp_conf_read(&h->otlp, &(struct rh_otlp_defaults){
	    conf.otlp_endpoint, conf.service_name, conf.trace_ratio, conf.traces },
	    arena, why);
	h->pg = (struct rh_pg_conf){ (char *)conf.database_url.p,
		conf.connect_timeout_ms, conf.statement_timeout_ms,
		conf.prepared_statements, app->name };
	h->metrics = rh_metrics_new(arena);
	rh_series_init(&h->series, h->metrics, h->router, "fcgi");
	if (!instruments_open(h->metrics, why))
		return false;
	h->openapi = rh_openapi_make(arena, h->router, &info);
	rh_cursor_key(conf.secret_key);
	return true;
}

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

static int
serve(struct rh_host *h, struct rh_listen *listen, struct rh_arena *arena)
{
	struct rh_server *server = RH_NEW(arena, struct rh_server);
	const struct rh_pool_spec spec = {
		.name = "fcgi", .listen = listen,
		.nworkers = (unsigned)conf.workers,
		.max_requests = (uint64_t)conf.max_requests,
		.max_connections = (unsigned)conf.max_connections,
		.shutdown_grace_ms = conf.shutdown_grace_ms,
		.header_timeout_ms = conf.header_timeout_ms,
		.segment = h->segment, .log = &server->log,
		.tally = &server->tally, .restarts = h->series.restarts,
		.log_fd = 1, .ctx = server, .trouble = rh_server_trouble,
		.hooks = { rh_server_start, rh_life, rh_server_idle, rh_server_stop },
	};

	master_signals(h, server, arena);
	signal(SIGPIPE, SIG_IGN);
	return rh_pool_run(&spec, arena);
}

static int
run(struct rh_program *self, int argc, char **argv)
{
	struct rh_host *h = RH_NEW(self->arena, struct rh_host);
	struct rh_listen listen;
	struct rh_buf why;
	int status;

	(void)argc;
	(void)argv;
	rh_buf_init(&why, self->arena, WHY_MAX, WHY_MAX * 4);
	if (!host_open(h, self->arena, &why) ||
	    !rh_listen_open(&listen, &(struct rh_listen_spec){ conf.listen,
	    conf.listen_owner, conf.listen_group, conf.listen_mode,
	    conf.listen_backlog }, self->arena, &why))
		return rh_program_fail(self, "%.*s", RH_SLICE_ARG(rh_buf_get(&why)));
	if (why.n)	/* OTEL_* of the environment that make no sense are no reason to stop */
		rh_program_fail(self, "%.*s", RH_SLICE_ARG(rh_buf_get(&why)));
	why.n = 0;
	if (!rh_privilege_drop(conf.user, conf.group, &why) ||
	    !segment_open(h, &why)) {
		rh_listen_close(&listen);
		return rh_program_fail(self, "%.*s", RH_SLICE_ARG(rh_buf_get(&why)));
	}
	status = serve(h, &listen, self->arena);
	rh_segment_close(&h->segment);
	return status;
}

static void
check(struct rh_buf *faults)
{
	rh_serve_conf_check(&conf, faults);
}

int
rh_app_main(const struct rh_app *application, int argc, char **argv)
{
	struct rh_conf_table tables[8] = { { rh_serve_directives, &conf } };
	struct rh_program program = { .name = application->name,
		.summary = application->description, .tables = tables,
		.check = check, .run = run };

	app = application;
	for (size_t i = 0; app->tables && app->tables[i].directives; i++) {
		rh_assert(i + 2 < RH_COUNT(tables));
		tables[i + 1] = app->tables[i];
	}
	return rh_program_main(&program, argc, argv);
}
