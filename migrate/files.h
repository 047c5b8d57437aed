/*
 * files - the migrations there are: NNNN_name.up.sql and .down.sql.
 *
 * Shape    a list in the order of the versions; what the database says of
 *          each is filled in by db.c
 * Errors   one line for each fault of the folders, in the caller's buffer: a
 *          wrong name, a version used twice, a gap, a down without an up
 * Owner    the arena
 */
#ifndef ROWHOUSE_MIGRATE_FILES_H
#define ROWHOUSE_MIGRATE_FILES_H

#include "base/buf.h"
#include "base/crypto.h"

enum migration_state {
	MIGRATION_PENDING,
	MIGRATION_APPLIED,
	MIGRATION_RUNNING,	/* outside of a transaction, and not finished */
	MIGRATION_REVERTING,	/* likewise, on the way down */
};

struct script {
	const char *path;	/* NULL: there is no such file */
	struct rh_slice text;
	bool transaction;	/* false: "-- rowhouse: no-transaction" */
};

struct migration {
	int64_t version;
	const char *name;	/* without the number */
	const char *dir;	/* NULL: applied, but there is no file of it */
	struct script up, down;
	char checksum[2 * RH_SHA256_LEN + 1];	/* of up */

	enum migration_state state;
	const char *applied_name, *applied_checksum, *applied_at;
	int64_t duration_ms;
	struct migration *next;
};

/* Adds the migrations of dir to *list; false with lines in *faults. */
bool files_read(struct migration **list, const char *dir,
    struct rh_arena *arena, struct rh_buf *faults);
/* The migration of that version, put into its place if there is none. */
struct migration *files_get(struct migration **list, int64_t version,
    struct rh_arena *arena);

#endif
