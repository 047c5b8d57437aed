/*
 * route - the table that says what the service does.
 *
 * Shape    rows of { method, template, role, handler, … }, ended by { 0 };
 *          the template is also the metric label and the span name. A
 *          template's segments are literal, or one {name}
 * Errors   at start-up: a duplicate, a missing handler, a body on a GET
 * Owner    static tables; the matcher lives in the arena it was made in
 * Source   RFC 9110 section 15.5.6 (405 and Allow); RFC 3986 2.4: split
 *          first, decode after
 */
#ifndef RH_HTTP_ROUTE_H
#define RH_HTTP_ROUTE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/field.h"

struct rh_call;	/* serve/call.h: carried, never opened here */
struct rh_req;

enum rh_method {
	RH_GET, RH_POST, RH_PUT, RH_PATCH, RH_DELETE, RH_HEAD, RH_OPTIONS,
	RH_METHOD_OTHER, RH_METHODS
};
extern const char *const rh_method_names[RH_METHODS];	/* "GET" …, "_OTHER" */

enum rh_role { RH_ROLE_NONE, RH_VIEWER, RH_MEMBER, RH_ADMIN, RH_OWNER };
extern const char *const rh_role_names[];	/* "", "viewer", …; NULL-terminated */

/* Who may call: */
enum rh_access {
	RH_TENANT,	/* a token of the tenant in the path, of role or higher */
	RH_USER,	/* any token of ours, outside of tenants */
	RH_PUBLIC,	/* anybody */
};

/* INBOX: by the secret in the path, which is all that is known of who calls. */
enum rh_rate {
	RH_RATE_NONE, RH_RATE_READ, RH_RATE_WRITE, RH_RATE_CREDENTIALS,
	RH_RATE_INBOX
};

/* What the answer's body is, for the reply and for the API's reference. */
enum rh_answer {
	RH_ANSWER_ONE, RH_ANSWER_PAGE, RH_ANSWER_CREATED, RH_ANSWER_NONE,
	RH_ANSWER_ACCEPTED	/* it is done later: rh_reply_accepted */
};

enum rh_route_flag {
	RH_ROUTE_SECURITY = 1 << 0,	/* its trace is always kept */
	RH_ROUTE_SECRET_PATH = 1 << 1,	/* a segment is a secret: logs have the template */
	RH_ROUTE_ETAG = 1 << 2,		/* GET answers ETag, honours If-None-Match; writes If-Match */
	RH_ROUTE_CREDENTIALS = 1 << 3,	/* the reply holds a secret: no-store */
	RH_ROUTE_MERGE = 1 << 4,	/* the body is a merge patch (RFC 7396) */
	RH_ROUTE_RAW = 1 << 5,		/* the body is bytes, not JSON: the handler reads it */
	RH_ROUTE_ALWAYS = 1 << 6,	/* answered past queue_max, too: asks no database */
	RH_ROUTE_ANY = 1 << 7,		/* takes whatever comes: any query, headers that we would refuse, no Idempotency-Key of ours */
	RH_ROUTE_REST = 1 << 8,		/* its last segment, {name}, is the rest of the path, undecoded, whatever that is */
};

/* Groups of the cache that one change may touch. */
#define RH_DROPS_MAX 3

struct rh_route {
	enum rh_method method;
	const char *template;
	enum rh_access access;
	enum rh_role role;
	struct rh_err *(*handler)(struct rh_call *c);
	enum rh_rate rate;
	unsigned flags;
	const struct rh_field *params;	/* query parameters; NULL: none */
	const struct rh_field *body;	/* JSON members; NULL: no body */
	enum rh_answer answer;
	const struct rh_field *shape;	/* of the answer, or of a page's items */
	unsigned slow_ms;		/* 0: the configuration's */
	unsigned timeout_ms;		/* 0: that of its rate class, in the configuration */
	/*
	 * Of a tenant's list: the group of cached pages that its unfiltered
	 * first page belongs to; NULL: it is not cached.
	 */
	const char *cache;
	/* Of a tenant's change: the groups that it makes untrue. "principals": who may do what. */
	const char *drops[RH_DROPS_MAX];
	const char *summary;		/* for the API's reference */
};

#define RH_ROUTE_ARGS_MAX 6

struct rh_router;
/* NULL with the fault in *why: duplicate, no handler, too many arguments. */
struct rh_router *rh_router_new(struct rh_arena *arena,
    const struct rh_route *const *tables, struct rh_buf *why);
unsigned rh_router_count(const struct rh_router *router);
/* The i-th route in the order of the tables: metrics' index. */
const struct rh_route *rh_router_get(const struct rh_router *router, unsigned i);

struct rh_match {
	const struct rh_route *route;	/* NULL: no such path, or not that method */
	unsigned index;
	unsigned allow;			/* bits of the methods the path has; 0: no such path */
	unsigned nargs;
	struct rh_slice args[RH_ROUTE_ARGS_MAX];	/* decoded, in template order */
};
/*
 * path begins with "/" and has no query. Decoded arguments go to the arena where decoding
 * changed them. HEAD matches GET's routes.
 */
void rh_router_find(const struct rh_router *router, enum rh_method method,
    struct rh_slice path, struct rh_arena *arena, struct rh_match *match);
/*
 * Of a path that may have no route: the template of one with a secret in its
 * path that it could have been meant for; p == NULL: there is none.
 */
struct rh_slice rh_router_conceals(const struct rh_router *router,
    struct rh_slice path);
/* The argument called name of a match ({name} of its template); p == NULL if none. */
struct rh_slice rh_match_get(const struct rh_match *match, const char *name);

#endif
