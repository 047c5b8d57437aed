#include "config.h"

#include "serve/host.h"

#include "data/cache_manager.h"
#include "data/lock.h"
#include "data/redis.h"
#include "http/cursor.h"
#include "http/openapi.h"
#include "jobs/relay.h"
#include "obs/history.h"
#include "serve/duty.h"
#include "serve/event.h"
#include "serve/past.h"
#include "serve/wake.h"
#include "serve/will.h"
#include "tenancy/authorize.h"
#include "tenancy/idempotency.h"

enum { RESOURCES_MAX = 64 };

static void
resource_register(const struct rh_resource *r, const struct rh_route **tables)
{
	if (r->stmts)
		rh_stmts_register(r->stmts);
	if (r->constraints)
		rh_pg_constraints_register(r->constraints);
	if (r->kinds)
		rh_job_kinds_register(r->kinds);
	if (!r->routes)
		return;
	while (*tables)
		tables++;
	*tables = r->routes;
}

static struct rh_router *
resources_open(const struct rh_app *app, struct rh_arena *arena, struct rh_buf *why)
{
	const struct rh_route *tables[RESOURCES_MAX + 1] = { NULL };
	unsigned n = 0;

	rh_stmts_register(rh_authorize_stmts);
	rh_stmts_register(rh_place_stmts);
	rh_stmts_register(rh_event_stmts);
	rh_stmts_register(rh_relay_stmts);
	rh_stmts_register(rh_duty_inboxes_stmts);
	rh_stmts_register(rh_limiter_stmts);
	rh_scripts_register(rh_limiter_scripts);
	rh_coherent_register();
	rh_cache_register();
	rh_lock_register();
	rh_stmts_register(rh_idempotency_stmts);
	rh_pg_constraints_register(rh_idempotency_constraints);
	rh_stmts_register(rh_job_stmts);
	rh_stmts_register(rh_runner_stmts);
	rh_stmts_register(rh_cron_stmts);
	rh_stmts_register(rh_deliver_stmts);
	rh_pg_constraints_register(rh_job_constraints);
	resource_register(&rh_resource_health, tables);
	for (const struct rh_resource *const *r = app->resources; *r; r++) {
		rh_assert(++n < RESOURCES_MAX);
		resource_register(*r, tables);
	}
	return rh_router_new(arena, tables, why);
}

static bool
instruments_open(const struct rh_app *app, struct rh_metrics *m,
    struct rh_buf *why)
{
	for (const struct rh_resource *const *r = app->resources; *r; r++) {
		if ((*r)->instruments &&
		    !rh_instruments_register(m, (*r)->instruments, why))
			return false;
	}
	return true;
}

int64_t
rh_host_longest_ms(const struct rh_serve_conf *conf)
{
	int64_t ms = RH_MAX(conf->timeout_read_ms, conf->timeout_write_ms);

	ms = RH_MAX(ms, conf->timeout_other_ms);
	return ms + conf->statement_timeout_ms;
}

struct rh_coherent_shared *
rh_host_coherent(const struct rh_host *h, unsigned place)
{
	char *areas = (char *)h->coherent;

	return (void *)(areas + place * rh_coherent_shared_bytes(h->slots));
}

void
rh_host_beside(struct rh_host *h, bool others)
{
	for (unsigned place = 0; place <= RH_PLACEMENTS_MAX; place++)
		rh_coherent_beside(rh_host_coherent(h, place), others);
}

/* Of the program before us one may be in a write that Redis was not told of. */
static void
succeed_others(struct rh_host *h)
{
	for (unsigned place = 0; place <= RH_PLACEMENTS_MAX; place++)
		rh_coherent_after(rh_host_coherent(h, place),
		    rh_host_longest_ms(h->conf));
}

bool
rh_host_segment(struct rh_host *h, const char *path, struct rh_will *will,
    struct rh_joined *joined, struct rh_buf *why)
{
	const struct rh_serve_conf *conf = h->conf;
	/* those who join others refuse nobody */
	const unsigned slots = joined ? (unsigned)conf->workers + 1 :
	    rh_pool_slots((unsigned)conf->workers);
	const struct rh_segment_pool pools[] = {
		[RH_POOL_FCGI] = { rh_pool_names[RH_POOL_FCGI], slots },
		[RH_POOL_JOBS] = { rh_pool_names[RH_POOL_JOBS],
		    rh_pool_slots((unsigned)conf->jobs_workers) },
		{ NULL, 0 }
	};
	const struct rh_area areas[] = {
		{ RH_POOL_AREA, rh_pool_area_bytes((unsigned)conf->max_connections), false, RH_POOL_FCGI },
		{ RH_POOL_AREA, rh_pool_area_bytes(0), false, RH_POOL_JOBS },
		{ RH_WAKE_AREA, rh_wake_bytes(), false, RH_POOL_JOBS },
		{ RH_LOOKS_AREA, sizeof(struct rh_looks) * (1 + RH_PLACEMENTS_MAX), false, RH_POOL_JOBS },
		{ "tenants", rh_directory_bytes((unsigned)conf->tenants_max), false, RH_POOL_FCGI },
		{ "limits", rh_limit_bytes(RH_LIMIT_KEYS), false, RH_POOL_FCGI },
		{ "advances", rh_advances_bytes(RH_LIMIT_KEYS), false, RH_POOL_FCGI },
		{ "concurrency", rh_concurrency_bytes(slots), false, RH_POOL_FCGI },
		{ "coherent", rh_coherent_shared_bytes(slots) *
		    (1 + RH_PLACEMENTS_MAX), false, RH_POOL_FCGI },
		{ "caches", rh_cache_gate_bytes(), false, RH_POOL_FCGI },
		{ "hashers", (size_t)conf->password_hashers * sizeof(int32_t), false, RH_POOL_FCGI },
		{ RH_HISTORY_AREA, rh_past_bytes(h), true, RH_POOL_FCGI },
		{ NULL, 0, false, 0 }
	};
	const struct rh_segment_spec spec = {
		.pool = rh_pool_names[h->pool],
		.pools = pools,
		.service = (char *)h->otlp.service_name.p,
		.version = h->app->version,
		.revision = RH_REVISION,
		.log_ring_bytes = (size_t)conf->log_ring_bytes,
		.span_ring_bytes = (size_t)conf->span_ring_bytes,
		.request_ring_bytes = (size_t)conf->request_ring_bytes,
		.trace_ring_bytes = (size_t)conf->trace_ring_bytes,
		.areas = areas,
		.metrics = h->metrics,
	};

	/* said before a program becomes another: there is no way back then */
	if (h->trial && rh_segment_is_anothers(h->trial, &spec, why))
		return false;
	if (!(will ? rh_segment_succeed(&h->segment, will->segment, path, &spec,
	    &will->same_segment, why) :
	    joined ? rh_segment_join(&h->segment, joined, path, &spec, why) :
	    rh_segment_create(&h->segment, path, &spec, why)))
		return false;
	h->directory = rh_segment_area(h->segment, "tenants");
	h->limits = rh_segment_area(h->segment, "limits");
	h->advances = rh_segment_area(h->segment, "advances");
	h->concurrency = rh_segment_area(h->segment, "concurrency");
	h->coherent = rh_segment_area(h->segment, "coherent");
	h->caches = rh_segment_area(h->segment, "caches");
	h->slots = slots;
	h->hashers = (struct rh_hashers){
		.pids = rh_segment_area(h->segment, "hashers"),
		.n = (unsigned)conf->password_hashers };
	if (will && !will->same_segment && h->pool == RH_POOL_FCGI)
		succeed_others(h);
	return true;
}

static void
places_tune(struct rh_host *h)
{
	h->nplaces = 0;
	for (const struct rh_placement_conf *p = h->conf->placements; p->name.n;
	    p++) {
		struct rh_place_conf *place = &h->places[h->nplaces++];

		*place = (struct rh_place_conf){ rh_placement_hash(p->name),
			h->pg, h->redis };
		place->pg.url = p->database_url.p;
		place->redis.url = p->redis_url.p;
	}
}

void
rh_host_tune(struct rh_host *h, struct rh_arena *arena, struct rh_buf *warnings)
{
	const struct rh_serve_conf *conf = h->conf;
	struct rh_slice fault;

	rh_otlp_conf_read(&h->otlp, &(struct rh_otlp_defaults){
	    conf->otlp_endpoint, conf->service_name, conf->trace_ratio,
	    conf->traces }, arena, warnings);
	h->pg = (struct rh_pg_conf){ (char *)conf->database_url.p,
		conf->connect_timeout_ms, conf->statement_timeout_ms,
		conf->prepared_statements, h->app->name };
	h->redis = (struct rh_redis_conf){ (char *)conf->redis_url.p,
		conf->redis_connect_timeout_ms, conf->redis_timeout_ms,
		conf->redis_retry_ms, h->app->name };
	places_tune(h);
	rh_cursor_key(conf->secret_key);
	/* rh_serve_conf_check has refused what would be a fault */
	rh_assert(rh_cidrs_get(&h->trusted, conf->trust_traceparent, arena,
	    &fault));
	rh_assert(rh_cidrs_get(&h->webhook_allow, conf->webhook_allow, arena,
	    &fault));
}

bool
rh_host_open(struct rh_host *h, struct rh_arena *arena, struct rh_buf *why)
{
	const struct rh_api_info info = { h->app->title, h->app->version,
		h->app->description };

	if (!(h->router = resources_open(h->app, arena, why)))
		return false;
	rh_host_tune(h, arena, why);
	h->metrics = rh_metrics_new(arena);
	rh_series_init(&h->series, h->metrics, h->router);
	rh_job_families(h->metrics, &h->jobs);
	rh_deliver_families(h->metrics, &h->deliveries);
	if (!instruments_open(h->app, h->metrics, why))
		return false;
	h->openapi = rh_openapi_make(arena, h->router, &info);
	return true;
}
