/*
 * err_kinds - every way a request can fail, once: RH_E_##name.
 *
 * http/problem.c gives each kind its status and title, data/pg_err.c maps
 * SQLSTATE to kinds; no status stands in data/, no SQLSTATE in http/.
 */
#ifndef RH_BASE_ERR_KINDS_H
#define RH_BASE_ERR_KINDS_H

/* clang-format off */
#define RH_ERR_KINDS(K)								\
	K(MALFORMED)	/* cannot be read: syntax of the request or its body */	\
	K(INVALID)	/* was read, and says what may not be said */		\
	K(ANON)		/* no credentials, or none that we know */		\
	K(DENIED)	/* known, but may not */				\
	K(MISSING)	/* there is no such thing, or none for this caller */	\
	K(METHOD)	/* the resource is there, the method is not */		\
	K(CONFLICT)	/* against what is stored */				\
	K(PRECONDITION)	/* If-Match named another version */			\
	K(TOO_LARGE)	/* body over the limit */				\
	K(MEDIA)	/* a Content-Type that this route does not take */	\
	K(HEADERS)	/* header fields over the limits */			\
	K(LIMITED)	/* over the rate */					\
	K(GONE_AWAY)	/* the client left before its reply */			\
	K(UNAVAILABLE)	/* a server that we need is away; try again */		\
	K(TIMEOUT)	/* it took longer than it may */			\
	K(BUG)		/* our fault */
/* clang-format on */

#endif
