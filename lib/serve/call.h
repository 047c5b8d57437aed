/*
 * call - everything that a handler may use of the request it answers.
 *
 * Shape    a struct per worker, reset for each request
 * Owner    the worker; handlers neither free nor keep anything of it
 *
 * A handler reads (c->rq), asks (c->pipe), answers (rh_reply_…). By the time
 * it runs the tenant's authorization stands first in the pipe: it leaves with
 * the handler's own statements, in one flush, and where it fails they are not
 * executed. Behind an Idempotency-Key its transaction goes on until the reply
 * is stored, and what it answers may never be sent: so a handler does nothing
 * but by c->pipe.
 */
#ifndef RH_SERVE_CALL_H
#define RH_SERVE_CALL_H

#include "data/cache.h"
#include "data/coherent.h"
#include "data/limiter.h"
#include "data/pipe.h"
#include "http/cursor.h"
#include "http/reply.h"
#include "http/req.h"
#include "http/shape.h"
#include "obs/log.h"
#include "obs/trace.h"
#include "serve/conf.h"
#include "tenancy/directory.h"
#include "tenancy/idempotency.h"
#include "tenancy/password.h"
#include "tenancy/principal.h"

struct rh_server;

/* What the cache was asked, and said, of one request: recall.c's. */
struct rh_recall {
	bool asked, looked, settled;
	struct rh_cached principal, page;
	size_t head_n;		/* of the reply's header lines, those that the handler wrote */
	struct rh_tomb tombs[RH_DROPS_MAX];
	unsigned ntombs, nheard;
};

struct rh_call {
	struct rh_req *rq;
	struct rh_arena *arena;
	struct rh_pipe *pipe;
	struct rh_uuid tenant;		/* nil outside of /v1/t/{tenant} */
	struct rh_slice tenant_slug;
	struct rh_principal who;	/* complete once something was read from the pipe */
	uint32_t tenant_label;		/* of the metrics */
	struct rh_token token;		/* as presented */
	struct rh_idempotency idem;	/* of a POST with a key */
	const struct rh_serve_conf *conf;
	const struct rh_hashers *hashers;	/* for passwords */
	struct rh_slice request_id;
	struct rh_trace *trace;
	struct rh_log *log;
	struct rh_server *server;
	/* for the log line */
	const char *limiter;		/* "redis", "shm", "postgres", "off" */
	const char *cache;		/* "hit", "miss", "bypass", "off" */
	uint64_t start_ns;		/* mono */
	uint64_t deadline_ns;		/* mono: then it is answered 504 */
	uint64_t decided_ns;		/* mono: what is answered was known */
	int64_t start_us;		/* wall */
	bool security;			/* keep the trace: something touched on it */
	bool chosen;			/* the status is what a tenant wants answered: a 5xx is no failure */
	bool inside;			/* has a place among its tenant's workers */
	struct rh_limits plan;		/* the tenant's, as this host knows them */
	struct rh_ask ask;		/* n 0: the limiter was not asked */
	struct rh_ask owed;		/* given back after the reply; n 0: nothing */
	struct rh_recall recall;
	/* place.c's */
	uint64_t placement;		/* the tenant's, as this host knows it; 0: home */
	uint64_t moved_ns;		/* mono: since when its tenant is on its way; 0: it is not */
	unsigned moved_from;		/* places that it has left behind */
	unsigned leaves;		/* for rowhouse-jobs, as bits of wake.h */
	bool learned;			/* its id was looked up by this request */
	bool sought;			/* so was its token, at other places */
	unsigned redis_trips;		/* at the places before this one */
	uint64_t redis_ns;
};

/*
 * The body by the route's table: 400, 413, 415, 422. Defaults stand in *to
 * before.
 */
RH_MUST_CHECK struct rh_err *rh_call_body(struct rh_call *c, void *to,
    struct rh_given *given);
/* The query by the route's table: 400. Defaults stand in *to before. */
RH_MUST_CHECK struct rh_err *rh_call_query(struct rh_call *c, void *to);

/*
 * Every list's query has these two: a cursor and a limit. The cursor is bound
 * to the tenant, the route and the filters (their hash, 0 for none).
 */
struct rh_paging {
	struct rh_slice cursor;
	int64_t limit;
	struct rh_cursor after;	/* as rh_call_paging leaves it */
	uint64_t filters;
};
#define RH_PAGE_DEFAULT	20
#define RH_PAGE_MAX	100
#define RH_PAGING_FIELDS(record, member)					\
	{ RH_FIELD("cursor", TEXT, record, member.cursor),			\
	    .doc = "next_cursor of the page before" },				\
	{ RH_FIELD("limit", INT, record, member.limit), .min = 1,		\
	    .max = RH_PAGE_MAX, .doc = "items on a page; 20 where not given" }
RH_MUST_CHECK struct rh_err *rh_call_paging(struct rh_call *c,
    struct rh_paging *paging, uint64_t filters);
/*
 * Answers the page: rows has one more than the limit where there is a next
 * page; at and id are the offsets of the two columns that it is ordered by.
 */
struct rh_page_of {
	const void *rows;
	size_t n, bytes, at, id;
};
struct rh_err *rh_call_reply_page(struct rh_call *c,
    const struct rh_paging *paging, const struct rh_page_of *page);

/*
 * Answers the page of a feed, which has no end: rows has limit at most, and
 * there is always a next cursor, the one that came where rows is empty. Of
 * RH_TIME_INFINITY (none came) its reader makes the start.
 */
struct rh_err *rh_call_reply_feed(struct rh_call *c,
    const struct rh_paging *paging, const struct rh_page_of *page);

/*
 * What the cache knows of these tenants' tokens is no longer true: for a change
 * that knows them only afterwards. Once rh_pipe_error has said NULL.
 */
void rh_recall_forget(struct rh_call *c, const struct rh_uuid *tenants,
    size_t n);

/*
 * For what concerns a user at every place: the request goes on at the next one
 * each time, home comes first; false, and home again: that was the last one.
 */
RH_MUST_CHECK bool rh_call_next_place(struct rh_call *c);
/* Out of turn, where one of them failed. */
void rh_call_home(struct rh_call *c);
bool rh_call_has_places(const struct rh_call *c);

/*
 * The tenant's cache, and with it data/lock.h: in its placement's Redis, or the
 * shared one. Given back at the request's end. Who asks is known by then: what
 * is in the pipe is sent for it, a round trip, and the authorization stands in
 * front of what follows, if anything does. Each call of the cache is a round
 * trip, too. An error
 * that rh_cache_err_of knows: there is none to be had, do without; any other
 * one is the reply.
 */
RH_MUST_CHECK struct rh_err *rh_call_cache(struct rh_call *c,
    struct rh_cache **cache);

/* {path of the request}/{id}, for Location. */
struct rh_slice rh_call_location(struct rh_call *c, struct rh_uuid id);

/* "project.missing", "There is no such project." */
struct rh_err *rh_call_missing(struct rh_call *c, const char *code,
    const char *detail);
/*
 * Why a guarded change touched no row: it is there in another version (412), or
 * it is not there (404).
 */
struct rh_err *rh_call_unchanged(struct rh_call *c, bool exists,
    const char *code, const char *detail);

#endif
