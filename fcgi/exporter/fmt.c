#include "config.h"

#include "exporter/fmt.h"

#include <math.h>

#include "base/clock.h"
#include "base/text.h"

#define YEAR_10000_US	INT64_C(253402300800000000)

/* Anyone may have written the segment: what is printed has bounds. */
static struct rh_slice
three(struct rh_arena *a, double value, const char *unit)
{
	int decimals = value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;

	return rh_slice_of(rh_arena_printf(a, "%.*f\u00a0%s", decimals, value,
	    unit));
}

struct rh_slice
fmt_ns(struct rh_arena *a, uint64_t ns)
{
	if (ns >= UINT64_C(60000000000))
		return fmt_span(a, (int64_t)(ns / 1000));
	if (ns >= 999500000)
		return three(a, (double)ns / 1e9, "s");
	if (ns >= 999500)
		return three(a, (double)ns / 1e6, "ms");
	return rh_slice_of(rh_arena_printf(a, "%u\u00a0µs",
	    (unsigned)((ns + 500) / 1000)));
}

struct rh_slice
fmt_span(struct rh_arena *a, int64_t us)
{
	unsigned long long s = us > 0 ? (unsigned long long)us / 1000000 : 0;
	char *text;

	if (s < 60)
		text = rh_arena_printf(a, "%llu\u00a0s", s);
	else if (s < 3600)
		text = rh_arena_printf(a, "%llu\u00a0min", s / 60);
	else if (s < 86400)
		text = rh_arena_printf(a, "%llu\u00a0h %02llu\u00a0min",
		    s / 3600, s / 60 % 60);
	else
		text = rh_arena_printf(a, "%llu\u00a0d %llu\u00a0h", s / 86400,
		    s / 3600 % 24);
	return rh_slice_of(text);
}

struct rh_slice
fmt_count(struct rh_arena *a, uint64_t n)
{
	char *digits = rh_arena_printf(a, "%llu", (unsigned long long)n);
	size_t len = strlen(digits);
	struct rh_buf b;

	rh_buf_init(&b, a, 32, 64);
	for (size_t i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			rh_buf_char(&b, ',');
		rh_buf_char(&b, digits[i]);
	}
	return rh_buf_get(&b);
}

struct rh_slice
fmt_rate(struct rh_arena *a, double r)
{
	if (!isfinite(r) || r <= 0)
		return RH_SLICE("0");
	if (r >= 99.95)
		return fmt_count(a, (uint64_t)RH_MIN(r + 0.5, 1e18));
	return rh_slice_of(rh_arena_printf(a, r >= 9.995 ? "%.1f" : "%.2f", r));
}

struct rh_slice
fmt_share(struct rh_arena *a, double share)
{
	double percent = share * 100;

	if (!isfinite(percent))
		return RH_SLICE("–");
	return rh_slice_of(rh_arena_printf(a, percent == 0 || percent >= 99.95 ?
	    "%.0f\u00a0%%" : percent >= 9.95 ? "%.1f\u00a0%%" :
	    "%.2f\u00a0%%", percent));
}

struct rh_slice
fmt_bytes(struct rh_arena *a, uint64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB",
		"PiB", "EiB" };
	double value = (double)bytes;
	unsigned i = 0;

	for (; value >= 1023.5; i++)
		value /= 1024;
	return i ? three(a, value, units[i]) :
	    rh_slice_of(rh_arena_printf(a, "%llu\u00a0B",
	    (unsigned long long)bytes));
}

static struct rh_slice
part(struct rh_arena *a, int64_t wall_us, size_t from, size_t to)
{
	char text[RH_TIME_LEN];

	if (wall_us <= 0 || wall_us >= YEAR_10000_US)
		return RH_SLICE("–");
	rh_time_put(text, wall_us);
	if (from == 0)
		text[10] = ' ';
	return rh_arena_slice(a, (struct rh_slice){ text + from, to - from });
}

struct rh_slice
fmt_clock(struct rh_arena *a, int64_t wall_us)
{
	return part(a, wall_us, 11, 19);
}

struct rh_slice
fmt_moment(struct rh_arena *a, int64_t wall_us)
{
	return part(a, wall_us, 11, 23);
}

struct rh_slice
fmt_time(struct rh_arena *a, int64_t wall_us)
{
	return part(a, wall_us, 0, 23);
}

struct rh_slice
fmt_rfc3339(struct rh_arena *a, int64_t wall_us)
{
	char text[RH_TIME_LEN];

	rh_time_put(text, wall_us > 0 && wall_us < YEAR_10000_US ? wall_us : 0);
	return rh_arena_slice(a, (struct rh_slice){ text, sizeof(text) });
}

struct rh_slice
fmt_hex(struct rh_arena *a, const void *bytes, size_t n)
{
	char *text = rh_arena_alloc(a, 2 * n);

	rh_hex_put(text, bytes, n);
	return (struct rh_slice){ text, 2 * n };
}
