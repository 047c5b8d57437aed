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

extern const struct rh_option tenant_options[];
int tenant_run(struct rh_program *self, int argc, char **argv);

#endif
