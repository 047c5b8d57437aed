#include "config.h"

#include "base/buf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json_plain.h"
#include "base/text.h"

void
rh_buf_init(struct rh_buf *b, struct rh_arena *arena, size_t cap, size_t max)
{
	*b = (struct rh_buf){ .p = rh_arena_alloc(arena, cap), .cap = cap,
	    .max = RH_MAX(cap, max), .arena = arena };
}

void
rh_buf_init_fixed(struct rh_buf *b, void *memory, size_t bytes)
{
	*b = (struct rh_buf){ .p = memory, .cap = bytes, .max = bytes };
}

char *
rh_buf_room_slow(struct rh_buf *b, size_t bytes)
{
	size_t cap;

	if (b->full || !b->arena || bytes > b->max - b->n) {
		b->full = true;
		return NULL;
	}
	cap = RH_MIN(RH_MAX(b->cap * 2, b->n + bytes), b->max);
	b->p = rh_arena_grow(b->arena, b->p, b->cap, cap);
	b->cap = cap;
	return b->p + b->n;
}

#define DIGITS_MAX	20	/* of 2^64 - 1 */

/* Writes value's digits so that they end at end; answers the first one. */
static char *
digits(char *end, uint64_t value)
{
	while (value >= 100) {
		end -= 2;
		memcpy(end, rh_pairs[value % 100], 2);
		value /= 100;
	}
	if (value >= 10) {
		end -= 2;
		memcpy(end, rh_pairs[value], 2);
	} else
		*--end = (char)('0' + value);
	return end;
}

/* n of the DIGITS_MAX bytes that can be read at p. */
static void
put_digits(struct rh_buf *b, const char *p, size_t n)
{
	/* a copy of a known length is two instructions */
	if (RH_LIKELY(b->cap - b->n >= DIGITS_MAX && !b->full)) {
		memcpy(b->p + b->n, p, DIGITS_MAX);
		b->n += n;
	} else
		rh_buf_put(b, p, n);
}

void
rh_buf_u64(struct rh_buf *b, uint64_t value)
{
	char text[DIGITS_MAX];

	if (RH_LIKELY(b->cap - b->n >= DIGITS_MAX && !b->full))
		b->n = (size_t)(rh_u64_put(b->p + b->n, value) - b->p);
	else
		rh_buf_put(b, text, (size_t)(rh_u64_put(text, value) - text));
}

void
rh_buf_i64(struct rh_buf *b, int64_t value)
{
	if (value < 0)
		rh_buf_char(b, '-');
	rh_buf_u64(b, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

void
rh_buf_fixed(struct rh_buf *b, uint64_t value, unsigned decimals)
{
	char text[2 * DIGITS_MAX] = { 0 }, *end = text + DIGITS_MAX;
	char *start = digits(end, value);

	rh_assert(decimals < DIGITS_MAX - 1);
	while (end - start <= (long)decimals)
		*--start = '0';
	put_digits(b, start, (size_t)(end - start) - decimals);
	if (decimals) {
		rh_buf_char(b, '.');
		put_digits(b, end - decimals, decimals);
	}
}

void
rh_buf_double(struct rh_buf *b, double value)
{
	char text[32];
	int precision = 15;

	if (isfinite(value) && value == floor(value) && fabs(value) < 1e15) {
		rh_buf_i64(b, (int64_t)value);
		return;
	}
	do
		snprintf(text, sizeof(text), "%.*g", precision, value);
	while (precision++ < 17 && strtod(text, NULL) != value);
	rh_buf_put(b, text, strlen(text));
}

void
rh_buf_hex(struct rh_buf *b, const void *bytes, size_t n)
{
	char *to = rh_buf_room(b, n * 2);

	if (!to)
		return;
	rh_hex_put(to, bytes, n);
	b->n += n * 2;
}

/*
 * What a byte needs in a JSON string: 0 nothing, 'u' a \u00XX, 8 a look at
 * UTF-8, anything else that letter after a backslash.
 */
static const unsigned char json_class[256] = {
	[0 ... 7] = 'u', ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n',
	[11] = 'u', ['\f'] = 'f', ['\r'] = 'r', [14 ... 31] = 'u',
	['"'] = '"', ['\\'] = '\\',
	[127] = 'u', [128 ... 255] = 8
};

/* The first byte, or the first character past ASCII; what is left of text. */
static struct rh_slice
json_odd(struct rh_buf *b, struct rh_slice text)
{
	const unsigned char *s = (const unsigned char *)text.p;
	size_t step = 1;

	switch (json_class[*s]) {
	case 8:
		step = rh_utf8_step(s, text.n);
		if (step)
			rh_buf_put(b, s, step);
		else
			rh_buf_lit(b, "\xef\xbf\xbd");
		break;
	case 'u':
		rh_buf_lit(b, "\\u00");
		rh_buf_hex(b, s, 1);
		break;
	default:
		rh_buf_char(b, '\\');
		rh_buf_char(b, (char)json_class[*s]);
	}
	return rh_slice_from(text, step ? step : 1);
}

void
rh_buf_json(struct rh_buf *b, struct rh_slice text)
{
	size_t plain = rh_json_plain(text.p, text.n);
	char *to;

	if (RH_LIKELY(plain == text.n)) {
		if (!(to = rh_buf_room(b, text.n + 2)))
			return;
		to[0] = to[text.n + 1] = '"';
		memcpy(to + 1, text.n ? text.p : "", text.n);
		b->n += text.n + 2;
		return;
	}
	rh_buf_char(b, '"');
	while (text.n) {
		rh_buf_put(b, text.p, plain);
		text = rh_slice_from(text, plain);
		while (text.n && json_class[(unsigned char)*text.p])
			text = json_odd(b, text);
		plain = rh_json_plain(text.p, text.n);
	}
	rh_buf_char(b, '"');
}

void
rh_buf_vprintf(struct rh_buf *b, const char *fmt, va_list ap)
{
	va_list again;
	char *to;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	rh_assert(n >= 0);
	if ((to = rh_buf_room(b, (size_t)n + 1))) {
		vsnprintf(to, (size_t)n + 1, fmt, again);
		b->n += (size_t)n;
	}
	va_end(again);
}

void
rh_buf_printf(struct rh_buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	rh_buf_vprintf(b, fmt, ap);
	va_end(ap);
}
