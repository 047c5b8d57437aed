#include "config.h"

#include "data/redis_breaker.h"

#include "base/attr.h"
#include "base/crypto.h"

enum { TIMES_MAX = 16 };

/* Workers that were hit together do not come back together. */
static uint64_t
jittered_ns(int64_t ms)
{
	uint64_t ns = (uint64_t)ms * 1000000;
	uint32_t chance;

	rh_random(&chance, sizeof(chance));
	return ns - ns / 4 + (ns / 2 >> 16) * (chance >> 16);
}

void
rh_breaker_trip(struct rh_breaker *b, int64_t first_ms, uint64_t now_ns)
{
	b->ms = b->open ? RH_MIN(b->ms * 2, first_ms * TIMES_MAX) : first_ms;
	b->open = true;
	b->until_ns = now_ns + jittered_ns(b->ms);
}

void
rh_breaker_close(struct rh_breaker *b)
{
	*b = (struct rh_breaker){ .open = false };
}

bool
rh_breaker_may_try(const struct rh_breaker *b, uint64_t now_ns)
{
	return !b->open || now_ns >= b->until_ns;
}

int64_t
rh_breaker_longest_ms(int64_t first_ms)
{
	return first_ms * TIMES_MAX * 5 / 4;
}
