#include "config.h"

#include "serve/series.h"

#include "data/limiter.h"
#include "data/coherent.h"
#include "data/lock.h"
#include "data/pg.h"
#include "data/redis.h"
#include "obs/otlp.h"
#include "serve/pool.h"

static const unsigned short statuses[] = {
	200, 201, 202, 204, 304, 400, 401, 403, 404, 405, 409, 412, 413, 415, 422,
	429, 431, 499, 500, 503, 504,
};

static const char *const outcomes_of_tenant[] = {
	[RH_T_SUCCESS] = "success", [RH_T_CLIENT_ERROR] = "client_error",
	[RH_T_SERVER_ERROR] = "server_error", [RH_T_LIMITED] = "limited", NULL
};
static const char *const outcomes_of_query[] = {
	[RH_Q_OK] = "ok", [RH_Q_ERROR] = "error", NULL
};
static const char *const outcomes_of_spans[] = {
	[RH_SPANS_EXPORTED] = "exported", [RH_SPANS_DROPPED] = "dropped",
	[RH_SPANS_REJECTED] = "rejected", [RH_SPANS_UNSAMPLED] = "unsampled", NULL
};
static const char *const stores[] = {
	"postgresql", [RH_REDIS_STORE] = "redis", NULL
};
static const char *const states_of_connection[] = { "open", NULL };
static const char *const outcomes_of_line[] = { "written", "dropped", NULL };
/* The pools that listen. */
static const char *const listening[] = { "fcgi", NULL };
static const char *const dependencies[] = {
	[RH_DEPENDENCY_POSTGRES] = "postgresql",
	[RH_DEPENDENCY_REDIS] = "redis", NULL
};
_Static_assert((int)RH_DEPENDENCY_REDIS == (int)RH_REDIS_DEPENDENCY,
    "the session tells of itself");

/* clang-format off */
#define C RH_M_COUNTER
#define G RH_M_GAUGE
#define H RH_M_HISTOGRAM
static const struct series_row {
	size_t at;
	enum rh_metric_kind kind;
	unsigned flags;
	const char *name, *help;
	const char *a, *b;		/* keys of its dimensions */
} rows[] = {
#define S(member) offsetof(struct rh_series, member)
	{ S(requests),        C, RH_M_SPARSE,                         "http_requests_total",           "requests answered",                                         "method,route", "status" },
	{ S(duration),        H, RH_M_SPARSE | RH_M_EXEMPLARS,        "http_request_duration_seconds", "from the parameters read to the reply handed over",         "method,route", NULL },
	{ S(in_flight),       G, 0,                                   "http_requests_in_flight",       "workers inside a request",                                  NULL,           NULL },
	{ S(tenant_requests), C, RH_M_SPARSE,                         "tenant_requests_total",         "requests by tenant; those without a name of their own are other", "tenant", "outcome_of_tenant" },
	{ S(tenant_seconds),  C, RH_M_SPARSE | RH_M_NANOSECONDS,      "tenant_request_seconds_total",  "time spent on a tenant's requests",                         "tenant",       NULL },
	{ S(tenant_durations), C, RH_M_HIDDEN,                        "tenant_durations",              "a tenant's requests by rh_bucket_of(): the history's",      "tenant",       "bucket" },
	{ S(query_duration),  H, RH_M_SPARSE,                         "db_query_duration_seconds",     "round trips to PostgreSQL, by their main statement",        "statement",    "outcome_of_query" },
	{ S(round_trips),     C, 0,                                   "round_trips_total",             "round trips before a reply was sent",                       "store",        NULL },
	{ S(connections),     G, 0,                                   "db_connections",                "connections to PostgreSQL",                                 "state",        NULL },
	{ S(cache_requests),  C, RH_M_SPARSE,                         "cache_requests_total",          "looks into the cache: hit, miss (the lease was ours), busy (another's, or a write's), off", "cache", "result" },
	{ S(lock_attempts),   C, 0,                                   "lock_attempts_total",           "tries to get a lock: acquired, held (by another), off (no Redis answered)", "result_of_lock", NULL },
	{ S(decisions),       C, 0,                                   "ratelimit_decisions_total",     "what the rate limiter said",                                "backend",      "decision" },
	{ S(spans),           C, 0,                                   "spans_total",                   "spans that ended, by what became of them",                  "outcome_of_spans", NULL },
	{ S(lines),           C, 0,                                   "log_lines_total",               "log lines that stdout took, and that the ring or stdout did not", "outcome_of_line",  NULL },
	{ S(restarts),        C, RH_M_SPARSE,                         "worker_restarts_total",         "workers that were replaced",                                "pool,reason",  NULL },
	{ S(queue_length),    G, 0,                                   "listen_queue_length",           "connections that wait to be accepted",                      "pool",         NULL },
	{ S(dependency_up),   G, RH_M_MAX,                            "dependency_up",                 "1 while some worker can use it",                            "dependency",   NULL },
	{ S(outbox_pending),  G, RH_M_MAX,                            "outbox_pending",                "events that wait for the relay",                            NULL,           NULL },
	{ S(outbox_lag),      G, RH_M_MAX | RH_M_NANOSECONDS,         "outbox_lag_seconds",            "how long the oldest of them has waited",                    NULL,           NULL },
#undef S
};
/* clang-format on */

static int
dim_of(struct rh_metrics *m, const char *keys, const char *const *values)
{
	int dim = rh_metrics_dim(m, keys, 0);

	for (; *values; values++)
		rh_metrics_value(m, dim, values);
	return dim;
}

static int
routes_dim(struct rh_series *s, struct rh_metrics *m,
    const struct rh_router *router)
{
	int dim = rh_metrics_dim(m, "method,route", 0);

	s->nroutes = rh_router_count(router);
	for (unsigned head = 0; head < 2; head++)
		for (unsigned i = 0; i < s->nroutes; i++) {
			const struct rh_route *r = rh_router_get(router, i);
			const char *pair[] = { head ? "HEAD" :
				rh_method_names[r->method], r->template };

			rh_metrics_value(m, dim, pair);
		}
	for (unsigned i = 0; i < RH_METHODS; i++) {
		const char *pair[] = { rh_method_names[i], "unmatched" };

		rh_metrics_value(m, dim, pair);
	}
	return dim;
}

static int
statuses_dim(struct rh_metrics *m)
{
	int dim = rh_metrics_dim(m, "status", 0);

	for (size_t i = 0; i <= RH_COUNT(statuses); i++) {
		char text[4] = "000";
		const char *value[] = { i < RH_COUNT(statuses) ? text : "other" };

		if (i < RH_COUNT(statuses)) {
			text[0] = (char)('0' + statuses[i] / 100);
			text[1] = (char)('0' + statuses[i] / 10 % 10);
			text[2] = (char)('0' + statuses[i] % 10);
		}
		rh_metrics_value(m, dim, value);
	}
	return dim;
}

static int
statements_dim(struct rh_metrics *m)
{
	int dim = rh_metrics_dim(m, "statement", 0);

	for (unsigned i = 0; i < rh_stmts_count(); i++)
		rh_metrics_value(m, dim, &rh_stmts_get(i)->name);
	return dim;
}

/* Pool by pool: rh_series_restarts counts on it. */
static int
reasons_dim(struct rh_metrics *m)
{
	int dim = rh_metrics_dim(m, "pool,reason", 0);

	for (unsigned pool = 0; pool < RH_POOLS; pool++)
		for (unsigned i = 0; i < RH_ENDS; i++) {
			const char *pair[] = { rh_pool_names[pool],
				rh_end_names[i] };

			rh_metrics_value(m, dim, pair);
		}
	return dim;
}

static int
decisions_dim(struct rh_metrics *m)
{
	static const char *const decisions[] = {
		[RH_DECISION_GRANTED] = "granted",
		[RH_DECISION_LIMITED] = "limited",
		/* granted by its rate, and too many of its tenant at work */
		[RH_DECISION_BUSY] = "busy", NULL
	};

	return dim_of(m, "decision", decisions);
}

/* Whatever group a route's pages belong to, in the order of the table. */
static int
caches_dim(struct rh_series *s, struct rh_metrics *m,
    const struct rh_router *router)
{
	unsigned n = 0, known;

	s->caches[n++] = "other";
	s->caches[n++] = "principals";
	s->caches[n++] = "application";	/* RH_CACHE_APPLICATION */
	for (unsigned i = 0; i < rh_router_count(router); i++) {
		const char *cache = rh_router_get(router, i)->cache;

		for (known = 0; cache && known < n; known++)
			if (strcmp(s->caches[known], cache) == 0)
				break;
		if (cache && known == n && n < RH_CACHES)
			s->caches[n++] = cache;
	}
	return dim_of(m, "cache", s->caches);
}

/* By rh_bucket_of(). */
static int
buckets_dim(struct rh_metrics *m)
{
	int dim = rh_metrics_dim(m, "bucket", 0);

	for (unsigned i = 0; i <= RH_BUCKETS; i++) {
		char text[3] = { (char)('0' + i / 10), (char)('0' + i % 10) };
		const char *value = text;

		rh_metrics_value(m, dim, &value);
	}
	return dim;
}

static int
tenants_dim(struct rh_metrics *m)
{
	int dim = rh_metrics_dim(m, "tenant", RH_TENANT_NAMES + 1);
	const char *other = "other";

	rh_metrics_value(m, dim, &other);
	return dim;
}

void
rh_series_init(struct rh_series *s, struct rh_metrics *m,
    const struct rh_router *router)
{
	const struct { const char *keys; int dim;
	} dims[] = {
		{ "method,route", routes_dim(s, m, router) },
		{ "status", statuses_dim(m) },
		{ "tenant", s->tenants = tenants_dim(m) },
		{ "outcome_of_tenant",
		    dim_of(m, "outcome", outcomes_of_tenant) },
		{ "outcome_of_query", dim_of(m, "outcome", outcomes_of_query) },
		{ "outcome_of_spans", dim_of(m, "outcome", outcomes_of_spans) },
		{ "outcome_of_line", dim_of(m, "outcome", outcomes_of_line) },
		{ "statement", statements_dim(m) },
		{ "store", dim_of(m, "store", stores) },
		{ "state", dim_of(m, "state", states_of_connection) },
		{ "backend", dim_of(m, "backend", rh_limiter_names) },
		{ "decision", decisions_dim(m) },
		{ "cache", caches_dim(s, m, router) },
		{ "result", dim_of(m, "result", rh_cache_results) },
		{ "result_of_lock", dim_of(m, "result", rh_lock_results) },
		{ "bucket", buckets_dim(m) },
		{ "pool", dim_of(m, "pool", listening) },
		{ "pool,reason", reasons_dim(m) },
		{ "dependency", dim_of(m, "dependency", dependencies) },
	};

	for (size_t i = 0; i < RH_COUNT(rows); i++) {
		struct rh_family_spec spec = { .kind = rows[i].kind,
			.flags = rows[i].flags, .name = rows[i].name,
			.help = rows[i].help, .dim_a = -1, .dim_b = -1 };

		for (size_t d = 0; d < RH_COUNT(dims); d++) {
			if (rows[i].a && strcmp(rows[i].a, dims[d].keys) == 0)
				spec.dim_a = dims[d].dim;
			if (rows[i].b && strcmp(rows[i].b, dims[d].keys) == 0)
				spec.dim_b = dims[d].dim;
		}
		*(struct rh_family *)(void *)((char *)s + rows[i].at) =
		    rh_metrics_family(m, &spec);
		if (rows[i].at == offsetof(struct rh_series, duration))
			s->duration_native = rh_metrics_native(m, &spec);
	}
}

unsigned
rh_series_route(const struct rh_series *s, const struct rh_route *route,
    unsigned index, enum rh_method method)
{
	if (!route)
		return 2 * s->nroutes + method;
	return method == RH_HEAD ? s->nroutes + index : index;
}

unsigned
rh_series_status(unsigned status)
{
	unsigned i;

	for (i = 0; i < RH_COUNT(statuses) && statuses[i] != status; i++)
		;
	return i;
}

struct rh_family
rh_series_restarts(const struct rh_series *s, unsigned pool)
{
	struct rh_family of_pool = s->restarts;

	of_pool.cell += pool * RH_ENDS * of_pool.stride_a;
	return of_pool;
}
