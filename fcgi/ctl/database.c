#include "config.h"

#include "ctl/database.h"

#include "ctl/conf.h"

struct database *
database_connect(const struct rh_program *self, const char *url)
{
	struct database *db = RH_NEW(self->arena, struct database);

	db->arena = self->arena;
	db->conf = (struct rh_pg_conf){ url, ctl_conf.connect_timeout_ms,
		ctl_conf.statement_timeout_ms, RH_PREPARED_OFF, self->name };
	db->pg = rh_pg_new(self->arena, &db->conf, &db->obs);
	if (!rh_pg_ready(db->pg, true)) {
		rh_program_fail(self, "%s", rh_pg_trouble(db->pg));
		return NULL;
	}
	db->pipe = rh_pg_begin(db->pg, self->arena, NULL);
	return db;
}

struct database *
database_open(const struct rh_program *self, struct rh_stmt *stmts)
{
	if (ctl_conf.admin_database_url.n == 0) {
		rh_program_fail(self, "admin_database_url: required; set it,"
		    " or ADMIN_DATABASE_URL in the environment");
		return NULL;
	}
	if (stmts)
		rh_stmts_register(stmts);
	return database_connect(self, ctl_conf.admin_database_url.p);
}

void
database_close(struct database **db)
{
	if (!*db)
		return;
	rh_pg_end((*db)->pg);
	rh_pg_close((*db)->pg);
	*db = NULL;
}
