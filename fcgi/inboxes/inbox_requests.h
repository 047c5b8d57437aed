/*
 * inbox_requests - what was sent to an inbox's URL.
 *
 * Shape    struct inbox_request is a row and a JSON object. A body that is
 *          text is body, any other body_base64; in a list there is neither
 *          them nor the headers
 * Units    size in bytes, of the body
 * Errors   inbox_request.missing 404, inbox.nowhere 409, inbox.url 422
 */
#ifndef INBOXES_INBOX_REQUESTS_H
#define INBOXES_INBOX_REQUESTS_H

#include "serve/app.h"

struct inbox_request {
	struct rh_uuid id, inbox_id;
	struct rh_slice method;
	struct rh_slice path;  /* behind the token */
	struct rh_slice query; /* p == NULL: none */
	struct rh_slice content_type;
	int64_t size;
	struct rh_slice remote;
	struct rh_uuid job_id; /* that forwards it; nil: none */
	struct rh_slice trace_id, request_id;
	int64_t received_at;
	struct rh_slice headers;
	struct rh_slice bytes; /* the body as it came; never shown as such */
	struct rh_slice body, body_base64; /* one of them */
};

struct inbox_requests_query {
	struct rh_slice method, q; /* p == NULL: any */
	struct rh_paging paging;
};

struct inbox_requests_page {
	struct inbox_request *rows;
	size_t n;
};

extern const struct rh_resource inbox_requests_resource;
extern struct rh_stmt inbox_requests_stmts[];
/* As the statements answer it: of a page, and of one. */
extern const struct rh_field inbox_request_columns[],
    inbox_request_full_columns[];

/* Which of an inbox. */
struct inbox_request_of {
	struct rh_uuid inbox, id;
};

void inbox_requests_repo_page(struct rh_call *c, struct rh_uuid inbox,
    const struct inbox_requests_query *q, struct inbox_requests_page *out,
    bool *parent);
bool inbox_requests_repo_get(struct rh_call *c, struct inbox_request_of of,
    struct inbox_request *out);
bool inbox_requests_repo_delete(struct rh_call *c, struct inbox_request_of of);
/* False: there is no such inbox. */
bool inbox_requests_repo_clear(struct rh_call *c, struct rh_uuid inbox);
/* Queues what fails where it, or somewhere to send it, is not there; rh_pipe_int. */
void inbox_requests_repo_guard_send(struct rh_call *c,
    struct inbox_request_of of, struct rh_slice url);

#endif
