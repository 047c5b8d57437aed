/*
 * series - the metrics of the pool: names, labels, help, in one table
 * (series.c), and how a request finds its cells.
 *
 * Shape    a struct of families; indexes of label values by the enums below
 * Owner    filled before the fork, read only afterwards
 */
#ifndef RH_SERVE_SERIES_H
#define RH_SERVE_SERIES_H

#include "http/route.h"
#include "obs/metric.h"

enum rh_tenant_outcome { RH_T_SUCCESS, RH_T_CLIENT_ERROR, RH_T_SERVER_ERROR, RH_T_LIMITED, RH_T_OUTCOMES };
enum rh_decision { RH_DECISION_GRANTED, RH_DECISION_LIMITED, RH_DECISION_BUSY, RH_DECISIONS };
enum rh_dependency { RH_DEPENDENCY_POSTGRES, RH_DEPENDENCY_REDIS, RH_DEPENDENCIES };

/* At most so many tenants have a name; the rest are "other". */
#define RH_TENANT_NAMES 200

/* Of s.caches: what handlers keep there by themselves (rh_call_cache). */
#define RH_CACHE_APPLICATION 2

/* Groups of the cache with a name of their own, and "other". */
#define RH_CACHES 24

struct rh_series {
	struct rh_family requests, duration, in_flight;
	struct rh_family duration_native;
	struct rh_family tenant_requests, tenant_seconds, tenant_durations;
	struct rh_family query_duration, round_trips, connections;
	struct rh_family cache_requests, lock_attempts;
	struct rh_family decisions, spans, lines, restarts, dependency_up, queue_length;
	struct rh_family outbox_pending, outbox_lag;
	int tenants;	/* the live dimension */
	const char *caches[RH_CACHES + 1];	/* groups of the cache: "other" first */
	unsigned nroutes;
};

void rh_series_init(struct rh_series *s, struct rh_metrics *m,
    const struct rh_router *router);
/* method,route: of a matched route (HEAD counts apart from its GET), or of none. */
unsigned rh_series_route(const struct rh_series *s,
    const struct rh_route *route, unsigned index, enum rh_method method);
unsigned rh_series_status(unsigned status);
/* pool,reason: the pool's first one, of which rh_end is the rest. */
struct rh_family rh_series_restarts(const struct rh_series *s, unsigned pool);

#endif
