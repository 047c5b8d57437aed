#include "config.h"

#include "jobs/cron.h"

#include "base/clock.h"

enum { SUNDAY_TOO = 7, NAME_LEN = 3, YEARS_MAX = 40, DAYS_OF_YEARS = 366 };
#define MINUTE_US INT64_C(60000000)
#define DAY_MINUTES 1440

/* ---- a field ---- */

static const char *const months[] = { "jan", "feb", "mar", "apr", "may", "jun",
	"jul", "aug", "sep", "oct", "nov", "dec", NULL };
static const char *const weekdays[] = { "sun", "mon", "tue", "wed", "thu",
	"fri", "sat", NULL };

/* The reasons are whole: nothing of what came is in them. */
#define FAULT(field) \
	field ": not one that cron has (numbers, names, ranges, lists, steps)"
static const struct field {
	int min, max;
	const char *const *names; /* the first is min; NULL: it has none */
	const char *fault;
} fields[] = {
	{ 0, 59, NULL, FAULT("minute (0 to 59)") },
	{ 0, 23, NULL, FAULT("hour (0 to 23)") },
	{ 1, 31, NULL, FAULT("day of month (1 to 31)") },
	{ 1, 12, months, FAULT("month (1 to 12, jan to dec)") },
	{ 0, SUNDAY_TOO, weekdays, FAULT("day of week (0 to 7, sun to sat)") },
};
enum { MINUTE, HOUR, DAY, MONTH, WEEKDAY, FIELDS };

/* Two digits at most: more is out of every field's range. */
static bool
number(struct rh_slice *s, int *to)
{
	size_t n = 0;

	*to = 0;
	while (n < s->n && s->p[n] >= '0' && s->p[n] <= '9' && n < 3)
		*to = *to * 10 + (s->p[n++] - '0');
	*s = rh_slice_from(*s, n);
	return n > 0 && n < 3;
}

static bool
value(const struct field *f, struct rh_slice *s, int *to)
{
	struct rh_slice name = { s->p, NAME_LEN };

	for (int i = 0; f->names && f->names[i] && s->n >= NAME_LEN; i++)
		if (rh_slice_is_nocase(name, rh_slice_of(f->names[i]))) {
			*s = rh_slice_from(*s, NAME_LEN);
			*to = f->min + i;
			return true;
		}
	return number(s, to) && *to >= f->min && *to <= f->max;
}

static bool
eat(struct rh_slice *s, char c)
{
	if (s->n == 0 || s->p[0] != c)
		return false;
	*s = rh_slice_from(*s, 1);
	return true;
}

/* "*", "3", "1-5", and of the first and the last a step: a list's item. */
static bool
item(const struct field *f, struct rh_slice s, uint64_t *bits)
{
	int from = f->min, to = f->max, step = 1;
	bool is_range = eat(&s, '*');

	if (!is_range) {
		if (!value(f, &s, &from))
			return false;
		to = from;
		is_range = eat(&s, '-');
		if (is_range && !value(f, &s, &to))
			return false;
		/* fri-sun */
		if (is_range && f->names == weekdays && to == 0)
			to = SUNDAY_TOO;
	}
	if (is_range && eat(&s, '/') && (!number(&s, &step) || step == 0))
		return false;
	if (s.n || from > to)
		return false;
	for (int i = from; i <= to; i += step)
		*bits |= UINT64_C(1) << i;
	return true;
}

static bool
field(const struct field *f, struct rh_slice s, uint64_t *bits)
{
	*bits = 0;
	while (s.p)
		if (!item(f, rh_slice_cut(&s, ','), bits))
			return false;
	return true;
}

/* ---- all of them ---- */

static const struct {
	const char *name, *text;
} shorthands[] = {
	{ "@hourly", "0 * * * *" },
	{ "@daily", "0 0 * * *" },
	{ "@midnight", "0 0 * * *" },
	{ "@weekly", "0 0 * * 0" },
	{ "@monthly", "0 0 1 * *" },
	{ "@yearly", "0 0 1 1 *" },
	{ "@annually", "0 0 1 1 *" },
};

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct rh_slice
word(struct rh_slice *rest)
{
	struct rh_slice w;
	size_t n = 0;

	*rest = rh_slice_trim(*rest);
	while (n < rest->n && !is_blank(rest->p[n]))
		n++;
	w = (struct rh_slice){ rest->p, n };
	*rest = rh_slice_from(*rest, n);
	return w;
}

static const char *
read_fields(struct rh_cron *to, struct rh_slice text)
{
	uint64_t bits[FIELDS];
	bool any[FIELDS];

	for (int i = 0; i < FIELDS; i++) {
		struct rh_slice w = word(&text);

		if (w.n == 0)
			return "five fields are wanted: minute, hour, day of"
			       " month, month, day of week";
		any[i] = w.p[0] == '*';
		if (!field(&fields[i], w, &bits[i]))
			return fields[i].fault;
	}
	if (word(&text).n)
		return "more than five fields";
	if (bits[WEEKDAY] >> SUNDAY_TOO & 1)
		bits[WEEKDAY] |= 1;
	*to = (struct rh_cron){ bits[MINUTE], (uint32_t)bits[HOUR],
		(uint32_t)bits[DAY], (uint16_t)bits[MONTH],
		(uint8_t)(bits[WEEKDAY] & 0x7f), any[DAY], any[WEEKDAY] };
	return NULL;
}

const char *
rh_cron_read(struct rh_cron *to, struct rh_slice text)
{
	const char *fault;

	if (text.n > RH_CRON_MAX)
		return "longer than 200 bytes";
	text = rh_slice_trim(text);
	for (size_t i = 0; i < RH_COUNT(shorthands); i++)
		if (rh_slice_is_nocase(text, rh_slice_of(shorthands[i].name)))
			text = rh_slice_of(shorthands[i].text);
	if ((fault = read_fields(to, text)))
		return fault;
	return rh_cron_next(to, 0) == RH_TIME_NONE ? "there is no such day" :
						     NULL;
}

/* ---- when ---- */

/* Of days since 1970 (Howard Hinnant, "chrono-compatible low-level date algorithms"). */
static void
civil(int64_t days, int *month, int *day)
{
	int64_t z = days + 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;

	*day = (int)(doy - (153 * mp + 2) / 5 + 1);
	*month = (int)(mp < 10 ? mp + 3 : mp - 9);
}

static bool
is_day(const struct rh_cron *c, int64_t days)
{
	int month, day, weekday = (int)(((days + 4) % 7 + 7) % 7);
	bool by_day, by_weekday;

	civil(days, &month, &day);
	if (!(c->months >> month & 1))
		return false;
	by_day = c->days >> day & 1;
	by_weekday = c->weekdays >> weekday & 1;
	return c->any_day || c->any_weekday ? by_day && by_weekday :
					      by_day || by_weekday;
}

/* Of the day, from that minute on; -1: none. */
static int
minute_from(const struct rh_cron *c, int minute)
{
	for (; minute < DAY_MINUTES; minute++)
		if (c->hours >> minute / 60 & 1 &&
		    c->minutes >> minute % 60 & 1)
			return minute;
	return -1;
}

int64_t
rh_cron_next(const struct rh_cron *cron, int64_t after_us)
{
	int64_t minutes = after_us / MINUTE_US - (after_us % MINUTE_US < 0) + 1;
	int64_t days = minutes / DAY_MINUTES - (minutes % DAY_MINUTES < 0);
	int minute = (int)(minutes - days * DAY_MINUTES);

	for (int i = 0; i < YEARS_MAX * DAYS_OF_YEARS; i++, minute = 0) {
		int at = is_day(cron, days + i) ? minute_from(cron, minute) : -1;

		if (at >= 0)
			return ((days + i) * DAY_MINUTES + at) * MINUTE_US;
	}
	return RH_TIME_NONE;
}
