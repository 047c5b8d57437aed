/*
 * page - what is answered to which path.
 *
 * Shape    a table of paths; everything answers GET and HEAD alone
 * Errors   404, 405 and, while there is no segment, 503 with the reason; each
 *          as a line of text
 * Owner    the reply's bytes live in the arena, until its next reset
 */
#ifndef RH_EXPORTER_PAGE_H
#define RH_EXPORTER_PAGE_H

#include "base/buf.h"
#include "exporter/source.h"

struct page_request {
	struct rh_slice method, path, accept, accept_encoding;
};

struct page_reply {
	unsigned status;
	const char *type;
	const char *encoding;	/* "gzip", or NULL */
	const char *vary;	/* NULL: the same to all */
	const char *allow;	/* 405 only */
	struct rh_slice body;
};

void page_answer(struct page_reply *reply, const struct page_request *request,
    struct source *source, struct rh_arena *arena);

#endif
