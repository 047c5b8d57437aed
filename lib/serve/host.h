/*
 * host - what is made before the first fork and the same for all workers.
 *
 * Shape    configuration, router, the metrics' families, the segment's areas,
 *          the API's reference
 * Owner    the master; workers inherit it and change none of it
 */
#ifndef RH_SERVE_HOST_H
#define RH_SERVE_HOST_H

#include "data/limit.h"
#include "data/pg.h"
#include "http/route.h"
#include "obs/otlp.h"
#include "obs/segment.h"
#include "serve/app.h"
#include "serve/conf.h"
#include "serve/pool.h"
#include "serve/series.h"
#include "tenancy/directory.h"
#include "tenancy/password.h"

#define RH_LIMIT_KEYS 65536

struct rh_host {
	const struct rh_app *app;
	const struct rh_serve_conf *conf;
	struct rh_router *router;
	struct rh_metrics *metrics;
	struct rh_series series;
	struct rh_segment *segment;
	struct rh_directory *directory;
	struct rh_limit_table *limits;
	struct rh_hashers hashers;
	struct rh_otlp_conf otlp;
	struct rh_pg_conf pg;
	struct rh_slice openapi;
};

#endif
