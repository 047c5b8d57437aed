#include "config.h"

#include <json-c/json.h>

#include "base/clock.h"
#include "base/text.h"
#include "http/shape.h"

#define DEPTH_MAX	32	/* the scan's is 16; json-c counts scalars too */
#define FAULTS_MAX	32
#define WHOLE_MAX	((int64_t)1 << 53)
#define ITEMS_MAX	1000	/* of a list whose row has no bounds */
#define EMAIL_MAX	254

struct read {
	struct rh_arena *arena;
	bool merge;
	unsigned nfaults;
	struct rh_err *first, *last;
};

/* Where a value stands: pointers are put together only for faults. */
struct place {
	const struct place *outer;
	const char *name;	/* NULL: an item of a list */
	size_t index;
};

static void read_object(struct read *r, const struct rh_field *shape,
    json_object *from, void *object, struct rh_given *given,
    const struct place *place);

static void
put_pointer(struct rh_buf *b, const struct place *place)
{
	if (!place)
		return;
	put_pointer(b, place->outer);
	rh_buf_char(b, '/');
	if (!place->name)
		rh_buf_u64(b, place->index);
	for (const char *c = place->name; c && *c; c++) {
		if (*c == '~' || *c == '/')	/* RFC 6901 section 3 */
			rh_buf_slice(b, *c == '~' ? RH_SLICE("~0") :
			    RH_SLICE("~1"));
		else
			rh_buf_char(b, *c);
	}
}

/* Adds to the chain; false, so that checks can return it. */
static bool
fault(struct read *r, const struct place *place, const char *detail)
{
	struct rh_err *err;
	struct rh_buf pointer;

	if (r->nfaults++ >= FAULTS_MAX)
		return false;
	rh_buf_init(&pointer, r->arena, 64, 1024);
	put_pointer(&pointer, place);
	pointer.n = RH_MIN(pointer.n, pointer.max - 1);
	pointer.full = false;
	rh_buf_char(&pointer, '\0');
	err = rh_err_new(r->arena, RH_E_INVALID, "body.invalid", "%s", detail);
	err->field = pointer.p;
	if (r->last)
		r->last->next = err;
	else
		r->first = err;
	r->last = err;
	return false;
}

static bool
is_email(struct rh_slice text)
{
	const char *at = memchr(text.p, '@', text.n);

	if (!at || at == text.p || at == text.p + text.n - 1 ||
	    text.n > EMAIL_MAX || memchr(at + 1, '@',
	    (size_t)(text.p + text.n - at - 1)))
		return false;
	for (size_t i = 0; i < text.n; i++)
		if ((unsigned char)text.p[i] <= ' ' || text.p[i] == 0x7f)
			return false;
	return true;
}

/* No control characters (C0, DEL, C1), and something besides spaces. */
static bool
is_line(struct rh_slice text)
{
	bool ink = false;

	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (c < 0x20 || c == 0x7f || (c == 0xc2 && i + 1 < text.n &&
		    (unsigned char)text.p[i + 1] < 0xa0))
			return false;
		ink |= c != ' ';
	}
	return ink;
}

static bool
read_text(struct read *r, const struct rh_field *f, json_object *from, void *at,
    const struct place *place)
{
	struct rh_slice text;
	size_t n;

	if (json_object_get_type(from) != json_type_string)
		return fault(r, place, "has to be a string");
	text = (struct rh_slice){ json_object_get_string(from),
	    (size_t)json_object_get_string_len(from) };
	n = rh_utf8_count(text);
	if ((f->min || f->max) &&
	    ((int64_t)n < f->min || (int64_t)n > f->max))
		return fault(r, place, rh_arena_printf(r->arena,
		    "has to have %lld to %lld characters",
		    (long long)f->min, (long long)f->max));
	if (f->flags & RH_F_LINE && !is_line(text))
		return fault(r, place, "has to be one line, and not blank");
	if (f->format && strcmp(f->format, "email") == 0 && !is_email(text))
		return fault(r, place, "has to be an e-mail address");
	*(struct rh_slice *)at = rh_arena_slice(r->arena, text);
	return true;
}

static bool
read_int(struct read *r, const struct rh_field *f, json_object *from, void *at,
    const struct place *place)
{
	int64_t value;

	if (json_object_get_type(from) != json_type_int)
		return fault(r, place, "has to be a whole number");
	value = json_object_get_int64(from);
	if (value > WHOLE_MAX || value < -WHOLE_MAX)
		return fault(r, place, "has to be within plus and minus 2^53");
	if ((f->min || f->max) && (value < f->min || value > f->max))
		return fault(r, place, rh_arena_printf(r->arena,
		    "has to be from %lld to %lld", (long long)f->min,
		    (long long)f->max));
	*(int64_t *)at = value;
	return true;
}

static struct rh_slice
string_of(json_object *from)
{
	if (json_object_get_type(from) != json_type_string)
		return RH_SLICE_NONE;
	return (struct rh_slice){ json_object_get_string(from),
	    (size_t)json_object_get_string_len(from) };
}

static bool
read_enum(struct read *r, const struct rh_field *f, json_object *from, void *at,
    const struct place *place)
{
	const char *between = " ";
	struct rh_buf b;

	if ((*(int *)at = rh_field_enum(f, string_of(from))) >= 0)
		return true;
	rh_buf_init(&b, r->arena, 128, 1024);
	rh_buf_lit(&b, "has to be one of");
	for (int i = 0; f->names[i]; i++)
		if (f->names[i][0]) {
			rh_buf_printf(&b, "%s%s", between, f->names[i]);
			between = ", ";
		}
	rh_buf_char(&b, '\0');
	return fault(r, place, b.full ? "is none of the names" : b.p);
}

static bool
read_list(struct read *r, const struct rh_field *f, json_object *from, void *at,
    const struct place *place)
{
	struct rh_list *list = at;
	size_t n, most = f->max ? (size_t)f->max : ITEMS_MAX;

	if (json_object_get_type(from) != json_type_array)
		return fault(r, place, "has to be an array");
	n = json_object_array_length(from);
	if (n > most || (int64_t)n < f->min)
		return fault(r, place, rh_arena_printf(r->arena,
		    "has to have %lld to %zu items", (long long)f->min, most));
	list->items = rh_arena_zalloc(r->arena, n + 1, f->size);
	list->n = n;
	for (size_t i = 0; i < n; i++) {
		struct place item = { place, NULL, i };

		read_object(r, f->of, json_object_array_get_idx(from, i),
		    (char *)list->items + i * f->size, NULL, &item);
	}
	return true;
}

/* Kept as it is: whoever wants the items again has them in SQL. */
static bool
read_texts(struct read *r, const struct rh_field *f, json_object *from, void *at,
    const struct place *place)
{
	size_t n, most = f->max ? (size_t)f->max : ITEMS_MAX;
	struct rh_slice item;
	const char *text;
	bool good = true;

	if (json_object_get_type(from) != json_type_array)
		return fault(r, place, "has to be an array");
	n = json_object_array_length(from);
	if (n > most || (int64_t)n < f->min)
		return fault(r, place, rh_arena_printf(r->arena,
		    "has to have %lld to %zu items", (long long)f->min, most));
	for (size_t i = 0; i < n; i++) {
		struct place at_item = { place, NULL, i };

		item = string_of(json_object_array_get_idx(from, i));
		if (!item.p || rh_utf8_count(item) > f->size)
			good = fault(r, &at_item, rh_arena_printf(r->arena,
			    "has to be a string of at most %zu characters",
			    f->size));
	}
	text = json_object_to_json_string_ext(from, JSON_C_TO_STRING_PLAIN |
	    JSON_C_TO_STRING_NOSLASHESCAPE);
	*(struct rh_slice *)at = rh_arena_slice(r->arena, rh_slice_of(text));
	return good;
}

static void
read_value(struct read *r, const struct rh_field *f, json_object *from,
    void *at, const struct place *place)
{
	switch (f->type) {
	case RH_T_TEXT:
		(void)read_text(r, f, from, at, place);
		break;
	case RH_T_UUID:
		if (!rh_uuid_get(at, string_of(from)) ||
		    rh_uuid_is_nil(*(struct rh_uuid *)at))
			(void)fault(r, place, "has to be a UUID");
		break;
	case RH_T_TIME:
		if (!rh_time_get(at, string_of(from)))
			(void)fault(r, place,
			    "has to be a date and time of RFC 3339");
		break;
	case RH_T_INT:
		(void)read_int(r, f, from, at, place);
		break;
	case RH_T_BOOL:
		if (json_object_get_type(from) != json_type_boolean)
			(void)fault(r, place, "has to be true or false");
		else
			*(bool *)at = json_object_get_boolean(from);
		break;
	case RH_T_ENUM:
		(void)read_enum(r, f, from, at, place);
		break;
	case RH_T_OBJECT:
		read_object(r, f->of, from, at, NULL, place);
		break;
	case RH_T_LIST:
		(void)read_list(r, f, from, at, place);
		break;
	case RH_T_TEXTS:
		(void)read_texts(r, f, from, at, place);
		break;
	case RH_T_JSON:
		rh_assert(!"a member that can be read");
		break;
	case RH_T_END:
		break;
	}
}

/* A type that has no null of its own keeps its value: given->null tells. */
static void
set_null(const struct rh_field *f, void *at)
{
	switch (f->type) {
	case RH_T_TEXT:
	case RH_T_TEXTS:
		*(struct rh_slice *)at = RH_SLICE_NONE;
		break;
	case RH_T_UUID:
		*(struct rh_uuid *)at = RH_UUID_NIL;
		break;
	case RH_T_TIME:
		*(int64_t *)at = RH_TIME_NONE;
		break;
	case RH_T_INT:
		*(int64_t *)at = RH_INT_NONE;
		break;
	case RH_T_ENUM:
		*(int *)at = -1;
		break;
	case RH_T_LIST:
		*(struct rh_list *)at = (struct rh_list){ NULL, 0 };
		break;
	default:
		break;
	}
}

static int
row_named(const struct rh_field *shape, const char *name)
{
	for (int i = 0; shape[i].type != RH_T_END; i++)
		if (!(shape[i].flags & RH_F_INTERNAL) &&
		    strcmp(shape[i].name, name) == 0)
			return i;
	return -1;
}

static void
read_member(struct read *r, const struct rh_field *f, json_object *from,
    void *at, const struct place *place)
{
	if (from)
		read_value(r, f, from, at, place);
	else if (f->flags & RH_F_NULLABLE)
		set_null(f, at);
	else
		(void)fault(r, place, "may not be null");
}

static void
check_required(struct read *r, const struct rh_field *shape, uint64_t given,
    const struct place *place)
{
	for (unsigned i = 0; shape[i].type != RH_T_END; i++) {
		struct place missing = { place, shape[i].name, 0 };

		if (shape[i].flags & RH_F_REQUIRED && !(given >> i & 1))
			(void)fault(r, &missing, "is required");
	}
}

static void
read_object(struct read *r, const struct rh_field *shape, json_object *from,
    void *object, struct rh_given *given, const struct place *place)
{
	struct rh_given unused, *g = given ? given : &unused;

	*g = (struct rh_given){ 0, 0 };
	if (json_object_get_type(from) != json_type_object) {
		(void)fault(r, place, "has to be an object");
		return;
	}
	json_object_object_foreach(from, name, value) {
		struct place member = { place, name, 0 };
		int i = row_named(shape, name);

		if (i < 0) {
			(void)fault(r, &member, "is not known here");
			continue;
		}
		rh_assert(i < 64);
		g->given |= (uint64_t)1 << i;
		if (!value)
			g->null |= (uint64_t)1 << i;
		read_member(r, &shape[i], value, (char *)object + shape[i].at,
		    &member);
	}
	if (!r->merge)
		check_required(r, shape, g->given, place);
}

/* One tokener a process: making it costs more than a small body's parse. */
static json_object *
parse(struct rh_slice json)
{
	static struct json_tokener *tokener;
	json_object *root;

	if (!tokener) {
		tokener = json_tokener_new_ex(DEPTH_MAX);
		rh_assert(tokener != NULL);
		/* that it is UTF-8 is known from the scan */
		json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
	}
	json_tokener_reset(tokener);
	root = json_tokener_parse_ex(tokener, json.p, (int)json.n);
	if (json_tokener_get_error(tokener) != json_tokener_success) {
		json_object_put(root);
		return NULL;
	}
	return root;
}

struct rh_err *
rh_shape_read(struct rh_arena *arena, const struct rh_field *shape,
    struct rh_slice json, bool merge, void *object, struct rh_given *given)
{
	struct read r = { .arena = arena, .merge = merge };
	struct rh_err *err;
	json_object *root;
	const char *why;
	size_t at;

	*given = (struct rh_given){ 0, 0 };
	if ((why = rh_json_scan(json, &at)))
		return rh_err_new(arena, RH_E_MALFORMED, "body.json",
		    "The body is not strict JSON: %s, at byte %zu", why, at);
	root = parse(json);
	read_object(&r, shape, root, object, given, NULL);
	json_object_put(root);
	if (!r.first)
		return NULL;
	err = rh_err_new(arena, RH_E_INVALID, "body.invalid",
	    "The body says what it may not say; see errors");
	err->next = r.first;
	return err;
}
