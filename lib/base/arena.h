/*
 * arena - memory that lives as long as its request, or its worker.
 *
 * Shape    a list of blocks, filled from front to back; defers run newest
 *          first when the arena is reset or destroyed
 * Units    bytes; every pointer is aligned for any type
 * Errors   none: header, body and row limits come first, so crossing the cap
 *          is a bug and asserts
 * Owner    one process, one thread; what it returns is never freed by hand
 * Source   the idea of cleanups: nginx's pools
 *
 * --enable-arena-malloc gives each allocation a malloc of its own, so that
 * AddressSanitizer sees inside.
 */
#ifndef RH_BASE_ARENA_H
#define RH_BASE_ARENA_H

#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"

struct rh_arena;

/* first_bytes are kept over resets; cap_bytes is the most it may ever hold. */
struct rh_arena *rh_arena_new(size_t first_bytes, size_t cap_bytes);
void rh_arena_destroy(struct rh_arena **arena);
/* Runs the defers, then forgets all that was allocated. */
void rh_arena_reset(struct rh_arena *arena);

/* Uninitialized memory. */
void *rh_arena_alloc(struct rh_arena *arena, size_t bytes)
    __attribute__((malloc, returns_nonnull));
/* count * size bytes of zeros; asserts on overflow. */
void *rh_arena_zalloc(struct rh_arena *arena, size_t count, size_t size)
    __attribute__((malloc, returns_nonnull));
#define RH_NEW(arena, type)	((type *)rh_arena_zalloc((arena), 1, sizeof(type)))
/*
 * Grows the arena's last allocation in place where it can; else copies. Any
 * older allocation may be passed as well.
 */
void *rh_arena_grow(struct rh_arena *arena, void *p, size_t old_bytes,
    size_t new_bytes) __attribute__((returns_nonnull));

/* Copies with a NUL behind the bytes. */
char *rh_arena_strdup(struct rh_arena *arena, struct rh_slice text);
struct rh_slice rh_arena_slice(struct rh_arena *arena, struct rh_slice text);
char *rh_arena_printf(struct rh_arena *arena, const char *fmt, ...)
    RH_PRINTF(2, 3);

/* done(what) runs at the next reset or at the arena's end. */
void rh_arena_defer(struct rh_arena *arena, void (*done)(void *), void *what);

/* Bytes handed out since the last reset. */
size_t rh_arena_used(const struct rh_arena *arena);

#endif
