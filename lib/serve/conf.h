/*
 * conf - the directives that all of our programs share, and their values.
 *
 * Shape    one flat struct, filled from the table rh_serve_directives
 * Units    in the names: _ms, _bytes
 * Owner    the program; a reload fills a second one and swaps
 */
#ifndef RH_SERVE_CONF_H
#define RH_SERVE_CONF_H

#include "base/conf.h"

/* As enum rh_pool_mode of serve/pool.h. */
enum rh_scheduling { RH_SCHEDULING_BATCH, RH_SCHEDULING_OTHER };
enum rh_sizing { RH_SIZING_STATIC, RH_SIZING_DYNAMIC, RH_SIZING_ONDEMAND };
/* Who counts; enum rh_limiter_kind of data/limiter.h says who did. */
enum rh_limiter_wanted { RH_LIMITS_AUTO, RH_LIMITS_REDIS, RH_LIMITS_SHM, RH_LIMITS_POSTGRES };
enum rh_prepared { RH_PREPARED_AUTO, RH_PREPARED_ON, RH_PREPARED_OFF };

/* Of "placement NAME { }": a database, and a Redis, of some tenants' own. */
struct rh_placement_conf {
	struct rh_slice name;
	struct rh_slice database_url, admin_database_url, move_database_url;
	struct rh_slice redis_url;
};
#define RH_PLACEMENTS_MAX 16
#define RH_PLACEMENT_NAME_MAX 31
/* What tenants without a placement have; no placement's name. */
#define RH_PLACEMENT_HOME "home"

struct rh_serve_conf {
	struct rh_slice listen;
	struct rh_slice listen_owner, listen_group;
	struct rh_slice listen_mode;
	int64_t listen_backlog;
	struct rh_slice user, group;
	int64_t jobs_workers;
	int64_t jobs_batch;
	int64_t jobs_poll_ms;
	int64_t jobs_keep_ms;
	struct rh_slice webhook_allow;
	int64_t webhook_timeout_ms;
	int64_t webhook_connections, webhook_concurrency, webhook_rate;
	int64_t webhook_retry_ms, webhook_give_up_ms, webhook_keep_ms;
	int64_t webhook_max;
	struct rh_slice mail_command, mail_from;
	int sizing;
	int scheduling;
	int64_t workers;
	int64_t workers_min, workers_spare_min, workers_spare_max;
	int64_t spawn_rate;
	int64_t idle_timeout_ms;
	int64_t queue_max;
	int64_t max_requests;
	int64_t max_memory_bytes;
	int64_t max_connections;
	int64_t shutdown_grace_ms;
	int64_t header_timeout_ms;
	int64_t body_timeout_ms;
	int64_t timeout_read_ms, timeout_write_ms;	/* by enum rh_rate */
	int64_t timeout_credentials_ms, timeout_other_ms;
	int64_t timeout_grace_ms;
	int64_t headers_max_bytes;
	int64_t body_max_bytes;

	struct rh_slice database_url, admin_database_url, move_database_url;
	int64_t connect_timeout_ms, statement_timeout_ms;
	int prepared_statements;

	struct rh_slice redis_url;
	int64_t redis_connect_timeout_ms, redis_timeout_ms, redis_retry_ms;
	int64_t cache_ttl_ms, cache_quarantine_ms;

	struct rh_slice secret_key;
	int64_t session_ttl_ms;
	int64_t idempotency_ttl_ms, idempotency_wait_ms;
	int64_t events_keep_ms;
	int64_t inboxes_max, inbox_requests_max;
	int64_t inbox_body_max_bytes, inbox_bytes_max_bytes;
	int64_t inbox_keep_ms;
	struct rh_slice public_url;
	int64_t password_hashers;
	bool limits;
	int64_t limit_window_ms;
	int64_t limit_tenant, limit_token, limit_credentials;
	int64_t limit_tenant_write, limit_token_write;	/* 0: writes count with reads */
	int64_t limit_inbox;
	int limiter;
	int64_t limiter_share;	/* percent */
	int64_t limiter_advance_ms;
	struct rh_slice tenant_concurrency;

	struct rh_slice segment;
	int64_t log_ring_bytes, span_ring_bytes;
	int64_t request_ring_bytes, trace_ring_bytes, history_bytes;
	int64_t tenants_max;
	bool logs, metrics, traces;
	double trace_ratio;
	struct rh_slice trust_traceparent;
	int64_t slow_ms;
	bool slow_backtrace;
	struct rh_slice otlp_endpoint;
	struct rh_slice service_name;
	struct rh_slice exporter_listen;
	struct rh_slice exporter_token;

	/* no directive's, but those of sections; the first without a name ends it */
	struct rh_placement_conf placements[RH_PLACEMENTS_MAX + 1];
};

extern const struct rh_directive rh_serve_directives[];
/* The table of the sections: its records are placements. */
extern const struct rh_directive rh_placement_directives[];
extern const struct rh_conf_section rh_placement_section;
/* For a program that shares the file, and has no use for them. */
extern const struct rh_directive rh_no_directives[];
/*
 * Those that a program has use for, n of them, and { 0 } behind: so it neither
 * asks for nor ever holds a secret that it can do without.
 */
void rh_serve_conf_pick(struct rh_directive *to, const char *const names[],
    size_t n);

/*
 * tenant_concurrency as a number of workers, 0: no bound. False: it is neither
 * a number nor a percentage.
 */
RH_MUST_CHECK bool rh_serve_conf_concurrency(const struct rh_serve_conf *conf,
    unsigned *most);
/* What the table cannot say: faults across directives, a line each. */
void rh_serve_conf_check(const struct rh_serve_conf *conf,
    struct rh_buf *faults);
/* The same of placements, which are another table's. */
void rh_serve_conf_check_placements(const struct rh_placement_conf *placements,
    struct rh_buf *faults);
/* NULL: there is none of that name. */
const struct rh_placement_conf *rh_serve_conf_placement(
    const struct rh_serve_conf *conf, struct rh_slice name);
/* conf_check.c: what the sessions say to their addresses, likewise. */
void rh_serve_conf_check_urls(const struct rh_serve_conf *conf,
    struct rh_buf *faults);
void rh_serve_conf_check_placement_urls(
    const struct rh_placement_conf *placements, struct rh_buf *faults);

#endif
