/*
 * commands - up, down N, status, verify: the operands of rowhouse-migrate.
 *
 * Shape    a table for struct rh_program; its own is struct migrate_options
 * Errors   exit 1 with the reasons on stderr; 0 where all is done
 */
#ifndef ROWHOUSE_MIGRATE_COMMANDS_H
#define ROWHOUSE_MIGRATE_COMMANDS_H

#include "base/program.h"
#include "serve/conf.h"

#define MIGRATE_DIRS_MAX 16

struct migrate_options {
	const struct rh_serve_conf *conf;
	const char *dirs[MIGRATE_DIRS_MAX + 1];
	size_t n_dirs;
	const char *placement;	/* NULL: home */
	bool json;
};

/* One too many is noticed when a command runs. */
void migrate_options_add_dir(struct migrate_options *o, const char *dir);
extern const struct rh_command migrate_commands[];

#endif
