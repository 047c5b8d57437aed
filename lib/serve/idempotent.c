#include "config.h"

#include "base/clock.h"
#include "serve/server.h"
#include "tenancy/idempotency.h"

#define MS_NS	UINT64_C(1000000)

enum { RETRY_S = 1 };
enum { PURGE_MOST = 1000, PURGE_LATE_MS = 500, PURGE_SOONEST_MS = 1000,
	PURGE_EVERY_MS = 60000 };

/* ---- before the handler ---- */

/*
 * Whose key it is. Outside of tenants nobody is known before the handler knows
 * him: there it is the address's, and what it may replay is bound to the whole
 * body, in which the password or the token is.
 */
static struct rh_slice
caller(struct rh_call *c)
{
	const struct rh_route *route = c->rq->match.route;

	if (c->token.kind != RH_TOKEN_NONE)
		return (struct rh_slice){ (const char *)c->token.sha256,
			sizeof(c->token.sha256) };
	return rh_slice_of(rh_arena_printf(c->arena, "%s %.*s", route->template,
	    RH_SLICE_ARG(c->rq->remote)));
}

/* Bytes that are no JSON may be many, and are their handler's to read. */
static struct rh_err *
body_read(struct rh_call *c, struct rh_slice *body)
{
	struct rh_err *err;

	if (c->rq->match.route->flags & RH_ROUTE_RAW) {
		*body = c->rq->content_length;
		return NULL;
	}
	err = rh_req_body(c->rq, (size_t)c->conf->body_max_bytes);
	*body = c->rq->body;
	return err;
}

struct rh_err *
rh_idempotent_read(struct rh_call *c)
{
	const struct rh_req *rq = c->rq;
	struct rh_slice body, key;
	struct rh_err *err;

	if (rq->method != RH_POST || !rq->header[RH_H_IDEMPOTENCY_KEY].p ||
	    rq->match.route->flags & RH_ROUTE_ANY)
		return NULL;
	key = rh_idempotency_key(c->arena, rq->header[RH_H_IDEMPOTENCY_KEY]);
	if (!key.p)
		return rh_err_new(c->arena, RH_E_MALFORMED,
		    "idempotency.malformed", "Idempotency-Key is a string in"
		    " quotes, or bare without blanks, of 1 to %d characters.",
		    RH_IDEMPOTENCY_KEY_MAX);
	if ((err = body_read(c, &body)))
		return err;
	rh_idempotency_of(&c->idem, c->arena, &(struct rh_same){
	    .secret = c->conf->secret_key, .key = key, .caller = caller(c),
	    .credentials = rq->header[RH_H_AUTHORIZATION],
	    .method = rq->method_text, .target = rq->target, .body = body });
	c->idem.on = true;
	return NULL;
}

void
rh_idempotent_hold(struct rh_call *c)
{
	if (c->idem.on)
		rh_pipe_hold(c->pipe);
}

/*
 * Nobody waits for another so long that the statement would be cancelled, or
 * that no time is left for what it waits to do.
 */
void
rh_idempotent_claim(struct rh_call *c)
{
	const struct rh_serve_conf *conf = c->conf;
	uint64_t now = rh_clock_mono_ns();
	int64_t left_ms;

	if (!c->idem.on)
		return;
	left_ms = c->deadline_ns > now ?
	    (int64_t)((c->deadline_ns - now) / MS_NS) : 0;
	rh_idempotency_claim(c->pipe, c->tenant, &c->idem,
	    RH_MAX(1, RH_MIN(conf->idempotency_wait_ms,
	    RH_MIN(conf->statement_timeout_ms, left_ms) / 2)),
	    left_ms + conf->timeout_grace_ms);
}

/* ---- behind it ---- */

void
rh_idempotent_store(struct rh_call *c)
{
	const struct rh_reply *reply = &c->rq->reply;

	if (!c->idem.on)
		return;
	rh_idempotency_store(c->pipe, c->arena, c->tenant, &c->idem,
	    &(struct rh_kept_reply){ reply->status, rh_buf_get(&reply->head),
	    rh_buf_get(&reply->body),
	    c->rq->match.route->flags & RH_ROUTE_CREDENTIALS },
	    c->conf->idempotency_ttl_ms);
	rh_pipe_commit(c->pipe);
}

static struct rh_err *
replay(struct rh_call *c)
{
	const struct rh_kept_reply *kept = &c->idem.reply;

	if (!rh_idempotency_open(&c->idem, c->arena))
		return rh_err_new(c->arena, RH_E_BUG, "idempotency.unreadable",
		    "This was done before, but its reply cannot be read.");
	/* what the handler made up of answers that never came */
	if (c->rq->match.route->access == RH_PUBLIC)
		c->who = (struct rh_principal){ .role = RH_ROLE_NONE };
	rh_reply_again(c->rq, (unsigned)kept->status, kept->head, kept->body);
	rh_reply_header(&c->rq->reply, "Idempotency-Replayed",
	    RH_SLICE("true"));
	if (c->trace->on)
		rh_span_text(rh_trace_server(c->trace),
		    "rowhouse.idempotency", RH_SLICE("replayed"));
	return NULL;
}

static struct rh_err *
running(struct rh_call *c)
{
	struct rh_err *err = rh_err_new(c->arena, RH_E_CONFLICT,
	    "idempotency.running", "A request with this Idempotency-Key is at"
	    " work; try again.");

	err->retry_after_s = RETRY_S;
	return err;
}

static struct rh_err *
mismatch(struct rh_call *c)
{
	return rh_err_new(c->arena, RH_E_INVALID, "idempotency.mismatch",
	    "This Idempotency-Key was used for another request; a new request"
	    " needs a new key.");
}

struct rh_err *
rh_idempotent_settle(struct rh_call *c, struct rh_err *err)
{
	if (!c->idem.on)
		return err;
	rh_pipe_rollback(c->pipe);
	switch (c->idem.claimed) {
	case RH_CLAIM_ANSWERED:
		return replay(c);
	case RH_CLAIM_OTHER:
		return mismatch(c);
	case RH_CLAIM_UNKNOWN:
		if (err && strcmp(err->code, "database.locked") == 0)
			return running(c);
		break;
	case RH_CLAIM_NEW:
		break;
	}
	if (err && strcmp(err->code, "idempotency.running") == 0)
		err->retry_after_s = RETRY_S;
	return err;
}

/* ---- what has expired ---- */

/*
 * Once a minute in the whole pool, by whoever is idle then; at once again where
 * there was more than is done at a time. Keys that live for seconds go sooner.
 */
static uint64_t
until_next_ms(const struct rh_serve_conf *conf, bool more)
{
	int64_t every = RH_MAX(PURGE_SOONEST_MS,
	    RH_MIN(PURGE_EVERY_MS, conf->idempotency_ttl_ms / 8));
	uint32_t dice;

	if (more)
		return 0;
	rh_random(&dice, sizeof(dice));
	every *= conf->workers;
	return (uint64_t)every / 2 + dice % (uint64_t)every;
}

static int64_t
purge(struct rh_server *s, uint64_t until_ns)
{
	struct rh_pipe *pipe = rh_pg_begin(s->pg, s->arena, NULL);
	int64_t gone;

	/* or the master would take the last request for one that hangs */
	s->pg_obs.flight = NULL;
	rh_pg_deadline(s->pg, until_ns);
	gone = rh_idempotency_purge(pipe, PURGE_MOST);
	rh_pg_end(s->pg);
	s->pg_obs.flight = s->flight;
	rh_arena_reset(s->arena);
	return gone;
}

void
rh_idempotent_purge_at(struct rh_server *s)
{
	if (s->purges)
		(void)purge(s, rh_clock_mono_ns() + PURGE_LATE_MS * MS_NS);
}

void
rh_idempotent_purge(struct rh_server *s)
{
	const struct rh_serve_conf *conf = s->host->conf;
	uint64_t now = rh_clock_mono_ns();
	int64_t gone = 0;

	s->purges = s->purge_ns && now >= s->purge_ns;
	if (now < s->purge_ns)
		return;
	if (s->purge_ns)	/* not all of a pool that has just started */
		gone = purge(s, now + PURGE_LATE_MS * MS_NS);
	s->purge_ns = now + 1 + until_next_ms(conf, gone == PURGE_MOST) * MS_NS;
}
