/*
 * place - the databases that tenants live in: home, and the placements.
 *
 * Shape    a worker's sessions to each, home's first. The request's own
 *          (server.pg, .redis, .coherent, call.pipe) are home's, until it
 *          enters another place; the end of the request brings home back
 * Errors   RH_E_UNAVAILABLE "placement.unknown": this host's configuration
 *          does not have it
 * Owner    the worker. A placement's sessions are opened by the first request
 *          that asks there, and looked after from then on; a worker of the
 *          jobs' pool opens all (duty.c)
 */
#ifndef RH_SERVE_PLACE_H
#define RH_SERVE_PLACE_H

#include "data/coherent.h"
#include "data/pg.h"
#include "data/redis.h"
#include "serve/call.h"
#include "serve/conf.h"

/* As the host has it: of the configuration in force. */
struct rh_place_conf {
	uint64_t hash;		/* rh_placement_hash of its name */
	struct rh_pg_conf pg;
	struct rh_redis_conf redis;
};

struct rh_place {
	uint64_t hash;		/* 0: home */
	bool used;
	struct rh_pg *pg;
	struct rh_redis *redis;		/* NULL: none configured */
	struct rh_coherent *coherent;
};

extern struct rh_stmt rh_place_stmts[];

/* Once home's own sessions are made. */
void rh_places_open(struct rh_server *s);
void rh_places_idle(struct rh_server *s, void (*tend)(struct rh_server *s));
void rh_places_close(struct rh_server *s);

/* What follows is at that place, 0: home; for who has no request, and no Redis. */
void rh_place_stand(struct rh_server *s, unsigned place);
/* The request goes on there, with all that is its tenant's. 0: home. */
RH_MUST_CHECK struct rh_err *rh_place_enter(struct rh_call *c, uint64_t hash);
/* At the request's end. */
void rh_place_leave(struct rh_server *s);
/* What the request had of Redis so far, at all places it was at. */
unsigned rh_place_redis_trips(const struct rh_call *c);
uint64_t rh_place_redis_ns(const struct rh_call *c);

/*
 * Of a tenant that this host has not seen, at home: its id is c->tenant then,
 * and the request at its place. Not found: c->tenant stays nil.
 */
RH_MUST_CHECK struct rh_err *rh_place_learn(struct rh_call *c);
/*
 * What its database did not say may be found at another: a tenant that has
 * moved, a session of home, a key of elsewhere. True: once more, at c's place
 * of now; false: *err is what there is to say.
 */
RH_MUST_CHECK bool rh_place_again(struct rh_call *c, struct rh_err **err);

#endif
