/*
 * program - what every program of ours does before its own work: options,
 * configuration, faults on stderr.
 *
 * Shape    main() fills a struct rh_program and returns rh_program_main();
 *          options and commands are tables, and the usage, the manual page and
 *          the shells' completions are printed from them
 * Errors   exit 1 with a reason on stderr: bad options, bad configuration
 * Owner    the program's arena lives until exit
 *
 * Options of all: -c FILE (default: sysconfdir/rowhouse/rowhouse.conf),
 * -t tests the configuration, -T prints it with secrets masked, -V prints
 * the version, -h the usage. Options end at the first operand; what follows a
 * command are its own. --describe man|bash|zsh, which no usage names, prints
 * the page's OPTIONS and COMMANDS, or a completion (program_text.c).
 */
#ifndef RH_BASE_PROGRAM_H
#define RH_BASE_PROGRAM_H

#include "base/arena.h"
#include "base/conf.h"

struct rh_program;

struct rh_option {
	const char *name;	/* "-d"; a command's: "--json" */
	const char *operand;	/* "DIR", "FILE"; NULL: takes none */
	const char *meaning;	/* a phrase, without a full stop */
	const char *dflt;	/* added to the usage; NULL: none */
};

struct rh_command {
	const char *name;
	const char *operands;	/* "N"; NULL: none */
	const char *summary;	/* a phrase, without a full stop */
	const struct rh_option *options;	/* ended by { 0 }; NULL: none */
	/* argv[0] is the command's name. Answers the exit status. */
	int (*run)(struct rh_program *self, int argc, char **argv);
};

struct rh_program {
	const char *name;		/* "rowhouse-fcgi" */
	const char *summary;		/* one line of the usage */
	const char *operands;		/* of the usage; NULL: takes none */
	/*
	 * Options of its own before the operands, one letter each, ended by
	 * { 0 }, and who takes them (value: NULL where there is none). NULL:
	 * none.
	 */
	const struct rh_option *options;
	void (*option)(struct rh_program *self, int letter, const char *value);
	/* Ended by { 0 }: the first operand is one of them. NULL: none. */
	const struct rh_command *commands;
	void *own;	/* what option and run need of the program's */
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
	/*
	 * Without commands. argv: the first operand and all after it. Answers
	 * the exit status.
	 */
	int (*run)(struct rh_program *self, int argc, char **argv);
	/* filled by rh_program_main: */
	const struct rh_command *command;
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

/*
 * Takes the options of self->command out of argv, wherever they stand: what is
 * left is its name and its operands. values[i], of options[i], is NULL where it
 * is absent, "" where it takes no operand. False: an option that is none, said
 * on stderr.
 */
RH_MUST_CHECK bool rh_program_take_options(const struct rh_program *self,
    int *argc, char **argv, const char *values[]);

/* "rowhouse-fcgi: message\n" on stderr; answers 1, for return. */
int rh_program_fail(const struct rh_program *program, const char *fmt, ...)
    RH_PRINTF(2, 3);

#endif
