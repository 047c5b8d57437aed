/* tests/lib/obs/check_past.c - what is remembered comes back whole, or not at all. */
#include "config.h"

#include "obs/past.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/text.h"
#include "obs/metric_read.h"
#include "scratch.h"

#define RING	16384

static struct rh_segment *
segment_of(unsigned slots)
{
	struct rh_metrics *m = rh_metrics_new(rh_check_arena());
	struct rh_segment_spec spec = { .pool = "fcgi", .service = "s",
	    .version = "1", .revision = "r", .slots = slots, .metrics = m,
	    .log_ring_bytes = 4096, .span_ring_bytes = RING,
	    .request_ring_bytes = RING, .trace_ring_bytes = RING };
	struct rh_buf *why = scratch_buf();
	struct rh_segment *s = NULL;

	rh_metrics_family(m, &(struct rh_family_spec){ .kind = RH_M_COUNTER,
	    .name = "n_total", .help = "h", .dim_a = -1, .dim_b = -1 });
	ck_assert_msg(rh_segment_create(&s, scratch_open(), &spec, why), "%s",
	    scratch_text(why));
	return s;
}

/* All that it says follows from its number. */
static struct rh_request
numbered(uint64_t n, char id[24])
{
	struct rh_request rq = { .f = { .status = (uint16_t)(n % 10 ? 200 : 503),
	    .start_us = (int64_t)(1000000 + n), .ns = n * 1000, .pg_ns = n,
	    .bytes_in = n, .bytes_out = n, .series = (uint32_t)n } };

	memcpy(rq.f.trace_id, &n, sizeof(n));
	memcpy(rq.f.span_id, &n, sizeof(n));
	snprintf(id, 24, "request-%010llu", (unsigned long long)n);
	rq.text[RH_RQ_ID] = rh_slice_of(id);
	rq.text[RH_RQ_METHOD] = n % 2 ? RH_SLICE("GET") : RH_SLICE("POST");
	rq.text[RH_RQ_ROUTE] = n % 3 ? RH_SLICE("/a/{b}") : RH_SLICE_NONE;
	rq.text[RH_RQ_TENANT] = n % 5 ? RH_SLICE("acme") : RH_SLICE("globex");
	rq.text[RH_RQ_PATH] = (struct rh_slice){ "/aaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		1 + n % 28 };
	return rq;
}

static void
put(struct rh_ring *ring, uint64_t n)
{
	char id[24];
	struct rh_request rq = numbered(n, id);
	size_t bytes = rh_request_measure(&rq);
	char *to = rh_ring_reserve(ring, bytes);

	ck_assert_ptr_nonnull(to);
	rh_request_put(to, &rq);
	rh_ring_commit(ring, bytes, 1);
}

static void
is_whole(const struct rh_request *rq)
{
	uint64_t n = rq->f.bytes_in;
	char id[24];
	struct rh_request want = numbered(n, id);

	ck_assert_uint_eq(rq->f.ns, n * 1000);
	ck_assert_uint_eq(rq->f.pg_ns, n);
	ck_assert_uint_eq(rq->f.bytes_out, n);
	ck_assert_uint_eq(rq->f.status, want.f.status);
	ck_assert_mem_eq(rq->f.span_id, want.f.span_id, 8);
	for (unsigned i = 0; i < RH_RQ_TEXTS; i++)
		ck_assert_msg(rh_slice_is(rq->text[i], want.text[i]),
		    "%llu: text %u", (unsigned long long)n, i);
}

static struct rh_past_list
listed(const struct rh_segment *s, struct rh_past_filter filter)
{
	struct rh_past_list list;

	if (!filter.most)
		filter.most = 1000;
	rh_past_list(&list, s, &filter, rh_check_arena());
	return list;
}

START_TEST(a_record_comes_back_as_it_was)
{
	struct rh_segment *s = segment_of(3);
	struct rh_past_list list;

	for (uint64_t n = 1; n <= 20; n++)
		put(rh_segment_requests(s, (unsigned)n % 3), n);
	list = listed(s, (struct rh_past_filter){ .most = 0 });
	ck_assert_uint_eq(list.n, 20);
	ck_assert_uint_eq(list.seen, 20);
	ck_assert_int_eq(list.oldest_us, 1000001);
	ck_assert_int_eq(list.whole_us, 0);
	for (size_t i = 0; i < list.n; i++) {
		is_whole(&list.rows[i]);
		ck_assert_uint_eq(list.rows[i].f.bytes_in, 20 - i);
	}
	rh_segment_close(&s);
}
END_TEST

START_TEST(the_newest_stay_where_a_ring_comes_round)
{
	struct rh_segment *s = segment_of(1);
	struct rh_past_list list;

	for (uint64_t n = 1; n <= 5000; n++)
		put(rh_segment_requests(s, 0), n);
	list = listed(s, (struct rh_past_filter){ .most = 0 });
	ck_assert_uint_gt(list.n, 20);
	ck_assert_uint_lt(list.n, RING / sizeof(struct rh_request_fixed));
	for (size_t i = 0; i < list.n; i++) {
		is_whole(&list.rows[i]);
		ck_assert_uint_eq(list.rows[i].f.bytes_in, 5000 - i);
	}
	ck_assert_int_eq(list.whole_us, list.rows[list.n - 1].f.start_us);
	ck_assert_int_eq(list.oldest_us, list.whole_us);
	rh_segment_close(&s);
}
END_TEST

/* Of 60: 503 is each tenth, globex each fifth, no route each third. */
static const struct {
	struct rh_past_filter filter;
	size_t n;
} filters[] = {
	{ { .status_min = 500, .status_max = 599 }, 6 },
	{ { .status_min = 200, .status_max = 200 }, 54 },
	{ { .status_min = 500 }, 6 },
	{ { .tenant = RH_SLICE_INIT("globex") }, 12 },
	{ { .tenant = RH_SLICE_INIT("glob") }, 0 },
	{ { .method = RH_SLICE_INIT("GET") }, 30 },
	{ { .route = RH_SLICE_INIT("/a/{b}") }, 40 },
	{ { .route = RH_SLICE_INIT("unmatched") }, 20 },
	{ { .min_ns = 50000 }, 11 },
	{ { .tenant = RH_SLICE_INIT("globex"), .method = RH_SLICE_INIT("GET") }, 6 },
};

START_TEST(a_filter_says_which)
{
	struct rh_segment *s = segment_of(2);
	struct rh_past_list list;

	for (uint64_t n = 1; n <= 60; n++)
		put(rh_segment_requests(s, (unsigned)n % 2), n);
	list = listed(s, filters[_i].filter);
	ck_assert_uint_eq(list.n, filters[_i].n);
	ck_assert_uint_eq(list.matched, filters[_i].n);
	rh_segment_close(&s);
}
END_TEST

START_TEST(one_kept_apart_is_listed_once_and_for_longer)
{
	struct rh_segment *s = segment_of(2);
	struct rh_past_found found;
	struct rh_past_list list;

	put(rh_segment_requests(s, 1), 10);
	put(rh_segment_traces(s, 1), 10);
	list = listed(s, (struct rh_past_filter){ .status_min = 503 });
	ck_assert_uint_eq(list.n, 1);
	for (uint64_t n = 1001; n < 4000; n++)
		put(rh_segment_requests(s, 1), n);
	list = listed(s, (struct rh_past_filter){ .status_min = 503,
	    .most = 1000 });
	ck_assert_uint_eq(list.rows[list.n - 1].f.bytes_in, 10);
	is_whole(&list.rows[list.n - 1]);
	ck_assert(rh_past_find(&found, s, RH_SLICE("request-0000000010"),
	    rh_check_arena()));
	is_whole(found.request);
	ck_assert(!rh_past_find(&found, s, RH_SLICE("request-0000001001"),
	    rh_check_arena()));
	rh_segment_close(&s);
}
END_TEST

struct writer {
	struct rh_ring *ring;
	_Atomic bool done;
	_Atomic uint64_t n;
};

static void *
writes(void *self)
{
	struct writer *w = self;

	while (!w->done)
		put(w->ring, ++w->n);
	return NULL;
}

START_TEST(nothing_is_torn_while_it_is_written)
{
	struct rh_segment *s = segment_of(2);
	struct writer w = { .ring = rh_segment_requests(s, 1) };
	uint64_t seen = 0;
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, writes, &w), 0);
	while (seen < 20000 || w.n < 100000) {
		struct rh_arena *arena = rh_arena_new(1 << 20, 64 << 20);
		struct rh_past_filter all = { .most = 50 };
		struct rh_past_list list;

		rh_past_list(&list, s, &all, arena);
		for (size_t i = 0; i < list.n; i++)
			is_whole(&list.rows[i]);
		seen += list.seen;
		rh_arena_destroy(&arena);
	}
	w.done = true;
	pthread_join(thread, NULL);
	rh_segment_close(&s);
}
END_TEST

START_TEST(a_record_that_is_none_is_refused)
{
	char id[24], bytes[1024];
	struct rh_request rq = numbered(7, id), got;
	size_t n = rh_request_measure(&rq);

	rh_request_put(bytes, &rq);
	ck_assert(rh_request_get(&got, bytes, n));
	is_whole(&got);
	for (size_t cut = 0; cut < n; cut++)
		ck_assert(!rh_request_get(&got, bytes, cut));
	bytes[0] ^= 1;
	ck_assert(!rh_request_get(&got, bytes, n));
	bytes[0] ^= 1;
	memset(bytes + offsetof(struct rh_request_fixed, text_n), 0xff, 2);
	ck_assert(!rh_request_get(&got, bytes, n));
}
END_TEST

START_TEST(a_long_text_is_cut_at_a_character)
{
	char id[24], path[600], bytes[2048];
	struct rh_request rq = numbered(7, id), got;

	/* two bytes each, from an odd place on: the bound lies within one */
	path[0] = '/';
	for (size_t i = 1; i + 1 < sizeof(path); i += 2)
		memcpy(path + i, "\xc3\xa9", 2);
	rq.text[RH_RQ_PATH] = (struct rh_slice){ path, sizeof(path) - 1 };
	ck_assert_uint_le(rh_request_measure(&rq), sizeof(bytes));
	rh_request_put(bytes, &rq);
	ck_assert(rh_request_get(&got, bytes, sizeof(bytes)));
	ck_assert_uint_eq(got.text[RH_RQ_PATH].n, 511);
	ck_assert(rh_utf8_is(got.text[RH_RQ_PATH]));
}
END_TEST

/* ---- legs ---- */

static const unsigned char trace_id[16] = "one trace of us";

/* A record of two spans: a root of that kind, and its child. */
static void
put_spans(struct rh_ring *ring, enum rh_span_kind kind, uint8_t id,
    uint8_t parent, uint64_t start_ms)
{
	struct rh_trace *t = RH_NEW(rh_check_arena(), struct rh_trace);
	uint64_t start_ns = start_ms * 1000000;

	*t = (struct rh_trace){ .on = true, .by = RH_BY_ERROR, .nspans = 2 };
	memcpy(t->trace_id, trace_id, 16);
	t->spans[0] = (struct rh_span){ .id = { id }, .parent_id = { parent },
		.kind = kind, .name = RH_SLICE("root"), .start_ns = start_ns };
	t->spans[1] = (struct rh_span){ .id = { id, 1 }, .parent_id = { id },
		.kind = RH_SPAN_CLIENT, .name = RH_SLICE("child"),
		.start_ns = start_ns + 1000, .end_ns = start_ns + 2000 };
	rh_trace_end(t, ring, true, start_ns + 5000000, RH_SLICE("the-request"),
	    RH_SLICE_NONE);
}

static void
put_note(struct rh_ring *ring, enum rh_work what, uint8_t id, uint64_t start_ms,
    unsigned attempt)
{
	struct rh_request rq = { .f = { .what = (uint8_t)what,
	    .attempt = (uint16_t)attempt, .start_us = (int64_t)start_ms * 1000,
	    .ns = 5000000, .span_id = { id } } };

	memcpy(rq.f.trace_id, trace_id, 16);
	rq.text[RH_RQ_ID] = RH_SLICE("the-request");
	rq.text[RH_RQ_PATH] = what == RH_WORK_REQUEST ? RH_SLICE("/") :
	    RH_SLICE("the-job");
	rh_request_leave(ring, &rq);
}

/* A request that was not kept left a job, which failed, and was tried again. */
static struct rh_past_found
found_of(struct rh_segment *s, struct rh_slice id)
{
	struct rh_past_found found;

	put_note(rh_segment_requests(s, 1), RH_WORK_REQUEST, 10, 1000, 0);
	put_spans(rh_segment_spans(s, 2), RH_SPAN_CONSUMER, 20, 10, 2000);
	put_spans(rh_segment_traces(s, 2), RH_SPAN_CONSUMER, 20, 10, 2000);
	put_note(rh_segment_requests(s, 2), RH_WORK_JOB, 20, 2000, 1);
	put_note(rh_segment_traces(s, 2), RH_WORK_JOB, 20, 2000, 1);
	put_note(rh_segment_requests(s, 1), RH_WORK_JOB, 30, 3000, 2);
	put_spans(rh_segment_spans(s, 0), RH_SPAN_CLIENT, 40, 20, 4000);
	ck_assert(rh_past_find(&found, s, id, rh_check_arena()));
	return found;
}

static const struct rh_slice ids[] = {
	RH_SLICE_INIT("the-request"), RH_SLICE_INIT("the-job"),
	RH_SLICE_INIT("6f6e65207472616365206f6620757300"),
};

START_TEST(what_it_left_is_told_with_a_request)
{
	struct rh_segment *s = segment_of(3);
	struct rh_past_found f = found_of(s, ids[_i]);
	static const struct {
		enum rh_work what;
		unsigned slot, nspans, depth, attempt;
	} want[] = {
		{ RH_WORK_REQUEST, 1, 0, 0, 0 }, { RH_WORK_JOB, 2, 2, 1, 1 },
		{ RH_WORK_JOB, 1, 0, 1, 2 }, { RH_WORK_WEBHOOK, 0, 2, 2, 0 },
	};

	ck_assert_int_eq(f.request->f.what, RH_WORK_REQUEST);
	ck_assert_uint_eq(f.nrequests, 3);
	ck_assert_uint_eq(f.nparts, 2);
	ck_assert_uint_eq(f.nlegs, RH_COUNT(want));
	for (size_t i = 0; i < f.nlegs; i++) {
		const struct rh_past_leg *leg = &f.legs[i];

		ck_assert_int_eq(leg->what, want[i].what);
		ck_assert_uint_eq(leg->slot, want[i].slot);
		ck_assert_uint_eq(leg->nspans, want[i].nspans);
		ck_assert_uint_eq(leg->depth, want[i].depth);
		ck_assert_uint_eq(leg->start_ns, (i + 1) * 1000000000);
		ck_assert_uint_eq(leg->end_ns - leg->start_ns, 5000000);
		ck_assert_uint_eq(leg->note ? leg->note->f.attempt : 0,
		    want[i].attempt);
		for (size_t k = 0; k < leg->nspans; k++) {
			ck_assert_uint_eq(leg->spans[k].leg, i);
			ck_assert_uint_eq(leg->spans[k].depth,
			    want[i].depth + k);
		}
	}
	rh_segment_close(&s);
}
END_TEST

START_TEST(a_list_is_of_one_kind_of_work)
{
	struct rh_segment *s = segment_of(3);

	(void)found_of(s, ids[0]);
	ck_assert_uint_eq(listed(s, (struct rh_past_filter){ .most = 9 }).n, 1);
	ck_assert_uint_eq(listed(s, (struct rh_past_filter){
	    .what = RH_WORK_JOB }).n, 2);
	ck_assert_uint_eq(listed(s, (struct rh_past_filter){
	    .any = true }).n, 3);
	rh_segment_close(&s);
}
END_TEST

/* Its spans alone tell of a job of which all else is overwritten. */
START_TEST(a_job_is_made_up_of_its_spans)
{
	struct rh_segment *s = segment_of(2);
	struct rh_past_found f;

	put_spans(rh_segment_traces(s, 1), RH_SPAN_CONSUMER, 20, 10, 2000);
	ck_assert(rh_past_find(&f, s, ids[0], rh_check_arena()));
	ck_assert(f.is_made_up);
	ck_assert_int_eq(f.request->f.what, RH_WORK_JOB);
	ck_assert_uint_eq(f.nlegs, 1);
	ck_assert_ptr_eq(f.legs[0].note, f.request);
	rh_segment_close(&s);
}
END_TEST

/* ---- quantiles ---- */

START_TEST(quantiles_lie_within_their_bucket)
{
	uint64_t b[RH_BUCKETS + 1] = { 0 };

	ck_assert_uint_eq(rh_quantile_ns(b, 0.5), 0);
	b[1] = 100;	/* over 0.5 ms up to 1 ms */
	ck_assert_uint_eq(rh_quantile_ns(b, 0.5), 750000);
	ck_assert_uint_eq(rh_quantile_ns(b, 1), 1000000);
	b[RH_BUCKETS] = 100;
	ck_assert_uint_eq(rh_quantile_ns(b, 0.99), rh_bucket_ns[RH_BUCKETS - 1]);
	ck_assert(rh_share_below(b, 750000) == 0.25);
	ck_assert(rh_share_below(b, UINT64_C(20000000000)) == 0.5);
}
END_TEST

RH_CHECK_MAIN("obs/past",
    RH_CASE(a_record_comes_back_as_it_was),
    RH_CASE(the_newest_stay_where_a_ring_comes_round),
    RH_LOOP(a_filter_says_which, filters),
    RH_CASE(one_kept_apart_is_listed_once_and_for_longer),
    RH_CASE(nothing_is_torn_while_it_is_written),
    RH_CASE(a_record_that_is_none_is_refused),
    RH_CASE(a_long_text_is_cut_at_a_character),
    RH_LOOP(what_it_left_is_told_with_a_request, ids),
    RH_CASE(a_list_is_of_one_kind_of_work),
    RH_CASE(a_job_is_made_up_of_its_spans),
    RH_CASE(quantiles_lie_within_their_bucket))
