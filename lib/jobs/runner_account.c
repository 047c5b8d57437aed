#include "config.h"

#include "base/clock.h"
#include "jobs/runner_part.h"
#include "obs/otlp.h"
#include "obs/request_record.h"

/*
 * An attempt is told four times, with the same ids: a line, counts, a CONSUMER
 * span that goes on the trace of the request that left the job, and a record for
 * the operator's page, which has it whether that span is kept or not.
 */

enum { SHORT_CAP = 160, ERROR_CAP = 512 };

const char *const rh_job_outcomes[RH_JOB_OUTCOMES + 1] = {
	[RH_JOB_DONE] = "done",
	[RH_JOB_RETRIED] = "retried",
	[RH_JOB_DEAD] = "dead",
	[RH_JOB_CANCELLED] = "cancelled",
	[RH_JOB_LOST] = "lost",
	NULL
};

void
rh_job_families(struct rh_metrics *m, struct rh_job_series *s)
{
	int kind = rh_metrics_dim(m, "kind", 0);
	int outcome = rh_metrics_dim(m, "outcome", 0);
	const char *other = "other";

	rh_metrics_value(m, kind, &other);
	for (unsigned i = 1; i <= rh_job_kinds_count(); i++)
		rh_metrics_value(m, kind, &rh_job_kinds_get(i)->name);
	for (unsigned i = 0; i < RH_JOB_OUTCOMES; i++)
		rh_metrics_value(m, outcome, &rh_job_outcomes[i]);
	s->jobs = rh_metrics_family(m,
	    &(struct rh_family_spec){ RH_M_COUNTER, RH_M_SPARSE, "jobs_total",
		"attempts of jobs, by what became of"
		" them",
		kind, outcome });
	s->duration = rh_metrics_family(m,
	    &(struct rh_family_spec){ RH_M_HISTOGRAM,
		RH_M_SPARSE | RH_M_EXEMPLARS, "job_duration_seconds",
		"from an attempt's begin to what became of"
		" it",
		kind, -1 });
	s->pending = rh_metrics_family(m,
	    &(struct rh_family_spec){ RH_M_GAUGE, RH_M_MAX, "jobs_pending",
		"jobs that could be run and wait", kind, -1 });
	s->oldest = rh_metrics_family(m,
	    &(struct rh_family_spec){ RH_M_GAUGE, RH_M_MAX,
		"jobs_oldest_seconds",
		"how long the longest of them has"
		" waited",
		-1, -1 });
}

static struct rh_slice
kind_of(const struct rh_job *job)
{
	return job->kind ? rh_slice_of(job->kind->name) : RH_SLICE("other");
}

/* For the master, who tells of it if this process dies. */
static void
flight(struct rh_runner *r, const struct rh_attempt *a)
{
	const struct rh_job *job = a->job;
	char id[RH_UUID_LEN];

	rh_uuid_put(id, job->id);
	rh_flight_open(r->obs.flight, a->start_us, a->start_ns);
	rh_flight_tell(r->obs.flight,
	    &(struct rh_flight_facts){ .request_id = job->request_id,
		.method = RH_SLICE("JOB"),
		.route = kind_of(job),
		.path = { id, sizeof(id) },
		.trace_id = r->trace->trace_id,
		.span_id = rh_trace_server(r->trace)->id,
		.parent_id = r->trace->parent_id,
		.on = r->trace->on,
		.head = r->trace->head,
		.flags = r->trace->flags,
		.tenant_id = job->tenant,
		.series = job->kind ? job->kind->index : 0,
		.tenant_label = (unsigned)job->attempt,
		.deadline_ns = r->deadline_ns,
		.slow_ns = a->start_ns + (uint64_t)r->obs.slow_ms * 1000000 });
	rh_flight_at(r->obs.flight, RH_PHASE_HANDLING, NULL);
}

void
rh_attempt_begin(struct rh_runner *r, const struct rh_claimed *row,
    const struct rh_attempt *a)
{
	struct rh_trace_origin origin = { .trace_id = row->trace_id,
		.span_id = row->parent_span_id,
		.left = row->trace_flags,
		.wall_ns = (uint64_t)a->start_us * 1000,
		.mono_ns = a->start_ns };

	r->trace->on = r->obs.traces;
	rh_trace_resume(r->trace, r->obs.sampler, &origin);
	rh_trace_server(r->trace)->kind = RH_SPAN_CONSUMER;
	r->obs.log->request_id = row->request_id;
	r->obs.log->trace_id = r->trace->trace_id;
	r->obs.log->span_id = rh_trace_server(r->trace)->id;
	flight(r, a);
}

/* ---- the line ---- */

static struct rh_slice
error_text(const struct rh_job *job, const struct rh_err *err)
{
	struct rh_buf b;

	if (!err)
		return RH_SLICE_NONE;
	rh_buf_init_fixed(&b, rh_arena_alloc(job->arena, ERROR_CAP), ERROR_CAP);
	rh_buf_slice(&b, rh_slice_of(err->code));
	if (err->cause) {
		struct rh_slice cause = rh_slice_of(err->cause);

		cause.n = RH_MIN(cause.n, (size_t)ERROR_CAP / 2);
		rh_buf_lit(&b, ": ");
		rh_buf_slice(&b, cause);
	}
	return rh_buf_get(&b);
}

static enum rh_level
level_of(const struct rh_attempt *a)
{
	return a->outcome == RH_JOB_DEAD ? RH_LOG_ERROR :
	    a->outcome == RH_JOB_DONE	 ? RH_LOG_INFO :
					   RH_LOG_WARN;
}

static void
line(struct rh_runner *r, const struct rh_attempt *a, struct rh_slice error,
    bool kept, uint64_t ns)
{
	const struct rh_job *job = a->job;
	struct rh_line l;

	rh_line_open(&l, r->obs.log, level_of(a), "job", a->start_us);
	rh_line_text(&l, "request_id", job->request_id, SHORT_CAP);
	rh_line_hex(&l, "trace_id", r->trace->trace_id, 16);
	rh_line_hex(&l, "span_id", rh_trace_server(r->trace)->id, 8);
	rh_line_bool(&l, "sampled", kept);
	rh_line_text(&l, "sampled_by",
	    rh_slice_of(rh_sampled_by_names[r->trace->by]), SHORT_CAP);
	rh_line_text(&l, "kind", job->kind_name, SHORT_CAP);
	rh_line_uuid(&l, "job_id", job->id);
	rh_line_int(&l, "attempt", job->attempt);
	rh_line_text(&l, "outcome", rh_slice_of(rh_job_outcomes[a->outcome]),
	    SHORT_CAP);
	rh_line_ms(&l, "duration_ms", ns);
	rh_line_ms(&l, "waited_ms",
	    (uint64_t)RH_MAX(a->waited_ms, 0) * 1000000);
	rh_line_uuid(&l, "tenant_id", job->tenant);
	rh_line_uuid(&l, "user_id", job->actor);
	rh_line_text(&l, "error", error, ERROR_CAP);
	rh_line_close(&l);
}

/* ---- what the page shows ---- */

/* Of a flood of the others it is not to be washed away. */
static bool
is_apart(const struct rh_runner *r, const struct rh_attempt *a)
{
	return a->err || r->trace->by == RH_BY_SLOW;
}

static void
note(struct rh_runner *r, const struct rh_attempt *a, struct rh_slice error,
    bool kept, uint64_t ns)
{
	const struct rh_job *job = a->job;
	char id[RH_UUID_LEN];
	struct rh_request rq = { .f = { .what = RH_WORK_JOB,
				     .by = (uint8_t)r->trace->by,
				     .kept = r->trace->on && kept,
				     .traced = r->trace->on,
				     .remote_parent = r->trace->remote_parent,
				     .parent_based =
					 r->obs.sampler->parent_based,
				     .attempt = (uint16_t)job->attempt,
				     .pg_trips = (uint16_t)a->round_trips,
				     .pid = r->obs.pid,
				     .series = job->kind ? job->kind->index : 0,
				     .start_us = a->start_us,
				     .ns = ns,
				     .pg_ns = a->pg_ns,
				     .waited_ns =
					 (uint64_t)RH_MAX(a->waited_ms, 0) *
					 MS_NS,
				     .slow_ns = (uint64_t)r->obs.slow_ms *
					 MS_NS,
				     .ratio = r->obs.sampler->ratio,
				     .tenant_id = job->tenant,
				     .user_id = job->actor } };

	rh_uuid_put(id, job->id);
	memcpy(rq.f.trace_id, r->trace->trace_id, sizeof(rq.f.trace_id));
	memcpy(rq.f.span_id, rh_trace_server(r->trace)->id,
	    sizeof(rq.f.span_id));
	rq.text[RH_RQ_ID] = job->request_id;
	rq.text[RH_RQ_METHOD] = RH_SLICE("JOB");
	rq.text[RH_RQ_ROUTE] = job->kind_name;
	rq.text[RH_RQ_PATH] = (struct rh_slice){ id, sizeof(id) };
	rq.text[RH_RQ_ERROR] = error;
	rq.text[RH_RQ_OUTCOME] = rh_slice_of(rh_job_outcomes[a->outcome]);
	rh_request_leave(r->obs.requests, &rq);
	if (is_apart(r, a))
		rh_request_leave(r->obs.apart, &rq);
}

/* ---- the span ---- */

static void
span(struct rh_runner *r, const struct rh_attempt *a, uint64_t end_ns)
{
	const struct rh_job *job = a->job;
	struct rh_span *s = rh_trace_server(r->trace);
	char id[RH_UUID_LEN], tenant[RH_UUID_LEN];

	rh_uuid_put(id, job->id);
	rh_uuid_put(tenant, job->tenant);
	s->name = rh_slice_of(rh_arena_printf(job->arena, "process %.*s",
	    RH_SLICE_ARG(kind_of(job))));
	rh_span_text(s, "messaging.system", RH_SLICE("rowhouse"));
	rh_span_text(s, "messaging.operation.name", RH_SLICE("process"));
	rh_span_text(s, "messaging.operation.type", RH_SLICE("process"));
	rh_span_text(s, "messaging.destination.name", kind_of(job));
	rh_span_text(s, "messaging.message.id",
	    (struct rh_slice){ id, sizeof(id) });
	rh_span_int(s, "rowhouse.job.attempt", job->attempt);
	rh_span_text(s, "rowhouse.job.outcome",
	    rh_slice_of(rh_job_outcomes[a->outcome]));
	rh_span_text(s, "rowhouse.sampled_by",
	    rh_slice_of(rh_sampled_by_names[r->trace->by]));
	if (a->err)
		rh_span_fail(s, rh_slice_of(a->err->code),
		    rh_slice_of(a->err->detail));
	rh_trace_end(r->trace, r->obs.ring, true, end_ns, job->request_id,
	    (struct rh_slice){ tenant, sizeof(tenant) });
	if (is_apart(r, a))
		rh_trace_end(r->trace, r->obs.apart, true, end_ns,
		    job->request_id,
		    (struct rh_slice){ tenant, sizeof(tenant) });
}

void
rh_attempt_account(struct rh_runner *r, const struct rh_attempt *a)
{
	uint64_t ns = rh_clock_mono_ns() - a->start_ns;
	unsigned kind = a->job->kind ? a->job->kind->index : 0;
	bool kept = rh_trace_decide(r->trace,
	    (struct rh_trace_facts){ .error = a->err != NULL,
		.slow = ns >= (uint64_t)r->obs.slow_ms * 1000000 });
	struct rh_exemplar_of exemplar = { r->trace->trace_id, a->start_us };
	struct rh_slice error = error_text(a->job, a->err);

	rh_flight_at(r->obs.flight, RH_PHASE_ACCOUNTING, NULL);
	if (r->obs.logs)
		line(r, a, error, kept, ns);
	if (r->trace->on && kept)
		span(r, a, r->trace->wall_ns + ns);
	else
		rh_count(r->obs.tally, r->obs.spans, RH_SPANS_UNSAMPLED, 0,
		    rh_trace_spans(r->trace));
	note(r, a, error, kept, ns);
	rh_count(r->obs.tally, r->obs.series->jobs, kind, a->outcome, 1);
	rh_observe(r->obs.tally, r->obs.series->duration, kind, 0, ns,
	    kept ? &exemplar : NULL);
	rh_flight_close(r->obs.flight);
	r->obs.log->request_id = RH_SLICE_NONE;
	r->obs.log->trace_id = r->obs.log->span_id = NULL;
}
