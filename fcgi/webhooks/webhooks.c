/*
 * webhooks - what an admin can do with a tenant's endpoints.
 */
#include "config.h"

#include "webhooks/webhooks.h"

#include "base/clock.h"
#include "jobs/out.h"
#include "jobs/sign.h"

#define T "/v1/t/{tenant}"

enum {
	URL_MAX_CHARS = 2048,
	DESCRIPTION_MAX_CHARS = 500,
	TYPES_MAX = 64,
	TYPE_MAX_CHARS = 100,
	RATE_MAX = 1000,
	CONCURRENCY_MAX = 100
};

static const char *const statuses
    [] = { [WEBHOOK_ACTIVE] = "active", [WEBHOOK_PAUSED] = "paused", NULL };
static const char *const reasons[] = { "asked", "failing", "gone", NULL };

/* clang-format off */
#define WEBHOOK_FIELDS(record, in)							\
	{ RH_FIELD("id", UUID, record, in id) },					\
	{ RH_FIELD("url", TEXT, record, in url), .format = "uri" },			\
	{ RH_FIELD("event_types", TEXTS, record, in event_types), .max = TYPES_MAX,	\
	  .size = TYPE_MAX_CHARS, .doc = "none: all of them" },				\
	{ RH_FIELD("description", TEXT, record, in description) },			\
	{ RH_FIELD("status", ENUM, record, in status), .names = statuses },		\
	{ RH_FIELD("paused_reason", ENUM, record, in paused_reason), .names = reasons,	\
	  .flags = RH_F_NULLABLE, .doc = "asked: by hand; failing: for days; gone: it said 410" }, \
	{ RH_FIELD("failing_since", TIME, record, in failing_since), .flags = RH_F_NULLABLE, \
	  .doc = "the first failure since the last success" },				\
	{ RH_FIELD("rate_per_s", INT, record, in rate_per_s), .flags = RH_F_NULLABLE,	\
	  .min = 1, .max = RATE_MAX, .doc = "null: the operator's default" },		\
	{ RH_FIELD("concurrency", INT, record, in concurrency), .flags = RH_F_NULLABLE,	\
	  .min = 1, .max = CONCURRENCY_MAX, .doc = "requests at a time; null: the operator's default" }, \
	{ RH_FIELD("old_secret_until", TIME, record, in old_secret_until), .flags = RH_F_NULLABLE, \
	  .doc = "until then the former secret signs beside the present one" },		\
	{ RH_FIELD("created_at", TIME, record, in created_at) },			\
	{ RH_FIELD("updated_at", TIME, record, in updated_at) },			\
	{ RH_FIELD("version", INT, record, in version) }

const struct rh_field webhook_shape[] = {
	WEBHOOK_FIELDS(struct webhook, ),
	{ 0 }
};

static const struct rh_field made_shape[] = {
	WEBHOOK_FIELDS(struct webhook_made, row.),
	{ RH_FIELD("secret", TEXT, struct webhook_made, secret),
	  .doc = "signs what is sent there (Standard Webhooks): shown this once" },
	{ 0 }
};

#define URL_FIELD									\
	{ RH_FIELD("url", TEXT, struct webhook_change, url),				\
	  .flags = RH_F_REQUIRED | RH_F_LINE, .min = 1, .max = URL_MAX_CHARS, .format = "uri", \
	  .doc = "http or https, without credentials, to a public address" }
#define TYPES_FIELD									\
	{ RH_FIELD("event_types", TEXTS, struct webhook_change, event_types),		\
	  .flags = RH_F_REQUIRED, .max = TYPES_MAX, .size = TYPE_MAX_CHARS,		\
	  .doc = "\"task.created\", or \"task.*\" for all of tasks; none: all events" }
#define DESCRIPTION_FIELD								\
	{ RH_FIELD("description", TEXT, struct webhook_change, description),		\
	  .max = DESCRIPTION_MAX_CHARS }
#define RATE_FIELD									\
	{ RH_FIELD("rate_per_s", INT, struct webhook_change, rate_per_s),		\
	  .flags = RH_F_NULLABLE, .min = 1, .max = RATE_MAX,				\
	  .doc = "requests begun in a second; null: the operator's default" }
#define CONCURRENCY_FIELD								\
	{ RH_FIELD("concurrency", INT, struct webhook_change, concurrency),		\
	  .flags = RH_F_NULLABLE, .min = 1, .max = CONCURRENCY_MAX,			\
	  .doc = "requests at a time; null: the operator's default" }

static const struct rh_field new_shape[] = {
	URL_FIELD, TYPES_FIELD, DESCRIPTION_FIELD, RATE_FIELD, CONCURRENCY_FIELD,
	{ 0 }
};

enum { F_URL, F_TYPES, F_DESCRIPTION, F_RATE, F_CONCURRENCY, F_STATUS };
static const struct rh_field change_shape[] = {
	[F_URL] = URL_FIELD,
	[F_TYPES] = TYPES_FIELD,
	[F_DESCRIPTION] = DESCRIPTION_FIELD,
	[F_RATE] = RATE_FIELD,
	[F_CONCURRENCY] = CONCURRENCY_FIELD,
	[F_STATUS] = { RH_FIELD("status", ENUM, struct webhook_change, status), .names = statuses,
	  .doc = "active resumes what was paused" },
	{ 0 }
};

static const struct rh_field since_shape[] = {
	{ RH_FIELD("since", TIME, struct webhook_since, since), .flags = RH_F_REQUIRED,
	  .doc = "events that were told then, or later" },
	{ RH_FIELD("until", TIME, struct webhook_since, until), .doc = "and before then" },
	{ RH_FIELD("event_types", TEXTS, struct webhook_since, event_types), .max = TYPES_MAX,
	  .size = TYPE_MAX_CHARS, .doc = "of these types alone, and of those that the endpoint wants" },
	{ 0 }
};

const struct rh_field webhook_replayed_shape[] = {
	{ RH_FIELD("deliveries", INT, struct webhook_replayed, deliveries),
	  .doc = "how many were made, at most " WEBHOOK_REPLAY_MAX },
	{ RH_FIELD("more", BOOL, struct webhook_replayed, more), .doc = "there are more events than that" },
	{ RH_FIELD("next_since", TIME, struct webhook_replayed, next_since), .flags = RH_F_NULLABLE,
	  .doc = "goes on behind these" },
	{ 0 }
};

static const struct rh_field page_params[] = {
	RH_PAGING_FIELDS(struct webhooks_query, paging),
	{ 0 }
};
/* clang-format on */

#define MISSING "webhook.missing", "There is no such webhook."

struct rh_err *
webhook_missing(struct rh_call *c)
{
	return rh_call_missing(c, MISSING);
}

/* ---- what may stand in them ---- */

static struct rh_err *
refused(struct rh_call *c, const char *code, const char *field,
    const char *detail)
{
	struct rh_err *err = rh_err_new(c->arena, RH_E_INVALID, code, "%s",
	    detail);

	err->field = field;
	return err;
}

static bool
is_word(struct rh_slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!(s.p[i] >= 'a' && s.p[i] <= 'z') &&
		    (i == 0 ||
			!(s.p[i] == '_' || (s.p[i] >= '0' && s.p[i] <= '9'))))
			return false;
	return s.n > 0;
}

/* "task.created", "task.*" */
static bool
is_type(struct rh_slice s)
{
	struct rh_slice verb = s, resource = rh_slice_cut(&verb, '.');

	return is_word(resource) && verb.p &&
	    (is_word(verb) || rh_slice_is(verb, RH_SLICE("*")));
}

/* Compact JSON, so that what stands between two quotes is a name; in one that
 * is good nothing is escaped. */
struct rh_err *
webhook_types_check(struct rh_call *c, struct rh_slice types)
{
	struct rh_slice rest = types, name;

	(void)rh_slice_cut(&rest, '"');
	for (unsigned i = 0; rest.p; i++) {
		name = rh_slice_cut(&rest, '"');
		if (!is_type(name))
			return refused(c, "webhook.type_malformed",
			    rh_arena_printf(c->arena, "/event_types/%u", i),
			    "has to be resource.verb or resource.*, in lower"
			    " case, like task.created");
		if (rest.p)
			(void)rh_slice_cut(&rest, '"');
	}
	return NULL;
}

/* Of a refusal of out.h. */
static const char *
why_refused(const char *code)
{
	/* clang-format off */
	static const struct { const char *code, *detail; } refusals[] = {
		{ "refused.scheme", "has to begin with https:// or http://" },
		{ "refused.credentials", "may not hold a user or a password" },
		{ "refused.port", "names a port that is another protocol's" },
		{ "refused.address", "is an address that is not public" },
	};
	/* clang-format on */

	for (size_t i = 0; i < RH_COUNT(refusals); i++)
		if (strcmp(code, refusals[i].code) == 0)
			return refusals[i].detail;
	return "is no URL that can be asked";
}

/* A name is looked up when the socket is opened, and its addresses refused then. */
static struct rh_err *
url_check(struct rh_call *c, struct rh_slice url)
{
	struct rh_cidrs allow = { NULL, 0 };
	struct rh_slice fault;
	const char *code;

	/* it was checked when it was read */
	if (!rh_cidrs_get(&allow, c->conf->webhook_allow, c->arena, &fault))
		allow.n = 0;
	code = rh_out_refuses_under(&(struct rh_out_conf){ .allow = &allow },
	    url);
	return code ?
	    refused(c, "webhook.url_refused", "/url", why_refused(code)) :
	    NULL;
}

static struct rh_err *
change_read(struct rh_call *c, struct webhook_change *what)
{
	struct rh_given given;
	struct rh_err *err;

	*what = (struct webhook_change){ .status = -1,
		.rate_per_s = RH_INT_NONE,
		.concurrency = RH_INT_NONE };
	if ((err = rh_call_body(c, what, &given)) ||
	    (what->url.p && (err = url_check(c, what->url))) ||
	    (what->event_types.p &&
		(err = webhook_types_check(c, what->event_types))))
		return err;
	what->has_rate = rh_given_has(given, F_RATE);
	what->has_concurrency = rh_given_has(given, F_CONCURRENCY);
	return NULL;
}

/* A new secret, as it is shown and as it is stored. */
static struct rh_slice
secret_make(struct rh_call *c, struct rh_uuid webhook, struct rh_slice *sealed)
{
	char *text = rh_arena_alloc(c->arena, RH_HOOK_SECRET_TEXT_MAX);
	unsigned char *bytes = rh_arena_alloc(c->arena, RH_HOOK_SEALED_MAX);
	struct rh_hook_secret secret;
	struct rh_hook_key key;

	rh_hook_key_init(&key, c->conf->secret_key);
	rh_hook_secret_make(&secret);
	*sealed = rh_hook_secret_seal(bytes, &key, c->tenant, webhook, &secret);
	return rh_hook_secret_spell(text, &secret);
}

/* ---- handlers ---- */

/* GET /v1/t/{tenant}/webhooks?limit=&cursor=	200 page of webhook | 400 */
static struct rh_err *
webhooks_list(struct rh_call *c)
{
	struct webhooks_query q = { { .limit = RH_PAGE_DEFAULT } };
	struct webhooks_page page;
	struct rh_err *err;

	if ((err = rh_call_query(c, &q)) ||
	    (err = rh_call_paging(c, &q.paging, 0)))
		return err;
	webhooks_repo_page(c, &q, &page);
	return rh_call_reply_page(c, &q.paging,
	    &(struct rh_page_of){ page.rows, page.n, sizeof(*page.rows),
		offsetof(struct webhook, created_at),
		offsetof(struct webhook, id) });
}

/* POST /v1/t/{tenant}/webhooks {url,event_types,...}	201 webhook with its secret | 409 422 */
static struct rh_err *
webhooks_create(struct rh_call *c)
{
	struct webhook_made made = { .row.version = 1 };
	struct rh_uuid id = rh_uuid_v7();
	struct webhook_change what;
	struct rh_slice sealed;
	struct rh_err *err;

	if ((err = change_read(c, &what)))
		return err;
	made.secret = secret_make(c, id, &sealed);
	if (!webhooks_repo_create(c, id, &what, sealed, &made.row))
		return rh_err_new(c->arena, RH_E_CONFLICT, "webhook.too_many",
		    "The tenant has as many webhooks as it may: %lld.",
		    (long long)c->conf->webhook_max);
	return rh_reply_created(c->rq, made_shape, &made,
	    rh_call_location(c, made.row.id), made.row.version);
}

/* GET /v1/t/{tenant}/webhooks/{id}	200 webhook | 304 404 */
static struct rh_err *
webhooks_show(struct rh_call *c)
{
	struct webhook webhook;
	struct rh_uuid id;
	struct rh_err *err;

	if ((err = rh_req_uuid(c->rq, "id", &id)))
		return err;
	if (!webhooks_repo_get(c, id, &webhook))
		return webhook_missing(c);
	return rh_reply_one(c->rq, webhook_shape, &webhook, webhook.version);
}

/* PATCH /v1/t/{tenant}/webhooks/{id}	200 webhook | 404 412 422 */
static struct rh_err *
webhooks_update(struct rh_call *c)
{
	struct webhook_change what;
	struct webhook webhook;
	struct rh_uuid id;
	struct rh_err *err;
	bool exists;

	if ((err = rh_req_uuid(c->rq, "id", &id)) ||
	    (err = change_read(c, &what)))
		return err;
	if (!webhooks_repo_update(c, id, &what, &webhook, &exists))
		return rh_call_unchanged(c, exists, MISSING);
	return rh_reply_one(c->rq, webhook_shape, &webhook, webhook.version);
}

/* POST /v1/t/{tenant}/webhooks/{id}/rotate-secret	200 webhook with its new secret | 404 412 */
static struct rh_err *
webhooks_rotate(struct rh_call *c)
{
	struct webhook_made made;
	struct rh_slice sealed;
	struct rh_uuid id;
	struct rh_err *err;
	bool exists;

	if ((err = rh_req_uuid(c->rq, "id", &id)))
		return err;
	made.secret = secret_make(c, id, &sealed);
	if (!webhooks_repo_rotate(c, id, sealed, &made.row, &exists))
		return rh_call_unchanged(c, exists, MISSING);
	return rh_reply_one(c->rq, made_shape, &made, made.row.version);
}

/* POST /v1/t/{tenant}/webhooks/{id}/replay {since,until?,event_types?}	202 how many | 404 422 */
static struct rh_err *
webhooks_replay(struct rh_call *c)
{
	struct webhook_since what = { .until = RH_TIME_NONE };
	struct webhook_replayed replayed;
	struct rh_uuid id;
	struct rh_err *err;

	if ((err = rh_req_uuid(c->rq, "id", &id)) ||
	    (err = rh_call_body(c, &what, NULL)) ||
	    (what.event_types.p &&
		(err = webhook_types_check(c, what.event_types))))
		return err;
	if (what.until != RH_TIME_NONE && what.until <= what.since)
		return refused(c, "body.invalid", "/until",
		    "has to be behind since");
	if (!webhooks_repo_replay(c, id, &what, &replayed))
		return webhook_missing(c);
	return rh_reply_accepted(c->rq, webhook_replayed_shape, &replayed,
	    RH_SLICE_NONE);
}

/* DELETE /v1/t/{tenant}/webhooks/{id}	204 | 404 412 */
static struct rh_err *
webhooks_remove(struct rh_call *c)
{
	struct rh_uuid id;
	struct rh_err *err;
	bool exists;

	if ((err = rh_req_uuid(c->rq, "id", &id)))
		return err;
	if (!webhooks_repo_remove(c, id, &exists))
		return rh_call_unchanged(c, exists, MISSING);
	return rh_reply_none(c->rq);
}

/* clang-format off */
static const struct rh_route routes[] = {
	{ .method = RH_GET, .template = T "/webhooks", .role = RH_ADMIN, .handler = webhooks_list,
	  .rate = RH_RATE_READ, .params = page_params, .answer = RH_ANSWER_PAGE, .shape = webhook_shape,
	  .summary = "List webhooks, the newest first" },
	{ .method = RH_POST, .template = T "/webhooks", .role = RH_ADMIN, .handler = webhooks_create,
	  .rate = RH_RATE_WRITE, .body = new_shape, .answer = RH_ANSWER_CREATED, .shape = made_shape,
	  .flags = RH_ROUTE_CREDENTIALS | RH_ROUTE_SECURITY, .summary = "Have a tenant's events delivered to a URL" },
	{ .method = RH_GET, .template = T "/webhooks/{id}", .role = RH_ADMIN, .handler = webhooks_show,
	  .rate = RH_RATE_READ, .shape = webhook_shape, .flags = RH_ROUTE_ETAG,
	  .summary = "Read a webhook, less its secret" },
	{ .method = RH_PATCH, .template = T "/webhooks/{id}", .role = RH_ADMIN, .handler = webhooks_update,
	  .rate = RH_RATE_WRITE, .body = change_shape, .shape = webhook_shape,
	  .flags = RH_ROUTE_ETAG | RH_ROUTE_MERGE, .summary = "Change, pause or resume a webhook" },
	{ .method = RH_DELETE, .template = T "/webhooks/{id}", .role = RH_ADMIN, .handler = webhooks_remove,
	  .rate = RH_RATE_WRITE, .answer = RH_ANSWER_NONE, .flags = RH_ROUTE_ETAG | RH_ROUTE_SECURITY,
	  .summary = "Remove a webhook, and what is known of its deliveries" },
	{ .method = RH_POST, .template = T "/webhooks/{id}/rotate-secret", .role = RH_ADMIN,
	  .handler = webhooks_rotate, .rate = RH_RATE_WRITE, .shape = made_shape,
	  .flags = RH_ROUTE_CREDENTIALS | RH_ROUTE_SECURITY,
	  .summary = "Replace the secret; the former signs beside it for 24 hours" },
	{ .method = RH_POST, .template = T "/webhooks/{id}/replay", .role = RH_ADMIN,
	  .handler = webhooks_replay, .rate = RH_RATE_WRITE, .body = since_shape,
	  .answer = RH_ANSWER_ACCEPTED, .shape = webhook_replayed_shape,
	  .summary = "Deliver again what was told since some time, the oldest first" },
	{ 0 }
};
/* clang-format on */

const struct rh_resource webhooks_resource = {
	.name = "webhooks",
	.routes = routes,
	.stmts = webhooks_stmts,
};
