#include "config.h"

#include "obs/wire.h"

#include <endian.h>

#include "base/text.h"

enum wire { VARINT, FIXED64, BYTES, FIXED32 = 5 };

static inline unsigned
varint_bytes(uint64_t n)
{
	unsigned bytes = 1;

	for (; n > 0x7f; n >>= 7)
		bytes++;
	return bytes;
}

static inline char *
varint_put(char *to, uint64_t n)
{
	for (; n > 0x7f; n >>= 7)
		*to++ = (char)(n | 0x80);
	*to++ = (char)n;
	return to;
}

static void
varint(struct rh_buf *to, uint64_t n)
{
	unsigned bytes = varint_bytes(n);
	char *p = rh_buf_room(to, bytes);

	if (p) {
		varint_put(p, n);
		to->n += bytes;
	}
}

static void
tag(struct rh_buf *to, unsigned field, enum wire wire)
{
	varint(to, field << 3 | wire);
}

static void
separate(struct rh_buf *to)
{
	char last = to->n ? to->p[to->n - 1] : '{';

	if (last != '{' && last != '[')
		rh_buf_char(to, ',');
}

static void
name(struct rh_wire *w, const char *member)
{
	separate(w->to);
	if (member) {
		rh_buf_json(w->to, rh_slice_of(member));
		rh_buf_char(w->to, ':');
	}
}

/* Most messages are so short that their length takes one byte: it is kept free. */
size_t
rh_wire_frame(struct rh_wire *w)
{
	rh_buf_char(w->to, 0);
	return w->to->n;
}

size_t
rh_wire_open(struct rh_wire *w, unsigned field, const char *member)
{
	if (w->json) {
		name(w, member);
		rh_buf_char(w->to, '{');
	} else {
		tag(w->to, field, BYTES);
		rh_wire_frame(w);
	}
	return w->to->n;
}

void
rh_wire_close(struct rh_wire *w, size_t start)
{
	size_t n = w->to->n - start;
	unsigned more = varint_bytes(n) - 1;

	if (w->json) {
		rh_buf_char(w->to, '}');
		return;
	}
	if (!rh_buf_room(w->to, more))
		return;
	if (more)
		memmove(w->to->p + start + more, w->to->p + start, n);
	w->to->n = start - 1;
	varint(w->to, n);
	w->to->n += n;
}

void
rh_wire_list(struct rh_wire *w, const char *member)
{
	if (w->json) {
		name(w, member);
		rh_buf_char(w->to, '[');
	}
}

void
rh_wire_list_end(struct rh_wire *w)
{
	if (w->json)
		rh_buf_char(w->to, ']');
}

/* A protobuf string is UTF-8, or the whole request is refused. */
static void
utf8(struct rh_buf *to, struct rh_slice text)
{
	while (text.n) {
		size_t n = rh_utf8_step((const unsigned char *)text.p, text.n);

		if (n)
			rh_buf_put(to, text.p, n);
		else
			rh_buf_lit(to, "\357\277\275");
		text = rh_slice_from(text, n ? n : 1);
	}
}

void
rh_wire_text(struct rh_wire *w, unsigned field, const char *member,
    struct rh_slice text)
{
	size_t start;

	if (w->json) {
		name(w, member);
		rh_buf_json(w->to, text);
		return;
	}
	if (rh_utf8_is(text)) {
		tag(w->to, field, BYTES);
		varint(w->to, text.n);
		rh_buf_slice(w->to, text);
		return;
	}
	start = rh_wire_open(w, field, member);
	utf8(w->to, text);
	rh_wire_close(w, start);
}

void
rh_wire_id(struct rh_wire *w, unsigned field, const char *member,
    struct rh_slice id)
{
	if (w->json) {
		name(w, member);
		rh_buf_char(w->to, '"');
		rh_buf_hex(w->to, id.p, id.n);
		rh_buf_char(w->to, '"');
		return;
	}
	tag(w->to, field, BYTES);
	varint(w->to, id.n);
	rh_buf_slice(w->to, id);
}

/* KeyValue { key 1, value 2 }: where the key goes, and how long it all is. */
struct pair {
	size_t value, all;
	char *at;
};

static bool
pair_room(struct rh_wire *w, unsigned field, struct rh_slice key,
    struct pair *pair)
{
	size_t n = 2 + varint_bytes(key.n) + key.n + varint_bytes(pair->value) +
	    pair->value;

	pair->all = 1 + varint_bytes(n) + n;
	if (!(pair->at = rh_buf_room(w->to, pair->all)))
		return false;
	*pair->at++ = (char)(field << 3 | BYTES);
	pair->at = varint_put(pair->at, n);
	*pair->at++ = 1 << 3 | BYTES;
	pair->at = varint_put(pair->at, key.n);
	memcpy(pair->at, key.p, key.n);
	pair->at += key.n;
	*pair->at++ = 2 << 3 | BYTES;
	pair->at = varint_put(pair->at, pair->value);
	return true;
}

#define SHORT_MAX	112	/* of key and text: all lengths are a byte then */

static char *
put_short(char *to, unsigned tag, struct rh_slice text)
{
	to[0] = (char)tag;
	to[1] = (char)text.n;
	memcpy(to + 2, text.n ? text.p : "", text.n);
	return to + 2 + text.n;
}

static void
pair_short(struct rh_wire *w, unsigned field, struct rh_slice key,
    struct rh_slice text)
{
	size_t n = key.n + text.n + 8;
	char *to = rh_buf_room(w->to, n);

	if (!to)
		return;
	to[0] = (char)(field << 3 | BYTES);
	to[1] = (char)(n - 2);
	to = put_short(to + 2, 1 << 3 | BYTES, key);
	to[0] = 2 << 3 | BYTES;
	to[1] = (char)(text.n + 2);
	put_short(to + 2, 1 << 3 | BYTES, text);
	w->to->n += n;
}

bool
rh_wire_pair_text(struct rh_wire *w, unsigned field, struct rh_slice key,
    struct rh_slice text)
{
	struct pair pair = { .value = 1 + varint_bytes(text.n) + text.n };

	if (w->json || field > 15 || !rh_utf8_is(key) || !rh_utf8_is(text))
		return false;
	if (key.n + text.n <= SHORT_MAX) {
		pair_short(w, field, key, text);
		return true;
	}
	if (!pair_room(w, field, key, &pair))
		return true;
	*pair.at++ = 1 << 3 | BYTES;
	pair.at = varint_put(pair.at, text.n);
	if (text.n)
		memcpy(pair.at, text.p, text.n);
	w->to->n += pair.all;
	return true;
}

bool
rh_wire_pair_int(struct rh_wire *w, unsigned field, struct rh_slice key,
    int64_t number)
{
	struct pair pair = { .value = 1 + varint_bytes((uint64_t)number) };

	if (w->json || field > 15 || !rh_utf8_is(key))
		return false;
	if (!pair_room(w, field, key, &pair))
		return true;
	*pair.at++ = 3 << 3 | VARINT;
	varint_put(pair.at, (uint64_t)number);
	w->to->n += pair.all;
	return true;
}

void
rh_wire_small(struct rh_wire *w, unsigned field, const char *member,
    uint32_t n)
{
	if (w->json) {
		name(w, member);
		rh_buf_u64(w->to, n);
		return;
	}
	tag(w->to, field, VARINT);
	varint(w->to, n);
}

void
rh_wire_fixed32(struct rh_wire *w, unsigned field, const char *member,
    uint32_t n)
{
	if (w->json) {
		rh_wire_small(w, field, member, n);
		return;
	}
	tag(w->to, field, FIXED32);
	n = htole32(n);
	rh_buf_put(w->to, &n, sizeof(n));
}

/* 64 bits are a string in JSON: a double would round them. */
static void
quoted(struct rh_wire *w, const char *member, int64_t n)
{
	name(w, member);
	rh_buf_char(w->to, '"');
	rh_buf_i64(w->to, n);
	rh_buf_char(w->to, '"');
}

void
rh_wire_fixed64(struct rh_wire *w, unsigned field, const char *member,
    uint64_t n)
{
	if (w->json) {
		quoted(w, member, (int64_t)n);
		return;
	}
	tag(w->to, field, FIXED64);
	n = htole64(n);
	rh_buf_put(w->to, &n, sizeof(n));
}

void
rh_wire_int(struct rh_wire *w, unsigned field, const char *member, int64_t n)
{
	if (w->json) {
		quoted(w, member, n);
		return;
	}
	tag(w->to, field, VARINT);
	varint(w->to, (uint64_t)n);
}
