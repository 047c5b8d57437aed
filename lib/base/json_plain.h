/*
 * json_plain - is there anything in a text that a JSON string cannot hold as
 * it is?
 *
 * Shape    eight bytes at a time; their order does not matter
 * Owner    inside lib; not installed
 * Source   H. Warren, "Hacker's Delight", 6-1
 */
#ifndef RH_BASE_JSON_PLAIN_H
#define RH_BASE_JSON_PLAIN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define RH_EACH_BYTE(c)	(0x0101010101010101ull * (c))

static inline uint64_t
rh_bytes_below(uint64_t word, unsigned n)
{
	return (word - RH_EACH_BYTE(n)) & ~word & RH_EACH_BYTE(0x80);
}

/* Not 0: a control, DEL, quote, backslash, or a byte past ASCII is there. */
static inline uint64_t
rh_bytes_odd(uint64_t word)
{
	return (word & RH_EACH_BYTE(0x80)) | rh_bytes_below(word, 0x20) |
	    rh_bytes_below(word ^ RH_EACH_BYTE('"'), 1) |
	    rh_bytes_below(word ^ RH_EACH_BYTE('\\'), 1) |
	    rh_bytes_below(word ^ RH_EACH_BYTE(0x7f), 1);
}

/* Printable ASCII without quote and backslash: goes out as it is. */
static inline bool
rh_json_is_plain(const char *p, size_t n)
{
	uint64_t word, odd = 0;
	size_t i = 0;

	for (; i + 8 <= n; i += 8) {
		memcpy(&word, p + i, 8);
		odd |= rh_bytes_odd(word);
	}
	word = RH_EACH_BYTE('x');
	memcpy(&word, p + i, n - i);
	return (odd | rh_bytes_odd(word)) == 0;
}

#endif
