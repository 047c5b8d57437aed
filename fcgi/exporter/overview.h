/*
 * overview - the pool over time, read from its history and its slots into
 * plain structs; two ways to show them.
 *
 * Shape    points from the oldest to the newest, rows by how much they were
 *          asked for
 * Units    _us wall clock or duration, counts of requests
 * Errors   no history is no points: the pool keeps none without a master
 * Owner    the arena passed in
 */
#ifndef RH_EXPORTER_OVERVIEW_H
#define RH_EXPORTER_OVERVIEW_H

#include "exporter/page.h"
#include "exporter/view.h"
#include "obs/history.h"
#include "obs/past.h"

#define SPARK_POINTS	40

struct overview_range {
	const char *name, *text;	/* "1h", "last hour" */
	enum rh_history_step step;
	int64_t reach_us, point_us;
};

struct point {
	double seconds;		/* told by samples; 0: nothing is known */
	uint64_t requests, errors;
	uint64_t buckets[RH_BUCKETS + 1];
	uint32_t workers, busy, queue;
	uint64_t jobs, again, dead;	/* attempts, and what became of some */
	uint64_t delivered, undelivered;
	uint32_t jobs_workers, jobs_busy, jobs_pending, jobs_oldest_s;
	uint32_t outbox_pending, outbox_lag_ms;
};

struct row {
	/* a route; a tenant, a kind of job, a delivery's result have no method */
	struct rh_slice method, name;
	uint64_t requests, errors;
	uint64_t again, pending;	/* of a kind: that were tried again, that wait */
	uint64_t buckets[RH_BUCKETS + 1];
	uint64_t spark[SPARK_POINTS];
};

struct rows {
	struct row *rows;
	size_t n;
};

/* Each worker has a connection, and of Redis a breaker, of its own. */
struct dependency {
	struct rh_slice name;
	unsigned workers, up;	/* who know it, and who can use it */
};

struct overview {
	const struct overview_range *range;
	struct rh_slice route, method, tenant;	/* the charts are of these alone */
	int64_t start_us, end_us;
	struct point *points;
	unsigned npoints;
	double seconds;		/* told in the whole range */
	int64_t oldest_us;	/* of the history */
	struct row total;
	struct rows routes, tenants, kinds, results;
	struct row jobs, deliveries;	/* of all kinds, of all results */
	bool has_deliveries;		/* the pool knows of webhooks at all */
	uint64_t jobs_pending, jobs_oldest_s, outbox_pending, outbox_lag_ns;
	struct dependency *dependencies;
	size_t ndependencies;
	uint64_t lines_dropped, spans_dropped;	/* since the counters began */
	struct rh_past_list remarkable;		/* the last of them */
};

extern const struct overview_range overview_ranges[];
/* False: the query makes no sense; it was answered. */
/* "unknown", "up", "partly", "down" */
const char *dependency_state(const struct dependency *d);
RH_MUST_CHECK bool overview_read(struct overview *o, struct view *v);

/* overview_work.c: jobs, events, webhooks. */
void overview_work_tiles(struct view *v, const struct overview *o);
void overview_work_put(struct view *v, const struct overview *o);
void overview_work_json(struct view *v, const struct overview *o);
/* What a delivery that got there is told as. */
bool is_delivered(struct rh_slice result);

/* overview_charts.c */
void overview_charts_put(struct view *v, const struct overview *o);
/* overview_pool.c: who is there now. */
void overview_pool_put(struct view *v);
void overview_pool_json(struct view *v);
/* overview_json.c */
void overview_json(struct view *v, const struct overview *o);

#endif
