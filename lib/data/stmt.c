#include "config.h"

#include "data/pg.h"

enum { STMTS_MAX = 512 };

/* Filled before the first fork, read ever after. */
static const struct rh_stmt *all[STMTS_MAX];
static unsigned count;

void
rh_stmts_register(struct rh_stmt *stmts)
{
	for (struct rh_stmt *s = stmts; s->name; s++) {
		rh_assert(count < STMTS_MAX);
		s->index = count;
		all[count++] = s;
	}
}

unsigned
rh_stmts_count(void)
{
	return count;
}

const struct rh_stmt *
rh_stmts_get(unsigned index)
{
	return all[index];
}
