/*
 * clock - when, and how long.
 *
 * Units    wall: microseconds since 1970 UTC (int64_t; RH_TIME_NONE is "no
 *          time"); mono: nanoseconds of CLOCK_MONOTONIC, for durations and
 *          deadlines only
 * Source   RFC 3339 for the text form: UTC, microseconds, "Z"
 */
#ifndef RH_BASE_CLOCK_H
#define RH_BASE_CLOCK_H

#include <stdint.h>

#include "base/slice.h"

#define RH_TIME_NONE	INT64_MIN
#define RH_TIME_INFINITY	INT64_MAX
#define RH_TIME_LEN	27	/* 2026-01-02T03:04:05.678901Z */

int64_t rh_clock_wall_us(void);
uint64_t rh_clock_mono_ns(void);

/* RH_TIME_LEN characters, no NUL; years 0000 to 9999. */
void rh_time_put(char to[RH_TIME_LEN], int64_t wall_us);
/* Any RFC 3339 date-time, with whatever offset; digits past the sixth are cut. */
bool rh_time_get(int64_t *to, struct rh_slice text);

#endif
