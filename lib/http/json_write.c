#include "config.h"

#include "http/json_write.h"

#include "base/clock.h"
#include "base/json_plain.h"

#define COLUMNS_MAX	64
#define PREFIX_BYTES	2048
#define PREFIX_USUAL	16
#define DAY_US		86400000000

/* A row of the table with what stands before its value: ,"name": */
struct column {
	const struct rh_field *field;
	const char *prefix;
	size_t prefix_n;
};

struct columns {
	unsigned n;
	struct column column[COLUMNS_MAX];
	char text[PREFIX_BYTES + PREFIX_USUAL];
};

static void
compile(struct columns *to, const struct rh_field *shape)
{
	struct rh_buf b;

	to->n = 0;
	rh_buf_init_fixed(&b, to->text, PREFIX_BYTES);
	for (; shape->type != RH_T_END; shape++) {
		struct column *c = &to->column[to->n];

		if (shape->flags & RH_F_INTERNAL)
			continue;
		rh_assert(to->n < COLUMNS_MAX);
		*c = (struct column){ shape, b.p + b.n, b.n };
		rh_buf_char(&b, to->n++ ? ',' : '{');
		rh_buf_json(&b, rh_slice_of(shape->name));
		rh_buf_char(&b, ':');
		c->prefix_n = b.n - c->prefix_n;
	}
	rh_assert(!b.full);
}

/* What n bytes of a value need, with the prefix in front; NULL and full. */
static inline char *
value_open(struct rh_buf *b, const struct column *c, size_t n)
{
	size_t need = c->prefix_n + n;
	char *to = rh_buf_room(b, need);

	if (!to)
		return NULL;
	/* most names fit: a copy of a known length is two instructions */
	if (c->prefix_n <= PREFIX_USUAL && b->cap - b->n >= need + PREFIX_USUAL)
		memcpy(to, c->prefix, PREFIX_USUAL);
	else
		memcpy(to, c->prefix, c->prefix_n);
	b->n += need;
	return to + c->prefix_n;
}

static void
put_bytes(struct rh_buf *b, const struct column *c, struct rh_slice bytes)
{
	char *to = value_open(b, c, bytes.n);

	if (to && bytes.n)
		memcpy(to, bytes.p, bytes.n);
}

static void
put_text(struct rh_buf *b, const struct column *c, struct rh_slice text)
{
	char *to;

	if (text.n && !rh_json_is_plain(text.p, text.n)) {
		put_bytes(b, c, RH_SLICE(""));
		rh_buf_json(b, text);
		return;
	}
	if (!(to = value_open(b, c, text.n + 2)))
		return;
	to[0] = '"';
	memcpy(to + 1, text.n ? text.p : "", text.n);
	to[text.n + 1] = '"';
}

static void
put_uuid(struct rh_buf *b, const struct column *c, struct rh_uuid id)
{
	char *to = value_open(b, c, RH_UUID_LEN + 2);

	if (!to)
		return;
	to[0] = to[RH_UUID_LEN + 1] = '"';
	rh_uuid_put(to + 1, id);
}

static void
put_pair(char *to, unsigned value)
{
	to[0] = (char)('0' + value / 10);
	to[1] = (char)('0' + value % 10);
}

/*
 * The calendar is most of a time's cost, and rows of a page share days: what
 * rh_time_put made of a day is kept for the next one.
 */
static void
put_time_text(char *to, int64_t wall_us)
{
	static struct { int64_t day; char date[11]; } days[64];
	int64_t day = wall_us / DAY_US;
	uint32_t s, us;

	if (wall_us <= 0 || days[day % 64].day != day) {
		rh_time_put(to, wall_us);
		if (wall_us > 0) {
			days[day % 64].day = day;
			memcpy(days[day % 64].date, to, sizeof(days[0].date));
		}
		return;
	}
	s = (uint32_t)(wall_us % DAY_US / 1000000);
	us = (uint32_t)(wall_us % 1000000);
	memcpy(to, days[day % 64].date, sizeof(days[0].date));
	put_pair(to + 11, s / 3600);
	put_pair(to + 14, s / 60 % 60);
	put_pair(to + 17, s % 60);
	to[13] = to[16] = ':';
	to[19] = '.';
	put_pair(to + 20, us / 10000);
	put_pair(to + 22, us / 100 % 100);
	put_pair(to + 24, us % 100);
	to[26] = 'Z';
}

static void
put_time(struct rh_buf *b, const struct column *c, int64_t wall_us)
{
	char *to = value_open(b, c, RH_TIME_LEN + 2);

	if (!to)
		return;
	to[0] = '"';
	put_time_text(to + 1, wall_us);
	to[RH_TIME_LEN + 1] = '"';
}

static bool
is_null(const struct rh_field *f, const void *at)
{
	switch (f->type) {
	case RH_T_TEXT:
		return !((const struct rh_slice *)at)->p;
	case RH_T_UUID:
		return rh_uuid_is_nil(*(const struct rh_uuid *)at);
	case RH_T_TIME:
		return *(const int64_t *)at == RH_TIME_NONE ||
		    *(const int64_t *)at == RH_TIME_INFINITY;
	case RH_T_ENUM:
		return *(const int *)at < 0;
	default:
		return false;
	}
}

static void
put_value(struct rh_buf *b, const struct column *c, const void *at)
{
	const struct rh_field *f = c->field;
	const struct rh_list *list = at;

	if (is_null(f, at)) {
		put_bytes(b, c, RH_SLICE("null"));
		return;
	}
	switch (f->type) {
	case RH_T_TEXT:
		put_text(b, c, *(const struct rh_slice *)at);
		break;
	case RH_T_UUID:
		put_uuid(b, c, *(const struct rh_uuid *)at);
		break;
	case RH_T_TIME:
		put_time(b, c, *(const int64_t *)at);
		break;
	case RH_T_INT:
		put_bytes(b, c, RH_SLICE(""));
		rh_buf_i64(b, *(const int64_t *)at);
		break;
	case RH_T_BOOL:
		put_bytes(b, c, *(const bool *)at ? RH_SLICE("true") :
		    RH_SLICE("false"));
		break;
	case RH_T_ENUM:
		put_text(b, c, rh_slice_of(f->names[*(const int *)at]));
		break;
	case RH_T_OBJECT:
		put_bytes(b, c, RH_SLICE(""));
		rh_shape_write(b, f->of, at);
		break;
	case RH_T_LIST:
		put_bytes(b, c, RH_SLICE(""));
		rh_shape_write_list(b, f->of, list->items, list->n, f->size);
		break;
	case RH_T_END:
		break;
	}
}

static void
put_object(struct rh_buf *b, const struct columns *columns, const void *object)
{
	if (columns->n == 0)
		rh_buf_char(b, '{');
	for (unsigned i = 0; i < columns->n; i++) {
		const struct column *c = &columns->column[i];

		put_value(b, c, (const char *)object + c->field->at);
	}
	rh_buf_char(b, '}');
}

void
rh_shape_write(struct rh_buf *to, const struct rh_field *shape,
    const void *object)
{
	struct columns columns;

	compile(&columns, shape);
	put_object(to, &columns, object);
}

void
rh_shape_write_list(struct rh_buf *to, const struct rh_field *shape,
    const void *items, size_t n, size_t item_bytes)
{
	struct columns columns;

	rh_buf_char(to, '[');
	if (n)
		compile(&columns, shape);
	for (size_t i = 0; i < n; i++) {
		if (i)
			rh_buf_char(to, ',');
		put_object(to, &columns, (const char *)items + i * item_bytes);
	}
	rh_buf_char(to, ']');
}
