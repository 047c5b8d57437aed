#include "config.h"

#include "data/pg_err.h"

#include "base/buf.h"

/* The longest prefix that matches decides; "" is everything else. */
static const struct state {
	const char *prefix;
	enum rh_err_kind kind;
	const char *code, *detail;
	unsigned retry_after_s;
	bool transient;
} states[] = {
	{ "RH2", RH_E_CONFLICT, "answered", "It was answered before.", 0, false },
	{ "RH307", RH_E_UNAVAILABLE, "tenant.moved", "The tenant is being moved; try again.", 1, false },
	{ "RH401", RH_E_ANON, "token.unknown", "The token is not known, has expired or was revoked.", 0, false },
	{ "RH403", RH_E_DENIED, "role.too_low", "The token's role does not allow this.", 0, false },
	{ "RH404", RH_E_MISSING, "tenant.missing", "There is no such tenant.", 0, false },
	{ "RH412", RH_E_PRECONDITION, "version.changed", "It has another version by now; read it again.", 0, false },
	{ "RH429", RH_E_LIMITED, "rate", "Too many requests; try again later.", 1, false },
	{ "RH409", RH_E_CONFLICT, "conflict", "That does not go with what is stored.", 0, false },
	{ "23502", RH_E_INVALID, "value.missing", "A value is missing.", 0, false },
	{ "23503", RH_E_CONFLICT, "reference.missing", "It refers to something that is not there.", 0, false },
	{ "23505", RH_E_CONFLICT, "exists", "There is one like it already.", 0, false },
	{ "23514", RH_E_INVALID, "value.refused", "A value is outside of what is allowed.", 0, false },
	{ "22", RH_E_INVALID, "value.refused", "A value cannot be stored.", 0, false },
	{ "26000", RH_E_UNAVAILABLE, "database.statement_lost", "The database lost a prepared statement.", 1, true },
	{ "42P05", RH_E_UNAVAILABLE, "database.statement_twice", "The database has a prepared statement twice.", 1, true },
	{ "40001", RH_E_UNAVAILABLE, "database.contention", "Others changed the same thing at once; try again.", 1, true },
	{ "40P01", RH_E_UNAVAILABLE, "database.contention", "Others changed the same thing at once; try again.", 1, true },
	{ "53", RH_E_UNAVAILABLE, "database.full", "The database is short of resources.", 2, false },
	{ "55P03", RH_E_UNAVAILABLE, "database.locked", "The database is busy with a change; try again.", 1, false },
	{ "57014", RH_E_TIMEOUT, "database.timeout", "The database took too long.", 0, false },
	{ "57P", RH_E_UNAVAILABLE, "database.away", "The database is away; try again soon.", 2, false },
	{ "08", RH_E_UNAVAILABLE, "database.away", "The database is away; try again soon.", 2, false },
	{ "25006", RH_E_UNAVAILABLE, "database.read_only", "The database takes no writes at the moment.", 5, false },
	{ "", RH_E_BUG, "bug", "Something went wrong on our side.", 0, false },
};

static const struct rh_pg_constraint *constraints[64];
static unsigned nconstraints;

void
rh_pg_constraints_register(const struct rh_pg_constraint *rows)
{
	rh_assert(nconstraints < RH_COUNT(constraints));
	constraints[nconstraints++] = rows;
}

static const struct state *
state_find(const char *sqlstate)
{
	const struct state *best = NULL;

	for (size_t i = 0; i < RH_COUNT(states); i++) {
		size_t n = strlen(states[i].prefix);

		if (strncmp(sqlstate, states[i].prefix, n) == 0 &&
		    (!best || n > strlen(best->prefix)))
			best = &states[i];
	}
	return best;
}

static const struct rh_pg_constraint *
constraint_find(const char *name)
{
	for (unsigned i = 0; name && i < nconstraints; i++)
		for (const struct rh_pg_constraint *c = constraints[i]; c->name; c++)
			if (strcmp(c->name, name) == 0)
				return c;
	return NULL;
}

struct rh_err *
rh_pg_err_make(struct rh_arena *arena, const char *sqlstate,
    const char *constraint, const char *message)
{
	const struct state *s = state_find(sqlstate);
	const struct rh_pg_constraint *c = constraint_find(constraint);
	struct rh_err *err = rh_err_new(arena, c ? c->kind : s->kind,
	    c ? c->code : s->code, "%s", c ? c->detail : s->detail);

	err->field = c ? c->field : NULL;
	err->retry_after_s = s->retry_after_s;
	err->transient = s->transient;
	/* class 22 quotes the value in its message: that is no signal's business */
	err->cause = strncmp(sqlstate, "22", 2) == 0 ?
	    rh_arena_printf(arena, "%s", sqlstate) :
	    rh_arena_printf(arena, "%s %.*s", sqlstate,
	    (int)strcspn(message, "\n"), message);
	return err;
}
