/* /requests/{request_id or trace_id} - from an id to where the time went. */
#include "config.h"

#include "exporter/request.h"

#include "exporter/fmt.h"
#include "exporter/views.h"
#include "obs/otlp.h"

/* ---- what there is ---- */

static bool
has_spans(const struct request *r)
{
	return rh_past_server_span(&r->found) != NULL;
}

/* The path's second segment: /requests/ID, /traces/ID/otlp.json */
static struct rh_slice
id_of(const struct page_request *rq)
{
	struct rh_slice rest = rq->path;

	rh_slice_cut(&rest, '/');
	rh_slice_cut(&rest, '/');
	return rh_slice_cut(&rest, '/');
}

/* ---- head ---- */

void
request_route_put(struct rh_buf *b, const struct request *r)
{
	const struct rh_slice *text = r->rq->text;

	rh_buf_lit(b, "/requests");
	if (r->rq->f.what != RH_WORK_REQUEST)
		html_query(b, "what",
		    rh_slice_of(rh_work_names[r->rq->f.what]));
	html_query(b, "method", text[RH_RQ_METHOD]);
	html_query(b, "route", text[RH_RQ_ROUTE].n ? text[RH_RQ_ROUTE] :
	    RH_SLICE("unmatched"));
}

static void
put_links(struct view *v, const struct request *r)
{
	struct rh_slice trace = fmt_hex(v->arena, r->found.trace_id, 16);
	const struct rh_slice *text = r->rq->text;
	struct rh_buf b;

	html_open(&v->h, "p");
	html_attr(&v->h, "class", "links");
	if (r->found.nspans)
		view_link(v, html_path(v->arena, "/traces/", trace,
		    "/otlp.json"), RH_SLICE("Download the trace (OTLP JSON)"));
	rh_buf_init(&b, v->arena, 128, 4096);
	request_route_put(&b, r);
	view_link(v, rh_buf_get(&b), r->rq->f.what == RH_WORK_REQUEST ?
	    RH_SLICE("Others of its route") : RH_SLICE("Others of its kind"));
	if (text[RH_RQ_TENANT].n) {
		rh_buf_init(&b, v->arena, 128, 4096);
		rh_buf_lit(&b, "/requests");
		html_query(&b, "tenant", text[RH_RQ_TENANT]);
		view_link(v, rh_buf_get(&b), RH_SLICE("Others of its tenant"));
	}
	html_close(&v->h);
}

static void
put_headline(struct view *v, const struct request *r)
{
	const struct rh_request *rq = r->rq;

	html_open(&v->h, "div");
	html_attr(&v->h, "class", "headline");
	html_open(&v->h, "div");
	html_open(&v->h, "h1");
	view_outcome(v, rq);
	html_lit(&v->h, " ");
	html_say(&v->h, "span", "method", rq->text[RH_RQ_METHOD]);
	html_lit(&v->h, " ");
	html_say(&v->h, "code", "", rq->f.what == RH_WORK_REQUEST ?
	    rq->text[RH_RQ_PATH] : rq->text[RH_RQ_ROUTE]);
	html_close(&v->h);
	html_open(&v->h, "p");
	html_attr(&v->h, "class", "quiet");
	html_text(&v->h, fmt_ns(v->arena, rq->f.ns));
	html_lit(&v->h, " on ");
	view_time(v, rq->f.start_us, fmt_time(v->arena, rq->f.start_us));
	html_lit(&v->h, " UTC");
	if (rq->text[RH_RQ_TENANT].n) {
		html_lit(&v->h, " for ");
		html_text(&v->h, rq->text[RH_RQ_TENANT]);
	}
	html_close(&v->h);
	put_links(v, r);
	html_close(&v->h);
	html_close(&v->h);
}

/* What it left is all that there is. */
static bool
rq_is_gone(const struct request *r)
{
	return r->rq->f.what != RH_WORK_REQUEST;
}

static void
put_why(struct view *v, const struct request *r)
{
	struct rh_buf why;

	rh_buf_init(&why, v->arena, 256, 1024);
	rh_past_why(&why, r->rq);
	html_open(&v->h, "section");
	html_attr_printf(&v->h, "class", "card why %s",
	    rh_sampled_by_names[r->rq->f.by]);
	html_open(&v->h, "h2");
	html_text(&v->h, r->rq->f.kept ? RH_SLICE("Its trace was kept") :
	    RH_SLICE("Its trace was not kept"));
	html_close(&v->h);
	html_open(&v->h, "p");
	html_text(&v->h, rh_buf_get(&why));
	if (r->rq->f.kept && !has_spans(r))
		html_lit(&v->h, " Its spans were overwritten here since by"
		    " those of later requests; a collector may have them.");
	if (!has_spans(r) && request_kept_after(r))
		html_lit(&v->h, " What it left was kept, at least in part: see"
		    " the waterfall.");
	if (rq_is_gone(r))
		html_lit(&v->h, " Nothing is remembered of the request that"
		    " left it.");
	if (r->found.is_made_up)
		html_lit(&v->h, " Its own record was overwritten since: what is"
		    " shown is told by its span.");
	html_close(&v->h);
	if (r->rq->text[RH_RQ_ERROR].n) {
		html_open(&v->h, "p");
		html_attr(&v->h, "class", "failed");
		html_text(&v->h, r->rq->text[RH_RQ_ERROR]);
		html_close(&v->h);
	}
	html_close(&v->h);
}

/* ---- where it ended ---- */

/* Of one that crashed its worker. */
static void
put_stack(struct view *v, const struct request *r)
{
	const struct rh_past_span *span = rh_past_server_span(&r->found);
	struct rh_slice stack = span ?
	    rh_past_attr(span, "exception.stacktrace") : RH_SLICE_NONE;

	if (stack.n == 0)
		return;
	html_open(&v->h, "section");
	html_attr(&v->h, "class", "card");
	html_say(&v->h, "h2", "", RH_SLICE("Where its worker stood"));
	html_open(&v->h, "pre");
	html_attr(&v->h, "tabindex", "0");
	html_say(&v->h, "code", "", stack);
	html_close(&v->h);
	html_close(&v->h);
}

/* ---- the rest of its trace ---- */

static void
put_others(struct view *v, const struct request *r)
{
	unsigned n = 0;

	for (size_t i = 0; i < r->found.nrequests; i++)
		n += r->found.requests[i].f.what == RH_WORK_REQUEST;
	if (n < 2)
		return;
	html_open(&v->h, "section");
	html_attr(&v->h, "class", "card");
	html_say(&v->h, "h2", "", RH_SLICE("Requests of this trace"));
	html_open(&v->h, "ul");
	html_attr(&v->h, "class", "lasts");
	for (size_t i = 0; i < r->found.nrequests; i++) {
		const struct rh_request *rq = &r->found.requests[i];

		if (rq->f.what != RH_WORK_REQUEST)
			continue;
		html_open(&v->h, "li");
		view_status(v, rq->f.status);
		html_open(&v->h, "a");
		html_attr_text(&v->h, "href", html_path(v->arena, "/requests/",
		    rq->text[RH_RQ_ID], ""));
		if (rq == r->rq)
			html_attr(&v->h, "aria-current", "true");
		html_text(&v->h, rq->text[RH_RQ_METHOD]);
		html_lit(&v->h, " ");
		html_text(&v->h, rq->text[RH_RQ_PATH]);
		html_close(&v->h);
		html_say(&v->h, "span", "quiet", fmt_ns(v->arena, rq->f.ns));
		view_time(v, rq->f.start_us, fmt_moment(v->arena,
		    rq->f.start_us));
		html_close(&v->h);
	}
	html_close(&v->h);
	html_close(&v->h);
}

static void
put_html(struct view *v, const struct request *r)
{
	view_begin(v, r->rq->text[RH_RQ_ID], "requests");
	put_headline(v, r);
	put_why(v, r);
	waterfall_put(v, r);
	work_put(v, r);
	put_stack(v, r);
	html_open(&v->h, "div");
	html_attr(&v->h, "class", "pair");
	shares_put(v, r);
	often_put(v, r);
	compared_put(v, r);
	html_close(&v->h);
	statements_put(v, r);
	put_others(v, r);
	line_put(v, r);
}

/* ---- not there ---- */

static void
not_remembered(struct view *v, struct rh_slice id)
{
	view_fail(v, 404, "That request is not remembered",
	    request_unknown(v->segment, id, v->arena));
}

void
request_answer(struct page_reply *reply, const struct page_request *rq,
    struct source *source, struct rh_arena *arena)
{
	struct request r;
	struct view v;

	if (!view_open(&v, reply, rq, source, arena))
		return;
	if (!request_read(&r, v.segment, id_of(rq), arena)) {
		not_remembered(&v, id_of(rq));
		return;
	}
	if (v.json)
		request_put_json(&v.body, &r, arena);
	else
		put_html(&v, &r);
	view_reply(&v);
}

/* ---- /traces/{id}/otlp.json ---- */

/* As the process itself would ship it: its own place is its instance. */
static void
encode(struct view *v, const struct rh_past_found *found)
{
	struct rh_otlp_conf *conf = RH_NEW(v->arena, struct rh_otlp_conf);
	struct rh_segment_build *build =
	    RH_NEW(v->arena, struct rh_segment_build);
	struct rh_shipper_spec *specs = rh_arena_zalloc(v->arena,
	    found->nparts + 1, sizeof(*specs));
	struct rh_otlp_part *parts = rh_arena_zalloc(v->arena,
	    found->nparts + 1, sizeof(*parts));

	rh_segment_build(v->segment, build);
	*conf = (struct rh_otlp_conf){ .attrs_max = 128,
		.attr_text_max = RH_RECORD_TEXT_MAX,
		.service_name = rh_slice_of(build->service) };
	for (size_t i = 0; i < found->nparts; i++) {
		const struct rh_past_part *part = &found->parts[i];
		uint32_t n = (uint32_t)part->record.n;
		char *bytes = rh_arena_alloc(v->arena, sizeof(n) + n);

		memcpy(bytes, &n, sizeof(n));
		memcpy(bytes + sizeof(n), part->record.p, n);
		specs[i] = (struct rh_shipper_spec){ .conf = conf,
			.segment = v->segment, .slot = part->slot,
			.version = build->version,
			.pid = atomic_load(&rh_segment_slot(v->segment,
			    part->slot)->pid) };
		parts[i] = (struct rh_otlp_part){ &specs[i], bytes,
			sizeof(n) + n };
	}
	rh_otlp_encode_parts(&v->body, RH_OTLP_JSON, parts, found->nparts);
}

void
otlp_answer(struct page_reply *reply, const struct page_request *rq,
    struct source *source, struct rh_arena *arena)
{
	struct rh_past_found found;
	struct view v;

	if (!view_open(&v, reply, rq, source, arena))
		return;
	if (!rh_past_find(&found, v.segment, id_of(rq), arena)) {
		not_remembered(&v, id_of(rq));
		return;
	}
	if (found.nparts == 0) {
		view_fail(&v, 404, "That trace was not kept",
		    RH_SLICE("Its request says why."));
		return;
	}
	v.json = true;
	encode(&v, &found);
	view_reply(&v);
	if (reply->status == 200)
		reply->disposition = rh_arena_printf(arena,
		    "attachment; filename=\"%.*s.json\"",
		    RH_SLICE_ARG(fmt_hex(arena, found.trace_id, 16)));
}
