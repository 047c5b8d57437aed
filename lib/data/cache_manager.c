#include "config.h"

#include "data/cache_manager.h"

#include <stdatomic.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "data/cache_part.h"
#include "data/redis_url.h"

#define GATE_WORDS	1024
#define SESSION_FIRST	4096
#define SESSION_CAP	((size_t)8 << 20)

/* Until when (ms, monotonic) and who: his pid, or 0 for "it is away". */
struct rh_cache_gate {
	_Atomic uint64_t words[GATE_WORDS];
};
#define WORD(until_ms, pid)	((uint64_t)(until_ms) << 23 | (uint64_t)(pid))
#define WORD_UNTIL(word)	((int64_t)((word) >> 23))
#define WORD_PID(word)		((word) & 0x7fffff)

/* To a Redis of some tenant's own. */
struct session {
	struct rh_arena *own;		/* NULL: the place is free */
	struct rh_redis_conf conf;
	struct rh_redis *redis;
	unsigned refs;
	struct rh_arena *in;		/* the request that uses it */
	uint64_t used_ns;
};

struct rh_cache_manager {
	const struct rh_cache_manager_conf *conf;
	struct session *sessions;	/* conf->max */
	struct rh_cache_manager_stats stats;
	bool is_closed;
};

size_t
rh_cache_gate_bytes(void)
{
	return sizeof(struct rh_cache_gate);
}

struct rh_cache_manager *
rh_cache_manager_new(struct rh_arena *worker_arena,
    const struct rh_cache_manager_conf *conf)
{
	struct rh_cache_manager *m = RH_NEW(worker_arena,
	    struct rh_cache_manager);

	m->conf = conf;
	m->sessions = rh_arena_zalloc(worker_arena, conf->max + 1,
	    sizeof(*m->sessions));
	return m;
}

/* ---- errors ---- */

static struct rh_err *
fail(const struct rh_cache_for *whose, enum rh_err_kind kind, const char *code,
    const char *cause)
{
	struct rh_cache of = { .arena = whose->arena };
	struct rh_cache_call call = { .cache = &of, .operation = "open",
	    .key = RH_SLICE_INIT("") };

	return rh_cache_fail(&call, kind, code, kind == RH_E_BUG ?
	    "The cache is not configured as it should be." :
	    "The cache is away.", cause);
}

/* ---- the gate ---- */

static int64_t
now_ms(void)
{
	return (int64_t)(rh_clock_mono_ns() / 1000000);
}

static _Atomic uint64_t *
gate_of(const struct rh_cache_manager *m, const char *url)
{
	return &m->conf->gate->words[rh_hash64(url, strlen(url)) % GATE_WORDS];
}

/* The word that is ours now, or 0: another's, and not over yet. */
static uint64_t
gate_enter(const struct rh_cache_manager *m, _Atomic uint64_t *gate)
{
	uint64_t was = *gate;
	uint64_t ours = WORD(now_ms() + 2 * m->conf->own.connect_timeout_ms,
	    getpid());

	return WORD_UNTIL(was) < now_ms() &&
	    atomic_compare_exchange_strong(gate, &was, ours) ? ours : 0;
}

static void
gate_leave(const struct rh_cache_manager *m, _Atomic uint64_t *gate,
    uint64_t ours, bool is_open)
{
	uint64_t after = is_open ? 0 : WORD(now_ms() + m->conf->own.retry_ms, 0);

	/* one that took too long finds another there by now */
	(void)atomic_compare_exchange_strong(gate, &ours, after);
}

/* ---- sessions ---- */

static void
session_close(struct rh_cache_manager *m, struct session *s)
{
	rh_redis_close(s->redis);
	rh_arena_destroy(&s->own);
	*s = (struct session){ .own = NULL };
	m->stats.open--;
}

static void
session_release(struct rh_cache_manager *m, struct session *s)
{
	rh_assert(s->refs > 0);
	if (--s->refs)
		return;
	m->stats.in_use--;
	rh_redis_end(s->redis);
	s->in = NULL;
	s->used_ns = rh_clock_mono_ns();
	if (m->is_closed)
		session_close(m, s);
}

static struct session *
session_find(struct rh_cache_manager *m, const char *url)
{
	for (unsigned i = 0; i < m->conf->max; i++) {
		struct session *s = &m->sessions[i];

		if (s->own && strcmp(s->conf.url, url) == 0)
			return s;
	}
	return NULL;
}

/* A free place, or that of the least recently used; NULL: all are in use. */
static struct session *
session_room(struct rh_cache_manager *m)
{
	struct session *oldest = NULL;

	for (unsigned i = 0; i < m->conf->max; i++) {
		struct session *s = &m->sessions[i];

		if (!s->own)
			return s;
		if (s->refs == 0 && (!oldest || s->used_ns < oldest->used_ns))
			oldest = s;
	}
	if (oldest) {
		session_close(m, oldest);
		m->stats.evicted++;
	}
	return oldest;
}

static bool
session_open(struct rh_cache_manager *m, struct session *s, const char *url)
{
	s->own = rh_arena_new(SESSION_FIRST, SESSION_CAP);
	s->conf = m->conf->own;
	s->conf.url = rh_arena_strdup(s->own, rh_slice_of(url));
	s->redis = rh_redis_new(s->own, &s->conf, m->conf->redis_obs);
	s->used_ns = rh_clock_mono_ns();
	m->stats.open++;
	return rh_redis_warm(s->redis);
}

/* The first of a host to come connects; the others do without for now. */
static struct rh_err *
session_new(struct rh_cache_manager *m, const struct rh_cache_for *whose,
    const char *url, struct session **session)
{
	_Atomic uint64_t *gate = gate_of(m, url);
	uint64_t ours = gate_enter(m, gate);
	struct session *s;
	struct rh_err *err;
	bool is_open;

	if (!ours) {
		m->stats.turned_away++;
		return fail(whose, RH_E_UNAVAILABLE, "cache.connection",
		    WORD_PID(*gate) ? "another process is connecting" :
		    "it was away a moment ago");
	}
	if (!(s = session_room(m))) {
		gate_leave(m, gate, ours, true);
		return fail(whose, RH_E_UNAVAILABLE, "cache.connection",
		    "all sessions are in use");
	}
	is_open = session_open(m, s, url);
	gate_leave(m, gate, ours, is_open);
	if (is_open) {
		m->stats.opened++;
		*session = s;
		return NULL;
	}
	m->stats.failed++;
	err = fail(whose, RH_E_UNAVAILABLE, "cache.connection",
	    rh_redis_trouble(s->redis));
	session_close(m, s);
	return err;
}

static struct rh_err *
session_get(struct rh_cache_manager *m, const struct rh_cache_for *whose,
    const char *url, struct session **session)
{
	struct rh_redis_url parts;
	struct rh_err *err;
	char memory[256];
	struct rh_buf why;

	rh_buf_init_fixed(&why, memory, sizeof(memory));
	if (!(*session = session_find(m, url))) {
		if (!rh_redis_url_get(&parts, rh_slice_of(url), whose->arena,
		    &why))
			return fail(whose, RH_E_BUG, "cache.configuration",
			    rh_arena_strdup(whose->arena, rh_buf_get(&why)));
		if ((err = session_new(m, whose, url, session)))
			return err;
	}
	/* one request at a time: its arena is the session's */
	rh_assert((*session)->refs == 0 || (*session)->in == whose->arena);
	if ((*session)->refs++ == 0) {
		(*session)->in = whose->arena;
		m->stats.in_use++;
		rh_redis_begin((*session)->redis, whose->arena, whose->trace);
		rh_redis_deadline((*session)->redis, whose->deadline_ns);
	}
	return NULL;
}

/* ---- handles ---- */

struct rh_cache_given {
	struct rh_cache_manager *m;
	struct rh_cache *cache;
	struct session *session;	/* NULL: the shared one, or given back */
};

static void
give_back(void *what)
{
	struct rh_cache_given *g = what;

	rh_cache_close(g->cache);
	if (g->session)
		session_release(g->m, g->session);
	g->session = NULL;
}

struct rh_err *
rh_cache_manager_get(struct rh_cache_manager *m,
    const struct rh_cache_for *whose, struct rh_cache **cache)
{
	struct rh_cache_given *g = RH_NEW(whose->arena, struct rh_cache_given);
	const char *url = NULL;
	struct rh_err *err;

	*cache = NULL;
	if (m->is_closed)
		return fail(whose, RH_E_UNAVAILABLE, "cache.closed", NULL);
	if (m->conf->resolver && (err = m->conf->resolver(m->conf->of,
	    whose->arena, whose->tenant, &url)))
		return err;
	if (url ? !*url : !m->conf->shared)
		return fail(whose, RH_E_UNAVAILABLE, "cache.configuration",
		    "no Redis is configured");
	if (url && (err = session_get(m, whose, url, &g->session)))
		return err;
	g->m = m;
	*cache = g->cache = rh_cache_open(whose->arena,
	    &(struct rh_cache_conf){ url ? g->session->redis :
	    m->conf->shared, whose->tenant, &m->stats.caches, m->conf->obs });
	(*cache)->given = g;
	rh_arena_defer(whose->arena, give_back, g);
	return NULL;
}

void
rh_cache_manager_put(struct rh_cache_manager *m, struct rh_cache *cache)
{
	struct rh_cache_given *g = cache->given;

	rh_assert(g && g->m == m);
	give_back(g);
}

void
rh_cache_manager_idle(struct rh_cache_manager *m)
{
	uint64_t now = rh_clock_mono_ns();

	for (unsigned i = 0; i < m->conf->max; i++) {
		struct session *s = &m->sessions[i];

		if (!s->own || s->refs)
			continue;
		if (now - s->used_ns > (uint64_t)m->conf->idle_ms * 1000000) {
			session_close(m, s);
			m->stats.idled++;
		} else {
			rh_redis_idle(s->redis);
		}
	}
}

void
rh_cache_manager_stats(const struct rh_cache_manager *m,
    struct rh_cache_manager_stats *to)
{
	*to = m->stats;
}

unsigned
rh_cache_manager_round_trips(const struct rh_cache_manager *m)
{
	unsigned n = 0;

	for (unsigned i = 0; m->stats.in_use && i < m->conf->max; i++)
		if (m->sessions[i].refs)
			n += rh_redis_round_trips(m->sessions[i].redis);
	return n;
}

uint64_t
rh_cache_manager_wait_ns(const struct rh_cache_manager *m)
{
	uint64_t ns = 0;

	for (unsigned i = 0; m->stats.in_use && i < m->conf->max; i++)
		if (m->sessions[i].refs)
			ns += rh_redis_wait_ns(m->sessions[i].redis);
	return ns;
}

void
rh_cache_manager_close(struct rh_cache_manager *m)
{
	m->is_closed = true;
	for (unsigned i = 0; i < m->conf->max; i++)
		if (m->sessions[i].own && m->sessions[i].refs == 0)
			session_close(m, &m->sessions[i]);
}
