/* rowhouse-migrate - brings a database to this release's schema, or back. */
#include "config.h"

#include "migrate/commands.h"
#include "migrate/files.h"
#include "serve/conf.h"

static struct rh_serve_conf conf;
static struct migrate_options options;

static const struct rh_conf_table tables[] = {
	{ rh_serve_directives, &conf }, { NULL, NULL },
};

static void
option(struct rh_program *self, int letter, const char *value)
{
	(void)self;
	(void)letter;
	migrate_options_add_dir(&options, value);
}

static int
run(struct rh_program *self, int argc, char **argv)
{
	options.conf = &conf;
	return migrate_run(self, &options, argc, argv);
}

int
main(int argc, char **argv)
{
	struct rh_program program = {
		.name = "rowhouse-migrate",
		.summary = "Brings a database to the schema of this release, or"
		    " back.",
		.operands = "up | down N | status [--json] | verify",
		.options = "d:",
		.options_usage = "  -d DIR   folder of migrations, instead of "
		    "$ROWHOUSE_MIGRATIONS or\n           " RH_MIGRATIONS
		    "; more than one may be given\n",
		.option = option,
		.tables = tables,
		.unknown = RH_CONF_UNKNOWN_OK,
		.run = run,
	};

	return rh_program_main(&program, argc, argv);
}
