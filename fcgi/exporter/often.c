#include "config.h"

#include "exporter/fmt.h"
#include "exporter/request.h"

enum { ROWS = 6 };

/* The list of those of its route, with its status. */
static void
put_link(struct view *v, const struct request *r)
{
	struct rh_buf b;

	rh_buf_init(&b, v->arena, 128, 4096);
	request_route_put(&b, r);
	if (r->rq->f.status)
		html_query(&b, "status",
		    rh_slice_of(
			rh_arena_printf(v->arena, "%u", r->rq->f.status)));
	view_link(v, rh_buf_get(&b), RH_SLICE("See those"));
}

static void
put_alike(struct view *v, const struct request *r)
{
	struct rh_slice error = r->rq->text[RH_RQ_ERROR];

	html_open(&v->h, "p");
	html_attr(&v->h, "class", "often");
	html_lit(&v->h, "Of the last ");
	html_text(&v->h, fmt_count(v->arena, r->looked_at));
	html_text(&v->h,
	    r->rq->f.what == RH_WORK_REQUEST ? RH_SLICE(" of its route, ") :
					       RH_SLICE(" of its kind, "));
	html_say(&v->h, "strong", "", fmt_count(v->arena, r->alike));
	html_lit(&v->h, " ended as it did");
	if (error.n) {
		html_lit(&v->h, ", with ");
		html_say(&v->h, "code", "", error);
	}
	if (r->alike) {
		html_lit(&v->h, ", the first at ");
		view_time(v, r->alike_us, fmt_time(v->arena, r->alike_us));
	}
	html_lit(&v->h, "; they go back to ");
	view_time(v, r->looked_us, fmt_time(v->arena, r->looked_us));
	html_lit(&v->h, ". ");
	put_link(v, r);
	html_close(&v->h);
}

static void
put_status(struct view *v, const struct request *r,
    const struct often_status *s)
{
	struct rh_slice mine = rh_slice_of(
	    rh_arena_printf(v->arena, "%u", r->rq->f.status));

	html_open(&v->h, "tr");
	html_open(&v->h, "th");
	html_attr(&v->h, "scope", "row");
	html_text(&v->h, s->status);
	if (rh_slice_is(s->status, mine))
		html_say(&v->h, "span", "quiet", RH_SLICE(" this one"));
	html_close(&v->h);
	view_td(v, "num", fmt_count(v->arena, s->n));
	view_td(v, "num",
	    fmt_share(v->arena, (double)s->n / (double)r->answered));
	html_close(&v->h);
}

static void
put_statuses(struct view *v, const struct request *r)
{
	html_open(&v->h, "table");
	html_open(&v->h, "thead");
	html_open(&v->h, "tr");
	view_th(v, "", "Status, since counting began");
	view_th(v, "num", "Requests");
	view_th(v, "num", "Share");
	html_close(&v->h);
	html_close(&v->h);
	html_open(&v->h, "tbody");
	for (size_t i = 0; i < RH_MIN(r->nstatuses, (size_t)ROWS); i++)
		put_status(v, r, &r->statuses[i]);
	html_close(&v->h);
	html_close(&v->h);
}

void
often_put(struct view *v, const struct request *r)
{
	if (r->looked_at == 0 && r->answered == 0)
		return;
	html_open(&v->h, "section");
	html_attr(&v->h, "class", "card");
	html_say(&v->h, "h2", "", RH_SLICE("How often"));
	if (r->looked_at)
		put_alike(v, r);
	if (r->answered)
		put_statuses(v, r);
	html_close(&v->h);
}
