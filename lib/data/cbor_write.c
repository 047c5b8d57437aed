#include "config.h"

#include "data/cbor.h"

#include <math.h>
#include <stdlib.h>

#include "base/text.h"
#include "data/cbor_head.h"

struct writing {
	struct rh_buf *to;
	size_t elements;
	const char *why;
};

/* ---- numbers (RFC 8949 sections 4.1, 4.2.1 and appendix D) ---- */

static size_t
put_big_endian(unsigned char *to, uint64_t value, size_t n)
{
	for (size_t i = n; i-- > 0; value >>= 8)
		to[i] = (unsigned char)value;
	return n;
}

size_t
rh_cbor_head(unsigned char to[RH_CBOR_HEAD_MAX], unsigned major, uint64_t number)
{
	size_t n = number < 24 ? 0 : number <= UINT8_MAX ? 1 :
	    number <= UINT16_MAX ? 2 : number <= UINT32_MAX ? 4 : 8;
	static const unsigned char info[] = { [1] = 24, [2] = 25, [4] = 26,
	    [8] = 27 };

	to[0] = (unsigned char)(major << 5 | (n ? info[n] : number));
	return 1 + put_big_endian(to + 1, number, n);
}

/* The half-precision number that is the same, or false. */
static bool
as_half(float real, uint16_t *half)
{
	uint32_t bits, mantissa, sign;
	int exponent;

	memcpy(&bits, &real, sizeof(bits));
	sign = bits >> 16 & 0x8000;
	exponent = (int)(bits >> 23 & 0xff) - 127;
	mantissa = bits & 0x7fffff;
	if (exponent == 128 && !mantissa)		/* infinite */
		*half = (uint16_t)(sign | 0x7c00);
	else if (exponent == -127 && !mantissa)		/* zero */
		*half = (uint16_t)sign;
	else if (exponent >= -14 && exponent <= 15 && !(mantissa & 0x1fff))
		*half = (uint16_t)(sign | (uint32_t)(exponent + 15) << 10 |
		    mantissa >> 13);
	else if (exponent >= -24 && exponent < -14 && !((mantissa | 0x800000) &
	    ((UINT32_C(1) << (-1 - exponent)) - 1)))	/* subnormal */
		*half = (uint16_t)(sign |
		    (mantissa | 0x800000) >> (-1 - exponent));
	else
		return false;
	return true;
}

/* The shortest form that is the same number; every NaN is one. */
static size_t
float_head(unsigned char to[RH_CBOR_HEAD_MAX], double real)
{
	bool is_narrow = fabs(real) <= 0x1.fffffep127 || isinf(real);
	float narrow = is_narrow ? (float)real : 0;
	uint16_t half;
	uint64_t wide;
	uint32_t bits;

	if (isnan(real))
		return put_big_endian(to, 0xf97e00, 3);
	if (!is_narrow || (double)narrow != real) {
		memcpy(&wide, &real, sizeof(wide));
		to[0] = 0xfb;
		return 1 + put_big_endian(to + 1, wide, 8);
	}
	if (as_half(narrow, &half)) {
		to[0] = 0xf9;
		return 1 + put_big_endian(to + 1, half, 2);
	}
	memcpy(&bits, &narrow, sizeof(bits));
	to[0] = 0xfa;
	return 1 + put_big_endian(to + 1, bits, 4);
}

/* ---- a value's first bytes: its kind, and its number or how much follows */

static size_t
value_head(unsigned char to[RH_CBOR_HEAD_MAX], const struct rh_cbor *v)
{
	switch (v->kind) {
	case RH_CBOR_UINT:
	case RH_CBOR_NINT:
	case RH_CBOR_TAG:
		return rh_cbor_head(to, (unsigned)v->kind, v->number);
	case RH_CBOR_BYTES:
	case RH_CBOR_TEXT:
		return rh_cbor_head(to, (unsigned)v->kind, v->text.n);
	case RH_CBOR_ARRAY:
	case RH_CBOR_MAP:
		return rh_cbor_head(to, (unsigned)v->kind, v->n);
	case RH_CBOR_BOOL:
		return put_big_endian(to, v->number ? 0xf5 : 0xf4, 1);
	case RH_CBOR_NULL:
		return put_big_endian(to, 0xf6, 1);
	case RH_CBOR_UNDEFINED:
		return put_big_endian(to, 0xf7, 1);
	case RH_CBOR_FLOAT:
		return float_head(to, v->real);
	}
	return 0;
}

static size_t
items_of(const struct rh_cbor *v)
{
	switch (v->kind) {
	case RH_CBOR_ARRAY:
		return v->n;
	case RH_CBOR_MAP:
		return 2 * v->n;
	case RH_CBOR_TAG:
		return 1;
	default:
		return 0;
	}
}

/* No encoding is the beginning of another: item by item is byte by byte. */
int
rh_cbor_compare(const struct rh_cbor *a, const struct rh_cbor *b)
{
	unsigned char heads[2][RH_CBOR_HEAD_MAX] = { { 0 }, { 0 } };
	int order;

	if (a->kind == RH_CBOR_TEXT && b->kind == RH_CBOR_TEXT &&
	    a->text.n != b->text.n)
		return a->text.n < b->text.n ? -1 : 1;
	(void)value_head(heads[0], a);
	(void)value_head(heads[1], b);
	if ((order = memcmp(heads[0], heads[1], RH_CBOR_HEAD_MAX)))
		return order;
	if (a->kind == RH_CBOR_TEXT || a->kind == RH_CBOR_BYTES)
		return a->text.n ? memcmp(a->text.p, b->text.p, a->text.n) : 0;
	for (size_t i = 0; i < items_of(a); i++)
		if ((order = rh_cbor_compare(&a->items[i], &b->items[i])))
			return order;
	return 0;
}

/* ---- the whole tree ---- */

static int
compare_keys(const void *a, const void *b)
{
	return rh_cbor_compare(a, b);
}

/* Innermost first: a key may have maps in it. */
static void
settle(struct writing *w, struct rh_cbor *v, unsigned depth)
{
	size_t items = items_of(v);

	if (v->kind == RH_CBOR_TEXT && !rh_utf8_is(v->text))
		w->why = "a text is not UTF-8";
	if (v->kind < RH_CBOR_ARRAY || v->kind > RH_CBOR_TAG)
		return;
	if (v->kind != RH_CBOR_TAG &&
	    (v->n > RH_CBOR_ELEMENTS_MAX - w->elements))
		w->why = "it has too many elements";
	else if (depth == RH_CBOR_DEPTH_MAX)
		w->why = "it is nested too deep";
	else if (v->kind != RH_CBOR_TAG)
		w->elements += v->n;
	for (size_t i = 0; i < items && !w->why; i++)
		settle(w, &v->items[i], depth + 1);
	if (w->why || v->kind != RH_CBOR_MAP || v->n < 2)
		return;
	qsort(v->items, v->n, 2 * sizeof(*v), compare_keys);
	for (size_t i = 1; i < v->n; i++)
		if (rh_cbor_compare(&v->items[2 * i - 2], &v->items[2 * i]) == 0)
			w->why = "a key comes twice";
}

static void
write_value(struct rh_buf *to, const struct rh_cbor *v)
{
	unsigned char head[RH_CBOR_HEAD_MAX];

	rh_buf_put(to, head, value_head(head, v));
	if (v->kind == RH_CBOR_TEXT || v->kind == RH_CBOR_BYTES)
		rh_buf_slice(to, v->text);
	for (size_t i = 0; i < items_of(v); i++)
		write_value(to, &v->items[i]);
}

const char *
rh_cbor_write(struct rh_buf *to, struct rh_cbor *value)
{
	struct writing w = { .to = to };
	size_t start = to->n;

	settle(&w, value, 0);
	if (w.why)
		return w.why;
	write_value(to, value);
	if (!to->full && to->n - start > RH_CBOR_BYTES_MAX)
		return "it has too many bytes";
	return to->full ? "there is no room for it" : NULL;
}

bool
rh_cbor_int(const struct rh_cbor *value, int64_t *to)
{
	if (value->kind > RH_CBOR_NINT || value->number > INT64_MAX)
		return false;
	*to = (int64_t)value->number;
	if (value->kind == RH_CBOR_NINT)
		*to = -1 - *to;
	return true;
}

const struct rh_cbor *
rh_cbor_find(const struct rh_cbor *map, struct rh_slice key)
{
	for (size_t i = 0; map->kind == RH_CBOR_MAP && i < map->n; i++)
		if (map->items[2 * i].kind == RH_CBOR_TEXT &&
		    rh_slice_is(map->items[2 * i].text, key))
			return &map->items[2 * i + 1];
	return NULL;
}
