#include "config.h"

#include "base/clock.h"
#include "jobs/deliver_part.h"
#include "jobs/out_guard.h"
#include "obs/otlp.h"
#include "obs/request_record.h"

/*
 * An attempt is told three times, with the same ids: a line, a count, and a
 * CLIENT span that goes on the trace of the request whose change it tells of.
 * Its id is given when it leaves, for the receiver hears it; the span is made
 * when it is over, since many are on their way at a time.
 */

enum { SHORT_CAP = 160 };

const char *const rh_delivered_names[RH_DELIVERED_RESULTS + 1] = {
	[RH_DELIVERED_OK] = "delivered",
	[RH_DELIVERED_FAILED] = "failed",
	[RH_DELIVERED_REFUSED] = "refused",
	[RH_DELIVERED_TIMEOUT] = "timeout",
	[RH_DELIVERED_UNREACHABLE] = "unreachable",
	NULL
};
static const char *const outcomes[] = {
	[RH_SETTLED_DELIVERED] = "delivered",
	[RH_SETTLED_AGAIN] = "retried",
	[RH_SETTLED_FAILED] = "failed",
};

void
rh_deliver_families(struct rh_metrics *m, struct rh_deliver_series *s)
{
	int result = rh_metrics_dim(m, "result", 0);

	for (unsigned i = 0; i < RH_DELIVERED_RESULTS; i++)
		rh_metrics_value(m, result, &rh_delivered_names[i]);
	s->duration = rh_metrics_family(m,
	    &(struct rh_family_spec){ RH_M_HISTOGRAM,
		RH_M_SPARSE | RH_M_EXEMPLARS,
		"webhook_delivery_duration_seconds",
		"from an attempt's begin to its receiver's last byte", result,
		-1 });
	s->on_their_way = rh_metrics_family(m,
	    &(struct rh_family_spec){ RH_M_GAUGE, 0,
		"webhook_deliveries_in_flight",
		"attempts that wait for their receiver", -1, -1 });
}

/* ---- the trace ---- */

static void
trace_begin(const struct rh_sending *s)
{
	struct rh_deliver *d = s->d;
	struct rh_trace_origin origin = { .trace_id = s->due.trace_id,
		.span_id = s->due.parent_span_id,
		.left = s->due.trace_flags,
		.wall_ns = (uint64_t)s->start_us * 1000,
		.mono_ns = s->start_ns };

	rh_trace_resume(d->trace, d->obs.sampler, &origin);
	rh_trace_server(d->trace)->kind = RH_SPAN_CLIENT;
}

void
rh_sending_trace(struct rh_sending *s, char traceparent[RH_TRACEPARENT_LEN])
{
	struct rh_trace *t = s->d->trace;

	trace_begin(s);
	memcpy(s->span_id, rh_trace_server(t)->id, sizeof(s->span_id));
	rh_traceparent_put(traceparent, t, rh_trace_server(t));
}

/* ---- the line ---- */

static void
line(struct rh_sending *s, bool kept, uint64_t ns)
{
	struct rh_deliver *d = s->d;
	struct rh_line l;

	rh_line_open(&l, d->obs.log,
	    s->settled == RH_SETTLED_DELIVERED	? RH_LOG_INFO :
		s->settled == RH_SETTLED_FAILED ? RH_LOG_ERROR :
						  RH_LOG_WARN,
	    "webhook", s->start_us);
	rh_line_text(&l, "request_id", s->due.request_id, SHORT_CAP);
	rh_line_hex(&l, "trace_id", d->trace->trace_id, 16);
	rh_line_hex(&l, "span_id", s->span_id, 8);
	rh_line_bool(&l, "sampled", kept);
	rh_line_text(&l, "sampled_by",
	    rh_slice_of(rh_sampled_by_names[d->trace->by]), SHORT_CAP);
	rh_line_uuid(&l, "tenant_id", s->due.tenant);
	rh_line_uuid(&l, "webhook_id", s->due.webhook);
	rh_line_uuid(&l, "delivery_id", s->due.id);
	rh_line_uuid(&l, "event_id", s->due.event);
	rh_line_text(&l, "type", s->due.type, SHORT_CAP);
	rh_line_int(&l, "attempt", s->due.attempt);
	if (s->status)
		rh_line_int(&l, "status", s->status);
	rh_line_text(&l, "outcome", rh_slice_of(outcomes[s->settled]),
	    SHORT_CAP);
	rh_line_ms(&l, "duration_ms", ns);
	rh_line_ms(&l, "waited_ms",
	    (uint64_t)RH_MAX(s->due.waited_ms, 0) * MS_NS);
	rh_line_text(&l, "error", rh_slice_of(s->error), SHORT_CAP);
	rh_line_close(&l);
}

/* ---- what the page shows ---- */

static void
note(const struct rh_sending *s, bool kept, uint64_t ns)
{
	struct rh_deliver *d = s->d;
	char id[RH_UUID_LEN];
	struct rh_request rq = { .f = { .what = RH_WORK_WEBHOOK,
				     .by = (uint8_t)d->trace->by,
				     .kept = d->trace->on && kept,
				     .traced = d->trace->on,
				     .status = (uint16_t)s->status,
				     .attempt = (uint16_t)s->due.attempt,
				     .pid = d->obs.pid,
				     .start_us = s->start_us,
				     .ns = ns,
				     .waited_ns =
					 (uint64_t)RH_MAX(s->due.waited_ms, 0) *
					 MS_NS,
				     .slow_ns = (uint64_t)d->obs.slow_ms *
					 MS_NS,
				     .ratio = d->obs.sampler->ratio,
				     .tenant_id = s->due.tenant } };

	rh_uuid_put(id, s->due.id);
	memcpy(rq.f.trace_id, d->trace->trace_id, sizeof(rq.f.trace_id));
	memcpy(rq.f.span_id, s->span_id, sizeof(rq.f.span_id));
	rq.text[RH_RQ_ID] = s->due.request_id;
	rq.text[RH_RQ_METHOD] = RH_SLICE("POST");
	rq.text[RH_RQ_ROUTE] = s->due.type;
	rq.text[RH_RQ_PATH] = (struct rh_slice){ id, sizeof(id) };
	rq.text[RH_RQ_OUTCOME] = rh_slice_of(outcomes[s->settled]);
	rq.text[RH_RQ_ERROR] = s->settled == RH_SETTLED_DELIVERED ?
	    RH_SLICE_NONE : rh_slice_of(s->error ? s->error :
	    rh_delivered_names[s->result]);
	rh_request_leave(d->obs.requests, &rq);
	if (s->settled != RH_SETTLED_DELIVERED)
		rh_request_leave(d->obs.apart, &rq);
}

/* ---- the span ---- */

/* Scheme, host, port and path: what follows may be a secret, as may a user. */
static struct rh_slice
plain_url(struct rh_slice url)
{
	for (size_t i = 0; i < url.n; i++)
		if (url.p[i] == '?' || url.p[i] == '#')
			url.n = i;
	return url;
}

static void
span_url(struct rh_span *span, const struct rh_sending *s)
{
	struct rh_out_url url;
	const char *fault = rh_out_url_get(&url, s->due.url);

	if (fault)
		return;
	rh_span_text(span, "url.full", plain_url(s->due.url));
	rh_span_text(span, "server.address", url.host);
	rh_span_int(span, "server.port", url.port);
}

static void
span_fill(struct rh_span *span, const struct rh_sending *s,
    char texts[3][RH_UUID_LEN])
{
	rh_uuid_put(texts[0], s->due.event);
	rh_uuid_put(texts[1], s->due.webhook);
	rh_uuid_put(texts[2], s->due.id);
	span->name = RH_SLICE("POST webhook");
	rh_span_text(span, "http.request.method", RH_SLICE("POST"));
	span_url(span, s);
	if (s->status)
		rh_span_int(span, "http.response.status_code", s->status);
	if (s->address[0])
		rh_span_text(span, "network.peer.address",
		    rh_slice_of(s->address));
	if (s->due.attempt > 1)
		rh_span_int(span, "http.request.resend_count",
		    s->due.attempt - 1);
	rh_span_text(span, "messaging.destination.name", s->due.type);
	rh_span_text(span, "messaging.message.id",
	    (struct rh_slice){ texts[0], RH_UUID_LEN });
	rh_span_text(span, "rowhouse.webhook.id",
	    (struct rh_slice){ texts[1], RH_UUID_LEN });
	rh_span_text(span, "rowhouse.delivery.id",
	    (struct rh_slice){ texts[2], RH_UUID_LEN });
	rh_span_int(span, "rowhouse.delivery.attempt", s->due.attempt);
	rh_span_text(span, "rowhouse.delivery.outcome",
	    rh_slice_of(outcomes[s->settled]));
	rh_span_text(span, "rowhouse.sampled_by",
	    rh_slice_of(rh_sampled_by_names[s->d->trace->by]));
}

static void
span(struct rh_sending *s, uint64_t end_ns)
{
	struct rh_deliver *d = s->d;
	struct rh_span *span = rh_trace_server(d->trace);
	char texts[3][RH_UUID_LEN], tenant[RH_UUID_LEN];
	struct rh_slice of = { tenant, sizeof(tenant) };

	rh_uuid_put(tenant, s->due.tenant);
	span_fill(span, s, texts);
	if (s->error)
		rh_span_fail(span, rh_slice_of(s->error),
		    RH_SLICE("the receiver did not answer"));
	else if (s->settled != RH_SETTLED_DELIVERED)
		rh_span_fail(span,
		    rh_slice_of(rh_arena_printf(s->arena, "%d", s->status)),
		    RH_SLICE("the receiver did not take it"));
	rh_trace_end(d->trace, d->obs.ring, true, end_ns, s->due.request_id,
	    of);
	if (s->settled != RH_SETTLED_DELIVERED)
		rh_trace_end(d->trace, d->obs.apart, true, end_ns,
		    s->due.request_id, of);
}

void
rh_sending_account(struct rh_sending *s)
{
	struct rh_deliver *d = s->d;
	uint64_t ns = rh_clock_mono_ns() - s->start_ns;
	struct rh_exemplar_of exemplar = { d->trace->trace_id, s->start_us };
	bool kept;

	trace_begin(s);
	memcpy(rh_trace_server(d->trace)->id, s->span_id, sizeof(s->span_id));
	kept = rh_trace_decide(d->trace,
	    (struct rh_trace_facts){ .error = s->settled !=
		    RH_SETTLED_DELIVERED,
		.slow = ns >= (uint64_t)d->obs.slow_ms * MS_NS });
	if (d->obs.logs)
		line(s, kept, ns);
	if (d->trace->on && kept)
		span(s, d->trace->wall_ns + ns);
	else
		rh_count(d->obs.tally, d->obs.spans, RH_SPANS_UNSAMPLED, 0,
		    rh_trace_spans(d->trace));
	note(s, kept, ns);
	rh_observe(d->obs.tally, d->obs.series->duration, s->result, 0, ns,
	    kept && d->trace->on ? &exemplar : NULL);
}
