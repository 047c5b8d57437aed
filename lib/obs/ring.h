/*
 * ring - records from one writer to one reader through shared memory.
 *
 * Shape    a power of two of bytes; records of { u32 length, u32 items, u64
 *          items put before } and the bytes, 8-aligned, never split: a record
 *          that would not fit before the end is preceded by a filler
 * Errors   RH_RING_REFUSE: a put that would overtake the reader is refused,
 *          for the caller to count (log lines: what is there is kept);
 *          RH_RING_OVERWRITE: the oldest go, and the reader learns how many
 *          items it missed (spans: the newest are worth most, and the
 *          exporter reads them after they were shipped)
 * Owner    the segment; one process writes, one reads, others may peek; each
 *          position is written by one side only, so no lock is needed and a
 *          kill at any point leaves whole records. What a reader has copied
 *          and not let go of is the next reader's
 */
#ifndef RH_OBS_RING_H
#define RH_OBS_RING_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"

enum rh_ring_mode { RH_RING_REFUSE, RH_RING_OVERWRITE };

struct rh_ring {
	/* the writer's line */
	_Atomic uint64_t head;		/* bytes ever written */
	_Atomic uint64_t oldest;	/* where the oldest intact record starts */
	_Atomic uint64_t items_in;	/* items ever put */
	uint64_t reserved;		/* where the record under way starts */
	char pad1[32];
	/* the reader's line */
	_Atomic uint64_t tail;		/* bytes taken */
	_Atomic uint64_t items_out;	/* items taken or missed */
	_Atomic uint32_t dares;		/* see rh_ring_dare */
	char pad2[44];
	uint64_t size;			/* bytes, a power of two */
	uint64_t mode;
	char bytes[] __attribute__((aligned(64)));
};

/* Memory for a ring of size bytes, header included. */
size_t rh_ring_footprint(size_t size);
void rh_ring_init(struct rh_ring *ring, size_t size, enum rh_ring_mode mode);
/* What another process left is of that size and mode, and whole throughout. */
bool rh_ring_is_sound(const struct rh_ring *ring, size_t size,
    enum rh_ring_mode mode);

/*
 * Room for a record of up to n bytes to be written in place; NULL if refused
 * or larger than a quarter of the ring. Nothing is visible before the commit.
 */
char *rh_ring_reserve(struct rh_ring *ring, size_t n);
/* Publishes the first n bytes of what was reserved, as so many items. */
void rh_ring_commit(struct rh_ring *ring, size_t n, unsigned items);
/*
 * All but the publishing: what items_in and head have to become for it, in
 * that order. Nothing else may be reserved before they are.
 */
void rh_ring_prepare(struct rh_ring *ring, size_t n, unsigned items,
    uint64_t *items_in, uint64_t *head);

/* Whether one of n bytes overwrites nothing that is still to be read. */
bool rh_ring_has_room(const struct rh_ring *ring, size_t n);

/*
 * How far a reader has come: up to there it copies, and only when it has done
 * with all that it lets go. If it dies before, the ring still has everything.
 */
struct rh_ring_cursor { uint64_t tail, items_out; };
void rh_ring_begin(const struct rh_ring *ring, struct rh_ring_cursor *cursor);
/* As rh_ring_take, but that nothing changes in the ring. */
size_t rh_ring_next(const struct rh_ring *ring, struct rh_ring_cursor *cursor,
    void *to, size_t cap, unsigned *items, uint64_t *missed);
void rh_ring_release(struct rh_ring *ring, const struct rh_ring_cursor *cursor);
/*
 * Around what its reader might die of, so that not each one after it does the
 * same: answers how many in a row have begun it, and not come to the end.
 */
unsigned rh_ring_dare(struct rh_ring *ring);
void rh_ring_dared(struct rh_ring *ring);

/*
 * The next record for the reader, copied to to (cap bytes, at least a quarter
 * of the ring): its length, or 0 when there is none. *items: how many items
 * it holds; *missed: how many were overwritten before they were read.
 */
size_t rh_ring_take(struct rh_ring *ring, void *to, size_t cap,
    unsigned *items, uint64_t *missed);
/* True when rh_ring_take would find a record. */
bool rh_ring_has(const struct rh_ring *ring);

/*
 * For onlookers: walks intact records from *at (0 at first: the oldest), taken
 * or not. Copies one and moves *at; 0 at the end. A record that the writer
 * overtakes while it is copied is skipped. size is what the onlooker knows to
 * be the ring's: what the ring says of itself may have changed since.
 */
size_t rh_ring_peek(const struct rh_ring *ring, size_t size, uint64_t *at,
    void *to, size_t cap);

#endif
