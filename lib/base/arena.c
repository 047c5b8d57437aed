#include "config.h"

#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * The blocks form a chain from the newest to the first. Only the first
 * survives a reset, so a request that needed much leaves no footprint.
 */
struct block {
	struct block *older;
	size_t size;
	size_t used;
	char bytes[] __attribute__((aligned(16)));
};

struct defer {
	struct defer *older;
	void (*done)(void *);
	void *what;
};

struct rh_arena {
	struct block *newest;
	struct defer *defers;
	size_t first_bytes;
	size_t cap_bytes;
	size_t used;
};

#define ALIGNED(n)	(((n) + 15) & ~(size_t)15)

static struct block *
block_new(size_t bytes, struct block *older)
{
	struct block *b = malloc(sizeof(*b) + bytes);

	rh_assert(b != NULL);
	b->older = older;
	b->size = bytes;
	b->used = 0;
	return b;
}

struct rh_arena *
rh_arena_new(size_t first_bytes, size_t cap_bytes)
{
	struct rh_arena *a = calloc(1, sizeof(*a));

	rh_assert(a != NULL);
	a->first_bytes = RH_ARENA_MALLOC ? 0 : ALIGNED(first_bytes);
	a->cap_bytes = cap_bytes;
	a->newest = block_new(a->first_bytes, NULL);
	return a;
}

void
rh_arena_reset(struct rh_arena *a)
{
	/* a defer may allocate and defer in turn, so look anew each time */
	while (a->defers) {
		struct defer *d = a->defers;

		a->defers = d->older;
		d->done(d->what);
	}
	while (a->newest->older) {
		struct block *b = a->newest;

		a->newest = b->older;
		free(b);
	}
	a->newest->used = 0;
	a->used = 0;
}

void
rh_arena_destroy(struct rh_arena **arena)
{
	if (!*arena)
		return;
	rh_arena_reset(*arena);
	free((*arena)->newest);
	free(*arena);
	*arena = NULL;
}

void *
rh_arena_alloc(struct rh_arena *a, size_t bytes)
{
	size_t need = ALIGNED(bytes ? bytes : 1);
	struct block *b = a->newest;
	void *p;

	rh_assert(need >= bytes && a->used + need <= a->cap_bytes);
	if (RH_ARENA_MALLOC || b->size - b->used < need)
		a->newest = b = block_new(RH_ARENA_MALLOC ? need :
		    RH_MAX(need, a->first_bytes), b);
	p = b->bytes + b->used;
	b->used += need;
	a->used += need;
	return p;
}

void *
rh_arena_zalloc(struct rh_arena *a, size_t count, size_t size)
{
	size_t bytes;

	rh_assert(!__builtin_mul_overflow(count, size, &bytes));
	return memset(rh_arena_alloc(a, bytes), 0, bytes);
}

void *
rh_arena_grow(struct rh_arena *a, void *p, size_t old_bytes, size_t new_bytes)
{
	struct block *b = a->newest;
	size_t had = ALIGNED(old_bytes ? old_bytes : 1);
	size_t need = ALIGNED(new_bytes);
	void *q;

	if (p && need <= had)
		return p;
	if (p && (char *)p + had == b->bytes + b->used &&
	    b->size - b->used >= need - had &&
	    a->used + need - had <= a->cap_bytes) {
		b->used += need - had;
		a->used += need - had;
		return p;
	}
	q = rh_arena_alloc(a, new_bytes);
	return p ? memcpy(q, p, old_bytes) : q;
}

char *
rh_arena_strdup(struct rh_arena *a, struct rh_slice text)
{
	char *p = rh_arena_alloc(a, text.n + 1);

	if (text.n)
		memcpy(p, text.p, text.n);
	p[text.n] = '\0';
	return p;
}

struct rh_slice
rh_arena_slice(struct rh_arena *a, struct rh_slice text)
{
	if (!text.p)
		return text;
	return (struct rh_slice){ rh_arena_strdup(a, text), text.n };
}

char *
rh_arena_printf(struct rh_arena *a, const char *fmt, ...)
{
	va_list ap, again;
	char *p;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	rh_assert(n >= 0);
	p = rh_arena_alloc(a, (size_t)n + 1);
	vsnprintf(p, (size_t)n + 1, fmt, again);
	va_end(again);
	va_end(ap);
	return p;
}

void
rh_arena_defer(struct rh_arena *a, void (*done)(void *), void *what)
{
	struct defer *d = rh_arena_alloc(a, sizeof(*d));

	d->older = a->defers;
	d->done = done;
	d->what = what;
	a->defers = d;
}

size_t
rh_arena_used(const struct rh_arena *a)
{
	return a->used;
}
