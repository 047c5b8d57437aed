/* tests/lib/base/check_buf.c - what goes in comes out, or the buffer is full. */
#include "config.h"

#include "base/buf.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "base/text.h"
#include "rh_check.h"

static struct rh_buf b;

static void
open_buf(void)
{
	rh_buf_init(&b, rh_check_arena(), 4, 1 << 20);
}

#define assert_buf(want)	rh_assert_slice_eq(rh_buf_get(&b), rh_slice_of(want))

START_TEST(parts_join)
{
	open_buf();
	rh_buf_lit(&b, "abc");
	rh_buf_char(&b, '-');
	rh_buf_slice(&b, RH_SLICE("def"));
	rh_buf_slice(&b, RH_SLICE_NONE);
	rh_buf_put(&b, "", 0);
	rh_buf_hex(&b, "\x00\xfe", 2);
	rh_buf_printf(&b, "%s%d", "x", 5);
	assert_buf("abc-def00fex5");
	ck_assert(!b.full);
}
END_TEST

START_TEST(growing_moves_nothing_about)
{
	open_buf();
	for (int i = 0; i < 10000; i++) {
		rh_buf_char(&b, (char)('a' + i % 26));
		if (i % 100 == 0)	/* so that it cannot grow in place */
			rh_arena_alloc(rh_check_arena(), 1);
	}
	for (int i = 0; i < 10000; i++)
		ck_assert_int_eq(b.p[i], 'a' + i % 26);
}
END_TEST

START_TEST(what_does_not_fit_latches)
{
	char memory[4];

	rh_buf_init_fixed(&b, memory, sizeof(memory));
	rh_buf_lit(&b, "abc");
	rh_buf_lit(&b, "de");
	ck_assert(b.full);
	rh_buf_char(&b, 'd');
	rh_buf_u64(&b, 1);
	rh_buf_json(&b, RH_SLICE("x"));
	rh_buf_printf(&b, "x");
	rh_buf_hex(&b, "x", 1);
	assert_buf("abc");
}
END_TEST

START_TEST(max_bounds_an_arenas_buffer)
{
	rh_buf_init(&b, rh_check_arena(), 4, 10);
	rh_buf_lit(&b, "0123456789");
	ck_assert(!b.full);
	rh_buf_char(&b, 'x');
	ck_assert(b.full);
	assert_buf("0123456789");
}
END_TEST

static const struct { int64_t value; const char *text; } numbers[] = {
	{ 0, "0" }, { 9, "9" }, { 10, "10" }, { 99, "99" }, { 100, "100" },
	{ 12345, "12345" }, { -1, "-1" }, { -100, "-100" },
	{ INT64_MAX, "9223372036854775807" }, { INT64_MIN, "-9223372036854775808" },
};

START_TEST(numbers_are_decimal)
{
	open_buf();
	rh_buf_i64(&b, numbers[_i].value);
	assert_buf(numbers[_i].text);
}
END_TEST

START_TEST(the_largest_number)
{
	open_buf();
	rh_buf_u64(&b, UINT64_MAX);
	assert_buf("18446744073709551615");
}
END_TEST

static const struct { uint64_t value; unsigned decimals; const char *text; } fixed[] = {
	{ 1234, 3, "1.234" }, { 0, 3, "0.000" }, { 5, 3, "0.005" },
	{ 1000, 3, "1.000" }, { 7, 0, "7" }, { 0, 0, "0" },
	{ UINT64_MAX, 6, "18446744073709.551615" },
	{ 1, 18, "0.000000000000000001" },
};

START_TEST(fixed_point)
{
	open_buf();
	rh_buf_fixed(&b, fixed[_i].value, fixed[_i].decimals);
	assert_buf(fixed[_i].text);
}
END_TEST

static const struct { double value; const char *text; } doubles[] = {
	{ 0, "0" }, { 1, "1" }, { -1, "-1" }, { 0.1, "0.1" }, { 0.5, "0.5" },
	{ 1.0 / 3, "0.3333333333333333" }, { 1e15, "1e+15" }, { 123456, "123456" },
	{ 0.0005, "0.0005" }, { 1e-9, "1e-09" }, { 1e300, "1e+300" },
	{ 0.1 + 0.2, "0.30000000000000004" },
};

START_TEST(doubles_are_short)
{
	open_buf();
	rh_buf_double(&b, doubles[_i].value);
	assert_buf(doubles[_i].text);
}
END_TEST

static const double reals[] = {
	DBL_MIN, DBL_MAX, DBL_EPSILON, 5e-324, M_PI, -M_E, 1e22, 123456789.123456789,
	9007199254740993.0, 0.1 + 0.7,
};

START_TEST(doubles_read_back)
{
	open_buf();
	rh_buf_double(&b, reals[_i]);
	rh_buf_char(&b, '\0');
	ck_assert(strtod(b.p, NULL) == reals[_i]);
}
END_TEST

#define FFFD "\xef\xbf\xbd"
static const struct { struct rh_slice in; const char *out; } strings[] = {
	{ RH_SLICE_INIT(""), "\"\"" },
	{ RH_SLICE_INIT("plain text"), "\"plain text\"" },
	{ RH_SLICE_INIT("\"\\/"), "\"\\\"\\\\/\"" },
	{ RH_SLICE_INIT("\b\t\n\f\r"), "\"\\b\\t\\n\\f\\r\"" },
	{ RH_SLICE_INIT("\0\x01\x0b\x1f"), "\"\\u0000\\u0001\\u000b\\u001f\"" },
	{ RH_SLICE_INIT("\x7f"), "\"\\u007f\"" },
	{ RH_SLICE_INIT("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"),
	  "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"" },
	{ RH_SLICE_INIT("a\xff" "b"), "\"a" FFFD "b\"" },
	{ RH_SLICE_INIT("\xc0\xaf"), "\"" FFFD FFFD "\"" },
	{ RH_SLICE_INIT("\xed\xa0\x80"), "\"" FFFD FFFD FFFD "\"" },
	{ RH_SLICE_INIT("\xc3"), "\"" FFFD "\"" },
	{ RH_SLICE_INIT("\xe2\x82\""), "\"" FFFD FFFD "\\\"\"" },
	{ RH_SLICE_INIT("<script>&'"), "\"<script>&'\"" },
};

START_TEST(json_strings_are_valid_whatever_comes)
{
	open_buf();
	rh_buf_json(&b, strings[_i].in);
	assert_buf(strings[_i].out);
	ck_assert(rh_utf8_is(rh_buf_get(&b)));
}
END_TEST

/* Plain bytes are told sixteen at a time: each byte at each place of each length. */
START_TEST(json_finds_what_is_odd_wherever_it_stands)
{
	char text[40], want[64];

	for (size_t n = 1; n <= sizeof(text); n++)
		for (size_t at = 0; at < n; at++)
			for (int c = 0; c < 0x80; c++) {
				bool plain = c >= ' ' && c < 0x7f && c != '"' && c != '\\';
				int from = 1 + (int)at;

				memset(text, '~', sizeof(text));
				memset(want, '~', sizeof(want));
				text[at] = (char)c;
				open_buf();
				rh_buf_json(&b, (struct rh_slice){ text, n });
				ck_assert_int_eq(plain, b.n == n + 2);
				ck_assert_int_eq(b.p[from], plain ? c : '\\');
				ck_assert_mem_eq(b.p + 1, want, at);
				ck_assert_mem_eq(b.p + b.n - 1 - (n - at - 1), want,
				    n - at - 1);
			}
}
END_TEST

START_TEST(json_of_no_value_is_an_empty_string)
{
	open_buf();
	rh_buf_json(&b, RH_SLICE_NONE);
	assert_buf("\"\"");
}
END_TEST

/* printf needs room for its NUL, which is no part of the text. */
START_TEST(printf_of_just_what_fits)
{
	char memory[4];

	rh_buf_init_fixed(&b, memory, sizeof(memory));
	rh_buf_printf(&b, "abc");
	assert_buf("abc");
	ck_assert(!b.full);
	rh_buf_char(&b, 'd');
	assert_buf("abcd");
}
END_TEST

RH_CHECK_MAIN("base/buf",
    RH_CASE(parts_join),
    RH_CASE(growing_moves_nothing_about),
    RH_CASE(what_does_not_fit_latches),
    RH_CASE(max_bounds_an_arenas_buffer),
    RH_LOOP(numbers_are_decimal, numbers),
    RH_CASE(the_largest_number),
    RH_LOOP(fixed_point, fixed),
    RH_LOOP(doubles_are_short, doubles),
    RH_LOOP(doubles_read_back, reals),
    RH_LOOP(json_strings_are_valid_whatever_comes, strings),
    RH_CASE(json_finds_what_is_odd_wherever_it_stands),
    RH_CASE(json_of_no_value_is_an_empty_string),
    RH_CASE(printf_of_just_what_fits))
