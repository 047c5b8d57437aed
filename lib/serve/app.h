/*
 * app - an application: its resources, and rh_app_main() to run them;
 * rh_jobs_main() for what they leave to be done behind the requests.
 *
 * Shape    struct rh_app lists resources; a resource is its routes, its
 *          statements, what its constraints mean, its kinds of jobs, its
 *          metrics besides those that every route and statement has. Its migrations are files, for
 *          rowhouse-migrate -d
 * Errors   exit 1 with every fault named: configuration, duplicate routes,
 *          metrics whose name is taken
 * Owner    static tables of the application
 *
 *	static const struct rh_resource *const resources[] = { &notes, NULL };
 *	static const struct rh_app app = { .name = "notes", .resources = resources };
 *	int main(int argc, char **argv) { return rh_app_main(&app, argc, argv); }
 */
#ifndef RH_SERVE_APP_H
#define RH_SERVE_APP_H

#include "base/program.h"
#include "data/pg_err.h"
#include "data/pipe.h"
#include "jobs/job.h"
#include "http/route.h"
#include "serve/call.h"
#include "serve/instrument.h"

struct rh_resource {
	const char *name;
	const struct rh_route *routes;			/* ended by { 0 } */
	struct rh_stmt *stmts;				/* ended by { 0 }; NULL: none */
	const struct rh_pg_constraint *constraints;	/* ended by { 0 }; NULL: none */
	struct rh_instrument *instruments;		/* ended by { 0 }; NULL: none */
	struct rh_job_kind *kinds; /* of jobs, ended by { 0 }; NULL: none */
	/* Hangs off the relay: one of stmts, without arguments (jobs/relay.h). */
	const struct rh_stmt *fan_out;
};

struct rh_app {
	const char *name;		/* "rowhouse-fcgi" */
	const char *title;		/* of the API */
	const char *version;
	const char *description;
	const struct rh_resource *const *resources;	/* ended by NULL */
	const struct rh_conf_table *tables;	/* directives of its own; NULL: none */
};

/* Options, configuration, segment, master, workers; returns at the end of the pool. */
int rh_app_main(const struct rh_app *app, int argc, char **argv);
/*
 * The same of the pool behind it, which does what no request waits for. Its app
 * lists the same resources as that of the segment's other pool.
 */
int rh_jobs_main(const struct rh_app *app, int argc, char **argv);

/* /livez, /readyz, /openapi.json: in every application, listed by rh_app_main itself. */
extern const struct rh_resource rh_resource_health;

#endif
