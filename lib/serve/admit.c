#include "config.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "serve/server.h"

/* Keys of three kinds share one table: their hashes are set apart by a salt. */
enum { SALT_TENANT = 1, SALT_TOKEN = 2, SALT_ADDRESS = 3 };

static uint64_t
key(struct rh_slice identity, uint64_t salt)
{
	return rh_hash64(identity.p, identity.n) * (2 * salt + 1);
}

static uint64_t
tenant_key(const struct rh_call *c)
{
	return key(c->tenant_slug, SALT_TENANT);
}

static uint64_t
token_key(const struct rh_call *c)
{
	return key((struct rh_slice){ (const char *)c->token.sha256, 16 },
	    SALT_TOKEN);
}

static struct rh_quota
quota(const struct rh_call *c, int64_t requests)
{
	return (struct rh_quota){ requests, c->conf->limit_window_ms };
}

static struct rh_verdict
take(struct rh_call *c, uint64_t of, int64_t requests, uint64_t now)
{
	return rh_limit_take(c->server->host->limits, RH_LIMIT_KEYS, of,
	    quota(c, requests), now);
}

static struct rh_err *
limited(struct rh_call *c, const char *code, const char *whose,
    const struct rh_verdict *v)
{
	struct rh_err *err = rh_err_new(c->arena, RH_E_LIMITED, code,
	    "Too many requests %s; try again later.", whose);

	err->retry_after_s = (unsigned)((v->retry_ms + 999) / 1000);
	return err;
}

static struct rh_err *
judge(struct rh_call *c, uint64_t now)
{
	const struct rh_serve_conf *conf = c->conf;
	struct rh_verdict v;

	if (c->rq->match.route->rate == RH_RATE_CREDENTIALS) {
		v = take(c, key(c->rq->remote, SALT_ADDRESS),
		    conf->limit_credentials, now);
		return v.granted ? NULL : limited(c, "rate.address",
		    "from this address", &v);
	}
	if (!c->tenant_slug.p || c->token.kind == RH_TOKEN_NONE)
		return NULL;
	c->by_token = take(c, token_key(c), conf->limit_token, now);
	c->rated = true;
	if (!c->by_token.granted)
		return limited(c, "rate.token", "with this token", &c->by_token);
	c->by_tenant = take(c, tenant_key(c), conf->limit_tenant, now);
	if (c->by_tenant.granted)
		return NULL;
	return limited(c, "rate.tenant", "for this tenant", &c->by_tenant);
}

static void
decided(struct rh_call *c, enum rh_decision decision)
{
	rh_count(&c->server->tally, c->server->host->series.decisions, 0,
	    decision, 1);
}

static struct rh_err *
rate(struct rh_call *c)
{
	struct rh_err *err;

	c->limiter = c->conf->limits ? "shm" : "off";
	if (!c->conf->limits || c->rq->match.route->rate == RH_RATE_NONE)
		return NULL;
	err = judge(c, rh_clock_mono_ns());
	decided(c, err ? RH_DECISION_LIMITED : RH_DECISION_GRANTED);
	return err;
}

static struct rh_err *
enter(struct rh_call *c)
{
	struct rh_server *s = c->server;
	struct rh_err *err;

	if (s->tenant_most == 0 || !c->tenant_slug.p)
		return NULL;
	c->inside = rh_concurrency_enter(s->host->concurrency,
	    s->host->segment, s->slot, tenant_key(c), s->tenant_most);
	if (c->inside)
		return NULL;
	decided(c, RH_DECISION_BUSY);
	err = rh_err_new(c->arena, RH_E_LIMITED, "tenant.busy",
	    "Too many requests of this tenant are at work; try again.");
	err->retry_after_s = 1;
	return err;
}

struct rh_err *
rh_admit(struct rh_call *c)
{
	struct rh_err *err = rate(c);

	return err ? err : enter(c);
}

void
rh_admit_leave(struct rh_call *c)
{
	if (c->inside)
		rh_concurrency_leave(c->server->host->concurrency,
		    c->server->slot);
}

/*
 * The tenant's name is in the path for anybody to write. Whoever the database
 * does not let in gives back what was taken in that name.
 */
void
rh_admit_undo(struct rh_call *c)
{
	if (!c->by_tenant.granted)
		return;
	/* and is not told what is left of it: that would tell who is there */
	rh_limit_give(c->server->host->limits, RH_LIMIT_KEYS, tenant_key(c),
	    quota(c, c->conf->limit_tenant));
	c->by_tenant = (struct rh_verdict){ 0 };
}

/* "tenant";q=100;w=60: what stands before each number, and the numbers. */
static void
item(struct rh_buf *b, struct rh_slice front, int64_t first, struct rh_slice between,
    int64_t ms)
{
	if (b->n)
		rh_buf_lit(b, ", ");
	rh_buf_slice(b, front);
	rh_buf_i64(b, first);
	rh_buf_slice(b, between);
	rh_buf_i64(b, (ms + 999) / 1000);
}
#define POLICY(b, name, of)							\
	item((b), RH_SLICE("\"" name "\";q="), (of).quota, RH_SLICE(";w="),	\
	    (of).window_ms)
#define STATE(b, name, of)							\
	item((b), RH_SLICE("\"" name "\";r="), (of).remaining,			\
	    RH_SLICE(";t="), (of).reset_ms)

/* draft-ietf-httpapi-ratelimit-headers: structured fields, seconds. */
void
rh_admit_headers(struct rh_call *c)
{
	char policy_text[128], state_text[128];
	struct rh_buf policy, state;

	if (!c->rated)
		return;
	rh_buf_init_fixed(&policy, policy_text, sizeof(policy_text));
	rh_buf_init_fixed(&state, state_text, sizeof(state_text));
	if (c->by_tenant.reset_ms) {	/* else it was not asked for, or given back */
		POLICY(&policy, "tenant", quota(c, c->conf->limit_tenant));
		STATE(&state, "tenant", c->by_tenant);
	}
	POLICY(&policy, "token", quota(c, c->conf->limit_token));
	STATE(&state, "token", c->by_token);
	rh_reply_header(&c->rq->reply, "RateLimit-Policy", rh_buf_get(&policy));
	rh_reply_header(&c->rq->reply, "RateLimit", rh_buf_get(&state));
}
