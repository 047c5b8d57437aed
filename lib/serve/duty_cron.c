#include "config.h"

#include "serve/duty.h"

#include "base/clock.h"
#include "jobs/crons.h"
#include "obs/otlp.h"

/*
 * What is due by a schedule becomes a job. No request has caused it: each
 * occurrence is a request of its own, with an id, the root of a trace and a
 * line that names them, and the job goes on from there.
 */

#define POLL_NS (1000 * INT64_C(1000000))
enum { MOST = 100, SHORT_CAP = 160 };

struct rh_cronning {
	struct rh_sealer sealer;
	bool failed; /* as the log was told */
};

void
rh_duty_cron_open(struct rh_server *s)
{
	s->kept->cronning = RH_NEW(s->own, struct rh_cronning);
	rh_sealer_init(&s->kept->cronning->sealer, s->host->conf->secret_key);
}

/* ---- one occurrence ---- */

static void
line(struct rh_server *s, const struct rh_cron_due *due,
    const struct rh_job_origin *origin, struct rh_uuid job, bool kept)
{
	struct rh_line l;

	rh_line_open(&l, &s->log, RH_LOG_INFO, "cron", rh_clock_wall_us());
	rh_line_text(&l, "request_id", origin->request_id, SHORT_CAP);
	rh_line_hex(&l, "trace_id", s->trace.trace_id, 16);
	rh_line_hex(&l, "span_id", rh_trace_server(&s->trace)->id, 8);
	rh_line_bool(&l, "sampled", kept);
	rh_line_text(&l, "sampled_by",
	    rh_slice_of(rh_sampled_by_names[s->trace.by]), SHORT_CAP);
	rh_line_text(&l, "cron", due->name, SHORT_CAP);
	rh_line_text(&l, "kind", due->kind, SHORT_CAP);
	rh_line_uuid(&l, "job_id", job);
	rh_line_uuid(&l, "tenant_id", due->tenant);
	rh_line_close(&l);
}

static void
account(struct rh_server *s, const struct rh_cron_due *due,
    const struct rh_job_origin *origin, struct rh_uuid job)
{
	struct rh_span *span = rh_trace_server(&s->trace);
	bool kept = rh_trace_decide(&s->trace, (struct rh_trace_facts){ 0 });
	char tenant[RH_UUID_LEN];

	if (s->host->conf->logs)
		line(s, due, origin, job, kept);
	if (!s->trace.on || !kept) {
		rh_count(&s->tally, s->host->series.spans, RH_SPANS_UNSAMPLED,
		    0, rh_trace_spans(&s->trace));
		return;
	}
	rh_uuid_put(tenant, due->tenant);
	span->kind = RH_SPAN_PRODUCER;
	span->name = rh_slice_of(rh_arena_printf(s->arena, "send %.*s",
	    RH_SLICE_ARG(due->kind)));
	rh_span_text(span, "messaging.system", RH_SLICE("rowhouse"));
	rh_span_text(span, "messaging.operation.name", RH_SLICE("send"));
	rh_span_text(span, "messaging.operation.type", RH_SLICE("send"));
	rh_span_text(span, "messaging.destination.name", due->kind);
	rh_span_text(span, "rowhouse.cron", due->name);
	rh_trace_end(&s->trace, rh_segment_spans(s->host->segment, s->slot),
	    true, rh_trace_now(&s->trace), origin->request_id,
	    (struct rh_slice){ tenant, sizeof(tenant) });
}

static bool
fire(struct rh_server *s, const struct rh_cron_due *due)
{
	struct rh_trace_caller nobody = { .wall_ns = 0 };
	struct rh_uuid request = rh_uuid_v7(), job;
	char text[RH_UUID_LEN];
	struct rh_job_origin origin = { .tenant = due->tenant,
		.trace = &s->trace,
		.request_id = { text, sizeof(text) },
		.sealer = &s->kept->cronning->sealer,
		.arena = s->arena };
	struct rh_pipe *pipe;
	struct rh_err *err;
	bool mine;

	rh_uuid_put(text, request);
	s->trace.on = s->host->otlp.traces;
	rh_trace_begin(&s->trace, &s->host->otlp.sampler, &nobody);
	pipe = rh_duty_begin(s);
	mine = rh_cron_fire(pipe, &origin, due, &job);
	err = rh_pipe_error(pipe);
	rh_duty_end(s, "cron", err, &s->kept->cronning->failed);
	if (!err && mine)
		account(s, due, &origin, job);
	return !err && mine;
}

/* ---- all that are due ---- */

unsigned
rh_duty_cron_step(struct rh_server *s, int64_t *again_ns)
{
	struct rh_pipe *pipe = rh_duty_begin(s);
	struct rh_cron_due *rows;
	size_t n = rh_cron_due(pipe, MOST, &rows);
	struct rh_err *err = rh_pipe_error(pipe);
	unsigned fired = 0;

	rh_duty_end(s, "cron", err, &s->kept->cronning->failed);
	*again_ns = POLL_NS;
	if (err)
		return 0;
	for (size_t i = 0; i < n; i++)
		fired += fire(s, &rows[i]);
	if (n == MOST && fired)
		*again_ns = 0;
	return fired;
}
