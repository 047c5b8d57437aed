/*
 * webhooks - who is told of a tenant's events, and what became of it.
 *
 * Shape    struct webhook is an endpoint: a row and a JSON object. Its secret is
 *          shown once, when it is made or rotated, and stored sealed
 *          (jobs/sign.h). struct delivery is one event for one endpoint; the
 *          engine that delivers is lib/jobs'
 * Units    rate_per_s a second, concurrency requests at a time, latency_ms
 *          milliseconds
 * Errors   webhook.missing, delivery.missing 404; webhook.too_many 409;
 *          webhook.url_refused, webhook.type_malformed 422
 * Source   https://www.standardwebhooks.com; migrate/sql/0008_webhooks
 */
#ifndef WEBHOOKS_WEBHOOKS_H
#define WEBHOOKS_WEBHOOKS_H

#include "serve/app.h"

/* ---- endpoints ---- */

enum { WEBHOOK_ACTIVE, WEBHOOK_PAUSED };

struct webhook {
	struct rh_uuid id;
	struct rh_slice url;
	struct rh_slice event_types; /* JSON */
	struct rh_slice description;
	int status;
	int paused_reason; /* -1: it is active */
	int64_t failing_since;
	int64_t rate_per_s,
	    concurrency; /* RH_INT_NONE: the operator's default */
	int64_t old_secret_until;
	int64_t created_at, updated_at;
	int64_t version;
};

/* With its secret: the answer to its making, and to a rotation, alone. */
struct webhook_made {
	struct webhook row;
	struct rh_slice secret;
};

/* What a POST or PATCH may say; p == NULL and -1 are "not said". */
struct webhook_change {
	struct rh_slice url;
	struct rh_slice event_types;
	struct rh_slice description;
	int status;
	bool has_rate, has_concurrency;
	int64_t rate_per_s, concurrency;
};

struct webhooks_query {
	struct rh_paging paging;
};

struct webhooks_page {
	struct webhook *rows;
	size_t n;
};

/* What to deliver again: as the feed told it, from since until before until. */
struct webhook_since {
	int64_t since, until;
	struct rh_slice event_types; /* p NULL: all that the endpoint wants */
};

struct webhook_replayed {
	int64_t deliveries;
	bool more;
	int64_t next_since; /* RH_TIME_NONE: there are no more */
};
#define WEBHOOK_REPLAY_MAX "10000"

extern const struct rh_field webhook_shape[];
extern const struct rh_field webhook_replayed_shape[];
extern const struct rh_resource webhooks_resource;
extern struct rh_stmt webhooks_stmts[];

void webhooks_repo_page(struct rh_call *c, const struct webhooks_query *q,
    struct webhooks_page *out);
bool webhooks_repo_get(struct rh_call *c, struct rh_uuid id,
    struct webhook *out);
/* False: the tenant has as many as it may. */
bool webhooks_repo_create(struct rh_call *c, struct rh_uuid id,
    const struct webhook_change *what, struct rh_slice sealed,
    struct webhook *out);
/* False with *exists: no row of that id, or not of that version. */
bool webhooks_repo_update(struct rh_call *c, struct rh_uuid id,
    const struct webhook_change *what, struct webhook *out, bool *exists);
bool webhooks_repo_rotate(struct rh_call *c, struct rh_uuid id,
    struct rh_slice sealed, struct webhook *out, bool *exists);
bool webhooks_repo_remove(struct rh_call *c, struct rh_uuid id, bool *exists);
/* Queued; read with rh_pipe_int: 1 where it is there. */
void webhooks_repo_exists_send(struct rh_call *c, struct rh_uuid id);
/* False: no such endpoint. */
bool webhooks_repo_replay(struct rh_call *c, struct rh_uuid id,
    const struct webhook_since *what, struct webhook_replayed *out);

struct rh_err *webhook_missing(struct rh_call *c);
/* 422 where one of a list's names is none that an event could have. */
struct rh_err *webhook_types_check(struct rh_call *c, struct rh_slice types);

/* ---- deliveries ---- */

struct delivery {
	struct rh_uuid id, webhook_id;
	struct rh_uuid
	    event_id; /* webhook-id: the same over attempts and replays */
	struct rh_slice type;
	int state;
	int64_t attempt;
	int64_t status, latency_ms; /* RH_INT_NONE: there was no reply */
	struct rh_slice error;
	int64_t due_at, created_at, finished_at;
	struct rh_slice request_id, trace_id;
	struct rh_slice payload; /* not in a page */
};

struct delivery_attempt {
	int64_t attempt;
	int64_t started_at;
	int64_t status, latency_ms;
	struct rh_slice error;
	struct rh_slice reply; /* its body's first bytes, as they came */
};

struct delivery_whole {
	struct delivery row;
	struct rh_list attempts;
};

struct deliveries_query {
	int state; /* -1: any */
	struct rh_slice type;
	struct rh_paging paging;
};

struct deliveries_page {
	struct delivery *rows;
	size_t n;
};

extern const struct rh_field delivery_shape[];
extern const struct rh_field delivery_attempt_shape[];
extern const char *const delivery_states[];
extern const struct rh_resource deliveries_resource;
extern struct rh_stmt deliveries_stmts[];

void deliveries_repo_page(struct rh_call *c, struct rh_uuid webhook,
    const struct deliveries_query *q, struct deliveries_page *out,
    bool *parent);
bool deliveries_repo_get(struct rh_call *c, struct rh_uuid id,
    struct delivery_whole *out);
/* False: no such endpoint; or no such delivery. */
bool deliveries_repo_test(struct rh_call *c, struct rh_uuid webhook,
    struct delivery *out);
bool deliveries_repo_replay(struct rh_call *c, struct rh_uuid id,
    struct delivery *out);

/* ---- the mail that tells of a pause: a job ---- */

extern const struct rh_resource webhook_pauses_resource;

#endif
