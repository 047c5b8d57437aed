/*
 * buf - bytes under construction: a reply, a log line, a protobuf message.
 *
 * Shape    { p, n, cap }; grows in an arena, or stands on memory of the
 *          caller and cannot grow (arena == NULL)
 * Errors   latched: what does not fit turns all that follows into no-ops and
 *          sets full; check once, at the end [Varnish's VSB]
 * Owner    the arena, or whoever gave the memory
 */
#ifndef RH_BASE_BUF_H
#define RH_BASE_BUF_H

#include <stdarg.h>
#include <stdint.h>

#include "base/arena.h"

struct rh_buf {
	char *p;
	size_t n;
	size_t cap;
	size_t max;
	struct rh_arena *arena;
	bool full;
};

/* Grows in the arena from cap bytes at first up to max bytes. */
void rh_buf_init(struct rh_buf *b, struct rh_arena *arena, size_t cap,
    size_t max);
/* Stands on bytes of the caller's. */
void rh_buf_init_fixed(struct rh_buf *b, void *memory, size_t bytes);
/* Room for bytes more at b->p + b->n, or NULL and full. */
char *rh_buf_room_slow(struct rh_buf *b, size_t bytes);

static inline char *
rh_buf_room(struct rh_buf *b, size_t bytes)
{
	if (RH_LIKELY(b->cap - b->n >= bytes && !b->full))
		return b->p + b->n;
	return rh_buf_room_slow(b, bytes);
}

static inline void
rh_buf_put(struct rh_buf *b, const void *bytes, size_t n)
{
	char *to = rh_buf_room(b, n);

	if (to && n) {
		memcpy(to, bytes, n);
		b->n += n;
	}
}

static inline void
rh_buf_char(struct rh_buf *b, char c)
{
	char *to = rh_buf_room(b, 1);

	if (to) {
		*to = c;
		b->n++;
	}
}

static inline void
rh_buf_slice(struct rh_buf *b, struct rh_slice s)
{
	rh_buf_put(b, s.p, s.n);
}

/* A string literal. */
#define rh_buf_lit(b, literal)	rh_buf_put((b), "" literal, sizeof(literal) - 1)

static inline struct rh_slice
rh_buf_get(const struct rh_buf *b)
{
	return (struct rh_slice){ b->p, b->n };
}

void rh_buf_u64(struct rh_buf *b, uint64_t value);
void rh_buf_i64(struct rh_buf *b, int64_t value);
/* value / 10^decimals in decimal notation: (1234, 3) is "1.234". */
void rh_buf_fixed(struct rh_buf *b, uint64_t value, unsigned decimals);
/* A double that reads back as itself, in as few digits as that takes. */
void rh_buf_double(struct rh_buf *b, double value);
void rh_buf_hex(struct rh_buf *b, const void *bytes, size_t n);
/*
 * The text as a JSON string with its quotes (RFC 8259 section 7). Bytes that
 * are not UTF-8 become U+FFFD: whatever comes in, what goes out is valid.
 */
void rh_buf_json(struct rh_buf *b, struct rh_slice text);
/* Slow: for texts made once, not once a request. */
void rh_buf_printf(struct rh_buf *b, const char *fmt, ...) RH_PRINTF(2, 3);
void rh_buf_vprintf(struct rh_buf *b, const char *fmt, va_list ap)
    RH_PRINTF(2, 0);

#endif
