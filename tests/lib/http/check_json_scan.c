/* check_json_scan.c - what is not strict JSON never reaches json-c. */
#include "config.h"

#include "http/shape.h"
#include "rh_check.h"

#define S(literal)	RH_SLICE_INIT(literal)

static const struct rh_slice good[] = {
	S("{}"), S("[]"), S("null"), S("true"), S("false"), S("\"\""), S("0"),
	S("-0"), S("10"), S("-1.5e+10"), S("1E5"), S("0.0"), S("1e-2"),
	S(" \t\r\n{ \"a\" : [ 1 , 2 ] } \n"),
	S("{\"a\":1,\"b\":{\"a\":1},\"c\":[{\"a\":1},{\"a\":2}]}"),
	S("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\""),
	S("\"\\ud83d\\ude00\""),
	S("\"\xf0\x9f\x98\x80\xc3\xa9\""),
	S("\"\x7f\""),
	S("18446744073709551616"),	/* the table's business, where one asks */
	S("1e999"),
	S("[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]"),	/* 16 */
	S("{\"\":1}"),
	S("{\"a\":1,\"A\":2}"),
	/* one is a byte, the other two letters */
	S("{\"\\u00e9\":1,\"e\":2}"),
};

START_TEST(strict_json_passes)
{
	size_t at;
	const char *why = rh_json_scan(good[_i], &at);

	ck_assert_msg(!why, "%.*s: %s at %zu", RH_SLICE_ARG(good[_i]),
	    why ? why : "", at);
}
END_TEST

static const struct { struct rh_slice text; const char *why; } bad[] = {
	{ S(""), "a value is missing" },
	{ S("   "), "a value is missing" },
	{ S("\xef\xbb\xbf{}"), "not a JSON value" },
	{ S("{} {}"), "something behind the value" },
	{ S("{}x"), "something behind the value" },
	{ S("{}\0"), "something behind the value" },
	{ S("1 2"), "something behind the value" },
	{ S("NaN"), "not a JSON value" },
	{ S("[NaN]"), "not a JSON value" },
	{ S("Infinity"), "not a JSON value" },
	{ S("-Infinity"), "a number without a digit" },
	{ S("nul"), "not a JSON value" },
	{ S("True"), "not a JSON value" },
	{ S("'a'"), "not a JSON value" },
	{ S("1."), "a number without a digit" },
	{ S(".5"), "not a JSON value" },
	{ S("+1"), "not a JSON value" },
	{ S("-"), "a number without a digit" },
	{ S("01"), "a number with a leading zero" },
	{ S("-01"), "a number with a leading zero" },
	{ S("1e"), "a number without a digit" },
	{ S("1e+"), "a number without a digit" },
	{ S("0x10"), "something behind the value" },
	{ S("[1,]"), "not a JSON value" },
	{ S("[,1]"), "not a JSON value" },
	{ S("[1 2]"), "an array without its end" },
	{ S("[1"), "an array without its end" },
	{ S("{\"a\":1,}"), "a member without a name" },
	{ S("{a:1}"), "a member without a name" },
	{ S("{\"a\"}"), "a member without a colon" },
	{ S("{\"a\" 1}"), "a member without a colon" },
	{ S("{\"a\":}"), "not a JSON value" },
	{ S("{\"a\":1"), "an object without its end" },
	{ S("{\"a\":1 \"b\":2}"), "an object without its end" },
	{ S("{/*c*/}"), "a member without a name" },
	{ S("\"abc"), "a string without its end" },
	{ S("\"abc\\\""), "a string without its end" },
	{ S("\"a\nb\""), "a control character in a string" },
	{ S("\"a\0b\""), "a control character in a string" },
	{ S("\"\x1f\""), "a control character in a string" },
	{ S("\"\\x\""), "an escape that JSON does not know" },
	{ S("\"\\\0\""), "an escape that JSON does not know" },
	{ S("\"\\"), "an escape that JSON does not know" },
	{ S("\"\\u12\""), "\\u without four hexadecimal digits" },
	{ S("\"\\u12g4\""), "\\u without four hexadecimal digits" },
	{ S("\"\\u0000\""), "U+0000 in a string" },
	{ S("{\"a\\u0000b\":1}"), "U+0000 in a string" },
	{ S("\"\\ud800\""), "half of a surrogate pair" },
	{ S("\"\\ud800x\""), "half of a surrogate pair" },
	{ S("\"\\ud800\\n\""), "half of a surrogate pair" },
	{ S("\"\\ud800\\u0041\""), "half of a surrogate pair" },
	{ S("\"\\udc00\""), "half of a surrogate pair" },
	{ S("\"\xc0\xaf\""), "bytes that are not UTF-8" },
	{ S("\"\xed\xa0\x80\""), "bytes that are not UTF-8" },
	{ S("\"\xf4\x90\x80\x80\""), "bytes that are not UTF-8" },
	{ S("\"\xff\""), "bytes that are not UTF-8" },
	{ S("\"\xc3"), "bytes that are not UTF-8" },
	{ S("{\"a\":1,\"a\":2}"), "a name that the object already has" },
	{ S("{\"a\":1,\"\\u0061\":2}"), "a name that the object already has" },
	{ S("{\"\\ud83d\\ude00\":1,\"\xf0\x9f\x98\x80\":2}"), "a name that the object already has" },
	{ S("{\"\\/\":1,\"/\":2}"), "a name that the object already has" },
	{ S("{\"b\":[{\"a\":1,\"a\":1}]}"), "a name that the object already has" },
	{ S("{\"a\":{\"b\":1},\"a\":2}"), "a name that the object already has" },
	{ S("[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]"), "nested too deep" },
	{ S("{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":"
	    "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":1}}}}}}}}}}}}}}}}}"),
	    "nested too deep" },
};

START_TEST(anything_else_is_named)
{
	size_t at = SIZE_MAX;
	const char *why = rh_json_scan(bad[_i].text, &at);

	ck_assert_msg(why != NULL, "%.*s passed", RH_SLICE_ARG(bad[_i].text));
	ck_assert_str_eq(why, bad[_i].why);
	ck_assert_uint_le(at, bad[_i].text.n);
}
END_TEST

START_TEST(members_are_bounded)
{
	struct rh_buf b;
	size_t at;

	rh_buf_init(&b, rh_check_arena(), 4096, 65536);
	for (unsigned i = 0; i < 257; i++) {
		rh_buf_char(&b, i ? ',' : '{');
		rh_buf_printf(&b, "\"%u\":1", i);
		if (i != 255)
			continue;
		rh_buf_char(&b, '}');
		ck_assert_ptr_null(rh_json_scan(rh_buf_get(&b), &at));
		b.n--;
	}
	rh_buf_char(&b, '}');
	ck_assert_str_eq(rh_json_scan(rh_buf_get(&b), &at), "too many members");
}
END_TEST

/* Every prefix of a text is read to its end and not past it. */
START_TEST(prefixes_are_not_overread)
{
	for (size_t n = 0; n < good[_i].n; n++) {
		char *copy = malloc(n + 1);
		size_t at;

		ck_assert_ptr_nonnull(copy);
		memcpy(copy + 1, good[_i].p, n);
		(void)rh_json_scan((struct rh_slice){ copy + 1, n }, &at);
		ck_assert_uint_le(at, n);
		free(copy);
	}
}
END_TEST

RH_CHECK_MAIN("http/json_scan",
    RH_LOOP(strict_json_passes, good),
    RH_LOOP(anything_else_is_named, bad),
    RH_CASE(members_are_bounded),
    RH_LOOP(prefixes_are_not_overread, good))
