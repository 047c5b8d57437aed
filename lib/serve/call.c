#include "config.h"

#include "base/crypto.h"
#include "serve/server.h"

struct rh_err *
rh_call_body(struct rh_call *c, void *to, struct rh_given *given)
{
	const struct rh_route *route = c->rq->match.route;
	struct rh_given unused;
	struct rh_err *err;

	if ((err = rh_req_body(c->rq, (size_t)c->conf->body_max_bytes)))
		return err;
	return rh_shape_read(c->arena, route->body, c->rq->body,
	    route->flags & RH_ROUTE_MERGE, to, given ? given : &unused);
}

struct rh_err *
rh_call_query(struct rh_call *c, void *to)
{
	return rh_query_read(c->rq, c->rq->match.route->params, to);
}

/* What a cursor is good for: this tenant, this list (its parent too), these filters. */
static uint64_t
context(const struct rh_call *c, uint64_t filters)
{
	uint64_t h = rh_hash64(c->tenant.b, sizeof(c->tenant.b));

	return (h ^ rh_hash64(c->rq->path.p, c->rq->path.n)) *
	    0x9e3779b97f4a7c15 + filters;
}

struct rh_err *
rh_call_paging(struct rh_call *c, struct rh_paging *paging, uint64_t filters)
{
	paging->filters = filters;
	return rh_cursor_get(c->arena, paging->cursor, context(c, filters),
	    &paging->after);
}

/* Of a page's i-th row. */
static struct rh_slice
cursor_of(struct rh_call *c, const struct rh_paging *paging,
    const struct rh_page_of *page, size_t i)
{
	const char *row = (const char *)page->rows + i * page->bytes;
	struct rh_cursor next;

	memcpy(&next.at, row + page->at, sizeof(next.at));
	memcpy(&next.id, row + page->id, sizeof(next.id));
	return rh_cursor_put(c->arena, next, context(c, paging->filters));
}

struct rh_err *
rh_call_reply_page(struct rh_call *c, const struct rh_paging *paging,
    const struct rh_page_of *page)
{
	size_t limit = (size_t)paging->limit;
	struct rh_page out = { page->rows, RH_MIN(page->n, limit), page->bytes,
		RH_SLICE_NONE };

	if (page->n > limit)		/* the extra row is only a witness */
		out.next = cursor_of(c, paging, page, limit - 1);
	return rh_reply_page(c->rq, c->rq->match.route->shape, &out);
}

struct rh_err *
rh_call_reply_feed(struct rh_call *c, const struct rh_paging *paging,
    const struct rh_page_of *page)
{
	struct rh_page out = { page->rows, page->n, page->bytes,
		page->n ? cursor_of(c, paging, page, page->n - 1) :
		rh_cursor_put(c->arena, paging->after,
		context(c, paging->filters)) };

	return rh_reply_page(c->rq, c->rq->match.route->shape, &out);
}

struct rh_slice
rh_call_location(struct rh_call *c, struct rh_uuid id)
{
	struct rh_slice path = c->rq->path;
	char *text = rh_arena_alloc(c->arena, path.n + 1 + RH_UUID_LEN);

	memcpy(text, path.p, path.n);
	text[path.n] = '/';
	rh_uuid_put(text + path.n + 1, id);
	return (struct rh_slice){ text, path.n + 1 + RH_UUID_LEN };
}

struct rh_err *
rh_call_missing(struct rh_call *c, const char *code, const char *detail)
{
	return rh_err_new(c->arena, RH_E_MISSING, code, "%s", detail);
}

struct rh_err *
rh_call_unchanged(struct rh_call *c, bool exists, const char *code,
    const char *detail)
{
	if (!exists)
		return rh_call_missing(c, code, detail);
	return rh_err_new(c->arena, RH_E_PRECONDITION, "version.changed",
	    "It has another version by now; read it again.");
}
