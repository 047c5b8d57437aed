/*
 * req - one request, read once and strictly.
 *
 * Shape    a struct per worker, reset for each request; what it holds points
 *          into the FastCGI parameters or the request arena
 * Errors   RH_E_MALFORMED 400, RH_E_HEADERS 431, RH_E_TOO_LARGE 413, RH_E_MEDIA 415
 * Source   RFC 9112 section 3.2 (request targets), RFC 9110 (fields), RFC 3986.
 *          Only REQUEST_URI agrees between web servers; it alone is parsed.
 *          Authorization, traceparent, X-Request-Id and Idempotency-Key may
 *          come once: a repeat, or the "a, b" that Apache makes of it, is 400
 *          (traceparent: starts a new trace instead)
 */
#ifndef RH_HTTP_REQ_H
#define RH_HTTP_REQ_H

#include "base/err.h"
#include "http/fcgx.h"
#include "http/reply.h"
#include "http/route.h"

/* Header fields that somebody reads; the table of names is in req.c. */
enum rh_header {
	RH_H_AUTHORIZATION, RH_H_CONTENT_TYPE, RH_H_IF_MATCH,
	RH_H_IF_NONE_MATCH, RH_H_IDEMPOTENCY_KEY, RH_H_TRACEPARENT,
	RH_H_TRACESTATE, RH_H_X_REQUEST_ID, RH_H_USER_AGENT, RH_H_ACCEPT,
	RH_H_HOST, RH_H_COUNT
};

struct rh_req {
	struct rh_arena *arena;
	struct rh_fcgx *fx;
	enum rh_method method;
	struct rh_slice method_text;	/* as received */
	struct rh_slice target;		/* REQUEST_URI */
	struct rh_slice path;		/* of the target, not decoded */
	struct rh_slice query;		/* without "?", not decoded; p == NULL: none */
	struct rh_slice header[RH_H_COUNT];
	unsigned char repeats[RH_H_COUNT];	/* how often each came */
	struct rh_slice remote;		/* REMOTE_ADDR */
	struct rh_slice protocol;	/* SERVER_PROTOCOL, between client and web server */
	struct rh_slice scheme;		/* "https" or "http" */
	struct rh_slice content_length;
	struct rh_match match;
	struct rh_slice body;
	bool body_read;
	bool odd_headers;		/* all that is wrong with it: headers we would refuse */
	size_t bytes_in;		/* of the body */
	struct rh_reply reply;
};

/* Empties the request and its reply, before anything was read. */
void rh_req_reset(struct rh_req *rq, struct rh_arena *arena, struct rh_fcgx *fx);
/*
 * Takes the parameters apart: target, headers. After it, identification works
 * (request id, trace context), also where it answers an error.
 */
RH_MUST_CHECK struct rh_err *rh_req_read(struct rh_req *rq);
/* 404; 405 with Allow set in the reply. */
RH_MUST_CHECK struct rh_err *rh_req_route(struct rh_req *rq,
    const struct rh_router *router);
/*
 * What rh_req_read refused of its headers, its route takes (RH_ROUTE_ANY), and
 * is found: they are for others to read.
 */
RH_MUST_CHECK bool rh_req_forgives(struct rh_req *rq,
    const struct rh_router *router);
/* Reads the body, once: 413 over max, 400 broken off, 408's place is 400. */
RH_MUST_CHECK struct rh_err *rh_req_body(struct rh_req *rq, size_t max);

/* A path argument as a UUID; RH_E_MISSING (404) where it is none. */
RH_MUST_CHECK struct rh_err *rh_req_uuid(struct rh_req *rq, const char *name,
    struct rh_uuid *id);
/*
 * The query by its table into the struct at to (defaults: the
 * whole struct is set by the caller before): an unknown name, a
 * name twice, a bad value: 400 naming it. params may be NULL: then any query
 * parameter is unknown.
 */
RH_MUST_CHECK struct rh_err *rh_query_read(struct rh_req *rq,
    const struct rh_field *params, void *to);

/* If-None-Match lists etag or "*" (weak comparison, RFC 9110 13.1.2). */
bool rh_req_none_match(const struct rh_req *rq, struct rh_slice etag);
/* The version that If-Match names ("v7" tags of ours): 0 if absent or "*"; -1 if none of ours. */
int64_t rh_req_if_match(const struct rh_req *rq);

#endif
