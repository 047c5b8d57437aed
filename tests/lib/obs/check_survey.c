/* tests/lib/obs/check_survey.c - series that nobody counted in stay no memory. */
#include "config.h"

#include "obs/segment_file.h"

#include <sys/stat.h>

#include "obs/metric.h"
#include "obs/metric_read.h"
#include "scratch.h"

#define SLOTS	5
#define ROUTES	400	/* of 16 cells: 12 pages, and series over their edges */

static struct rh_metrics *metrics;
static struct rh_family durations;

static void
describe(void)
{
	int route, status;

	metrics = rh_metrics_new(rh_check_arena());
	route = rh_metrics_dim(metrics, "route", 0);
	status = rh_metrics_dim(metrics, "status", 0);
	for (int i = 0; i < ROUTES; i++)
		rh_metrics_value(metrics, route, (const char *const[]){
		    rh_arena_printf(rh_check_arena(), "/%d", i) });
	for (int i = 0; i < 3; i++)
		rh_metrics_value(metrics, status, (const char *const[]){
		    rh_arena_printf(rh_check_arena(), "%d", 200 + i) });
	/* an odd one, so that the series behind it are not aligned */
	(void)rh_metrics_family(metrics, &(struct rh_family_spec){
	    RH_M_COUNTER, RH_M_SPARSE, "requests_total", "n", status, -1 });
	durations = rh_metrics_family(metrics, &(struct rh_family_spec){
	    RH_M_HISTOGRAM, RH_M_SPARSE | RH_M_EXEMPLARS, "seconds", "s",
	    route, -1 });
}

static struct rh_segment *
make(const char *path)
{
	struct rh_buf *why = scratch_buf();
	struct rh_segment *s;
	struct rh_segment_spec spec = { .pool = "fcgi", .service = "s",
	    .version = "1", .revision = "r", .slots = SLOTS,
	    .log_ring_bytes = 16384, .span_ring_bytes = 16384 };

	describe();
	spec.metrics = metrics;
	ck_assert_msg(rh_segment_create(&s, path, &spec, why), "%s",
	    scratch_text(why));
	return s;
}

static struct rh_segment *
look(const char *path)
{
	struct rh_buf *why = scratch_buf();
	struct rh_segment *s;

	ck_assert_msg(rh_segment_open(&s, path, why), "%s", scratch_text(why));
	return s;
}

static const char *
exposed(const struct rh_segment *s, enum rh_exposition format)
{
	struct rh_buf *b = scratch_buf();

	rh_metrics_expose(b, s, format);
	ck_assert(!b->full);
	return scratch_text(b);
}

static void
observe(const struct rh_segment *s, unsigned slot, unsigned route, uint64_t ns)
{
	static const unsigned char id[16] = { 1 };
	struct rh_tally tally;

	rh_tally_bind(&tally, metrics, s, slot);
	rh_observe(&tally, durations, route, 0, ns,
	    &(struct rh_exemplar_of){ id, 1 });
}

/* Series by series, of a reader that looked before. */
static uint64_t
observed(const struct rh_segment *s, unsigned route)
{
	uint64_t cells[RH_METRIC_CELLS], n = 0;

	ck_assert(rh_metric_sum(s, rh_metric_find(s, "seconds"), route, 0,
	    cells));
	for (unsigned i = 0; i <= RH_BUCKETS; i++)
		n += cells[i];
	return n;
}

static int64_t
memory_of(const char *path)
{
	struct stat st;

	ck_assert_int_eq(stat(path, &st), 0);
	return (int64_t)st.st_blocks;
}

static const enum rh_exposition formats[] = { RH_EXPO_PROMETHEUS,
	RH_EXPO_OPENMETRICS };

START_TEST(what_is_shown_is_the_same_and_nothing_becomes_memory)
{
	const char *path = scratch_open(), *surveyed;
	struct rh_segment *s = make(path), *r = look(path), *all = look(path);
	int64_t before;

	for (unsigned slot = 0; slot < SLOTS; slot += 2)
		observe(s, slot, 7 + slot * 90, 3000000);
	before = memory_of(path);
	rh_segment_survey(r);
	surveyed = exposed(r, formats[_i]);
	ck_assert_int_eq(memory_of(path), before);
	ck_assert_str_eq(surveyed, exposed(all, formats[_i]));
	ck_assert_ptr_nonnull(strstr(surveyed, "route=\"/367\""));
	rh_segment_close(&all);
	rh_segment_close(&r);
	rh_segment_close(&s);
}
END_TEST

START_TEST(each_series_is_whole_over_the_edges_of_pages)
{
	const char *path = scratch_open();
	struct rh_segment *s = make(path), *r = look(path);

	for (unsigned i = 0; i < ROUTES; i++) {
		ck_assert_uint_eq(observed(r, i), 0);
		/* slowest, then fastest: at the two ends of its cells */
		observe(s, i % SLOTS, i, UINT64_C(60000000000));
		observe(s, i % SLOTS, i, 1);
		rh_segment_survey(r);
		ck_assert_uint_eq(observed(r, i), 2);
	}
	for (unsigned i = 0; i < ROUTES; i++)
		ck_assert_uint_eq(observed(r, i), 2);
	rh_segment_close(&r);
	rh_segment_close(&s);
}
END_TEST

START_TEST(views_and_the_pool_itself_see_by_the_survey_too)
{
	const char *path = scratch_open();
	struct rh_segment *s = make(path), *r = look(path);
	int64_t before;

	rh_segment_survey(s);
	rh_segment_survey(r);
	before = memory_of(path);
	for (unsigned i = 0; i < ROUTES; i++) {
		ck_assert_uint_eq(observed(s, i), 0);
		ck_assert_uint_eq(observed(rh_segment_view(r, 0), i), 0);
	}
	ck_assert_int_eq(memory_of(path), before);
	observe(s, 1, 3, 5);
	rh_segment_survey(s);
	rh_segment_survey(r);
	ck_assert_uint_eq(observed(s, 3), 1);
	ck_assert_uint_eq(observed(rh_segment_view(r, 0), 3), 1);
	rh_segment_close(&r);
	rh_segment_close(&s);
}
END_TEST

RH_CHECK_MAIN("obs/survey",
    RH_LOOP(what_is_shown_is_the_same_and_nothing_becomes_memory, formats),
    RH_CASE(each_series_is_whole_over_the_edges_of_pages),
    RH_CASE(views_and_the_pool_itself_see_by_the_survey_too))
