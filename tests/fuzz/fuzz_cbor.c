/*
 * fuzz_cbor - what is read can be written; what was written reads as the same
 * and writes the same bytes. So does a struct by its table.
 */
#include "config.h"

#include "data/cbor.h"
#include "target.h"

struct inner { int64_t a; };
struct outer {
	struct rh_slice text;
	struct rh_uuid id;
	bool yes;
	int name;
	struct rh_list list;
};

static const char *const names[] = { "a", "b", NULL };
static const struct rh_field inner_shape[] = {
	{ RH_FIELD("a", INT, struct inner, a) },
	{ 0 }
};
static const struct rh_field shape[] = {
	{ RH_FIELD("text", TEXT, struct outer, text) },
	{ RH_FIELD("id", UUID, struct outer, id) },
	{ RH_FIELD("yes", BOOL, struct outer, yes) },
	{ RH_FIELD("name", ENUM, struct outer, name), .names = names },
	{ .name = "at", .type = RH_T_LIST, .at = RH_AT(LIST, struct outer, list),
	    .of = inner_shape, .size = sizeof(struct inner) },
	{ 0 }
};

static void
try_tree(struct rh_arena *arena, struct rh_slice bytes)
{
	struct rh_cbor value, again;
	struct rh_buf first, second;

	if (rh_cbor_read(arena, bytes, &value))
		return;
	rh_buf_init(&first, arena, 256, 2 * RH_CBOR_BYTES_MAX);
	rh_buf_init(&second, arena, 256, 2 * RH_CBOR_BYTES_MAX);
	rh_assert(!rh_cbor_write(&first, &value) && first.n <= bytes.n);
	rh_assert(!rh_cbor_read(arena, rh_buf_get(&first), &again));
	rh_assert(rh_cbor_compare(&value, &again) == 0);
	rh_assert(!rh_cbor_write(&second, &again));
	rh_assert(rh_slice_is(rh_buf_get(&first), rh_buf_get(&second)));
}

static void
try_struct(struct rh_arena *arena, struct rh_slice bytes)
{
	struct outer o, again;
	struct rh_buf first, second;

	if (rh_cbor_get(arena, shape, bytes, &o))
		return;
	rh_buf_init(&first, arena, 256, 2 * RH_CBOR_BYTES_MAX);
	rh_buf_init(&second, arena, 256, 2 * RH_CBOR_BYTES_MAX);
	rh_assert(rh_cbor_put(&first, shape, &o) && first.n <= bytes.n);
	rh_assert(!rh_cbor_get(arena, shape, rh_buf_get(&first), &again));
	rh_assert(rh_cbor_put(&second, shape, &again));
	rh_assert(rh_slice_is(rh_buf_get(&first), rh_buf_get(&second)));
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	static struct rh_arena *arena;
	struct rh_slice input = { (const char *)bytes, n };

	if (!arena)
		arena = rh_arena_new(1 << 16, 16 << 20);
	try_tree(arena, input);
	try_struct(arena, input);
	rh_arena_reset(arena);
	return 0;
}
