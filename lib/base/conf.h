/*
 * conf - the configuration file, read by a table of directives.
 *
 * Shape    libconfuse syntax (name = value, "${VAR}", "${VAR:-default}", in
 *          the table's defaults too; a VAR that is set but empty is empty, one
 *          that is not set and has no default is a fault), one flat list of
 *          directives, and sections of such under names of their own; each
 *          row says type, default, bounds, whether a reload takes it, and what
 *          it means
 * Units    durations in milliseconds (500ms, 10s, 5min, 1h, 7d), sizes in
 *          bytes (64k, 1m, 2g); a bare number is milliseconds or bytes
 * Errors   all faults of a file at once, "file:line: message", in the buffer
 *          of the caller; an unknown name, a wrong type, a value out of
 *          bounds, a duplicate, a required one that is missing
 * Owner    texts live in the arena that was passed in
 * Source   libconfuse 3.3 (conf.c alone sees it)
 */
#ifndef RH_BASE_CONF_H
#define RH_BASE_CONF_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/field.h"

enum rh_conf_type {
	RH_C_END,
	RH_C_INT,	/* int64_t */
	RH_C_MS,	/* int64_t */
	RH_C_BYTES,	/* int64_t */
	RH_C_REAL,	/* double */
	RH_C_BOOL,	/* bool: true/false, on/off, yes/no, 1/0 */
	RH_C_TEXT,	/* struct rh_slice, NUL behind it; "" is p == NULL */
	RH_C_SECRET,	/* the same, printed as "********" in a comment; "file:/path"
			 * reads it from that file, without the final newline */
	RH_C_ENUM,	/* int, an index into names */
};

enum rh_conf_change { RH_RELOAD, RH_RESTART };

struct rh_directive {
	const char *name;
	enum rh_conf_type type;
	size_t at;			/* RH_AT, of the conf struct */
	const char *dflt;		/* as it would stand in the file; NULL: required */
	const char *min, *max;		/* likewise; NULL: unbounded */
	enum rh_conf_change change;
	const char *meaning;		/* the comment in rowhouse.conf */
	const char *const *names;	/* RH_C_ENUM: NULL-terminated */
};

#define RH_CTYPE_MS	int64_t
#define RH_CTYPE_BYTES	int64_t
#define RH_CTYPE_REAL	double
#define RH_CTYPE_SECRET	struct rh_slice
/* { "workers", RH_CONF(INT, struct rh_serve_conf, workers), "8", "1", "512", RH_RESTART, "…", NULL } */
#define RH_CONF(kind, record, member)	RH_C_##kind, RH_AT(kind, record, member)

/*
 * "name TITLE { directives }", several of them. A record begins with its title,
 * a struct rh_slice with a NUL behind it; the first without one is the end.
 */
struct rh_conf_section {
	const char *name;
	const char *meaning;
	size_t bytes;		/* of a record */
	unsigned most;		/* records, and one more for the end */
};

/*
 * Several tables (serve's, the application's) may describe several structs; at
 * most one of them is a section's: its records are at to, and a reload takes
 * all of them.
 */
struct rh_conf_table {
	const struct rh_directive *directives;	/* ended by { 0 } */
	void *to;
	const struct rh_conf_section *section;	/* NULL: they stand by themselves */
};

/*
 * Reads path into every table's struct. tables ends with { 0 }.
 * Answers false with one line for each fault in *faults; what was in the
 * structs is then not to be used (a directive with a fault is left as it
 * was). unknown is RH_CONF_UNKNOWN_OK for a program that shares the file with
 * an application whose directives it cannot know. The arena takes a few times
 * the file's size, which is at most 256 KiB.
 */
enum rh_conf_unknown { RH_CONF_UNKNOWN_FAULT, RH_CONF_UNKNOWN_OK };
RH_MUST_CHECK bool rh_conf_read(const char *path,
    const struct rh_conf_table *tables, enum rh_conf_unknown unknown,
    struct rh_arena *arena, struct rh_buf *faults);
/*
 * One value as the file would have it, for an option that is like a directive:
 * parses, checks the bounds, stores into record.
 */
RH_MUST_CHECK bool rh_conf_value_get(void *record,
    const struct rh_directive *d, struct rh_slice text,
    struct rh_arena *arena, struct rh_buf *why);
/* The configuration in force as a file that reads back, secrets masked. */
void rh_conf_print(struct rh_buf *to, const struct rh_conf_table *tables);
/* The commented file with all defaults: etc/rowhouse.conf is made of it. */
void rh_conf_print_reference(struct rh_buf *to,
    const struct rh_conf_table *tables);
/*
 * Names of RH_RESTART directives whose values differ between two readings of
 * the same tables, ", " between them; empty if none.
 */
void rh_conf_restart_needed(struct rh_buf *to,
    const struct rh_conf_table *now, const struct rh_conf_table *next);
/* The same tables over structs of their own, in arena: for a second reading. */
const struct rh_conf_table *rh_conf_tables_like(
    const struct rh_conf_table *tables, struct rh_arena *arena);
/* What RH_RELOAD directives say in next stands in now's structs afterwards. */
void rh_conf_reload(const struct rh_conf_table *now,
    const struct rh_conf_table *next);

#endif
