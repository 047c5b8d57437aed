/*
 * out - HTTP requests to addresses that tenants name.
 *
 * Shape    many at a time in one process (curl_multi): start them, step, and
 *          each tells its end to a function
 * Units    _ms milliseconds; reply_max bytes of the reply's body that are kept
 * Errors   in the reply: a code of ours where there was no answer to speak of
 *          ("refused.url", "refused.scheme", "refused.address", "refused.port",
 *          "refused.credentials", "resolve", "connect", "tls", "timeout",
 *          "broken"), else the status, whatever it is
 * Owner    what is asked is copied; the reply lives as long as the call
 * Source   RFC 9110; WHATWG URL, section 3.5, and Fetch, "bad port"; IANA
 *          special-purpose address registries
 *
 * The address is looked at when the socket is opened, so neither spelling nor
 * DNS passes one by: what is private, loopback, link-local or metadata is
 * refused unless rh_out_conf.allow has it. No redirect is followed, no proxy of
 * the environment is used.
 */
#ifndef RH_JOBS_OUT_H
#define RH_JOBS_OUT_H

#include "base/arena.h"
#include "base/cidr.h"
#include "base/slice.h"

struct rh_out;

struct rh_out_conf {
	const struct rh_cidrs *allow; /* directive webhook_allow; NULL: none */
	unsigned most;		      /* at a time */
};

struct rh_out_request {
	struct rh_slice method; /* "POST" */
	struct rh_slice url;
	/*
	 * "Name: value". One with a control character is left out, and so is
	 * what frames or routes a message: that is HTTP's own (Host,
	 * Content-Length, Connection and the like).
	 */
	const struct rh_slice *headers;
	size_t nheaders;
	struct rh_slice body;
	int64_t timeout_ms; /* from start to the last byte */
	size_t reply_max;
};

struct rh_out_reply {
	int status;		     /* 0: none came */
	const char *error;	     /* NULL: an answer came */
	struct rh_slice body;	     /* its first reply_max bytes */
	struct rh_slice retry_after; /* the header's value; p NULL: none */
	int64_t ms;
	char address[46]; /* that was connected to; "": none */
};
typedef void rh_out_done(void *arg, const struct rh_out_reply *reply);

/* NULL: no memory. conf->allow is borrowed. */
struct rh_out *rh_out_new(const struct rh_out_conf *conf);
/* What is on its way is broken off, and not told. */
void rh_out_destroy(struct rh_out **out);
/*
 * What a URL may not be, before anything is asked: a code as above; NULL: fine.
 * An address in it is not looked at: whether it is allowed is configuration.
 */
const char *rh_out_refuses(struct rh_slice url);
/* The same, and an address that stands in it, however it is spelled. */
const char *rh_out_refuses_under(const struct rh_out_conf *conf,
    struct rh_slice url);
/* False: most are on their way. done is called from _step, or, where the URL is refused, at once. */
RH_MUST_CHECK bool rh_out_start(struct rh_out *out,
    const struct rh_out_request *request, rh_out_done *done, void *arg);
/* Drives them, waits wait_ms at the most for something to happen; how many are on their way. */
unsigned rh_out_step(struct rh_out *out, int wait_ms);
/* One alone, from start to end: for a job's handler. The body is in the arena. */
void rh_out_ask(const struct rh_out_conf *conf, struct rh_arena *arena,
    const struct rh_out_request *request, struct rh_out_reply *reply);

#endif
