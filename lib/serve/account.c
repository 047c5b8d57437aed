#include "config.h"

#include "base/clock.h"
#include "base/text.h"
#include "obs/request_record.h"
#include "serve/server.h"

enum { PATH_CAP = 1024, AGENT_CAP = 512, ERROR_CAP = 512, SHORT_CAP = 160 };

static bool
is_security(const struct rh_call *c, const struct rh_err *err)
{
	const struct rh_route *route = c->rq->match.route;
	unsigned status = c->rq->reply.status;

	return c->security || status == 401 || status == 403 ||
	    (route && route->flags & RH_ROUTE_SECURITY) ||
	    (err && strcmp(err->code, "tenant.missing") == 0);
}

static bool
is_failure(const struct rh_call *c)
{
	return c->rq->reply.status >= 500 && !c->chosen;
}

static uint64_t
slow_ns(const struct rh_call *c)
{
	const struct rh_route *route = c->rq->match.route;
	int64_t ms = route && route->slow_ms ? route->slow_ms : c->conf->slow_ms;

	return (uint64_t)ms * 1000000;
}

bool
rh_account_decide(struct rh_call *c, const struct rh_err *err)
{
	unsigned status = err ? rh_problem_status(err->kind) :
	    c->rq->reply.status;

	c->rq->reply.status = status;
	c->decided_ns = rh_clock_mono_ns();
	return rh_trace_decide(c->trace, (struct rh_trace_facts){
	    .error = is_failure(c),
	    .slow = c->decided_ns - c->start_ns >= slow_ns(c),
	    .security = is_security(c, err) });
}

/* ---- the log line ---- */

static struct rh_slice
template_of(const struct rh_call *c)
{
	const struct rh_route *route = c->rq->match.route;

	return route ? rh_slice_of(route->template) : RH_SLICE_NONE;
}

static struct rh_slice
path_of(const struct rh_call *c)
{
	const struct rh_route *route = c->rq->match.route;

	if (route && route->flags & RH_ROUTE_SECRET_PATH)
		return rh_slice_of(route->template);
	if (!route) {
		struct rh_slice secret = rh_router_conceals(
		    c->server->host->router, c->rq->path);

		if (secret.p)
			return secret;
	}
	return c->rq->path;
}

void
rh_account_begin(struct rh_call *c)
{
	const struct rh_req *rq = c->rq;
	const struct rh_route *route = rq->match.route;
	struct rh_trace *trace = c->trace;

	trace->kept_known = route && route->flags & RH_ROUTE_SECURITY;
	rh_flight_tell(c->server->flight, &(struct rh_flight_facts){
	    .request_id = c->request_id, .method = rq->method_text,
	    .route = template_of(c), .path = path_of(c),
	    .tenant = c->tenant_slug, .remote = rq->remote,
	    .trace_id = trace->trace_id,
	    .span_id = rh_trace_server(trace)->id,
	    .parent_id = trace->parent_id, .on = trace->on,
	    .head = trace->head, .flags = trace->flags, .tenant_id = c->tenant,
	    .series = rh_series_route(&c->server->host->series,
	    rq->match.route, rq->match.index, rq->method),
	    .tenant_label = c->tenant_label,
	    .deadline_ns = c->deadline_ns,
	    .slow_ns = c->start_ns + slow_ns(c) });
}

static struct rh_slice
error_text(struct rh_arena *arena, const struct rh_err *err)
{
	struct rh_buf b;

	if (!err)
		return RH_SLICE_NONE;
	rh_buf_init_fixed(&b, rh_arena_alloc(arena, ERROR_CAP), ERROR_CAP);
	rh_buf_slice(&b, rh_slice_of(err->code));
	if (err->cause) {
		struct rh_slice cause = rh_slice_of(err->cause);

		cause.n = RH_MIN(cause.n, (size_t)ERROR_CAP / 2);
		rh_buf_lit(&b, ": ");
		rh_buf_slice(&b, cause);
	}
	if (err->kind == RH_E_BUG || err->kind == RH_E_UNAVAILABLE) {
		rh_buf_lit(&b, " at ");
		rh_buf_slice(&b, rh_slice_of(err->where));
	}
	return rh_buf_get(&b);
}

static void
line_who(struct rh_line *line, const struct rh_call *c)
{
	rh_line_text(line, "tenant", c->tenant_slug, SHORT_CAP);
	rh_line_uuid(line, "tenant_id", c->tenant);
	rh_line_uuid(line, "user_id", c->who.user_id);
	if (c->who.role > RH_ROLE_NONE)
		rh_line_text(line, "role",
		    rh_slice_of(rh_role_names[c->who.role]), SHORT_CAP);
	rh_line_uuid(line, "token_id", c->who.token_id);
}

static void
line_stores(struct rh_line *line, const struct rh_call *c)
{
	uint64_t redis_ns = rh_place_redis_ns(c);

	rh_line_text(line, "cache", rh_slice_of(c->cache), SHORT_CAP);
	rh_line_text(line, "limiter", rh_slice_of(c->limiter), SHORT_CAP);
	rh_line_object(line, "rt");
	rh_line_int(line, "pg", rh_pipe_round_trips(c->pipe));
	rh_line_int(line, "redis", rh_place_redis_trips(c));
	rh_line_object_end(line);
	if (rh_pipe_wait_ns(c->pipe) == 0 && redis_ns == 0)
		return;
	rh_line_object(line, "ms");
	if (rh_pipe_wait_ns(c->pipe))
		rh_line_ms(line, "pg", rh_pipe_wait_ns(c->pipe));
	if (redis_ns)
		rh_line_ms(line, "redis", redis_ns);
	rh_line_object_end(line);
}

static void
line_write(struct rh_call *c, struct rh_slice error, bool kept, uint64_t ns)
{
	const struct rh_req *rq = c->rq;
	unsigned status = rq->reply.status;
	struct rh_line line;

	rh_line_open(&line, c->log, is_failure(c) ? RH_LOG_ERROR : RH_LOG_INFO,
	    "request", c->start_us);
	rh_line_text(&line, "request_id", c->request_id, SHORT_CAP);
	rh_line_hex(&line, "trace_id", c->trace->trace_id, 16);
	rh_line_hex(&line, "span_id", rh_trace_server(c->trace)->id, 8);
	rh_line_bool(&line, "sampled", kept);
	rh_line_text(&line, "sampled_by",
	    rh_slice_of(rh_sampled_by_names[c->trace->by]), SHORT_CAP);
	rh_line_text(&line, "method", rq->method_text, SHORT_CAP);
	rh_line_text(&line, "route", template_of(c), SHORT_CAP);
	rh_line_text(&line, "path", path_of(c), PATH_CAP);
	rh_line_int(&line, "status", status);
	rh_line_ms(&line, "duration_ms", ns);
	rh_line_int(&line, "bytes_in", (int64_t)rq->bytes_in);
	rh_line_int(&line, "bytes_out", (int64_t)rq->reply.body.n);
	line_who(&line, c);
	line_stores(&line, c);
	rh_line_text(&line, "error", error, ERROR_CAP);
	rh_line_text(&line, "remote", rq->remote, SHORT_CAP);
	rh_line_text(&line, "user_agent", rq->header[RH_H_USER_AGENT], AGENT_CAP);
	rh_journal_line(&c->server->journal, &line);
}

/* ---- metrics ---- */

static enum rh_tenant_outcome
outcome_of(unsigned status)
{
	return status >= 500 ? RH_T_SERVER_ERROR : status == 429 ? RH_T_LIMITED :
	    status >= 400 ? RH_T_CLIENT_ERROR : RH_T_SUCCESS;
}

/*
 * A tenant that authorization did not confirm is nobody's to count for, but
 * where its own limits refused before it was asked. (One budget: a stranger's.)
 */
static bool
is_tenants(const struct rh_call *c, unsigned status)
{
	if (!c->tenant_slug.p)
		return false;
	return !rh_uuid_is_nil(c->who.user_id) ||
	    (status == 429 && !rh_uuid_is_nil(c->tenant) && c->ask.n != 1);
}

static void
count(struct rh_call *c, bool kept, uint64_t ns)
{
	const struct rh_series *s = &c->server->host->series;
	const struct rh_tally *t = &c->server->tally;
	struct rh_journal *j = &c->server->journal;
	const struct rh_match *m = &c->rq->match;
	unsigned route = rh_series_route(s, m->route, m->index, c->rq->method);
	unsigned status = c->rq->reply.status;
	/* "other", for which nobody is woken */
	unsigned counted = status >= 500 && c->chosen ? 0 : status;
	struct rh_exemplar_of exemplar = { c->trace->trace_id, c->start_us };

	rh_journal_count(j, t, s->requests, route, rh_series_status(counted), 1);
	rh_journal_count(j, t, s->duration_native, route, rh_native_of(ns), 1);
	rh_journal_observe(j, t, s->duration, route, 0, ns,
	    kept ? &exemplar : NULL);
	if (!is_tenants(c, status))
		return;
	rh_journal_count(j, t, s->tenant_requests, c->tenant_label,
	    outcome_of(status), 1);
	rh_journal_count(j, t, s->tenant_seconds, c->tenant_label, 0, ns);
	rh_journal_count(j, t, s->tenant_durations, c->tenant_label,
	    rh_bucket_of(ns), 1);
}

/* ---- the trace ---- */

/*
 * Of a flood of the others it is not to be washed away. Who is refused can make
 * as many as he likes: those stand among all.
 */
static bool
is_apart(const struct rh_call *c)
{
	unsigned status = c->rq->reply.status;

	return is_failure(c) || c->trace->by == RH_BY_SLOW ||
	    (c->trace->by == RH_BY_SECURITY && status < 400);
}

/* "GET /v1/t/{tenant}/projects" */
static struct rh_slice
span_name(struct rh_call *c, struct rh_slice method, struct rh_slice route)
{
	struct rh_buf b;

	if (c->rq->method == RH_METHOD_OTHER)
		method = RH_SLICE("HTTP");
	rh_buf_init(&b, c->arena, method.n + 1 + route.n, 0);
	rh_buf_slice(&b, method);
	if (route.p) {
		rh_buf_char(&b, ' ');
		rh_buf_slice(&b, route);
	}
	return rh_buf_get(&b);
}

/* "example.org:8080", "[::1]:8080", "example.org" (RFC 9110 section 7.2). */
static void
span_server(struct rh_span *span, struct rh_slice host)
{
	size_t end = host.n;
	uint64_t port;

	while (end && host.p[end - 1] != ':' && host.p[end - 1] != ']')
		end--;
	if (end && host.p[end - 1] == ':' &&
	    rh_u64_get(&port, rh_slice_from(host, end)) && port < 65536) {
		rh_span_int(span, "server.port", (int64_t)port);
		host.n = end - 1;
	}
	rh_span_text(span, "server.address", host);
}

/* "HTTP/1.1" is 1.1, "HTTP/2.0" and "HTTP/3.0" are 2 and 3. */
static void
span_protocol(struct rh_span *span, struct rh_slice protocol)
{
	if (!rh_slice_has_prefix(protocol, RH_SLICE("HTTP/")))
		return;
	protocol = rh_slice_from(protocol, 5);
	if (rh_slice_is(protocol, RH_SLICE("2.0")) ||
	    rh_slice_is(protocol, RH_SLICE("3.0")))
		protocol.n = 1;
	rh_span_text(span, "network.protocol.version", protocol);
}

static void
span_judge(struct rh_span *span, struct rh_call *c, const struct rh_err *err)
{
	unsigned status = c->rq->reply.status;

	if (!is_failure(c))
		return;
	if (err)
		rh_span_fail(span, rh_slice_of(err->code),
		    rh_slice_of(err->detail));
	else
		rh_span_fail(span, rh_slice_of(rh_arena_printf(c->arena, "%u",
		    status)), RH_SLICE_NONE);
}

static void
server_span_fill(struct rh_call *c, const struct rh_err *err)
{
	const struct rh_req *rq = c->rq;
	struct rh_span *span = rh_trace_server(c->trace);
	struct rh_slice method = rh_slice_of(rh_method_names[rq->method]);
	struct rh_slice route = template_of(c);

	span->name = span_name(c, method, route);
	rh_span_text(span, "http.request.method", method);
	if (rq->method == RH_METHOD_OTHER)
		rh_span_text(span, "http.request.method_original", rq->method_text);
	rh_span_text(span, "http.route", route);
	rh_span_text(span, "url.path", path_of(c));
	rh_span_text(span, "url.scheme", rq->scheme);
	span_server(span, rq->header[RH_H_HOST]);
	span_protocol(span, rq->protocol);
	rh_span_text(span, "client.address", rq->remote);
	rh_span_text(span, "user_agent.original", rq->header[RH_H_USER_AGENT]);
	rh_span_int(span, "http.response.status_code", rq->reply.status);
	rh_span_int(span, "http.request.body.size", (int64_t)rq->bytes_in);
	rh_span_int(span, "http.response.body.size", (int64_t)rq->reply.body.n);
	rh_span_text(span, "rowhouse.sampled_by",
	    rh_slice_of(rh_sampled_by_names[c->trace->by]));
	span_judge(span, c, err);
}

static void
trace_end(struct rh_call *c, const struct rh_err *err, bool kept, uint64_t ns)
{
	struct rh_server *s = c->server;
	struct rh_slice tenant = RH_SLICE_NONE;
	char text[RH_UUID_LEN];

	if (!kept) {
		rh_journal_count(&s->journal, &s->tally, s->host->series.spans,
		    RH_SPANS_UNSAMPLED, 0, rh_trace_spans(c->trace));
		return;
	}
	server_span_fill(c, err);
	if (!rh_uuid_is_nil(c->tenant)) {
		rh_uuid_put(text, c->tenant);
		tenant = (struct rh_slice){ text, sizeof(text) };
	}
	rh_trace_end(c->trace, rh_segment_spans(s->host->segment, s->slot), true,
	    c->trace->wall_ns + ns, c->request_id, tenant);
	if (is_apart(c))
		rh_trace_end(c->trace, rh_segment_traces(s->host->segment,
		    s->slot), true, c->trace->wall_ns + ns, c->request_id,
		    tenant);
}

/* ---- the segment's own memory ---- */

static void
note_who(struct rh_request *rq, const struct rh_call *c)
{
	rq->text[RH_RQ_TENANT] = c->tenant_slug;
	rq->f.tenant_id = c->tenant;
	rq->f.user_id = c->who.user_id;
	rq->f.token_id = c->who.token_id;
	if (c->who.role > RH_ROLE_NONE)
		rq->text[RH_RQ_ROLE] = rh_slice_of(rh_role_names[c->who.role]);
}

static void
note_fill(struct rh_request *to, const struct rh_call *c,
    struct rh_slice error)
{
	const struct rh_host *h = c->server->host;
	const struct rh_req *rq = c->rq;

	memcpy(to->f.trace_id, c->trace->trace_id, sizeof(to->f.trace_id));
	memcpy(to->f.span_id, rh_trace_server(c->trace)->id,
	    sizeof(to->f.span_id));
	/* as the master wrote it: to ask the kernel would be a system call */
	to->f.pid = (uint32_t)atomic_load_explicit(&rh_segment_slot(
	    h->segment, c->server->slot)->pid, memory_order_relaxed);
	to->f.series = rh_series_route(&h->series, rq->match.route,
	    rq->match.index, rq->method);
	to->f.ratio = h->otlp.sampler.root == RH_SAMPLER_ALWAYS_OFF ? 0 :
	    h->otlp.sampler.root == RH_SAMPLER_ALWAYS_ON ? 1 :
	    h->otlp.sampler.ratio;
	to->text[RH_RQ_ID] = c->request_id;
	to->text[RH_RQ_METHOD] = rq->method_text;
	to->text[RH_RQ_ROUTE] = template_of(c);
	to->text[RH_RQ_PATH] = path_of(c);
	to->text[RH_RQ_CACHE] = rh_slice_of(c->cache);
	to->text[RH_RQ_LIMITER] = rh_slice_of(c->limiter);
	to->text[RH_RQ_ERROR] = error;
	to->text[RH_RQ_REMOTE] = rq->remote;
	to->text[RH_RQ_AGENT] = rq->header[RH_H_USER_AGENT];
	note_who(to, c);
}

static void
note_put(struct rh_journal *j, struct rh_ring *ring, struct rh_request *rq)
{
	size_t n = rh_request_measure(rq);
	char *to = rh_ring_reserve(ring, n);

	if (!to)
		return;
	rh_request_put(to, rq);
	rh_journal_record(j, ring, n);
}

static void
note(struct rh_call *c, struct rh_slice error, bool kept, uint64_t ns)
{
	struct rh_server *s = c->server;
	struct rh_request rq = { .f = { .by = (uint8_t)c->trace->by,
	    .kept = kept, .traced = c->trace->on,
	    .remote_parent = c->trace->remote_parent,
	    .parent_based = s->host->otlp.sampler.parent_based,
	    .status = (uint16_t)c->rq->reply.status,
	    .pg_trips = (uint16_t)rh_pipe_round_trips(c->pipe),
	    .pg_ns = rh_pipe_wait_ns(c->pipe),
	    .redis_trips = (uint16_t)rh_place_redis_trips(c),
	    .redis_ns = rh_place_redis_ns(c), .start_us = c->start_us,
	    .ns = ns, .slow_ns = slow_ns(c), .bytes_in = c->rq->bytes_in,
	    .bytes_out = c->rq->reply.body.n } };

	if (!s->host->segment)
		return;
	note_fill(&rq, c, error);
	note_put(&s->journal, rh_segment_requests(s->host->segment, s->slot),
	    &rq);
	if (is_apart(c))
		note_put(&s->journal, rh_segment_traces(s->host->segment,
		    s->slot), &rq);
}

void
rh_account(struct rh_call *c, const struct rh_err *err, bool kept)
{
	uint64_t ns = rh_clock_mono_ns() - c->start_ns;
	struct rh_slice error = error_text(c->arena, err);

	rh_flight_at(c->server->flight, RH_PHASE_ACCOUNTING, NULL);
	rh_journal_open(&c->server->journal);
	if (c->conf->logs)
		line_write(c, error, kept, ns);
	if (c->trace->on)
		trace_end(c, err, kept, ns);
	note(c, error, kept, ns);
	count(c, kept, ns);
	rh_journal_flight(&c->server->journal, c->server->flight);
	/* from here on the request is accounted, whoever dies */
	rh_journal_commit(&c->server->journal);
}
