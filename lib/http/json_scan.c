#include "config.h"

#include "base/crypto.h"
#include "base/text.h"
#include "base/json_plain.h"
#include "http/shape.h"

/*
 * json-c, strict as it can be told to be, still lets through duplicate keys,
 * NaN, "1.", raw control characters, overlong UTF-8 and surrogates, and cuts a
 * key at \u0000: nothing of that reaches it.
 */

#define DEPTH_MAX	16
#define MEMBERS_MAX	256	/* of one object; a table has 64 rows at most */

struct scan {
	const unsigned char *p, *end;
	const char *why;
	unsigned depth;
	unsigned nkeys;		/* of all objects that are open */
	uint64_t keys[DEPTH_MAX * MEMBERS_MAX];
};

static bool scan_value(struct scan *s);

static bool
fail(struct scan *s, const char *why)
{
	if (!s->why)
		s->why = why;
	return false;
}

static void
skip_space(struct scan *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' ||
	    *s->p == '\n' || *s->p == '\r'))
		s->p++;
}

static bool
next_is(struct scan *s, char c)
{
	if (s->p == s->end || *s->p != (unsigned char)c)
		return false;
	s->p++;
	return true;
}

static bool
word(struct scan *s, struct rh_slice text)
{
	struct rh_slice rest = { (const char *)s->p, (size_t)(s->end - s->p) };

	if (!rh_slice_has_prefix(rest, text))
		return fail(s, "not a JSON value");
	s->p += text.n;
	return true;
}

static bool
digits(struct scan *s)
{
	const unsigned char *start = s->p;

	while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
		s->p++;
	return s->p > start || fail(s, "a number without a digit");
}

static bool
number(struct scan *s)
{
	(void)next_is(s, '-');
	if (next_is(s, '0')) {
		if (s->p < s->end && *s->p >= '0' && *s->p <= '9')
			return fail(s, "a number with a leading zero");
	} else if (!digits(s))
		return false;
	if (next_is(s, '.') && !digits(s))
		return false;
	if (!next_is(s, 'e') && !next_is(s, 'E'))
		return true;
	if (!next_is(s, '+'))
		(void)next_is(s, '-');
	return digits(s);
}

/* The four digits of a \u escape, of which "\u" is behind us; -1: no such. */
static int
unicode(struct scan *s)
{
	unsigned char b[2];

	if (s->end - s->p < 4 || !rh_hex_get(b, 2,
	    (struct rh_slice){ (const char *)s->p, 4 }, true))
		return -1;
	s->p += 4;
	return b[0] << 8 | b[1];
}

/* FNV-1a, as rh_hash64, a byte at a time: of what a key is once unescaped. */
static void
hash_byte(uint64_t *hash, unsigned byte)
{
	if (hash)
		*hash = (*hash ^ byte) * 0x100000001b3;
}

static void
hash_code_point(uint64_t *hash, unsigned c)
{
	if (c < 0x80) {
		hash_byte(hash, c);
		return;
	}
	if (c < 0x800)
		hash_byte(hash, 0xc0 | c >> 6);
	else if (c < 0x10000)
		hash_byte(hash, 0xe0 | c >> 12);
	else {
		hash_byte(hash, 0xf0 | c >> 18);
		hash_byte(hash, 0x80 | (c >> 12 & 0x3f));
	}
	if (c >= 0x800)
		hash_byte(hash, 0x80 | (c >> 6 & 0x3f));
	hash_byte(hash, 0x80 | (c & 0x3f));
}

static bool
unicode_escape(struct scan *s, uint64_t *hash)
{
	int c = unicode(s), low;

	if (c < 0)
		return fail(s, "\\u without four hexadecimal digits");
	if (c == 0)
		return fail(s, "U+0000 in a string");
	if (c >= 0xdc00 && c <= 0xdfff)
		return fail(s, "half of a surrogate pair");
	if (c >= 0xd800 && c <= 0xdbff) {
		if (!next_is(s, '\\') || !next_is(s, 'u'))
			return fail(s, "half of a surrogate pair");
		low = unicode(s);
		if (low < 0xdc00 || low > 0xdfff)
			return fail(s, "half of a surrogate pair");
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	}
	hash_code_point(hash, (unsigned)c);
	return true;
}

static bool
escape(struct scan *s, uint64_t *hash)
{
	static const char letters[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
	const char *at;

	if (next_is(s, 'u'))
		return unicode_escape(s, hash);
	if (s->p == s->end || !*s->p || !(at = strchr(letters, *s->p)))
		return fail(s, "an escape that JSON does not know");
	hash_byte(hash, (unsigned char)bytes[at - letters]);
	s->p++;
	return true;
}

/* Behind the opening quote; the hash is wanted for keys, NULL otherwise. */
static bool
string(struct scan *s, uint64_t *hash)
{
	size_t step;

	while (s->p < s->end && *s->p != '"') {
		if (!hash && (step = rh_json_plain((const char *)s->p,
		    (size_t)(s->end - s->p)))) {
			s->p += step;
			continue;
		}
		if (*s->p == '\\') {
			s->p++;
			if (!escape(s, hash))
				return false;
			continue;
		}
		if (*s->p < 0x20)
			return fail(s, "a control character in a string");
		step = rh_utf8_step(s->p, (size_t)(s->end - s->p));
		if (!step)
			return fail(s, "bytes that are not UTF-8");
		for (; step; step--)
			hash_byte(hash, *s->p++);
	}
	return next_is(s, '"') || fail(s, "a string without its end");
}

static bool
key(struct scan *s, unsigned base)
{
	uint64_t hash = 0xcbf29ce484222325;

	if (!next_is(s, '"'))
		return fail(s, "a member without a name");
	if (!string(s, &hash))
		return false;
	for (unsigned i = base; i < s->nkeys; i++)
		if (s->keys[i] == hash)
			return fail(s, "a name that the object already has");
	if (s->nkeys - base == MEMBERS_MAX)
		return fail(s, "too many members");
	s->keys[s->nkeys++] = hash;
	return true;
}

static bool
member(struct scan *s, unsigned base)
{
	skip_space(s);
	if (!key(s, base))
		return false;
	skip_space(s);
	if (!next_is(s, ':'))
		return fail(s, "a member without a colon");
	return scan_value(s);
}

static bool
object(struct scan *s)
{
	unsigned base = s->nkeys;

	skip_space(s);
	if (next_is(s, '}'))
		return true;
	do {
		if (!member(s, base))
			return false;
		skip_space(s);
	} while (next_is(s, ','));
	s->nkeys = base;
	return next_is(s, '}') || fail(s, "an object without its end");
}

static bool
array(struct scan *s)
{
	skip_space(s);
	if (next_is(s, ']'))
		return true;
	do {
		if (!scan_value(s))
			return false;
		skip_space(s);
	} while (next_is(s, ','));
	return next_is(s, ']') || fail(s, "an array without its end");
}

static bool
nested(struct scan *s, bool (*inside)(struct scan *))
{
	if (s->depth == DEPTH_MAX)
		return fail(s, "nested too deep");
	s->depth++;
	s->p++;
	if (!inside(s))
		return false;
	s->depth--;
	return true;
}

static bool
scan_value(struct scan *s)
{
	skip_space(s);
	if (s->p == s->end)
		return fail(s, "a value is missing");
	switch (*s->p) {
	case '{':
		return nested(s, object);
	case '[':
		return nested(s, array);
	case '"':
		s->p++;
		return string(s, NULL);
	case 't':
		return word(s, RH_SLICE("true"));
	case 'f':
		return word(s, RH_SLICE("false"));
	case 'n':
		return word(s, RH_SLICE("null"));
	case '-': case '0': case '1': case '2': case '3': case '4': case '5':
	case '6': case '7': case '8': case '9':
		return number(s);
	default:
		return fail(s, "not a JSON value");
	}
}

const char *
rh_json_scan(struct rh_slice json, size_t *at)
{
	/* 32 KiB of keys, not cleared: only nkeys of them are ever read */
	struct scan s;

	s.p = (const unsigned char *)json.p;
	s.end = s.p + json.n;
	s.why = NULL;
	s.depth = s.nkeys = 0;
	if (scan_value(&s)) {
		skip_space(&s);
		if (s.p != s.end)
			(void)fail(&s, "something behind the value");
	}
	*at = (size_t)(s.p - (const unsigned char *)json.p);
	return s.why;
}
