/*
 * fuzz_json - what the scan lets through, json-c takes too; what a table makes
 * of it can be written, and passes the scan again.
 */
#include "config.h"

#include "base/clock.h"
#include "http/shape.h"
#include "target.h"

struct inner { int64_t a; };
struct outer {
	struct rh_slice text, line;
	struct rh_uuid id;
	int64_t at, number;
	bool yes;
	int name;
	struct inner inner;
	struct rh_list list;
};

static const char *const names[] = { "a", "b", NULL };
static const struct rh_field inner_shape[] = {
	{ RH_FIELD("a", INT, struct inner, a) },
	{ 0 }
};
static const struct rh_field shape[] = {
	{ RH_FIELD("a", TEXT, struct outer, text), .flags = RH_F_NULLABLE },
	{ RH_FIELD("line", TEXT, struct outer, line), .flags = RH_F_LINE, .min = 1, .max = 20 },
	{ RH_FIELD("id", UUID, struct outer, id) },
	{ RH_FIELD("at", TIME, struct outer, at), .flags = RH_F_NULLABLE },
	{ RH_FIELD("number", INT, struct outer, number) },
	{ RH_FIELD("b", BOOL, struct outer, yes) },
	{ RH_FIELD("name", ENUM, struct outer, name), .names = names },
	{ RH_FIELD_OBJECT("inner", struct outer, inner, inner_shape) },
	{ RH_NAMED("list"), .type = RH_T_LIST, .at = RH_AT(LIST, struct outer, list),
	    .of = inner_shape, .size = sizeof(struct inner) },
	{ 0 }
};

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	static struct rh_arena *arena;
	struct outer o = { .at = RH_TIME_NONE, .name = -1 };
	struct rh_slice json = { (const char *)bytes, n };
	struct rh_given given;
	struct rh_err *err;
	struct rh_buf out;
	size_t at;
	bool strict;

	if (!arena)
		arena = rh_arena_new(1 << 16, 64 << 20);
	strict = rh_json_scan(json, &at) == NULL;
	rh_assert(at <= n);
	err = rh_shape_read(arena, shape, json, true, &o, &given);
	rh_assert(strict || (err && err->kind == RH_E_MALFORMED));
	rh_assert(!strict || !err || err->kind == RH_E_INVALID);
	if (!err) {
		rh_buf_init(&out, arena, 1024, 32 << 20);
		rh_shape_write(&out, shape, &o);
		rh_assert(!out.full && !rh_json_scan(rh_buf_get(&out), &at));
	}
	rh_arena_reset(arena);
	return 0;
}
