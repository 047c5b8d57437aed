/*
 * cron - when something is due that comes again and again.
 *
 * Shape    five fields, minute hour day-of-month month day-of-week: *, numbers,
 *          ranges, lists, steps of * and of ranges, three-letter names of
 *          months and days, 0 and 7 both Sunday; or @hourly, @daily
 *          (@midnight), @weekly, @monthly, @yearly (@annually)
 * Units    UTC, whole minutes: no occurrence is ever left out or comes twice
 *          for a change of clocks
 * Errors   a phrase that says which field, and why
 * Owner    a plain value
 * Source   POSIX crontab; cron(5) of Vixie: where both days are restricted,
 *          one that matches is enough, and a field that begins with * is not
 *          restricted, also with a step
 */
#ifndef RH_JOBS_CRON_H
#define RH_JOBS_CRON_H

#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"

#define RH_CRON_MAX 200 /* bytes of a schedule */

struct rh_cron {
	uint64_t minutes;	    /* bit i: minute i */
	uint32_t hours, days;	    /* days: bit 1 is the first */
	uint16_t months;	    /* bit 1 is January */
	uint8_t weekdays;	    /* bit 0 is Sunday */
	bool any_day, any_weekday;  /* the field begins with * */
};

/* NULL: read. Else why not: "hour: 24 is not in 0 to 23" is "hour: …". */
RH_MUST_CHECK const char *rh_cron_read(struct rh_cron *to,
    struct rh_slice text);
/*
 * The first occurrence later than that, in microseconds since 1970;
 * RH_TIME_NONE: there is none within 40 years (30 February).
 */
int64_t rh_cron_next(const struct rh_cron *cron, int64_t after_us);

#endif
