/*
 * life - everything that can happen to a request, in order.
 */
#include "config.h"

#include "base/clock.h"
#include "serve/server.h"
#include "tenancy/authorize.h"

enum { TRIES = 3, SHED_RETRY_S = 1 };
/* A reply that a socket takes whole, whoever reads it. */
enum { AT_ONCE_MAX = 32 << 10 };

/* ---- who calls, and whether that is enough: the first statement in the pipe ---- */

static struct rh_err *
credentials(struct rh_call *c)
{
	struct rh_err *err;

	if (c->rq->match.route->access == RH_PUBLIC)
		return NULL;
	if ((err = rh_token_read(c->arena, c->rq->header[RH_H_AUTHORIZATION],
	    &c->token)))
		return err;
	if (c->token.kind != RH_TOKEN_NONE)
		return NULL;
	return rh_err_new(c->arena, RH_E_ANON, "token.absent",
	    "This needs an Authorization field with a bearer token.");
}

/* From now on this host knows it. */
static void
tenant_put(struct rh_call *c)
{
	struct rh_host *h = c->server->host;

	c->plan = c->who.plan;
	c->tenant_label = rh_metrics_value_live(h->metrics, h->series.tenants,
	    c->tenant_slug);
	rh_directory_put(h->directory, (unsigned)c->conf->tenants_max,
	    c->tenant_slug, &(struct rh_tenant){ c->tenant, c->tenant_label,
	    c->plan, c->placement });
}

/* A tenant that this host sees for the first time costs a round trip more. */
static struct rh_err *
tenant_learn(struct rh_call *c)
{
	struct rh_err *err;

	if (c->server->nplaces > 1) {
		if ((err = rh_place_learn(c)))
			return err;
		if (c->learned) {
			rh_recall_learned(c);
			return rh_admit_known(c);
		}
	}
	if ((err = rh_authorize_slug(c->pipe, &c->token, c->tenant_slug,
	    c->rq->match.route->role, &c->who)))
		return err;
	rh_principal_read(&c->who);
	c->tenant = c->who.tenant_id;
	tenant_put(c);
	rh_recall_learned(c);
	return rh_admit_known(c);
}

static struct rh_err *
authorize(struct rh_call *c)
{
	const struct rh_route *route = c->rq->match.route;
	struct rh_err *err;

	if (route->access == RH_TENANT && rh_uuid_is_nil(c->tenant) &&
	    (err = tenant_learn(c)))
		return err;
	rh_admit_send(c);
	rh_idempotent_hold(c);
	if (route->access == RH_TENANT)
		rh_authorize_tenant(c->pipe, &c->token, c->tenant, route->role,
		    &c->who);
	else if (route->access == RH_USER)
		rh_authorize_user(c->pipe, &c->token, &c->who);
	rh_idempotent_claim(c);
	return NULL;
}

/* ---- the handler, and what the database makes of it ---- */

/*
 * What the pipe says comes first: a handler that found no row, or refused a
 * body, did so without knowing whether its caller may ask at all.
 */
static struct rh_err *
settle(struct rh_call *c, struct rh_err *err)
{
	struct rh_err *said = rh_pipe_error(c->pipe);

	rh_principal_read(&c->who);
	if (c->learned && !rh_uuid_is_nil(c->who.user_id)) {
		c->learned = false;
		tenant_put(c);
	}
	rh_flight_who(c->server->flight, c->who.user_id, c->who.token_id,
	    c->who.role);
	said = rh_admit_settle(c, said);
	/* and for one that was late there was no time to find out */
	return said && !(err && err->kind == RH_E_TIMEOUT) ? said : err;
}

/* What is done, and with a key what is answered: one transaction. */
static struct rh_err *
attempt(struct rh_call *c)
{
	struct rh_err *err = authorize(c);

	if (err)
		return err;
	if (!(err = c->rq->match.route->handler(c)))
		rh_idempotent_store(c);
	return rh_idempotent_settle(c, settle(c, err));
}

/*
 * A connection that broke under a read, or a serialization failure, changed
 * nothing: the same again, on a new connection where need be. Nor is anything
 * done twice under a key: where it was done, its answer is there.
 */
static bool
may_try_again(struct rh_call *c, const struct rh_err *err)
{
	if (err->transient)
		return rh_pg_ready(c->server->pg, true);
	return err->kind == RH_E_UNAVAILABLE &&
	    (c->rq->method == RH_GET || c->rq->method == RH_HEAD ||
	    c->idem.on) &&
	    rh_pipe_round_trips(c->pipe) > 0 &&
	    rh_pg_ready(c->server->pg, true);
}

static struct rh_err *
handle(struct rh_call *c)
{
	struct rh_err *err;

	for (int i = 1;; i++) {
		err = attempt(c);
		if (err && rh_place_again(c, &err))
			i = 0;	/* that was another place's word; bounded there */
		else if (!err || i >= TRIES || !may_try_again(c, err))
			return err;
		rh_reply_clear(&c->rq->reply);
		rh_pg_again(c->server->pg);
	}
}

/* What a route does not ask for is refused, not ignored: a typo shows itself. */
static struct rh_err *
no_query(struct rh_call *c)
{
	const struct rh_route *route = c->rq->match.route;

	return route->params || route->flags & RH_ROUTE_ANY ? NULL :
	    rh_query_read(c->rq, NULL, NULL);
}

/* Both leave in one pipeline; without Redis neither waits for anything. */
static struct rh_err *
redis(struct rh_call *c, bool *recalled)
{
	struct rh_err *err;

	rh_admit_ask(c);
	rh_recall_ask(c);
	err = rh_admit_answer(c);
	*recalled = rh_recall_answer(c);
	return err;
}

/* A tenant of another database than home, which costs nobody else a thing. */
static struct rh_err *
place(struct rh_call *c)
{
	return c->rq->match.route->access == RH_TENANT ?
	    rh_place_enter(c, c->placement) : NULL;
}

static struct rh_err *
run(struct rh_call *c, const struct rh_router *router)
{
	struct rh_err *err = rh_req_read(c->rq);	/* 400 431 */
	bool recalled = false;

	rh_identify(c);			/* also for a request that cannot be read */
	if (!err || rh_req_forgives(c->rq, router))
		err = rh_req_route(c->rq, router);	/* 404, 405 + Allow */
	rh_deadline_set(c);		/* its class has a time of its own */
	rh_account_begin(c);
	if (err ||
	    (err = no_query(c)) ||			/* 400 */
	    (err = credentials(c)) ||			/* 401 */
	    (c->placement && (err = place(c))) ||
	    (err = redis(c, &recalled)) || recalled ||	/* 429, and the one Redis trip */
	    (err = rh_idempotent_read(c)))		/* 400 413 415 */
		return err;
	return handle(c);		/* 401 403 404, and the one PostgreSQL trip */
}

/* A client that has left wants nothing done; its line says 499, as nginx does. */
static struct rh_err *
left(struct rh_call *c)
{
	(void)!rh_req_read(c->rq);
	rh_identify(c);
	return rh_err_new(c->arena, RH_E_GONE_AWAY, "client.left",
	    "The client left before its request was executed.");
}

/* All workers are busy, and enough wait already: no database is asked. */
static struct rh_err *
turn_away(struct rh_call *c, const struct rh_router *router)
{
	struct rh_err *err = rh_req_read(c->rq);

	rh_identify(c);
	if (err || (err = rh_req_route(c->rq, router)))
		return err;
	if (c->rq->match.route->flags & RH_ROUTE_ALWAYS)
		return c->rq->match.route->handler(c);
	err = rh_err_new(c->arena, RH_E_UNAVAILABLE, "pool.overloaded",
	    "More requests wait than can be answered soon; try again.");
	err->retry_after_s = SHED_RETRY_S;
	return err;
}

static struct rh_err *
answer(struct rh_call *c)
{
	if (rh_fcgx_is_abandoned(c->server->fx))
		return left(c);
	return c->server->sheds ? turn_away(c, c->server->host->router) :
	    run(c, c->server->host->router);
}

/* ---- from accept to account ---- */

static struct rh_call *
call_open(struct rh_server *s)
{
	struct rh_call *c = &s->call;

	*c = (struct rh_call){ .rq = &s->rq, .arena = s->arena,
	    .conf = s->host->conf, .hashers = &s->hashers, .trace = &s->trace, .log = &s->log,
	    .server = s, .start_ns = rh_clock_mono_ns(),
	    .start_us = rh_clock_wall_us() };
	c->pipe = s->limiter.pipe = rh_pg_begin(s->pg, s->arena, c->trace);
	if (s->redis)
		rh_redis_begin(s->redis, s->arena, c->trace);
	rh_req_reset(c->rq, c->arena, s->fx);
	rh_flight_open(s->flight, c->start_us, c->start_ns);
	rh_deadline_set(c);
	rh_gauge_set(&s->tally, s->host->series.in_flight, 0, 1);
	return c;
}

static void
call_close(struct rh_call *c)
{
	struct rh_server *s = c->server;

	rh_pg_end(s->pg);
	if (s->redis)
		rh_redis_end(s->redis);
	if (s->at != s->places)
		rh_place_leave(s);
	rh_admit_leave(c);
	s->log.request_id = RH_SLICE_NONE;
	s->log.tenant = RH_SLICE_NONE;
	s->log.trace_id = s->log.span_id = NULL;
	rh_gauge_set(&s->tally, s->host->series.in_flight, 0, 0);
	rh_flight_close(s->flight);
	rh_arena_reset(s->arena);
}

static void
headers_common(struct rh_call *c, bool kept)
{
	struct rh_reply *reply = &c->rq->reply;
	char response[RH_TRACEPARENT_LEN], timing[96];
	struct rh_buf b;

	rh_flight_at(c->server->flight, RH_PHASE_REPLYING, NULL);
	c->recall.head_n = reply->head.n;
	rh_reply_header(reply, "X-Request-Id", c->request_id);
	rh_traceresponse_put(response, c->trace, kept);
	rh_reply_header(reply, "traceresponse",
	    (struct rh_slice){ response, sizeof(response) });
	rh_buf_init_fixed(&b, timing, sizeof(timing));
	rh_buf_lit(&b, "total;dur=");
	rh_buf_fixed(&b, (c->decided_ns - c->start_ns) / 1000, 3);
	rh_buf_lit(&b, ", pg;dur=");
	rh_buf_fixed(&b, rh_pipe_wait_ns(c->pipe) / 1000, 3);
	if (rh_place_redis_trips(c)) {
		rh_buf_lit(&b, ", redis;dur=");
		rh_buf_fixed(&b, rh_place_redis_ns(c) / 1000, 3);
	}
	rh_reply_header(reply, "Server-Timing", rh_buf_get(&b));
	rh_admit_headers(c);
}

static void
reply_build(struct rh_call *c, const struct rh_err *err, bool kept,
    struct rh_slice *head, struct rh_slice *body)
{
	if (err)
		rh_reply_problem(c->rq, err, &(struct rh_problem_ids){
		    c->request_id, c->trace->trace_id });
	headers_common(c, kept);
	rh_reply_finish(c->rq, head, body);
}

/* Parameters over the limit are not read, so nothing is known but that: 431. */
static enum rh_served
refuse(struct rh_server *s)
{
	struct rh_call *c = call_open(s);
	struct rh_err *err = rh_err_new(c->arena, RH_E_HEADERS,
	    "headers.too_large", "Target and header fields together are over"
	    " the limit of %lld bytes.",
	    (long long)c->conf->headers_max_bytes);
	struct rh_slice head, body;
	bool kept, keeps;

	rh_identify(c);
	kept = rh_account_decide(c, err);
	reply_build(c, err, kept, &head, &body);
	keeps = rh_fcgx_refuse(s->fx, head, body);
	rh_account(c, err, kept);
	call_close(c);
	return keeps ? RH_SERVED_KEEP : RH_SERVED_CLOSE;
}

/* A change is told by an event: rowhouse-jobs relays it, if it rests. */
static void
wake(struct rh_call *c)
{
	const struct rh_route *route = c->rq->match.route;

	if (route && route->method != RH_GET)
		c->leaves |= 1U << RH_WAKE_EVENTS;
	if (c->leaves)
		rh_waker_call(&c->server->waker, c->server->at->hash, c->leaves);
}

static enum rh_served
serve(struct rh_server *s)
{
	struct rh_call *c = call_open(s);
	struct rh_err *err = answer(c);
	struct rh_slice head, body;
	enum rh_served served;
	bool kept;

	if (err)
		rh_admit_undo(c, err);
	kept = rh_account_decide(c, err);
	reply_build(c, err, kept, &head, &body);
	rh_recall_done(c, err);
	if (!err)
		wake(c);
	/* who has his answer asks again, while this one is still accounted */
	if (head.n + body.n <= AT_ONCE_MAX)
		rh_admit_leave(c);
	rh_fcgx_reply(s->fx, head, body);
	rh_account(c, err, kept);	/* the parameters live until the finish */
	rh_recall_keep(c, err);
	served = rh_fcgx_finish(s->fx) ? RH_SERVED_KEEP : RH_SERVED_CLOSE;
	rh_admit_repay(c);
	call_close(c);
	return served;
}

enum rh_served
rh_life(void *server, int fd)
{
	struct rh_server *s = server;

	switch (rh_fcgx_look(s->fx, fd)) {
	case RH_FCGX_READY:
		return rh_fcgx_accept(s->fx, fd) ? serve(s) : RH_SERVED_CLOSE;
	case RH_FCGX_EMPTY:
		return RH_SERVED_NOTHING;
	case RH_FCGX_INCOMPLETE:
		return RH_SERVED_NOT_YET;
	case RH_FCGX_TOO_LARGE:
		return refuse(s);
	case RH_FCGX_CLOSED:
		return RH_SERVED_GONE;
	case RH_FCGX_HOSTILE:
		break;
	}
	return RH_SERVED_CLOSE;
}
