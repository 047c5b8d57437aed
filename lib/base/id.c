#include "config.h"

#include "base/id.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/text.h"

struct rh_uuid
rh_uuid_v7(void)
{
	static uint64_t last;	/* milliseconds << 12 | counter */
	struct rh_uuid id;
	uint64_t now, v;

	rh_random(id.b, sizeof(id.b));
	now = (uint64_t)rh_clock_wall_us() / 1000 << 12;
	/* a new millisecond starts low in the counter, so that it can rise */
	v = now > last ? now | (((uint64_t)id.b[6] << 8 | id.b[7]) & 0x7ff) :
	    last + 1;
	last = v;
	for (int i = 0; i < 6; i++)
		id.b[i] = (unsigned char)(v >> (52 - 8 * i));
	id.b[6] = (unsigned char)(0x70 | (v >> 8 & 0x0f));
	id.b[7] = (unsigned char)v;
	id.b[8] = (unsigned char)(0x80 | (id.b[8] & 0x3f));
	return id;
}

void
rh_uuid_put(char to[RH_UUID_LEN], struct rh_uuid id)
{
	char hex[32];

	rh_hex_put(hex, id.b, sizeof(id.b));
	memcpy(to, hex, 8);
	memcpy(to + 9, hex + 8, 4);
	memcpy(to + 14, hex + 12, 4);
	memcpy(to + 19, hex + 16, 4);
	memcpy(to + 24, hex + 20, 12);
	to[8] = to[13] = to[18] = to[23] = '-';
}

bool
rh_uuid_get(struct rh_uuid *to, struct rh_slice text)
{
	char hex[32];

	if (text.n != RH_UUID_LEN || text.p[8] != '-' || text.p[13] != '-' ||
	    text.p[18] != '-' || text.p[23] != '-')
		return false;
	memcpy(hex, text.p, 8);
	memcpy(hex + 8, text.p + 9, 4);
	memcpy(hex + 12, text.p + 14, 4);
	memcpy(hex + 16, text.p + 19, 4);
	memcpy(hex + 20, text.p + 24, 12);
	return rh_hex_get(to->b, sizeof(to->b),
	    (struct rh_slice){ hex, sizeof(hex) }, true);
}
