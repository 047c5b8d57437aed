/* check_journal.c - a line and its counts are there together, or not at all. */
#include "config.h"

#include "obs/journal.h"
#include "obs/segment_file.h"
#include "scratch.h"

struct pool {
	struct rh_segment *segment;
	struct rh_family requests, duration, lines;
};

static const struct rh_area no_areas[] = { { NULL, 0, false, 0 } };

static struct rh_segment_spec
spec_of(struct pool *p)
{
	static const char *const outcomes[] = { "written", "dropped" };
	struct rh_metrics *m = rh_metrics_new(rh_check_arena());
	int dim = rh_metrics_dim(m, "outcome", 0);

	for (unsigned i = 0; i < 2; i++)
		rh_metrics_value(m, dim, &outcomes[i]);
	p->requests = rh_metrics_family(m, &(struct rh_family_spec){
	    .kind = RH_M_COUNTER, .name = "http_requests_total", .help = "h",
	    .dim_a = -1, .dim_b = -1 });
	p->duration = rh_metrics_family(m, &(struct rh_family_spec){
	    .kind = RH_M_HISTOGRAM, .name = "duration_seconds", .help = "h",
	    .dim_a = -1, .dim_b = -1 });
	p->lines = rh_metrics_family(m, &(struct rh_family_spec){
	    .kind = RH_M_COUNTER, .name = "log_lines_total", .help = "h",
	    .dim_a = dim, .dim_b = -1 });
	return (struct rh_segment_spec){ .pool = "fcgi", .service = "s",
	    .version = "1", .revision = "r", .slots = 3,
	    .log_ring_bytes = 16384, .span_ring_bytes = 16384,
	    .areas = no_areas, .metrics = m };
}

static const char *
pool_open(struct pool *p, const char *path)
{
	struct rh_segment_spec spec = spec_of(p);
	struct rh_buf *why = scratch_buf();

	ck_assert_msg(rh_segment_create(&p->segment, path, &spec, why), "%s",
	    scratch_text(why));
	return path;
}

static uint64_t
cell(const struct pool *p, struct rh_family f, unsigned i)
{
	return rh_segment_cells(p->segment, 1)[f.cell + i];
}

static unsigned
shown(const struct pool *p)
{
	char line[RH_LINE_MAX];
	uint64_t at = 0;
	unsigned n = 0;

	while (rh_segment_peek(p->segment, 1, RH_SEG_LOG, &at, line,
	    sizeof(line)))
		n++;
	return n;
}

/* One side of it, in whatever process: as account.c does it. */
struct worker {
	struct rh_journal journal;
	struct rh_tally tally;
	struct rh_log log;
};

static void
worker_open(struct worker *w, const struct pool *p)
{
	w->tally = (struct rh_tally){ rh_segment_cells(p->segment, 1), NULL };
	w->log = (struct rh_log){ .tally = &w->tally, .lines = p->lines };
	rh_log_bind(&w->log, p->segment, 1, rh_check_arena());
	rh_journal_bind(&w->journal, p->segment, 1);
}

static void
write_down(struct worker *w, const struct pool *p)
{
	struct rh_line line;

	rh_journal_open(&w->journal);
	rh_line_open(&line, &w->log, RH_LOG_INFO, "request", 0);
	rh_journal_line(&w->journal, &line);
	rh_journal_count(&w->journal, &w->tally, p->requests, 0, 0, 1);
	rh_journal_observe(&w->journal, &w->tally, p->duration, 0, 0, 7, NULL);
	rh_journal_flight(&w->journal, rh_segment_flight(p->segment, 1));
}

START_TEST(nothing_shows_before_the_commit)
{
	struct worker w;
	struct pool p;

	pool_open(&p, scratch_open());
	worker_open(&w, &p);
	write_down(&w, &p);
	ck_assert_uint_eq(shown(&p) + cell(&p, p.requests, 0), 0);
	rh_journal_commit(&w.journal);
	ck_assert_uint_eq(shown(&p), 1);
	ck_assert_uint_eq(cell(&p, p.requests, 0), 1);
	ck_assert_uint_eq(cell(&p, p.duration, 0), 1);
	ck_assert_uint_eq(cell(&p, p.duration, RH_BUCKETS + 1), 7);
	/* what is not armed is not done again */
	rh_journal_settle(p.segment, 1);
	ck_assert_uint_eq(cell(&p, p.requests, 0), 1);
	rh_segment_close(&p.segment);
}
END_TEST

/* After how many of its stores the process dies. */
static const unsigned deaths[] = { 0, 1, 2, 3, 4, 5, 6 };

static void
die_in_commit(const struct worker *w, const struct pool *p, unsigned stores)
{
	struct rh_seg_journal *kept = w->journal.kept;
	char *slot = (char *)rh_segment_slot(p->segment, 1);

	atomic_store(&kept->armed, w->journal.n);
	for (unsigned i = 0; i < stores; i++)
		memcpy(slot + kept->stores[i].at, &kept->stores[i].value, 8);
}

static void
assert_one(const struct pool *p)
{
	ck_assert_uint_eq(shown(p), 1);
	ck_assert_uint_eq(rh_segment_flight(p->segment, 1)->accounted, 1);
	ck_assert_uint_eq(cell(p, p->requests, 0), 1);
	ck_assert_uint_eq(cell(p, p->duration, 0), 1);
	ck_assert_uint_eq(cell(p, p->duration, RH_BUCKETS + 1), 7);
}

START_TEST(what_was_armed_is_ended_by_the_master)
{
	struct worker w;
	struct pool p;

	pool_open(&p, scratch_open());
	worker_open(&w, &p);
	write_down(&w, &p);
	ck_assert_uint_eq(w.journal.n, 6);
	die_in_commit(&w, &p, deaths[_i]);
	rh_journal_settle(p.segment, 1);
	assert_one(&p);
	rh_journal_settle(p.segment, 1);
	assert_one(&p);
	rh_segment_close(&p.segment);
}
END_TEST

/* A batch of spans: what became of it, and that its ring is done with it. */
static void
write_down_spans(struct worker *w, const struct pool *p)
{
	struct rh_ring *ring = rh_segment_spans(p->segment, 1);
	struct rh_ring_cursor at;
	uint64_t missed;
	unsigned items;
	char bytes[64];

	rh_journal_bind_spans(&w->journal, p->segment, 1);
	for (unsigned i = 0; i < 3; i++) {
		memcpy(rh_ring_reserve(ring, 5), "span", 5);
		rh_ring_commit(ring, 5, 2);
	}
	rh_ring_begin(ring, &at);
	for (unsigned i = 0; i < 2; i++)
		ck_assert_uint_eq(rh_ring_next(ring, &at, bytes, sizeof(bytes),
		    &items, &missed), 5);
	rh_journal_open(&w->journal);
	rh_journal_count(&w->journal, &w->tally, p->requests, 0, 0, 4);
	rh_journal_release(&w->journal, ring, &at);
}

static const unsigned deaths_over_spans[] = { 0, 1, 2, 3 };

START_TEST(what_became_of_spans_is_ended_by_the_master)
{
	struct rh_ring *ring;
	struct worker w, spans;
	struct pool p;

	pool_open(&p, scratch_open());
	ring = rh_segment_spans(p.segment, 1);
	worker_open(&w, &p);
	worker_open(&spans, &p);
	write_down(&w, &p);
	write_down_spans(&spans, &p);
	ck_assert_uint_eq(ring->items_out, 0);
	ck_assert_uint_eq(spans.journal.n, 3);
	die_in_commit(&spans, &p, deaths_over_spans[_i]);
	rh_journal_settle(p.segment, 1);
	rh_journal_settle(p.segment, 1);
	ck_assert_uint_eq(cell(&p, p.requests, 0), 4);
	ck_assert_uint_eq(ring->items_in - ring->items_out, 2);
	ck_assert(rh_ring_is_sound(ring, 16384, RH_RING_OVERWRITE));
	ck_assert(rh_ring_has(ring));
	/* the other one's was not armed */
	ck_assert_uint_eq(shown(&p), 0);
	rh_segment_close(&p.segment);
}
END_TEST

START_TEST(what_was_armed_is_ended_by_the_next_pool)
{
	const char *path = scratch_open();
	struct worker w;
	struct pool p;

	pool_open(&p, path);
	worker_open(&w, &p);
	write_down(&w, &p);
	ck_assert_uint_eq(w.journal.n, 6);
	die_in_commit(&w, &p, deaths[_i]);
	rh_segment_close(&p.segment);
	pool_open(&p, path);
	assert_one(&p);
	rh_segment_close(&p.segment);
}
END_TEST

START_TEST(a_full_ring_counts_its_line_with_the_request)
{
	struct worker w;
	struct pool p;
	unsigned n = 0;

	pool_open(&p, scratch_open());
	worker_open(&w, &p);
	while (cell(&p, p.lines, 1) < 3) {
		write_down(&w, &p);
		rh_journal_commit(&w.journal);
		n++;
	}
	ck_assert_uint_eq(cell(&p, p.requests, 0), n);
	ck_assert_uint_eq(shown(&p), n - 3);
	rh_segment_close(&p.segment);
}
END_TEST

/* Where a rubbish file would have the master write. */
static const struct { uint32_t armed; uint64_t at; } rubbish[] = {
	{ 1, 0 }, { 1, 64 }, { 1, 1001 }, { 1, UINT64_MAX - 7 },
	{ 1, sizeof(struct rh_slot) + sizeof(struct rh_flight) },
	{ 1, UINT64_C(1) << 40 }, { 17, 2048 }, { UINT32_MAX, 2048 },
};

START_TEST(rubbish_is_not_stored)
{
	struct pool p;
	struct rh_seg_journal *kept;
	char *slot, *before;
	size_t n;

	pool_open(&p, scratch_open());
	slot = (char *)rh_segment_slot(p.segment, 1);
	kept = (struct rh_seg_journal *)(slot + p.segment->head->journal);
	n = p.segment->head->slot_bytes;
	for (unsigned i = 0; i < RH_COUNT(kept->stores); i++) {
		kept->stores[i].at = rubbish[_i].at;
		kept->stores[i].value = UINT64_MAX;
	}
	before = malloc(n);
	memcpy(before, slot, n);
	atomic_store(&kept->armed, rubbish[_i].armed);
	rh_journal_settle(p.segment, 1);
	ck_assert_mem_eq(slot, before, n);
	free(before);
	rh_segment_close(&p.segment);
}
END_TEST

RH_CHECK_MAIN("obs/journal",
    RH_CASE(nothing_shows_before_the_commit),
    RH_LOOP(what_was_armed_is_ended_by_the_master, deaths),
    RH_LOOP(what_became_of_spans_is_ended_by_the_master, deaths_over_spans),
    RH_LOOP(what_was_armed_is_ended_by_the_next_pool, deaths),
    RH_CASE(a_full_ring_counts_its_line_with_the_request),
    RH_LOOP(rubbish_is_not_stored, rubbish))
