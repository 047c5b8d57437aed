/* tests/lib/base/check_clock.c - times are RFC 3339, in UTC, with microseconds. */
#include "config.h"

#include "base/clock.h"

#include "rh_check.h"

/* Both ways: the canonical form. */
static const struct { int64_t us; const char *text; } times[] = {
	{ 0, "1970-01-01T00:00:00.000000Z" },
	{ 1, "1970-01-01T00:00:00.000001Z" },
	{ -1, "1969-12-31T23:59:59.999999Z" },
	{ -86400000000, "1969-12-31T00:00:00.000000Z" },
	{ 951782400000000, "2000-02-29T00:00:00.000000Z" },
	{ 951868800000000, "2000-03-01T00:00:00.000000Z" },
	{ 1709164800000000, "2024-02-29T00:00:00.000000Z" },
	{ 1767321845678901, "2026-01-02T02:44:05.678901Z" },
	{ 4107542400000000, "2100-03-01T00:00:00.000000Z" },
	{ 253402300799999999, "9999-12-31T23:59:59.999999Z" },
	{ -62167219200000000, "0000-01-01T00:00:00.000000Z" },
	{ -62135596800000000, "0001-01-01T00:00:00.000000Z" },
};

START_TEST(times_there_and_back)
{
	char text[RH_TIME_LEN + 1] = { 0 };
	int64_t us;

	rh_time_put(text, times[_i].us);
	ck_assert_str_eq(text, times[_i].text);
	ck_assert(rh_time_get(&us, rh_slice_of(text)));
	ck_assert_int_eq(us, times[_i].us);
}
END_TEST

/* RFC 3339 section 5.8 and the like. */
static const struct { const char *text; int64_t us; } forms[] = {
	{ "1985-04-12T23:20:50.52Z", 482196050520000 },
	{ "1996-12-19T16:39:57-08:00", 851042397000000 },
	{ "1990-12-31T23:59:60Z", 662688000000000 },
	{ "1990-12-31T15:59:60-08:00", 662688000000000 },
	{ "1937-01-01T12:00:27.87+00:20", -1041337172130000 },
	{ "1970-01-01t00:00:00z", 0 },
	{ "1970-01-01T00:00:00-00:00", 0 },
	{ "1970-01-01T00:00:00.1234567899Z", 123456 },
	{ "1970-01-01T00:00:00.9999999Z", 999999 },
	{ "1970-01-01T00:00:00+23:59", -86340000000 },
	{ "1969-12-31T00:00:00-23:59", -60000000 },
};

START_TEST(any_offset_and_precision_is_read)
{
	int64_t us;

	ck_assert(rh_time_get(&us, rh_slice_of(forms[_i].text)));
	ck_assert_int_eq(us, forms[_i].us);
}
END_TEST

static const char *const no_times[] = {
	"", "1970", "1970-01-01", "1970-01-01T00:00Z", "1970-01-01T00:00:00",
	"1970-01-01 00:00:00Z", "1970-1-1T00:00:00Z", "70-01-01T00:00:00Z",
	"1970-00-01T00:00:00Z", "1970-13-01T00:00:00Z", "1970-01-00T00:00:00Z",
	"1970-01-32T00:00:00Z", "1970-04-31T00:00:00Z", "2023-02-29T00:00:00Z",
	"2100-02-29T00:00:00Z", "1970-01-01T24:00:00Z", "1970-01-01T00:60:00Z",
	"1970-01-01T00:00:61Z", "1970-01-01T00:00:00.Z", "1970-01-01T00:00:00,5Z",
	"1970-01-01T00:00:00+0100", "1970-01-01T00:00:00+01",
	"1970-01-01T00:00:00+24:00", "1970-01-01T00:00:00+01:60",
	"1970-01-01T00:00:00Z ", " 1970-01-01T00:00:00Z", "1970-01-01T00:00:00ZZ",
	"-970-01-01T00:00:00Z", "+1970-01-01T00:00:00Z", "now",
};

START_TEST(what_is_no_date_time_is_refused)
{
	int64_t us;

	ck_assert(!rh_time_get(&us, rh_slice_of(no_times[_i])));
}
END_TEST

/* What an offset shifts out of the years 0000 to 9999 could not be printed. */
static const char *const beyond[] = {
	"0000-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01",
	"9999-12-31T23:59:60Z",
};

START_TEST(times_past_the_calendar_are_refused)
{
	int64_t us;

	ck_assert(!rh_time_get(&us, rh_slice_of(beyond[_i])));
}
END_TEST

/* Every day of the calendar, both ways, and none left out. */
START_TEST(days_follow_each_other)
{
	char text[RH_TIME_LEN], before[RH_TIME_LEN] = { 0 };
	int64_t us;

	for (int64_t day = -719528; day <= 2932896; day++) {
		rh_time_put(text, day * 86400000000);
		if (memcmp(before, text, RH_TIME_LEN) >= 0 ||
		    !rh_time_get(&us, (struct rh_slice){ text, RH_TIME_LEN }) ||
		    us != day * 86400000000)
			ck_abort_msg("%.*s", RH_TIME_LEN, text);
		memcpy(before, text, RH_TIME_LEN);
	}
}
END_TEST

START_TEST(the_clocks_run)
{
	uint64_t mono = rh_clock_mono_ns();

	ck_assert_int_gt(rh_clock_wall_us(), 1700000000000000);
	while (rh_clock_mono_ns() == mono)
		;
	ck_assert_uint_gt(rh_clock_mono_ns(), mono);
}
END_TEST

RH_CHECK_MAIN("base/clock",
    RH_LOOP(times_there_and_back, times),
    RH_LOOP(any_offset_and_precision_is_read, forms),
    RH_LOOP(what_is_no_date_time_is_refused, no_times),
    RH_LOOP(times_past_the_calendar_are_refused, beyond),
    RH_CASE(days_follow_each_other),
    RH_CASE(the_clocks_run))
