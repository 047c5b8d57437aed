#include "config.h"

#include "serve/server.h"

#include "base/clock.h"
#include "data/redis_breaker.h"
#include "obs/asked.h"
#include "obs/crash.h"

enum { OWN_FIRST = 16 << 10, OWN_CAP = 4 << 20, ARENA_FIRST = 64 << 10, ARENA_CAP = 192 << 20 };
/* One process turns away all: a body that is slow to come must not hold it. */
enum { SHED_BODY_MS = 250 };

static void
dependency_note(struct rh_server *s, bool up)
{
	rh_gauge_set(&s->tally, s->host->series.dependency_up,
	    RH_DEPENDENCY_POSTGRES, up);
}

static void
signals_open(struct rh_server *s)
{
	struct rh_host *h = s->host;

	rh_tally_bind(&s->tally, h->metrics,
	    h->conf->metrics ? h->segment : NULL, s->slot);
	rh_journal_bind(&s->journal, h->segment, s->slot);
	/* its predecessor may have died in one */
	rh_gauge_set(&s->tally, h->series.in_flight, 0, 0);
	rh_log_bind(&s->log, h->alone ? NULL : h->segment, s->slot, s->own);
	rh_log_name(&s->log, s->own, (char *)h->otlp.service_name.p,
	    h->app->version);
	s->log.tally = &s->tally;
	s->log.lines = h->series.lines;
	s->flight = rh_segment_flight(h->segment, s->slot);
	s->moment = rh_segment_moment(h->segment, s->slot);
	if (!rh_crash_arm(&(struct rh_crash_spec){ s->moment,
		h->pool == RH_POOL_FCGI ? rh_server_last_word : NULL, s }))
		rh_log_say(&s->log, RH_LOG_WARN,
		    "a crash would be told without its place");
	if (!rh_asked_arm(s->moment))
		rh_log_say(&s->log, RH_LOG_WARN,
		    "a slow request would be told without its place");
	if (!h->otlp.traces)
		return;
	s->shipper = rh_shipper_start(&(struct rh_shipper_spec){
	    .conf = &h->otlp, .segment = h->segment, .slot = s->slot,
	    .ring = rh_segment_spans(h->segment, s->slot), .tally = &s->tally,
	    .spans = h->series.spans, .version = h->app->version });
}

/* The log hears it once, when there is time: requests do without. */
static void
redis_note(struct rh_server *s)
{
	bool away = !rh_redis_usable(s->redis);

	if (away && !s->redis_away)
		rh_log_say(&s->log, RH_LOG_WARN, "Redis is away: %s",
		    rh_redis_trouble(s->redis));
	else if (!away && s->redis_away)
		rh_log_say(&s->log, RH_LOG_INFO, "Redis is back");
	s->redis_away = away;
}

struct rh_coherent *
rh_server_coherent(struct rh_server *s, struct rh_redis *redis, unsigned place)
{
	const struct rh_host *h = s->host;
	const struct rh_coherent_obs obs = { &s->tally, h->series.cache_requests,
		h->series.caches };

	return rh_coherent_new(s->own, &(struct rh_coherent_conf){
	    redis, rh_host_coherent(h, place), h->slots, s->slot,
	    rh_host_longest_ms(h->conf),
	    h->conf->cache_quarantine_ms,
	    rh_breaker_longest_ms(h->conf->redis_retry_ms) }, &obs);
}

static void
coherent_open(struct rh_server *s)
{
	s->coherent = rh_server_coherent(s, s->redis, 0);
	/* what the one before us in this slot was killed over */
	rh_redis_begin(s->redis, s->arena, NULL);
	rh_coherent_inherit(s->coherent);
	rh_redis_end(s->redis);
	rh_arena_reset(s->arena);
}

/* Whether it can be had is no condition of serving. */
static void
redis_open(struct rh_server *s)
{
	const struct rh_host *h = s->host;

	if (!h->redis.url) {
		rh_gauge_set(&s->tally, h->series.dependency_up,
		    RH_DEPENDENCY_REDIS, RH_GAUGE_UNKNOWN);
		return;
	}
	s->redis_obs = (struct rh_redis_obs){ &s->tally,
		h->series.round_trips, h->series.dependency_up, s->flight,
		false };
	s->redis = rh_redis_new(s->own, &h->redis, &s->redis_obs);
	(void)rh_redis_warm(s->redis);
	redis_note(s);
	coherent_open(s);
}

void
rh_server_open(struct rh_server *s, unsigned slot)
{
	s->slot = slot;
	s->own = rh_arena_new(OWN_FIRST, OWN_CAP);
	s->arena = rh_arena_new(ARENA_FIRST, ARENA_CAP);
	signals_open(s);
	rh_waker_init(&s->waker, s->host->segment);
	s->pg_obs = (struct rh_pg_obs){ &s->tally,
	    s->host->series.query_duration, s->host->series.round_trips,
	    s->host->series.connections, s->flight };
	s->pg = rh_pg_new(s->own, &s->host->pg, &s->pg_obs);
	rh_pg_share_gauge(s->pg, &s->pg_open);
}

static bool
reached(struct rh_server *s, bool ready)
{
	dependency_note(s, ready);
	if (!ready && !s->pg_away)
		rh_log_say(&s->log, RH_LOG_WARN, "PostgreSQL is away: %s",
		    rh_pg_trouble(s->pg));
	s->pg_away = !ready;
	return ready;
}

bool
rh_server_reach(struct rh_server *s, bool wait)
{
	return reached(s, rh_pg_ready(s->pg, wait));
}

bool
rh_server_try(struct rh_server *s)
{
	bool ready = rh_pg_try(s->pg);

	/* while it connects nothing is known */
	return rh_pg_is_connecting(s->pg) ? false : reached(s, ready);
}

bool
rh_server_start(void *server, unsigned slot)
{
	struct rh_server *s = server;
	const struct rh_host *h = s->host;
	const struct rh_serve_conf *conf = h->conf;

	s->sheds = slot > (unsigned)conf->workers;
	rh_server_open(s, slot);
	s->hashers = h->hashers;
	/* what the one before us was inside of when it was killed */
	rh_concurrency_leave(h->concurrency, slot);
	rh_assert(rh_serve_conf_concurrency(conf, &s->tenant_most));
	s->fx = rh_fcgx_new(s->own, &(struct rh_fcgx_limits){
	    (size_t)conf->headers_max_bytes, (int)conf->header_timeout_ms,
	    (int)(s->sheds ? RH_MIN(conf->body_timeout_ms, SHED_BODY_MS) :
	    conf->body_timeout_ms) });
	if (!s->sheds)
		redis_open(s);
	rh_places_open(s);
	if (s->sheds)
		return true;
	rh_keep_open(s);
	s->limiter = (struct rh_limiter){ .table = h->limits,
		.keys = RH_LIMIT_KEYS, .redis = s->redis,
		.advances = h->advances,
		.advance_ns = conf->limiter_advance_ms * 1000000 };
	return rh_server_reach(s, true);
}

void
rh_server_redis_idle(struct rh_server *s, struct rh_redis *redis,
    struct rh_coherent *coherent)
{
	rh_redis_idle(redis);
	rh_redis_begin(redis, s->arena, NULL);
	rh_coherent_idle(coherent);
	rh_redis_end(redis);
	rh_arena_reset(s->arena);
}

void
rh_server_idle(void *server)
{
	struct rh_server *s = server;
	bool ready;

	if (s->sheds)
		return;
	ready = rh_pg_ready(s->pg, false);
	dependency_note(s, ready);
	if (ready)
		rh_idempotent_purge(s);
	if (s->redis) {
		rh_server_redis_idle(s, s->redis, s->coherent);
		redis_note(s);
	}
	rh_places_idle(s, rh_idempotent_purge_at);
	rh_cache_manager_idle(s->caches);
}

void
rh_server_trouble(void *server, const char *what, int error)
{
	struct rh_server *s = server;

	rh_log_say(&s->log, RH_LOG_WARN, "%s: %s", what, strerror(error));
}

void
rh_server_stop(void *server, int64_t deadline_ms)
{
	struct rh_server *s = server;
	int64_t now_ms = (int64_t)(rh_clock_mono_ns() / 1000000);

	if (s->caches)
		rh_cache_manager_close(s->caches);
	rh_pg_close(s->pg);
	rh_redis_close(s->redis);
	rh_places_close(s);
	if (s->shipper)
		rh_shipper_stop(&s->shipper, RH_MAX(deadline_ms - now_ms, 0));
	rh_arena_destroy(&s->arena);
	rh_arena_destroy(&s->own);
}
