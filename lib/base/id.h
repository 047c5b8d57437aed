/*
 * id - UUIDs: version 7 where we make them, any version where we read them.
 *
 * Shape    16 bytes in network order; all zeros (nil) is "none"
 * Owner    a plain value
 * Source   RFC 9562 sections 4, 5.7 and 6.2 (method 1: a 12-bit counter that
 *          keeps the ids of one process in order within a millisecond)
 */
#ifndef RH_BASE_ID_H
#define RH_BASE_ID_H

#include <stdint.h>

#include "base/slice.h"

#define RH_UUID_LEN 36

struct rh_uuid {
	unsigned char b[16];
};

#define RH_UUID_NIL ((struct rh_uuid){ { 0 } })

/* Not for several threads at once: requests make ids in one only. */
struct rh_uuid rh_uuid_v7(void);
/* The 36 characters, lower case, no NUL. */
void rh_uuid_put(char to[RH_UUID_LEN], struct rh_uuid id);
/* The hyphenated form in any case (section 4); nothing else. */
bool rh_uuid_get(struct rh_uuid *to, struct rh_slice text);

static inline bool
rh_uuid_is(struct rh_uuid a, struct rh_uuid b)
{
	return memcmp(a.b, b.b, sizeof(a.b)) == 0;
}

static inline bool
rh_uuid_is_nil(struct rh_uuid id)
{
	return rh_uuid_is(id, RH_UUID_NIL);
}

#endif
