#include "config.h"

#include "serve/event.h"

enum { ADD };

enum { PAYLOAD_FIRST = 1024, PAYLOAD_MAX = 8 << 20 };

struct rh_stmt rh_event_stmts[] = {
	[ADD] = { .name = "outbox.add", .sql =
	    "insert into outbox_events (tenant_id, id, type, subject_id, payload,"
	    "  actor_id, " RH_EVENT_TRACE ")"
	    " values ($1, $2, $6, $7, $8::text::jsonb || jsonb_build_object("
	    "  'created_at', now(), 'updated_at', now()), actor_id(), "
	    RH_EVENT_TRACE_ARGS ")" },
	{ 0 }
};

struct rh_slice
rh_event_span(struct rh_arena *arena, const struct rh_trace *t)
{
	enum { ID = 8 };
	char *span = rh_arena_alloc(arena, ID + 1);

	memcpy(span, rh_trace_server(t)->id, ID);
	span[ID] = (char)rh_trace_left(t);
	return (struct rh_slice){ span, ID + 1 };
}

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
