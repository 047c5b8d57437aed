#include "config.h"

#include "ctl/database.h"

#include "ctl/conf.h"

/* What a session tells goes to no segment. */
static void
obs_open(struct database *db, struct rh_arena *arena)
{
	static const char *const outcomes[RH_Q_OUTCOMES] = { "ok", "error" };
	struct rh_metrics *m = rh_metrics_new(arena);
	int statement = rh_metrics_dim(m, "statement", 0);
	int outcome = rh_metrics_dim(m, "outcome", 0);

	for (unsigned i = 0; i < rh_stmts_count(); i++)
		rh_metrics_value(m, statement, &rh_stmts_get(i)->name);
	for (int i = 0; i < RH_Q_OUTCOMES; i++)
		rh_metrics_value(m, outcome, &outcomes[i]);
	db->obs.query_duration = rh_metrics_family(m, &(struct rh_family_spec){
	    RH_M_HISTOGRAM, 0, "queries", "", statement, outcome });
	db->obs.round_trips = rh_metrics_family(m, &(struct rh_family_spec){
	    RH_M_COUNTER, 0, "round_trips", "", -1, -1 });
	db->obs.connections = rh_metrics_family(m, &(struct rh_family_spec){
	    RH_M_GAUGE, 0, "connections", "", -1, -1 });
	rh_tally_bind(&db->tally, m, NULL, 0);
	db->obs.tally = &db->tally;
}

struct database *
database_open(const struct rh_program *self, struct rh_stmt *stmts)
{
	struct database *db = RH_NEW(self->arena, struct database);

	if (ctl_conf.admin_database_url.n == 0) {
		rh_program_fail(self, "admin_database_url: required; set it,"
		    " or ADMIN_DATABASE_URL in the environment");
		return NULL;
	}
	rh_stmts_register(stmts);
	db->conf = (struct rh_pg_conf){ ctl_conf.admin_database_url.p,
		ctl_conf.connect_timeout_ms, ctl_conf.statement_timeout_ms,
		RH_PREPARED_OFF, self->name };
	obs_open(db, self->arena);
	db->pg = rh_pg_new(self->arena, &db->conf, &db->obs);
	if (!rh_pg_ready(db->pg, true)) {
		rh_program_fail(self, "%s", rh_pg_trouble(db->pg));
		return NULL;
	}
	db->pipe = rh_pg_begin(db->pg, self->arena, NULL);
	return db;
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
