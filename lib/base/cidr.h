/*
 * cidr - lists of networks, and whether an address is in one.
 *
 * Shape    addresses are 16 bytes; an IPv4 one is ::ffff:a.b.c.d, so that it
 *          is the same however a web server spells it
 * Errors   a list with one fault is none: the text that is at fault is told
 * Owner    the list lives in the arena that was passed in
 * Source   RFC 4632 (prefix notation), RFC 4291 section 2.5.5.2
 */
#ifndef RH_BASE_CIDR_H
#define RH_BASE_CIDR_H

#include "base/arena.h"
#include "base/slice.h"

struct rh_cidr {
	unsigned char net[16];
	unsigned bits;		/* of the 128 */
};

struct rh_cidrs {
	struct rh_cidr *list;
	size_t n;
};

/* "10.0.0.1", "::1", "::ffff:10.0.0.1". */
RH_MUST_CHECK bool rh_address_get(unsigned char to[16], struct rh_slice text);
/* "10.0.0.0/8", "fd00::/8"; without "/" one address. Bits behind the prefix are a fault. */
RH_MUST_CHECK bool rh_cidr_get(struct rh_cidr *to, struct rh_slice text);
/*
 * Networks with spaces or commas between them; "" is an empty list. False:
 * *fault is the first that is none.
 */
RH_MUST_CHECK bool rh_cidrs_get(struct rh_cidrs *to, struct rh_slice text,
    struct rh_arena *arena, struct rh_slice *fault);
/* False also for what is no address. */
bool rh_cidrs_has(const struct rh_cidrs *cidrs, struct rh_slice address);

#endif
