/* tests/lib/obs/check_metric.c - what is counted is shown, once, in both formats. */
#include "config.h"

#include "obs/metric.h"

#include <math.h>

#include "obs/segment_file.h"
#include "scratch.h"

#define TEXTS(...)	((const char *const []){ __VA_ARGS__ })

/* A small pool's metrics: a family of each kind. */
struct pool {
	struct rh_metrics *m;
	int route, outcome, tenant;
	struct rh_family requests, seconds, in_flight, oldest, durations;
	struct rh_segment *segment;
	struct rh_tally tally[3];
};

static struct rh_family
family(struct pool *p, enum rh_metric_kind kind, unsigned flags,
    const char *name, int dims[2])
{
	return rh_metrics_family(p->m, &(struct rh_family_spec){ kind, flags,
	    name, "What it says.", dims[0], dims[1] });
}
#define DIMS(a, b)	((int []){ (a), (b) })

static void
pool_describe(struct pool *p, unsigned tenants)
{
	p->m = rh_metrics_new(rh_check_arena());
	p->route = rh_metrics_dim(p->m, "method,route", 0);
	p->outcome = rh_metrics_dim(p->m, "outcome", 0);
	p->tenant = rh_metrics_dim(p->m, "tenant", tenants + 1);
	rh_metrics_value(p->m, p->route, TEXTS("GET", "/v1/me"));
	rh_metrics_value(p->m, p->route, TEXTS("GET", "/a\"b\\c\nd"));
	rh_metrics_value(p->m, p->outcome, TEXTS("ok"));
	rh_metrics_value(p->m, p->outcome, TEXTS("error"));
	rh_metrics_value(p->m, p->tenant, TEXTS("other"));
	p->requests = family(p, RH_M_COUNTER, RH_M_SPARSE,
	    "tenant_requests_total", DIMS(p->tenant, p->outcome));
	p->seconds = family(p, RH_M_COUNTER, RH_M_NANOSECONDS,
	    "tenant_request_seconds_total", DIMS(p->tenant, -1));
	p->in_flight = family(p, RH_M_GAUGE, 0, "http_requests_in_flight",
	    DIMS(-1, -1));
	p->oldest = family(p, RH_M_GAUGE, RH_M_MAX | RH_M_NANOSECONDS,
	    "jobs_oldest_seconds", DIMS(-1, -1));
	p->durations = family(p, RH_M_HISTOGRAM, RH_M_SPARSE | RH_M_EXEMPLARS,
	    "http_request_duration_seconds", DIMS(p->route, -1));
}

static void
pool_open(struct pool *p, const char *path, unsigned tenants)
{
	struct rh_buf *why = scratch_buf();
	struct rh_segment_spec spec = { .pool = "fcgi", .service = "s",
	    .version = "1", .revision = "r", .slots = 3,
	    .log_ring_bytes = 16384, .span_ring_bytes = 16384 };

	pool_describe(p, tenants);
	spec.metrics = p->m;
	ck_assert_msg(rh_segment_create(&p->segment, path, &spec, why), "%s",
	    scratch_text(why));
	for (unsigned i = 0; i < 3; i++) {
		rh_segment_slot(p->segment, i)->pid = getpid();
		rh_tally_bind(&p->tally[i], p->m, p->segment, i);
	}
}

/* As another process sees it: by the file alone. */
static const char *
shown(const char *path, enum rh_exposition format)
{
	struct rh_buf *b = scratch_buf();
	struct rh_segment *s;
	const char *text;

	ck_assert_msg(rh_segment_open(&s, path, b), "%s", scratch_text(b));
	rh_metrics_expose(b, s, format);
	ck_assert(!b->full);
	text = scratch_text(b);
	rh_segment_close(&s);
	return text;
}

static struct rh_slice
slice(const char *text)
{
	return rh_slice_of(text);
}

static const char prometheus[] =
"# HELP rowhouse_tenant_requests_total What it says.\n"
"# TYPE rowhouse_tenant_requests_total counter\n"
"rowhouse_tenant_requests_total{tenant=\"other\",outcome=\"error\"} 7\n"
"rowhouse_tenant_requests_total{tenant=\"acme\",outcome=\"ok\"} 5\n"
"# HELP rowhouse_tenant_request_seconds_total What it says.\n"
"# TYPE rowhouse_tenant_request_seconds_total counter\n"
"rowhouse_tenant_request_seconds_total{tenant=\"other\"} 0.000000000\n"
"rowhouse_tenant_request_seconds_total{tenant=\"acme\"} 1.500000001\n"
"# HELP rowhouse_http_requests_in_flight What it says.\n"
"# TYPE rowhouse_http_requests_in_flight gauge\n"
"rowhouse_http_requests_in_flight 2\n"
"# HELP rowhouse_jobs_oldest_seconds What it says.\n"
"# TYPE rowhouse_jobs_oldest_seconds gauge\n"
"rowhouse_jobs_oldest_seconds 9.000000000\n"
"# HELP rowhouse_http_request_duration_seconds What it says.\n"
"# TYPE rowhouse_http_request_duration_seconds histogram\n"
#define BUCKET(le) "rowhouse_http_request_duration_seconds_bucket{method=\"GET\"," \
    "route=\"/a\\\"b\\\\c\\nd\",le=\"" le "\"} "
BUCKET("0.0005") "1\n" BUCKET("0.001") "1\n" BUCKET("0.0025") "1\n"
BUCKET("0.005") "1\n" BUCKET("0.01") "1\n" BUCKET("0.025") "1\n"
BUCKET("0.05") "1\n" BUCKET("0.1") "1\n" BUCKET("0.25") "1\n"
BUCKET("0.5") "1\n" BUCKET("1.0") "3\n" BUCKET("2.5") "3\n"
BUCKET("5.0") "3\n" BUCKET("10.0") "3\n" BUCKET("+Inf") "4\n"
"rowhouse_http_request_duration_seconds_count{method=\"GET\","
"route=\"/a\\\"b\\\\c\\nd\"} 4\n"
"rowhouse_http_request_duration_seconds_sum{method=\"GET\","
"route=\"/a\\\"b\\\\c\\nd\"} 22.000500000\n";

static void
count_some(struct pool *p)
{
	unsigned acme = rh_metrics_value_live(p->m, p->tenant, slice("acme"));
	static const unsigned char trace[16] = { 0xab, [15] = 0xcd };
	const struct rh_exemplar_of of = { trace, 1700000000123456 };

	ck_assert_uint_eq(acme, 1);
	rh_count(&p->tally[0], p->requests, acme, 0, 2);
	rh_count(&p->tally[2], p->requests, acme, 0, 3);
	rh_count(&p->tally[1], p->requests, 0, 1, 7);
	rh_count(&p->tally[1], p->seconds, acme, 0, 1500000001);
	rh_gauge_set(&p->tally[0], p->in_flight, 0, 1);
	rh_gauge_set(&p->tally[1], p->in_flight, 0, 1);
	rh_gauge_set(&p->tally[0], p->oldest, 0, 9000000000);
	rh_gauge_set(&p->tally[1], p->oldest, 0, 5000000000);
	rh_observe(&p->tally[0], p->durations, 1, 0, 500000, NULL);
	rh_observe(&p->tally[1], p->durations, 1, 0, 1000000000, NULL);
	rh_observe(&p->tally[2], p->durations, 1, 0, 1000000000, &of);
	rh_observe(&p->tally[2], p->durations, 1, 0, 20000000000, NULL);
}

START_TEST(text_is_as_expected)
{
	const char *path = scratch_open();
	struct pool p;

	pool_open(&p, path, 4);
	count_some(&p);
	ck_assert_str_eq(shown(path, RH_EXPO_PROMETHEUS), prometheus);
	rh_segment_close(&p.segment);
}
END_TEST

START_TEST(openmetrics_differs_in_names_and_exemplars_only)
{
	const char *path = scratch_open(), *text;
	struct pool p;

	pool_open(&p, path, 4);
	count_some(&p);
	text = shown(path, RH_EXPO_OPENMETRICS);
	ck_assert_ptr_nonnull(strstr(text,
	    "# TYPE rowhouse_tenant_requests counter\n"
	    "rowhouse_tenant_requests_total{"));
	ck_assert_ptr_nonnull(strstr(text, "le=\"1.0\"} 3 # {trace_id="
	    "\"ab0000000000000000000000000000cd\"} 1.000000000"
	    " 1700000000.123456\n"));
	ck_assert_ptr_null(strstr(text, "le=\"0.0005\"} 1 #"));
	rh_segment_close(&p.segment);
}
END_TEST

START_TEST(the_newest_exemplar_of_a_bucket_stays)
{
	const char *path = scratch_open(), *text;
	struct pool p;
	unsigned char trace[3][16] = { { 1 }, { 2 }, { 3 } };
	const int64_t wall[] = { 1700000000000001, 1700000000000003,
	    1700000000000002 };

	pool_open(&p, path, 4);
	for (int i = 0; i < 3; i++)
		rh_observe(&p.tally[i], p.durations, 0, 0, 600000,
		    &(struct rh_exemplar_of){ trace[i], wall[i] });
	text = shown(path, RH_EXPO_OPENMETRICS);
	ck_assert_ptr_nonnull(strstr(text, "{trace_id=\"02"));
	ck_assert_ptr_null(strstr(text, "{trace_id=\"01"));
	rh_segment_close(&p.segment);
}
END_TEST

START_TEST(a_writer_killed_at_an_exemplar_spoils_none)
{
	const char *path = scratch_open(), *text;
	struct pool p;
	unsigned char trace[16] = { 9 };
	struct rh_exemplar *e;

	pool_open(&p, path, 4);
	e = p.tally[0].exemplars + p.durations.exemplar + 1;
	e->wall_us = 5;
	e->seq = 7;
	rh_observe(&p.tally[0], p.durations, 0, 0, 600000, NULL);
	text = shown(path, RH_EXPO_OPENMETRICS);
	ck_assert_ptr_null(strstr(text, "trace_id"));
	rh_observe(&p.tally[0], p.durations, 0, 0, 600000,
	    &(struct rh_exemplar_of){ trace, 1700000000000001 });
	text = shown(path, RH_EXPO_OPENMETRICS);
	ck_assert_ptr_nonnull(strstr(text, "{trace_id=\"09"));
	rh_segment_close(&p.segment);
}
END_TEST

START_TEST(a_gauge_that_is_not_known_is_not_shown)
{
	const char *path = scratch_open();
	struct pool p;

	pool_open(&p, path, 4);
	count_some(&p);
	rh_gauge_set(&p.tally[0], p.in_flight, 0, RH_GAUGE_UNKNOWN);
	ck_assert_ptr_null(strstr(shown(path, RH_EXPO_PROMETHEUS),
	    "\nrowhouse_http_requests_in_flight "));
	rh_gauge_set(&p.tally[0], p.in_flight, 0, 0);
	ck_assert_ptr_nonnull(strstr(shown(path, RH_EXPO_PROMETHEUS),
	    "requests_in_flight 1\n"));
	rh_segment_close(&p.segment);
}
END_TEST

START_TEST(gauges_of_the_dead_are_not_counted)
{
	const char *path = scratch_open(), *text;
	struct pool p;

	pool_open(&p, path, 4);
	count_some(&p);
	rh_segment_slot(p.segment, 1)->pid = 0;
	text = shown(path, RH_EXPO_PROMETHEUS);
	ck_assert_ptr_nonnull(strstr(text, "requests_in_flight 1\n"));
	ck_assert_ptr_nonnull(strstr(text, "outcome=\"error\"} 7\n"));
	rh_segment_close(&p.segment);
}
END_TEST

/* Bounds are inclusive; the first bucket is 0.5 ms. */
static const struct { uint64_t ns; unsigned bucket; } observed[] = {
	{ 0, 0 }, { 500000, 0 }, { 500001, 1 }, { 1000000, 1 },
	{ 10000000000, 13 }, { 10000000001, 14 }, { UINT64_MAX, 14 },
};

START_TEST(a_value_falls_into_its_bucket)
{
	const char *path = scratch_open();
	struct pool p;

	pool_open(&p, path, 4);
	rh_observe(&p.tally[0], p.durations, 1, 0, observed[_i].ns, NULL);
	for (unsigned i = 0; i <= RH_BUCKETS; i++)
		ck_assert_uint_eq(p.tally[0].cells[p.durations.cell +
		    p.durations.stride_a + i], i == observed[_i].bucket);
	rh_segment_close(&p.segment);
}
END_TEST

START_TEST(live_values_have_a_bound)
{
	const char *path = scratch_open(), *text;
	struct pool p;
	char name[16];

	pool_open(&p, path, 4);
	for (unsigned i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "t%u", i % 6);
		rh_count(&p.tally[0], p.requests, rh_metrics_value_live(p.m,
		    p.tenant, slice(name)), 0, 1);
	}
	ck_assert_uint_eq(rh_metrics_value_live(p.m, p.tenant,
	    RH_SLICE_NONE), 0);
	text = shown(path, RH_EXPO_PROMETHEUS);
	ck_assert_ptr_nonnull(strstr(text, "{tenant=\"t0\",outcome=\"ok\"} 2"));
	ck_assert_ptr_nonnull(strstr(text, "{tenant=\"t3\",outcome=\"ok\"} 2"));
	ck_assert_ptr_null(strstr(text, "{tenant=\"t4\""));
	ck_assert_ptr_nonnull(strstr(text, "\"other\",outcome=\"ok\"} 2"));
	rh_segment_close(&p.segment);
}
END_TEST

START_TEST(a_value_survives_who_died_naming_it)
{
	const char *path = scratch_open(), *text;
	struct rh_seg_name *names;
	struct pool p;

	pool_open(&p, path, 4);
	ck_assert_uint_eq(rh_metrics_value_live(p.m, p.tenant, slice("a")), 1);
	names = rh_seg_names(p.segment, rh_seg_dim(p.segment->head, p.tenant));
	names[0].n = 0;		/* as if killed between claim and name */
	memset(names[0].bytes, 0, sizeof(names[0].bytes));
	ck_assert_uint_eq(rh_metrics_value_live(p.m, p.tenant, slice("b")), 2);
	text = shown(path, RH_EXPO_PROMETHEUS);
	ck_assert_ptr_null(strstr(text, "tenant=\"\""));
	ck_assert_ptr_nonnull(strstr(text, "tenant=\"b\""));
	ck_assert_uint_eq(rh_metrics_value_live(p.m, p.tenant, slice("a")), 1);
	ck_assert_ptr_nonnull(strstr(shown(path, RH_EXPO_PROMETHEUS),
	    "tenant=\"a\""));
	rh_segment_close(&p.segment);
}
END_TEST

#define PROCESSES	8
#define NAMES		60

/* Each names all, in an order of its own, and counts one for each. */
static void
name_all(struct pool *p, unsigned slot)
{
	struct rh_tally tally;
	char name[16];

	rh_tally_bind(&tally, p->m, p->segment, slot);
	for (unsigned i = 0; i < 50 * NAMES; i++) {
		snprintf(name, sizeof(name), "t%03u",
		    (i * (2 * slot + 1) + slot * 17) % NAMES);
		rh_count(&tally, p->requests, rh_metrics_value_live(p->m,
		    p->tenant, slice(name)), 0, 1);
	}
}

static const unsigned bounded[] = { NAMES, 40 };

START_TEST(processes_name_values_at_once)
{
	const char *path = scratch_open(), *text, *line;
	unsigned bound = bounded[_i], names = 0;
	unsigned long sum = 0;
	pid_t pids[PROCESSES];
	struct rh_segment_spec spec = { .pool = "fcgi", .service = "s",
	    .version = "1", .revision = "r", .slots = PROCESSES,
	    .log_ring_bytes = 16384, .span_ring_bytes = 16384 };
	struct pool p;

	pool_describe(&p, bound);
	spec.metrics = p.m;
	ck_assert(rh_segment_create(&p.segment, path, &spec, scratch_buf()));
	for (unsigned i = 0; i < PROCESSES; i++) {
		ck_assert_int_ge(pids[i] = fork(), 0);
		if (pids[i] == 0) {
			name_all(&p, i);
			_exit(0);
		}
	}
	for (unsigned i = 0; i < PROCESSES; i++)
		scratch_reap(pids[i], 0);
	text = shown(path, RH_EXPO_PROMETHEUS);
	for (unsigned i = 0; i < NAMES; i++) {
		const char *want = rh_arena_printf(rh_check_arena(),
		    "\nrowhouse_tenant_requests_total{tenant=\"t%03u\"", i);

		line = strstr(text, want);
		names += line != NULL;
		ck_assert(!line || !strstr(line + 1, want));
	}
	ck_assert_uint_eq(names, bound);
	for (line = text; (line = strstr(line, "\nrowhouse_tenant_requests_"
	    "total{")); line++)
		sum += strtoul(strchr(line, '}') + 2, NULL, 10);
	ck_assert_uint_eq(sum, PROCESSES * 50 * NAMES);
	rh_segment_close(&p.segment);
}
END_TEST

enum { TENANTS = 10000, NAMED = 200 };

/* 10,000 tenants three times over: so many series and no more, none uncounted. */
START_TEST(ten_thousand_tenants_are_two_hundred_series)
{
	const char *path = scratch_open(), *text, *line;
	unsigned long sum = 0;
	unsigned series = 0;
	struct pool p;
	char name[16];

	pool_open(&p, path, NAMED);
	for (unsigned i = 0; i < 3 * TENANTS; i++) {
		snprintf(name, sizeof(name), "t%u", i % TENANTS);
		rh_count(&p.tally[i % 3], p.requests, rh_metrics_value_live(p.m,
		    p.tenant, slice(name)), i / TENANTS % 2, 1);
	}
	text = shown(path, RH_EXPO_PROMETHEUS);
	for (line = text; (line = strstr(line, "\nrowhouse_tenant_requests_"
	    "total{")); line++, series++)
		sum += strtoul(strchr(line, '}') + 2, NULL, 10);
	ck_assert_uint_eq(sum, 3 * TENANTS);
	ck_assert_uint_eq(series, 2 * (NAMED + 1));
	rh_segment_close(&p.segment);
}
END_TEST

/* Bucket i holds what is over 2^((i-1)/8) seconds, up to 2^(i/8). */
START_TEST(native_buckets_are_prometheus_own)
{
	struct pool p;
	uint64_t ns = 1;

	pool_describe(&p, 1);
	rh_metrics_native(p.m, &(struct rh_family_spec){ RH_M_HISTOGRAM, 0,
	    "x_seconds", "x", p.route, -1 });
	for (; ns < 4000000000000; ns += 1 + ns / 97) {
		unsigned i = rh_native_of(ns);
		int exponent = RH_NATIVE_FIRST * 8 + (int)i;

		if (i > 0)
			ck_assert_double_gt((double)ns / 1e9,
			    exp2((exponent - 1) / 8.0));
		ck_assert_double_le((double)ns / 1e9, exp2(exponent / 8.0));
	}
	ck_assert_uint_eq(rh_native_of(0), 0);
	ck_assert_uint_eq(rh_native_of(30517), 0);	/* 2^-15 s is 30,517.6 ns */
	ck_assert_uint_eq(rh_native_of(30518), 1);
	ck_assert_uint_eq(rh_native_of(1000000000), 15 * 8);
	ck_assert_uint_eq(rh_native_of(1000000001), 15 * 8 + 1);
	ck_assert_uint_eq(rh_native_of(UINT64_MAX), RH_NATIVE_CELLS - 1);
}
END_TEST

static const char as_text[] = "# HELP up is it\n# TYPE up gauge\n"
    "up{a=\"x\\\"y\",b=\"\"} 1.5\n# HELP n_total n\n# TYPE n_total counter\n"
    "n_total 3\n# HELP none_total none\n# TYPE none_total counter\n";
static const char as_protobuf[] =
    "\x2b" "\x0a\x02up" "\x12\x05is it" "\x18\x01"
    "\x22\x1c" "\x0a\x08" "\x0a\x01" "a" "\x12\x03x\"y"
    "\x0a\x05" "\x0a\x01" "b" "\x12\x00"
    "\x12\x09\x09\x00\x00\x00\x00\x00\x00\xf8\x3f"
    "\x1b" "\x0a\x07n_total" "\x12\x01n" "\x18\x00"
    "\x22\x0b" "\x1a\x09\x09\x00\x00\x00\x00\x00\x00\x08\x40";

START_TEST(text_becomes_protobuf)
{
	struct rh_buf *b = scratch_buf();

	rh_metrics_text_to_protobuf(b, slice(as_text));
	ck_assert_uint_eq(b->n, sizeof(as_protobuf) - 1);
	ck_assert_mem_eq(b->p, as_protobuf, b->n);
}
END_TEST

/* What a broken pool may show: nothing is read past its end. */
static const char *const broken[] = {
	"up{", "up{a", "up{a=", "up{a=\"", "up{a=\"x", "up{a=\"x\\", "up{a=\"x\"", "{", " ", "up", "up{} ",
	"# HELP", "# HELP ", "# TYPE ", "# TYPE x", "up{a=\"x\\\"} 1", "}{ 1",
};

START_TEST(broken_text_ends_somewhere)
{
	char *exact = malloc(strlen(broken[_i]));
	struct rh_buf *b = scratch_buf();

	memcpy(exact, broken[_i], strlen(broken[_i]));
	rh_metrics_text_to_protobuf(b, (struct rh_slice){ exact,
	    strlen(broken[_i]) });
	free(exact);
}
END_TEST

START_TEST(without_a_segment_counting_goes_nowhere)
{
	struct rh_tally tally;
	struct pool p;

	pool_describe(&p, 4);
	rh_tally_bind(&tally, p.m, NULL, 0);
	ck_assert_uint_eq(rh_metrics_value_live(p.m, p.tenant, slice("a")), 0);
	rh_count(&tally, p.requests, 0, 1, 1);
	rh_observe(&tally, p.durations, 1, 0, 1, &(struct rh_exemplar_of){
	    (const unsigned char *)"0123456789abcdef", 1 });
}
END_TEST

RH_CHECK_MAIN("obs/metric",
    RH_CASE(text_is_as_expected),
    RH_CASE(openmetrics_differs_in_names_and_exemplars_only),
    RH_CASE(the_newest_exemplar_of_a_bucket_stays),
    RH_CASE(a_writer_killed_at_an_exemplar_spoils_none),
    RH_CASE(a_gauge_that_is_not_known_is_not_shown),
    RH_CASE(gauges_of_the_dead_are_not_counted),
    RH_LOOP(a_value_falls_into_its_bucket, observed),
    RH_CASE(live_values_have_a_bound),
    RH_CASE(a_value_survives_who_died_naming_it),
    RH_LOOP(processes_name_values_at_once, bounded),
    RH_CASE(ten_thousand_tenants_are_two_hundred_series),
    RH_CASE(native_buckets_are_prometheus_own),
    RH_CASE(text_becomes_protobuf),
    RH_LOOP(broken_text_ends_somewhere, broken),
    RH_CASE(without_a_segment_counting_goes_nowhere))
