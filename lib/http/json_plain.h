/*
 * json_plain - is there anything in eight bytes that a JSON string cannot
 * hold as it is?
 *
 * Shape    one word at a time; the byte order does not matter
 * Owner    inside lib/http
 * Source   H. Warren, "Hacker's Delight", 6-1
 */
#ifndef RH_HTTP_JSON_PLAIN_H
#define RH_HTTP_JSON_PLAIN_H

#include <stdint.h>

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

#endif
