#include "config.h"

#include "base/clock.h"

#include <time.h>

#include "base/attr.h"
#include "base/text.h"

#define FIRST_US	(-62167219200000000)	/* 0000-01-01T00:00:00Z */
#define LAST_US		253402300799999999	/* 9999-12-31T23:59:59.999999Z */
#define DAY_US		86400000000
#define DATE_LEN	11

int64_t
rh_clock_wall_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

uint64_t
rh_clock_mono_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/*
 * Days since 1970-01-01 of a proleptic Gregorian date, and back (H. Hinnant,
 * "chrono-compatible low-level date algorithms").
 */
static int64_t
days_from_civil(int64_t y, unsigned m, unsigned d)
{
	int64_t era;
	unsigned yoe, doy, doe;

	y -= m <= 2;
	era = (y >= 0 ? y : y - 399) / 400;
	yoe = (unsigned)(y - era * 400);
	doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
	doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
	return era * 146097 + (int64_t)doe - 719468;
}

static void
civil_from_days(int64_t z, int64_t *y, unsigned *m, unsigned *d)
{
	int64_t era;
	unsigned doe, yoe, doy, mp;

	z += 719468;
	era = (z >= 0 ? z : z - 146096) / 146097;
	doe = (unsigned)(z - era * 146097);
	yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	mp = (5 * doy + 2) / 153;
	*d = doy - (153 * mp + 2) / 5 + 1;
	*m = mp < 10 ? mp + 3 : mp - 9;
	*y = (int64_t)yoe + era * 400 + (*m <= 2);
}

static void
put_pair(char *to, unsigned value)
{
	memcpy(to, rh_pairs[value], 2);
}

/* "2026-11-21T" of a day since 1970. */
static void
put_date(char to[DATE_LEN], int64_t days)
{
	unsigned month, day;
	int64_t year;

	civil_from_days(days, &year, &month, &day);
	memcpy(to, "0000-00-00T", DATE_LEN);
	put_pair(to, (unsigned)year / 100 % 100);
	put_pair(to + 2, (unsigned)year % 100);
	put_pair(to + 5, month);
	put_pair(to + 8, day);
}

/*
 * The calendar is most of a time's cost, and the times of a page share days.
 * A day's text is of the thread that made it: the shipper has its own.
 */
static const char *
date(int64_t days)
{
	static _Thread_local struct made { int64_t days; char text[DATE_LEN]; } all[64];
	struct made *made = &all[(uint64_t)days % RH_COUNT(all)];

	if (made->days != days || !made->text[0]) {
		put_date(made->text, days);
		made->days = days;
	}
	return made->text;
}

void
rh_time_put(char to[RH_TIME_LEN], int64_t wall_us)
{
	int64_t days = wall_us / DAY_US, rest = wall_us % DAY_US;
	unsigned s, us;

	if (rest < 0) {
		rest += DAY_US;
		days--;
	}
	s = (unsigned)(rest / 1000000);
	us = (unsigned)(rest % 1000000);
	memcpy(to, date(days), DATE_LEN);
	memcpy(to + DATE_LEN, "00:00:00.000000Z", RH_TIME_LEN - DATE_LEN);
	put_pair(to + 11, s / 3600);
	put_pair(to + 14, s / 60 % 60);
	put_pair(to + 17, s % 60);
	put_pair(to + 20, us / 10000);
	put_pair(to + 22, us / 100 % 100);
	put_pair(to + 24, us % 100);
}

static bool
take(struct rh_slice *s, unsigned digits, unsigned *value)
{
	if (s->n < digits)
		return false;
	for (*value = 0; digits--; *s = rh_slice_from(*s, 1)) {
		if (s->p[0] < '0' || s->p[0] > '9')
			return false;
		*value = *value * 10 + (unsigned)(s->p[0] - '0');
	}
	return true;
}

static bool
take_char(struct rh_slice *s, char upper, char lower)
{
	if (s->n == 0 || (s->p[0] != upper && s->p[0] != lower))
		return false;
	*s = rh_slice_from(*s, 1);
	return true;
}

static unsigned
month_days(unsigned year, unsigned month)
{
	static const unsigned char days[] = {
		31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31,
	};
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return days[month - 1] + (month == 2 && leap);
}

static bool
take_fraction(struct rh_slice *s, int64_t *us)
{
	int64_t unit = 100000;
	size_t i;

	*us = 0;
	if (!take_char(s, '.', '.'))
		return true;
	for (i = 0; i < s->n && s->p[i] >= '0' && s->p[i] <= '9'; i++) {
		*us += unit * (s->p[i] - '0');
		unit /= 10;
	}
	*s = rh_slice_from(*s, i);
	return i > 0;
}

static bool
take_offset(struct rh_slice *s, int64_t *minutes)
{
	bool minus = s->n && s->p[0] == '-';
	unsigned h, m;

	*minutes = 0;
	if (take_char(s, 'Z', 'z'))
		return true;
	if (!take_char(s, '+', '-') || !take(s, 2, &h) ||
	    !take_char(s, ':', ':') || !take(s, 2, &m) || h > 23 || m > 59)
		return false;
	*minutes = (minus ? -1 : 1) * (int64_t)(h * 60 + m);
	return true;
}

bool
rh_time_get(int64_t *to, struct rh_slice s)
{
	unsigned year, month, day, hour, minute, second;
	int64_t us, offset;

	if (!take(&s, 4, &year) || !take_char(&s, '-', '-') ||
	    !take(&s, 2, &month) || !take_char(&s, '-', '-') ||
	    !take(&s, 2, &day) || !take_char(&s, 'T', 't') ||
	    !take(&s, 2, &hour) || !take_char(&s, ':', ':') ||
	    !take(&s, 2, &minute) || !take_char(&s, ':', ':') ||
	    !take(&s, 2, &second) || !take_fraction(&s, &us) ||
	    !take_offset(&s, &offset) || s.n)
		return false;
	if (month < 1 || month > 12 || day < 1 || day > month_days(year, month) ||
	    hour > 23 || minute > 59 || second > 60)
		return false;
	*to = ((days_from_civil(year, month, day) * 86400 + hour * 3600 +
	    ((int64_t)minute - offset) * 60 + second) * 1000000) + us;
	/* an offset, or a leap second, may lead out of what can be written */
	return *to >= FIRST_US && *to <= LAST_US;
}
