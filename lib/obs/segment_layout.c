#include "config.h"

#include "obs/segment_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"

/* Geometry: from the spec to the description's bytes. */

static size_t
power_of_two(size_t n)
{
	size_t p = 4096;

	while (p < n)
		p *= 2;
	return p;
}

static void
lay_out_slot(struct rh_seg_head *h, const struct rh_segment_spec *spec)
{
	h->log_bytes = power_of_two(spec->log_ring_bytes);
	h->span_bytes = power_of_two(spec->span_ring_bytes);
	h->request_bytes = power_of_two(spec->request_ring_bytes);
	h->trace_bytes = power_of_two(spec->trace_ring_bytes);
	h->journal = rh_seg_align(sizeof(struct rh_slot) +
	    sizeof(struct rh_flight) + sizeof(struct rh_moment), 64);
	h->cells = h->journal + RH_SEG_JOURNALS * sizeof(struct rh_seg_journal);
	h->exemplars = rh_seg_align(h->cells +
	    h->ncells * sizeof(uint64_t), 64);
	h->log = rh_seg_align(h->exemplars +
	    h->nexemplars * sizeof(struct rh_exemplar), RH_SEG_PAGE);
	h->spans = rh_seg_align(h->log + rh_ring_footprint(h->log_bytes),
	    RH_SEG_PAGE);
	h->requests = rh_seg_align(h->spans +
	    rh_ring_footprint(h->span_bytes), RH_SEG_PAGE);
	h->traces = rh_seg_align(h->requests +
	    rh_ring_footprint(h->request_bytes), RH_SEG_PAGE);
	h->slot_bytes = rh_seg_align(h->traces +
	    rh_ring_footprint(h->trace_bytes), RH_SEG_PAGE);
}

static unsigned
count_areas(const struct rh_segment_spec *spec)
{
	unsigned n = 0;

	while (spec->areas && spec->areas[n].name)
		n++;
	return n;
}

static uint64_t
names_bytes(const char *dims, unsigned ndims)
{
	const struct rh_seg_dim *d = (const struct rh_seg_dim *)dims;
	uint64_t bytes = 0;

	for (unsigned i = 0; i < ndims; i++)
		bytes += d[i].cap * sizeof(struct rh_seg_name);
	return bytes;
}

/* Areas stand in the description, but where depends on what comes before. */
static void
lay_out_areas(struct rh_seg_head *h, const struct rh_segment_spec *spec)
{
	struct rh_seg_area *areas =
	    (struct rh_seg_area *)((char *)h + h->areas);
	uint64_t at = rh_seg_align(h->live + sizeof(struct rh_seg_live) +
	    names_bytes((char *)h + h->dims, h->ndims), RH_SEG_PAGE);

	for (unsigned i = 0; i < h->nareas; i++) {
		areas[i].at = at;
		areas[i].bytes = spec->areas[i].bytes;
		at = rh_seg_align(at + areas[i].bytes, RH_SEG_PAGE);
	}
	h->slot0 = at;
	h->file_bytes = at + h->slots * h->slot_bytes;
}

struct rh_seg_head *
rh_seg_describe(const struct rh_segment_spec *spec)
{
	struct rh_arena *arena = rh_arena_new(65536, 2 * RH_SEG_DESCRIBED_MAX);
	struct rh_seg_head h = { .magic = RH_SEG_MAGIC,
		.version = RH_SEGMENT_VERSION },
			   *made;
	struct rh_seg_area area;
	struct rh_buf b;

	rh_seg_pools_describe(&h, spec);
	rh_buf_init(&b, arena, 65536, RH_SEG_DESCRIBED_MAX);
	h.nareas = count_areas(spec);
	rh_metrics_count(spec->metrics, &h);
	rh_seg_lay_out_tables(&h);
	lay_out_slot(&h, spec);
	rh_buf_put(&b, &h, sizeof(h));
	for (unsigned i = 0; i < h.nareas; i++) {
		area = (struct rh_seg_area){ .kept = spec->areas[i].kept,
			.pool = spec->areas[i].pool };
		rh_assert(strlen(spec->areas[i].name) < sizeof(area.name));
		strcpy(area.name, spec->areas[i].name);
		rh_buf_put(&b, &area, sizeof(area));
	}
	rh_metrics_describe(spec->metrics, &b,
	    h.live + sizeof(struct rh_seg_live));
	rh_assert(!b.full && b.n == h.described);
	made = malloc(b.n);
	rh_assert(made);
	memcpy(made, b.p, b.n);
	lay_out_areas(made, spec);
	made->hash = rh_seg_hash(made);
	rh_arena_destroy(&arena);
	return made;
}
