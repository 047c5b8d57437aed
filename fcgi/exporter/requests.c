/* /requests - the last ones, filtered. */
#include "config.h"

#include "base/text.h"
#include "exporter/fmt.h"
#include "exporter/json.h"
#include "exporter/request_read.h"
#include "exporter/view.h"
#include "exporter/views.h"

#define ROWS_DEFAULT	100
#define ROWS_MAX	1000

/* What was asked for, as it was written: the form shows it again. */
struct query {
	struct rh_slice status, min_ms, limit, what;
	struct rh_past_filter filter;
};

/* ---- the query ---- */

/* "503", "5xx" */
static bool
read_status(struct rh_past_filter *f, struct rh_slice text)
{
	uint64_t n;

	if (text.n == 3 && text.p[0] >= '1' && text.p[0] <= '5' &&
	    (text.p[1] | 32) == 'x' && (text.p[2] | 32) == 'x') {
		f->status_min = (unsigned)(text.p[0] - '0') * 100;
		f->status_max = f->status_min + 99;
		return true;
	}
	if (!rh_u64_get(&n, text) || n < 100 || n > 599)
		return false;
	f->status_min = f->status_max = (unsigned)n;
	return true;
}

static bool
read_min_ms(struct rh_past_filter *f, struct rh_slice text)
{
	uint64_t n;

	if (!rh_u64_get(&n, text) || n > 86400000)
		return false;
	f->min_ns = n * 1000000;
	return true;
}

static bool
read_limit(struct rh_past_filter *f, struct rh_slice text)
{
	uint64_t n;

	if (!rh_u64_get(&n, text) || n == 0 || n > ROWS_MAX)
		return false;
	f->most = n;
	return true;
}

static bool
read_what(struct rh_past_filter *f, struct rh_slice text)
{
	f->any = rh_slice_is(text, RH_SLICE("any"));
	for (int i = 0; i < RH_WORKS; i++)
		if (rh_slice_is(text, rh_slice_of(rh_work_names[i]))) {
			f->what = (enum rh_work)i;
			return true;
		}
	return f->any;
}

/* False: it was answered. */
static bool
read_query(struct query *q, struct view *v)
{
	*q = (struct query){ .status = page_arg(v->rq, "status"),
		.min_ms = page_arg(v->rq, "min_ms"),
		.limit = page_arg(v->rq, "limit"),
		.what = page_arg(v->rq, "what"),
		.filter = { .tenant = page_arg(v->rq, "tenant"),
		    .route = page_arg(v->rq, "route"),
		    .method = page_arg(v->rq, "method"),
		    .most = ROWS_DEFAULT } };
	const struct {
		bool is_good;
		const char *why;
	} faults[] = {
		{ q->status.n == 0 || read_status(&q->filter, q->status),
		    "status is a number, or a class like 5xx" },
		{ q->min_ms.n == 0 || read_min_ms(&q->filter, q->min_ms),
		    "min_ms is a whole number of milliseconds" },
		{ q->limit.n == 0 || read_limit(&q->filter, q->limit),
		    "limit is 1 to 1000" },
		{ q->what.n == 0 || read_what(&q->filter, q->what),
		    "what is request, job, webhook or any" },
	};

	for (size_t i = 0; i < RH_COUNT(faults); i++)
		if (!faults[i].is_good) {
			view_fail(v, 400, "That makes no sense",
			    rh_slice_of(faults[i].why));
			return false;
		}
	return true;
}

/* ---- HTML ---- */

static void
put_field(struct view *v, const char *name, const char *label,
    struct rh_slice value, const char *hint)
{
	html_open(&v->h, "label");
	html_say(&v->h, "span", "", rh_slice_of(label));
	html_void(&v->h, "input");
	html_attr_text(&v->h, "name", rh_slice_of(name));
	html_attr_text(&v->h, "value", value);
	html_attr_text(&v->h, "placeholder", rh_slice_of(hint));
	html_attr(&v->h, "autocomplete", "off");
	html_attr(&v->h, "spellcheck", "false");
	html_close(&v->h);
	html_close(&v->h);
}

static void
put_form(struct view *v, const struct query *q)
{
	html_open(&v->h, "form");
	html_attr(&v->h, "class", "card filter");
	html_attr(&v->h, "action", "/requests");
	put_field(v, "tenant", "Tenant", q->filter.tenant, "any");
	put_field(v, "method", "Method", q->filter.method, "any");
	put_field(v, "route", "Route", q->filter.route,
	    "/v1/t/{tenant}/projects");
	put_field(v, "status", "Status", q->status, "503 or 5xx");
	put_field(v, "min_ms", "Slower than, ms", q->min_ms, "0");
	put_field(v, "what", "What", q->what, "request");
	html_open(&v->h, "button");
	html_lit(&v->h, "Filter");
	html_close(&v->h);
	html_open(&v->h, "a");
	html_attr(&v->h, "class", "quiet");
	html_attr(&v->h, "href", "/requests");
	html_lit(&v->h, "all");
	html_close(&v->h);
	html_close(&v->h);
}

static void
put_row(struct view *v, const struct rh_request *rq)
{
	html_open(&v->h, "tr");
	html_open(&v->h, "td");
	html_attr(&v->h, "class", "num");
	view_time(v, rq->f.start_us, fmt_moment(v->arena, rq->f.start_us));
	html_close(&v->h);
	html_open(&v->h, "td");
	view_outcome(v, rq);
	html_close(&v->h);
	html_open(&v->h, "th");
	html_attr(&v->h, "scope", "row");
	html_attr(&v->h, "class", "wide");
	html_open(&v->h, "a");
	html_attr_text(&v->h, "href", html_path(v->arena, "/requests/",
	    rq->text[RH_RQ_ID], ""));
	html_say(&v->h, "span", "method", rq->text[RH_RQ_METHOD]);
	html_lit(&v->h, " ");
	html_text(&v->h, rq->f.what == RH_WORK_REQUEST ?
	    rq->text[RH_RQ_PATH] : rq->text[RH_RQ_ROUTE]);
	html_close(&v->h);
	if (rq->text[RH_RQ_ERROR].n)
		html_say(&v->h, "small", "", rq->text[RH_RQ_ERROR]);
	html_close(&v->h);
	view_td(v, rq->f.slow_ns && rq->f.ns >= rq->f.slow_ns ? "num slow" :
	    "num", fmt_ns(v->arena, rq->f.ns));
	view_td(v, "num less", rq->f.pg_ns ? fmt_ns(v->arena, rq->f.pg_ns) :
	    RH_SLICE("–"));
	view_td(v, "less", rq->text[RH_RQ_TENANT].n ? rq->text[RH_RQ_TENANT] :
	    RH_SLICE("–"));
	html_open(&v->h, "td");
	html_open(&v->h, "span");
	html_attr_text(&v->h, "class", rq->f.kept ? RH_SLICE("kept") :
	    RH_SLICE("quiet"));
	html_text(&v->h, rq->f.kept ?
	    rh_slice_of(rh_sampled_by_names[rq->f.by]) : RH_SLICE("not kept"));
	html_close(&v->h);
	html_close(&v->h);
	html_close(&v->h);
}

static void
put_table(struct view *v, const struct rh_past_list *list)
{
	html_open(&v->h, "section");
	html_attr(&v->h, "class", "card");
	html_open(&v->h, "div");
	html_attr(&v->h, "class", "scroll");
	html_attr(&v->h, "tabindex", "0");
	html_open(&v->h, "table");
	html_attr(&v->h, "class", "list");
	html_open(&v->h, "thead");
	html_open(&v->h, "tr");
	view_th(v, "num", "Time, UTC");
	view_th(v, "", "Status");
	view_th(v, "wide", "Request");
	view_th(v, "num", "Took");
	view_th(v, "num less", "PostgreSQL");
	view_th(v, "less", "Tenant");
	view_th(v, "", "Kept");
	html_close(&v->h);
	html_close(&v->h);
	html_open(&v->h, "tbody");
	for (size_t i = 0; i < list->n; i++)
		put_row(v, &list->rows[i]);
	html_close(&v->h);
	html_close(&v->h);
	html_close(&v->h);
	if (list->n == 0)
		html_say(&v->h, "p", "empty", RH_SLICE("No request that is"
		    " remembered is like that."));
	html_close(&v->h);
}

static void
put_remembered(struct view *v, const struct rh_past_list *list)
{
	struct rh_arena *a = v->arena;

	html_open(&v->h, "p");
	html_attr(&v->h, "class", "quiet");
	html_text(&v->h, fmt_count(a, list->n));
	html_lit(&v->h, " shown of ");
	html_text(&v->h, fmt_count(a, list->matched));
	html_lit(&v->h, " that match.");
	if (list->oldest_us > 0) {
		html_lit(&v->h, " Oldest kept: ");
		view_time(v, list->oldest_us, fmt_time(a, list->oldest_us));
		html_lit(&v->h, ". ");
	}
	if (list->whole_us > 0) {
		html_lit(&v->h, "All since ");
		view_time(v, list->whole_us, fmt_time(a, list->whole_us));
		html_lit(&v->h, " are here; of those before, some, and what"
		    " failed or was slow for longer.");
	}
	html_close(&v->h);
}

/* ---- JSON ---- */

static void
put_json(struct view *v, const struct rh_past_list *list)
{
	struct rh_buf *to = &v->body;

	json_open(to, NULL, '{');
	json_int(to, "matched", (int64_t)list->matched);
	json_time(to, "oldest", list->oldest_us);
	json_time(to, "complete_since", list->whole_us);
	json_open(to, "requests", '[');
	for (size_t i = 0; i < list->n; i++)
		request_json(to, NULL, &list->rows[i]);
	json_close(to, ']');
	json_close(to, '}');
}

/* Of the head's form, which has no script to go there itself. */
static bool
goes_to_one(struct page_reply *reply, const struct page_request *rq,
    struct rh_arena *arena)
{
	struct rh_slice id = rh_slice_trim(page_arg(rq, "id")), path;

	if (id.n == 0)
		return false;
	path = html_path(arena, "/requests/", id, "");
	*reply = (struct page_reply){ .status = 303,
		.location = rh_arena_strdup(arena, path),
		.type = "text/plain; charset=utf-8",
		.body = RH_SLICE("see there\n") };
	return true;
}

void
requests_answer(struct page_reply *reply, const struct page_request *rq,
    struct source *source, struct rh_arena *arena)
{
	struct rh_past_list list;
	struct query q;
	struct view v;

	if (goes_to_one(reply, rq, arena) ||
	    !view_open(&v, reply, rq, source, arena) || !read_query(&q, &v))
		return;
	rh_past_list(&list, v.segment, &q.filter, arena);
	if (v.json)
		put_json(&v, &list);
	else {
		view_begin(&v, RH_SLICE("Requests"), "requests");
		html_say(&v.h, "h1", "", RH_SLICE("Requests"));
		put_form(&v, &q);
		put_remembered(&v, &list);
		put_table(&v, &list);
	}
	view_reply(&v);
}
