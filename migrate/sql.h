/*
 * sql - just as much of SQL's syntax as running a file by statements takes.
 *
 * Shape    a cursor over the text; strings, quoted names, dollar quotes and
 *          comments (nested, too) are seen as what they are
 * Owner    slices into the text; names in the arena
 * Source   PostgreSQL, "Lexical Structure"
 */
#ifndef ROWHOUSE_MIGRATE_SQL_H
#define ROWHOUSE_MIGRATE_SQL_H

#include "base/arena.h"

/* The next statement without its ";", p == NULL at the end. */
struct rh_slice sql_next(struct rh_slice *rest);

enum sql_kind {
	SQL_OTHER,		/* may not run twice, as far as we know */
	SQL_CREATE_INDEX,	/* concurrently: index on table */
	SQL_DROP_INDEX,		/* concurrently: index */
	SQL_REPEATABLE,		/* does no harm when it runs again */
};

struct sql_statement {
	enum sql_kind kind;
	bool if_exists;		/* or "if not exists" */
	const char *index, *table;	/* as written, with their quotes */
};

/* What may stand outside of a transaction is known by its first words. */
struct sql_statement sql_classify(struct rh_slice statement,
    struct rh_arena *arena);

#endif
