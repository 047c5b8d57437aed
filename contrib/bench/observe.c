/*
 * observe - what counting, scraping and tracing cost, without a service around it.
 *
 * Each figure is the median of batches, in CPU time of this thread, so that
 * others on the machine do not count; a scrape's wall time is shown as well.
 * The segment is a real one, on a tmpfs. README.md has the figures.
 */
#include "config.h"

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "obs/journal.h"
#include "obs/log.h"
#include "obs/metric.h"
#include "obs/otlp.h"
#include "obs/segment.h"
#include "obs/trace.h"

enum {
	WORKERS = 16, SLOTS = WORKERS + 1, ROUTES = 100, STATUSES = 21,
	STATEMENTS = 100, TENANTS = 200, BATCHES = 41, EACH = 20000,
	SCRAPES = 201, PACE_US = 500, BURST = 4
};

static struct rh_metrics *metrics;
static struct rh_segment *segment;
static struct rh_tally tally;
static struct rh_family requests, durations, natives, queries, tenants, wide;
static int tenant_dim;
static struct rh_arena *arena;
static unsigned char trace_id[16] = { 1, 2, 3 };
static volatile unsigned sink;

/* ---- the segment: as many series as the issue wants scraped ---- */

static int
dim(const char *key, unsigned n)
{
	int d = rh_metrics_dim(metrics, key, 0);
	char text[32];

	for (unsigned i = 0; i < n; i++) {
		snprintf(text, sizeof(text), "/v1/t/{tenant}/%u", i);
		rh_metrics_value(metrics, d, (const char *[]){ text });
	}
	return d;
}

static struct rh_family
family(enum rh_metric_kind kind, unsigned flags, const char *name, int a, int b)
{
	return rh_metrics_family(metrics, &(struct rh_family_spec){ kind, flags,
	    name, "what it says", a, b });
}

/*
 * 100 * 21 requests, 100 * 17 lines of durations, 2 * 200 of tenants, 5,800 of
 * statements: 10,000 lines.
 */
static void
open_segment(const char *path)
{
	struct rh_segment_spec spec = { .pool = "bench", .service = "s",
	    .version = "1", .revision = "r", .slots = SLOTS,
	    .log_ring_bytes = 131072, .span_ring_bytes = 131072 };
	struct rh_buf why;
	int route, status, statement, outcome;

	metrics = rh_metrics_new(arena);
	route = dim("route", ROUTES);
	status = dim("status", STATUSES);
	statement = dim("statement", STATEMENTS);
	outcome = dim("outcome", 2);
	tenant_dim = rh_metrics_dim(metrics, "tenant", TENANTS + 1);
	rh_metrics_value(metrics, tenant_dim, (const char *[]){ "other" });
	requests = family(RH_M_COUNTER, 0, "http_requests_total", route, status);
	durations = family(RH_M_HISTOGRAM, RH_M_EXEMPLARS,
	    "http_request_duration_seconds", route, -1);
	natives = rh_metrics_native(metrics, &(struct rh_family_spec){
	    RH_M_HISTOGRAM, 0, "http_request_duration_seconds", "", route, -1 });
	tenants = family(RH_M_COUNTER, 0, "tenant_requests_total", tenant_dim,
	    outcome);
	queries = family(RH_M_HISTOGRAM, 0, "db_query_duration_seconds",
	    statement, outcome);
	wide = family(RH_M_COUNTER, 0, "round_trips_total", statement,
	    dim("store", 24));
	spec.metrics = metrics;
	rh_buf_init(&why, arena, 1024, 4096);
	unlink(path);
	if (!rh_segment_create(&segment, path, &spec, &why)) {
		fprintf(stderr, "%.*s\n", (int)why.n, why.p);
		exit(1);
	}
	for (unsigned i = 0; i < SLOTS; i++)
		rh_segment_slot(segment, i)->pid = getpid();
	rh_tally_bind(&tally, metrics, segment, 0);
}

/* ---- time ---- */

static uint64_t
clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int
ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct figure { double median, best, worst; };

static struct figure
figure_of(double *each, size_t n)
{
	qsort(each, n, sizeof(*each), ascending);
	return (struct figure){ each[n / 2], each[0], each[n * 99 / 100] };
}

static struct figure
measure(void (*what)(unsigned))
{
	double each[BATCHES];

	for (unsigned b = 0; b < BATCHES; b++) {
		uint64_t start = clock_ns(CLOCK_THREAD_CPUTIME_ID);

		for (unsigned i = 0; i < EACH; i++)
			what(i);
		each[b] = (double)(clock_ns(CLOCK_THREAD_CPUTIME_ID) - start) /
		    EACH;
	}
	return figure_of(each, BATCHES);
}

/* ---- counting ---- */

static uint64_t
duration_of(unsigned i)
{
	return 300000 + (uint64_t)(i * 2654435761u) % 40000000;
}

static void
observe(unsigned i)
{
	rh_observe(&tally, durations, 7, 0, duration_of(i), NULL);
}

static void
observe_routes(unsigned i)
{
	rh_observe(&tally, durations, i % ROUTES, 0, duration_of(i), NULL);
}

static void
observe_exemplar(unsigned i)
{
	struct rh_exemplar_of of = { trace_id, i + 1 };

	rh_observe(&tally, durations, i % ROUTES, 0, duration_of(i), &of);
}

static char slugs[TENANTS][8];

/* The tenant by its name, a request by route and status, the duration with its exemplar. */
static void
observe_labels(unsigned i)
{
	unsigned tenant = rh_metrics_value_live(metrics, tenant_dim,
	    rh_slice_of(slugs[i % TENANTS]));

	rh_count(&tally, tenants, tenant, 0, 1);
	rh_count(&tally, requests, i % ROUTES, i % STATUSES, 1);
	rh_count(&tally, natives, i % ROUTES, rh_native_of(duration_of(i)), 1);
	observe_exemplar(i);
}

static struct rh_journal journal;

static void
account(unsigned i)
{
	struct rh_exemplar_of of = { trace_id, i + 1 };

	rh_journal_open(&journal);
	rh_journal_count(&journal, &tally, requests, i % ROUTES, 0, 1);
	rh_journal_count(&journal, &tally, natives, i % ROUTES,
	    rh_native_of(duration_of(i)), 1);
	rh_journal_observe(&journal, &tally, durations, i % ROUTES, 0,
	    duration_of(i), &of);
	rh_journal_count(&journal, &tally, tenants, 1, 0, 1);
	rh_journal_commit(&journal);
}

/* ---- tracing: what a request of one statement makes of it ---- */

static struct rh_trace trace;
static struct rh_sampler keep_all, keep_none;
static struct rh_ring *ring;

static void
fill_server(struct rh_span *s)
{
	s->name = RH_SLICE("GET /v1/t/{tenant}/projects");
	rh_span_text(s, "http.request.method", RH_SLICE("GET"));
	rh_span_text(s, "http.route", RH_SLICE("/v1/t/{tenant}/projects"));
	rh_span_text(s, "url.path", RH_SLICE("/v1/t/demo/projects"));
	rh_span_text(s, "url.scheme", RH_SLICE("https"));
	rh_span_text(s, "server.address", RH_SLICE("api.example.org"));
	rh_span_text(s, "network.protocol.version", RH_SLICE("1.1"));
	rh_span_text(s, "client.address", RH_SLICE("192.0.2.7"));
	rh_span_text(s, "user_agent.original", RH_SLICE("curl/7.88.1"));
	rh_span_int(s, "http.response.status_code", 200);
	rh_span_int(s, "http.request.body.size", 0);
	rh_span_int(s, "http.response.body.size", 6524);
	rh_span_text(s, "rowhouse.sampled_by", RH_SLICE("ratio"));
}

static void
trace_request(const struct rh_sampler *sampler)
{
	struct rh_span *db;
	bool kept;

	rh_trace_begin(&trace, sampler, &(struct rh_trace_caller){ 0 });
	db = rh_span_open(&trace, RH_SPAN_CLIENT, RH_SLICE("projects.page"));
	rh_span_text(db, "db.system.name", RH_SLICE("postgresql"));
	rh_span_text(db, "db.namespace", RH_SLICE("rowhouse"));
	rh_span_text(db, "server.address", RH_SLICE("db.example.org"));
	rh_span_int(db, "server.port", 5432);
	rh_span_text(db, "db.query.summary", RH_SLICE("projects.page"));
	rh_span_text(db, "db.query.text", RH_SLICE("select id, name, status,"
	    " created_at, updated_at, version from projects where tenant_id = $1"
	    " and status = any ($2) and (created_at, id) < ($3, $4) order by"
	    " created_at desc, id desc limit $5"));
	rh_span_int(db, "db.operation.batch.size", 2);
	rh_span_close(&trace, db);
	kept = rh_trace_decide(&trace, (struct rh_trace_facts){ 0 });
	if (kept)
		fill_server(rh_trace_server(&trace));
	rh_trace_end(&trace, ring, kept, rh_trace_now(&trace),
	    RH_SLICE("01a1fdb1-d82a-724c-8e0a-724c4824a439"),
	    RH_SLICE("01a1fdb1-a02d-768d-bcc7-5117518db777"));
	sink += kept;
}

static void
trace_kept(unsigned i)
{
	(void)i;
	trace_request(&keep_all);
}

static void
trace_unkept(unsigned i)
{
	(void)i;
	trace_request(&keep_none);
}

/* ---- a scrape, while others write ---- */

static void
write_forever(unsigned slot)
{
	struct timespec pace = { 0, PACE_US * 1000 };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	rh_tally_bind(&tally, metrics, segment, slot);
	for (unsigned i = slot;; nanosleep(&pace, NULL))
		for (unsigned n = 0; n < BURST; n++, i++) {
			observe_labels(i);
			rh_observe(&tally, queries, i % STATEMENTS, 0,
			    duration_of(i), NULL);
			rh_count(&tally, wide, i % STATEMENTS, i % 24, 1);
		}
}

static unsigned
lines_of(const struct rh_buf *text)
{
	unsigned n = 0, comments = 0;

	for (size_t i = 0; i < text->n; i++) {
		n += text->p[i] == '\n';
		comments += text->p[i] == '#' &&
		    (i == 0 || text->p[i - 1] == '\n');
	}
	return n - comments;
}

static void
scrape(enum rh_exposition format, const char *name)
{
	static unsigned series;
	double cpu[SCRAPES], wall[SCRAPES];
	struct figure c, w;
	struct rh_buf to;

	rh_buf_init(&to, arena, 4 << 20, 8 << 20);
	for (unsigned i = 0; i < SCRAPES; i++) {
		uint64_t at = clock_ns(CLOCK_MONOTONIC);
		uint64_t used = clock_ns(CLOCK_THREAD_CPUTIME_ID);

		to.n = 0;
		rh_metrics_expose(&to, segment, format);
		cpu[i] = (double)(clock_ns(CLOCK_THREAD_CPUTIME_ID) - used) / 1e6;
		wall[i] = (double)(clock_ns(CLOCK_MONOTONIC) - at) / 1e6;
	}
	c = figure_of(cpu, SCRAPES);
	w = figure_of(wall, SCRAPES);
	if (format != RH_EXPO_PROTOBUF)
		series = lines_of(&to);
	printf("| scrape, %s: %u series, %zu kB | %.2f ms, wall %.2f, p99 %.2f"
	    " | 5 ms | 7 to 10 ms |\n", name, series, to.n / 1000,
	    c.median, w.median, w.worst);
}

static void
scrapes(void)
{
	pid_t pids[WORKERS];

	for (unsigned i = 0; i < WORKERS; i++)
		if ((pids[i] = fork()) == 0)
			write_forever(i + 1);
	scrape(RH_EXPO_PROMETHEUS, "text");
	scrape(RH_EXPO_OPENMETRICS, "OpenMetrics with exemplars");
	scrape(RH_EXPO_PROTOBUF, "protobuf with native histograms");
	for (unsigned i = 0; i < WORKERS; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
}

/* ---- the table ---- */

static void
row(const char *what, void (*how)(unsigned), const char *aim, const char *go)
{
	size_t before = mallinfo2().uordblks, of_arena = rh_arena_used(arena);
	struct figure f = measure(how);
	size_t more = mallinfo2().uordblks - before + rh_arena_used(arena) -
	    of_arena;

	printf("| %s | %.0f ns (best %.0f), %zu bytes allocated | %s | %s |\n",
	    what, f.median, f.best, more, aim, go);
}

int
main(int argc, char **argv)
{
	const char *path = argc > 1 ? argv[1] : "/dev/shm/rowhouse-bench-obs";

	arena = rh_arena_new(1 << 20, 64 << 20);
	open_segment(path);
	for (unsigned i = 0; i < TENANTS; i++)
		snprintf(slugs[i], sizeof(slugs[i]), "t%u", i);
	rh_sampler_init(&keep_all, RH_SAMPLER_ALWAYS_ON, true, 1);
	rh_sampler_init(&keep_none, RH_SAMPLER_ALWAYS_OFF, true, 0);
	ring = rh_segment_spans(segment, 0);
	rh_journal_bind(&journal, segment, 0);
	trace.on = true;
	for (unsigned i = 0; i < TENANTS; i++)
		observe_labels(i);
	printf("| what | here | aim | client_golang |\n|---|---|---|---|\n");
	row("observe, its series known", observe, "", "48 to 55 ns");
	row("observe, 100 routes in turn", observe_routes, "", "217 to 244 ns"
	    " (four labels)");
	row("observe, with an exemplar", observe_exemplar, "",
	    "0.9 to 1.3 us");
	row("tenant by name + route and status + native bucket + observe with"
	    " an exemplar",
	    observe_labels, "100 ns", "");
	row("the same kept by the journal", account, "", "");
	row("trace of two spans, not kept", trace_unkept, "1,000 ns", "");
	row("trace of two spans, kept", trace_kept, "5,000 ns", "");
	scrapes();
	rh_segment_close(&segment);
	unlink(path);
	return 0;
}
