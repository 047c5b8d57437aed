/*
 * program - what every program of ours does before its own work: options,
 * configuration, faults on stderr.
 *
 * Shape    main() fills a struct rh_program and returns rh_program_main()
 * Errors   exit 1 with a reason on stderr: bad options, bad configuration
 * Owner    the program's arena lives until exit
 *
 * Options of all: -c FILE (default: sysconfdir/rowhouse/rowhouse.conf),
 * -t tests the configuration, -T prints it with secrets masked, -V prints
 * the version, -h the usage. Options end at the first operand.
 */
#ifndef RH_BASE_PROGRAM_H
#define RH_BASE_PROGRAM_H

#include "base/arena.h"
#include "base/conf.h"

struct rh_program {
	const char *name;		/* "rowhouse-fcgi" */
	const char *summary;		/* one line of the usage */
	const char *operands;		/* "up|down N|status", or NULL: takes none */
	/*
	 * Options of its own before the operands, as getopt has them ("d:"),
	 * their lines of the usage, and who takes them (value: NULL where
	 * there is none). NULL: none.
	 */
	const char *options;
	const char *options_usage;
	void (*option)(struct rh_program *self, int letter, const char *value);
	const struct rh_conf_table *tables;
	enum rh_conf_unknown unknown;
	/*
	 * Further checks across directives: appends "name: reason\n" per fault.
	 * One that names a directive which is faulty already is not shown.
	 * tables: the program's own, or those of a reading that is to be taken
	 * over. NULL: none.
	 */
	void (*check)(const struct rh_conf_table *tables,
	    struct rh_buf *faults);
	/* argv: the first operand and all after it. Answers the exit status. */
	int (*run)(struct rh_program *self, int argc, char **argv);
	/* filled by rh_program_main: */
	const char *conf_path;
	char **argv0;			/* as the system gave it, for re-execution */
	struct rh_arena *arena;
};

int rh_program_main(struct rh_program *program, int argc, char **argv);

/*
 * The configuration once more. Where it has no fault, what RH_RELOAD directives
 * say now stands in the program's tables (their texts in arena, so the arena
 * of the reading before is needed no more), and the names of RH_RESTART ones
 * that differ in *restart. False, with all faults: the tables are as before.
 */
RH_MUST_CHECK bool rh_program_reread(const struct rh_program *program,
    struct rh_arena *arena, struct rh_buf *faults, struct rh_buf *restart);

/* "rowhouse-fcgi: message\n" on stderr; answers 1, for return. */
int rh_program_fail(const struct rh_program *program, const char *fmt, ...)
    RH_PRINTF(2, 3);

#endif
