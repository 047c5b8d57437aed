#include "config.h"

#include "obs/segment_file.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/crypto.h"

/* Where the description's tables start, one behind the other. */
void
rh_seg_lay_out_tables(struct rh_seg_head *h)
{
	h->areas = sizeof(*h);
	h->dims = h->areas + h->nareas * sizeof(struct rh_seg_area);
	h->values = h->dims + h->ndims * sizeof(struct rh_seg_dim);
	h->families = h->values + h->nvalues * sizeof(struct rh_seg_text);
	h->texts = h->families + h->nfamilies * sizeof(struct rh_seg_family);
	h->described = h->texts + h->ntexts;
	h->live = rh_seg_align(h->described, RH_SEG_PAGE);
}

uint64_t
rh_seg_hash(const struct rh_seg_head *head)
{
	struct rh_seg_head zero = *head;
	uint64_t rest = rh_hash64((const char *)head + sizeof(*head),
	    head->described - sizeof(*head));

	zero.hash = 0;
	return rh_hash64(&zero, sizeof(zero)) ^ rest * 31;
}

/* count items of size bytes at at end before limit. */
static bool
fits(uint64_t at, uint64_t count, uint64_t size, uint64_t limit)
{
	return at <= limit && count <= (limit - at) / size;
}

static bool
ring_fits(uint64_t at, uint64_t bytes, uint64_t limit)
{
	return at % 64 == 0 && bytes >= 4096 && bytes <= limit &&
	    (bytes & (bytes - 1)) == 0 &&
	    fits(at, rh_ring_footprint(bytes), 1, limit);
}

static bool
slots_are_sound(const struct rh_seg_head *h)
{
	return h->slots > 1 && h->slots <= RH_SEG_SLOTS_MAX &&
	    h->slot0 % RH_SEG_PAGE == 0 &&
	    h->slot_bytes % RH_SEG_PAGE == 0 && h->slot_bytes &&
	    fits(h->slot0, h->slots, h->slot_bytes, h->file_bytes) &&
	    h->journal >= sizeof(struct rh_slot) + sizeof(struct rh_flight) +
	    sizeof(struct rh_moment) &&
	    h->journal % 8 == 0 &&
	    fits(h->journal, RH_SEG_JOURNALS, sizeof(struct rh_seg_journal),
	    h->cells) &&
	    h->cells % 8 == 0 &&
	    fits(h->cells, h->ncells, sizeof(uint64_t), h->slot_bytes) &&
	    h->exemplars % 8 == 0 && fits(h->exemplars, h->nexemplars,
	    sizeof(struct rh_exemplar), h->slot_bytes) &&
	    ring_fits(h->log, h->log_bytes, h->slot_bytes) &&
	    ring_fits(h->spans, h->span_bytes, h->slot_bytes) &&
	    ring_fits(h->requests, h->request_bytes, h->slot_bytes) &&
	    ring_fits(h->traces, h->trace_bytes, h->slot_bytes);
}

static bool
areas_are_sound(const struct rh_seg_head *h)
{
	const struct rh_seg_area *areas = (const struct rh_seg_area *)
	    ((const char *)h + h->areas);

	for (unsigned i = 0; i < h->nareas; i++)
		if (!memchr(areas[i].name, 0, sizeof(areas[i].name)) ||
		    areas[i].at % RH_SEG_PAGE || areas[i].at < h->live ||
		    !fits(areas[i].at, areas[i].bytes, 1, h->slot0))
			return false;
	return true;
}

static bool
tables_are_sound(const struct rh_seg_head *h)
{
	struct rh_seg_head same = *h;

	if (h->nareas > 256 || h->ndims > 1024 || h->nvalues > 1000000 ||
	    h->nfamilies > 4096 || h->ntexts > RH_SEG_DESCRIBED_MAX)
		return false;
	rh_seg_lay_out_tables(&same);
	return memcmp(&same, h, sizeof(same)) == 0 &&
	    rh_seg_pools_are_sound(h) && h->slot0 >= h->live &&
	    h->slot0 - h->live >= sizeof(struct rh_seg_live);
}

static bool
head_is_ours(const struct rh_seg_head *h, uint64_t file_bytes,
    const char *path, struct rh_buf *why)
{
	if (memcmp(h->magic, RH_SEG_MAGIC, sizeof(h->magic)))
		rh_buf_printf(why, "%s is no segment of Rowhouse\n", path);
	else if (h->version != RH_SEGMENT_VERSION)
		rh_buf_printf(why, "%s has layout version %u, this program"
		    " knows %u\n", path, h->version, RH_SEGMENT_VERSION);
	else if (h->file_bytes != file_bytes)
		rh_buf_printf(why, "%s is %s: %llu bytes of %llu\n", path,
		    h->file_bytes > file_bytes ? "truncated" : "damaged",
		    (unsigned long long)file_bytes,
		    (unsigned long long)h->file_bytes);
	else if (h->described < sizeof(*h) || h->described > file_bytes ||
	    h->described > RH_SEG_DESCRIBED_MAX)
		rh_buf_printf(why, "%s is damaged: its head\n", path);
	else
		return true;
	return false;
}

struct rh_seg_head *
rh_seg_description_read(int fd, uint64_t file_bytes, const char *path,
    struct rh_buf *why)
{
	struct rh_seg_head first = { .version = 0 }, *h;
	ssize_t n = pread(fd, &first, sizeof(first), 0);

	if (n >= 0 && n < (ssize_t)sizeof(first))
		first.magic[0] = 0;
	if (!head_is_ours(&first, file_bytes, path, why))
		return NULL;
	h = malloc(first.described);
	rh_assert(h);
	n = pread(fd, h, first.described, 0);
	if (n == (ssize_t)first.described &&
	    memcmp(h, &first, sizeof(first)) == 0 && rh_seg_hash(h) == h->hash &&
	    tables_are_sound(h) && slots_are_sound(h) && areas_are_sound(h) &&
	    rh_metrics_are_sound(h))
		return h;
	rh_buf_printf(why, "%s is damaged: its description\n", path);
	free(h);
	return NULL;
}
