/* tests/lib/base/check_text.c - encodings, and what none of them may let through. */
#include "config.h"

#include "base/text.h"

#include "rh_check.h"

static const struct { struct rh_slice text; bool valid; size_t count; } utf8[] = {
	{ RH_SLICE_INIT(""), true, 0 },
	{ RH_SLICE_INIT("a\0b"), true, 3 },
	{ RH_SLICE_INIT("\x7f"), true, 1 },
	/* the first and the last of each length, and around the surrogates */
	{ RH_SLICE_INIT("\xc2\x80"), true, 1 },
	{ RH_SLICE_INIT("\xdf\xbf"), true, 1 },
	{ RH_SLICE_INIT("\xe0\xa0\x80"), true, 1 },
	{ RH_SLICE_INIT("\xed\x9f\xbf"), true, 1 },
	{ RH_SLICE_INIT("\xee\x80\x80"), true, 1 },
	{ RH_SLICE_INIT("\xef\xbf\xbf"), true, 1 },
	{ RH_SLICE_INIT("\xf0\x90\x80\x80"), true, 1 },
	{ RH_SLICE_INIT("\xf4\x8f\xbf\xbf"), true, 1 },
	{ RH_SLICE_INIT("na\xc3\xafve \xf0\x9f\x8f\x98"), true, 7 },
	/* overlong */
	{ RH_SLICE_INIT("\xc0\x80"), false, 0 },
	{ RH_SLICE_INIT("\xc0\xaf"), false, 0 },
	{ RH_SLICE_INIT("\xc1\xbf"), false, 0 },
	{ RH_SLICE_INIT("\xe0\x80\xaf"), false, 0 },
	{ RH_SLICE_INIT("\xe0\x9f\xbf"), false, 0 },
	{ RH_SLICE_INIT("\xf0\x80\x80\xaf"), false, 0 },
	{ RH_SLICE_INIT("\xf0\x8f\xbf\xbf"), false, 0 },
	/* surrogates, also as a pair (CESU-8) */
	{ RH_SLICE_INIT("\xed\xa0\x80"), false, 0 },
	{ RH_SLICE_INIT("\xed\xbf\xbf"), false, 0 },
	{ RH_SLICE_INIT("\xed\xa0\xbd\xed\xb8\x80"), false, 0 },
	/* past U+10FFFF, and bytes that never occur */
	{ RH_SLICE_INIT("\xf4\x90\x80\x80"), false, 0 },
	{ RH_SLICE_INIT("\xf5\x80\x80\x80"), false, 0 },
	{ RH_SLICE_INIT("\xf8\x88\x80\x80\x80"), false, 0 },
	{ RH_SLICE_INIT("\xfe"), false, 0 },
	{ RH_SLICE_INIT("\xff"), false, 0 },
	/* cut off, or broken in the middle */
	{ RH_SLICE_INIT("\x80"), false, 0 },
	{ RH_SLICE_INIT("\xbf"), false, 0 },
	{ RH_SLICE_INIT("\xc3"), false, 0 },
	{ RH_SLICE_INIT("\xe2\x82"), false, 0 },
	{ RH_SLICE_INIT("\xf0\x9f\x8f"), false, 0 },
	{ RH_SLICE_INIT("\xc3("), false, 0 },
	{ RH_SLICE_INIT("\xe2\x82("), false, 0 },
	{ RH_SLICE_INIT("\xe2(\xa1"), false, 0 },
	{ RH_SLICE_INIT("\xf0\x9f\x8f("), false, 0 },
	{ RH_SLICE_INIT("ok\xc3\xa9\xa9"), false, 0 },
};

START_TEST(utf8_is_rfc_3629)
{
	ck_assert_int_eq(rh_utf8_is(utf8[_i].text), utf8[_i].valid);
	if (utf8[_i].valid)
		ck_assert_uint_eq(rh_utf8_count(utf8[_i].text), utf8[_i].count);
}
END_TEST

/* Every code point that there is, and none that there is not. */
START_TEST(utf8_takes_each_scalar_value)
{
	for (uint32_t c = 0x800; c < 0x110000; c++) {
		unsigned char s[4] = {
			(unsigned char)(c < 0x10000 ? 0xe0 | c >> 12 : 0xf0 | c >> 18),
			(unsigned char)(0x80 | (c >> (c < 0x10000 ? 6 : 12) & 63)),
			(unsigned char)(0x80 | (c < 0x10000 ? c & 63 : c >> 6 & 63)),
			(unsigned char)(0x80 | (c & 63)),
		};
		size_t n = c < 0x10000 ? 3 : 4;

		if (rh_utf8_step(s, n) != (c >= 0xd800 && c < 0xe000 ? 0 : n))
			ck_abort_msg("U+%04X", c);
	}
}
END_TEST

static const struct { const char *text; bool any_case, valid; } hexes[] = {
	{ "00ff10", false, true }, { "00FF10", false, false },
	{ "00FF10", true, true }, { "00ff1", false, false },
	{ "00ff101", false, false }, { "00ff1g", true, false },
	{ "", false, false }, { "00ff1/", false, false }, { " 0ff10", false, false },
};

START_TEST(hex_has_two_digits_a_byte)
{
	unsigned char bytes[3];
	char text[6];

	ck_assert_int_eq(rh_hex_get(bytes, 3, rh_slice_of(hexes[_i].text),
	    hexes[_i].any_case), hexes[_i].valid);
	if (!hexes[_i].valid)
		return;
	ck_assert_mem_eq(bytes, "\x00\xff\x10", 3);
	rh_hex_put(text, bytes, 3);
	ck_assert_mem_eq(text, "00ff10", 6);
}
END_TEST

/* Digits are read sixteen at a time: each byte at each place, and the rest. */
START_TEST(hex_is_judged_at_each_place)
{
	static const char good[] = "0123456789abcdef0123456789ABCDEF01";
	unsigned char bytes[17];

	for (size_t at = 0; at < sizeof(good) - 1; at++)
		for (int c = 0; c < 256; c++) {
			char text[sizeof(good)];
			bool digit = c >= '0' && c <= '9';
			bool lower = c >= 'a' && c <= 'f', upper = c >= 'A' && c <= 'F';
			int value = digit ? c - '0' : (c | 0x20) - 'a' + 10;
			int got;

			memcpy(text, good, sizeof(good));
			text[at] = (char)c;
			ck_assert_int_eq(rh_hex_get(bytes, 17, (struct rh_slice){
			    text, 34 }, true), digit || lower || upper);
			got = at % 2 ? bytes[at / 2] & 15 : bytes[at / 2] >> 4;
			ck_assert(!(digit || lower || upper) || got == value);
			ck_assert_int_eq(rh_hex_get(bytes, 8, (struct rh_slice){
			    text, 16 }, false), at >= 16 || digit || lower);
		}
}
END_TEST

START_TEST(hex_of_any_length)
{
	unsigned char bytes[40], again[40];
	char text[81];

	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(i * 7 + 3);
	for (size_t n = 0; n <= sizeof(bytes); n++) {
		memset(text, '!', sizeof(text));
		rh_hex_put(text, bytes, n);
		ck_assert_int_eq(text[2 * n], '!');
		ck_assert(rh_hex_get(again, n, (struct rh_slice){ text, 2 * n },
		    false));
		ck_assert_mem_eq(again, bytes, n);
	}
}
END_TEST

/* RFC 4648 section 10, without the padding; then the URL alphabet. */
static const struct { const char *bytes, *text; } base64s[] = {
	{ "", "" }, { "f", "Zg" }, { "fo", "Zm8" }, { "foo", "Zm9v" },
	{ "foob", "Zm9vYg" }, { "fooba", "Zm9vYmE" }, { "foobar", "Zm9vYmFy" },
	{ "\xfb\xff\xbf", "-_-_" }, { "\xff", "_w" },
};

START_TEST(base64url_there_and_back)
{
	size_t n = strlen(base64s[_i].bytes);
	char text[16] = { 0 }, bytes[16];

	rh_base64url_put(text, base64s[_i].bytes, n);
	ck_assert_str_eq(text, base64s[_i].text);
	ck_assert_uint_eq(RH_BASE64URL_LEN(n), strlen(text));
	ck_assert_uint_eq(rh_base64url_get(bytes, n, rh_slice_of(text)), n);
	ck_assert_mem_eq(bytes, base64s[_i].bytes, n);
	if (n)
		ck_assert_uint_eq(rh_base64url_get(bytes, n - 1, rh_slice_of(text)),
		    SIZE_MAX);
}
END_TEST

static const char *const no_base64url[] = {
	"A", "AAAAA", "Zg==", "Zm8=", "Zm9v\n", "Zm9v ", "Zm+v", "Zm/v", "Zm9v.",
	"Zh", "Zi", "Zv", "Zm9", "Zm-", "\xc3\xa9\xc3\xa9", "Z,",
};

START_TEST(base64url_is_unpadded_and_canonical)
{
	char bytes[16];

	ck_assert_uint_eq(rh_base64url_get(bytes, sizeof(bytes),
	    rh_slice_of(no_base64url[_i])), SIZE_MAX);
}
END_TEST

static const struct { uint64_t value; size_t width; const char *text; } base62s[] = {
	{ 0, 1, "0" }, { 9, 1, "9" }, { 10, 1, "A" }, { 36, 1, "a" }, { 61, 1, "z" },
	{ 62, 2, "10" }, { 61, 6, "00000z" }, { 0xffffffff, 6, "4gfFC3" },
	{ UINT64_MAX, 11, "LygHa16AHYF" }, { 63, 1, "1" },
};

START_TEST(base62_fills_its_width)
{
	char text[16] = { 0 };

	rh_base62_put(text, base62s[_i].width, base62s[_i].value);
	ck_assert_str_eq(text, base62s[_i].text);
}
END_TEST

static const struct { const char *text; bool valid; uint64_t value; } u64s[] = {
	{ "0", true, 0 }, { "7", true, 7 }, { "1234567890", true, 1234567890 },
	{ "18446744073709551615", true, UINT64_MAX },
	{ "18446744073709551616", false, 0 }, { "99999999999999999999", false, 0 },
	{ "", false, 0 }, { "00", false, 0 }, { "01", false, 0 }, { "-1", false, 0 },
	{ "+1", false, 0 }, { " 1", false, 0 }, { "1 ", false, 0 },
	{ "1.0", false, 0 }, { "0x1", false, 0 }, { "1e3", false, 0 },
	{ "\xd9\xa1", false, 0 },
};

START_TEST(unsigned_numbers_are_digits_only)
{
	uint64_t value = 0;

	ck_assert_int_eq(rh_u64_get(&value, rh_slice_of(u64s[_i].text)),
	    u64s[_i].valid);
	ck_assert_uint_eq(value, u64s[_i].value);
}
END_TEST

static const struct { const char *text; bool valid; int64_t value; } i64s[] = {
	{ "0", true, 0 }, { "-1", true, -1 },
	{ "9223372036854775807", true, INT64_MAX },
	{ "-9223372036854775807", true, -INT64_MAX },
	{ "-9223372036854775808", true, INT64_MIN },
	{ "9223372036854775808", false, 0 }, { "-9223372036854775809", false, 0 },
	{ "-", false, 0 }, { "--1", false, 0 }, { "-0", true, 0 }, { "", false, 0 },
	{ "-01", false, 0 },
};

START_TEST(signed_numbers_reach_both_ends)
{
	int64_t value = 0;

	ck_assert_int_eq(rh_i64_get(&value, rh_slice_of(i64s[_i].text)),
	    i64s[_i].valid);
	ck_assert_int_eq(value, i64s[_i].value);
}
END_TEST

RH_CHECK_MAIN("base/text",
    RH_LOOP(utf8_is_rfc_3629, utf8),
    RH_CASE(utf8_takes_each_scalar_value),
    RH_LOOP(hex_has_two_digits_a_byte, hexes),
    RH_CASE(hex_is_judged_at_each_place),
    RH_CASE(hex_of_any_length),
    RH_LOOP(base64url_there_and_back, base64s),
    RH_LOOP(base64url_is_unpadded_and_canonical, no_base64url),
    RH_LOOP(base62_fills_its_width, base62s),
    RH_LOOP(unsigned_numbers_are_digits_only, u64s),
    RH_LOOP(signed_numbers_reach_both_ends, i64s))
