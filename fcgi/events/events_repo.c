#include "config.h"

#include "events/events.h"

#define COLUMNS	"id, type, subject_id, actor_id, payload::text, encode(trace_id, 'hex'),"	\
    " request_id, created_at, pos"

enum { PAGE, PAGE_TYPE, SHOW };

/* clang-format off */
struct rh_stmt events_stmts[] = {
	[PAGE] = { .name = "events.page", .sql =
	    "select " COLUMNS " from events"
	    " where tenant_id = $1"
	    "   and pos > $2"			/* of the last row seen; 0 at first */
	    " order by pos"
	    " limit $3" },
	[PAGE_TYPE] = { .name = "events.page_type", .sql =
	    "select " COLUMNS " from events"
	    " where tenant_id = $1"
	    "   and type = $4"
	    "   and pos > $2"
	    " order by pos"
	    " limit $3" },
	[SHOW] = { .name = "events.show", .sql =
	    "select " COLUMNS " from events where tenant_id = $1 and id = $2" },
	{ 0 }
};
/* clang-format on */

/* The start of the feed: no position is below it. */
static int64_t
pos_after(const struct rh_cursor *after)
{
	return after->at == RH_TIME_INFINITY ? 0 : after->at;
}

void
events_repo_page(struct rh_call *c, const struct events_query *q,
    struct events_page *out)
{
	const struct rh_paging *p = &q->paging;

	if (!q->type.p)
		rh_pipe_send(c->pipe, &events_stmts[PAGE], RH_UUID(c->tenant),
		    RH_INT(pos_after(&p->after)), RH_INT(p->limit));
	else
		rh_pipe_send(c->pipe, &events_stmts[PAGE_TYPE],
		    RH_UUID(c->tenant), RH_INT(pos_after(&p->after)),
		    RH_INT(p->limit), RH_TEXT(q->type));
	out->n = rh_pipe_rows(c->pipe, event_shape, sizeof(*out->rows),
	    &out->rows);
}

bool
events_repo_get(struct rh_call *c, struct rh_uuid id, struct event *out)
{
	rh_pipe_send(c->pipe, &events_stmts[SHOW], RH_UUID(c->tenant),
	    RH_UUID(id));
	return rh_pipe_row(c->pipe, event_shape, out);
}
