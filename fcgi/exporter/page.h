/*
 * page - what is answered to which path.
 *
 * Shape    a table of paths; everything answers GET and HEAD alone
 * Errors   401 where a token is asked for, 404, 405 and, while there is no
 *          segment, 503 with the reason
 * Owner    the reply's bytes live in the arena, until its next reset
 */
#ifndef RH_EXPORTER_PAGE_H
#define RH_EXPORTER_PAGE_H

#include "base/buf.h"
#include "exporter/source.h"

#define PAGE_ARGS_MAX	16

struct page_arg {
	struct rh_slice name, value;	/* decoded */
};

struct page_request {
	struct rh_slice method, path, accept, accept_encoding, authorization;
	struct page_arg args[PAGE_ARGS_MAX];
	unsigned nargs;
	struct rh_slice token;		/* what is asked for; n == 0: nothing */
};

struct page_reply {
	unsigned status;
	const char *type;
	const char *encoding;	/* "gzip", or NULL */
	const char *vary;	/* NULL: the same to all */
	const char *allow;	/* 405 only */
	const char *location;	/* 303 only */
	const char *disposition;	/* NULL: to be shown */
	const char *policy;	/* Content-Security-Policy; NULL: allows nothing */
	bool challenge;		/* 401: how to authenticate */
	struct rh_slice body;
};

void page_answer(struct page_reply *reply, const struct page_request *request,
    struct source *source, struct rh_arena *arena);

/* The query's; p == NULL: it has none of that name. */
struct rh_slice page_arg(const struct page_request *request, const char *name);

#endif
