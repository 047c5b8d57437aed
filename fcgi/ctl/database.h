/*
 * database - the tables, as the role that owns them: admin_database_url.
 *
 * Shape    a session and its pipe, as a worker has them; nothing is counted
 * Errors   NULL where it cannot be opened, said on stderr
 * Owner    the caller closes it; all else is the program's arena's
 */
#ifndef RH_CTL_DATABASE_H
#define RH_CTL_DATABASE_H

#include "base/program.h"
#include "data/pg.h"

struct database {
	struct rh_pg_conf conf;
	struct rh_pg_obs obs;
	struct rh_pg *pg;
	struct rh_pipe *pipe;
	struct rh_arena *arena;		/* the program's */
};

/* stmts: ended by { 0 }, all that will be sent; NULL: they are registered. */
struct database *database_open(const struct rh_program *self,
    struct rh_stmt *stmts);
/* Another one, by its url, as the role that stands there. */
struct database *database_connect(const struct rh_program *self,
    const char *url);
void database_close(struct database **db);

#endif
