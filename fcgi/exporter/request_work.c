#include "config.h"

#include "exporter/fmt.h"
#include "exporter/request.h"

/* ---- fields of a log line ---- */

static void
put_uuid(struct view *v, const char *name, struct rh_uuid id)
{
	char text[RH_UUID_LEN];

	if (rh_uuid_is_nil(id))
		return;
	rh_uuid_put(text, id);
	view_pair(v, name, rh_arena_slice(v->arena,
	    (struct rh_slice){ text, sizeof(text) }));
}

static void
put_number(struct view *v, const char *name, unsigned n)
{
	if (n)
		view_pair(v, name, rh_slice_of(rh_arena_printf(v->arena, "%u",
		    n)));
}

static void
put_of_request(struct view *v, const struct rh_request *rq)
{
	const struct rh_slice *text = rq->text;

	view_pair(v, "method", text[RH_RQ_METHOD]);
	view_pair(v, "route", text[RH_RQ_ROUTE]);
	view_pair(v, "path", text[RH_RQ_PATH]);
	put_number(v, "status", rq->f.status);
	view_pair(v, "duration", fmt_ns(v->arena, rq->f.ns));
	view_pair(v, "bytes_in", fmt_count(v->arena, rq->f.bytes_in));
	view_pair(v, "bytes_out", fmt_count(v->arena, rq->f.bytes_out));
}

static void
put_of_job(struct view *v, const struct rh_request *rq)
{
	const bool is_job = rq->f.what == RH_WORK_JOB;
	const struct rh_slice *text = rq->text;

	view_pair(v, is_job ? "kind" : "event_type", text[RH_RQ_ROUTE]);
	view_pair(v, is_job ? "job_id" : "delivery_id", text[RH_RQ_PATH]);
	put_number(v, "attempt", rq->f.attempt);
	view_pair(v, is_job ? "outcome" : "result", text[RH_RQ_OUTCOME]);
	put_number(v, "status", rq->f.status);
	view_pair(v, "duration", fmt_ns(v->arena, rq->f.ns));
	view_pair(v, "waited", fmt_ns(v->arena, rq->f.waited_ns));
}

static void
put_fields(struct view *v, const struct rh_request *rq)
{
	const struct rh_slice *text = rq->text;

	html_open(&v->h, "dl");
	html_attr(&v->h, "class", "fields");
	view_pair(v, "time", fmt_rfc3339(v->arena, rq->f.start_us));
	view_pair(v, "request_id", text[RH_RQ_ID]);
	view_pair(v, "trace_id", fmt_hex(v->arena, rq->f.trace_id, 16));
	view_pair(v, "span_id", fmt_hex(v->arena, rq->f.span_id, 8));
	view_pair(v, "sampled", rq->f.kept ? RH_SLICE("true") :
	    RH_SLICE("false"));
	view_pair(v, "sampled_by",
	    rh_slice_of(rh_sampled_by_names[rq->f.by]));
	(rq->f.what == RH_WORK_REQUEST ? put_of_request : put_of_job)(v, rq);
	view_pair(v, "tenant", text[RH_RQ_TENANT]);
	put_uuid(v, "tenant_id", rq->f.tenant_id);
	put_uuid(v, "user_id", rq->f.user_id);
	view_pair(v, "role", text[RH_RQ_ROLE]);
	put_uuid(v, "token_id", rq->f.token_id);
	view_pair(v, "cache", text[RH_RQ_CACHE]);
	view_pair(v, "limiter", text[RH_RQ_LIMITER]);
	view_pair(v, "error", text[RH_RQ_ERROR]);
	view_pair(v, "remote", text[RH_RQ_REMOTE]);
	view_pair(v, "user_agent", text[RH_RQ_AGENT]);
	put_number(v, "pid", rq->f.pid);
	html_close(&v->h);
}

void
line_put(struct view *v, const struct request *r)
{
	html_open(&v->h, "section");
	html_attr(&v->h, "class", "card");
	html_say(&v->h, "h2", "", RH_SLICE("Its log line"));
	put_fields(v, r->rq);
	html_close(&v->h);
}

/* ---- what it left ---- */

static void
put_work(struct view *v, const struct rh_request *rq)
{
	html_open(&v->h, "li");
	html_open(&v->h, "details");
	html_open(&v->h, "summary");
	view_outcome(v, rq);
	html_lit(&v->h, " ");
	html_say(&v->h, "code", "", rq->text[RH_RQ_ROUTE]);
	if (rq->f.attempt)
		html_printf(&v->h, " attempt %u", rq->f.attempt);
	html_open(&v->h, "span");
	html_attr(&v->h, "class", "quiet");
	html_lit(&v->h, " · ");
	view_time(v, rq->f.start_us, fmt_moment(v->arena, rq->f.start_us));
	html_lit(&v->h, " · waited ");
	html_text(&v->h, fmt_ns(v->arena, rq->f.waited_ns));
	html_lit(&v->h, " · took ");
	html_text(&v->h, fmt_ns(v->arena, rq->f.ns));
	html_close(&v->h);
	if (rq->text[RH_RQ_ERROR].n) {
		html_lit(&v->h, " ");
		html_say(&v->h, "span", "failed", rq->text[RH_RQ_ERROR]);
	}
	html_close(&v->h);
	put_fields(v, rq);
	html_close(&v->h);
	html_close(&v->h);
}

static void
put_kind_of_work(struct view *v, const struct request *r, const char *title,
    enum rh_work what)
{
	const struct rh_past_found *f = &r->found;
	unsigned n = 0;

	for (size_t i = 0; i < f->nrequests; i++)
		n += f->requests[i].f.what == what && &f->requests[i] != r->rq;
	if (n == 0)
		return;
	html_open(&v->h, "section");
	html_attr(&v->h, "class", "card");
	html_say(&v->h, "h2", "", rh_slice_of(title));
	html_open(&v->h, "ul");
	html_attr(&v->h, "class", "works");
	for (size_t i = 0; i < f->nrequests; i++)
		if (f->requests[i].f.what == what && &f->requests[i] != r->rq)
			put_work(v, &f->requests[i]);
	html_close(&v->h);
	html_close(&v->h);
}

void
work_put(struct view *v, const struct request *r)
{
	put_kind_of_work(v, r, "Jobs that it left", RH_WORK_JOB);
	put_kind_of_work(v, r, "Webhooks that came of it", RH_WORK_WEBHOOK);
}
