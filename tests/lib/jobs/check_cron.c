/* check_cron.c - what a schedule says, and what it does not. */
#include "config.h"

#include "base/clock.h"
#include "jobs/cron.h"
#include "rh_check.h"

static int64_t
at(const char *text)
{
	int64_t us;

	ck_assert(rh_time_get(&us, rh_slice_of(text)));
	return us;
}

/* 2024 and 2028 have a 29 February, 2100 has none; 1 January 2026 is a Thursday. */
static const struct {
	const char *schedule, *after, *next;
} dues[] = {
	{ "* * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z" },
	{ "* * * * *", "2026-01-01T00:00:59.999999Z", "2026-01-01T00:01:00Z" },
	{ "0 3 * * *", "2026-01-01T02:59:59Z", "2026-01-01T03:00:00Z" },
	{ "0 3 * * *", "2026-01-01T03:00:00Z", "2026-01-02T03:00:00Z" },
	{ "30 23 31 12 *", "2026-12-31T23:30:00Z", "2027-12-31T23:30:00Z" },
	{ "*/15 * * * *", "2026-01-01T00:50:00Z", "2026-01-01T01:00:00Z" },
	{ "5-59/20 * * * *", "2026-01-01T00:26:00Z", "2026-01-01T00:45:00Z" },
	{ "1,31 8-10 * * *", "2026-01-01T08:31:00Z", "2026-01-01T09:01:00Z" },
	{ "0 0 * * 1-5", "2026-01-02T00:00:00Z", "2026-01-05T00:00:00Z" },
	{ "0 0 * * MON-fri", "2026-01-02T00:00:00Z", "2026-01-05T00:00:00Z" },
	{ "0 0 * * fri-sun", "2026-01-05T00:00:00Z", "2026-01-09T00:00:00Z" },
	{ "0 0 * * 0", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z" },
	{ "0 0 * * 7", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z" },
	{ "0 0 * jun,DEC *", "2026-01-01T00:00:00Z", "2026-06-01T00:00:00Z" },
	/* both days: one is enough; with a star, also a step's: both */
	{ "0 0 13 * fri", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z" },
	{ "0 0 13 * fri", "2026-01-10T00:00:00Z", "2026-01-13T00:00:00Z" },
	{ "0 0 */2 * fri", "2026-01-02T00:00:00Z", "2026-01-09T00:00:00Z" },
	{ "0 0 13 * *", "2026-01-02T00:00:00Z", "2026-01-13T00:00:00Z" },
	{ "0 0 13 * */7", "2026-01-13T00:00:00Z", "2026-09-13T00:00:00Z" },
	/* leap years */
	{ "0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z" },
	{ "0 0 29 2 *", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00Z" },
	{ "59 23 28 2 *", "2024-02-28T23:59:00Z", "2025-02-28T23:59:00Z" },
	{ "0 0 31 * *", "2026-01-31T00:00:00Z", "2026-03-31T00:00:00Z" },
	{ "0 12 1 1 *", "1969-12-31T23:59:59Z", "1970-01-01T12:00:00Z" },
	{ "@hourly", "2026-01-01T00:00:01Z", "2026-01-01T01:00:00Z" },
	{ "@daily", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z" },
	{ "@MIDNIGHT", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z" },
	{ "@weekly", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z" },
	{ "@monthly", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z" },
	{ "@yearly", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z" },
	{ "@annually", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z" },
	{ " \t0\t3  * * *  ", "2026-01-01T00:00:00Z", "2026-01-01T03:00:00Z" },
	{ "00 03 * * *", "2026-01-01T00:00:00Z", "2026-01-01T03:00:00Z" },
	{ "*,5 * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z" },
	{ "0-59/59 * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:59:00Z" },
};

START_TEST(it_is_due_then)
{
	struct rh_cron cron;
	char text[RH_TIME_LEN + 1] = "";

	ck_assert_pstr_eq(rh_cron_read(&cron, rh_slice_of(dues[_i].schedule)),
	    NULL);
	rh_time_put(text, rh_cron_next(&cron, at(dues[_i].after)));
	text[sizeof("2026-01-01T00:00:00") - 1] = 'Z';
	text[sizeof("2026-01-01T00:00:00Z") - 1] = '\0';
	ck_assert_str_eq(text, dues[_i].next);
}
END_TEST

static const char *const refused[] = {
	"", " ", "*", "* * * *", "* * * * * *", "@", "@reboot", "@daily x",
	"60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 0 *",
	"* * * 13 *", "* * * * 8", "-1 * * * *", "+1 * * * *", "1. * * * *",
	"5-1 * * * *", "1- * * * *", "-5 * * * *", "1-2-3 * * * *",
	"*/0 * * * *", "*/ * * * *", "*/-1 * * * *", "*/100 * * * *",
	"5/10 * * * *", "1-5/ * * * *", "**/2 * * * *", "*5 * * * *",
	", * * * *", "1, * * * *", ",1 * * * *", "1,,2 * * * *",
	"jan * * * *", "* * * mon *", "* * * * jan", "* * * * mo",
	"* * * * mond", "* * * janfeb *", "* * * * sat-mon",
	"000 * * * *", "99999999999999999999 * * * *",
	"? * * * *", "* * L * *", "* * * * 5#2", "* * 15W * *", "H * * * *",
	"\n* * * * *", "*\n* * * *", "* * * * *\n* * * * *",
	"\xff * * * *", "0x1 * * * *", "1e1 * * * *",
	/* there is no such day */
	"0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "0 0 30 feb */7",
};

START_TEST(this_is_no_schedule)
{
	struct rh_cron cron;

	ck_assert_ptr_nonnull(rh_cron_read(&cron, rh_slice_of(refused[_i])));
}
END_TEST

START_TEST(bytes_and_lengths_are_bounded)
{
	struct rh_cron cron;
	char text[4096];

	ck_assert_ptr_nonnull(rh_cron_read(&cron, RH_SLICE_NONE));
	ck_assert_ptr_nonnull(rh_cron_read(&cron, RH_SLICE("* * * *\0*")));
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = i % 2 ? ',' : '1';
	ck_assert_ptr_nonnull(
	    rh_cron_read(&cron, (struct rh_slice){ text, sizeof(text) }));
	/* of what ends without a NUL nothing behind the end is read */
	for (size_t n = 0; n <= strlen("0 0 * jan mon"); n++) {
		char *exact = malloc(n + !n);

		memcpy(exact, "0 0 * jan mon", n);
		ck_assert(!!rh_cron_read(&cron, (struct rh_slice){ exact, n }) ==
		    (n < strlen("0 0 * jan mon")));
		free(exact);
	}
}
END_TEST

/* Against what the calendar says minute by minute. */
START_TEST(no_minute_is_left_out)
{
	struct rh_cron cron;
	int64_t t = at("2027-12-30T00:00:00Z"), to = at("2028-03-02T00:00:00Z");
	int n = 0;

	ck_assert_ptr_null(rh_cron_read(&cron, RH_SLICE("*/7 1-3 * 2 *")));
	while ((t = rh_cron_next(&cron, t)) < to)
		n++;
	ck_assert_int_eq(n, 29 * 3 * 9);
}
END_TEST

RH_CHECK_MAIN("jobs/cron", RH_LOOP(it_is_due_then, dues),
    RH_LOOP(this_is_no_schedule, refused),
    RH_CASE(bytes_and_lengths_are_bounded), RH_CASE(no_minute_is_left_out))
