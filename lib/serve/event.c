#include "config.h"

#include "serve/event.h"

enum { ADD };

enum { PAYLOAD_FIRST = 1024, PAYLOAD_MAX = 8 << 20 };

/*
 * A function costs the statement 700 instructions before it is called, jsonb || jsonb
 * 25,000 of 650,000: so the times come by a byte that no JSON has, and the span and
 * its flags apart.
 */
#define NOW "\1"
/* clang-format off */
struct rh_stmt rh_event_stmts[] = {
	[ADD] = { .name = "outbox.add", .sql =
	    "insert into outbox_events (tenant_id, id, type, subject_id, payload,"
	    "  actor_id, " RH_EVENT_TRACE ")"
	    " values ($1, $2, $6, $7, replace($8, e'\\x01', to_json(now())::text)::jsonb,"
	    "  actor_id(), $3, $4, $9, $5)" },
	{ 0 }
};
/* clang-format on */

struct rh_slice
rh_event_span(struct rh_arena *arena, const struct rh_trace *t)
{
	enum { ID = 8 };
	char *span = rh_arena_alloc(arena, ID + 1);

	memcpy(span, rh_trace_server(t)->id, ID);
	span[ID] = (char)rh_trace_left(t);
	return (struct rh_slice){ span, ID + 1 };
}

/* A null time of the shape's own stands in front of these: the last one counts. */
static struct rh_slice
payload_of(struct rh_call *c, const struct rh_event_of *event)
{
	struct rh_buf b;

	rh_buf_init(&b, c->arena, PAYLOAD_FIRST, PAYLOAD_MAX);
	rh_shape_write(&b, event->shape, event->object);
	/* behind its last member: an event has one */
	rh_assert(b.n > 2);
	b.n--;
	rh_buf_lit(&b, ",\"created_at\":" NOW ",\"updated_at\":" NOW "}");
	return rh_buf_get(&b);
}

void
rh_event_send(struct rh_call *c, const struct rh_event_of *event)
{
	const struct rh_trace *t = c->trace;
	struct rh_slice trace = { (const char *)t->trace_id, 16 };
	struct rh_slice span = { (const char *)rh_trace_server(t)->id, 8 };

	rh_pipe_send(c->pipe, &rh_event_stmts[ADD], RH_UUID(c->tenant),
	    RH_UUID(rh_uuid_v7()), RH_BYTES(trace), RH_BYTES(span),
	    RH_TEXT(c->request_id), RH_TEXT(rh_slice_of(event->type)),
	    RH_UUID(event->subject), RH_TEXT(payload_of(c, event)),
	    RH_INT(rh_trace_left(t)));
}
