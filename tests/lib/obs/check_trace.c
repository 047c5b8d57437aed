/* tests/lib/obs/check_trace.c - what is kept, what goes downstream, what is stored. */
#include "config.h"

#include "obs/span_record.h"

#include <stdint.h>

#include "base/clock.h"
#include "base/text.h"

#include "rh_check.h"

#define PARENT	"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-"

static struct rh_trace trace;

static struct rh_sampler
sampler(enum rh_sampler_kind root, bool parent_based, double ratio)
{
	struct rh_sampler s;

	rh_sampler_init(&s, root, parent_based, ratio);
	return s;
}

static struct rh_trace *
begin(const struct rh_sampler *s, const char *traceparent,
    const char *tracestate)
{
	trace.on = true;
	rh_trace_begin(&trace, s, &(struct rh_trace_caller){
	    .traceparent = rh_slice_of(traceparent),
	    .tracestate = rh_slice_of(tracestate), .trusted = true });
	return &trace;
}

static uint64_t
splitmix(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* The same ids in each run: 20,000 traces, decided by their ids alone. */
static const double ratios[] = { 0, 0.001, 0.1, 0.25, 0.5, 0.9, 1 };

START_TEST(ratio_keeps_its_share)
{
	struct rh_sampler s = sampler(RH_SAMPLER_RATIO, false, ratios[_i]);
	double n = 20000, want = n * ratios[_i];
	uint64_t seed = 42;
	int kept = 0;

	for (int i = 0; i < n; i++) {
		char text[RH_TRACEPARENT_LEN + 1] = PARENT "00";
		uint64_t id[2] = { splitmix(&seed), splitmix(&seed) };

		rh_hex_put(text + 3, id, sizeof(id));
		kept += begin(&s, text, NULL)->head;
	}
	if (ratios[_i] <= 0 || ratios[_i] >= 1)
		ck_assert_int_eq(kept, (int)want);
	ck_assert_double_ge(kept, want * 0.9 - 15);
	ck_assert_double_le(kept, want * 1.1 + 15);
}
END_TEST

/* Consistent: what a small ratio keeps, every larger one keeps. */
START_TEST(larger_ratio_keeps_what_a_smaller_one_does)
{
	struct rh_sampler small = sampler(RH_SAMPLER_RATIO, false, 0.1);
	struct rh_sampler large = sampler(RH_SAMPLER_RATIO, false, 0.3);
	uint64_t seed = 7;

	ck_assert_uint_gt(small.threshold, large.threshold);
	for (int i = 0; i < 5000; i++) {
		char text[RH_TRACEPARENT_LEN + 1] = PARENT "00";
		uint64_t id[2] = { splitmix(&seed), splitmix(&seed) };

		rh_hex_put(text + 3, id, sizeof(id));
		if (begin(&small, text, NULL)->head)
			ck_assert(begin(&large, text, NULL)->head);
	}
}
END_TEST

/* clang-format off */
static const struct { const char *id; bool head; } thresholds[] = {	/* of ratio 0.5: 0x80000000000000 */
	{ "00-ffffffffffffffffff7fffffffffffff-b7ad6b7169203331-00", false },
	{ "00-00000000000000000080000000000000-b7ad6b7169203331-00", true },
	{ "00-000000000000000000ffffffffffffff-b7ad6b7169203331-00", true },
	{ "00-ffffffffffffffffff00000000000000-b7ad6b7169203331-01", false },
};

enum { PARENT_NONE, PARENT_NO, PARENT_YES };
static const char *const parent_of[] = { NULL, PARENT "00", PARENT "01" };
static const struct {
	enum rh_sampler_kind root; bool parent_based; int parent; struct rh_trace_facts facts;
	bool keep; enum rh_sampled_by by; char downstream;
} rules[] = {
	/* root                 parent-based, parent      error slow  security    kept   by              flag */
	{ RH_SAMPLER_ALWAYS_ON,  true,  PARENT_NONE, { false, false, false }, true,  RH_BY_RATIO,    '3' },
	{ RH_SAMPLER_ALWAYS_OFF, true,  PARENT_NONE, { false, false, false }, false, RH_BY_NONE,     '2' },
	{ RH_SAMPLER_ALWAYS_OFF, true,  PARENT_YES,  { false, false, false }, true,  RH_BY_PARENT,   '1' },
	{ RH_SAMPLER_ALWAYS_ON,  true,  PARENT_NO,   { false, false, false }, false, RH_BY_NONE,     '0' },
	{ RH_SAMPLER_ALWAYS_ON,  false, PARENT_NO,   { false, false, false }, true,  RH_BY_RATIO,    '1' },
	{ RH_SAMPLER_ALWAYS_OFF, false, PARENT_YES,  { false, false, false }, false, RH_BY_NONE,     '0' },
	{ RH_SAMPLER_ALWAYS_OFF, true,  PARENT_NO,   { true,  false, false }, true,  RH_BY_ERROR,    '1' },
	{ RH_SAMPLER_ALWAYS_OFF, true,  PARENT_NO,   { false, true,  false }, true,  RH_BY_SLOW,     '0' },
	{ RH_SAMPLER_ALWAYS_OFF, true,  PARENT_NO,   { false, false, true  }, true,  RH_BY_SECURITY, '0' },
	{ RH_SAMPLER_ALWAYS_OFF, true,  PARENT_NONE, { true,  true,  true  }, true,  RH_BY_ERROR,    '3' },
	{ RH_SAMPLER_ALWAYS_OFF, true,  PARENT_NONE, { false, true,  true  }, true,  RH_BY_SLOW,     '2' },
	{ RH_SAMPLER_ALWAYS_ON,  true,  PARENT_YES,  { false, false, true  }, true,  RH_BY_SECURITY, '1' },
};
/* clang-format on */

START_TEST(low_56_bits_are_held_against_the_threshold)
{
	struct rh_sampler s = sampler(RH_SAMPLER_RATIO, false, 0.5);

	ck_assert_uint_eq(s.threshold, 0x80000000000000);
	ck_assert_int_eq(begin(&s, thresholds[_i].id, NULL)->head,
	    thresholds[_i].head);
}
END_TEST

START_TEST(trace_is_kept_by_the_rule)
{
	struct rh_sampler s =
	    sampler(rules[_i].root, rules[_i].parent_based, 0);
	struct rh_trace *t = begin(&s, parent_of[rules[_i].parent], NULL);
	char text[RH_TRACEPARENT_LEN];

	ck_assert_int_eq(rh_trace_decide(t, rules[_i].facts), rules[_i].keep);
	ck_assert_int_eq(t->by, rules[_i].by);
	rh_traceparent_put(text, t, rh_trace_server(t));
	ck_assert_int_eq(text[54], rules[_i].downstream);
	rh_traceresponse_put(text, t, rules[_i].keep);
	ck_assert_int_eq(text[54] & 1, rules[_i].keep);
}
END_TEST

START_TEST(later_facts_do_not_take_a_decision_back)
{
	struct rh_sampler s = sampler(RH_SAMPLER_ALWAYS_OFF, true, 0);
	struct rh_trace *t = begin(&s, NULL, NULL);

	ck_assert(!rh_trace_decide(t, (struct rh_trace_facts){ 0 }));
	ck_assert(rh_trace_decide(t, (struct rh_trace_facts){ .slow = true }));
	ck_assert(rh_trace_decide(t, (struct rh_trace_facts){ 0 }));
	ck_assert(rh_trace_decide(t, (struct rh_trace_facts){ .error = true }));
	ck_assert_int_eq(t->by, RH_BY_ERROR);
}
END_TEST

START_TEST(trace_goes_on_under_an_id_of_ours)
{
	struct rh_sampler s = sampler(RH_SAMPLER_RATIO, true, 0.1);
	struct rh_trace *t = begin(&s, " \t" PARENT "03 ", "foo=1 , bar=2");
	struct rh_span *span = rh_span_open(t, RH_SPAN_CLIENT, RH_SLICE("x"));
	char text[RH_TRACEPARENT_LEN];

	ck_assert(t->remote_parent);
	rh_traceparent_put(text, t, span);
	ck_assert_mem_eq(text, PARENT, 36);
	ck_assert_mem_ne(text + 36, &PARENT[36], 16);
	ck_assert_mem_eq(text + 52, "-03", 3);
	ck_assert_mem_eq(span->parent_id, rh_trace_server(t)->id, 8);
	ck_assert_mem_ne(span->id, rh_trace_server(t)->id, 8);
	rh_assert_slice_eq(t->tracestate, RH_SLICE("foo=1 , bar=2"));
}
END_TEST

START_TEST(new_trace_is_random_and_takes_no_tracestate)
{
	struct rh_sampler s = sampler(RH_SAMPLER_ALWAYS_OFF, true, 0);
	char first[RH_TRACEPARENT_LEN], second[RH_TRACEPARENT_LEN];
	struct rh_trace *t = begin(&s, PARENT "0", "foo=1");

	ck_assert(!t->remote_parent);
	ck_assert_ptr_null(t->tracestate.p);
	rh_traceparent_put(first, t, rh_trace_server(t));
	ck_assert_mem_eq(first + 52, "-02", 3);
	rh_traceparent_put(second, begin(&s, NULL, NULL), rh_trace_server(t));
	ck_assert_mem_ne(first, second, 35);
}
END_TEST

START_TEST(bad_tracestate_goes_and_the_trace_stays)
{
	struct rh_sampler s = sampler(RH_SAMPLER_ALWAYS_OFF, true, 0);
	struct rh_trace *t = begin(&s, PARENT "01", "foo=1,FOO=2");

	ck_assert(t->remote_parent);
	ck_assert_ptr_null(t->tracestate.p);
}
END_TEST

START_TEST(head_sampled_says_its_threshold)
{
	struct rh_sampler half = sampler(RH_SAMPLER_RATIO, false, 0.5);
	struct rh_sampler all = sampler(RH_SAMPLER_ALWAYS_ON, true, 0);

	rh_assert_slice_eq(begin(&all, NULL, NULL)->tracestate,
	    RH_SLICE("ot=th:0"));
	rh_assert_slice_eq(begin(&half, thresholds[1].id, "a=1,ot=th:c")
	    ->tracestate, RH_SLICE("ot=th:8,a=1"));
	rh_assert_slice_eq(begin(&half, thresholds[0].id, "a=1")->tracestate,
	    RH_SLICE("a=1"));
}
END_TEST

/* clang-format off */
#define HIGH	"00-ffffffffffffffffff7fffffffffffff-b7ad6b7169203331-"	/* its randomness: 7f… */
static const struct { const char *parent, *state; double own; bool head; const char *goes_on; } th_rows[] = {
	/* own < 0: the parent decides; else a sampler of our own with that ratio */
	{ HIGH "03", "ot=th:7,a=1", -1, true, "ot=th:7,a=1" },
	{ HIGH "03", "a=1,ot=th:7", -1, true, "a=1,ot=th:7" },		/* not ours to move */
	{ HIGH "03", "a=1", -1, true, "a=1" },				/* no th: nobody knows what it stands for */
	{ HIGH "03", "ot=th:8,a=1", -1, true, "a=1" },			/* kept, though 7f… is below 8 */
	{ HIGH "03", "ot=th:8;rv:90000000000000,a=1", -1, true, "ot=th:8;rv:90000000000000,a=1" },
	{ HIGH "03", "ot=th:7;rv:10000000000000,a=1", -1, true, "ot=rv:10000000000000,a=1" },
	{ HIGH "02", "ot=th:8,a=1", -1, false, "ot=th:8,a=1" },
	{ HIGH "02", "ot=th:7,a=1", -1, false, "a=1" },			/* dropped, though it need not be */
	{ HIGH "03", "ot=th:zz,a=1", -1, true, "a=1" },
	{ HIGH "00", "", 0.5, false, NULL },
	{ HIGH "01", "ot=th:7,a=1", 0.5, false, "a=1" },
	{ HIGH "00", "ot=th:7,a=1", 0.75, true, "ot=th:4,a=1" },
	{ HIGH "00", "a=1,ot=rv:80000000000000;th:c", 0.5, true, "ot=th:8;rv:80000000000000,a=1" },
	{ HIGH "00", "a=1,ot=rv:7fffffffffffff", 0.5, false, "a=1,ot=rv:7fffffffffffff" },
	{ HIGH "00", "ot=rv:nonsense", 0.75, true, "ot=th:4;rv:nonsense" },
};
/* clang-format on */

START_TEST(threshold_of_a_parent_is_heeded_where_it_holds)
{
	struct rh_sampler s = sampler(RH_SAMPLER_RATIO, th_rows[_i].own < 0,
	    th_rows[_i].own < 0 ? 0.5 : th_rows[_i].own);
	struct rh_trace *t = begin(&s, th_rows[_i].parent, th_rows[_i].state);

	ck_assert_int_eq(t->head, th_rows[_i].head);
	rh_assert_slice_eq(t->tracestate, rh_slice_of(th_rows[_i].goes_on));
}
END_TEST

/* clang-format off */
#define LOW	"00-00000000000000000000000000000001-b7ad6b7169203331-"	/* its randomness: 1 */
static const struct {
	const char *parent, *state; double own; bool security; int left;
	bool head; enum rh_sampled_by by; const char *th;
} left_rows[] = {
	/* own: as above; left: by the request; head, by, th: of who works later, of ratio 0.5 */
	{ HIGH "03", "ot=th:7",  -1, false,  3, true,  RH_BY_PARENT, NULL },	/* his th is his */
	{ LOW  "01", NULL,       -1, false,  1, true,  RH_BY_PARENT, NULL },
	{ HIGH "02", NULL,       -1, false,  2, false, RH_BY_NONE,   NULL },
	{ HIGH "02", NULL,       -1, true,  11, true,  RH_BY_PARENT, "ot=th:0" },
	{ HIGH "00", NULL,      0.5, false,  0, false, RH_BY_NONE,   NULL },
	{ LOW  "02", NULL,        1, false,  7, true,  RH_BY_PARENT, NULL },	/* the ratio is another by now */
	{ "00-000000000000000000ffffffffffffff-b7ad6b7169203331-02", NULL, 0.5, false, 7, true, RH_BY_PARENT, "ot=th:8" },
	{ HIGH "02", "ot=rv:90000000000000", 0.5, false, 7, true, RH_BY_PARENT, NULL },
};
/* clang-format on */

/* Also where the sampler heeds no caller, as the second of the two here. */
START_TEST(what_a_trace_left_decides_later)
{
	struct rh_sampler s = sampler(RH_SAMPLER_RATIO, left_rows[_i].own < 0,
	    left_rows[_i].own < 0 ? 0.5 : left_rows[_i].own);
	struct rh_sampler later = sampler(RH_SAMPLER_RATIO, false, 0.5);
	struct rh_trace *t = begin(&s, left_rows[_i].parent,
	    left_rows[_i].state);
	unsigned char ids[24];

	t->kept_known = left_rows[_i].security;
	ck_assert_int_eq(rh_trace_left(t), left_rows[_i].left);
	memcpy(ids, t->trace_id, 16);
	memcpy(ids + 16, rh_trace_server(t)->id, 8);
	rh_trace_resume(t, &later, &(struct rh_trace_origin){
	    .trace_id = { (const char *)ids, 16 },
	    .span_id = { (const char *)ids + 16, 8 },
	    .left = left_rows[_i].left });
	ck_assert_mem_eq(t->trace_id, ids, 16);
	ck_assert_mem_eq(t->parent_id, ids + 16, 8);
	ck_assert_int_eq(t->flags & 2, left_rows[_i].left & 2);
	ck_assert_int_eq(t->head, left_rows[_i].head);
	ck_assert_int_eq(t->by, left_rows[_i].by);
	rh_assert_slice_eq(t->tracestate, rh_slice_of(left_rows[_i].th));
}
END_TEST

/* Rows of a release before, and of who has no trace: the id alone. */
static const unsigned char halves[] = { 0x7f, 0x80 };

START_TEST(where_nothing_is_said_the_id_decides)
{
	struct rh_sampler s = sampler(RH_SAMPLER_RATIO, true, 0.5);
	struct rh_trace *t = &trace;
	unsigned char ids[24] = { [0] = 1, [9] = halves[_i], [23] = 1 };

	t->on = true;
	rh_trace_resume(t, &s, &(struct rh_trace_origin){
	    .trace_id = { (const char *)ids, 16 },
	    .span_id = { (const char *)ids + 16, 8 },
	    .left = RH_LEFT_UNSAID });
	ck_assert_int_eq(t->by, _i ? RH_BY_RATIO : RH_BY_NONE);
	rh_assert_slice_eq(t->tracestate, rh_slice_of(_i ? "ot=th:8" : NULL));
}
END_TEST

START_TEST(whoever_is_called_after_an_error_counts_once)
{
	struct rh_sampler s = sampler(RH_SAMPLER_RATIO, true, 0.5);
	struct rh_trace *t = begin(&s, HIGH "02", "ot=th:8,a=1");

	ck_assert(rh_trace_decide(t, (struct rh_trace_facts){ .slow = true }));
	rh_assert_slice_eq(t->tracestate, RH_SLICE("ot=th:8,a=1"));
	for (int i = 0; i < 2; i++) {
		ck_assert(rh_trace_decide(t,
		    (struct rh_trace_facts){ .error = true }));
		rh_assert_slice_eq(t->tracestate, RH_SLICE("ot=th:0,a=1"));
	}
}
END_TEST

/* The flag of 01 would have him fill our collector, his ids our traces. */
static const char *const untrusted_flags[] = { "00", "01", "02", "03" };

START_TEST(parent_of_a_stranger_is_a_link)
{
	struct rh_sampler s = sampler(RH_SAMPLER_ALWAYS_OFF, true, 0);
	char text[RH_TRACEPARENT_LEN + 1] = PARENT;
	char ids[RH_TRACEPARENT_LEN], link[32];

	memcpy(text + RH_TRACEPARENT_LEN - 2, untrusted_flags[_i], 2);
	trace.on = true;
	rh_trace_begin(&trace, &s, &(struct rh_trace_caller){
	    .traceparent = rh_slice_of(text),
	    .tracestate = RH_SLICE("foo=1,ot=th:0"), .trusted = false });
	ck_assert(!trace.remote_parent && !trace.head);
	ck_assert_int_eq(trace.by, RH_BY_NONE);
	ck_assert_ptr_null(trace.tracestate.p);
	rh_traceparent_put(ids, &trace, rh_trace_server(&trace));
	ck_assert_mem_ne(ids + 3, &PARENT[3], 32);
	ck_assert_mem_eq(ids + 52, "-02", 3);
	ck_assert_mem_eq(rh_trace_server(&trace)->parent_id,
	    "\0\0\0\0\0\0\0\0", 8);
	rh_hex_put(link, trace.link_trace_id, 16);
	ck_assert_mem_eq(link, &PARENT[3], 32);
	rh_hex_put(link, trace.link_span_id, 8);
	ck_assert_mem_eq(link, &PARENT[36], 16);
	ck_assert_int_eq(trace.link_flags, untrusted_flags[_i][1] - '0');
	/* and the next request has none of it */
	begin(&s, PARENT "01", NULL);
	ck_assert_mem_eq(trace.link_span_id, "\0\0\0\0\0\0\0\0", 8);
}
END_TEST

static struct rh_ring *
new_ring(size_t size)
{
	struct rh_ring *ring = aligned_alloc(64,
	    (rh_ring_footprint(size) + 63) & ~(size_t)63);

	rh_ring_init(ring, size, RH_RING_OVERWRITE);
	return ring;
}

static bool
take(struct rh_ring *ring, struct rh_kept *kept, unsigned *items)
{
	static char bytes[65536];
	uint64_t missed;
	size_t n = rh_ring_take(ring, bytes, sizeof(bytes), items, &missed);

	return n && rh_kept_open(kept, bytes, n);
}

START_TEST(record_reads_back)
{
	struct rh_sampler s = sampler(RH_SAMPLER_ALWAYS_ON, true, 0);
	struct rh_trace *t = begin(&s, PARENT "01", "foo=1");
	struct rh_ring *ring = new_ring(16384);
	struct rh_kept_span span;
	struct rh_kept kept;
	struct rh_span *db;
	struct rh_attr attr;
	unsigned items;

	rh_trace_server(t)->name = RH_SLICE("GET /v1/me");
	rh_span_int(rh_trace_server(t), "http.response.status_code", 500);
	db = rh_span_open(t, RH_SPAN_CLIENT, RH_SLICE("me.show"));
	rh_span_text(db, "db.system.name", RH_SLICE("postgresql"));
	rh_span_text(db, "what.is.not.there", RH_SLICE_NONE);
	rh_span_fail(db, RH_SLICE("57P01"), RH_SLICE("it went away"));
	rh_span_close(t, db);
	rh_span_open(t, RH_SPAN_INTERNAL, RH_SLICE("never closed"));
	ck_assert(rh_trace_decide(t, (struct rh_trace_facts){ .error = true }));
	rh_trace_end(t, ring, true, rh_trace_now(t) + 5, RH_SLICE("req-1"),
	    RH_SLICE_NONE);

	ck_assert(take(ring, &kept, &items));
	ck_assert_uint_eq(items, 3);
	ck_assert_uint_eq(kept.head.spans, 3);
	ck_assert_uint_eq(kept.head.by, RH_BY_ERROR);
	rh_assert_slice_eq(kept.request_id, RH_SLICE("req-1"));
	rh_assert_slice_eq(kept.tracestate, RH_SLICE("ot=th:0,foo=1"));
	ck_assert_uint_eq(kept.tenant_id.n, 0);

	ck_assert(rh_kept_span(&kept, &span));
	rh_assert_slice_eq(span.name, RH_SLICE("GET /v1/me"));
	ck_assert_mem_eq(span.fixed.parent_id, t->parent_id, 8);
	ck_assert_uint_ge(span.fixed.end_ns, span.fixed.start_ns);
	ck_assert(rh_kept_attr(&span, &attr));
	ck_assert_str_eq(attr.key, "http.response.status_code");
	ck_assert(attr.is_int && attr.number == 500);
	ck_assert(!rh_kept_attr(&span, &attr));

	ck_assert(rh_kept_span(&kept, &span));
	ck_assert(span.fixed.error);
	rh_assert_slice_eq(span.error_text, RH_SLICE("it went away"));
	ck_assert(rh_kept_attr(&span, &attr) && rh_kept_attr(&span, &attr));
	ck_assert_str_eq(attr.key, "error.type");
	rh_assert_slice_eq(attr.text, RH_SLICE("57P01"));

	ck_assert(rh_kept_span(&kept, &span));
	ck_assert_uint_eq(span.fixed.end_ns, rh_trace_server(t)->end_ns);
	ck_assert(!rh_kept_span(&kept, &span));
	free(ring);
}
END_TEST

START_TEST(span_that_is_over_has_its_own_times)
{
	struct rh_sampler s = sampler(RH_SAMPLER_ALWAYS_ON, true, 0);
	struct rh_trace *t = begin(&s, NULL, NULL);
	struct rh_span *span = rh_span_past(t, RH_SPAN_CLIENT, RH_SLICE("x"),
	    t->mono_ns + 5, t->mono_ns + 12);

	ck_assert_uint_eq(rh_trace_server(t)->start_ns, t->wall_ns);
	ck_assert_uint_eq(span->start_ns, t->wall_ns + 5);
	ck_assert_uint_eq(span->end_ns, t->wall_ns + 12);
	ck_assert_mem_eq(span->parent_id, rh_trace_server(t)->id, 8);
}
END_TEST

START_TEST(unkept_trace_writes_nothing)
{
	struct rh_sampler s = sampler(RH_SAMPLER_ALWAYS_OFF, true, 0);
	struct rh_trace *t = begin(&s, NULL, NULL);
	struct rh_ring *ring = new_ring(16384);

	rh_span_close(t, rh_span_open(t, RH_SPAN_CLIENT, RH_SLICE("x")));
	ck_assert_uint_eq(rh_trace_spans(t), 2);
	rh_trace_end(t, ring, false, rh_trace_now(t), RH_SLICE_NONE,
	    RH_SLICE_NONE);
	ck_assert(!rh_ring_has(ring));
	free(ring);
}
END_TEST

START_TEST(traces_off_records_ids_alone)
{
	struct rh_sampler s = sampler(RH_SAMPLER_ALWAYS_ON, true, 0);
	struct rh_ring *ring = new_ring(16384);
	struct rh_span *span;
	char text[RH_TRACEPARENT_LEN];

	trace.on = false;
	rh_trace_begin(&trace, &s, &(struct rh_trace_caller){
	    .traceparent = RH_SLICE(PARENT "01"),
	    .tracestate = RH_SLICE("foo=1"), .trusted = true });
	span = rh_span_open(&trace, RH_SPAN_CLIENT, RH_SLICE("x"));
	rh_span_text(span, "a", RH_SLICE("b"));
	rh_span_close(&trace, span);
	ck_assert_uint_eq(rh_trace_spans(&trace), 0);
	ck_assert(!rh_trace_decide(&trace,
	    (struct rh_trace_facts){ .error = true }));
	rh_trace_end(&trace, ring, true, 1, RH_SLICE_NONE, RH_SLICE_NONE);
	ck_assert(!rh_ring_has(ring));
	rh_traceparent_put(text, &trace, span);
	ck_assert_mem_eq(text, PARENT, 36);
	ck_assert_int_eq(text[54], '1');	/* the parent's decision */
	free(ring);
}
END_TEST

START_TEST(spans_beyond_the_most_are_counted)
{
	struct rh_sampler s = sampler(RH_SAMPLER_ALWAYS_ON, true, 0);
	struct rh_trace *t = begin(&s, NULL, NULL);
	struct rh_ring *ring = new_ring(65536);
	struct rh_span *span = NULL;
	struct rh_kept kept;
	unsigned items;

	for (int i = 0; i < RH_SPANS_MAX + 9; i++)
		span = rh_span_open(t, RH_SPAN_CLIENT, RH_SLICE("x"));
	ck_assert_mem_eq(span->id, rh_trace_server(t)->id, 8);
	for (int i = 0; i < RH_ATTRS_MAX + 3; i++)
		rh_span_int(rh_trace_server(t), "n", i);
	ck_assert_uint_eq(rh_trace_server(t)->attrs_dropped, 3);
	ck_assert_uint_eq(rh_trace_spans(t), RH_SPANS_MAX + 10);
	rh_trace_end(t, ring, true, rh_trace_now(t), RH_SLICE_NONE,
	    RH_SLICE_NONE);
	ck_assert(take(ring, &kept, &items));
	ck_assert_uint_eq(items, RH_SPANS_MAX + 10);
	ck_assert_uint_eq(kept.head.spans, RH_SPANS_MAX);
	ck_assert_uint_eq(kept.head.spans_dropped, 10);
	free(ring);
}
END_TEST

/* A quarter of the smallest ring is 4 KiB: the SERVER span goes before its children. */
START_TEST(record_keeps_what_fits)
{
	struct rh_sampler s = sampler(RH_SAMPLER_ALWAYS_ON, true, 0);
	struct rh_trace *t = begin(&s, NULL, NULL);
	struct rh_ring *ring = new_ring(16384);
	static char text[1000];
	struct rh_kept_span span;
	struct rh_kept kept;
	unsigned items;

	memset(text, 'x', sizeof(text));
	rh_trace_server(t)->name = RH_SLICE("server");
	for (int i = 0; i < 9; i++)
		rh_span_text(rh_span_open(t, RH_SPAN_CLIENT, RH_SLICE("x")),
		    "text", (struct rh_slice){ text, sizeof(text) });
	rh_trace_end(t, ring, true, rh_trace_now(t), RH_SLICE_NONE,
	    RH_SLICE_NONE);
	ck_assert(take(ring, &kept, &items));
	ck_assert_uint_eq(items, 10);
	ck_assert_uint_eq(kept.head.spans, 4);
	ck_assert_uint_eq(kept.head.spans_dropped, 6);
	ck_assert(rh_kept_span(&kept, &span));
	rh_assert_slice_eq(span.name, RH_SLICE("server"));
	free(ring);
}
END_TEST

START_TEST(long_texts_are_cut_at_a_character)
{
	struct rh_sampler s = sampler(RH_SAMPLER_ALWAYS_ON, true, 0);
	struct rh_trace *t = begin(&s, NULL, NULL);
	struct rh_ring *ring = new_ring(65536);
	static char text[2 * RH_RECORD_TEXT_MAX];
	struct rh_kept_span span;
	struct rh_kept kept;
	struct rh_attr attr;
	unsigned items;

	text[0] = 'x';
	for (size_t i = 1; i + 1 < sizeof(text); i += 2)
		memcpy(text + i, "\303\251", 2);
	rh_span_text(rh_trace_server(t), "text",
	    (struct rh_slice){ text, sizeof(text) - 1 });
	rh_trace_end(t, ring, true, rh_trace_now(t), RH_SLICE_NONE,
	    RH_SLICE_NONE);
	ck_assert(take(ring, &kept, &items));
	ck_assert(rh_kept_span(&kept, &span) && rh_kept_attr(&span, &attr));
	ck_assert_uint_eq(attr.text.n, RH_RECORD_TEXT_MAX - 1);
	ck_assert(rh_utf8_is(attr.text));
	free(ring);
}
END_TEST

/* Whatever a ring holds: a reader walks it to an end, inside its bytes. */
START_TEST(broken_records_end_the_walk)
{
	struct rh_sampler s = sampler(RH_SAMPLER_ALWAYS_ON, true, 0);
	struct rh_trace *t = begin(&s, PARENT "01", "foo=1");
	struct rh_ring *ring = new_ring(16384);
	static char bytes[4096];
	uint64_t missed, seed = 3;
	unsigned items;
	size_t n;

	rh_span_text(rh_trace_server(t), "a", RH_SLICE("b"));
	rh_span_int(rh_span_open(t, RH_SPAN_CLIENT, RH_SLICE("x")), "c", 1);
	rh_trace_end(t, ring, true, rh_trace_now(t), RH_SLICE("request"),
	    RH_SLICE("tenant"));
	n = rh_ring_take(ring, bytes, sizeof(bytes), &items, &missed);
	ck_assert_uint_gt(n, 0);
	for (int i = 0; i < 20000; i++) {
		size_t cut = i < (int)n ? (size_t)i : n;
		char *copy = malloc(cut + 1);
		struct rh_kept_span span;
		struct rh_kept kept;
		struct rh_attr attr;

		memcpy(copy, bytes, cut);
		if (cut == n)
			copy[splitmix(&seed) % n] = (char)splitmix(&seed);
		if (rh_kept_open(&kept, copy, cut))
			while (rh_kept_span(&kept, &span))
				while (rh_kept_attr(&span, &attr))
					ck_assert_uint_lt(strlen(attr.key), n);
		free(copy);
	}
	free(ring);
}
END_TEST

RH_CHECK_MAIN("obs/trace",
    RH_LOOP(ratio_keeps_its_share, ratios),
    RH_CASE(larger_ratio_keeps_what_a_smaller_one_does),
    RH_LOOP(low_56_bits_are_held_against_the_threshold, thresholds),
    RH_LOOP(trace_is_kept_by_the_rule, rules),
    RH_CASE(later_facts_do_not_take_a_decision_back),
    RH_CASE(trace_goes_on_under_an_id_of_ours),
    RH_CASE(new_trace_is_random_and_takes_no_tracestate),
    RH_CASE(bad_tracestate_goes_and_the_trace_stays),
    RH_CASE(head_sampled_says_its_threshold),
    RH_LOOP(threshold_of_a_parent_is_heeded_where_it_holds, th_rows),
    RH_LOOP(what_a_trace_left_decides_later, left_rows),
    RH_LOOP(where_nothing_is_said_the_id_decides, halves),
    RH_CASE(whoever_is_called_after_an_error_counts_once),
    RH_LOOP(parent_of_a_stranger_is_a_link, untrusted_flags),
    RH_CASE(record_reads_back),
    RH_CASE(span_that_is_over_has_its_own_times),
    RH_CASE(unkept_trace_writes_nothing),
    RH_CASE(traces_off_records_ids_alone),
    RH_CASE(spans_beyond_the_most_are_counted),
    RH_CASE(record_keeps_what_fits),
    RH_CASE(long_texts_are_cut_at_a_character),
    RH_CASE(broken_records_end_the_walk))
