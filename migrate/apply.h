/*
 * apply - one migration, up or down, so that a kill anywhere and another run
 * end where an undisturbed run does.
 *
 * Shape    in a transaction together with its row in the book; or outside of
 *          one, between a row that says so and the row that says it is done,
 *          and then only of statements that may run again
 * Errors   struct rh_err; a lock that was not to be had is tried for again
 *          first, with growing, jittered pauses, and said on stderr
 */
#ifndef ROWHOUSE_MIGRATE_APPLY_H
#define ROWHOUSE_MIGRATE_APPLY_H

#include "migrate/db.h"

/* What can be known before anything is done. */
RH_MUST_CHECK struct rh_err *apply_check(const struct script *script,
    struct rh_arena *arena);
RH_MUST_CHECK struct rh_err *apply_up(struct db *db, struct migration *m,
    struct rh_arena *arena);
RH_MUST_CHECK struct rh_err *apply_down(struct db *db, struct migration *m,
    struct rh_arena *arena);

#endif
