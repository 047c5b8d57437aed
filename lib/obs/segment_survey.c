#include "config.h"

#include "obs/segment_file.h"

#include <stdlib.h>
#include <unistd.h>

/*
 * Which pages of the cells and exemplars anybody has written to. Of a tmpfs'
 * file a page that is but read becomes memory, all zeros: a look at all series
 * of a slot was 100 KiB of it, whoever had the slot and if nobody had.
 */

/* From a slot's start to its rings. */
static size_t
pages_of(const struct rh_segment *s)
{
	return s->head->log / RH_SEG_PAGE;
}

/* Where the file cannot tell, all is as if it were written to. */
static void
survey_slot(const struct rh_segment *s, int fd, unsigned slot,
    unsigned char *pages)
{
	const off_t start = (off_t)(s->head->slot0 +
	    slot * s->head->slot_bytes);
	const off_t end = start + (off_t)s->head->log;
	off_t from, to = start;

	memset(pages, 0, pages_of(s));
	while (to < end) {
		if ((from = lseek(fd, to, SEEK_DATA)) < 0)
			from = to;
		if (from >= end)
			return;
		if ((to = lseek(fd, from, SEEK_HOLE)) < 0)
			to = end;
		to = RH_MIN(to, end);
		memset(pages + (from - start) / RH_SEG_PAGE, 1,
		    (size_t)(to - from) / RH_SEG_PAGE);
	}
}

void
rh_segment_survey(struct rh_segment *s)
{
	int fd = s->fd >= 0 ? s->fd : s->eyes;

	if (fd < 0)
		return;
	if (!s->written) {
		s->written = malloc(s->head->slots * pages_of(s) + 1);
		rh_assert(s->written);
		for (unsigned i = 0; s->views && i < s->head->npools; i++)
			s->views[i].written = s->written;
	}
	for (unsigned i = 0; i < s->head->slots; i++)
		survey_slot(s, fd, i, s->written + i * pages_of(s));
}

bool
rh_seg_is_written(const struct rh_segment *s, unsigned slot, const void *at)
{
	const char *start = (char *)rh_seg_slot(s, slot);

	return !s->written || s->written[slot * pages_of(s) +
	    (size_t)((const char *)at - start) / RH_SEG_PAGE];
}

/* So many lie in the page of the first. */
static unsigned
in_page(const uint64_t *cell)
{
	return (unsigned)((RH_SEG_PAGE - (uintptr_t)cell % RH_SEG_PAGE) /
	    sizeof(*cell));
}

bool
rh_seg_cells_add(const struct rh_segment *s, unsigned slot,
    const struct rh_seg_family *f, uint32_t cell, uint64_t *to, unsigned n)
{
	const uint64_t *from = rh_seg_cells(s, slot) + cell;
	bool known = true;
	unsigned step;

	for (; n; n -= step, from += step, to += step) {
		step = RH_MIN(n, in_page(from));
		if (!rh_seg_is_written(s, slot, from))
			continue;
		for (unsigned i = 0; i < step; i++) {
			uint64_t v = __atomic_load_n(from + i, __ATOMIC_RELAXED);

			known &= f->kind != RH_M_GAUGE || v != RH_GAUGE_UNKNOWN;
			to[i] = f->flags & RH_M_MAX ? RH_MAX(to[i], v) :
			    to[i] + v;
		}
	}
	return known;
}
