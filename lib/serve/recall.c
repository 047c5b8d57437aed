/*
 * recall - what Redis remembers of a tenant: who its tokens are, and the first
 * pages of its lists. What a request asks leaves with the limiter's question in
 * one pipeline; what it adds, and what it has made untrue, goes behind its reply.
 */
#include "config.h"

#include "base/clock.h"
#include "serve/server.h"

/* A page's entry: how long its header lines are, these, the body. */
enum { HEAD_LEN = 4 };

/* From the deadline to the server's last word about a statement, and to spare. */
#define TOMB_GRACE_MS	5000

static const struct rh_slice principals = RH_SLICE_INIT("principals");

/* ---- what is asked ---- */

/* The list from its beginning: no query, or how much of it alone. */
static bool
is_first_page(const struct rh_req *rq)
{
	return rq->query.n == 0 ||
	    (rh_slice_has_prefix(rq->query, RH_SLICE("limit=")) &&
	    !memchr(rq->query.p, '&', rq->query.n));
}

/*
 * "/projects?limit=20", behind the tenant's own path. A path that is not
 * written plainly is another one in the reply's Link, and not remembered.
 */
static struct rh_slice
page_entry(const struct rh_call *c)
{
	const struct rh_req *rq = c->rq;
	size_t skip = strlen("/v1/t/") + c->tenant_slug.n;
	struct rh_slice from = rh_slice_from(rq->path, RH_MIN(skip, rq->path.n));
	size_t n = rq->query.p ? from.n + 1 + rq->query.n : from.n;

	if (n > RH_COHERENT_ENTRY_MAX || memchr(rq->path.p, '%', rq->path.n))
		return RH_SLICE_NONE;
	/* the target as it came: the query follows its path and "?" */
	return (struct rh_slice){ from.p, n };
}

static struct rh_slice
token_entry(struct rh_call *c)
{
	char *hex = rh_arena_alloc(c->arena, 2 * RH_SHA256_LEN);
	struct rh_buf b;

	rh_buf_init_fixed(&b, hex, 2 * RH_SHA256_LEN);
	rh_buf_hex(&b, c->token.sha256, RH_SHA256_LEN);
	return rh_buf_get(&b);
}

static void
ask_page(struct rh_call *c)
{
	struct rh_recall *r = &c->recall;
	struct rh_slice entry = RH_SLICE_NONE;

	c->cache = "bypass";
	if (is_first_page(c->rq))
		entry = page_entry(c);
	if (!entry.p)
		return;
	/* PostgreSQL counts in the request's own flush: there has to be one */
	if (c->ask.n && c->ask.by == RH_LIMITER_POSTGRES)
		return;
	r->looked = true;
	rh_coherent_look(c->server->coherent, c->tenant, principals,
	    token_entry(c));
	rh_coherent_look(c->server->coherent, c->tenant,
	    rh_slice_of(c->rq->match.route->cache), entry);
}

/* Its tombstone goes before the write's transaction begins. */
static void
lay(struct rh_call *c, struct rh_slice group)
{
	struct rh_recall *r = &c->recall;
	int64_t left_ms = ((int64_t)c->deadline_ns -
	    (int64_t)rh_clock_mono_ns()) / 1000000;

	rh_assert(r->ntombs < RH_COUNT(r->tombs));
	rh_coherent_tomb(c->server->coherent, c->tenant, group,
	    RH_MAX(left_ms, 0) + TOMB_GRACE_MS, &r->tombs[r->ntombs++]);
}

static void
ask(struct rh_call *c)
{
	const struct rh_route *route = c->rq->match.route;

	for (int i = 0; i < RH_DROPS_MAX && route->drops[i]; i++)
		lay(c, rh_slice_of(route->drops[i]));
	if (route->cache)
		ask_page(c);
}

void
rh_recall_ask(struct rh_call *c)
{
	const struct rh_route *route = c->rq->match.route;
	struct rh_recall *r = &c->recall;

	c->cache = "off";
	if (!c->server->coherent || route->access != RH_TENANT ||
	    c->conf->cache_ttl_ms == 0 || rh_uuid_is_nil(c->tenant))
		return;
	r->asked = true;
	rh_coherent_begin(c->server->coherent);
	ask(c);
}

/* ---- what is answered ---- */

static void
hear_tombs(struct rh_call *c)
{
	struct rh_recall *r = &c->recall;

	for (; r->nheard < r->ntombs; r->nheard++)
		(void)rh_coherent_tomb_laid(c->server->coherent,
		    &r->tombs[r->nheard]);
}

/* What the database said of the token a moment ago, and nobody has changed. */
static bool
is_let_in(struct rh_call *c)
{
	const struct rh_cached *p = &c->recall.principal;
	struct rh_principal who = { .actor = p->value };

	if (p->result != RH_CACHE_HIT || p->lease.held)
		return false;
	rh_principal_read(&who);
	if (who.role < (int)c->rq->match.route->role)
		return false;	/* the database says why not */
	c->who = who;
	rh_admit_plan(c);
	return true;
}

static bool
is_whole(struct rh_slice page)
{
	uint32_t head;

	if (page.n < HEAD_LEN)
		return false;
	memcpy(&head, page.p, HEAD_LEN);
	return head <= page.n - HEAD_LEN;
}

static void
reply(struct rh_call *c, struct rh_slice page)
{
	uint32_t head;

	memcpy(&head, page.p, HEAD_LEN);
	rh_reply_again(c->rq, 200, (struct rh_slice){ page.p + HEAD_LEN, head },
	    rh_slice_from(page, HEAD_LEN + head));
}

static const char *
name_of(const struct rh_cached *page, bool used)
{
	switch (page->result) {
	case RH_CACHE_HIT:
		return used ? "hit" : "miss";
	case RH_CACHE_MISS:
		return "miss";
	case RH_CACHE_BUSY:
		return "bypass";
	case RH_CACHE_OFF:
	case RH_CACHE_RESULTS:
		break;
	}
	return "off";
}

bool
rh_recall_answer(struct rh_call *c)
{
	struct rh_recall *r = &c->recall;
	bool used;

	hear_tombs(c);
	if (!r->looked)
		return false;
	rh_coherent_answer(c->server->coherent, &r->principal);
	rh_coherent_answer(c->server->coherent, &r->page);
	used = r->page.result == RH_CACHE_HIT && !r->page.lease.held &&
	    is_whole(r->page.value) && is_let_in(c);
	c->cache = name_of(&r->page, used);
	if (used)
		reply(c, r->page.value);
	return used;
}

void
rh_recall_learned(struct rh_call *c)
{
	if (c->recall.asked || !c->rq->match.route->drops[0])
		return;
	rh_recall_ask(c);
	hear_tombs(c);
}

/* ---- what is told ---- */

/* Whether the transaction, if there was one, has an end that we know. */
static bool
is_settled(const struct rh_call *c, const struct rh_err *err)
{
	return !err || rh_pipe_round_trips(c->pipe) == 0 ||
	    (err->kind != RH_E_UNAVAILABLE && err->kind != RH_E_TIMEOUT);
}

void
rh_recall_done(struct rh_call *c, const struct rh_err *err)
{
	struct rh_recall *r = &c->recall;

	r->settled = is_settled(c, err);
	for (unsigned i = 0; i < r->ntombs; i++)
		(r->settled ? rh_coherent_done : rh_coherent_unsettled)(
		    c->server->coherent, &r->tombs[i]);
	if (r->settled && r->ntombs)
		(void)rh_coherent_confirm(c->server->coherent, r->tombs,
		    r->ntombs);
}

static void
fill_principal(struct rh_call *c)
{
	const struct rh_lease *lease = &c->recall.principal.lease;
	int64_t ttl_ms = c->conf->cache_ttl_ms;

	if (c->who.expires_ms)
		ttl_ms = RH_MIN(ttl_ms, c->who.expires_ms -
		    rh_clock_wall_us() / 1000);
	if (c->who.actor.p && ttl_ms > 0)
		rh_coherent_fill(c->server->coherent, lease, c->who.actor,
		    ttl_ms);
	else
		rh_coherent_forgo(c->server->coherent, lease);
}

/* The header lines as the handler left them, and the body. */
static void
fill_page(struct rh_call *c, bool is_page)
{
	const struct rh_lease *lease = &c->recall.page.lease;
	uint32_t head = (uint32_t)c->recall.head_n;
	struct rh_slice body = rh_buf_get(&c->rq->reply.body);
	struct rh_buf b;

	if (!lease->held)
		return;
	if (!is_page) {
		rh_coherent_forgo(c->server->coherent, lease);
		return;
	}
	rh_buf_init(&b, c->arena, HEAD_LEN + head + body.n,
	    HEAD_LEN + head + body.n);
	rh_buf_slice(&b, (struct rh_slice){ (const char *)&head, HEAD_LEN });
	rh_buf_slice(&b, (struct rh_slice){ c->rq->reply.head.p, head });
	rh_buf_slice(&b, body);
	rh_coherent_fill(c->server->coherent, lease, rh_buf_get(&b),
	    c->conf->cache_ttl_ms);
}

void
rh_recall_keep(struct rh_call *c, const struct rh_err *err)
{
	struct rh_recall *r = &c->recall;

	if (!r->asked)
		return;
	for (unsigned i = 0; i < r->ntombs && r->settled; i++)
		rh_coherent_drop(c->server->coherent, &r->tombs[i]);
	if (r->looked) {
		fill_principal(c);
		fill_page(c, !err && c->rq->reply.status == 200);
	}
	rh_coherent_post(c->server->coherent);
}

void
rh_recall_forget(struct rh_call *c, const struct rh_uuid *tenants, size_t n)
{
	struct rh_coherent *store = c->server->coherent;
	struct rh_tomb tombs[RH_COHERENT_TOMBS];

	if (!store || c->conf->cache_ttl_ms == 0)
		return;
	rh_coherent_begin(store);
	for (size_t i = 0, k; i < n; i += k) {
		for (k = 0; k < RH_COUNT(tombs) && i + k < n; k++)
			rh_coherent_tomb(store, tenants[i + k], principals,
			    TOMB_GRACE_MS, &tombs[k]);
		for (size_t at = 0; at < k; at++) {
			(void)rh_coherent_tomb_laid(store, &tombs[at]);
			rh_coherent_done(store, &tombs[at]);
		}
		for (size_t at = 0; at < k; at++)
			rh_coherent_drop(store, &tombs[at]);
		rh_coherent_post(store);
	}
}
