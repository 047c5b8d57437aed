#include "config.h"

#include "base/text.h"

static const char base62_digits[] =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
static const char base64url_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#define EACH(byte)	(0x0101010101010101ull * (byte))

/* Eight digits of four bytes at once: ids are most of what a request writes. */
static void
put_hex4(char *to, const unsigned char *b)
{
	uint64_t x = (uint64_t)b[0] | (uint64_t)b[1] << 8 |
	    (uint64_t)b[2] << 16 | (uint64_t)b[3] << 24, letters;

	x = (x | x << 16) & 0x0000ffff0000ffffull;
	x = (x | x << 8) & 0x00ff00ff00ff00ffull;
	x = (x >> 4 & 0x000f000f000f000full) | (x & 0x000f000f000f000full) << 8;
	letters = (x + EACH(6)) >> 4 & EACH(1);
	x += EACH('0') + letters * ('a' - '0' - 10);
	if (__BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__)
		x = __builtin_bswap64(x);
	memcpy(to, &x, 8);
}

void
rh_hex_put(char *to, const void *bytes, size_t n)
{
	const unsigned char *b = bytes;
	unsigned char rest[4] = { 0 };
	char text[8];

	for (; n >= 4; n -= 4, b += 4, to += 8)
		put_hex4(to, b);
	if (n == 0)
		return;
	memcpy(rest, b, n);
	put_hex4(text, rest);
	memcpy(to, text, n * 2);
}

/* A digit's value, with a bit for what is none and one for upper case. */
#define HEX_NONE	0x80u
#define HEX_UPPER	0x40u
static const unsigned char hex_values[256] = {
	[0 ... '0' - 1] = HEX_NONE,
	['0'] = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
	['9' + 1 ... 'A' - 1] = HEX_NONE,
	['A'] = HEX_UPPER | 10, HEX_UPPER | 11, HEX_UPPER | 12, HEX_UPPER | 13,
	HEX_UPPER | 14, HEX_UPPER | 15,
	['F' + 1 ... 'a' - 1] = HEX_NONE,
	['a'] = 10, 11, 12, 13, 14, 15,
	['f' + 1 ... 255] = HEX_NONE,
};

bool
rh_hex_get(void *to, size_t n, struct rh_slice text, bool any_case)
{
	const unsigned char *s = (const unsigned char *)text.p;
	unsigned char *b = to;
	unsigned bad = 0;

	if (text.n != 2 * n)
		return false;
	for (size_t i = 0; i < n; i++) {
		unsigned high = hex_values[s[2 * i]];
		unsigned low = hex_values[s[2 * i + 1]];

		bad |= high | low;
		b[i] = (unsigned char)(high << 4 | (low & 15));
	}
	return !(bad & (any_case ? HEX_NONE : HEX_NONE | HEX_UPPER));
}

void
rh_base64url_put(char *to, const void *bytes, size_t n)
{
	const unsigned char *b = bytes;
	uint32_t bits = 0;
	unsigned have = 0;

	for (size_t i = 0; i < n; i++) {
		bits = bits << 8 | b[i];
		for (have += 8; have >= 6; have -= 6)
			*to++ = base64url_digits[bits >> (have - 6) & 63];
	}
	if (have)
		*to = base64url_digits[bits << (6 - have) & 63];
}

static int
base64url_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

size_t
rh_base64url_get(void *to, size_t cap, struct rh_slice text)
{
	unsigned char *b = to;
	uint32_t bits = 0;
	unsigned have = 0;
	size_t n = 0;

	for (size_t i = 0; i < text.n; i++) {
		int v = base64url_value(text.p[i]);

		if (v < 0)
			return SIZE_MAX;
		bits = bits << 6 | (uint32_t)v;
		if ((have += 6) < 8)
			continue;
		if (n == cap)
			return SIZE_MAX;
		b[n++] = (unsigned char)(bits >> (have -= 8));
	}
	/* a lone character, or bits set that no encoder would have left */
	if (have == 6 || (bits & ((1u << have) - 1)))
		return SIZE_MAX;
	return n;
}

void
rh_base62_put(char *to, size_t width, uint64_t value)
{
	while (width--) {
		to[width] = base62_digits[value % 62];
		value /= 62;
	}
}

/*
 * RFC 3629 section 4: the second byte's range is what excludes overlong
 * forms (E0, F0), surrogates (ED) and values past U+10FFFF (F4).
 */
size_t
rh_utf8_step(const unsigned char *s, size_t n)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t length;

	if (n == 0)
		return 0;
	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	length = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (length > n)
		return 0;
	if (s[0] == 0xe0)
		low = 0xa0;
	else if (s[0] == 0xed)
		high = 0x9f;
	else if (s[0] == 0xf0)
		low = 0x90;
	else if (s[0] == 0xf4)
		high = 0x8f;
	if (s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < length; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return length;
}

bool
rh_utf8_is(struct rh_slice text)
{
	const unsigned char *s = (const unsigned char *)text.p;
	size_t step;

	for (size_t i = 0; i < text.n; i += step)
		if (!(step = rh_utf8_step(s + i, text.n - i)))
			return false;
	return true;
}

size_t
rh_utf8_count(struct rh_slice text)
{
	size_t count = 0;

	for (size_t i = 0; i < text.n; i++)
		count += ((unsigned char)text.p[i] & 0xc0) != 0x80;
	return count;
}

bool
rh_u64_get(uint64_t *to, struct rh_slice text)
{
	uint64_t value = 0;

	if (text.n == 0 || (text.n > 1 && text.p[0] == '0'))
		return false;
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] < '0' || text.p[i] > '9' ||
		    __builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, text.p[i] - '0', &value))
			return false;
	}
	*to = value;
	return true;
}

bool
rh_i64_get(int64_t *to, struct rh_slice text)
{
	bool minus = text.n && text.p[0] == '-';
	uint64_t value;

	if (!rh_u64_get(&value, minus ? rh_slice_from(text, 1) : text) ||
	    value > (uint64_t)INT64_MAX + minus)
		return false;
	*to = (int64_t)(minus ? -value : value);
	return true;
}
