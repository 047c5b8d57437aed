/*
 * tenant - rowhouse-ctl tenant: a tenant's plan, in the database; its moves
 * are move.h's.
 *
 * Shape    tenant limit SLUG shows the limits; options change them first, in
 *          the same transaction. Every pool learns of it with the tenant's
 *          next request (migrate/sql/0003)
 * Units    requests in a window; 0: as configured
 * Errors   1, with a reason on stderr: no such tenant, no database
 */
#ifndef RH_CTL_TENANT_H
#define RH_CTL_TENANT_H

#include "base/program.h"
#include "ctl/database.h"

extern const struct rh_option tenant_options[];
/*
 * The database that the tenant lives in, home's closed where that is another;
 * while it moves nobody can say which of the two a change would stay in. NULL:
 * said on stderr.
 */
struct database *tenant_open(const struct rh_program *self,
    struct rh_slice slug, bool changes, const char **redis_url);
int tenant_run(struct rh_program *self, int argc, char **argv);

#endif
