#include "config.h"

#include "serve/server.h"

enum { ID_MIN = 8, ID_MAX = 128 };

/* [A-Za-z0-9._-]{8,128} */
static bool
id_is(struct rh_slice id)
{
	if (id.n < ID_MIN || id.n > ID_MAX)
		return false;
	for (size_t i = 0; i < id.n; i++) {
		char c = id.p[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
		    !(c >= '0' && c <= '9') && c != '.' && c != '_' && c != '-')
			return false;
	}
	return true;
}

static struct rh_slice
request_id(struct rh_call *c)
{
	struct rh_slice given = c->rq->header[RH_H_X_REQUEST_ID];
	char *made;

	if (id_is(given) && c->rq->repeats[RH_H_X_REQUEST_ID] == 1)
		return given;
	made = rh_arena_alloc(c->arena, RH_UUID_LEN);
	rh_uuid_put(made, rh_uuid_v7());
	return (struct rh_slice){ made, RH_UUID_LEN };
}

/* A traceparent that came twice, however joined, says nothing. */
static struct rh_slice
once(const struct rh_req *rq, enum rh_header h)
{
	return rq->repeats[h] > 1 ? RH_SLICE_NONE : rq->header[h];
}

/* nginx calls whoever comes by a unix socket "unix:". */
static bool
is_trusted(const struct rh_call *c)
{
	struct rh_slice remote = c->rq->remote;

	if (rh_slice_is(remote, RH_SLICE("unix:")))
		remote = RH_SLICE("127.0.0.1");
	return rh_cidrs_has(&c->server->host->trusted, remote);
}

static void
trace_begin(struct rh_call *c)
{
	struct rh_server *s = c->server;
	struct rh_trace_caller caller = {
		.traceparent = once(c->rq, RH_H_TRACEPARENT),
		.tracestate = c->rq->header[RH_H_TRACESTATE],
		.wall_ns = (uint64_t)c->start_us * 1000,
		.mono_ns = c->start_ns,
	};

	if (caller.traceparent.p)
		caller.trusted = is_trusted(c);
	s->trace.on = s->host->otlp.traces;
	rh_trace_begin(&s->trace, &s->host->otlp.sampler, &caller);
}

/* /v1/t/{tenant}/...: the slug, of a path that no route matched as well. */
static struct rh_slice
slug_of(struct rh_slice path)
{
	struct rh_slice prefix = RH_SLICE("/v1/t/"), rest;

	if (!rh_slice_has_prefix(path, prefix))
		return RH_SLICE_NONE;
	rest = rh_slice_from(path, prefix.n);
	rest = rh_slice_cut(&rest, '/');
	return rh_slug_is(rest) ? rest : RH_SLICE_NONE;
}

void
rh_identify(struct rh_call *c)
{
	struct rh_server *s = c->server;
	struct rh_host *h = s->host;
	struct rh_tenant tenant;

	c->request_id = request_id(c);
	trace_begin(c);
	s->log.request_id = c->request_id;
	s->log.trace_id = s->trace.trace_id;
	s->log.span_id = rh_trace_server(&s->trace)->id;
	c->tenant_slug = slug_of(c->rq->path);
	if (!c->tenant_slug.p)
		return;
	s->log.tenant = c->tenant_slug;
	if (rh_directory_find(h->directory, (unsigned)c->conf->tenants_max,
	    c->tenant_slug, &tenant)) {
		c->tenant = tenant.id;
		c->tenant_label = tenant.label;
		c->plan = tenant.limits;
		c->placement = tenant.placement;
	}
}
