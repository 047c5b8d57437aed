#include "config.h"

#include "obs/wire.h"

#include "base/text.h"

enum wire { VARINT, FIXED64, BYTES, FIXED32 = 5 };

static void
varint(struct rh_buf *to, uint64_t n)
{
	for (; n > 0x7f; n >>= 7)
		rh_buf_char(to, (char)(n | 0x80));
	rh_buf_char(to, (char)n);
}

static unsigned
varint_bytes(uint64_t n)
{
	unsigned bytes = 1;

	for (; n > 0x7f; n >>= 7)
		bytes++;
	return bytes;
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

static void
little_endian(struct rh_buf *to, uint64_t n, unsigned bytes)
{
	for (; bytes--; n >>= 8)
		rh_buf_char(to, (char)n);
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
	little_endian(w->to, n, 4);
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
	little_endian(w->to, n, 8);
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
