/*
 * fmt - numbers and times as a person reads them.
 *
 * Shape    texts in the arena; three significant digits, a space, the unit
 * Units    ns and us as the names say; times are UTC
 */
#ifndef RH_EXPORTER_FMT_H
#define RH_EXPORTER_FMT_H

#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"

/* "840 µs", "12.3 ms", "1.24 s" */
struct rh_slice fmt_ns(struct rh_arena *arena, uint64_t ns);
/* "12 s", "3 min", "5 h 12 min", "9 d" */
struct rh_slice fmt_span(struct rh_arena *arena, int64_t us);
/* "1,234,567" */
struct rh_slice fmt_count(struct rh_arena *arena, uint64_t n);
/* "0.25", "12.3", "1,230" */
struct rh_slice fmt_rate(struct rh_arena *arena, double per_second);
/* "0.02 %", "100 %" */
struct rh_slice fmt_share(struct rh_arena *arena, double share);
/* "1.2 KiB" */
struct rh_slice fmt_bytes(struct rh_arena *arena, uint64_t bytes);
/* "15:04:05", "15:04:05.678", "2026-01-02 15:04:05.678" */
struct rh_slice fmt_clock(struct rh_arena *arena, int64_t wall_us);
struct rh_slice fmt_moment(struct rh_arena *arena, int64_t wall_us);
struct rh_slice fmt_time(struct rh_arena *arena, int64_t wall_us);
/* RFC 3339, for <time datetime> */
struct rh_slice fmt_rfc3339(struct rh_arena *arena, int64_t wall_us);
struct rh_slice fmt_hex(struct rh_arena *arena, const void *bytes, size_t n);

#endif
