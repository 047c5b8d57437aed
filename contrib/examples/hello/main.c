/* hello - one tenant route of one's own: an application on librowhouse, all of it. */
#include "serve/app.h"

struct hello { struct rh_slice greeting; };
static const struct rh_field shape[] = {	/* a row, a JSON object, the API's reference */
	{ RH_FIELD("greeting", TEXT, struct hello, greeting) },
	{ 0 }
};

static struct rh_stmt stmts[] = {
	{ .name = "hello.show", .sql = "select 'Hello, ' || name from tenants where id = $1" },
	{ 0 }
};

/* GET /v1/t/{tenant}/hello	200 {greeting} */
static struct rh_err *
hello_show(struct rh_call *c)
{
	struct hello hello = { RH_SLICE_NONE };

	rh_pipe_send(c->pipe, &stmts[0], RH_UUID(c->tenant));
	rh_pipe_row(c->pipe, shape, &hello);
	return rh_reply_one(c->rq, shape, &hello, 0);
}

static const struct rh_route routes[] = {
	{ .method = RH_GET, .template = "/v1/t/{tenant}/hello", .role = RH_VIEWER, .handler = hello_show,
	  .rate = RH_RATE_READ, .shape = shape, .summary = "Greet the tenant" },
	{ 0 }
};

int
main(int argc, char **argv)
{
	static const struct rh_resource hello = { .name = "hello", .routes = routes, .stmts = stmts };
	static const struct rh_resource *const resources[] = { &hello, NULL };
	static const struct rh_app app = { .name = "hello", .title = "Hello", .version = "1.0",
		.description = "greets a tenant", .resources = resources };

	return rh_app_main(&app, argc, argv);
}
