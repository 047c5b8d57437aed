#include "config.h"

#include "http/reply.h"

#include "http/json_write.h"
#include "http/req.h"

#define HEAD_MAX	((size_t)32 << 10)
#define BODY_MAX	((size_t)16 << 20)

void
rh_reply_init(struct rh_reply *reply, struct rh_arena *arena)
{
	*reply = (struct rh_reply){ .status = 200 };
	rh_buf_init(&reply->head, arena, 1024, HEAD_MAX);
	rh_buf_init(&reply->body, arena, 8192, BODY_MAX);
}

void
rh_reply_clear(struct rh_reply *reply)
{
	reply->head.n = 0;
	reply->body.n = 0;
	reply->head.full = reply->body.full = false;
	if (!reply->body.arena)		/* rh_reply_bytes: not ours to write to */
		rh_buf_init(&reply->body, reply->head.arena, 8192, BODY_MAX);
	reply->has_etag = false;
}

void
rh_reply_header(struct rh_reply *reply, const char *name, struct rh_slice value)
{
	size_t n = strlen(name);
	char *to = rh_buf_room(&reply->head, n + value.n + 4);

	rh_assert(to && !memchr(value.p, '\r', value.n) &&
	    !memchr(value.p, '\n', value.n));
	memcpy(to, name, n);
	memcpy(to + n, ": ", 2);
	memcpy(to + n + 2, value.p, value.n);
	memcpy(to + n + 2 + value.n, "\r\n", 2);
	reply->head.n += n + value.n + 4;
}

#define LINE(reply, literal)	rh_buf_lit(&(reply)->head, literal "\r\n")

static void
put_cache_control(struct rh_req *rq)
{
	if (rq->match.route && rq->match.route->flags & RH_ROUTE_CREDENTIALS)
		LINE(&rq->reply, "Cache-Control: no-store");
	else if (rq->reply.has_etag)
		LINE(&rq->reply, "Cache-Control: private, no-cache");
}

/* True: the client has it already. */
static bool
put_etag(struct rh_req *rq, int64_t version)
{
	char text[32];
	struct rh_buf etag;

	if (!rq->match.route || !(rq->match.route->flags & RH_ROUTE_ETAG) ||
	    version <= 0)
		return false;
	rh_buf_init_fixed(&etag, text, sizeof(text));
	rh_buf_lit(&etag, "\"v");
	rh_buf_i64(&etag, version);
	rh_buf_char(&etag, '"');
	rh_reply_header(&rq->reply, "ETag", rh_buf_get(&etag));
	rq->reply.has_etag = true;
	return (rq->method == RH_GET || rq->method == RH_HEAD) &&
	    rq->header[RH_H_IF_NONE_MATCH].p &&
	    rh_req_none_match(rq, rh_buf_get(&etag));
}

struct rh_err *
rh_reply_one(struct rh_req *rq, const struct rh_field *shape,
    const void *object, int64_t version)
{
	bool known = put_etag(rq, version);

	put_cache_control(rq);
	rq->reply.status = known ? 304 : 200;
	if (known)
		return NULL;
	LINE(&rq->reply, "Content-Type: application/json");
	rh_shape_write(&rq->reply.body, shape, object);
	rh_assert(!rq->reply.body.full);
	return NULL;
}

static struct rh_err *
reply_elsewhere(struct rh_req *rq, unsigned status, const struct rh_field *shape,
    const void *object, struct rh_slice location)
{
	put_cache_control(rq);
	rq->reply.status = status;
	if (location.p)
		rh_reply_header(&rq->reply, "Location", location);
	LINE(&rq->reply, "Content-Type: application/json");
	rh_shape_write(&rq->reply.body, shape, object);
	rh_assert(!rq->reply.body.full);
	return NULL;
}

struct rh_err *
rh_reply_created(struct rh_req *rq, const struct rh_field *shape,
    const void *object, struct rh_slice location, int64_t version)
{
	(void)put_etag(rq, version);
	return reply_elsewhere(rq, 201, shape, object, location);
}

struct rh_err *
rh_reply_accepted(struct rh_req *rq, const struct rh_field *shape,
    const void *object, struct rh_slice location)
{
	return reply_elsewhere(rq, 202, shape, object, location);
}

/* What Link's <> must not hold; targets are ASCII by now. */
static void
put_target(struct rh_buf *b, struct rh_slice text)
{
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];

		if (c == '<' || c == '>' || c == '"') {
			rh_buf_char(b, '%');
			rh_buf_hex(b, &c, 1);
		} else
			rh_buf_char(b, c);
	}
}

/* The same query with another cursor: what stood in it stays. */
static void
put_next_link(struct rh_req *rq, struct rh_slice next)
{
	struct rh_buf *head = &rq->reply.head;
	struct rh_slice rest = rq->query, pair;

	rh_buf_lit(head, "Link: <");
	put_target(head, rq->path);
	rh_buf_char(head, '?');
	while (rest.p) {
		pair = rh_slice_cut(&rest, '&');
		if (pair.n == 0 || rh_slice_has_prefix(pair, RH_SLICE("cursor=")))
			continue;
		put_target(head, pair);
		rh_buf_char(head, '&');
	}
	rh_buf_lit(head, "cursor=");
	rh_buf_slice(head, next);
	rh_buf_lit(head, ">; rel=\"next\"\r\n");
}

struct rh_err *
rh_reply_page(struct rh_req *rq, const struct rh_field *shape,
    const struct rh_page *page)
{
	struct rh_buf *body = &rq->reply.body;

	put_cache_control(rq);
	rq->reply.status = 200;
	LINE(&rq->reply, "Content-Type: application/json");
	if (page->next.p)
		put_next_link(rq, page->next);
	rh_buf_lit(body, "{\"data\":");
	rh_shape_write_list(body, shape, page->items, page->n, page->item_bytes);
	if (page->next.p) {
		rh_buf_lit(body, ",\"next_cursor\":\"");
		rh_buf_slice(body, page->next);
		rh_buf_lit(body, "\"}");
	} else
		rh_buf_lit(body, ",\"next_cursor\":null}");
	rh_assert(!body->full && !rq->reply.head.full);
	return NULL;
}

struct rh_err *
rh_reply_none(struct rh_req *rq)
{
	put_cache_control(rq);
	rq->reply.status = 204;
	return NULL;
}

static void
borrow(struct rh_buf *b, struct rh_slice body)
{
	*b = (struct rh_buf){ .p = (char *)(uintptr_t)body.p, .n = body.n,
		.cap = body.n, .max = body.n };
}

struct rh_err *
rh_reply_bytes(struct rh_req *rq, unsigned status, const char *type,
    struct rh_slice body)
{
	put_cache_control(rq);
	rq->reply.status = status;
	rh_reply_header(&rq->reply, "Content-Type", rh_slice_of(type));
	borrow(&rq->reply.body, body);
	return NULL;
}

void
rh_reply_again(struct rh_req *rq, unsigned status, struct rh_slice head,
    struct rh_slice body)
{
	rh_reply_clear(&rq->reply);
	rq->reply.status = status;
	rh_buf_slice(&rq->reply.head, head);
	rh_assert(!rq->reply.head.full);
	borrow(&rq->reply.body, body);
}

static const char *
reason(unsigned status)
{
	switch (status) {
	case 200: return "OK";
	case 201: return "Created";
	case 202: return "Accepted";
	case 204: return "No Content";
	case 304: return "Not Modified";
	}
	for (int kind = 0; kind < RH_E_COUNT; kind++)
		if (rh_problem_status((enum rh_err_kind)kind) == status)
			return rh_problem_title((enum rh_err_kind)kind);
	return "Status";
}

void
rh_reply_finish(struct rh_req *rq, struct rh_slice *head, struct rh_slice *body)
{
	struct rh_reply *reply = &rq->reply;
	bool bodiless = reply->status == 204 || reply->status == 304;
	struct rh_buf b;

	rh_buf_init(&b, rq->arena, reply->head.n + 192, reply->head.n + 192);
	rh_buf_slice(&b, rh_buf_get(&reply->head));
	/* behind Location, which HAProxy before 2025 else makes a 302 */
	rh_buf_lit(&b, "Status: ");
	rh_buf_u64(&b, reply->status);
	rh_buf_char(&b, ' ');
	rh_buf_slice(&b, rh_slice_of(reason(reply->status)));
	rh_buf_lit(&b, "\r\n");
	rh_buf_lit(&b, "X-Content-Type-Options: nosniff\r\n");
	if (!bodiless) {
		rh_buf_lit(&b, "Content-Length: ");
		rh_buf_u64(&b, reply->body.n);
		rh_buf_lit(&b, "\r\n");
	}
	rh_buf_lit(&b, "\r\n");
	rh_assert(!b.full);
	*head = rh_buf_get(&b);
	*body = bodiless || rq->method == RH_HEAD ? RH_SLICE("") :
	    rh_buf_get(&reply->body);
}
