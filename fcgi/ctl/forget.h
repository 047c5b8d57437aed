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

/* group: as in struct rh_route. After the change is committed. */
void forget(const struct rh_program *self, struct rh_uuid tenant,
    struct rh_slice group);

#endif
