/*
 * pg_err - SQLSTATE to the kinds of base/err_kinds.h, once, in a table.
 *
 * Shape    a row of pg_err.c a code or class: kind, public code, sentence; a
 *          constraint's COMMENT is not asked, its name is: a repository that
 *          knows better says so with rh_pg_constraint rows
 * Source   PostgreSQL 15, appendix A; 'RH' is our class, raised by the
 *          functions of migrate/sql
 */
#ifndef RH_DATA_PG_ERR_H
#define RH_DATA_PG_ERR_H

#include "base/err.h"

/* "projects_name_key" -> a conflict with a code and a sentence of its own. */
struct rh_pg_constraint {
	const char *name;
	enum rh_err_kind kind;
	const char *code, *detail, *field;
};
/* Tables ended by { 0 }, before the fork. */
void rh_pg_constraints_register(const struct rh_pg_constraint *rows);

struct rh_err *rh_pg_err_make(struct rh_arena *arena, const char *sqlstate,
    const char *constraint, const char *message);

#endif
