/*
 * events - what happened in a tenant, as a feed.
 *
 * A client keeps next_cursor and comes again with it: at once while the page
 * was full, after a pause when it was not. It is there always, also on an empty
 * page; no event is ever put in front of it.
 */
#include "config.h"

#include "events/events.h"

#include "base/crypto.h"

#define T "/v1/t/{tenant}"

enum { TYPE_MAX_CHARS = 100 };

/* clang-format off */
const struct rh_field event_shape[] = {
	{ RH_FIELD("id", UUID, struct event, id) },
	{ RH_FIELD("type", TEXT, struct event, type), .doc = "resource.verb, in the past tense" },
	{ RH_FIELD("subject_id", UUID, struct event, subject_id), .doc = "what it happened to" },
	{ RH_FIELD("actor_id", UUID, struct event, actor_id), .flags = RH_F_NULLABLE,
	  .doc = "the user, or the one who made the key" },
	{ RH_FIELD("payload", JSON, struct event, payload), .doc = "the subject as the change left it" },
	{ RH_FIELD("trace_id", TEXT, struct event, trace_id), .min = 32, .max = 32,
	  .doc = "of the request that did it" },
	{ RH_FIELD("request_id", TEXT, struct event, request_id), .doc = "of the request that did it" },
	{ RH_FIELD("created_at", TIME, struct event, created_at),
	  .doc = "when it happened; the feed is in the order in which it was told" },
	{ RH_FIELD("pos", INT, struct event, pos), .flags = RH_F_INTERNAL },
	{ 0 }
};

static const struct rh_field feed_params[] = {
	{ RH_FIELD("type", TEXT, struct events_query, type), .min = 1, .max = TYPE_MAX_CHARS,
	  .doc = "only those" },
	RH_PAGING_FIELDS(struct events_query, paging),
	{ 0 }
};
/* clang-format on */

/* GET /v1/t/{tenant}/events?type=&limit=&cursor=	200 page of event | 400 */
static struct rh_err *
events_list(struct rh_call *c)
{
	struct events_query q = { .paging = { .limit = RH_PAGE_DEFAULT } };
	struct events_page page;
	struct rh_err *err;

	if ((err = rh_call_query(c, &q)) ||
	    (err = rh_call_paging(c, &q.paging,
		 q.type.p ? rh_hash64(q.type.p, q.type.n) : 0)))
		return err;
	events_repo_page(c, &q, &page);
	return rh_call_reply_feed(c, &q.paging,
	    &(struct rh_page_of){ page.rows, page.n, sizeof(*page.rows),
		offsetof(struct event, pos), offsetof(struct event, id) });
}

/* GET /v1/t/{tenant}/events/{id}	200 event | 404 */
static struct rh_err *
events_show(struct rh_call *c)
{
	struct event event;
	struct rh_uuid id;
	struct rh_err *err;

	if ((err = rh_req_uuid(c->rq, "id", &id)))
		return err;
	if (!events_repo_get(c, id, &event))
		return rh_call_missing(c, "event.missing",
		    "There is no such event.");
	return rh_reply_one(c->rq, event_shape, &event, 0);
}

/* clang-format off */
static const struct rh_route routes[] = {
	{ .method = RH_GET, .template = T "/events", .role = RH_VIEWER, .handler = events_list,
	  .rate = RH_RATE_READ, .params = feed_params, .answer = RH_ANSWER_PAGE, .shape = event_shape,
	  .summary = "List events, the oldest first; next_cursor goes on where this page ended, also once there are more" },
	{ .method = RH_GET, .template = T "/events/{id}", .role = RH_VIEWER, .handler = events_show,
	  .rate = RH_RATE_READ, .shape = event_shape, .summary = "Read an event" },
	{ 0 }
};
/* clang-format on */

const struct rh_resource events_resource = {
	.name = "events",
	.routes = routes,
	.stmts = events_stmts,
};
