/* notes - a tenant's notes: an application on librowhouse, all of it. */
#include "serve/app.h"
#include "serve/event.h"

#define PATH	"/v1/t/{tenant}/notes"

struct note { struct rh_uuid id; struct rh_slice text; int64_t created_at; };
struct query { struct rh_paging paging; };

static const struct rh_field shape[] = {	/* a row, a JSON object, the API's reference */
	{ RH_FIELD("id", UUID, struct note, id) },
	{ RH_FIELD("text", TEXT, struct note, text) },
	{ RH_FIELD("created_at", TIME, struct note, created_at) },
	{ 0 }
};
static const struct rh_field body[] = {
	{ RH_FIELD("text", TEXT, struct note, text), .flags = RH_F_REQUIRED, .min = 1, .max = 1000 },
	{ 0 }
};
static const struct rh_field params[] = { RH_PAGING_FIELDS(struct query, paging), { 0 } };

enum { PAGE, CREATE };
static struct rh_stmt stmts[] = {
	[PAGE] = { .name = "notes.page", .sql = "select id, text, created_at from notes"
	    " where tenant_id = $1 and (created_at, id) < ($2, $3)"
	    " order by created_at desc, id desc limit $4" },
	[CREATE] = { .name = "notes.create", .sql = "with x as (insert into notes (tenant_id, id, text)"
	    " values ($1, $6, $7) returning id, text, created_at), e as ("
	    RH_EVENT("note.created", "x", "x.id", "to_jsonb(x)") ") select * from x" },
	{ 0 }
};

enum { LENGTH_SHORT, LENGTH_LONG };
static const char *const lengths[] = { "short", "long", NULL };
enum { WRITTEN };
static struct rh_instrument instruments[] = {
	[WRITTEN] = { .name = "notes_written_total", .kind = RH_M_COUNTER,
	    .help = "notes written", .label = "length", .values = lengths },
	{ 0 }
};

static struct rh_err *
list(struct rh_call *c)
{
	struct query q = { { .limit = RH_PAGE_DEFAULT } };
	const struct rh_paging *p = &q.paging;
	struct note *rows;
	struct rh_err *err;
	size_t n;

	if ((err = rh_call_query(c, &q)) || (err = rh_call_paging(c, &q.paging, 0)))
		return err;
	rh_pipe_send(c->pipe, &stmts[PAGE], RH_UUID(c->tenant), RH_TIME(p->after.at),
	    RH_UUID(p->after.id), RH_INT(p->limit + 1));
	n = rh_pipe_rows(c->pipe, shape, sizeof(*rows), &rows);
	return rh_call_reply_page(c, p, &(struct rh_page_of){ rows, n, sizeof(*rows),
	    offsetof(struct note, created_at), offsetof(struct note, id) });
}

static struct rh_err *
create(struct rh_call *c)
{
	struct note note = { .text = RH_SLICE_NONE };
	struct rh_err *err;

	if ((err = rh_call_body(c, &note, NULL)))
		return err;
	rh_pipe_send(c->pipe, &stmts[CREATE], RH_EVENT_ARGS(c), RH_UUID(rh_uuid_v7()),
	    RH_TEXT(note.text));
	if (rh_pipe_row(c->pipe, shape, &note))
		rh_call_count(c, &instruments[WRITTEN], note.text.n > 140 ? LENGTH_LONG : LENGTH_SHORT, 1);
	return rh_reply_created(c->rq, shape, &note, rh_call_location(c, note.id), 0);
}

static const struct rh_route routes[] = {
	{ .method = RH_GET, .template = PATH, .role = RH_VIEWER, .handler = list, .rate = RH_RATE_READ,
	  .params = params, .answer = RH_ANSWER_PAGE, .shape = shape, .summary = "List notes" },
	{ .method = RH_POST, .template = PATH, .role = RH_MEMBER, .handler = create, .rate = RH_RATE_WRITE,
	  .body = body, .answer = RH_ANSWER_CREATED, .shape = shape, .summary = "Write a note" },
	{ 0 }
};

int
main(int argc, char **argv)
{
	static const struct rh_resource notes = { .name = "notes", .routes = routes, .stmts = stmts,
		.instruments = instruments };
	static const struct rh_resource *const resources[] = { &notes, NULL };
	static const struct rh_app app = { .name = "notes", .title = "Notes", .version = "1.0",
		.description = "serves a tenant's notes", .resources = resources };

	return rh_app_main(&app, argc, argv);
}
