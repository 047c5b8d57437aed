/* tests/lib/data/check_cbor.c - the same value, the same bytes; nothing else gets in. */
#include "config.h"

#include "data/cbor.h"

#include <math.h>

#include "base/clock.h"
#include "base/text.h"
#include "rh_check.h"

static struct rh_slice
bytes_of(const char *hex)
{
	size_t n = strlen(hex) / 2;
	char *to = rh_arena_alloc(rh_check_arena(), n + 1);

	ck_assert(rh_hex_get(to, n, rh_slice_of(hex), false));
	return (struct rh_slice){ to, n };
}

static const char *
hex_of(struct rh_slice bytes)
{
	char *to = rh_arena_zalloc(rh_check_arena(), bytes.n * 2 + 1, 1);

	rh_hex_put(to, bytes.p, bytes.n);
	return to;
}

static const char *
why_not(const char *hex)
{
	struct rh_cbor value;
	struct rh_err *err = rh_cbor_read(rh_check_arena(), bytes_of(hex),
	    &value);

	return err ? err->detail : NULL;
}

static const char *
written(struct rh_cbor *value)
{
	struct rh_buf to;

	rh_buf_init(&to, rh_check_arena(), 64, RH_CBOR_BYTES_MAX);
	ck_assert_ptr_null(rh_cbor_write(&to, value));
	return hex_of(rh_buf_get(&to));
}

/* clang-format off */
/* RFC 8949 appendix A, all that is definite; again: what is written of it, where that is shorter. */
static const struct { const char *hex, *again; } vectors[] = {
	{ "00", NULL }, { "01", NULL }, { "0a", NULL }, { "17", NULL }, { "1818", NULL }, { "1819", NULL }, { "1864", NULL },
	{ "1903e8", NULL }, { "1a000f4240", NULL }, { "1b000000e8d4a51000", NULL }, { "1bffffffffffffffff", NULL },
	{ "c249010000000000000000", NULL }, { "3bffffffffffffffff", NULL }, { "c349010000000000000000", NULL },
	{ "20", NULL }, { "29", NULL }, { "3863", NULL }, { "3903e7", NULL },
	{ "f90000", NULL }, { "f98000", NULL }, { "f93c00", NULL }, { "fb3ff199999999999a", NULL }, { "f93e00", NULL },
	{ "f97bff", NULL }, { "fa47c35000", NULL }, { "fa7f7fffff", NULL }, { "fb7e37e43c8800759c", NULL },
	{ "f90001", NULL }, { "f90400", NULL }, { "f9c400", NULL }, { "fbc010666666666666", NULL },
	{ "f97c00", NULL }, { "f97e00", NULL }, { "f9fc00", NULL },
	{ "fa7f800000", "f97c00" }, { "fa7fc00000", "f97e00" }, { "faff800000", "f9fc00" },
	{ "fb7ff0000000000000", "f97c00" }, { "fb7ff8000000000000", "f97e00" }, { "fbfff0000000000000", "f9fc00" },
	{ "f4", NULL }, { "f5", NULL }, { "f6", NULL }, { "f7", NULL },
	{ "c074323031332d30332d32315432303a30343a30305a", NULL }, { "c11a514b67b0", NULL }, { "c1fb41d452d9e8200000", NULL },
	{ "d74401020304", NULL }, { "d818456449455446", NULL }, { "d82076687474703a2f2f7777772e6578616d706c652e636f6d", NULL },
	{ "40", NULL }, { "4401020304", NULL }, { "60", NULL }, { "6161", NULL }, { "6449455446", NULL }, { "62225c", NULL },
	{ "62c3bc", NULL }, { "63e6b0b4", NULL }, { "64f0908591", NULL },
	{ "80", NULL }, { "83010203", NULL }, { "8301820203820405", NULL },
	{ "98190102030405060708090a0b0c0d0e0f101112131415161718181819", NULL },
	{ "a0", NULL }, { "a201020304", NULL }, { "a26161016162820203", NULL }, { "826161a161626163", NULL },
	{ "a56161614161626142616361436164614461656145", NULL },
	/* and beyond it: longer forms, subnormal and near-half floats */
	{ "1800", "00" }, { "1b0000000000000017", "17" }, { "3800", "20" }, { "5801ff", "41ff" },
	{ "9b000000000000000101", "8101" }, { "b90001f5f4", "a1f5f4" }, { "d900d700", "d8d700" },
	{ "fa33800000", "f90001" }, { "fa33000000", "fa33000000" }, { "fa387fc000", "f903ff" },
	{ "fb3ff0000000000000", "f93c00" }, { "fa7fffffff", "f97e00" }, { "fb36a0000000000000", "fa00000001" },
	/* maps in any order; the RFC's own example of it, section 4.2.1 */
	{ "a2616201616102", "a2616102616201" },
	{ "a8f40081200161" "7a022003811864046261610518" "64060a07",
	    "a80a0718640620036" "17a02626161058118" "6404812001f400" },
	{ "a2a26162016161020000" "01", "a20001a2616102616201" "00" },	/* a map as a key, its own keys out of order */
};
/* clang-format on */

START_TEST(the_rfcs_vectors_read_and_write)
{
	const char *want = vectors[_i].again ? vectors[_i].again :
	    vectors[_i].hex;
	struct rh_err *err;
	struct rh_cbor value;

	err = rh_cbor_read(rh_check_arena(), bytes_of(vectors[_i].hex), &value);
	ck_assert_msg(!err, "%s: %s", vectors[_i].hex, err ? err->detail : "");
	ck_assert_str_eq(written(&value), want);
}
END_TEST

/* clang-format off */
static const struct { const char *hex, *why; } refused[] = {
	{ "", "early" }, { "18", "early" }, { "1b00", "early" }, { "82", "early" }, { "8201", "early" }, { "a101", "early" },
	{ "44010203", "early" }, { "5bffffffffffffffff", "early" }, { "7bffffffffffffffff61", "early" }, { "c0", "early" },
	{ "0000", "follows" }, { "8000", "follows" }, { "f6f6", "follows" },
	{ "5f42010243030405ff", "length" }, { "7f657374726561646d696e67ff", "length" }, { "9fff", "length" },
	{ "bfff", "length" }, { "83018202039f0405ff", "length" }, { "ff", "length" }, { "81ff", "length" },
	{ "a201020103", "twice" }, { "a26161016161" "02", "twice" }, { "a3616101616202616103", "twice" },
	{ "a20001180002", "twice" }, { "a2f93c0001fa3f80000002", "twice" }, { "81a201020103", "twice" },
	{ "a2a0008000", NULL }, { "a2a000a000", "twice" }, { "a2a2010203040" "0a20304010200", "twice" },
	{ "61ff", "UTF-8" }, { "62c080", "UTF-8" }, { "63eda080", "UTF-8" }, { "a161ff00", "UTF-8" }, { "64f4908080", "UTF-8" },
	{ "1c", "well-formed" }, { "1f", "well-formed" }, { "3e", "well-formed" }, { "5c", "well-formed" }, { "7d", "well-formed" },
	{ "9e", "well-formed" }, { "bc", "well-formed" }, { "dc", "well-formed" }, { "df", "well-formed" }, { "f0", "well-formed" },
	{ "f8ff", "well-formed" }, { "f818", "well-formed" }, { "f800", "well-formed" }, { "fc", "well-formed" },
	{ "9a00002711", "elements" }, { "ba00002711", "elements" }, { "9bffffffffffffffff", "elements" },
	{ "bbffffffffffffffff", "elements" }, { "bb8000000000000000", "elements" }, { "9a00002710", "early" },
	{ "ba00002710", "early" },
};
/* clang-format on */

START_TEST(hostile_bytes_are_refused)
{
	const char *why = why_not(refused[_i].hex);

	if (!refused[_i].why)
		ck_assert_ptr_null(why);
	else
		ck_assert_msg(why && strstr(why, refused[_i].why), "%s: %s",
		    refused[_i].hex, why ? why : "taken");
}
END_TEST

static const char *
nested(const char *open, unsigned times)
{
	struct rh_buf b;

	rh_buf_init(&b, rh_check_arena(), 64, 4096);
	while (times--)
		rh_buf_slice(&b, rh_slice_of(open));
	rh_buf_lit(&b, "00");
	rh_buf_char(&b, 0);
	return b.p;
}

static const char *const opens[] = { "81", "a100", "c1" };

START_TEST(depth_ends_at_sixteen)
{
	ck_assert_ptr_null(why_not(nested(opens[_i], RH_CBOR_DEPTH_MAX)));
	ck_assert_ptr_nonnull(strstr(why_not(nested(opens[_i],
	    RH_CBOR_DEPTH_MAX + 1)), "deep"));
}
END_TEST

START_TEST(elements_count_over_all_of_it)
{
	struct rh_cbor *items = rh_arena_zalloc(rh_check_arena(),
	    RH_CBOR_ELEMENTS_MAX + 1, sizeof(*items));
	struct rh_cbor inner[2] = { { .kind = RH_CBOR_ARRAY, .items = items },
	    { .kind = RH_CBOR_ARRAY, .items = items } };
	struct rh_cbor outer = { .kind = RH_CBOR_ARRAY, .items = inner, .n = 2 };
	struct rh_cbor value;
	struct rh_buf b;

	inner[0].n = RH_CBOR_ELEMENTS_MAX / 2;
	inner[1].n = RH_CBOR_ELEMENTS_MAX / 2 - 2;
	rh_buf_init(&b, rh_check_arena(), 64, RH_CBOR_BYTES_MAX);
	ck_assert_ptr_null(rh_cbor_write(&b, &outer));
	ck_assert_ptr_null(rh_cbor_read(rh_check_arena(), rh_buf_get(&b),
	    &value));
	inner[1].n++;
	ck_assert_ptr_nonnull(strstr(rh_cbor_write(&b, &outer), "elements"));
}
END_TEST

START_TEST(bytes_end_at_a_mebibyte)
{
	size_t n = RH_CBOR_BYTES_MAX + 1;
	struct rh_cbor value = { .kind = RH_CBOR_BYTES, .text = {
	    rh_arena_zalloc(rh_check_arena(), n, 1), n } };
	struct rh_cbor got;
	struct rh_buf b;

	rh_buf_init(&b, rh_check_arena(), 64, 2 * RH_CBOR_BYTES_MAX);
	ck_assert_ptr_nonnull(strstr(rh_cbor_write(&b, &value), "bytes"));
	ck_assert_ptr_nonnull(strstr(rh_cbor_read(rh_check_arena(),
	    rh_buf_get(&b), &got)->detail, "bytes"));
	value.text.n = RH_CBOR_BYTES_MAX - 5;
	b.n = 0;
	ck_assert_ptr_null(rh_cbor_write(&b, &value));
	ck_assert_uint_eq(b.n, RH_CBOR_BYTES_MAX);
	ck_assert_ptr_null(rh_cbor_read(rh_check_arena(), rh_buf_get(&b), &got));
}
END_TEST

START_TEST(what_may_not_be_read_is_not_written)
{
	struct rh_cbor key = { .kind = RH_CBOR_TEXT, .text = RH_SLICE("a") };
	struct rh_cbor pairs[4] = { key, { 0 }, key, { 0 } };
	struct rh_cbor map = { .kind = RH_CBOR_MAP, .items = pairs, .n = 2 };
	struct rh_cbor text = { .kind = RH_CBOR_TEXT, .text = RH_SLICE("\xff") };
	char small[3];
	struct rh_buf b;

	rh_buf_init(&b, rh_check_arena(), 64, 4096);
	ck_assert_ptr_nonnull(strstr(rh_cbor_write(&b, &map), "twice"));
	ck_assert_ptr_nonnull(strstr(rh_cbor_write(&b, &text), "UTF-8"));
	ck_assert_uint_eq(b.n, 0);
	rh_buf_init_fixed(&b, small, sizeof(small));
	text.text = RH_SLICE("abc");
	ck_assert_ptr_nonnull(strstr(rh_cbor_write(&b, &text), "room"));
}
END_TEST

START_TEST(a_tree_is_asked)
{
	struct rh_cbor map;
	int64_t number;

	ck_assert_ptr_null(rh_cbor_read(rh_check_arena(),
	    bytes_of("a3616120616239ffff61633bffffffffffffffff"), &map));
	ck_assert(rh_cbor_int(rh_cbor_find(&map, RH_SLICE("a")), &number));
	ck_assert_int_eq(number, -1);
	ck_assert(rh_cbor_int(rh_cbor_find(&map, RH_SLICE("b")), &number));
	ck_assert_int_eq(number, -65536);
	ck_assert(!rh_cbor_int(rh_cbor_find(&map, RH_SLICE("c")), &number));
	ck_assert_ptr_null(rh_cbor_find(&map, RH_SLICE("d")));
	ck_assert_ptr_null(rh_cbor_find(&map.items[1], RH_SLICE("a")));
}
END_TEST

/* ---- structs by their tables ---- */

struct inner { int64_t a; };
struct outer {
	struct rh_slice text;
	struct rh_uuid id;
	int64_t at, number;
	bool yes;
	int name;
	struct inner inner;
	struct rh_list list;
};

static const char *const names[] = { "active", "archived", NULL };
static const struct rh_field inner_shape[] = {
	{ RH_FIELD("a", INT, struct inner, a) },
	{ 0 }
};
static const struct rh_field shape[] = {
	{ RH_FIELD("text", TEXT, struct outer, text), .flags = RH_F_INTERNAL },
	{ RH_FIELD("id", UUID, struct outer, id) },
	{ RH_FIELD("at", TIME, struct outer, at) },
	{ RH_FIELD("number", INT, struct outer, number) },
	{ RH_FIELD("yes", BOOL, struct outer, yes) },
	{ RH_FIELD("name", ENUM, struct outer, name), .names = names },
	{ RH_FIELD_OBJECT("inner", struct outer, inner, inner_shape) },
	{ .name = "list", .type = RH_T_LIST, .at = RH_AT(LIST, struct outer, list),
	    .of = inner_shape, .size = sizeof(struct inner) },
	{ 0 }
};

static struct rh_slice
put(const struct outer *o)
{
	struct rh_buf b;

	rh_buf_init(&b, rh_check_arena(), 64, 4096);
	ck_assert(rh_cbor_put(&b, shape, o));
	return rh_buf_get(&b);
}

static const int64_t numbers[] = { 0, 23, 24, -1, -24, -25, 255, 256, 65536,
    INT64_MAX, INT64_MIN + 1 };

START_TEST(a_struct_comes_back_as_it_was)
{
	struct inner items[2] = { { 1 }, { -2 } };
	struct outer got, o = { .text = RH_SLICE("h\xc3\xa9"),
	    .id = rh_uuid_v7(), .at = 1767225600000000, .number = numbers[_i],
	    .yes = true, .name = 1, .inner = { 7 }, .list = { items, 2 } };
	struct rh_slice bytes = put(&o);
	struct rh_cbor tree;

	ck_assert_ptr_null(rh_cbor_get(rh_check_arena(), shape, bytes, &got));
	rh_assert_slice_eq(got.text, o.text);
	ck_assert(rh_uuid_is(got.id, o.id));
	ck_assert_int_eq(got.at, o.at);
	ck_assert_int_eq(got.number, o.number);
	ck_assert(got.yes);
	ck_assert_int_eq(got.name, 1);
	ck_assert_int_eq(got.inner.a, 7);
	ck_assert_uint_eq(got.list.n, 2);
	ck_assert_int_eq(((struct inner *)got.list.items)[1].a, -2);
	/* as the tree writes it, so in the one deterministic order */
	ck_assert_ptr_null(rh_cbor_read(rh_check_arena(), bytes, &tree));
	ck_assert_str_eq(written(&tree), hex_of(bytes));
}
END_TEST

START_TEST(none_comes_back_as_none)
{
	struct outer got = { .name = 1, .at = 5, .text = RH_SLICE("x"),
	    .id = rh_uuid_v7() };
	struct outer o = { .at = RH_TIME_NONE, .name = -1 };

	ck_assert_ptr_null(rh_cbor_get(rh_check_arena(), shape, put(&o), &got));
	ck_assert_ptr_null(got.text.p);
	ck_assert(rh_uuid_is_nil(got.id));
	ck_assert(got.at == RH_TIME_NONE && got.name == -1);
	o.text = RH_SLICE("");
	ck_assert_ptr_null(rh_cbor_get(rh_check_arena(), shape, put(&o), &got));
	ck_assert_ptr_nonnull(got.text.p);
}
END_TEST

static const struct { const char *hex; bool taken; } others[] = {
	{ "a1616101", true }, { "a161611a7fffffff", true },
	{ "a161611bffffffffffffffff", false },	/* past int64 */
	{ "a16161f6", false },			/* a number has no null */
	{ "a161616131", false }, { "a0", false }, { "a2616101616202", false },
	{ "a1616201", false }, { "a1" "0001", false }, { "80", false },
	{ "a16161f93c00", false }, { "a1416101", false },
};

START_TEST(another_struct_is_none_of_this_table)
{
	struct inner i;
	struct rh_err *err = rh_cbor_get(rh_check_arena(), inner_shape,
	    bytes_of(others[_i].hex), &i);

	ck_assert_int_eq(!err, others[_i].taken);
	ck_assert(!err || strcmp(err->code, "cbor.shape") == 0);
}
END_TEST

START_TEST(text_that_is_not_utf8_is_not_put)
{
	struct outer o = { .text = RH_SLICE("\xed\xa0\x80"), .name = -1 };
	struct rh_buf b;
	char room[10];

	rh_buf_init(&b, rh_check_arena(), 64, 4096);
	ck_assert(!rh_cbor_put(&b, shape, &o));
	o.text = RH_SLICE("more than there is room for");
	rh_buf_init_fixed(&b, room, sizeof(room));
	ck_assert(!rh_cbor_put(&b, shape, &o));
}
END_TEST

RH_CHECK_MAIN("data/cbor",
    RH_LOOP(the_rfcs_vectors_read_and_write, vectors),
    RH_LOOP(hostile_bytes_are_refused, refused),
    RH_LOOP(depth_ends_at_sixteen, opens),
    RH_CASE(elements_count_over_all_of_it),
    RH_CASE(bytes_end_at_a_mebibyte),
    RH_CASE(what_may_not_be_read_is_not_written),
    RH_CASE(a_tree_is_asked),
    RH_LOOP(a_struct_comes_back_as_it_was, numbers),
    RH_CASE(none_comes_back_as_none),
    RH_LOOP(another_struct_is_none_of_this_table, others),
    RH_CASE(text_that_is_not_utf8_is_not_put))
