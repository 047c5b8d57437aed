#include "config.h"

#include "http/req.h"

#include "base/clock.h"
#include "base/text.h"
#include "http/target.h"

static const struct rh_field *
param_named(const struct rh_field *params, struct rh_slice name)
{
	for (const struct rh_field *f = params; f && f->type != RH_T_END; f++)
		if (rh_slice_is(rh_slice_of(f->name), name))
			return f;
	return NULL;
}

static bool
is_within(const struct rh_field *f, int64_t value)
{
	return (f->min == 0 && f->max == 0) ||
	    (value >= f->min && value <= f->max);
}

static bool
set_text(const struct rh_field *f, struct rh_slice text, void *at)
{
	*(struct rh_slice *)at = text;
	return is_within(f, (int64_t)rh_utf8_count(text));
}

static bool
set_int(const struct rh_field *f, struct rh_slice text, void *at)
{
	return rh_i64_get(at, text) && is_within(f, *(int64_t *)at);
}

static bool
set_bool(struct rh_slice text, void *at)
{
	*(bool *)at = rh_slice_is(text, RH_SLICE("true"));
	return *(bool *)at || rh_slice_is(text, RH_SLICE("false"));
}

static bool
set_enum(const struct rh_field *f, struct rh_slice text, void *at)
{
	*(int *)at = rh_field_enum(f, text);
	return *(int *)at >= 0;
}

static bool
set(const struct rh_field *f, struct rh_slice text, void *at)
{
	switch (f->type) {
	case RH_T_TEXT:
		return set_text(f, text, at);
	case RH_T_UUID:
		return rh_uuid_get(at, text);
	case RH_T_TIME:
		return rh_time_get(at, text);
	case RH_T_INT:
		return set_int(f, text, at);
	case RH_T_BOOL:
		return set_bool(text, at);
	case RH_T_ENUM:
		return set_enum(f, text, at);
	case RH_T_OBJECT:
	case RH_T_LIST:
	case RH_T_JSON:
	case RH_T_TEXTS:
	case RH_T_END:
		break;
	}
	return false;
}

/* What the value should have been, for the client. */
static const char *
wanted(const struct rh_field *f, struct rh_arena *arena)
{
	bool bounded = f->min || f->max;
	struct rh_buf b;

	switch (f->type) {
	case RH_T_TEXT:
		return bounded ? rh_arena_printf(arena, "%lld to %lld characters",
		    (long long)f->min, (long long)f->max) : "text";
	case RH_T_INT:
		return bounded ? rh_arena_printf(arena, "a whole number from %lld"
		    " to %lld", (long long)f->min, (long long)f->max) :
		    "a whole number";
	case RH_T_UUID:
		return "a UUID";
	case RH_T_TIME:
		return "a date and time of RFC 3339";
	case RH_T_BOOL:
		return "true or false";
	default:
		break;
	}
	rh_buf_init(&b, arena, 128, 4096);
	rh_buf_lit(&b, "one of");
	for (int i = 0; f->names && f->names[i]; i++)
		rh_buf_printf(&b, "%s %s", i ? "," : "", f->names[i]);
	rh_buf_char(&b, '\0');
	return b.full ? "another value" : b.p;
}

static struct rh_err *
read_one(struct rh_req *rq, const struct rh_field *params, struct rh_slice pair,
    uint64_t *seen, void *to)
{
	struct rh_slice value = pair, name = rh_slice_cut(&value, '=');
	const struct rh_field *f;

	if (!value.p)
		value = RH_SLICE("");
	if (!rh_percent_decode(&name, rq->arena, true) ||
	    !rh_percent_decode(&value, rq->arena, true))
		return rh_err_new(rq->arena, RH_E_MALFORMED, "query.encoding",
		    "The query is not UTF-8 once decoded");
	if (!(f = param_named(params, name)))
		return rh_err_new(rq->arena, RH_E_MALFORMED, "query.unknown",
		    "There is no query parameter \"%.*s\" here",
		    (int)RH_MIN(name.n, (size_t)64), name.p);
	if (*seen >> (f - params) & 1)
		return rh_err_new(rq->arena, RH_E_MALFORMED, "query.repeated",
		    "The query parameter \"%s\" was given twice", f->name);
	*seen |= (uint64_t)1 << (f - params);
	if (set(f, value, (char *)to + f->at))
		return NULL;
	return rh_err_new(rq->arena, RH_E_MALFORMED, "query.invalid",
	    "The query parameter \"%s\" has to be %s", f->name,
	    wanted(f, rq->arena));
}

struct rh_err *
rh_query_read(struct rh_req *rq, const struct rh_field *params, void *to)
{
	struct rh_slice rest = rq->query, pair;
	struct rh_err *err;
	uint64_t seen = 0;

	while (rest.p) {
		pair = rh_slice_cut(&rest, '&');
		if (pair.n == 0)
			continue;
		if ((err = read_one(rq, params, pair, &seen, to)))
			return err;
	}
	return NULL;
}
