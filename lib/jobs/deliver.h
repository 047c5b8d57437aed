/*
 * deliver - webhooks out: events on their way to the addresses that tenants
 * named, many at a time, in one process that waits for none of them.
 *
 * Shape    a step moves what is on its way on, settles what is over and claims
 *          what is due, both in one round trip. Body, headers and signature are
 *          Standard Webhooks'
 * Units    _ms milliseconds
 * Errors   told in the log, a line an attempt; where PostgreSQL is away, what
 *          was answered is settled when it is back, and what was claimed and
 *          not heard of is given back
 * Owner    the worker; one at a place
 * Source   https://www.standardwebhooks.com; RFC 9110, section 10.2.3
 *
 * At least once: a receiver that answered a worker which then died is told
 * again, under the same webhook-id.
 */
#ifndef RH_JOBS_DELIVER_H
#define RH_JOBS_DELIVER_H

#include "data/pg.h"
#include "jobs/out.h"
#include "jobs/sign.h"
#include "obs/log.h"
#include "obs/trace.h"

/* What became of an attempt, as the metric has it. */
enum rh_delivered {
	RH_DELIVERED_OK,      /* 2xx */
	RH_DELIVERED_FAILED,  /* any other status */
	RH_DELIVERED_REFUSED, /* by us: where it was to go */
	RH_DELIVERED_TIMEOUT,
	RH_DELIVERED_UNREACHABLE, /* no address, no connection, no TLS, no reply */
	RH_DELIVERED_RESULTS
};
extern const char *const rh_delivered_names[RH_DELIVERED_RESULTS + 1];

struct rh_deliver_series {
	struct rh_family duration, on_their_way;
};
/* Before the segment is made. */
void rh_deliver_families(struct rh_metrics *m,
    struct rh_deliver_series *series);

struct rh_deliver_obs {
	const struct rh_tally *tally;
	const struct rh_deliver_series *series;
	struct rh_family spans; /* spans_total, of those that are not kept */
	struct rh_log *log;
	struct rh_ring *ring, *apart; /* kept spans; those of what failed */
	struct rh_ring *requests; /* what is remembered of each attempt */
	uint32_t pid;
	const struct rh_sampler *sampler;
	bool logs, traces;
	int64_t slow_ms;
};

struct rh_deliver_conf {
	struct rh_out_conf out; /* allow, and how many at a time */
	struct rh_slice secret_key;
	int64_t timeout_ms;
	int64_t concurrency, rate; /* of an endpoint that says nothing itself */
	int64_t retry_ms;   /* the first pause; the others are its multiples */
	int64_t give_up_ms; /* an endpoint that failed for so long is paused */
	int64_t keep_ms;
};

/* Attempts, and with that one pause less. */
#define RH_DELIVER_ATTEMPTS 10
/* After the attempt, 1 the first, in multiples of the first pause; 0: none follows. */
unsigned rh_deliver_pause(int64_t attempt);
/* Retry-After in ms: seconds, or a date; 0: neither. */
int64_t rh_deliver_retry_after(struct rh_slice value, int64_t now_us);

struct rh_deliver;

/* Makes it, in the worker's arena; what the holder had is taken back. */
struct rh_deliver *rh_deliver_new(struct rh_arena *own, struct rh_pg *pg,
    struct rh_uuid holder, const struct rh_deliver_conf *conf,
    const struct rh_deliver_obs *obs);
/* Never waits for a receiver. Answers how many attempts ended. */
unsigned rh_deliver_step(struct rh_deliver *d, int64_t *again_ns);
/* Leases that are over, and what is to be forgotten. */
void rh_deliver_tend(struct rh_deliver *d);
/* Waits a moment for what is on its way; the rest is tried again. */
void rh_deliver_end(struct rh_deliver *d);

/* To be registered before the fork; the first hangs off the relay. */
extern struct rh_stmt rh_deliver_stmts[];
#define RH_DELIVER_FAN_OUT 0

#endif
