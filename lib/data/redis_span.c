#include "config.h"

#include "data/redis_session.h"

static struct rh_slice
operation_of(const struct rh_redis *r, const struct rh_redis_cmd *first,
    unsigned n)
{
	if (n == 1)
		return first->name;
	for (unsigned i = r->flushed; i < r->queued; i++)
		if (r->cmds[i].node &&
		    !rh_slice_is(r->cmds[i].name, first->name))
			return RH_SLICE("PIPELINE");
	return rh_slice_of(rh_arena_printf(r->arena, "PIPELINE %.*s",
	    RH_SLICE_ARG(first->name)));
}

/* Redis' own word for what went wrong; the rest of its text names keys. */
static void
span_judge(const struct rh_redis *r, struct rh_span *span)
{
	for (unsigned i = r->flushed; i < r->queued; i++) {
		const struct rh_redis_value *v = r->cmds[i].value;
		struct rh_slice text;

		if (!r->cmds[i].node || !v || v->kind != RH_REDIS_ERROR ||
		    rh_redis_is_again(v))
			continue;
		text = v->text;
		text = rh_slice_cut(&text, ' ');
		rh_span_text(span, "db.response.status_code", text);
		rh_span_fail(span, text, text);
		return;
	}
}

static void
span_fill(struct rh_redis *r, struct rh_span *span,
    const struct rh_redis_cmd *first, unsigned n)
{
	const struct rh_redis_node *node = first->node;

	rh_span_text(span, "db.system.name", RH_SLICE("redis"));
	rh_span_text(span, "db.namespace",
	    rh_slice_of(rh_arena_printf(r->arena, "%u", r->url.db)));
	rh_span_text(span, "db.operation.name", span->name);
	if (n > 1)
		rh_span_int(span, "db.operation.batch.size", n);
	else if (first->script)
		rh_span_text(span, "db.stored_procedure.name",
		    rh_slice_of(first->script->name));
	rh_span_text(span, "server.address", rh_slice_of(node->host[0] ?
	    rh_arena_printf(r->arena, "%s", node->host) : r->url.path));
	if (node->host[0])
		rh_span_int(span, "server.port", node->port);
}

/* Of those that were sent in this round: they still have their node. */
void
rh_redis_span_add(struct rh_redis *r, uint64_t start_ns, bool answered)
{
	const struct rh_redis_cmd *first = NULL;
	struct rh_span *span;
	unsigned n = 0;

	if (!r->trace || !r->trace->on)
		return;
	for (unsigned i = r->queued; i-- > r->flushed;)
		if (r->cmds[i].node) {
			first = &r->cmds[i];
			n++;
		}
	span = rh_span_open(r->trace, RH_SPAN_CLIENT,
	    operation_of(r, first, n));
	span->start_ns = r->trace->wall_ns + (start_ns - r->trace->mono_ns);
	span_fill(r, span, first, n);
	if (!answered)
		rh_span_fail(span, rh_slice_of(r->err->code),
		    rh_slice_of(r->err->code));
	else
		span_judge(r, span);
	rh_span_close(r->trace, span);
}
