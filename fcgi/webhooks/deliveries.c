/*
 * deliveries - what became of each telling, and to tell it again.
 */
#include "config.h"

#include "webhooks/webhooks.h"

#include "base/crypto.h"

#define T "/v1/t/{tenant}"

enum { TYPE_MAX_CHARS = 100 };

const char *const delivery_states[] = { "waiting", "sending", "delivered",
	"failed", "cancelled", NULL };

/* clang-format off */
#define DELIVERY_FIELDS(record, in)							\
	{ RH_FIELD("id", UUID, record, in id) },					\
	{ RH_FIELD("webhook_id", UUID, record, in webhook_id) },			\
	{ RH_FIELD("event_id", UUID, record, in event_id),				\
	  .doc = "webhook-id of its requests: the same over attempts and replays" },	\
	{ RH_FIELD("type", TEXT, record, in type) },					\
	{ RH_FIELD("state", ENUM, record, in state), .names = delivery_states },	\
	{ RH_FIELD("attempt", INT, record, in attempt), .doc = "how many have begun" },	\
	{ RH_FIELD("status", INT, record, in status), .flags = RH_F_NULLABLE,		\
	  .doc = "of the last reply" },							\
	{ RH_FIELD("latency_ms", INT, record, in latency_ms), .flags = RH_F_NULLABLE },	\
	{ RH_FIELD("error", TEXT, record, in error), .flags = RH_F_NULLABLE,		\
	  .doc = "why there was no reply, or none that counts" },			\
	{ RH_FIELD("due_at", TIME, record, in due_at), .doc = "of the next attempt, while it waits" }, \
	{ RH_FIELD("created_at", TIME, record, in created_at) },			\
	{ RH_FIELD("finished_at", TIME, record, in finished_at), .flags = RH_F_NULLABLE }, \
	{ RH_FIELD("request_id", TEXT, record, in request_id), .doc = "of the request behind it" }, \
	{ RH_FIELD("trace_id", TEXT, record, in trace_id), .min = 32, .max = 32,	\
	  .doc = "of the request behind it" }

const struct rh_field delivery_shape[] = {
	DELIVERY_FIELDS(struct delivery, ),
	{ 0 }
};

const struct rh_field delivery_attempt_shape[] = {
	{ RH_FIELD("attempt", INT, struct delivery_attempt, attempt) },
	{ RH_FIELD("started_at", TIME, struct delivery_attempt, started_at) },
	{ RH_FIELD("status", INT, struct delivery_attempt, status), .flags = RH_F_NULLABLE },
	{ RH_FIELD("latency_ms", INT, struct delivery_attempt, latency_ms) },
	{ RH_FIELD("error", TEXT, struct delivery_attempt, error), .flags = RH_F_NULLABLE },
	{ RH_FIELD("reply", TEXT, struct delivery_attempt, reply),
	  .doc = "the first bytes of its body; what is not UTF-8 is U+FFFD" },
	{ 0 }
};

static const struct rh_field whole_shape[] = {
	DELIVERY_FIELDS(struct delivery_whole, row.),
	{ RH_FIELD("payload", JSON, struct delivery_whole, row.payload), .doc = "the event's" },
	{ RH_NAMED("attempts"), .type = RH_T_LIST, .at = RH_AT(LIST, struct delivery_whole, attempts),
	  .of = delivery_attempt_shape, .size = sizeof(struct delivery_attempt) },
	{ 0 }
};

static const struct rh_field list_params[] = {
	{ RH_FIELD("state", ENUM, struct deliveries_query, state), .names = delivery_states,
	  .doc = "only those" },
	{ RH_FIELD("type", TEXT, struct deliveries_query, type), .min = 1, .max = TYPE_MAX_CHARS,
	  .doc = "only those of this event type" },
	RH_PAGING_FIELDS(struct deliveries_query, paging),
	{ 0 }
};
/* clang-format on */

static struct rh_err *
delivery_missing(struct rh_call *c)
{
	return rh_call_missing(c, "delivery.missing",
	    "There is no such delivery.");
}

/* It stands under /webhook-deliveries, whatever made it. */
static struct rh_slice
location(struct rh_call *c, struct rh_uuid id)
{
	char text[RH_UUID_LEN];

	rh_uuid_put(text, id);
	return rh_slice_of(
	    rh_arena_printf(c->arena, "/v1/t/%.*s/webhook-deliveries/%.*s",
		RH_SLICE_ARG(c->tenant_slug), RH_UUID_LEN, text));
}

/* GET /v1/t/{tenant}/webhooks/{id}/deliveries?state=&type=&limit=&cursor=	200 page of delivery | 400 404 */
static struct rh_err *
deliveries_list(struct rh_call *c)
{
	struct deliveries_query q = { .state = -1,
		.paging = { .limit = RH_PAGE_DEFAULT } };
	struct deliveries_page page;
	struct rh_uuid webhook;
	struct rh_err *err;
	bool parent;

	if ((err = rh_req_uuid(c->rq, "id", &webhook)) ||
	    (err = rh_call_query(c, &q)) ||
	    (err = rh_call_paging(c, &q.paging,
		 rh_hash64(q.type.p, q.type.n) ^ (uint64_t)(q.state + 1))))
		return err;
	deliveries_repo_page(c, webhook, &q, &page, &parent);
	if (!parent)
		return webhook_missing(c);
	return rh_call_reply_page(c, &q.paging,
	    &(struct rh_page_of){ page.rows, page.n, sizeof(*page.rows),
		offsetof(struct delivery, created_at),
		offsetof(struct delivery, id) });
}

/* GET /v1/t/{tenant}/webhook-deliveries/{id}	200 delivery with its attempts | 404 */
static struct rh_err *
deliveries_show(struct rh_call *c)
{
	struct delivery_whole whole;
	struct rh_uuid id;
	struct rh_err *err;

	if ((err = rh_req_uuid(c->rq, "id", &id)))
		return err;
	if (!deliveries_repo_get(c, id, &whole))
		return delivery_missing(c);
	return rh_reply_one(c->rq, whole_shape, &whole, 0);
}

/* POST /v1/t/{tenant}/webhooks/{id}/test	202 delivery | 404 */
static struct rh_err *
deliveries_test(struct rh_call *c)
{
	struct delivery made = { .state = 0 };
	struct rh_uuid webhook;
	struct rh_err *err;

	if ((err = rh_req_uuid(c->rq, "id", &webhook)))
		return err;
	if (!deliveries_repo_test(c, webhook, &made))
		return webhook_missing(c);
	return rh_reply_accepted(c->rq, delivery_shape, &made,
	    location(c, made.id));
}

/* POST /v1/t/{tenant}/webhook-deliveries/{id}/replay	202 delivery | 404 */
static struct rh_err *
deliveries_replay(struct rh_call *c)
{
	struct delivery made = { .state = 0 };
	struct rh_uuid id;
	struct rh_err *err;

	if ((err = rh_req_uuid(c->rq, "id", &id)))
		return err;
	if (!deliveries_repo_replay(c, id, &made))
		return delivery_missing(c);
	return rh_reply_accepted(c->rq, delivery_shape, &made,
	    location(c, made.id));
}

/* clang-format off */
static const struct rh_route routes[] = {
	{ .method = RH_GET, .template = T "/webhooks/{id}/deliveries", .role = RH_ADMIN,
	  .handler = deliveries_list, .rate = RH_RATE_READ, .params = list_params,
	  .answer = RH_ANSWER_PAGE, .shape = delivery_shape,
	  .summary = "List an endpoint's deliveries, the newest first" },
	{ .method = RH_GET, .template = T "/webhook-deliveries/{id}", .role = RH_ADMIN,
	  .handler = deliveries_show, .rate = RH_RATE_READ, .shape = whole_shape,
	  .summary = "Read a delivery, with its payload and its attempts" },
	{ .method = RH_POST, .template = T "/webhooks/{id}/test", .role = RH_ADMIN,
	  .handler = deliveries_test, .rate = RH_RATE_WRITE, .answer = RH_ANSWER_ACCEPTED,
	  .shape = delivery_shape, .summary = "Deliver an event webhook.test to this endpoint alone, also while it is paused" },
	{ .method = RH_POST, .template = T "/webhook-deliveries/{id}/replay", .role = RH_ADMIN,
	  .handler = deliveries_replay, .rate = RH_RATE_WRITE, .answer = RH_ANSWER_ACCEPTED,
	  .shape = delivery_shape, .summary = "Deliver the same event again" },
	{ 0 }
};

static const struct rh_pg_constraint constraints[] = {
	{ "webhook_deliveries_tenant_id_webhook_id_fkey", RH_E_MISSING, "webhook.missing",
	  "There is no such webhook.", NULL },
	{ 0 }
};
/* clang-format on */

const struct rh_resource deliveries_resource = {
	.name = "deliveries",
	.routes = routes,
	.stmts = deliveries_stmts,
	.constraints = constraints,
};
