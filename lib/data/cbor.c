#include "config.h"

#include "data/cbor.h"

#include <cbor.h>
#include <stdlib.h>

#include "base/text.h"

/* A container whose items are being read. */
struct frame {
	struct rh_cbor *of;
	size_t at, end;
};

struct reading {
	struct rh_arena *arena;
	const char *why;
	size_t left;		/* bytes from here to the end */
	size_t elements;
	struct rh_cbor *root;
	unsigned depth;
	bool done;
	struct frame frames[RH_CBOR_DEPTH_MAX];
};

static int
compare_keys(const void *a, const void *b)
{
	return rh_cbor_compare(a, b);
}

/* What is sorted already, as our own maps are, is only looked at. */
static void
close_map(struct reading *r, struct rh_cbor *map)
{
	size_t pair = 2 * sizeof(struct rh_cbor);
	int order = -1;

	for (size_t i = 1; i < map->n && order < 0; i++)
		order = rh_cbor_compare(&map->items[2 * i - 2],
		    &map->items[2 * i]);
	if (order > 0) {
		qsort(map->items, map->n, pair, compare_keys);
		order = -1;
		for (size_t i = 1; i < map->n && order < 0; i++)
			order = rh_cbor_compare(&map->items[2 * i - 2],
			    &map->items[2 * i]);
	}
	if (order == 0)
		r->why = "a key comes twice";
}

/* A value is complete, and with it perhaps what it stands in. */
static void
complete(struct reading *r)
{
	while (r->depth && !r->why) {
		struct frame *f = &r->frames[r->depth - 1];

		if (f->at < f->end)
			return;
		if (f->of->kind == RH_CBOR_MAP)
			close_map(r, f->of);
		r->depth--;
	}
	r->done = r->depth == 0;
}

static struct rh_cbor *
next_value(struct reading *r)
{
	struct frame *f;

	if (r->depth == 0)
		return r->root;
	f = &r->frames[r->depth - 1];
	return &f->of->items[f->at++];
}

static void
put(struct reading *r, struct rh_cbor value)
{
	*next_value(r) = value;
	complete(r);
}

/* elements are counted before anything is allocated for them. */
static void
open_container(struct reading *r, enum rh_cbor_kind kind, uint64_t number,
    size_t n, size_t items)
{
	struct rh_cbor *value;

	if (r->depth == RH_CBOR_DEPTH_MAX)
		r->why = "it is nested too deep";
	else if (n > RH_CBOR_ELEMENTS_MAX - r->elements)
		r->why = "it has too many elements";
	else if (items > r->left)
		r->why = "it ends too early";
	if (r->why)
		return;
	if (kind != RH_CBOR_TAG)
		r->elements += n;
	value = next_value(r);
	*value = (struct rh_cbor){ .kind = kind, .number = number,
	    .items = rh_arena_zalloc(r->arena, items + 1, sizeof(*value)),
	    .n = n };
	r->frames[r->depth++] = (struct frame){ value, 0, items };
	complete(r);
}

/* ---- libcbor's callbacks ---- */

#define WHOLE(name, c_type, cbor_kind)						\
	static void								\
	on_##name(void *r, c_type number)					\
	{									\
		put(r, (struct rh_cbor){ .kind = (cbor_kind),			\
		    .number = number });					\
	}
WHOLE(uint8, uint8_t, RH_CBOR_UINT)
WHOLE(uint16, uint16_t, RH_CBOR_UINT)
WHOLE(uint32, uint32_t, RH_CBOR_UINT)
WHOLE(uint64, uint64_t, RH_CBOR_UINT)
WHOLE(negint8, uint8_t, RH_CBOR_NINT)
WHOLE(negint16, uint16_t, RH_CBOR_NINT)
WHOLE(negint32, uint32_t, RH_CBOR_NINT)
WHOLE(negint64, uint64_t, RH_CBOR_NINT)
WHOLE(bool, bool, RH_CBOR_BOOL)

static void
on_bytes(void *r, cbor_data at, size_t n)
{
	put(r, (struct rh_cbor){ .kind = RH_CBOR_BYTES,
	    .text = { (const char *)at, n } });
}

static void
on_text(void *context, cbor_data at, size_t n)
{
	struct reading *r = context;
	struct rh_slice text = { (const char *)at, n };

	if (rh_utf8_is(text))
		put(r, (struct rh_cbor){ .kind = RH_CBOR_TEXT, .text = text });
	else
		r->why = "a text is not UTF-8";
}

static void
on_array(void *r, size_t n)
{
	open_container(r, RH_CBOR_ARRAY, 0, n, n);
}

static void
on_map(void *context, size_t n)
{
	struct reading *r = context;

	if (n > RH_CBOR_ELEMENTS_MAX)
		r->why = "it has too many elements";
	else
		open_container(r, RH_CBOR_MAP, 0, n, 2 * n);
}

static void
on_tag(void *r, uint64_t number)
{
	open_container(r, RH_CBOR_TAG, number, 1, 1);
}

static void
on_float(void *r, float real)
{
	put(r, (struct rh_cbor){ .kind = RH_CBOR_FLOAT, .real = real });
}

static void
on_double(void *r, double real)
{
	put(r, (struct rh_cbor){ .kind = RH_CBOR_FLOAT, .real = real });
}

static void
on_null(void *r)
{
	put(r, (struct rh_cbor){ .kind = RH_CBOR_NULL });
}

static void
on_undefined(void *r)
{
	put(r, (struct rh_cbor){ .kind = RH_CBOR_UNDEFINED });
}

static void
on_indefinite(void *context)
{
	struct reading *r = context;

	r->why = "its length is not said in front";
}

static const struct cbor_callbacks callbacks = {
	.uint8 = on_uint8, .uint16 = on_uint16, .uint32 = on_uint32,
	.uint64 = on_uint64,
	.negint8 = on_negint8, .negint16 = on_negint16,
	.negint32 = on_negint32, .negint64 = on_negint64,
	.byte_string = on_bytes, .byte_string_start = on_indefinite,
	.string = on_text, .string_start = on_indefinite,
	.array_start = on_array, .indef_array_start = on_indefinite,
	.map_start = on_map, .indef_map_start = on_indefinite,
	.tag = on_tag, .float2 = on_float, .float4 = on_float,
	.float8 = on_double, .undefined = on_undefined, .null = on_null,
	.boolean = on_bool, .indef_break = on_indefinite,
};

struct rh_err *
rh_cbor_read(struct rh_arena *arena, struct rh_slice bytes,
    struct rh_cbor *value)
{
	struct reading r = { .arena = arena, .root = value };
	struct cbor_decoder_result step;
	size_t at = 0;

	if (bytes.n > RH_CBOR_BYTES_MAX)
		r.why = "it has too many bytes";
	while (!r.done && !r.why) {
		r.left = bytes.n - at;
		step = cbor_stream_decode((cbor_data)bytes.p + at, r.left,
		    &callbacks, &r);
		if (step.status == CBOR_DECODER_NEDATA)
			r.why = "it ends too early";
		else if (step.status == CBOR_DECODER_ERROR)
			r.why = "it is not well-formed";
		else if (!r.why)
			at += step.read;
	}
	if (!r.why && at < bytes.n)
		r.why = "something follows it";
	return r.why ? rh_err_new(arena, RH_E_MALFORMED, "cbor.malformed",
	    "This is no CBOR that can be read: %s, at byte %zu.", r.why, at) :
	    NULL;
}
