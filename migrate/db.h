/*
 * db - the database that is migrated, and its book: rowhouse_migrations.
 *
 * Shape    one connection; a lock on it keeps other migrators out for as long
 *          as the session lasts
 * Errors   struct rh_err: RH_E_UNAVAILABLE where a lock could not be had in
 *          time (another try may get it), RH_E_CONFLICT for all that the
 *          server refuses; a script's error names its file and line
 * Owner    the arena, which closes the connection when it is destroyed
 */
#ifndef ROWHOUSE_MIGRATE_DB_H
#define ROWHOUSE_MIGRATE_DB_H

#include "base/err.h"
#include "migrate/files.h"

struct db;

RH_MUST_CHECK struct rh_err *db_open(struct db **to, const char *url,
    unsigned connect_timeout_s, struct rh_arena *arena);
/* Waits for as long as another migrator works, and says so on stderr. */
RH_MUST_CHECK struct rh_err *db_lock(struct db *db);
/* Creates the book where there is none. */
RH_MUST_CHECK struct rh_err *db_create_book(struct db *db);
/* Fills in what the book says; versions without a file join the list. */
RH_MUST_CHECK struct rh_err *db_read_book(struct db *db,
    struct migration **list);

RH_MUST_CHECK struct rh_err *db_begin(struct db *db);
RH_MUST_CHECK struct rh_err *db_commit(struct db *db);
void db_rollback(struct db *db);
/* text: all of the script or a part; it may not end our transaction. */
RH_MUST_CHECK struct rh_err *db_run_script(struct db *db,
    const struct script *script, struct rh_slice text);

/* Writes the row of m as m->state says, PENDING meaning none. */
RH_MUST_CHECK struct rh_err *db_write_book(struct db *db,
    const struct migration *m);

enum db_index { DB_INDEX_NONE, DB_INDEX_INVALID, DB_INDEX_VALID };

/* Names as SQL has them, quotes and all; table NULL: by the search path. */
RH_MUST_CHECK struct rh_err *db_find_index(struct db *db, const char *index,
    const char *table, enum db_index *found);
/* What a cut-off "create index concurrently" left behind. */
RH_MUST_CHECK struct rh_err *db_drop_index(struct db *db, const char *index,
    const char *table);

#endif
