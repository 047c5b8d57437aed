#include "config.h"

#include "data/cbor.h"

#include "base/clock.h"
#include "base/text.h"
#include "data/cbor_head.h"

#define ROWS_MAX	64

/* A table's rows in the order of their keys' encodings. */
struct order {
	unsigned n;
	const struct rh_field *row[ROWS_MAX];
};

static bool
goes_before(const struct rh_field *a, const struct rh_field *b)
{
	size_t n = strlen(a->name), m = strlen(b->name);

	return n != m ? n < m : memcmp(a->name, b->name, n) < 0;
}

static void
sort_rows(struct order *to, const struct rh_field *shape)
{
	to->n = 0;
	for (; shape->type != RH_T_END; shape++) {
		unsigned at = to->n++;

		rh_assert(at < ROWS_MAX);
		for (; at > 0 && goes_before(shape, to->row[at - 1]); at--)
			to->row[at] = to->row[at - 1];
		to->row[at] = shape;
	}
}

/* ---- out ---- */

static void
put_head(struct rh_buf *to, unsigned major, uint64_t number)
{
	unsigned char head[RH_CBOR_HEAD_MAX];

	rh_buf_put(to, head, rh_cbor_head(head, major, number));
}

static bool
put_text(struct rh_buf *to, struct rh_slice text)
{
	if (!rh_utf8_is(text))
		return false;
	put_head(to, RH_CBOR_TEXT, text.n);
	rh_buf_slice(to, text);
	return true;
}

static void
put_int(struct rh_buf *to, int64_t number)
{
	if (number < 0)
		put_head(to, RH_CBOR_NINT, (uint64_t)(-1 - number));
	else
		put_head(to, RH_CBOR_UINT, (uint64_t)number);
}

static bool put_object(struct rh_buf *to, const struct order *order,
    const void *object);

static bool
put_list(struct rh_buf *to, const struct rh_field *f,
    const struct rh_list *list)
{
	struct order order;

	sort_rows(&order, f->of);
	put_head(to, RH_CBOR_ARRAY, list->n);
	for (size_t i = 0; i < list->n; i++)
		if (!put_object(to, &order,
		    (const char *)list->items + i * f->size))
			return false;
	return true;
}

static bool
is_none(const struct rh_field *f, const void *at)
{
	switch (f->type) {
	case RH_T_TEXT:
	case RH_T_JSON:
	case RH_T_TEXTS:
		return !((const struct rh_slice *)at)->p;
	case RH_T_UUID:
		return rh_uuid_is_nil(*(const struct rh_uuid *)at);
	case RH_T_TIME:
		return *(const int64_t *)at == RH_TIME_NONE;
	case RH_T_ENUM:
		return *(const int *)at < 0;
	default:
		return false;
	}
}

static bool
put_value(struct rh_buf *to, const struct rh_field *f, const void *at)
{
	struct order order;

	if (is_none(f, at)) {
		rh_buf_lit(to, "\xf6");
		return true;
	}
	switch (f->type) {
	case RH_T_TEXT:
	case RH_T_JSON:
	case RH_T_TEXTS:
		return put_text(to, *(const struct rh_slice *)at);
	case RH_T_UUID:
		put_head(to, RH_CBOR_BYTES, sizeof(struct rh_uuid));
		rh_buf_put(to, at, sizeof(struct rh_uuid));
		return true;
	case RH_T_TIME:
	case RH_T_INT:
		put_int(to, *(const int64_t *)at);
		return true;
	case RH_T_BOOL:
		rh_buf_char(to, *(const bool *)at ? '\xf5' : '\xf4');
		return true;
	case RH_T_ENUM:
		return put_text(to, rh_slice_of(f->names[*(const int *)at]));
	case RH_T_OBJECT:
		sort_rows(&order, f->of);
		return put_object(to, &order, at);
	case RH_T_LIST:
		return put_list(to, f, at);
	case RH_T_END:
		break;
	}
	return false;
}

static bool
put_object(struct rh_buf *to, const struct order *order, const void *object)
{
	put_head(to, RH_CBOR_MAP, order->n);
	for (unsigned i = 0; i < order->n; i++) {
		const struct rh_field *f = order->row[i];

		if (!put_text(to, rh_slice_of(f->name)) ||
		    !put_value(to, f, (const char *)object + f->at))
			return false;
	}
	return true;
}

bool
rh_cbor_put(struct rh_buf *to, const struct rh_field *shape, const void *object)
{
	struct order order;

	sort_rows(&order, shape);
	return put_object(to, &order, object) && !to->full;
}

/* ---- in ---- */

static bool get_object(struct rh_arena *arena, const struct order *order,
    const struct rh_cbor *map, void *object);

static bool
get_list(struct rh_arena *arena, const struct rh_field *f,
    const struct rh_cbor *from, struct rh_list *list)
{
	struct order order;

	if (from->kind != RH_CBOR_ARRAY)
		return false;
	sort_rows(&order, f->of);
	list->n = from->n;
	list->items = rh_arena_zalloc(arena, from->n + 1, f->size);
	for (size_t i = 0; i < from->n; i++)
		if (!get_object(arena, &order, &from->items[i],
		    (char *)list->items + i * f->size))
			return false;
	return true;
}

/* False: a type that has no null of its own. */
static bool
get_none(const struct rh_field *f, void *at)
{
	switch (f->type) {
	case RH_T_TEXT:
	case RH_T_JSON:
	case RH_T_TEXTS:
		*(struct rh_slice *)at = RH_SLICE_NONE;
		return true;
	case RH_T_UUID:
		*(struct rh_uuid *)at = RH_UUID_NIL;
		return true;
	case RH_T_TIME:
		*(int64_t *)at = RH_TIME_NONE;
		return true;
	case RH_T_ENUM:
		*(int *)at = -1;
		return true;
	default:
		return false;
	}
}

static bool
get_value(struct rh_arena *arena, const struct rh_field *f,
    const struct rh_cbor *from, void *at)
{
	struct order order;

	if (from->kind == RH_CBOR_NULL)
		return get_none(f, at);
	switch (f->type) {
	case RH_T_TEXT:
	case RH_T_JSON:
	case RH_T_TEXTS:
		*(struct rh_slice *)at = from->text;
		return from->kind == RH_CBOR_TEXT;
	case RH_T_UUID:
		if (from->kind != RH_CBOR_BYTES ||
		    from->text.n != sizeof(struct rh_uuid))
			return false;
		memcpy(at, from->text.p, sizeof(struct rh_uuid));
		return true;
	case RH_T_TIME:
	case RH_T_INT:
		return rh_cbor_int(from, at);
	case RH_T_BOOL:
		*(bool *)at = from->number;
		return from->kind == RH_CBOR_BOOL;
	case RH_T_ENUM:
		return from->kind == RH_CBOR_TEXT &&
		    (*(int *)at = rh_field_enum(f, from->text)) >= 0;
	case RH_T_OBJECT:
		sort_rows(&order, f->of);
		return get_object(arena, &order, from, at);
	case RH_T_LIST:
		return get_list(arena, f, from, at);
	case RH_T_END:
		break;
	}
	return false;
}

/* Both are sorted: the i-th key is the i-th row's, or it is another struct. */
static bool
get_object(struct rh_arena *arena, const struct order *order,
    const struct rh_cbor *map, void *object)
{
	if (map->kind != RH_CBOR_MAP || map->n != order->n)
		return false;
	for (unsigned i = 0; i < order->n; i++) {
		const struct rh_cbor *key = &map->items[2 * i];
		const struct rh_field *f = order->row[i];

		if (key->kind != RH_CBOR_TEXT ||
		    !rh_slice_is(key->text, rh_slice_of(f->name)) ||
		    !get_value(arena, f, key + 1, (char *)object + f->at))
			return false;
	}
	return true;
}

struct rh_err *
rh_cbor_get(struct rh_arena *arena, const struct rh_field *shape,
    struct rh_slice bytes, void *object)
{
	struct rh_cbor value;
	struct order order;
	struct rh_err *err;

	if ((err = rh_cbor_read(arena, bytes, &value)))
		return err;
	sort_rows(&order, shape);
	return get_object(arena, &order, &value, object) ? NULL :
	    rh_err_new(arena, RH_E_MALFORMED, "cbor.shape",
	    "This CBOR is another struct than the one that is wanted.");
}
