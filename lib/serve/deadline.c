#include "config.h"

#include "serve/server.h"

/* The clock starts with the last byte of the parameters. */
static int64_t
timeout_ms(const struct rh_call *c)
{
	const struct rh_route *route = c->rq->match.route;

	if (route && route->timeout_ms)
		return route->timeout_ms;
	switch (route ? route->rate : RH_RATE_NONE) {
	case RH_RATE_READ:
		return c->conf->timeout_read_ms;
	case RH_RATE_WRITE:
	case RH_RATE_INBOX:
		return c->conf->timeout_write_ms;
	case RH_RATE_CREDENTIALS:
		return c->conf->timeout_credentials_ms;
	case RH_RATE_NONE:
		break;
	}
	return c->conf->timeout_other_ms;
}

void
rh_deadline_set(struct rh_call *c)
{
	struct rh_server *s = c->server;

	c->deadline_ns = c->start_ns + (uint64_t)timeout_ms(c) * 1000000;
	rh_pg_deadline(s->pg, c->deadline_ns);
	rh_redis_deadline(s->redis, c->deadline_ns);
	rh_fcgx_deadline(s->fx, c->deadline_ns);
	s->hashers.deadline_ns = c->deadline_ns;
}
