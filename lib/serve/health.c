/*
 * health - what is in every application: /livez, /readyz, /openapi.json.
 */
#include "config.h"

#include "serve/app.h"
#include "serve/server.h"

enum { READY };
static struct rh_stmt stmts[] = {
	[READY] = { .name = "health.ready", .global = "asks nothing of anybody",
	    .sql = "select 1" },
	{ 0 }
};

struct health {
	struct rh_slice status;
};
static const struct rh_field shape[] = {
	{ RH_FIELD("status", TEXT, struct health, status), .doc = "ok" },
	{ 0 }
};
static const struct health ok = { RH_SLICE_INIT("ok") };

/* GET /livez: this process answers. */
static struct rh_err *
livez(struct rh_call *c)
{
	return rh_reply_one(c->rq, shape, &ok, 0);
}

/* GET /readyz: PostgreSQL answers too. */
static struct rh_err *
readyz(struct rh_call *c)
{
	struct rh_err *err;

	rh_pipe_send_args(c->pipe, &stmts[READY], NULL, 0);
	if (rh_pipe_int(c->pipe) != 1 && (err = rh_pipe_error(c->pipe)))
		return err;
	return rh_reply_one(c->rq, shape, &ok, 0);
}

static struct rh_err *
openapi(struct rh_call *c)
{
	return rh_reply_bytes(c->rq, 200, "application/json",
	    c->server->host->openapi);
}

/* clang-format off */
static const struct rh_route routes[] = {
	{ .method = RH_GET, .template = "/livez", .access = RH_PUBLIC, .handler = livez,
	  .flags = RH_ROUTE_ALWAYS, .shape = shape, .summary = "Whether the process answers" },
	{ .method = RH_GET, .template = "/readyz", .access = RH_PUBLIC, .handler = readyz,
	  .shape = shape, .summary = "Whether it can serve: PostgreSQL answers" },
	{ .method = RH_GET, .template = "/openapi.json", .access = RH_PUBLIC, .handler = openapi,
	  .flags = RH_ROUTE_RAW, .summary = "This reference" },
	{ 0 }
};
/* clang-format on */

const struct rh_resource rh_resource_health = {
	.name = "health", .routes = routes, .stmts = stmts,
};
