#include "config.h"

#include "base/crypto.h"
#include "base/text.h"
#include "data/redis.h"
#include "serve/server.h"

/*
 * The order of an ask's budgets: who is over with his token has taken nothing
 * from his tenant.
 */
enum { TOKEN, TENANT };
/* Of the token's SHA-256, as much as makes two of them differ. */
enum { HASH_BYTES = 16 };
/* One request in so many removes idle counters of PostgreSQL, after its reply. */
enum { PURGE_EVERY = 4096 };

/* ---- keys: one {tag} a tenant, so that a cluster keeps them together ---- */

static void
hash_put(struct rh_buf *b, const void *bytes)
{
	rh_buf_hex(b, bytes, HASH_BYTES);
}

static struct rh_slice
key_tenant(struct rh_call *c, const char *kind, const void *hash)
{
	char id[RH_UUID_LEN];
	struct rh_buf b;

	rh_uuid_put(id, c->tenant);
	rh_buf_init(&b, c->arena, 96, 96);
	rh_buf_char(&b, '{');
	rh_buf_put(&b, id, sizeof(id));
	rh_buf_lit(&b, "}:r:");
	rh_buf_slice(&b, rh_slice_of(kind));
	if (hash) {
		rh_buf_char(&b, ':');
		hash_put(&b, hash);
	}
	return rh_buf_get(&b);
}

/* {a:hash}:r, {d:hash}:r: an address' and a stranger's own. */
static struct rh_slice
key_other(struct rh_call *c, char kind, const void *hash)
{
	struct rh_buf b;

	rh_buf_init(&b, c->arena, 48, 48);
	rh_buf_char(&b, '{');
	rh_buf_char(&b, kind);
	rh_buf_char(&b, ':');
	hash_put(&b, hash);
	rh_buf_lit(&b, "}:r");
	return rh_buf_get(&b);
}

static struct rh_slice
key_address(struct rh_call *c)
{
	unsigned char hash[RH_SHA256_LEN];

	rh_sha256(hash, c->rq->remote.p, c->rq->remote.n);
	return key_other(c, 'a', hash);
}

/* {i:hash}:r: an inbox's, whose tenant the database alone knows. */
static struct rh_slice
key_inbox(struct rh_call *c)
{
	struct rh_slice token = rh_match_get(&c->rq->match, "token");

	rh_sha256(c->token.sha256, token.p, token.n);
	return key_other(c, 'i', c->token.sha256);
}

/* ---- budgets: the tenant's plan, else what is configured ---- */

static bool
is_write(const struct rh_call *c)
{
	return c->rq->match.route->rate == RH_RATE_WRITE;
}

/* What is asked of shared memory alone is this host's share of it. */
static struct rh_quota
quota(const struct rh_call *c, int64_t requests, int64_t window_ms)
{
	int64_t share = c->ask.by == RH_LIMITER_SHM ? c->conf->limiter_share :
	    100;

	return (struct rh_quota){ RH_MAX(requests * share / 100, 1),
		window_ms ? window_ms : c->conf->limit_window_ms };
}

static int64_t
first_of(int64_t plan, int64_t configured)
{
	return plan ? plan : configured;
}

/* Writes have a budget of their own where somebody gave them one. */
static void
budgets_fill(struct rh_call *c)
{
	const struct rh_serve_conf *conf = c->conf;
	const struct rh_limits *plan = &c->plan;
	int64_t token = is_write(c) ?
	    first_of(plan->token_write, conf->limit_token_write) : 0;
	int64_t tenant = is_write(c) ?
	    first_of(plan->tenant_write, conf->limit_tenant_write) : 0;

	c->ask.n = 2;
	c->ask.of[TOKEN] = (struct rh_budget){
		.key = key_tenant(c, token ? "kw" : "k", c->token.sha256),
		.quota = quota(c, token ? token : first_of(plan->token,
		conf->limit_token), plan->window_ms),
		.name = token ? "token-write" : "token" };
	c->ask.of[TENANT] = (struct rh_budget){
		.key = key_tenant(c, tenant ? "tw" : "t", NULL),
		.quota = quota(c, tenant ? tenant : first_of(plan->tenant,
		conf->limit_tenant), plan->window_ms),
		.name = tenant ? "tenant-write" : "tenant" };
}

static void
address_fill(struct rh_call *c)
{
	c->ask.n = 1;
	c->ask.of[0] = (struct rh_budget){ .key = key_address(c),
		.quota = quota(c, c->conf->limit_credentials, 0),
		.name = "address" };
}

static void
inbox_fill(struct rh_call *c)
{
	c->ask.n = 1;
	c->ask.of[0] = (struct rh_budget){ .key = key_inbox(c),
		.quota = quota(c, c->conf->limit_inbox, 0), .name = "inbox" };
}

/* ---- the door: what a host counts for callers it cannot place ---- */

/*
 * Whose slug is not known here, or turned out to be another's, takes from what
 * this host grants to his token as a stranger, and from nobody else's: so the
 * 404 of a tenant that is there is that of one that is not, counts included.
 */
static void
door_fill(struct rh_call *c)
{
	c->ask = (struct rh_ask){ .by = RH_LIMITER_SHM, .n = 1 };
	c->ask.of[TOKEN] = (struct rh_budget){
		.key = key_other(c, 'd', c->token.sha256),
		.quota = quota(c, c->conf->limit_token, 0), .name = "token" };
}

static bool
door_is_shut(struct rh_call *c)
{
	struct rh_budget *b;

	door_fill(c);
	b = &c->ask.of[TOKEN];
	b->verdict = rh_limiter_look(&c->server->limiter, b);
	b->known = c->ask.answered = true;
	c->ask.denied = b->verdict.granted ? 0 : 1 + TOKEN;
	return c->ask.denied != 0;
}

/* ---- who counts ---- */

static enum rh_limiter_kind
place(const struct rh_call *c, struct rh_slice key)
{
	switch ((enum rh_limiter_wanted)c->conf->limiter) {
	case RH_LIMITS_POSTGRES:
		return RH_LIMITER_POSTGRES;
	case RH_LIMITS_SHM:
		return RH_LIMITER_SHM;
	case RH_LIMITS_AUTO:
	case RH_LIMITS_REDIS:
		break;
	}
	return rh_redis_usable_for(c->server->redis, key) ? RH_LIMITER_REDIS :
	    RH_LIMITER_SHM;
}

static void
fill(struct rh_call *c)
{
	if (c->rq->match.route->rate == RH_RATE_CREDENTIALS)
		address_fill(c);
	else if (c->rq->match.route->rate == RH_RATE_INBOX)
		inbox_fill(c);
	else
		budgets_fill(c);
}

static void
ask_by(struct rh_call *c, enum rh_limiter_kind by)
{
	c->ask = (struct rh_ask){ .by = by };
	fill(c);
	/* PostgreSQL's leaves with the pipe: rh_admit_send */
	if (by != RH_LIMITER_POSTGRES)
		rh_limiter_ask(&c->server->limiter, &c->ask);
}

/*
 * Where PostgreSQL counts, this host does so as well: a password is hashed
 * before it is asked.
 */
static void
ask_address(struct rh_call *c)
{
	enum rh_limiter_kind by = place(c, key_address(c));

	if (by == RH_LIMITER_POSTGRES)
		ask_by(c, RH_LIMITER_SHM);
	if (by != RH_LIMITER_POSTGRES || c->ask.denied == 0)
		ask_by(c, by);
}

static void
ask_tenant(struct rh_call *c)
{
	if (rh_uuid_is_nil(c->tenant)) {
		door_fill(c);
		rh_limiter_ask(&c->server->limiter, &c->ask);
	} else if (!door_is_shut(c)) {
		ask_by(c, place(c, key_tenant(c, "", NULL)));
	}
}

void
rh_admit_ask(struct rh_call *c)
{
	enum rh_rate rate = c->rq->match.route->rate;

	c->limiter = "off";
	if (!c->conf->limits || rate == RH_RATE_NONE)
		return;
	if (rate == RH_RATE_CREDENTIALS)
		ask_address(c);
	else if (rate == RH_RATE_INBOX)
		ask_by(c, place(c, key_inbox(c)));
	else if (c->tenant_slug.p && c->token.kind != RH_TOKEN_NONE)
		ask_tenant(c);
}

/* ---- what it says ---- */

static struct rh_err *
limited(struct rh_call *c, const char *code, const char *whose)
{
	const struct rh_verdict *v = &c->ask.of[c->ask.denied - 1].verdict;
	struct rh_err *err = rh_err_new(c->arena, RH_E_LIMITED, code,
	    "Too many requests %s; try again later.", whose);

	err->retry_after_s = (unsigned)((v->retry_ms + 999) / 1000);
	return err;
}

static struct rh_err *
judge(struct rh_call *c)
{
	if (!c->ask.answered || c->ask.denied == 0)
		return NULL;
	if (c->rq->match.route->rate == RH_RATE_CREDENTIALS)
		return limited(c, "rate.address", "from this address");
	if (c->rq->match.route->rate == RH_RATE_INBOX)
		return limited(c, "rate.inbox", "to this inbox");
	if (c->ask.denied == 1 + TOKEN)
		return limited(c, "rate.token", "with this token");
	return limited(c, "rate.tenant", "for this tenant");
}

/* Redis that does not answer is away: this host's share, then. */
static struct rh_err *
answer(struct rh_call *c)
{
	if (c->ask.n && !rh_limiter_answer(&c->server->limiter, &c->ask) &&
	    c->ask.by == RH_LIMITER_REDIS)
		ask_by(c, RH_LIMITER_SHM);
	return judge(c);
}

static void
count(struct rh_call *c, enum rh_decision decision)
{
	rh_count(&c->server->tally, c->server->host->series.decisions,
	    c->ask.by, decision, 1);
}

/* Of the slug: a tenant that is not known yet has no other name. */
static uint64_t
concurrency_key(const struct rh_call *c)
{
	return rh_hash64(c->tenant_slug.p, c->tenant_slug.n);
}

static struct rh_err *
enter(struct rh_call *c)
{
	struct rh_server *s = c->server;
	struct rh_err *err;

	if (s->tenant_most == 0 || !c->tenant_slug.p)
		return NULL;
	c->inside = rh_concurrency_enter(s->host->concurrency,
	    s->host->segment, s->slot, concurrency_key(c), s->tenant_most);
	if (c->inside)
		return NULL;
	count(c, RH_DECISION_BUSY);
	err = rh_err_new(c->arena, RH_E_LIMITED, "tenant.busy",
	    "Too many requests of this tenant are at work; try again.");
	err->retry_after_s = 1;
	return err;
}

struct rh_err *
rh_admit_answer(struct rh_call *c)
{
	struct rh_err *err = answer(c);

	return err ? err : enter(c);
}

void
rh_admit_leave(struct rh_call *c)
{
	if (c->inside)
		rh_concurrency_leave(c->server->host->concurrency,
		    c->server->slot);
	c->inside = false;
}

/* No stranger after all: from now on it is the tenant's and his own. */
struct rh_err *
rh_admit_known(struct rh_call *c)
{
	if (c->ask.n == 0)
		return NULL;
	rh_limiter_give(&c->server->limiter, &c->ask);
	ask_tenant(c);
	return answer(c);
}

void
rh_admit_send(struct rh_call *c)
{
	if (c->ask.n && c->ask.by == RH_LIMITER_POSTGRES && !c->ask.answered)
		rh_limiter_ask(&c->server->limiter, &c->ask);
}

void
rh_admit_plan(struct rh_call *c)
{
	if (c->rq->match.route->access == RH_TENANT &&
	    !rh_uuid_is_nil(c->who.user_id) &&
	    memcmp(&c->plan, &c->who.plan, sizeof(c->plan)) != 0)
		rh_directory_limit(c->server->host->directory,
		    (unsigned)c->conf->tenants_max, c->tenant_slug,
		    &c->who.plan);
}

struct rh_err *
rh_admit_settle(struct rh_call *c, struct rh_err *err)
{
	rh_admit_plan(c);
	if (c->ask.n == 0 || c->ask.by != RH_LIMITER_POSTGRES ||
	    !rh_limiter_answer(&c->server->limiter, &c->ask) ||
	    c->ask.denied == 0)
		return err;
	return judge(c);
}

/*
 * The tenant's name is in the path for anybody to write. Whoever the database
 * does not let in gives back what was taken in that name, and is not told what
 * is left of it: that would tell who is there.
 */
void
rh_admit_undo(struct rh_call *c, const struct rh_err *err)
{
	bool door = c->ask.n == 1;

	if (!c->ask.answered || c->ask.denied || door ||
	    !rh_uuid_is_nil(c->who.user_id) ||
	    (err->kind != RH_E_ANON && err->kind != RH_E_MISSING))
		return;
	if (c->ask.by == RH_LIMITER_POSTGRES)
		c->owed = c->ask;
	else
		rh_limiter_give(&c->server->limiter, &c->ask);
	door_fill(c);
	rh_limiter_ask(&c->server->limiter, &c->ask);
}

void
rh_admit_repay(struct rh_call *c)
{
	struct rh_server *s = c->server;
	bool purge = c->limiter == rh_limiter_names[RH_LIMITER_POSTGRES] &&
	    ++s->counted % PURGE_EVERY == 0;

	if (c->owed.n == 0 && !purge)
		return;
	/* its line and its spans are written: this is nobody's */
	rh_pg_end(s->pg);
	s->limiter.pipe = rh_pg_begin(s->pg, s->arena, NULL);
	if (c->owed.n)
		rh_limiter_give(&s->limiter, &c->owed);
	else
		rh_limiter_purge(&s->limiter);
}

/* ---- the fields: draft-ietf-httpapi-ratelimit-headers, seconds ---- */

static void
item(struct rh_buf *b, const char *name, struct rh_slice front, int64_t first,
    struct rh_slice between, int64_t ms)
{
	if (b->n)
		rh_buf_lit(b, ", ");
	rh_buf_char(b, '"');
	rh_buf_slice(b, rh_slice_of(name));
	rh_buf_slice(b, front);
	rh_buf_i64(b, first);
	rh_buf_slice(b, between);
	rh_buf_i64(b, (ms + 999) / 1000);
}

static void
verdict_put(struct rh_buf *policy, struct rh_buf *state,
    const struct rh_budget *of)
{
	item(policy, of->name, RH_SLICE("\";q="), of->quota.quota,
	    RH_SLICE(";w="), of->quota.window_ms);
	item(state, of->name, RH_SLICE("\";r="), of->verdict.remaining,
	    RH_SLICE(";t="), of->verdict.reset_ms);
}

void
rh_admit_headers(struct rh_call *c)
{
	char policy_text[160], state_text[160];
	struct rh_buf policy, state;

	if (!c->ask.answered)
		return;
	c->limiter = rh_limiter_names[c->ask.by];
	count(c, c->ask.denied ? RH_DECISION_LIMITED : RH_DECISION_GRANTED);
	if (c->rq->match.route->rate == RH_RATE_CREDENTIALS)
		return;
	rh_buf_init_fixed(&policy, policy_text, sizeof(policy_text));
	rh_buf_init_fixed(&state, state_text, sizeof(state_text));
	for (unsigned i = c->ask.n; i-- > 0;)
		if (c->ask.of[i].known)
			verdict_put(&policy, &state, &c->ask.of[i]);
	rh_reply_header(&c->rq->reply, "RateLimit-Policy", rh_buf_get(&policy));
	rh_reply_header(&c->rq->reply, "RateLimit", rh_buf_get(&state));
}
