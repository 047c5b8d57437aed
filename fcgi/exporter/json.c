#include "config.h"

#include "exporter/json.h"

#include <math.h>

#include "base/clock.h"

static void
key(struct rh_buf *to, const char *name)
{
	char last = to->n ? to->p[to->n - 1] : '{';

	if (last != '{' && last != '[' && last != ':')
		rh_buf_char(to, ',');
	if (!name)
		return;
	rh_buf_json(to, rh_slice_of(name));
	rh_buf_char(to, ':');
}

void
json_open(struct rh_buf *to, const char *name, char bracket)
{
	key(to, name);
	rh_buf_char(to, bracket);
}

void
json_close(struct rh_buf *to, char bracket)
{
	rh_buf_char(to, bracket);
}

void
json_text(struct rh_buf *to, const char *name, struct rh_slice text)
{
	key(to, name);
	rh_buf_json(to, text);
}

void
json_some(struct rh_buf *to, const char *name, struct rh_slice text)
{
	if (text.n)
		json_text(to, name, text);
}

void
json_int(struct rh_buf *to, const char *name, int64_t value)
{
	key(to, name);
	rh_buf_i64(to, value);
}

void
json_bool(struct rh_buf *to, const char *name, bool value)
{
	key(to, name);
	rh_buf_slice(to, rh_slice_of(value ? "true" : "false"));
}

void
json_number(struct rh_buf *to, const char *name, double value)
{
	key(to, name);
	if (isfinite(value))
		rh_buf_double(to, value);
	else
		rh_buf_lit(to, "null");
}

void
json_ms(struct rh_buf *to, const char *name, uint64_t ns)
{
	key(to, name);
	rh_buf_fixed(to, ns / 1000, 3);
}

void
json_time(struct rh_buf *to, const char *name, int64_t wall_us)
{
	char text[RH_TIME_LEN];

	key(to, name);
	if (wall_us <= 0) {
		rh_buf_lit(to, "null");
		return;
	}
	rh_time_put(text, RH_MIN(wall_us, INT64_C(253402300799000000)));
	rh_buf_json(to, (struct rh_slice){ text, sizeof(text) });
}

void
json_hex(struct rh_buf *to, const char *name, const void *bytes, size_t n)
{
	key(to, name);
	rh_buf_char(to, '"');
	rh_buf_hex(to, bytes, n);
	rh_buf_char(to, '"');
}

void
json_uuid(struct rh_buf *to, const char *name, struct rh_uuid id)
{
	char text[RH_UUID_LEN];

	if (rh_uuid_is_nil(id))
		return;
	rh_uuid_put(text, id);
	json_text(to, name, (struct rh_slice){ text, sizeof(text) });
}
