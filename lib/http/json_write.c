#include "config.h"

#include "http/json_write.h"

#include "base/clock.h"

/* Room for n bytes behind the field's name; NULL and full. */
static inline char *
value_open(struct rh_buf *b, const struct rh_field *f, size_t n)
{
	/* a copy of a known length is two instructions, so there is room for it */
	char *to = rh_buf_room(b, sizeof(f->key) + n);

	if (!to)
		return NULL;
	memcpy(to, f->key, sizeof(f->key));
	b->n += f->key_n + n;
	return to + f->key_n;
}

static void
put_plain(struct rh_buf *b, const struct rh_field *f, struct rh_slice bytes)
{
	char *to = value_open(b, f, bytes.n);

	if (to)
		memcpy(to, bytes.p, bytes.n);
}

static void
put_key(struct rh_buf *b, const struct rh_field *f)
{
	(void)value_open(b, f, 0);
}

static void
put_uuid(struct rh_buf *b, const struct rh_field *f, struct rh_uuid id)
{
	char *to = value_open(b, f, RH_UUID_LEN + 2);

	if (!to)
		return;
	to[0] = to[RH_UUID_LEN + 1] = '"';
	rh_uuid_put(to + 1, id);
}

static void
put_time(struct rh_buf *b, const struct rh_field *f, int64_t wall_us)
{
	char *to = value_open(b, f, RH_TIME_LEN + 2);

	if (!to)
		return;
	to[0] = '"';
	rh_time_put(to + 1, wall_us);
	to[RH_TIME_LEN + 1] = '"';
}

static bool
is_null(const struct rh_field *f, const void *at)
{
	switch (f->type) {
	case RH_T_TEXT:
	case RH_T_JSON:
	case RH_T_TEXTS:
		return !((const struct rh_slice *)at)->p;
	case RH_T_UUID:
		return rh_uuid_is_nil(*(const struct rh_uuid *)at);
	case RH_T_TIME:
		return *(const int64_t *)at == RH_TIME_NONE ||
		    *(const int64_t *)at == RH_TIME_INFINITY;
	case RH_T_INT:
		return f->flags & RH_F_NULLABLE &&
		    *(const int64_t *)at == RH_INT_NONE;
	case RH_T_ENUM:
		return *(const int *)at < 0;
	default:
		return false;
	}
}

static void
put_value(struct rh_buf *b, const struct rh_field *f, const void *at)
{
	const struct rh_list *list = at;

	if (is_null(f, at)) {
		put_plain(b, f, RH_SLICE("null"));
		return;
	}
	switch (f->type) {
	case RH_T_TEXT:
		put_key(b, f);
		rh_buf_json(b, *(const struct rh_slice *)at);
		break;
	case RH_T_UUID:
		put_uuid(b, f, *(const struct rh_uuid *)at);
		break;
	case RH_T_TIME:
		put_time(b, f, *(const int64_t *)at);
		break;
	case RH_T_INT:
		put_key(b, f);
		rh_buf_i64(b, *(const int64_t *)at);
		break;
	case RH_T_BOOL:
		put_plain(b, f, *(const bool *)at ? RH_SLICE("true") :
		    RH_SLICE("false"));
		break;
	case RH_T_ENUM:
		put_key(b, f);
		rh_buf_json(b, rh_slice_of(f->names[*(const int *)at]));
		break;
	case RH_T_OBJECT:
		put_key(b, f);
		rh_shape_write(b, f->of, at);
		break;
	case RH_T_LIST:
		put_key(b, f);
		rh_shape_write_list(b, f->of, list->items, list->n, f->size);
		break;
	case RH_T_JSON:
	case RH_T_TEXTS:
		put_plain(b, f, *(const struct rh_slice *)at);
		break;
	case RH_T_END:
		break;
	}
}

void
rh_shape_write(struct rh_buf *to, const struct rh_field *shape,
    const void *object)
{
	size_t start = to->n;

	for (const struct rh_field *f = shape; f->type != RH_T_END; f++)
		if (!(f->flags & RH_F_INTERNAL))
			put_value(to, f, (const char *)object + f->at);
	/* where the first one's comma is */
	if (to->n > start)
		to->p[start] = '{';
	else
		rh_buf_char(to, '{');
	rh_buf_char(to, '}');
}

void
rh_shape_write_list(struct rh_buf *to, const struct rh_field *shape,
    const void *items, size_t n, size_t item_bytes)
{
	rh_buf_char(to, '[');
	for (size_t i = 0; i < n; i++) {
		if (i)
			rh_buf_char(to, ',');
		rh_shape_write(to, shape, (const char *)items + i * item_bytes);
	}
	rh_buf_char(to, ']');
}
