#include "config.h"

#include "serve/postmortem.h"

#include <signal.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "obs/request_record.h"
#include "obs/symbol.h"
#include "serve/server.h"

/*
 * The master tells what a dead worker cannot: account.c's line, counts and
 * span, from what stands in the dead worker's slot. It was written by a process
 * that may have been overwriting its own memory, so no index of it is trusted.
 * Where there is no master it is another process like it (unburied.c), and says
 * all that in a slot of its own.
 */

enum { SHORT_CAP = 160, PATH_CAP = 1024, ERROR_CAP = 512, BACKTRACE_CAP = 2400 };
enum { ARENA_FIRST = 8 << 10, ARENA_CAP = 256 << 10 };

struct post {
	struct rh_server *s;
	const struct rh_death *death;
	struct rh_arena *arena;		/* for this one */
	struct rh_flight f;
	struct rh_moment m;
	bool in_flight;			/* f holds a request that nobody accounted */
	bool accounted;			/* it was, and the worker died then */
	bool has_moment;
	uint64_t ns;			/* how long it took */
	struct rh_slice signal, error, backtrace;
};

/* ---- what there is ---- */

static struct rh_slice
text_or_none(struct rh_slice text)
{
	return text.n ? text : RH_SLICE_NONE;
}
#define FLIGHT(p, member)	text_or_none(rh_flight_text(&(p)->f, member))

static int
signal_of(const struct post *p)
{
	return WIFSIGNALED(p->death->status) ? WTERMSIG(p->death->status) : 0;
}

static struct rh_slice
signal_name(const struct post *p)
{
	const char *name = sigabbrev_np(signal_of(p));

	return name ? rh_slice_of(rh_arena_printf(p->arena, "SIG%s", name)) :
	    RH_SLICE_NONE;
}

static void
put_cause(struct rh_buf *b, const struct post *p)
{
	if (p->death->end == RH_END_STUCK)
		rh_buf_lit(b, "stuck");
	else if (p->has_moment && p->m.text_n)
		rh_buf_put(b, p->m.text, p->m.text_n);
	else if (p->death->status == RH_STATUS_UNSEEN)
		rh_buf_lit(b, "gone without a word");
	else if (!signal_of(p))
		rh_buf_printf(b, "exited with %d", WEXITSTATUS(p->death->status));
	else if (signal_of(p) == SIGKILL)
		rh_buf_lit(b, "killed");
	else
		rh_buf_slice(b, p->signal);
	if (p->has_moment && p->m.code > 0 &&
	    (p->m.signal == SIGSEGV || p->m.signal == SIGBUS))
		rh_buf_printf(b, " at 0x%llx", (unsigned long long)p->m.address);
}

/* "worker.died: killed while querying tasks.page" */
static struct rh_slice
error_of(const struct post *p)
{
	struct rh_slice waits_for = rh_flight_text(&p->f, waits_for);
	struct rh_buf b;

	rh_buf_init(&b, p->arena, ERROR_CAP, ERROR_CAP);
	rh_buf_lit(&b, RH_WORKER_DIED ": ");
	put_cause(&b, p);
	if (p->in_flight) {
		rh_buf_lit(&b, " while ");
		rh_buf_slice(&b, rh_slice_of(rh_phase_names[p->f.phase]));
		if (waits_for.n)
			rh_buf_char(&b, ' ');
		rh_buf_slice(&b, waits_for);
	}
	return rh_buf_get(&b);
}

static struct rh_slice
backtrace_of(const struct post *p)
{
	struct rh_buf b;

	if (!p->has_moment || p->m.nframes == 0)
		return RH_SLICE_NONE;
	rh_buf_init(&b, p->arena, BACKTRACE_CAP, BACKTRACE_CAP);
	rh_moment_put(&b, &p->m);
	return rh_buf_get(&b);
}

static bool
read_slot(struct post *p)
{
	const struct rh_segment *segment = p->s->host->segment;
	unsigned slot = p->death->slot;
	uint64_t now_ns = rh_clock_mono_ns(), start_ns;

	p->in_flight = rh_flight_read(rh_segment_flight(segment, slot), true,
	    &p->f);
	p->accounted = p->in_flight && p->f.accounted;
	p->in_flight &= !p->accounted;
	p->has_moment = rh_moment_read(rh_segment_moment(segment, slot),
	    p->death->pid, true, &p->m);
	start_ns = p->f.start_ns;
	/* asked for during an earlier request, it says nothing of this death */
	if (p->has_moment && p->m.why != RH_MOMENT_CRASH &&
	    !(p->in_flight && p->m.at_ns >= start_ns))
		p->has_moment = false;
	if (p->in_flight && start_ns <= now_ns)
		p->ns = (p->has_moment && p->m.at_ns >= start_ns &&
		    p->m.at_ns <= now_ns ? p->m.at_ns : now_ns) - start_ns;
	/* nobody knows when that was; past its deadline it hardly worked on */
	if (p->death->status == RH_STATUS_UNSEEN && p->f.deadline_ns > start_ns)
		p->ns = RH_MIN(p->ns, p->f.deadline_ns - start_ns);
	p->signal = signal_name(p);
	p->error = error_of(p);
	p->backtrace = backtrace_of(p);
	return p->in_flight || p->has_moment;
}

/* ---- the line ---- */

static void
line_ids(struct rh_line *line, const struct post *p)
{
	if (p->f.request_id_n == 0)
		return;
	rh_line_text(line, "request_id", FLIGHT(p, request_id), SHORT_CAP);
	rh_line_hex(line, "trace_id", p->f.trace_id, 16);
	rh_line_hex(line, "span_id", p->f.span_id, 8);
}

static void
line_request(struct rh_line *line, const struct post *p)
{
	const struct rh_flight *f = &p->f;

	rh_line_bool(line, "sampled", f->on != 0);
	rh_line_text(line, "sampled_by", rh_slice_of(rh_sampled_by_names[
	    f->on ? RH_BY_ERROR : RH_BY_NONE]), SHORT_CAP);
	rh_line_text(line, "method", FLIGHT(p, method), SHORT_CAP);
	rh_line_text(line, "route", FLIGHT(p, route), SHORT_CAP);
	rh_line_text(line, "path", FLIGHT(p, path), PATH_CAP);
	rh_line_int(line, "status", 500);
	rh_line_ms(line, "duration_ms", p->ns);
	rh_line_text(line, "tenant", FLIGHT(p, tenant), SHORT_CAP);
	rh_line_uuid(line, "tenant_id", f->tenant_id);
	rh_line_uuid(line, "user_id", f->user_id);
	if (f->role > RH_ROLE_NONE && f->role <= RH_OWNER)
		rh_line_text(line, "role", rh_slice_of(rh_role_names[f->role]),
		    SHORT_CAP);
	rh_line_uuid(line, "token_id", f->token_id);
}

static bool
is_job(const struct post *p)
{
	return p->s->host->pool == RH_POOL_JOBS;
}

/* What becomes of it is decided when its lease is taken away. */
static void
line_job(struct rh_line *line, const struct post *p)
{
	rh_line_bool(line, "sampled", p->f.on != 0);
	rh_line_text(line, "sampled_by",
	    rh_slice_of(
		rh_sampled_by_names[p->f.on ? RH_BY_ERROR : RH_BY_NONE]),
	    SHORT_CAP);
	rh_line_text(line, "kind", FLIGHT(p, route), SHORT_CAP);
	rh_line_text(line, "job_id", FLIGHT(p, path), SHORT_CAP);
	rh_line_int(line, "attempt", p->f.attempt);
	rh_line_text(line, "outcome", rh_slice_of(rh_job_outcomes[RH_JOB_LOST]),
	    SHORT_CAP);
	rh_line_ms(line, "duration_ms", p->ns);
	rh_line_uuid(line, "tenant_id", p->f.tenant_id);
}

/* Without a request it is no "request" line, and has none of its fields. */
static void
tell(const struct post *p)
{
	struct rh_host *h = p->s->host;
	struct rh_log log = p->s->log;
	struct rh_line line;

	if (p->in_flight && !h->conf->logs)
		return;
	rh_log_name_as(&log, p->arena, (char *)h->otlp.service_name.p,
	    h->app->version, p->death->pid);
	rh_line_open(&line, &log, RH_LOG_ERROR,
	    p->in_flight     ? (is_job(p) ? "job" : "request") :
		p->accounted ? "a worker died after its reply" :
			       "a worker died between two requests",
	    p->in_flight ? p->f.start_us : rh_clock_wall_us());
	if (p->in_flight || p->accounted)
		line_ids(&line, p);
	if (p->in_flight && is_job(p))
		line_job(&line, p);
	else if (p->in_flight)
		line_request(&line, p);
	rh_line_text(&line, "error", p->error, ERROR_CAP);
	if (p->in_flight)
		rh_line_text(&line, "remote", FLIGHT(p, remote), SHORT_CAP);
	rh_line_text(&line, "signal", p->signal, SHORT_CAP);
	rh_line_text(&line, "backtrace", p->backtrace, BACKTRACE_CAP * 2);
	rh_line_close(&line);
}

/* ---- the counts ---- */

static void
count_job(const struct post *p, const struct rh_exemplar_of *exemplar)
{
	const struct rh_job_series *s = &p->s->host->jobs;
	unsigned kind = p->f.series <= rh_job_kinds_count() ? p->f.series : 0;

	rh_count(&p->s->tally, s->jobs, kind, RH_JOB_LOST, 1);
	rh_observe(&p->s->tally, s->duration, kind, 0, p->ns, exemplar);
}

static void
count(const struct post *p)
{
	const struct rh_series *s = &p->s->host->series;
	const struct rh_tally *t = &p->s->tally;
	const struct rh_flight *f = &p->f;
	unsigned other = rh_series_route(s, NULL, 0, RH_METHOD_OTHER);
	unsigned route = f->request_id_n && f->series <= other ? f->series :
	    other;
	struct rh_exemplar_of exemplar = { f->trace_id, f->start_us };

	if (is_job(p)) {
		count_job(p, f->on ? &exemplar : NULL);
		return;
	}
	rh_count(t, s->requests, route, rh_series_status(500), 1);
	rh_count(t, s->duration_native, route, rh_native_of(p->ns), 1);
	rh_observe(t, s->duration, route, 0, p->ns, f->on ? &exemplar : NULL);
	if (!f->tenant_n || rh_uuid_is_nil(f->user_id) ||
	    f->tenant_label > RH_TENANT_NAMES)
		return;
	rh_count(t, s->tenant_requests, f->tenant_label, RH_T_SERVER_ERROR, 1);
	rh_count(t, s->tenant_seconds, f->tenant_label, 0, p->ns);
	rh_count(t, s->tenant_durations, f->tenant_label, rh_bucket_of(p->ns),
	    1);
}

/* ---- the span ---- */

static enum rh_method
method_of(struct rh_slice text)
{
	unsigned m = 0;

	while (m < RH_METHOD_OTHER &&
	    !rh_slice_is(text, rh_slice_of(rh_method_names[m])))
		m++;
	return (enum rh_method)m;
}

static void
span_died(struct rh_span *span, const struct post *p)
{
	rh_span_int(span, "process.pid", p->death->pid);
	rh_span_text(span, "rowhouse.sampled_by",
	    rh_slice_of(rh_sampled_by_names[RH_BY_ERROR]));
	rh_span_text(span, "exception.type", p->signal);
	rh_span_text(span, "exception.message", p->error);
	rh_span_text(span, "exception.stacktrace", p->backtrace);
	rh_span_fail(span, RH_SLICE(RH_WORKER_DIED), p->error);
}

static void
span_fill_job(struct rh_span *span, const struct post *p)
{
	struct rh_slice kind = FLIGHT(p, route);

	span->kind = RH_SPAN_CONSUMER;
	span->name = rh_slice_of(
	    rh_arena_printf(p->arena, "process %.*s", RH_SLICE_ARG(kind)));
	span->start_ns = (uint64_t)p->f.start_us * 1000;
	memcpy(span->id, p->f.span_id, sizeof(span->id));
	memcpy(span->parent_id, p->f.parent_id, sizeof(span->parent_id));
	rh_span_text(span, "messaging.system", RH_SLICE("rowhouse"));
	rh_span_text(span, "messaging.operation.name", RH_SLICE("process"));
	rh_span_text(span, "messaging.operation.type", RH_SLICE("process"));
	rh_span_text(span, "messaging.destination.name", kind);
	rh_span_text(span, "messaging.message.id", FLIGHT(p, path));
	rh_span_int(span, "rowhouse.job.attempt", p->f.attempt);
	rh_span_text(span, "rowhouse.job.outcome",
	    rh_slice_of(rh_job_outcomes[RH_JOB_LOST]));
	span_died(span, p);
}

static void
span_fill(struct rh_span *span, const struct post *p)
{
	struct rh_slice text = rh_flight_text(&p->f, method), route;
	enum rh_method m = method_of(text);
	struct rh_slice method = rh_slice_of(rh_method_names[m]);

	route = FLIGHT(p, route);
	if (is_job(p)) {
		span_fill_job(span, p);
		return;
	}
	span->kind = RH_SPAN_SERVER;
	span->name = m == RH_METHOD_OTHER ? RH_SLICE("HTTP") : method;
	if (route.p)
		span->name = rh_slice_of(rh_arena_printf(p->arena, "%.*s %.*s",
		    RH_SLICE_ARG(span->name), RH_SLICE_ARG(route)));
	span->start_ns = (uint64_t)p->f.start_us * 1000;
	memcpy(span->id, p->f.span_id, sizeof(span->id));
	memcpy(span->parent_id, p->f.parent_id, sizeof(span->parent_id));
	rh_span_text(span, "http.request.method", method);
	if (m == RH_METHOD_OTHER)
		rh_span_text(span, "http.request.method_original", text);
	rh_span_text(span, "http.route", route);
	rh_span_text(span, "url.path", FLIGHT(p, path));
	rh_span_text(span, "client.address", FLIGHT(p, remote));
	rh_span_int(span, "http.response.status_code", 500);
	span_died(span, p);
}

/* Its children died with the worker; so did the tracestate it came with. */
static void
trace(const struct post *p)
{
	static const unsigned char none[8];
	struct rh_trace *t = RH_NEW(p->arena, struct rh_trace);
	struct rh_slice tenant = RH_SLICE_NONE;
	char text[RH_UUID_LEN];

	t->on = true;
	t->by = RH_BY_ERROR;
	t->flags = p->f.flags;
	t->nspans = 1;
	memcpy(t->trace_id, p->f.trace_id, sizeof(t->trace_id));
	memcpy(t->parent_id, p->f.parent_id, sizeof(t->parent_id));
	t->remote_parent = memcmp(t->parent_id, none, sizeof(none)) != 0;
	span_fill(rh_trace_server(t), p);
	if (!rh_uuid_is_nil(p->f.tenant_id)) {
		rh_uuid_put(text, p->f.tenant_id);
		tenant = (struct rh_slice){ text, sizeof(text) };
	}
	rh_trace_end(t, rh_segment_spans(p->s->host->segment, p->s->slot), true,
	    rh_trace_server(t)->start_ns + p->ns, FLIGHT(p, request_id), tenant);
	rh_trace_end(t, rh_segment_traces(p->s->host->segment, p->s->slot), true,
	    rh_trace_server(t)->start_ns + p->ns, FLIGHT(p, request_id), tenant);
}

/* ---- the segment's own memory ---- */

static void
note_fill(struct rh_request *rq, const struct post *p)
{
	const struct rh_flight *f = &p->f;

	memcpy(rq->f.trace_id, f->trace_id, sizeof(rq->f.trace_id));
	memcpy(rq->f.span_id, f->span_id, sizeof(rq->f.span_id));
	rq->f.tenant_id = f->tenant_id;
	rq->f.user_id = f->user_id;
	rq->f.token_id = f->token_id;
	rq->text[RH_RQ_ID] = FLIGHT(p, request_id);
	rq->text[RH_RQ_METHOD] = FLIGHT(p, method);
	rq->text[RH_RQ_ROUTE] = FLIGHT(p, route);
	rq->text[RH_RQ_PATH] = FLIGHT(p, path);
	rq->text[RH_RQ_TENANT] = FLIGHT(p, tenant);
	rq->text[RH_RQ_ERROR] = p->error;
	rq->text[RH_RQ_REMOTE] = FLIGHT(p, remote);
	if (f->role > RH_ROLE_NONE && f->role <= RH_OWNER)
		rq->text[RH_RQ_ROLE] = rh_slice_of(rh_role_names[f->role]);
	if (!is_job(p))
		return;
	rq->f.what = RH_WORK_JOB;
	rq->f.status = 0;
	rq->f.attempt = (uint16_t)f->attempt;
	rq->text[RH_RQ_OUTCOME] = rh_slice_of(rh_job_outcomes[RH_JOB_LOST]);
}

static void
note(const struct post *p)
{
	struct rh_segment *segment = p->s->host->segment;
	struct rh_request rq = { .f = { .by = p->f.on ? RH_BY_ERROR :
	    RH_BY_NONE, .kept = p->f.on, .traced = p->f.on, .status = 500,
	    .pid = (uint32_t)p->death->pid, .series = p->f.series,
	    .start_us = p->f.start_us, .ns = p->ns } };

	if (!p->f.request_id_n)
		return;
	note_fill(&rq, p);
	rh_request_leave(rh_segment_requests(segment, p->s->slot), &rq);
	rh_request_leave(rh_segment_traces(segment, p->s->slot), &rq);
}

void
rh_postmortem(void *server, const struct rh_death *death)
{
	struct rh_server *s = server;
	struct rh_segment *segment = s->host->segment;
	struct post p = { .s = s, .death = death };

	p.arena = rh_arena_new(ARENA_FIRST, ARENA_CAP);
	rh_postmortem_spans(s, death->slot);
	if (read_slot(&p))
		tell(&p);
	if (p.in_flight) {
		count(&p);
		/* killed while accounting, it may have left its span in the ring */
		if (p.f.on && p.f.request_id_n &&
		    p.f.phase != RH_PHASE_ACCOUNTING)
			trace(&p);
		note(&p);
	}
	rh_flight_close(rh_segment_flight(segment, death->slot));
	rh_moment_clear(rh_segment_moment(segment, death->slot));
	rh_arena_destroy(&p.arena);
}
