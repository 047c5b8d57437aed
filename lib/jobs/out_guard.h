/*
 * out_guard - which addresses, ports and URLs are asked by nobody.
 *
 * Shape    an address is 16 bytes, an IPv4 one ::ffff:a.b.c.d
 * Source   IANA IPv4 and IPv6 special-purpose address registries (RFC 6890);
 *          RFC 6052 for NAT64; WHATWG URL, "IPv4 parser"; WHATWG Fetch, "bad
 *          port"
 */
#ifndef RH_JOBS_OUT_GUARD_H
#define RH_JOBS_OUT_GUARD_H

#include <stdint.h>

#include "base/cidr.h"

/* A URL's parts, as far as they matter here. */
struct rh_out_url {
	bool tls;
	struct rh_slice host; /* without the brackets, and a dot at its end */
	unsigned port;
	bool is_address;	   /* the host is one, by whatever spelling */
	unsigned char address[16]; /* then */
};

/* A code as in out.h; NULL: fine. */
const char *rh_out_url_get(struct rh_out_url *to, struct rh_slice url);
bool rh_out_port_is_bad(unsigned port);
/* Whether a connection to it may be opened; allow NULL: none is excepted. */
bool rh_out_address_passes(const unsigned char address[16],
    const struct rh_cidrs *allow);

#endif
