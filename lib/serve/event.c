#include "config.h"

#include "serve/event.h"

enum { ADD };

enum { PAYLOAD_FIRST = 1024, PAYLOAD_MAX = 8 << 20 };

struct rh_stmt rh_event_stmts[] = {
	[ADD] = { .name = "outbox.add", .sql =
	    "insert into outbox_events (tenant_id, id, type, subject_id, payload,"
	    "  actor_id, trace_id, parent_span_id, request_id)"
	    " values ($1, $2, $6, $7, $8::text::jsonb || jsonb_build_object("
	    "  'created_at', now(), 'updated_at', now()), actor_id(), $3, $4, $5)" },
	{ 0 }
};

void
rh_event_send(struct rh_call *c, const struct rh_event_of *event)
{
	struct rh_buf payload;

	rh_buf_init(&payload, c->arena, PAYLOAD_FIRST, PAYLOAD_MAX);
	rh_shape_write(&payload, event->shape, event->object);
	rh_pipe_send(c->pipe, &rh_event_stmts[ADD], RH_EVENT_ARGS(c),
	    RH_TEXT(rh_slice_of(event->type)), RH_UUID(event->subject),
	    RH_TEXT(rh_buf_get(&payload)));
}
