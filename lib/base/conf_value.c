#include "config.h"

#include "base/conf_value.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/text.h"

#define SECRET_FILE_MAX	65536

struct unit {
	const char *suffix;
	int64_t factor;
};

/* The largest first: a value is printed in the largest that divides it. */
static const struct unit ms_units[] = {
	{ "d", 86400000 }, { "h", 3600000 }, { "min", 60000 }, { "s", 1000 },
	{ "ms", 1 }, { "", 1 }, { NULL, 0 },
};
static const struct unit bytes_units[] = {
	{ "g", 1 << 30 }, { "m", 1 << 20 }, { "k", 1 << 10 }, { "", 1 },
	{ NULL, 0 },
};
static const struct unit int_units[] = { { "", 1 }, { NULL, 0 } };

static const struct unit *const units_of[] = {
	[RH_C_INT] = int_units, [RH_C_MS] = ms_units, [RH_C_BYTES] = bytes_units,
};
static const char *const expected[] = {
	[RH_C_INT] = "is no whole number",
	[RH_C_MS] = "is no duration: a whole number and ms, s, min, h or d, as"
	    " in 500ms",
	[RH_C_BYTES] = "is no size: a whole number and k, m or g, as in 64k",
	[RH_C_REAL] = "is no number",
	[RH_C_BOOL] = "is neither on nor off (nor true, false, yes, no, 1, 0)",
	[RH_C_ENUM] = "is none of ",
};
static const char *const bool_names[] = {
	"off", "on", "false", "true", "no", "yes", "0", "1", NULL,
};

const char *
rh_conf_expand(const char *text, struct rh_arena *arena, struct rh_slice *unset)
{
	struct rh_buf out;
	const char *open, *close;

	rh_buf_init(&out, arena, 64, 1 << 20);
	while ((open = strstr(text, "${")) && (close = strchr(open, '}'))) {
		struct rh_slice body = { open + 2, (size_t)(close - open - 2) };
		struct rh_slice dflt = body;
		struct rh_slice name = rh_slice_cut(&dflt, ':');
		bool has_dflt = dflt.n && dflt.p[0] == '-';
		const char *value;

		if (!has_dflt)
			name = body;
		value = getenv(rh_arena_strdup(arena, name));
		if (!value && !has_dflt) {
			*unset = name;
			return NULL;
		}
		rh_buf_put(&out, text, (size_t)(open - text));
		rh_buf_slice(&out, value ? rh_slice_of(value) :
		    rh_slice_from(dflt, 1));
		text = close + 1;
	}
	rh_buf_slice(&out, rh_slice_of(text));
	rh_buf_char(&out, '\0');
	return out.full ? "" : out.p;
}

static bool
scaled_get(int64_t *to, struct rh_slice text, const struct unit *u)
{
	size_t digits = text.n && text.p[0] == '-';

	while (digits < text.n && text.p[digits] >= '0' &&
	    text.p[digits] <= '9')
		digits++;
	if (!rh_i64_get(to, (struct rh_slice){ text.p, digits }))
		return false;
	for (; u->suffix; u++)
		if (rh_slice_is_nocase(rh_slice_from(text, digits),
		    rh_slice_of(u->suffix)))
			return !__builtin_mul_overflow(*to, u->factor, to);
	return false;
}

static void
scaled_put(struct rh_buf *to, int64_t value, const struct unit *u)
{
	while (value % u->factor)
		u++;
	if (value == 0)
		u = int_units;
	rh_buf_i64(to, value / u->factor);
	rh_buf_slice(to, rh_slice_of(u->suffix));
}

/* strtod reads more than decimals: hexadecimals, nan, inf, leading blanks. */
static bool
real_get(double *to, struct rh_slice text)
{
	char copy[64], *end;

	if (text.n == 0 || text.n >= sizeof(copy))
		return false;
	for (size_t i = 0; i < text.n; i++)
		if (!memchr("0123456789+-.eE", text.p[i], 15))
			return false;
	memcpy(copy, text.p, text.n);
	copy[text.n] = '\0';
	*to = strtod(copy, &end);
	return *end == '\0' && isfinite(*to);
}

static int
name_index(const char *const *names, struct rh_slice text)
{
	for (int i = 0; names[i]; i++)
		if (rh_slice_is_nocase(rh_slice_of(names[i]), text))
			return i;
	return -1;
}

/* INT, MS, BYTES and REAL alike, so that bounds are checked in one place. */
static bool
number_get(enum rh_conf_type type, struct rh_slice text, int64_t *i, double *r)
{
	if (type == RH_C_REAL)
		return real_get(r, text);
	*r = 0;
	return scaled_get(i, text, units_of[type]);
}

/* -1 below min, 1 above max, 0 within. */
static int
out_of_bounds(const struct rh_directive *d, int64_t i, double r)
{
	int64_t bi = 0;
	double br = 0;

	if (d->min) {
		rh_assert(number_get(d->type, rh_slice_of(d->min), &bi, &br));
		if (i < bi || r < br)
			return -1;
	}
	if (d->max) {
		rh_assert(number_get(d->type, rh_slice_of(d->max), &bi, &br));
		if (i > bi || r > br)
			return 1;
	}
	return 0;
}

static bool
refuse(struct rh_buf *why, const struct rh_directive *d, struct rh_slice text)
{
	rh_buf_printf(why, "\"%.*s\" %s", RH_SLICE_ARG(text),
	    expected[d->type]);
	for (int i = 0; d->type == RH_C_ENUM && d->names[i]; i++)
		rh_buf_printf(why, "%s%s", i ? ", " : "", d->names[i]);
	return false;
}

static bool
bounded_get(void *at, const struct rh_directive *d, struct rh_slice text,
    struct rh_buf *why)
{
	int64_t i = 0;
	double r = 0;
	int out;

	if (!number_get(d->type, text, &i, &r))
		return refuse(why, d, text);
	if ((out = out_of_bounds(d, i, r))) {
		rh_buf_printf(why, "%.*s is %s %s", RH_SLICE_ARG(text),
		    out < 0 ? "below the least," : "above the most,",
		    out < 0 ? d->min : d->max);
		return false;
	}
	if (d->type == RH_C_REAL)
		memcpy(at, &r, sizeof(r));
	else
		memcpy(at, &i, sizeof(i));
	return true;
}

static bool
name_get(void *at, const struct rh_directive *d, struct rh_slice text,
    struct rh_buf *why)
{
	bool is_bool = d->type == RH_C_BOOL;
	int i = name_index(is_bool ? bool_names : d->names, text);

	if (i < 0)
		return refuse(why, d, text);
	if (is_bool)
		*(bool *)at = i & 1;
	else
		*(int *)at = i;
	return true;
}

bool
rh_conf_file_get(struct rh_slice *text, const char *path, size_t max,
    struct rh_arena *arena, struct rh_buf *why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct rh_buf out;
	ssize_t got = -1;
	char *to;

	rh_buf_init(&out, arena, 4096, max + 4096);
	while (fd >= 0 && out.n <= max && (to = rh_buf_room(&out, 2048)) &&
	    (got = read(fd, to, 2048)) > 0)
		out.n += (size_t)got;
	if (got < 0)
		rh_buf_printf(why, "cannot be read: %s", strerror(errno));
	else if (out.n > max)
		rh_buf_printf(why, "is over %zu KiB", max >> 10);
	if (fd >= 0)
		close(fd);
	*text = rh_buf_get(&out);
	return got >= 0 && out.n <= max;
}

static bool
secret_get(struct rh_slice *text, struct rh_arena *arena, struct rh_buf *why)
{
	const char *path = rh_arena_strdup(arena, *text);
	size_t before = why->n;

	rh_buf_printf(why, "%s ", path);
	if (!rh_conf_file_get(text, path, SECRET_FILE_MAX, arena, why))
		return false;
	why->n = before;
	if (text->n && text->p[text->n - 1] == '\n')
		text->n--;
	return true;
}

static bool
text_get(void *at, const struct rh_directive *d, struct rh_slice text,
    struct rh_arena *arena, struct rh_buf *why)
{
	static const struct rh_slice scheme = RH_SLICE_INIT("file:");

	if (d->type == RH_C_SECRET && rh_slice_has_prefix(text, scheme)) {
		text = rh_slice_from(text, scheme.n);
		if (!secret_get(&text, arena, why))
			return false;
	}
	for (size_t i = 0; i < text.n; i++)
		if ((unsigned char)text.p[i] < ' ' || text.p[i] == 0x7f) {
			rh_buf_lit(why, "has control characters");
			return false;
		}
	if (!rh_utf8_is(text)) {
		rh_buf_lit(why, "is not UTF-8");
		return false;
	}
	*(struct rh_slice *)at = text.n ? rh_arena_slice(arena, text) :
	    RH_SLICE_NONE;
	return true;
}

bool
rh_conf_value_get(void *record, const struct rh_directive *d,
    struct rh_slice text, struct rh_arena *arena, struct rh_buf *why)
{
	void *at = (char *)record + d->at;

	switch (d->type) {
	case RH_C_INT:
	case RH_C_MS:
	case RH_C_BYTES:
	case RH_C_REAL:
		return bounded_get(at, d, text, why);
	case RH_C_BOOL:
	case RH_C_ENUM:
		return name_get(at, d, text, why);
	case RH_C_TEXT:
	case RH_C_SECRET:
		return text_get(at, d, text, arena, why);
	case RH_C_END:
		break;
	}
	rh_assert(!"a directive without a type");
	return false;
}

void
rh_conf_quote(struct rh_buf *to, struct rh_slice text)
{
	rh_buf_char(to, '"');
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];

		if (c == '"' || c == '\\' ||
		    (c == '$' && i + 1 < text.n && text.p[i + 1] == '{'))
			rh_buf_char(to, '\\');
		rh_buf_char(to, c);
	}
	rh_buf_char(to, '"');
}

void
rh_conf_value_put(struct rh_buf *to, const struct rh_directive *d,
    const void *record)
{
	const void *at = (const char *)record + d->at;

	switch (d->type) {
	case RH_C_INT:
	case RH_C_MS:
	case RH_C_BYTES:
		scaled_put(to, *(const int64_t *)at, units_of[d->type]);
		break;
	case RH_C_REAL:
		rh_buf_double(to, *(const double *)at);
		break;
	case RH_C_BOOL:
		rh_buf_slice(to, rh_slice_of(bool_names[*(const bool *)at]));
		break;
	case RH_C_ENUM:
		rh_buf_slice(to, rh_slice_of(d->names[*(const int *)at]));
		break;
	case RH_C_TEXT:
	case RH_C_SECRET:
		rh_conf_quote(to, *(const struct rh_slice *)at);
		break;
	case RH_C_END:
		break;
	}
}

bool
rh_conf_value_is_same(const struct rh_directive *d, const void *a,
    const void *b)
{
	const char *x = (const char *)a + d->at, *y = (const char *)b + d->at;

	switch (d->type) {
	case RH_C_TEXT:
	case RH_C_SECRET:
		return rh_slice_is(*(const struct rh_slice *)(const void *)x,
		    *(const struct rh_slice *)(const void *)y);
	case RH_C_REAL:
		return memcmp(x, y, sizeof(double)) == 0;
	case RH_C_BOOL:
		return *(const bool *)x == *(const bool *)y;
	case RH_C_ENUM:
		return memcmp(x, y, sizeof(int)) == 0;
	default:
		return memcmp(x, y, sizeof(int64_t)) == 0;
	}
}
