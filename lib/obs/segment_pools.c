#include "config.h"

#include "obs/segment_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

/* Several pools in one file: whose slots are whose, and who lives in it. */

/* ---- the description ---- */

static void
describe_pool(struct rh_seg_head *h, const char *name, unsigned slots)
{
	struct rh_seg_pool *pool = &h->pools[h->npools];

	rh_assert(h->npools < RH_SEG_POOLS_MAX && slots > 0 &&
	    slots < RH_SEG_SLOTS_MAX && strlen(name) < sizeof(pool->name));
	strcpy(pool->name, name);
	pool->first = h->slots;
	pool->slots = slots + 1;
	h->slots += slots + 1;
	h->npools++;
}

void
rh_seg_pools_describe(struct rh_seg_head *h, const struct rh_segment_spec *spec)
{
	const struct rh_segment_pool *p = spec->pools;

	if (!p)
		describe_pool(h, spec->pool, spec->slots);
	for (; p && p->name; p++)
		describe_pool(h, p->name, p->slots);
	rh_assert(h->slots <= RH_SEG_SLOTS_MAX);
}

bool
rh_seg_pools_are_sound(const struct rh_seg_head *h)
{
	uint64_t at = 0;

	if (h->npools < 1 || h->npools > RH_SEG_POOLS_MAX)
		return false;
	for (unsigned i = 0; i < h->npools; i++) {
		const struct rh_seg_pool *pool = &h->pools[i];

		if (!memchr(pool->name, 0, sizeof(pool->name)) ||
		    pool->first != at || pool->slots < 2)
			return false;
		at += pool->slots;
	}
	return at == h->slots;
}

bool
rh_seg_pool_find(const struct rh_seg_head *h, const char *name, unsigned *pool)
{
	for (*pool = 0; *pool < h->npools; ++*pool)
		if (strcmp(h->pools[*pool].name, name) == 0)
			return true;
	return false;
}

/* ---- which slots are seen ---- */

void
rh_seg_show_pool(struct rh_segment *s, unsigned pool)
{
	s->pool = pool;
	s->first = s->head->pools[pool].first;
	s->count = s->head->pools[pool].slots;
}

void
rh_seg_show_all(struct rh_segment *s)
{
	s->pool = s->first = 0;
	s->count = s->head->slots;
}

void
rh_seg_make_views(struct rh_segment *s)
{
	s->views = calloc(s->head->npools, sizeof(*s->views));
	rh_assert(s->views);
	for (unsigned i = 0; i < s->head->npools; i++) {
		s->views[i] = *s;
		s->views[i].fd = -1;
		s->views[i].views = NULL;
		rh_seg_show_pool(&s->views[i], i);
	}
}

const struct rh_segment *
rh_segment_view(const struct rh_segment *s, unsigned pool)
{
	return s->views && pool < s->head->npools ? &s->views[pool] : NULL;
}

void
rh_segment_workers(const struct rh_segment *s, unsigned pool, unsigned *workers,
    unsigned *busy)
{
	const struct rh_seg_pool *of = &s->head->pools[pool];

	*workers = *busy = 0;
	/* neither the master's slot nor the log writer's, the last one */
	for (unsigned i = 1; pool < s->head->npools && i + 1 < of->slots; i++) {
		struct rh_slot *slot = rh_seg_slot(s, of->first + i);
		bool serves = rh_slot_serves(slot);

		*workers += serves;
		*busy += serves && atomic_load(&slot->state) == RH_SLOT_BUSY;
	}
}

/* ---- a byte of the file for each pool, as its lock ---- */

/*
 * Of the open file, not of the process: those that a master forks, and the
 * program that it becomes, hold it with the descriptor.
 */
bool
rh_seg_lock(int fd, unsigned pool, int kind)
{
	struct flock lock = { .l_type = (short)kind,
		.l_whence = SEEK_SET,
		.l_start = (off_t)pool,
		.l_len = 1 };

	return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

bool
rh_seg_is_locked(int fd, unsigned pool, int kind)
{
	struct flock lock = { .l_type = (short)kind,
		.l_whence = SEEK_SET,
		.l_start = (off_t)pool,
		.l_len = 1 };

	return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}
