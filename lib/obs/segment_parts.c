#include "config.h"

#include "obs/segment_file.h"

/* What is where in a segment. */

static char *
slot_at(const struct rh_segment *s, unsigned i, uint64_t within)
{
	rh_assert(i < s->count);
	return s->base + s->head->slot0 + (s->first + i) * s->head->slot_bytes +
	    within;
}

unsigned
rh_segment_slots(const struct rh_segment *s)
{
	return s->count - 1;
}

unsigned
rh_segment_writer_slot(const struct rh_segment *s)
{
	return s->count - 1;
}

unsigned
rh_segment_place(const struct rh_segment *s, unsigned i)
{
	return s->first + i;
}

struct rh_slot *
rh_segment_slot(const struct rh_segment *s, unsigned i)
{
	return (struct rh_slot *)slot_at(s, i, 0);
}

struct rh_flight *
rh_segment_flight(const struct rh_segment *s, unsigned i)
{
	return (struct rh_flight *)slot_at(s, i, sizeof(struct rh_slot));
}

struct rh_moment *
rh_segment_moment(const struct rh_segment *s, unsigned i)
{
	return (struct rh_moment *)slot_at(s, i, sizeof(struct rh_slot) +
	    sizeof(struct rh_flight));
}

uint64_t *
rh_segment_cells(const struct rh_segment *s, unsigned i)
{
	return (uint64_t *)slot_at(s, i, s->head->cells);
}

struct rh_ring *
rh_segment_log(const struct rh_segment *s, unsigned i)
{
	return (struct rh_ring *)slot_at(s, i, s->head->log);
}

struct rh_ring *
rh_segment_spans(const struct rh_segment *s, unsigned i)
{
	return (struct rh_ring *)slot_at(s, i, s->head->spans);
}

struct rh_ring *
rh_segment_requests(const struct rh_segment *s, unsigned i)
{
	return (struct rh_ring *)slot_at(s, i, s->head->requests);
}

struct rh_ring *
rh_segment_traces(const struct rh_segment *s, unsigned i)
{
	return (struct rh_ring *)slot_at(s, i, s->head->traces);
}

size_t
rh_segment_ring_bytes(const struct rh_segment *s, enum rh_seg_ring ring)
{
	const uint64_t bytes[RH_SEG_RINGS] = {
		[RH_SEG_LOG] = s->head->log_bytes,
		[RH_SEG_SPANS] = s->head->span_bytes,
		[RH_SEG_REQUESTS] = s->head->request_bytes,
		[RH_SEG_TRACES] = s->head->trace_bytes,
	};

	return bytes[ring];
}

size_t
rh_segment_peek(const struct rh_segment *s, unsigned i, enum rh_seg_ring ring,
    uint64_t *at, void *to, size_t cap)
{
	const uint64_t starts[RH_SEG_RINGS] = {
		[RH_SEG_LOG] = s->head->log,
		[RH_SEG_SPANS] = s->head->spans,
		[RH_SEG_REQUESTS] = s->head->requests,
		[RH_SEG_TRACES] = s->head->traces,
	};

	return rh_ring_peek((struct rh_ring *)slot_at(s, i, starts[ring]),
	    rh_segment_ring_bytes(s, ring), at, to, cap);
}

/* Its own, or else whoever's. */
static const struct rh_seg_area *
find_area(const struct rh_segment *s, const char *name)
{
	const struct rh_seg_area
	    *a = (const struct rh_seg_area *)((const char *)s->head +
		s->head->areas),
	    *found = NULL;

	for (unsigned i = 0; i < s->head->nareas; i++)
		if (strcmp(a[i].name, name) == 0 &&
		    (!found || a[i].pool == s->pool))
			found = &a[i];
	return found;
}

void *
rh_segment_area(const struct rh_segment *s, const char *name)
{
	const struct rh_seg_area *area = find_area(s, name);

	rh_assert(area);
	return s->base + area->at;
}

const void *
rh_segment_area_find(const struct rh_segment *s, const char *name,
    size_t bytes)
{
	const struct rh_seg_area *area = find_area(s, name);

	return area && area->bytes >= bytes ? s->base + area->at : NULL;
}

size_t
rh_segment_area_bytes(const struct rh_segment *s, const char *name)
{
	const struct rh_seg_area *area = find_area(s, name);

	return area ? area->bytes : 0;
}

const char *
rh_segment_pool(const struct rh_segment *s)
{
	return s->head->pools[s->pool].name;
}

const unsigned char *
rh_segment_id(const struct rh_segment *s)
{
	return rh_seg_live(s)->id;
}

void
rh_segment_build(const struct rh_segment *s, struct rh_segment_build *build)
{
	const struct rh_seg_live *live = rh_seg_live(s);

	memcpy(build->service, live->service, sizeof(build->service));
	memcpy(build->version, live->version, sizeof(build->version));
	memcpy(build->revision, live->revision, sizeof(build->revision));
	build->service[sizeof(build->service) - 1] = 0;
	build->version[sizeof(build->version) - 1] = 0;
	build->revision[sizeof(build->revision) - 1] = 0;
}
