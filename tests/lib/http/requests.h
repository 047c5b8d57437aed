/*
 * requests - a request as a handler sees it, for tests.
 *
 * Shape    "NAME=value" parameters and a body go through a socketpair and
 *          libfcgi into a struct rh_req
 * Owner    the test
 */
#ifndef TESTS_HTTP_REQUESTS_H
#define TESTS_HTTP_REQUESTS_H

#include "http/req.h"
#include "records.h"

struct request {
	struct peer peer;
	struct rh_req rq;
	struct rh_err *err;	/* of rh_req_read */
};

static inline struct request *
request_open(const char *const *params, struct rh_slice body)
{
	struct request *r = RH_NEW(rh_check_arena(), struct request);
	struct wire *w = wire_new();

	r->peer = peer_open();
	wire_begin(w, 1, RH_ROLE_RESPONDER, true);
	wire_params(w, 1, params);
	wire_stdin(w, 1, body);
	peer_send(&r->peer, w->p, w->n);
	ck_assert_int_eq(rh_fcgx_look(r->peer.fx, r->peer.theirs),
	    RH_FCGX_READY);
	ck_assert(rh_fcgx_accept(r->peer.fx, r->peer.theirs));
	rh_req_reset(&r->rq, rh_check_arena(), r->peer.fx);
	r->err = rh_req_read(&r->rq);
	return r;
}

/* A GET of that target, with one more parameter if extra is not NULL. */
static inline struct request *
request_get(const char *target, const char *extra)
{
	const char *params[] = { "REQUEST_METHOD=GET", rh_arena_printf(
	    rh_check_arena(), "REQUEST_URI=%s", target), extra, NULL };

	return request_open(params, RH_SLICE(""));
}

static inline void
request_close(struct request *r)
{
	(void)rh_fcgx_finish(r->peer.fx);
	peer_close(&r->peer);
}

#endif
