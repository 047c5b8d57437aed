/*
 * events - what happened in a tenant: the feed that the relay writes.
 *
 * Shape    struct event is a row of events and a JSON object; payload is the
 *          subject as its change left it
 * Units    pos as migrate/sql/0006 has it: increases along the feed
 * Errors   event.missing 404
 */
#ifndef EVENTS_EVENTS_H
#define EVENTS_EVENTS_H

#include "serve/app.h"

struct event {
	struct rh_uuid id;
	struct rh_slice type;
	struct rh_uuid subject_id;
	struct rh_uuid actor_id;	/* nil: nobody's token did it */
	struct rh_slice payload;
	struct rh_slice trace_id;	/* hex, of the request that did it */
	struct rh_slice request_id;
	int64_t created_at;
	int64_t pos;
};

extern const struct rh_field event_shape[];

struct events_query {
	struct rh_slice type;	/* p == NULL: all */
	struct rh_paging paging;
};

struct events_page {
	struct event *rows;
	size_t n;
};

extern const struct rh_resource events_resource;
extern struct rh_stmt events_stmts[];

/* Behind q's cursor, the oldest first. */
void events_repo_page(struct rh_call *c, const struct events_query *q,
    struct events_page *out);
bool events_repo_get(struct rh_call *c, struct rh_uuid id, struct event *out);

#endif
