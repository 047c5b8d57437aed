/*
 * json_plain - how much of a text can stand in a JSON string as it is.
 *
 * Shape    sixteen bytes at a time, by the compilers' vectors: a dozen
 *          instructions with any CPU's
 * Owner    inside lib; not installed
 * Source   RFC 8259 section 7
 */
#ifndef RH_BASE_JSON_PLAIN_H
#define RH_BASE_JSON_PLAIN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define RH_PLAIN_STEP	16

/* Whether all of RH_PLAIN_STEP bytes are. */
static inline bool
rh_json_is_plain_step(const char *p)
{
	signed char __attribute__((vector_size(RH_PLAIN_STEP))) c;
	uint64_t odd[2];

	memcpy(&c, p, sizeof(c));
	c = (c < ' ') | (c == '"') | (c == '\\') | (c == 0x7f);
	memcpy(odd, &c, sizeof(odd));
	return (odd[0] | odd[1]) == 0;
}

/* Of RH_PLAIN_STEP bytes those in front of a control, DEL, quote, backslash or one past ASCII. */
static inline size_t
rh_json_plain_step(const char *p)
{
	signed char __attribute__((vector_size(RH_PLAIN_STEP))) c;
	uint64_t odd[2];

	memcpy(&c, p, sizeof(c));
	/* as a signed number, what is past ASCII is below a blank */
	c = (c < ' ') | (c == '"') | (c == '\\') | (c == 0x7f);
	memcpy(odd, &c, sizeof(odd));
	if ((odd[0] | odd[1]) == 0)
		return RH_PLAIN_STEP;
	if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
		return (size_t)(odd[0] ? __builtin_ctzll(odd[0]) :
		    64 + __builtin_ctzll(odd[1])) / 8;
	return (size_t)(odd[0] ? __builtin_clzll(odd[0]) :
	    64 + __builtin_clzll(odd[1])) / 8;
}

/* The bytes at the beginning that go out as they are. */
static inline size_t
rh_json_plain(const char *p, size_t n)
{
	char rest[RH_PLAIN_STEP] = "xxxxxxxxxxxxxxxx";
	size_t at = 0, step;

	for (; n - at >= RH_PLAIN_STEP; at += RH_PLAIN_STEP)
		if ((step = rh_json_plain_step(p + at)) < RH_PLAIN_STEP)
			return at + step;
	if (at == n)
		return n;
	/* the last bytes once more, together with some of those before */
	if (n >= RH_PLAIN_STEP) {
		at = n - RH_PLAIN_STEP;
		return at + rh_json_plain_step(p + at);
	}
	memcpy(rest, p, n);
	step = rh_json_plain_step(rest);
	return step < n ? step : n;
}

#endif
