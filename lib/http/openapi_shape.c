#include "config.h"

#include "http/openapi_part.h"

#define WHOLE_MAX	((int64_t)1 << 53)
#define TEXT_MAX	1048576	/* no text is longer than a body */
#define ITEMS_MAX	1000

void
rh_api_key(struct rh_api_out *o, const char *key)
{
	char last = o->b.n ? o->b.p[o->b.n - 1] : '{';

	if (last != '{' && last != '[' && last != ':')
		rh_buf_char(&o->b, ',');
	if (!key)
		return;
	rh_buf_json(&o->b, rh_slice_of(key));
	rh_buf_char(&o->b, ':');
}

void
rh_api_open(struct rh_api_out *o, const char *key, char bracket)
{
	if (o->b.n)
		rh_api_key(o, key);
	rh_buf_char(&o->b, bracket);
}

void
rh_api_close(struct rh_api_out *o, char bracket)
{
	rh_buf_char(&o->b, bracket);
}

void
rh_api_text(struct rh_api_out *o, const char *key, const char *value)
{
	rh_api_key(o, key);
	rh_buf_json(&o->b, rh_slice_of(value));
}

void
rh_api_int(struct rh_api_out *o, const char *key, int64_t value)
{
	rh_api_key(o, key);
	rh_buf_i64(&o->b, value);
}

void
rh_api_bool(struct rh_api_out *o, const char *key, bool value)
{
	rh_api_key(o, key);
	rh_buf_slice(&o->b, value ? RH_SLICE("true") : RH_SLICE("false"));
}

void
rh_api_ref(struct rh_api_out *o, const char *kind, const char *name)
{
	rh_api_text(o, "$ref", rh_arena_printf(o->arena, "#/components/%s/%s",
	    kind, name));
}

char *
rh_api_camel(struct rh_arena *arena, struct rh_slice words)
{
	char *to = rh_arena_alloc(arena, words.n + 1);
	bool upper = true;
	size_t n = 0;

	for (size_t i = 0; i < words.n; i++) {
		char c = words.p[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    (c >= '0' && c <= '9');

		if (letter)
			to[n++] = (char)(upper && c >= 'a' && c <= 'z' ?
			    c - 32 : c);
		upper = !letter;
	}
	to[n] = '\0';
	return to;
}

const char *
rh_api_schema_name(const struct rh_api_schemas *all,
    const struct rh_field *shape, enum rh_api_use use)
{
	for (const struct rh_api_schema *s = all->first; s; s = s->next)
		if (s->shape == shape && s->use == use)
			return s->name;
	return NULL;
}

static bool
is_taken(const struct rh_api_schemas *all, const char *name)
{
	for (const struct rh_api_schema *s = all->first; s; s = s->next)
		if (strcmp(s->name, name) == 0)
			return true;
	return false;
}

const char *
rh_api_schema_add(struct rh_api_schemas *all, const struct rh_field *shape,
    enum rh_api_use use, const char *wanted)
{
	const char *name = rh_api_schema_name(all, shape, use);
	struct rh_api_schema *s;

	if (name)
		return name;
	name = wanted;
	for (int i = 2; is_taken(all, name); i++)
		name = rh_arena_printf(all->arena, "%s%d", wanted, i);
	s = RH_NEW(all->arena, struct rh_api_schema);
	*s = (struct rh_api_schema){ shape, use, name, NULL };
	*all->end = s;
	all->end = &s->next;
	for (const struct rh_field *f = shape; f->type != RH_T_END; f++) {
		rh_assert(f->key_n);	/* a row begins with RH_NAMED */
		if (f->of && !(f->flags & RH_F_INTERNAL))
			(void)rh_api_schema_add(all, f->of, use,
			    rh_arena_printf(all->arena, "%s%s", name,
			    rh_api_camel(all->arena, rh_slice_of(f->name))));
	}
	return name;
}

static void
put_type(struct rh_api_out *o, const char *type, bool nullable)
{
	if (!nullable) {
		rh_api_text(o, "type", type);
		return;
	}
	rh_api_open(o, "type", '[');
	rh_api_text(o, NULL, type);
	rh_api_text(o, NULL, "null");
	rh_api_close(o, ']');
}

static void
put_text(struct rh_api_out *o, const struct rh_field *f)
{
	bool bounded = f->min || f->max;

	rh_api_int(o, "minLength", bounded ? f->min : 0);
	rh_api_int(o, "maxLength", bounded ? f->max : TEXT_MAX);
	if (f->format)
		rh_api_text(o, "format", f->format);
	else if (f->flags & RH_F_LINE)
		rh_api_text(o, "pattern",
		    "^[^\\u0000-\\u001f\\u007f-\\u009f]+$");
	else
		rh_api_text(o, "pattern", "^[^\\u0000]*$");
}

static void
put_string(struct rh_api_out *o, const char *format, int64_t min, int64_t max)
{
	rh_api_text(o, "format", format);
	rh_api_int(o, "minLength", min);
	rh_api_int(o, "maxLength", max);
}

static void
put_names(struct rh_api_out *o, const struct rh_field *f, bool nullable)
{
	rh_api_open(o, "enum", '[');
	for (int i = 0; f->names[i]; i++)
		if (f->names[i][0])
			rh_api_text(o, NULL, f->names[i]);
	if (nullable) {
		rh_api_key(o, NULL);
		rh_buf_lit(&o->b, "null");
	}
	rh_api_close(o, ']');
}

static void
put_list(struct rh_api_out *o, const struct rh_api_schemas *all,
    const struct rh_field *f, enum rh_api_use use)
{
	rh_api_int(o, "maxItems", f->max ? f->max : ITEMS_MAX);
	rh_api_open(o, "items", '{');
	rh_api_ref(o, "schemas", rh_api_schema_name(all, f->of, use));
	rh_api_close(o, '}');
}

static void
put_texts(struct rh_api_out *o, const struct rh_field *f)
{
	rh_api_int(o, "maxItems", f->max ? f->max : ITEMS_MAX);
	rh_api_open(o, "items", '{');
	rh_api_text(o, "type", "string");
	rh_api_int(o, "maxLength", (int64_t)f->size);
	rh_api_text(o, "pattern", "^[^\\u0000]*$");
	rh_api_close(o, '}');
}

void
rh_api_field_put(struct rh_api_out *o, const struct rh_api_schemas *all,
    const struct rh_field *f, enum rh_api_use use)
{
	static const char *const types[] = {
		[RH_T_TEXT] = "string", [RH_T_UUID] = "string",
		[RH_T_TIME] = "string", [RH_T_INT] = "integer",
		[RH_T_BOOL] = "boolean", [RH_T_ENUM] = "string",
		[RH_T_LIST] = "array", [RH_T_OBJECT] = "object",
		[RH_T_JSON] = "object", [RH_T_TEXTS] = "array",
	};
	bool nullable = f->flags & RH_F_NULLABLE;
	bool bounded = f->min || f->max;

	if (f->type != RH_T_OBJECT)
		put_type(o, types[f->type], nullable);
	switch (f->type) {
	case RH_T_TEXT:
		put_text(o, f);
		break;
	case RH_T_UUID:
		put_string(o, "uuid", 36, 36);
		break;
	case RH_T_TIME:
		put_string(o, "date-time", 20, 64);
		break;
	case RH_T_INT:
		rh_api_text(o, "format", "int64");
		rh_api_int(o, "minimum", bounded ? f->min : -WHOLE_MAX);
		rh_api_int(o, "maximum", bounded ? f->max : WHOLE_MAX);
		break;
	case RH_T_ENUM:
		put_names(o, f, nullable);
		break;
	case RH_T_OBJECT:
		rh_api_ref(o, "schemas", rh_api_schema_name(all, f->of, use));
		break;
	case RH_T_LIST:
		put_list(o, all, f, use);
		break;
	case RH_T_TEXTS:
		put_texts(o, f);
		break;
	case RH_T_BOOL:
	case RH_T_JSON:
	case RH_T_END:
		break;
	}
	if (f->doc)
		rh_api_text(o, "description", f->doc);
}

/* An answer has all of its members always. */
static bool
is_required(const struct rh_field *f, enum rh_api_use use)
{
	if (f->flags & RH_F_INTERNAL)
		return false;
	return use == RH_API_ANSWER ||
	    (use == RH_API_BODY && f->flags & RH_F_REQUIRED);
}

static void
put_required(struct rh_api_out *o, const struct rh_api_schema *s)
{
	bool any = false;

	for (const struct rh_field *f = s->shape; f->type != RH_T_END; f++) {
		if (!is_required(f, s->use))
			continue;
		if (!any)
			rh_api_open(o, "required", '[');
		any = true;
		rh_api_text(o, NULL, f->name);
	}
	if (any)
		rh_api_close(o, ']');
}

void
rh_api_schemas_put(struct rh_api_out *o, const struct rh_api_schemas *all)
{
	for (const struct rh_api_schema *s = all->first; s; s = s->next) {
		rh_api_open(o, s->name, '{');
		rh_api_text(o, "type", "object");
		put_required(o, s);
		rh_api_open(o, "properties", '{');
		for (const struct rh_field *f = s->shape;
		    f->type != RH_T_END; f++) {
			if (f->flags & RH_F_INTERNAL)
				continue;
			rh_api_open(o, f->name, '{');
			rh_api_field_put(o, all, f, s->use);
			rh_api_close(o, '}');
		}
		rh_api_close(o, '}');
		if (s->use != RH_API_ANSWER)
			rh_api_bool(o, "additionalProperties", false);
		rh_api_close(o, '}');
	}
}
