/*
 * tests/lib/obs/check_sampling.c - 100,000 mixed requests: what is kept, and
 * what can be counted by what is kept.
 *
 * As a collector would: each kept trace is encoded, its th read back, and 1/p
 * added up. What is always kept has to come out exactly, what is drawn within
 * three standard deviations; chance is against us once in some hundred runs,
 * so only what fails three times running is taken for a fault.
 */
#include "config.h"

#include "obs/otlp.h"

#include <math.h>
#include <stdio.h>

#include "base/text.h"
#include "obs/metric.h"
#include "obs/segment.h"

#include "scratch.h"

enum { REQUESTS = 100000, RING = 65536, TRIES = 3 };

#define RATIO		0.1	/* of ours */
#define UPSTREAM	0.25	/* of those before us */

enum what { PLAIN, FAILED, SLOW, SECURITY, WHATS };
enum whose {
	ROOT,		/* came with nothing */
	CHILD,		/* of a service that samples, and says so in th */
	RV_CHILD,	/* of one that draws rv */
	STRANGER,	/* who is not trusted, and wants to be kept */
	WHOSES
};

static struct books {
	double truth[WHATS][WHOSES], told[WHATS][WHOSES];
	double variance[WHATS][WHOSES];
	unsigned kept[WHATS][WHOSES];
	struct rh_slice ids;	/* of kept traces, 16 bytes each */
} books;

static struct rh_sampler ours, theirs;
static struct rh_otlp_conf conf;
static struct rh_trace trace;
static struct rh_ring *ring;
static struct rh_tally tally;
static struct rh_family durations;
static uint64_t seed;

static uint64_t
splitmix(void)
{
	uint64_t z = seed += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static uint64_t
low_56(uint64_t n)
{
	return n & (((uint64_t)1 << 56) - 1);
}

/* traceparent and tracestate as a sampling service before us sends them. */
static void
begin_child(bool has_rv)
{
	uint64_t high = splitmix() | 1, low = splitmix(), rv = low_56(splitmix());
	bool sampled = (has_rv ? rv : low_56(low)) >= theirs.threshold;
	char parent[RH_TRACEPARENT_LEN + 1], state[64], th[20];

	snprintf(parent, sizeof(parent), "00-%016llx%016llx-%016llx-0%d",
	    (unsigned long long)high, (unsigned long long)low,
	    (unsigned long long)(splitmix() | 1), 2 + sampled);
	snprintf(th, sizeof(th), "th:%014llx",
	    (unsigned long long)theirs.threshold);
	snprintf(state, sizeof(state), "ot=%s", th);
	if (has_rv)
		snprintf(state, sizeof(state), "a=1,ot=rv:%014llx;%s,b=2",
		    (unsigned long long)rv, th);
	rh_trace_begin(&trace, &ours, &(struct rh_trace_caller){
	    .traceparent = rh_slice_of(parent),
	    .tracestate = rh_slice_of(state), .trusted = true });
	/* the texts end here; a trace that goes on has copied or dropped them */
	if (trace.tracestate.p) {
		memmove(trace.state, trace.tracestate.p, trace.tracestate.n);
		trace.tracestate.p = trace.state;
	}
}

static void
begin(enum whose whose)
{
	switch (whose) {
	case CHILD:
	case RV_CHILD:
		begin_child(whose == RV_CHILD);
		return;
	case STRANGER:
		rh_trace_begin(&trace, &ours, &(struct rh_trace_caller){
		    .traceparent = RH_SLICE("00-0af7651916cd43dd8448eb211c80319c"
		    "-b7ad6b7169203331-01"),
		    .tracestate = RH_SLICE("ot=th:0"), .trusted = false });
		return;
	default:
		rh_trace_begin(&trace, &ours, &(struct rh_trace_caller){ 0 });
	}
}

/* What a collector reads: 1 / p, by the th that the span was sent with. */
static double
weight(void)
{
	struct rh_shipper_spec spec = { .conf = &conf };
	char record[4 + RING / 4], bytes[8192], *state;
	struct rh_slice text;
	struct rh_buf to;
	struct rh_ot ot;
	uint32_t length;
	uint64_t missed;
	unsigned items;

	length = (uint32_t)rh_ring_take(ring, record + 4, sizeof(record) - 4,
	    &items, &missed);
	memcpy(record, &length, sizeof(length));
	rh_buf_init_fixed(&to, bytes, sizeof(bytes) - 1);
	ck_assert_uint_eq(rh_otlp_encode(&to, RH_OTLP_JSON, &spec, record,
	    length + sizeof(length)), 1);
	ck_assert(!to.full);
	bytes[to.n] = '\0';
	state = strstr(bytes, "\"traceState\":\"");
	ck_assert_ptr_nonnull(state);
	text = rh_slice_of(state + 14);
	text.n = strcspn(text.p, "\"");
	ot = rh_tracestate_ot(text);
	ck_assert(ot.has_th && ot.th != RH_THRESHOLD_NONE);
	return ldexp(1, 56) / (ldexp(1, 56) - (double)ot.th);
}

static void
keep(enum what what, enum whose whose)
{
	rh_trace_end(&trace, ring, true, rh_trace_now(&trace), RH_SLICE_NONE,
	    RH_SLICE_NONE);
	books.told[what][whose] += weight();
	books.kept[what][whose]++;
	memcpy((char *)(uintptr_t)books.ids.p + books.ids.n, trace.trace_id, 16);
	books.ids.n += 16;
}

static void
request(enum what what, enum whose whose)
{
	double p = what != PLAIN ? 1 : whose == CHILD || whose == RV_CHILD ?
	    UPSTREAM : RATIO;
	struct rh_exemplar_of exemplar = { trace.trace_id, 1 };
	bool kept;

	begin(whose);
	kept = rh_trace_decide(&trace, (struct rh_trace_facts){
	    .error = what == FAILED, .slow = what == SLOW,
	    .security = what == SECURITY });
	books.truth[what][whose]++;
	books.variance[what][whose] += (1 - p) / p;
	if (kept)
		keep(what, whose);
	rh_observe(&tally, durations, 0, 0, splitmix() % 20000000000,
	    kept ? &exemplar : NULL);
}

static void
run(void)
{
	memset(&books, 0, sizeof(books));
	books.ids.p = rh_arena_alloc(rh_check_arena(), REQUESTS * 16);
	for (int i = 0; i < REQUESTS; i++) {
		uint64_t die = splitmix();

		request(die % 100 < 85 ? PLAIN : FAILED + die % 3,
		    (enum whose)(die >> 32) % WHOSES);
	}
}

static bool
is_within_three_sigma(void)
{
	for (int w = 0; w < WHATS; w++)
		for (int o = 0; o < WHOSES; o++)
			if (fabs(books.told[w][o] - books.truth[w][o]) >
			    3 * sqrt(books.variance[w][o]) + 1e-6)
				return false;
	return true;
}

static struct rh_segment *
open_all(void)
{
	struct rh_metrics *m = rh_metrics_new(rh_check_arena());
	struct rh_buf *why = scratch_buf();
	struct rh_segment_spec spec = { .pool = "fcgi", .service = "s",
	    .version = "1", .revision = "r", .slots = 1,
	    .log_ring_bytes = 16384, .span_ring_bytes = 16384, .metrics = m };
	struct rh_segment *s;

	durations = rh_metrics_family(m, &(struct rh_family_spec){
	    RH_M_HISTOGRAM, RH_M_EXEMPLARS, "d_seconds", "d", -1, -1 });
	ck_assert_msg(rh_segment_create(&s, scratch_open(), &spec, why), "%s",
	    scratch_text(why));
	rh_tally_bind(&tally, m, s, 0);
	rh_sampler_init(&ours, RH_SAMPLER_RATIO, true, RATIO);
	rh_sampler_init(&theirs, RH_SAMPLER_RATIO, true, UPSTREAM);
	conf = (struct rh_otlp_conf){ .attrs_max = 128, .links_max = 128,
	    .attr_text_max = INT32_MAX };
	ring = aligned_alloc(64, (rh_ring_footprint(RING) + 63) & ~(size_t)63);
	rh_ring_init(ring, RING, RH_RING_OVERWRITE);
	trace.on = true;
	return s;
}

START_TEST(counts_come_out_by_what_is_kept)
{
	struct rh_segment *s = open_all();
	int tries = 0;

	do {
		seed = (uint64_t)tries;
		run();
		for (int o = 0; o < WHOSES; o++)
			for (int w = FAILED; w < WHATS; w++) {
				ck_assert_double_gt(books.truth[w][o], 1000);
				ck_assert_uint_eq(books.kept[w][o],
				    (unsigned)books.truth[w][o]);
			}
		/* what a stranger's flag asks for he does not get */
		ck_assert_double_lt(books.kept[PLAIN][STRANGER],
		    books.truth[PLAIN][STRANGER] * 2 * RATIO);
	} while (!is_within_three_sigma() && ++tries < TRIES);
	ck_assert_int_lt(tries, TRIES);
	rh_segment_close(&s);
	free(ring);
}
END_TEST

static bool
is_kept(const char *hex)
{
	unsigned char id[16];

	ck_assert(rh_hex_get(id, 16, (struct rh_slice){ hex, 32 }, false));
	for (size_t at = 0; at < books.ids.n; at += 16)
		if (memcmp(books.ids.p + at, id, 16) == 0)
			return true;
	return false;
}

START_TEST(every_exemplar_names_a_kept_trace)
{
	struct rh_segment *s = open_all();
	int exemplars = 0;
	struct rh_buf to;
	char *at;

	run();
	rh_buf_init(&to, rh_check_arena(), 65536, 65536);
	rh_metrics_expose(&to, s, RH_EXPO_OPENMETRICS);
	rh_buf_char(&to, '\0');
	for (at = to.p; (at = strstr(at, "trace_id=\"")); exemplars++) {
		at += 10;
		ck_assert(is_kept(at));
	}
	ck_assert_int_gt(exemplars, 10);
	rh_segment_close(&s);
	free(ring);
}
END_TEST

RH_CHECK_MAIN("obs/sampling",
    RH_CASE(counts_come_out_by_what_is_kept),
    RH_CASE(every_exemplar_names_a_kept_trace))
