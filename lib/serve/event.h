/*
 * event - what happened, written in the transaction that makes it happen.
 *
 * Shape    a CTE in the statement of the change itself: no row changed, no
 *          event. $1 to $5 of such a statement are the event's (the tenant
 *          first, as everywhere); its own begin at $6. Where a change either
 *          touches its row or fails, as an insert does, a statement behind it
 *          (rh_event_send) is the cheaper way: 13 % less of PostgreSQL's time
 *          for POST task
 * Owner    macros of literals: SQL is put together by the compiler only
 *
 *	"with x as (update ... returning id, name), e as ("
 *	RH_EVENT("project.updated", "x", "x.id", "to_jsonb(x)") ") select ... from x"
 *	rh_pipe_send(c->pipe, &stmts[UPDATE], RH_EVENT_ARGS(c), RH_UUID(id), ...);
 */
#ifndef RH_SERVE_EVENT_H
#define RH_SERVE_EVENT_H

#include "serve/call.h"

#define RH_EVENT(type, from, subject, payload)					\
	"insert into outbox_events (tenant_id, id, type, subject_id, payload,"	\
	" actor_id, " RH_EVENT_TRACE ")"					\
	" select $1, $2::uuid, '" type "', " subject ", " payload ","		\
	" actor_id(), " RH_EVENT_TRACE_ARGS " from " from

/* The columns of a row that goes on with the request's trace, and their values. */
#define RH_EVENT_TRACE "trace_id, parent_span_id, trace_flags, request_id"
#define RH_EVENT_TRACE_ARGS							\
	"$3::bytea, span_id($4::bytea), span_flags($4::bytea), $5::text"

#define RH_EVENT_ARGS(c)							\
	RH_UUID((c)->tenant), RH_UUID(rh_uuid_v7()),				\
	RH_BYTES(((struct rh_slice){ (const char *)(c)->trace->trace_id, 16 })), \
	RH_BYTES(rh_event_span((c)->arena, (c)->trace)), RH_TEXT((c)->request_id)

/* The span's id and, behind it, a byte of what its trace left (obs/trace.h). */
struct rh_slice rh_event_span(struct rh_arena *arena, const struct rh_trace *t);

extern struct rh_stmt rh_event_stmts[];

/* object: what was made, as its event tells it; created_at and updated_at become now(). */
struct rh_event_of {
	const char *type;
	struct rh_uuid subject;
	const struct rh_field *shape;
	const void *object;
};
/* Queues the event of an insert; read it with rh_pipe_done in its turn. */
void rh_event_send(struct rh_call *c, const struct rh_event_of *event);

#endif
