#include "config.h"

#include "base/text.h"

#define TEN(t)	t "0", t "1", t "2", t "3", t "4", t "5", t "6", t "7", t "8", t "9"
const char rh_pairs[100][2] = {
	TEN("0"), TEN("1"), TEN("2"), TEN("3"), TEN("4"), TEN("5"), TEN("6"),
	TEN("7"), TEN("8"), TEN("9"),
};

static const char base62_digits[] =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
static const char base64url_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/*
 * Sixteen bytes at once: ids are most of what a request writes, and much of
 * what it reads.
 */
typedef unsigned char bytes16 __attribute__((vector_size(16)));
typedef unsigned char bytes8 __attribute__((vector_size(8)));
typedef uint16_t words8 __attribute__((vector_size(16)));

/* Of values below 16. */
static inline bytes16
hex_digits(bytes16 values)
{
	return values + '0' + ((bytes16)(values > 9) & ('a' - '0' - 10));
}

static inline __attribute__((always_inline)) void
put_hex16(char to[32], const unsigned char from[16])
{
	bytes16 b, high, low, text;

	memcpy(&b, from, sizeof(b));
	high = hex_digits(b >> 4);
	low = hex_digits(b & 15);
	text = __builtin_shufflevector(high, low, 0, 16, 1, 17, 2, 18, 3, 19,
	    4, 20, 5, 21, 6, 22, 7, 23);
	memcpy(to, &text, sizeof(text));
	text = __builtin_shufflevector(high, low, 8, 24, 9, 25, 10, 26, 11, 27,
	    12, 28, 13, 29, 14, 30, 15, 31);
	memcpy(to + 16, &text, sizeof(text));
}

void
rh_hex_put(char *to, const void *bytes, size_t n)
{
	const unsigned char *b = bytes;
	unsigned char rest[16] = { 0 };
	char text[32];

	for (; n >= 16; n -= 16, b += 16, to += 32)
		put_hex16(to, b);
	if (n == 0)
		return;
	if (n == 8) {	/* a span's id: copies of a known length */
		memcpy(rest, b, 8);
		put_hex16(text, rest);
		memcpy(to, text, 16);
		return;
	}
	memcpy(rest, b, n);
	put_hex16(text, rest);
	memcpy(to, text, n * 2);
}

#define DIGITS_MAX	20	/* of 2^64 - 1 */

static char *
pair_put(char *to, uint64_t value)
{
	memcpy(to, rh_pairs[value], 2);
	return to + 2;
}

/* Most numbers are statuses and sizes. */
char *
rh_u64_put(char *to, uint64_t value)
{
	char text[DIGITS_MAX], *at = text + DIGITS_MAX;
	size_t n;

	if (value < 10) {
		*to = (char)('0' + value);
		return to + 1;
	}
	if (value < 100)
		return pair_put(to, value);
	if (value < 1000) {
		*to = (char)('0' + value / 100);
		return pair_put(to + 1, value % 100);
	}
	if (value < 10000)
		return pair_put(pair_put(to, value / 100), value % 100);
	for (; value >= 100; value /= 100)
		memcpy(at -= 2, rh_pairs[value % 100], 2);
	if (value >= 10)
		memcpy(at -= 2, rh_pairs[value], 2);
	else
		*--at = (char)('0' + value);
	n = (size_t)(text + DIGITS_MAX - at);
	memcpy(to, at, n);
	return to + n;
}

/* What is not 0 in the answer was no digit. */
static bytes16
get_hex8(unsigned char to[8], const char from[16], bool any_case)
{
	bytes16 c, digit, letter, is_digit, is_letter, values;
	words8 pairs;
	bytes8 packed;

	memcpy(&c, from, sizeof(c));
	digit = c - '0';
	letter = (any_case ? c | 0x20 : c) - 'a';
	is_digit = (bytes16)(digit < 10);
	is_letter = (bytes16)(letter < 6);
	values = (digit & is_digit) | ((letter + 10) & is_letter);
	/* a lane holds two digits, the first where lower addresses are */
	pairs = (words8)values;
	if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
		pairs = (pairs << 4 | pairs >> 8) & 0xff;
	else
		pairs = (pairs >> 4 | pairs) & 0xff;
	packed = __builtin_convertvector(pairs, bytes8);
	memcpy(to, &packed, sizeof(packed));
	return ~(is_digit | is_letter);
}

bool
rh_hex_get(void *to, size_t n, struct rh_slice text, bool any_case)
{
	bytes16 bad = { 0 };
	unsigned char *b = to;
	const char *s = text.p;
	uint64_t halves[2];

	if (text.n != 2 * n)
		return false;
	for (; n >= 8; n -= 8, b += 8, s += 16)
		bad |= get_hex8(b, s, any_case);
	if (n) {
		unsigned char bytes[8];
		char rest[16] = "0000000000000000";

		memcpy(rest, s, n * 2);
		bad |= get_hex8(bytes, rest, any_case);
		memcpy(b, bytes, n);
	}
	memcpy(halves, &bad, sizeof(bad));
	return (halves[0] | halves[1]) == 0;
}

void
rh_base64url_put(char *to, const void *bytes, size_t n)
{
	const unsigned char *b = bytes;
	uint32_t bits;

	for (; n >= 3; n -= 3, b += 3) {
		bits = (uint32_t)b[0] << 16 | (uint32_t)b[1] << 8 | b[2];
		*to++ = base64url_digits[bits >> 18];
		*to++ = base64url_digits[bits >> 12 & 63];
		*to++ = base64url_digits[bits >> 6 & 63];
		*to++ = base64url_digits[bits & 63];
	}
	if (n == 0)
		return;
	bits = (uint32_t)b[0] << 16 | (n == 2 ? (uint32_t)b[1] << 8 : 0);
	*to++ = base64url_digits[bits >> 18];
	*to++ = base64url_digits[bits >> 12 & 63];
	if (n == 2)
		*to = base64url_digits[bits >> 6 & 63];
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

#define PAST_ASCII	UINT64_C(0x8080808080808080)

/* The bytes at the beginning that are ASCII, or most of them. */
static size_t
ascii(const char *p, size_t n)
{
	uint64_t word;
	size_t at = 0;

	for (; n - at >= sizeof(word); at += sizeof(word)) {
		memcpy(&word, p + at, sizeof(word));
		if (word & PAST_ASCII)
			return at;
	}
	if (n < sizeof(word))
		return at;
	/* the last ones once more, together with some of those before */
	memcpy(&word, p + n - sizeof(word), sizeof(word));
	return word & PAST_ASCII ? at : n;
}

bool
rh_utf8_is(struct rh_slice text)
{
	const unsigned char *s = (const unsigned char *)text.p;
	size_t step;

	for (size_t i = ascii(text.p, text.n); i < text.n; i += step)
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
