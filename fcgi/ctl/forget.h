/*
 * forget - what the pool's cache knows of a tenant, once a command has changed
 * it in the database.
 *
 * Errors   none that anybody could mend: where Redis does not answer a word on
 *          stderr says so, and what is cached ends by cache_ttl
 */
#ifndef RH_CTL_FORGET_H
#define RH_CTL_FORGET_H

#include "base/program.h"
#include "base/slice.h"

/*
 * group: as in struct rh_route. After the change is committed. url NULL or "":
 * there is no Redis. False, said on stderr: it does not answer.
 */
RH_MUST_CHECK bool forget_at(const struct rh_program *self, const char *url,
    struct rh_uuid tenant, struct rh_slice group);
/* All entries of a tenant that is served elsewhere. */
RH_MUST_CHECK bool forget_all(const struct rh_program *self, const char *url,
    struct rh_uuid tenant);

#endif
