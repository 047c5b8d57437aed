/*
 * reply - what goes back, built whole before a byte is sent.
 *
 * Shape    status, header lines, body; one object, a page of them, or a
 *          problem. JSON bodies are made from the tables that describe the
 *          structs (base/field.h)
 * Errors   a reply over its bound is a bug: row limits come first
 * Owner    the request arena
 * Source   RFC 9110; RFC 9457 for problems; RFC 8288 for Link
 */
#ifndef RH_HTTP_REPLY_H
#define RH_HTTP_REPLY_H

#include "base/buf.h"
#include "base/err.h"
#include "base/field.h"

struct rh_req;

struct rh_reply {
	unsigned status;
	struct rh_buf head;	/* "Name: value\r\n" each, without the status */
	struct rh_buf body;
	bool has_etag;
};

void rh_reply_init(struct rh_reply *reply, struct rh_arena *arena);
/* Forgets body and headers. Before a problem, and before a handler's next try. */
void rh_reply_clear(struct rh_reply *reply);
/* value must hold no CR or LF: asserted. */
void rh_reply_header(struct rh_reply *reply, const char *name,
    struct rh_slice value);

/* 200 with the object; ETag from the version where the route says so; 304. */
struct rh_err *rh_reply_one(struct rh_req *rq, const struct rh_field *shape,
    const void *object, int64_t version);
/* 201 with the object and Location: prefix + "/" + id. */
struct rh_err *rh_reply_created(struct rh_req *rq,
    const struct rh_field *shape, const void *object, struct rh_slice location,
    int64_t version);
/* 202 with what will be done, and where to ask for it; location p NULL: nowhere. */
struct rh_err *rh_reply_accepted(struct rh_req *rq,
    const struct rh_field *shape, const void *object, struct rh_slice location);
/*
 * {"data":[…],"next_cursor":…} and Link: rel="next"; next p == NULL: the last
 * page. item_bytes: from one struct to the next.
 */
struct rh_page {
	const void *items;
	size_t n, item_bytes;
	struct rh_slice next;
};
struct rh_err *rh_reply_page(struct rh_req *rq, const struct rh_field *shape,
    const struct rh_page *page);
struct rh_err *rh_reply_none(struct rh_req *rq);	/* 204 */

/* Any media type, e.g. for /openapi.json; body is borrowed. */
struct rh_err *rh_reply_bytes(struct rh_req *rq, unsigned status,
    const char *type, struct rh_slice body);

/* What was built before, once more: header lines as they were, both borrowed. */
void rh_reply_again(struct rh_req *rq, unsigned status, struct rh_slice head,
    struct rh_slice body);

struct rh_problem_ids { struct rh_slice request_id; const unsigned char *trace_id; };
/* Replaces whatever was built by application/problem+json for err. */
void rh_reply_problem(struct rh_req *rq, const struct rh_err *err,
    const struct rh_problem_ids *ids);
/* Its body alone. Allocates nothing where b does not: a signal handler calls it. */
void rh_problem_put(struct rh_buf *b, const struct rh_err *err,
    struct rh_slice instance, const struct rh_problem_ids *ids);
/* The status of a kind, and its title. */
unsigned rh_problem_status(enum rh_err_kind kind);
const char *rh_problem_title(enum rh_err_kind kind);

/* Status line and all headers, ready for rh_fcgx_reply. HEAD, 204, 304: no body goes out. */
void rh_reply_finish(struct rh_req *rq, struct rh_slice *head,
    struct rh_slice *body);

#endif
