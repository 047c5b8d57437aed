#include "config.h"

#include <math.h>

#include "exporter/json.h"
#include "exporter/request_read.h"
#include "obs/metric_read.h"

static void
put_stores(struct rh_buf *to, const struct rh_request_fixed *f)
{
	json_open(to, "rt", '{');
	json_int(to, "pg", f->pg_trips);
	json_int(to, "redis", f->redis_trips);
	json_close(to, '}');
	json_open(to, "ms", '{');
	json_ms(to, "pg", f->pg_ns);
	json_ms(to, "redis", f->redis_ns);
	json_close(to, '}');
}

static void
put_request(struct rh_buf *to, const struct rh_request *rq)
{
	const struct rh_request_fixed *f = &rq->f;

	json_text(to, "method", rq->text[RH_RQ_METHOD]);
	json_some(to, "route", rq->text[RH_RQ_ROUTE]);
	json_text(to, "path", rq->text[RH_RQ_PATH]);
	json_int(to, "status", f->status);
	json_ms(to, "duration_ms", f->ns);
	json_int(to, "bytes_in", (int64_t)f->bytes_in);
	json_int(to, "bytes_out", (int64_t)f->bytes_out);
	json_some(to, "tenant", rq->text[RH_RQ_TENANT]);
	json_uuid(to, "tenant_id", f->tenant_id);
	json_uuid(to, "user_id", f->user_id);
	json_some(to, "role", rq->text[RH_RQ_ROLE]);
	json_uuid(to, "token_id", f->token_id);
	json_some(to, "cache", rq->text[RH_RQ_CACHE]);
	json_some(to, "limiter", rq->text[RH_RQ_LIMITER]);
	json_some(to, "remote", rq->text[RH_RQ_REMOTE]);
	json_some(to, "user_agent", rq->text[RH_RQ_AGENT]);
}

static void
put_job(struct rh_buf *to, const struct rh_request *rq)
{
	const bool is_job = rq->f.what == RH_WORK_JOB;

	json_text(to, is_job ? "kind" : "event_type", rq->text[RH_RQ_ROUTE]);
	json_text(to, is_job ? "job_id" : "delivery_id", rq->text[RH_RQ_PATH]);
	json_int(to, "attempt", rq->f.attempt);
	json_text(to, is_job ? "outcome" : "result", rq->text[RH_RQ_OUTCOME]);
	if (rq->f.status)
		json_int(to, "status", rq->f.status);
	json_ms(to, "duration_ms", rq->f.ns);
	json_ms(to, "waited_ms", rq->f.waited_ns);
	json_some(to, "tenant", rq->text[RH_RQ_TENANT]);
	json_uuid(to, "tenant_id", rq->f.tenant_id);
	json_uuid(to, "user_id", rq->f.user_id);
}

void
request_json(struct rh_buf *to, const char *name, const struct rh_request *rq)
{
	const struct rh_request_fixed *f = &rq->f;

	json_open(to, name, '{');
	json_time(to, "time", f->start_us);
	json_text(to, "what", rh_slice_of(rh_work_names[f->what]));
	json_text(to, "request_id", rq->text[RH_RQ_ID]);
	json_hex(to, "trace_id", f->trace_id, 16);
	json_hex(to, "span_id", f->span_id, 8);
	json_bool(to, "sampled", f->kept);
	json_text(to, "sampled_by", rh_slice_of(rh_sampled_by_names[f->by]));
	(f->what == RH_WORK_REQUEST ? put_request : put_job)(to, rq);
	put_stores(to, f);
	json_some(to, "error", rq->text[RH_RQ_ERROR]);
	json_int(to, "pid", f->pid);
	json_close(to, '}');
}

static void
put_compared(struct rh_buf *to, const struct request *r)
{
	json_open(to, "route", '{');
	json_int(to, "requests", (int64_t)r->requests);
	if (r->requests) {
		json_ms(to, "p50_ms", rh_quantile_ns(r->buckets, 0.5));
		json_ms(to, "p95_ms", rh_quantile_ns(r->buckets, 0.95));
		json_ms(to, "p99_ms", rh_quantile_ns(r->buckets, 0.99));
	}
	json_number(to, "slower_than_share", r->slower_than);
	json_close(to, '}');
}

static void
put_often(struct rh_buf *to, const struct request *r)
{
	json_open(to, "often", '{');
	json_open(to, "last", '{');
	json_int(to, "looked_at", (int64_t)r->looked_at);
	json_int(to, "alike", (int64_t)r->alike);
	if (r->looked_at)
		json_time(to, "since", r->looked_us);
	if (r->alike)
		json_time(to, "alike_since", r->alike_us);
	json_close(to, '}');
	json_open(to, "statuses", '[');
	for (size_t i = 0; i < r->nstatuses; i++) {
		json_open(to, NULL, '{');
		json_text(to, "status", r->statuses[i].status);
		json_int(to, "requests", (int64_t)r->statuses[i].n);
		json_close(to, '}');
	}
	json_close(to, ']');
	json_close(to, '}');
}

static void
put_attrs(struct rh_buf *to, const struct rh_past_span *span)
{
	json_open(to, "attributes", '{');
	for (unsigned i = 0; i < span->nattrs; i++) {
		const struct rh_attr *attr = &span->attrs[i];

		if (attr->is_int)
			json_int(to, attr->key, attr->number);
		else
			json_text(to, attr->key, attr->text);
	}
	json_close(to, '}');
}

static void
put_span(struct rh_buf *to, const struct rh_past_span *span)
{
	const struct rh_record_span *f = &span->fixed;

	json_open(to, NULL, '{');
	json_text(to, "name", span->name);
	json_hex(to, "span_id", f->id, 8);
	json_hex(to, "parent_span_id", f->parent_id, 8);
	json_int(to, "kind", f->kind);
	json_int(to, "depth", span->depth);
	json_int(to, "leg", span->leg);
	json_time(to, "start", (int64_t)(f->start_ns / 1000));
	json_ms(to, "duration_ms", f->end_ns > f->start_ns ?
	    f->end_ns - f->start_ns : 0);
	json_bool(to, "error", f->error);
	json_some(to, "error_text", span->error_text);
	put_attrs(to, span);
	json_close(to, '}');
}

static void
put_leg(struct rh_buf *to, const struct request_leg *l)
{
	const struct rh_past_leg *leg = l->leg;

	json_open(to, NULL, '{');
	json_text(to, "what", leg->is_other ? RH_SLICE("other") :
	    rh_slice_of(rh_work_names[leg->what]));
	json_text(to, "name", l->name);
	json_text(to, "pool", rh_slice_of(l->pool));
	json_int(to, "slot", l->slot);
	json_int(to, "depth", leg->depth);
	if (l->attempt)
		json_int(to, "attempt", l->attempt);
	json_some(to, "outcome", l->outcome);
	json_bool(to, "failed", l->failed);
	json_bool(to, "spans_remembered", leg->spans != NULL);
	json_time(to, "start", (int64_t)(leg->start_ns / 1000));
	json_ms(to, "duration_ms", leg->end_ns > leg->start_ns ?
	    leg->end_ns - leg->start_ns : 0);
	if (leg->note && leg->what != RH_WORK_REQUEST)
		json_ms(to, "waited_ms", leg->note->f.waited_ns);
	json_close(to, '}');
}

static void
put_all(struct rh_buf *to, const char *name, const struct request *r,
    enum rh_work what)
{
	json_open(to, name, '[');
	for (size_t i = 0; i < r->found.nrequests; i++)
		if (r->found.requests[i].f.what == what)
			request_json(to, NULL, &r->found.requests[i]);
	json_close(to, ']');
}

void
request_put_json(struct rh_buf *to, const struct request *r,
    struct rh_arena *arena)
{
	struct rh_buf why;

	rh_buf_init(&why, arena, 256, 1024);
	rh_past_why(&why, r->rq);
	json_open(to, NULL, '{');
	request_json(to, "request", r->rq);
	json_text(to, "why", rh_buf_get(&why));
	json_bool(to, "spans_remembered",
	    rh_past_server_span(&r->found) != NULL);
	put_compared(to, r);
	put_often(to, r);
	json_open(to, "spans", '[');
	for (size_t i = 0; i < r->found.nspans; i++)
		put_span(to, &r->found.spans[i]);
	json_close(to, ']');
	json_int(to, "spans_dropped", r->found.spans_dropped);
	json_open(to, "legs", '[');
	for (size_t i = 0; i < r->found.nlegs; i++)
		put_leg(to, &r->legs[i]);
	json_close(to, ']');
	put_all(to, "trace", r, RH_WORK_REQUEST);
	put_all(to, "jobs", r, RH_WORK_JOB);
	put_all(to, "webhooks", r, RH_WORK_WEBHOOK);
	json_close(to, '}');
}
