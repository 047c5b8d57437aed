/*
 * host - what is made before the first fork and the same for all workers.
 *
 * Shape    configuration, router, the metrics' families, the segment's areas,
 *          the API's reference
 * Owner    the master, who changes it between two forks where a reload says
 *          so; workers inherit it and change none of it
 */
#ifndef RH_SERVE_HOST_H
#define RH_SERVE_HOST_H

#include "base/cidr.h"
#include "data/limiter.h"
#include "data/pg.h"
#include "data/redis.h"
#include "http/route.h"
#include "jobs/crons.h"
#include "jobs/deliver.h"
#include "jobs/runner.h"
#include "obs/otlp.h"
#include "obs/segment.h"
#include "serve/app.h"
#include "serve/conf.h"
#include "serve/place.h"
#include "serve/pool.h"
#include "serve/series.h"
#include "tenancy/concurrency.h"
#include "tenancy/directory.h"
#include "tenancy/password.h"

#define RH_LIMIT_KEYS 65536

struct rh_cache_gate;
struct rh_past_keeper;
struct rh_will;

struct rh_host {
	const struct rh_app *app;
	const struct rh_serve_conf *conf;
	enum rh_pool_kind pool; /* whose program this is */
	const char
	    *trial; /* the segment that it would be; NULL: this is no trial */
	struct rh_router *router;
	struct rh_metrics *metrics;
	struct rh_series series;
	struct rh_job_series jobs;
	struct rh_deliver_series deliveries;
	struct rh_segment *segment;
	struct rh_directory *directory;
	struct rh_limit_table *limits;
	struct rh_advances *advances;
	struct rh_concurrency *concurrency;
	struct rh_coherent_shared *coherent;
	struct rh_cache_gate *caches;
	unsigned slots;		/* of the segment */
	struct rh_hashers hashers;
	struct rh_past_keeper *past;	/* the master's */
	struct rh_otlp_conf otlp;
	struct rh_cidrs trusted;	/* trust_traceparent */
	struct rh_cidrs webhook_allow;
	struct rh_pg_conf pg;
	struct rh_redis_conf redis;
	struct rh_place_conf places[RH_PLACEMENTS_MAX];
	unsigned nplaces;	/* home is none of them */
	struct rh_slice openapi;
	bool alone;		/* no master: lines go to stderr */
	const struct rh_program *program;	/* whose file a reload reads */
	struct rh_arena *reloaded;	/* what the last reload read; NULL: none */
};

/* app and conf are set. What the environment says amiss is in *why, too. */
RH_MUST_CHECK bool rh_host_open(struct rh_host *host, struct rh_arena *arena,
    struct rh_buf *why);
/* All that is made of directives a reload may change. */
void rh_host_tune(struct rh_host *host, struct rh_arena *arena,
    struct rh_buf *warnings);
/*
 * will, of the program before, learns whether the geometry fits; joined is
 * set for a process that joins others. NULL, each: it is the pool's own.
 */
RH_MUST_CHECK bool rh_host_segment(struct rh_host *host, const char *path,
    struct rh_will *will, struct rh_joined *joined, struct rh_buf *why);
/* As long as any request may take, and its statement's last word. */
int64_t rh_host_longest_ms(const struct rh_serve_conf *conf);
/* The cache's part of the segment; place 0 is home. */
struct rh_coherent_shared *rh_host_coherent(const struct rh_host *host,
    unsigned place);
/* Whether workers of another segment are at work on what is cached. */
void rh_host_beside(struct rh_host *host, bool others);

#endif
