/* rowhouse-migrate - brings a database to this release's schema, or back. */
#include "config.h"

#include "migrate/commands.h"
#include "migrate/files.h"
#include "serve/conf.h"

static struct rh_serve_conf conf;

static const struct rh_conf_table tables[] = {
	{ rh_serve_directives, &conf, NULL },
	{ rh_placement_directives, conf.placements, &rh_placement_section },
	{ 0 },
};

static const struct rh_option own_options[] = {
	{ "-d", "DIR", "folder of migrations; more than one may be given",
	    "$ROWHOUSE_MIGRATIONS, or " RH_MIGRATIONS },
	{ "-p", "NAME", "the database of that placement, instead of home's", NULL },
	{ 0 }
};

static void
option(struct rh_program *self, int letter, const char *value)
{
	struct migrate_options *own = self->own;

	if (letter == 'p')
		own->placement = value;
	else
		migrate_options_add_dir(own, value);
}

int
main(int argc, char **argv)
{
	static struct migrate_options options = { .conf = &conf };
	struct rh_program program = {
		.name = "rowhouse-migrate",
		.summary = "Brings a database to the schema of this release, or"
		    " back.",
		.options = own_options,
		.option = option,
		.commands = migrate_commands,
		.own = &options,
		.tables = tables,
		.unknown = RH_CONF_UNKNOWN_OK,
	};

	return rh_program_main(&program, argc, argv);
}
