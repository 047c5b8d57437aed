/* tests/lib/obs/check_history.c - what was counted is told once, by the sample it fell into. */
#include "config.h"

#include "obs/history.h"

#include <pthread.h>
#include <stdatomic.h>

#include "obs/history_file.h"
#include "scratch.h"

#define S	INT64_C(1000000)
#define ROUTES	40
#define TENANTS	201
#define KINDS	3
#define START	(INT64_C(1800000000) * S)

static const unsigned sizes[RH_PAST_LISTS] = {
	[RH_PAST_ROUTES] = ROUTES, [RH_PAST_TENANTS] = TENANTS,
	[RH_PAST_KINDS] = KINDS,
};

struct pool {
	const char *path;
	struct rh_segment_spec spec;
	struct rh_area areas[2];
	struct rh_segment *segment;
	struct rh_history *history;
	struct rh_past_counts counts;
};

static void
open_pool(struct pool *p)
{
	struct rh_buf *why = scratch_buf();

	ck_assert_msg(rh_segment_create(&p->segment, p->path, &p->spec, why),
	    "%s", scratch_text(why));
	p->history = rh_history_open(p->segment, sizes, rh_check_arena());
}

static struct pool *
pool_of(size_t bytes)
{
	struct pool *p = RH_NEW(rh_check_arena(), struct pool);
	struct rh_metrics *m = rh_metrics_new(rh_check_arena());

	rh_metrics_family(m, &(struct rh_family_spec){ .kind = RH_M_COUNTER,
	    .name = "n_total", .help = "h", .dim_a = -1, .dim_b = -1 });
	p->path = scratch_open();
	p->areas[0] = (struct rh_area){ RH_HISTORY_AREA,
		rh_history_bytes(bytes, sizes), true, 0 };
	p->spec = (struct rh_segment_spec){ .pool = "fcgi", .service = "s",
	    .version = "1", .revision = "r", .slots = 1, .metrics = m,
	    .areas = p->areas };
	for (int l = 0; l < RH_PAST_LISTS; l++) {
		p->counts.n[l] = sizes[l];
		p->counts.rows[l] = rh_arena_zalloc(rh_check_arena(),
		    sizes[l] + 1, sizeof(*p->counts.rows[l]));
	}
	open_pool(p);
	return p;
}

static void
count(struct pool *p, unsigned n)
{
	struct rh_past_row *routes = p->counts.rows[RH_PAST_ROUTES];
	struct rh_past_row *tenants = p->counts.rows[RH_PAST_TENANTS];

	for (unsigned i = 0; i < ROUTES; i += 3) {
		routes[i].buckets[i % (RH_BUCKETS + 1)] += n;
		routes[i].errors += n / 2;
	}
	tenants[7].buckets[3] += n * 200;
	tenants[7].buckets[RH_BUCKETS] += n * 100;
	tenants[200].buckets[0] += n;
	tenants[200].errors += 1;
	p->counts.rows[RH_PAST_KINDS][2].buckets[1] += n;
	p->counts.rows[RH_PAST_KINDS][2].again += n / 4;
}

struct sums {
	unsigned samples;
	int64_t from_us, to_us, span_us;
	uint64_t requests, errors, tenants, bucket9, jobs, again;
	uint32_t busy, queue, oldest_s;
};

static struct sums
read_all(const struct rh_segment *s, enum rh_history_step step)
{
	struct rh_arena *arena = rh_arena_new(1 << 20, 64 << 20);
	struct rh_history_reader *r = rh_history_read(s, step, arena);
	struct rh_past_sample sample;
	struct sums sums = { 0 };

	ck_assert_ptr_nonnull(r);
	while (rh_history_next(r, &sample)) {
		if (sums.samples++ == 0)
			sums.from_us = sample.at_us - sample.span_us;
		sums.to_us = sample.at_us;
		sums.span_us += sample.span_us;
		for (unsigned i = 0; i < sample.counts.n[RH_PAST_ROUTES]; i++) {
			const struct rh_past_row *row =
			    &sample.counts.rows[RH_PAST_ROUTES][i];

			sums.errors += row->errors;
			sums.requests += rh_past_row_sum(row);
			sums.bucket9 += row->buckets[9];
		}
		for (unsigned i = 0; i < sample.counts.n[RH_PAST_TENANTS]; i++)
			sums.tenants += rh_past_row_sum(
			    &sample.counts.rows[RH_PAST_TENANTS][i]);
		for (unsigned i = 0; i < sample.counts.n[RH_PAST_KINDS]; i++) {
			const struct rh_past_row *row =
			    &sample.counts.rows[RH_PAST_KINDS][i];

			sums.jobs += rh_past_row_sum(row);
			sums.again += row->again;
		}
		sums.busy = RH_MAX(sums.busy, sample.counts.gauges.busy);
		sums.queue = RH_MAX(sums.queue, sample.counts.gauges.queue);
		sums.oldest_s = RH_MAX(sums.oldest_s,
		    sample.counts.gauges.jobs_oldest_s);
	}
	rh_arena_destroy(&arena);
	return sums;
}

static void
run(struct pool *p, int64_t from_s, int64_t to_s)
{
	for (int64_t t = from_s; t <= to_s; t++) {
		if (!rh_history_is_due(p->history, START + t * S)) {
			rh_history_look(p->history, &p->counts.gauges);
			continue;
		}
		rh_history_take(p->history, START + t * S, &p->counts);
		count(p, 4);
	}
}

START_TEST(all_that_was_counted_is_in_the_samples)
{
	struct pool *p = pool_of(4 << 20);
	struct sums fine, coarse;

	run(p, 0, 600);
	fine = read_all(p->segment, RH_HISTORY_FINE);
	coarse = read_all(p->segment, RH_HISTORY_COARSE);
	ck_assert_uint_eq(fine.samples, 120);
	ck_assert_uint_eq(coarse.samples, 10);
	ck_assert_int_eq(fine.from_us, START);
	ck_assert_int_eq(fine.to_us, START + 600 * S);
	ck_assert_int_eq(fine.span_us, 600 * S);
	ck_assert_uint_eq(fine.requests, 120 * 4 * 14);
	ck_assert_uint_eq(fine.errors, 120 * 2 * 14);
	ck_assert_uint_eq(fine.bucket9, 120 * 4 * 3);
	ck_assert_uint_eq(fine.tenants, 120 * 4 * 301);
	ck_assert_uint_eq(fine.jobs, 120 * 4);
	ck_assert_uint_eq(fine.again, 120);
	ck_assert_uint_eq(coarse.jobs, fine.jobs);
	ck_assert_uint_eq(coarse.requests, fine.requests);
	ck_assert_uint_eq(coarse.tenants, fine.tenants);
	rh_segment_close(&p->segment);
}
END_TEST

START_TEST(gauges_are_the_most_that_a_look_found)
{
	struct pool *p = pool_of(1 << 20);

	run(p, 0, 11);
	p->counts.gauges.busy = 7;
	p->counts.gauges.queue = 3;
	p->counts.gauges.jobs_oldest_s = 9;
	rh_history_look(p->history, &p->counts.gauges);
	p->counts.gauges = (struct rh_past_gauges){ .busy = 1 };
	run(p, 12, 30);
	ck_assert_uint_eq(read_all(p->segment, RH_HISTORY_FINE).busy, 7);
	ck_assert_uint_eq(read_all(p->segment, RH_HISTORY_FINE).queue, 3);
	ck_assert_uint_eq(read_all(p->segment, RH_HISTORY_FINE).oldest_s, 9);
	rh_segment_close(&p->segment);
}
END_TEST

START_TEST(it_goes_on_when_the_pool_starts_again)
{
	struct pool *p = pool_of(1 << 20);
	struct sums sums;

	run(p, 0, 60);
	rh_segment_close(&p->segment);
	open_pool(p);
	/* nobody was there for an hour */
	run(p, 3660, 3720);
	sums = read_all(p->segment, RH_HISTORY_FINE);
	ck_assert_int_eq(sums.from_us, START);
	ck_assert_int_eq(sums.span_us, 3720 * S);
	ck_assert_uint_eq(sums.requests, (12 + 13) * 4 * 14);
	rh_segment_close(&p->segment);
}
END_TEST

START_TEST(the_oldest_go_where_there_is_no_room)
{
	struct pool *p = pool_of(1);
	struct sums sums;

	run(p, 0, 7200);
	sums = read_all(p->segment, RH_HISTORY_FINE);
	ck_assert_uint_gt(sums.samples, 5);
	ck_assert_uint_lt(sums.samples, 720);
	ck_assert_int_eq(sums.to_us, START + 7200 * S);
	ck_assert_uint_eq(sums.requests, sums.samples * 4 * 14);
	rh_segment_close(&p->segment);
}
END_TEST

START_TEST(a_clock_that_is_turned_back_starts_anew)
{
	struct pool *p = pool_of(1 << 20);

	run(p, 1000, 1060);
	run(p, 0, 60);
	ck_assert_int_eq(read_all(p->segment, RH_HISTORY_FINE).to_us,
	    START + 60 * S);
	rh_segment_close(&p->segment);
}
END_TEST

struct reading {
	const struct rh_segment *segment;
	_Atomic bool done;
	_Atomic unsigned looks, odd;
};

/* Each sample says 4 of each: one that is torn does not. */
static void *
reads(void *self)
{
	struct reading *r = self;

	while (!r->done) {
		struct rh_arena *arena = rh_arena_new(1 << 20, 64 << 20);
		struct rh_history_reader *reader = rh_history_read(r->segment,
		    RH_HISTORY_FINE, arena);
		struct rh_past_sample s;

		while (reader && rh_history_next(reader, &s))
			r->odd += s.counts.rows[RH_PAST_ROUTES][39].buckets[39 % 15] != 4 ||
			    s.counts.rows[RH_PAST_TENANTS][200].errors != 1;
		r->looks++;
		rh_arena_destroy(&arena);
	}
	return NULL;
}

START_TEST(nothing_is_torn_while_it_is_written)
{
	struct pool *p = pool_of(1);
	struct reading r = { .segment = p->segment };
	pthread_t thread;
	int64_t t = 0;

	ck_assert_int_eq(pthread_create(&thread, NULL, reads, &r), 0);
	while (t < 200000 || r.looks < 100) {
		run(p, t, t + 5000);
		t += 5001;
	}
	r.done = true;
	pthread_join(thread, NULL);
	ck_assert_uint_eq(r.odd, 0);
	rh_segment_close(&p->segment);
}
END_TEST

START_TEST(rubbish_is_survived)
{
	struct pool *p = pool_of(1);
	size_t bytes = rh_segment_area_bytes(p->segment, RH_HISTORY_AREA);
	unsigned char *area;

	srand(1);
	run(p, 0, 600);
	area = rh_segment_area(p->segment, RH_HISTORY_AREA);
	for (int i = 0; i < 3000; i++) {
		struct rh_arena *arena = rh_arena_new(1 << 20, 64 << 20);
		struct rh_history_reader *r;
		struct rh_past_sample s;

		area[(size_t)rand() % bytes] = (unsigned char)rand();
		if (i % 3 == 0)
			area[(size_t)rand() % sizeof(struct rh_ring)] =
			    (unsigned char)rand();
		r = rh_history_read(p->segment,
		    (enum rh_history_step)(i % 2), arena);
		while (r && rh_history_next(r, &s))
			ck_assert_int_gt(s.span_us, 0);
		rh_arena_destroy(&arena);
	}
	/* and the next pool makes it whole */
	rh_segment_close(&p->segment);
	open_pool(p);
	run(p, 100000, 100060);
	ck_assert_uint_ge(read_all(p->segment, RH_HISTORY_FINE).samples, 11);
	rh_segment_close(&p->segment);
}
END_TEST

RH_CHECK_MAIN("obs/history",
    RH_CASE(all_that_was_counted_is_in_the_samples),
    RH_CASE(gauges_are_the_most_that_a_look_found),
    RH_CASE(it_goes_on_when_the_pool_starts_again),
    RH_CASE(the_oldest_go_where_there_is_no_room),
    RH_CASE(a_clock_that_is_turned_back_starts_anew),
    RH_CASE(nothing_is_torn_while_it_is_written),
    RH_CASE(rubbish_is_survived))
