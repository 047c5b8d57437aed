/*
 * fcgx - one FastCGI request over one connection: a guard of our own, then
 * libfcgi.
 *
 * Shape    rh_fcgx_look() peeks (MSG_PEEK) at what a connection holds and
 *          says whether a whole set of parameters is there; only then does
 *          rh_fcgx_accept() let libfcgi read. The reply goes out as one
 *          STDOUT stream; Content-Length always, so that a dying worker
 *          never leaves a reply that looks complete
 * Units    bytes
 * Errors   enum rh_fcgx_look; a connection that is RH_FCGX_HOSTILE is closed
 * Owner    one struct rh_fcgx a worker, reused; parameters and body bytes live
 *          until rh_fcgx_finish
 * Source   FastCGI 1.0; libfcgi 2.4.2 (fcgx.c alone sees it). libfcgi's reply
 *          to management records overflows its stack and its lengths are not
 *          bounded, hence the guard: it answers GET_VALUES and unknown types
 *          itself, and bounds PARAMS
 */
#ifndef RH_HTTP_FCGX_H
#define RH_HTTP_FCGX_H

#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"

struct rh_fcgx;

enum rh_fcgx_look {
	RH_FCGX_READY,		/* BEGIN_REQUEST and all of PARAMS are there */
	RH_FCGX_INCOMPLETE,	/* some of it is; look again when more comes */
	RH_FCGX_EMPTY,		/* nothing is there */
	RH_FCGX_CLOSED,		/* the web server has closed it */
	RH_FCGX_HOSTILE,	/* not FastCGI, or over the limits */
	RH_FCGX_TOO_LARGE,	/* well-formed, but PARAMS over headers_max: answer 431 */
};

struct rh_fcgx_limits {
	size_t headers_max_bytes;	/* of all PARAMS of a request */
	int header_timeout_ms, body_timeout_ms;
};

struct rh_fcgx *rh_fcgx_new(struct rh_arena *arena,
    const struct rh_fcgx_limits *limits);

/*
 * Looks without blocking. Management records in front are answered and taken
 * off; INCOMPLETE also covers "only management so far".
 */
enum rh_fcgx_look rh_fcgx_look(struct rh_fcgx *fx, int fd);
/* After READY: reads the parameters. False: the connection is to be closed. */
RH_MUST_CHECK bool rh_fcgx_accept(struct rh_fcgx *fx, int fd);
/* The web server wants the connection kept open. */
bool rh_fcgx_keeps(const struct rh_fcgx *fx);
/* Its client is gone (POLLRDHUP): no need to execute the request. */
bool rh_fcgx_is_abandoned(const struct rh_fcgx *fx);

/* Calls each(ctx, name, value) for every parameter, repeated ones too. */
void rh_fcgx_params(const struct rh_fcgx *fx,
    void (*each)(void *ctx, struct rh_slice name, struct rh_slice value),
    void *ctx);

/*
 * Until when the request may wait for its body and, but for a moment that an
 * answer has in any case, for its answer to be taken; mono ns. Forgotten at
 * the next rh_fcgx_accept.
 */
void rh_fcgx_deadline(struct rh_fcgx *fx, uint64_t deadline_ns);

enum rh_fcgx_body {
	RH_BODY_OK, RH_BODY_TOO_LARGE, RH_BODY_BROKEN,
	RH_BODY_TIMEOUT,	/* body_timeout_ms have passed */
	RH_BODY_LATE,		/* the request's own deadline has */
};
/*
 * Reads stdin to its end into the arena; past max it is drained (up to eight
 * times max, within the timeout) and TOO_LARGE, so that a kept connection
 * stays usable.
 */
enum rh_fcgx_body rh_fcgx_read_body(struct rh_fcgx *fx, struct rh_arena *arena,
    size_t max, struct rh_slice *body);

/* head ends with its empty line. False: the client is gone. */
bool rh_fcgx_reply(struct rh_fcgx *fx, struct rh_slice head,
    struct rh_slice body);
/*
 * Ends the request: drains stdin, END_REQUEST. True: the connection may carry
 * another one; false: the caller closes it.
 */
bool rh_fcgx_finish(struct rh_fcgx *fx);
/*
 * After TOO_LARGE: takes the request off unread, as far as it comes at once,
 * and answers it. True: the connection may carry another one.
 */
bool rh_fcgx_refuse(struct rh_fcgx *fx, struct rh_slice head,
    struct rh_slice body);

enum rh_fcgx_last {
	RH_FCGX_NOT_TOLD,	/* no request, or some of its reply is out: shut down */
	RH_FCGX_TOLD_CLOSED,	/* answered, then shut down */
	RH_FCGX_TOLD_KEEP,	/* answered; the connection may carry another one */
};
/*
 * For the handler of a fatal signal: answers the request in work if no byte of
 * its reply is out. can_read: nobody else reads it now, no other thread.
 */
enum rh_fcgx_last rh_fcgx_last_word(struct rh_fcgx *fx, struct rh_slice head,
    struct rh_slice body, bool can_read);

#endif
