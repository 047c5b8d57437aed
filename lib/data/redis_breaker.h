/*
 * redis_breaker - whether a node is worth asking.
 *
 * Shape    closed, until something fails; open from then on. When its time is
 *          over one may try, and closes it or opens it for twice as long, to
 *          16 times the first, each time a random quarter more or less
 * Units    milliseconds; now_ns of the monotonic clock
 * Owner    the session: each worker finds out for itself
 */
#ifndef RH_DATA_REDIS_BREAKER_H
#define RH_DATA_REDIS_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

struct rh_breaker {
	bool open;
	int64_t ms;		/* of this opening, before chance has its say */
	uint64_t until_ns;
};

void rh_breaker_trip(struct rh_breaker *b, int64_t first_ms, uint64_t now_ns);
void rh_breaker_close(struct rh_breaker *b);
/* Closed, or it is time to try. */
bool rh_breaker_may_try(const struct rh_breaker *b, uint64_t now_ns);
/* So long it is open at the most, however often that fails. */
int64_t rh_breaker_longest_ms(int64_t first_ms);

#endif
