/*
 * inboxes - what an admin can do with a tenant's inboxes.
 *
 * Admins alone, also to read: what was sent to a URL is as often as not
 * somebody's secret.
 */
#include "config.h"

#include "inboxes/inboxes.h"

#include "base/crypto.h"

#define T "/v1/t/{tenant}"
#define PREFIX "/in/"

enum {
	NAME_MAX_CHARS = 200,
	URL_MAX_CHARS = 2048,
	ANSWER_MAX_CHARS = 16384,
	QUOTA_MAX = 100000,
	TTL_MAX_S = 10 * 365 * 86400
};

const char *const inbox_answer_types[] = { "text/plain", "application/json",
	NULL };

/* clang-format off */
#define REST_OF_A_ROW								\
	{ RH_FIELD("forward_url", TEXT, struct inbox, forward_url), .flags = RH_F_NULLABLE, .format = "uri",	\
	  .doc = "what comes is sent on to here; the rest of its path and its query behind it" },		\
	{ RH_FIELD("answer_status", INT, struct inbox, answer_status), .min = 200, .max = 599,			\
	  .doc = "what the URL answers" },									\
	{ RH_FIELD("answer_type", ENUM, struct inbox, answer_type), .names = inbox_answer_types },		\
	{ RH_FIELD("answer_body", TEXT, struct inbox, answer_body) },						\
	{ RH_FIELD("quota", INT, struct inbox, quota), .min = 1, .max = QUOTA_MAX,				\
	  .doc = "so many requests are kept, the newest" },							\
	{ RH_FIELD("expires_at", TIME, struct inbox, expires_at), .flags = RH_F_NULLABLE },			\
	{ RH_FIELD("created_at", TIME, struct inbox, created_at) },						\
	{ RH_FIELD("updated_at", TIME, struct inbox, updated_at) },						\
	{ RH_FIELD("version", INT, struct inbox, version) },							\
	{ 0 }

const struct rh_field inbox_columns[] = {
	{ RH_FIELD("id", UUID, struct inbox, id) },
	{ RH_FIELD("name", TEXT, struct inbox, name) },
	{ RH_FIELD("sealed", TEXT, struct inbox, sealed) },
	REST_OF_A_ROW
};

static const struct rh_field inbox_shape[] = {
	{ RH_FIELD("id", UUID, struct inbox, id) },
	{ RH_FIELD("name", TEXT, struct inbox, name) },
	{ RH_FIELD("url", TEXT, struct inbox, url), .flags = RH_F_NULLABLE, .format = "uri-reference",
	  .doc = "where to send to, with any method, also to paths below it; a secret" },
	REST_OF_A_ROW
};

enum { F_NAME, F_FORWARD_URL, F_TTL };
static const struct rh_field change_shape[] = {
	[F_NAME] = { RH_FIELD("name", TEXT, struct inbox_change, name), .flags = RH_F_LINE,
	  .min = 1, .max = NAME_MAX_CHARS },
	[F_FORWARD_URL] = { RH_FIELD("forward_url", TEXT, struct inbox_change, forward_url),
	  .flags = RH_F_NULLABLE, .min = 1, .max = URL_MAX_CHARS, .format = "uri" },
	[F_TTL] = { RH_FIELD("ttl_seconds", INT, struct inbox_change, ttl_s), .flags = RH_F_NULLABLE,
	  .min = 1, .max = TTL_MAX_S, .doc = "from now on it lives so long; null, or never given: for ever" },
	{ RH_FIELD("answer_status", INT, struct inbox_change, answer_status), .min = 200, .max = 599,
	  .doc = "200 where not given" },
	{ RH_FIELD("answer_type", ENUM, struct inbox_change, answer_type), .names = inbox_answer_types },
	{ RH_FIELD("answer_body", TEXT, struct inbox_change, answer_body), .max = ANSWER_MAX_CHARS },
	{ RH_FIELD("quota", INT, struct inbox_change, quota), .min = 1, .max = QUOTA_MAX,
	  .doc = "at most what the operator allows, and that where it is not given" },
	{ 0 }
};

static const struct rh_field page_params[] = {
	RH_PAGING_FIELDS(struct inboxes_query, paging),
	{ 0 }
};
/* clang-format on */

/* ---- the URL ---- */

static void
seal_key(struct rh_call *c, unsigned char key[RH_SEAL_KEY_LEN])
{
	static const char what[] = "the tokens of inboxes";

	rh_hmac_sha256(key, c->conf->secret_key, what, sizeof(what) - 1);
}

/* One tenant's cannot be put into another's row. */
static struct rh_slice
seal_with(struct rh_call *c, struct rh_uuid id)
{
	char *with = rh_arena_alloc(c->arena, 2 * sizeof(id.b));

	memcpy(with, c->tenant.b, sizeof(id.b));
	memcpy(with + sizeof(id.b), id.b, sizeof(id.b));
	return (struct rh_slice){ with, 2 * sizeof(id.b) };
}

static struct rh_slice
seal(struct rh_call *c, struct rh_uuid id, struct rh_slice token)
{
	unsigned char *to = rh_arena_alloc(c->arena, token.n + RH_SEAL_MORE);
	unsigned char key[RH_SEAL_KEY_LEN];

	seal_key(c, key);
	rh_seal(to, key, seal_with(c, id), token);
	return (struct rh_slice){ (const char *)to, token.n + RH_SEAL_MORE };
}

static bool
is_host(struct rh_slice host)
{
	for (size_t i = 0; i < host.n; i++) {
		char ch = host.p[i];

		if (!(ch >= 'a' && ch <= 'z') && !(ch >= 'A' && ch <= 'Z') &&
		    !(ch >= '0' && ch <= '9') && !strchr(".-_:[]", ch))
			return false;
	}
	return host.n > 0;
}

/* "https://api.example", or nothing where nobody says so. */
static void
origin_put(struct rh_call *c, struct rh_buf *b)
{
	struct rh_slice origin = c->conf->public_url;

	while (origin.n && origin.p[origin.n - 1] == '/')
		origin.n--;
	rh_buf_slice(b, origin);
	if (origin.n || !is_host(c->rq->header[RH_H_HOST]))
		return;
	rh_buf_slice(b, c->rq->scheme);
	rh_buf_lit(b, "://");
	rh_buf_slice(b, c->rq->header[RH_H_HOST]);
}

static struct rh_slice
url_of(struct rh_call *c, struct rh_slice token)
{
	struct rh_buf b;

	rh_buf_init(&b, c->arena, 128, 4096);
	origin_put(c, &b);
	rh_buf_lit(&b, PREFIX);
	rh_buf_slice(&b, token);
	return b.full ? RH_SLICE_NONE : rh_buf_get(&b);
}

static void
url_open(struct rh_call *c, struct inbox *inbox)
{
	unsigned char key[RH_SEAL_KEY_LEN];
	unsigned char *token;

	inbox->url = RH_SLICE_NONE;
	if (inbox->sealed.n != RH_TOKEN_LEN + RH_SEAL_MORE)
		return;
	token = rh_arena_alloc(c->arena, RH_TOKEN_LEN);
	seal_key(c, key);
	if (rh_unseal(token, key, seal_with(c, inbox->id), inbox->sealed))
		inbox->url = url_of(c,
		    (struct rh_slice){ (const char *)token, RH_TOKEN_LEN });
}

/* ---- routes ---- */

static struct rh_err *
inbox_missing(struct rh_call *c)
{
	return rh_call_missing(c, "inbox.missing", "There is no such inbox.");
}

static struct rh_err *
change_read(struct rh_call *c, struct inbox_change *what)
{
	struct rh_given given;
	struct rh_err *err;

	*what = (struct inbox_change){ .answer_type = -1 };
	if ((err = rh_call_body(c, what, &given)))
		return err;
	what->has_forward_url = rh_given_has(given, F_FORWARD_URL);
	what->has_ttl = rh_given_has(given, F_TTL);
	return what->forward_url.p ?
	    inbox_url_check(c, what->forward_url, "/forward_url") :
	    NULL;
}

/* GET /v1/t/{tenant}/inboxes?limit=&cursor=	200 page of inbox | 400 */
static struct rh_err *
inboxes_list(struct rh_call *c)
{
	struct inboxes_query q = { { .limit = RH_PAGE_DEFAULT } };
	struct inboxes_page page;
	struct rh_err *err;

	if ((err = rh_call_query(c, &q)) ||
	    (err = rh_call_paging(c, &q.paging, 0)))
		return err;
	inboxes_repo_page(c, &q, &page);
	for (size_t i = 0; i < page.n; i++)
		url_open(c, &page.rows[i]);
	return rh_call_reply_page(c, &q.paging,
	    &(struct rh_page_of){ page.rows, page.n, sizeof(*page.rows),
		offsetof(struct inbox, created_at),
		offsetof(struct inbox, id) });
}

/* POST /v1/t/{tenant}/inboxes {name?,ttl_seconds?,forward_url?,…}	201 inbox | 409 422 */
static struct rh_err *
inboxes_create(struct rh_call *c)
{
	struct rh_uuid id = rh_uuid_v7();
	struct inbox inbox = { .version = 1 };
	struct inbox_change what;
	struct inbox_secret secret;
	struct rh_slice token;
	struct rh_err *err;

	if ((err = change_read(c, &what)))
		return err;
	token = rh_token_make(c->arena, RH_TOKEN_INBOX, &secret.token);
	secret.sealed = seal(c, id, token);
	if (!inboxes_repo_create(c, id, &what, &secret, &inbox))
		return rh_err_new(c->arena, RH_E_CONFLICT, "inbox.too_many",
		    "The tenant has %lld inboxes, and may not have more.",
		    (long long)c->conf->inboxes_max);
	inbox.url = url_of(c, token);
	return rh_reply_created(c->rq, inbox_shape, &inbox,
	    rh_call_location(c, inbox.id), inbox.version);
}

/* GET /v1/t/{tenant}/inboxes/{id}	200 inbox | 304 404 */
static struct rh_err *
inboxes_show(struct rh_call *c)
{
	struct inbox inbox;
	struct rh_uuid id;
	struct rh_err *err;

	if ((err = rh_req_uuid(c->rq, "id", &id)))
		return err;
	if (!inboxes_repo_get(c, id, &inbox))
		return inbox_missing(c);
	url_open(c, &inbox);
	return rh_reply_one(c->rq, inbox_shape, &inbox, inbox.version);
}

/* PATCH /v1/t/{tenant}/inboxes/{id}	200 inbox | 404 412 422 */
static struct rh_err *
inboxes_update(struct rh_call *c)
{
	struct inbox_change what;
	struct inbox inbox;
	struct rh_uuid id;
	struct rh_err *err;
	bool exists;

	if ((err = rh_req_uuid(c->rq, "id", &id)) ||
	    (err = change_read(c, &what)))
		return err;
	if (!inboxes_repo_update(c, id, &what, &inbox, &exists))
		return rh_call_unchanged(c, exists, "inbox.missing",
		    "There is no such inbox.");
	url_open(c, &inbox);
	return rh_reply_one(c->rq, inbox_shape, &inbox, inbox.version);
}

/* DELETE /v1/t/{tenant}/inboxes/{id}	204 | 404 412 */
static struct rh_err *
inboxes_delete(struct rh_call *c)
{
	struct rh_uuid id;
	struct rh_err *err;
	bool exists;

	if ((err = rh_req_uuid(c->rq, "id", &id)))
		return err;
	if (!inboxes_repo_delete(c, id, &exists))
		return rh_call_unchanged(c, exists, "inbox.missing",
		    "There is no such inbox.");
	return rh_reply_none(c->rq);
}

/* clang-format off */
static const struct rh_route routes[] = {
	{ .method = RH_GET, .template = T "/inboxes", .role = RH_ADMIN, .handler = inboxes_list,
	  .rate = RH_RATE_READ, .params = page_params, .answer = RH_ANSWER_PAGE, .shape = inbox_shape,
	  .flags = RH_ROUTE_CREDENTIALS, .summary = "List inboxes, the newest first" },
	{ .method = RH_POST, .template = T "/inboxes", .role = RH_ADMIN, .handler = inboxes_create,
	  .rate = RH_RATE_WRITE, .body = change_shape, .answer = RH_ANSWER_CREATED, .shape = inbox_shape,
	  .flags = RH_ROUTE_CREDENTIALS | RH_ROUTE_SECURITY, .summary = "Create an inbox: a URL that records what is sent to it" },
	{ .method = RH_GET, .template = T "/inboxes/{id}", .role = RH_ADMIN, .handler = inboxes_show,
	  .rate = RH_RATE_READ, .shape = inbox_shape, .flags = RH_ROUTE_ETAG | RH_ROUTE_CREDENTIALS,
	  .summary = "Read an inbox" },
	{ .method = RH_PATCH, .template = T "/inboxes/{id}", .role = RH_ADMIN, .handler = inboxes_update,
	  .rate = RH_RATE_WRITE, .body = change_shape, .shape = inbox_shape,
	  .flags = RH_ROUTE_ETAG | RH_ROUTE_MERGE | RH_ROUTE_CREDENTIALS | RH_ROUTE_SECURITY, .summary = "Change an inbox" },
	{ .method = RH_DELETE, .template = T "/inboxes/{id}", .role = RH_ADMIN, .handler = inboxes_delete,
	  .rate = RH_RATE_WRITE, .answer = RH_ANSWER_NONE, .flags = RH_ROUTE_ETAG | RH_ROUTE_SECURITY,
	  .summary = "Delete an inbox with all that it recorded; its URL is 404 from then on" },
	{ 0 }
};
/* clang-format on */

const struct rh_resource inboxes_resource = {
	.name = "inboxes",
	.routes = routes,
	.stmts = inboxes_stmts,
};
