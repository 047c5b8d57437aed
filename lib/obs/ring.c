#include "config.h"

#include "obs/ring.h"

struct record {
	uint32_t length, items;
	uint64_t before;	/* items put before this record */
};

/* In length's place: nothing more before the ring's end. */
#define FILLER	UINT32_MAX

enum { OVERTAKEN_MAX = 16 };
/* Of memory: a line, and how much of it is asked for before it is needed. */
enum { LINE = 64, AHEAD = 1024 };

#define GET(field) \
	atomic_load_explicit(&(field), memory_order_relaxed)
#define GET_ACQUIRE(field) \
	atomic_load_explicit(&(field), memory_order_acquire)
#define SET(field, value) \
	atomic_store_explicit(&(field), (value), memory_order_relaxed)
#define SET_RELEASE(field, value) \
	atomic_store_explicit(&(field), (value), memory_order_release)

static size_t
need(size_t n)
{
	return (sizeof(struct record) + n + 7) & ~(size_t)7;
}

size_t
rh_ring_footprint(size_t size)
{
	return sizeof(struct rh_ring) + size;
}

void
rh_ring_init(struct rh_ring *ring, size_t size, enum rh_ring_mode mode)
{
	rh_assert(size >= 1024 && (size & (size - 1)) == 0);
	memset(ring, 0, sizeof(*ring));
	ring->size = size;
	ring->mode = mode;
}

/*
 * Reads the record at *at, moved past a filler. False for what no writer of
 * ours leaves below head: onlookers map files that anyone may have written.
 */
static bool
record_at(const struct rh_ring *ring, uint64_t size, uint64_t *at,
    uint64_t head, struct record *r)
{
	uint64_t start = *at & (size - 1);
	uint32_t length;

	if (*at % 8)
		return false;
	memcpy(&length, ring->bytes + start, sizeof(length));
	if (length == FILLER) {
		*at += size - start;
		start = 0;
	}
	if (head < *at || head - *at > size || size - start < sizeof(*r))
		return false;
	memcpy(r, ring->bytes + start, sizeof(*r));
	return r->length && r->length <= size / 4 &&
	    need(r->length) <= head - *at && need(r->length) <= size - start;
}

bool
rh_ring_is_sound(const struct rh_ring *ring, size_t size,
    enum rh_ring_mode mode)
{
	uint64_t head = ring->head, at = ring->oldest, tail = ring->tail;
	bool tail_met = tail < at && mode == RH_RING_OVERWRITE;
	struct record r;

	if (ring->size != size || ring->mode != (uint64_t)mode || head % 8 ||
	    head < at || head - at > size || tail > head)
		return false;
	while (at < head) {
		tail_met |= at == tail;
		if (!record_at(ring, size, &at, head, &r))
			return false;
		at += need(r.length);
	}
	return tail_met || tail == head;
}

/* Forgets the oldest records, until what ends at end has room. */
static void
make_room(struct rh_ring *ring, uint64_t head, uint64_t end)
{
	uint64_t oldest = GET(ring->oldest);
	struct record r;

	if (end - oldest <= ring->size)
		return;
	while (end - oldest > ring->size) {
		if (record_at(ring, ring->size, &oldest, head, &r))
			oldest += need(r.length);
		else
			oldest = head;
	}
	SET(ring->oldest, oldest);
	/* who copies what is about to be overwritten must see oldest moved */
	atomic_thread_fence(memory_order_release);
}

/* Where one of n bytes will start. */
static uint64_t
start_of(const struct rh_ring *ring, uint64_t head, size_t n)
{
	uint64_t left = ring->size - (head & (ring->size - 1));

	return need(n) > left ? head + left : head;
}

bool
rh_ring_has_room(const struct rh_ring *ring, size_t n)
{
	uint64_t at = start_of(ring, GET(ring->head), n);
	uint64_t tail = GET_ACQUIRE(ring->tail), oldest = GET(ring->oldest);

	return at + need(n) - RH_MAX(tail, oldest) <= ring->size;
}

char *
rh_ring_reserve(struct rh_ring *ring, size_t n)
{
	uint64_t head = GET(ring->head), at = start_of(ring, head, n);

	if (n > ring->size / 4)
		return NULL;
	if (ring->mode == RH_RING_REFUSE && !rh_ring_has_room(ring, n))
		return NULL;
	make_room(ring, head, at + need(n));
	ring->reserved = at;
	return ring->bytes + (at & (ring->size - 1)) + sizeof(struct record);
}

void
rh_ring_prepare(struct rh_ring *ring, size_t n, unsigned items,
    uint64_t *items_in, uint64_t *new_head)
{
	uint64_t head = GET(ring->head), at = ring->reserved;
	uint64_t before = GET(ring->items_in);
	struct record r = { (uint32_t)n, items, before };
	const uint32_t filler = FILLER;

	rh_assert(n > 0 && n <= ring->size / 4);
	if (at != head)
		memcpy(ring->bytes + (head & (ring->size - 1)), &filler,
		    sizeof(filler));
	memcpy(ring->bytes + (at & (ring->size - 1)), &r, sizeof(r));
	*items_in = before + items;
	*new_head = at + need(n);
}

void
rh_ring_commit(struct rh_ring *ring, size_t n, unsigned items)
{
	uint64_t items_in, head;

	rh_ring_prepare(ring, n, items, &items_in, &head);
	/* killed here, the items of a record that never shows count as missed */
	SET(ring->items_in, items_in);
	SET_RELEASE(ring->head, head);
}

/*
 * What comes next is asked for while this one is copied: it lies in the cache of
 * the processor that wrote it, and each line of it takes as long as a hundred
 * instructions.
 */
static inline void
look_ahead(const struct rh_ring *ring, uint64_t size, uint64_t at,
    uint64_t head)
{
	uint64_t end = RH_MIN(head, at + AHEAD);

	for (; at < end; at += LINE)
		__builtin_prefetch(ring->bytes + (at & (size - 1)));
}

/*
 * Copies the first intact record from *at on; *at: where it ends. A writer that
 * overtakes again and again is left alone for now: there is none, and the next
 * call starts further on.
 */
static bool
copy_next(const struct rh_ring *ring, uint64_t size, uint64_t *at,
    struct record *r, void *to, size_t cap)
{
	uint64_t head, oldest, from;
	bool whole;

	for (int tries = 0; tries < OVERTAKEN_MAX; tries++) {
		head = GET_ACQUIRE(ring->head);
		oldest = GET_ACQUIRE(ring->oldest);
		*at = from = RH_MAX(*at, oldest);
		if (*at >= head)
			return false;
		whole = record_at(ring, size, &from, head, r) &&
		    r->length <= cap;
		if (whole) {
			look_ahead(ring, size, from + need(r->length), head);
			memcpy(to, ring->bytes + (from & (size - 1)) +
			    sizeof(*r), r->length);
		}
		atomic_thread_fence(memory_order_acquire);
		if (GET(ring->oldest) > *at)
			continue;	/* overtaken while copying */
		*at = whole ? from + need(r->length) : head;
		return whole;
	}
	return false;
}

void
rh_ring_begin(const struct rh_ring *ring, struct rh_ring_cursor *c)
{
	c->tail = GET(ring->tail);
	c->items_out = GET(ring->items_out);
}

size_t
rh_ring_next(const struct rh_ring *ring, struct rh_ring_cursor *c, void *to,
    size_t cap, unsigned *items, uint64_t *missed)
{
	struct record r;

	*items = 0;
	*missed = 0;
	if (!copy_next(ring, ring->size, &c->tail, &r, to, cap))
		return 0;
	*items = r.items;
	*missed = r.before > c->items_out ? r.before - c->items_out : 0;
	c->items_out = r.before + r.items;
	return r.length;
}

void
rh_ring_release(struct rh_ring *ring, const struct rh_ring_cursor *c)
{
	/* killed between these two, the next reader takes it again */
	SET(ring->items_out, c->items_out);
	SET_RELEASE(ring->tail, c->tail);
}

size_t
rh_ring_take(struct rh_ring *ring, void *to, size_t cap, unsigned *items,
    uint64_t *missed)
{
	struct rh_ring_cursor c;
	size_t n;

	rh_ring_begin(ring, &c);
	n = rh_ring_next(ring, &c, to, cap, items, missed);
	rh_ring_release(ring, &c);
	return n;
}

unsigned
rh_ring_dare(struct rh_ring *ring)
{
	unsigned before = GET(ring->dares);

	SET(ring->dares, before + 1);
	return before;
}

void
rh_ring_dared(struct rh_ring *ring)
{
	SET(ring->dares, 0);
}

bool
rh_ring_has(const struct rh_ring *ring)
{
	uint64_t tail = GET(ring->tail), oldest = GET(ring->oldest);

	return RH_MAX(tail, oldest) < GET_ACQUIRE(ring->head);
}

size_t
rh_ring_peek(const struct rh_ring *ring, size_t size, uint64_t *at, void *to,
    size_t cap)
{
	struct record r;

	return copy_next(ring, size, at, &r, to, cap) ? r.length : 0;
}
