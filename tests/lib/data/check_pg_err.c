/* tests/lib/data/check_pg_err.c - SQLSTATE to what a caller is told. */
#include "config.h"

#include "data/pg_err.h"

#include "rh_check.h"

static const struct row {
	const char *sqlstate;
	enum rh_err_kind kind;
	const char *code;
	unsigned retry_after_s;
	bool transient;
} rows[] = {
	/* ours, raised by the functions of migrate/sql */
	{ "RH401", RH_E_ANON, "token.unknown", 0, false },
	{ "RH403", RH_E_DENIED, "role.too_low", 0, false },
	{ "RH404", RH_E_MISSING, "tenant.missing", 0, false },
	{ "RH409", RH_E_CONFLICT, "conflict", 0, false },
	{ "RH412", RH_E_PRECONDITION, "version.changed", 0, false },
	/* constraints */
	{ "23502", RH_E_INVALID, "value.missing", 0, false },
	{ "23503", RH_E_CONFLICT, "reference.missing", 0, false },
	{ "23505", RH_E_CONFLICT, "exists", 0, false },
	{ "23514", RH_E_INVALID, "value.refused", 0, false },
	/* values: the class, whatever its code */
	{ "22P02", RH_E_INVALID, "value.refused", 0, false },
	{ "22021", RH_E_INVALID, "value.refused", 0, false },
	{ "22001", RH_E_INVALID, "value.refused", 0, false },
	/* a pooler's */
	{ "26000", RH_E_UNAVAILABLE, "database.statement_lost", 1, true },
	{ "42P05", RH_E_UNAVAILABLE, "database.statement_twice", 1, true },
	/* contention */
	{ "40001", RH_E_UNAVAILABLE, "database.contention", 1, true },
	{ "40P01", RH_E_UNAVAILABLE, "database.contention", 1, true },
	{ "55P03", RH_E_UNAVAILABLE, "database.locked", 1, false },
	{ "57014", RH_E_TIMEOUT, "database.timeout", 0, false },
	/* away */
	{ "57P01", RH_E_UNAVAILABLE, "database.away", 2, false },
	{ "57P03", RH_E_UNAVAILABLE, "database.away", 2, false },
	{ "08006", RH_E_UNAVAILABLE, "database.away", 2, false },
	{ "08001", RH_E_UNAVAILABLE, "database.away", 2, false },
	{ "53300", RH_E_UNAVAILABLE, "database.full", 2, false },
	{ "53100", RH_E_UNAVAILABLE, "database.full", 2, false },
	{ "25006", RH_E_UNAVAILABLE, "database.read_only", 5, false },
	/* everything else is our fault, neighbours of the above too */
	{ "42601", RH_E_BUG, "bug", 0, false },
	{ "42501", RH_E_BUG, "bug", 0, false },
	{ "42P01", RH_E_BUG, "bug", 0, false },
	{ "23001", RH_E_BUG, "bug", 0, false },
	{ "40002", RH_E_BUG, "bug", 0, false },
	{ "57000", RH_E_BUG, "bug", 0, false },
	{ "25001", RH_E_BUG, "bug", 0, false },
	{ "RH500", RH_E_BUG, "bug", 0, false },
	{ "P0002", RH_E_BUG, "bug", 0, false },
	{ "XX000", RH_E_BUG, "bug", 0, false },
	{ "", RH_E_BUG, "bug", 0, false },
};

START_TEST(a_state_has_one_meaning)
{
	const struct row *r = &rows[_i];
	const struct rh_err *e = rh_pg_err_make(rh_check_arena(), r->sqlstate,
	    NULL, "said so");

	ck_assert_str_eq(rh_err_kind_name(e->kind), rh_err_kind_name(r->kind));
	ck_assert_str_eq(e->code, r->code);
	ck_assert_uint_eq(e->retry_after_s, r->retry_after_s);
	ck_assert_int_eq(e->transient, r->transient);
	ck_assert_ptr_null(e->field);
	ck_assert_int_eq(strncmp(e->cause, r->sqlstate, strlen(r->sqlstate)), 0);
	/* what the server said is for the log alone */
	ck_assert_ptr_null(strstr(e->detail, "said so"));
}
END_TEST

static const struct rh_pg_constraint notes[] = {
	{ "notes_name_key", RH_E_CONFLICT, "note.name_taken", "There is one.", "/name" },
	{ "note_missing", RH_E_MISSING, "note.missing", "There is none.", NULL },
	{ 0 }
};
static const struct rh_pg_constraint others[] = {
	{ "others_check", RH_E_INVALID, "other.refused", "Not that.", "/other" },
	{ 0 }
};

static const struct constraint_row {
	const char *sqlstate, *constraint;
	enum rh_err_kind kind;
	const char *code, *field;
} constraint_rows[] = {
	{ "23505", "notes_name_key", RH_E_CONFLICT, "note.name_taken", "/name" },
	{ "RH404", "note_missing", RH_E_MISSING, "note.missing", NULL },
	{ "23514", "others_check", RH_E_INVALID, "other.refused", "/other" },
	{ "23505", "notes_name_ke", RH_E_CONFLICT, "exists", NULL },
	{ "23505", "notes_name_key2", RH_E_CONFLICT, "exists", NULL },
	{ "23505", "", RH_E_CONFLICT, "exists", NULL },
	{ "23505", NULL, RH_E_CONFLICT, "exists", NULL },
};

START_TEST(a_constraint_that_is_registered_knows_better)
{
	const struct constraint_row *r = &constraint_rows[_i];
	const struct rh_err *e;

	rh_pg_constraints_register(notes);
	rh_pg_constraints_register(others);
	e = rh_pg_err_make(rh_check_arena(), r->sqlstate, r->constraint, "said");
	ck_assert_int_eq(e->kind, r->kind);
	ck_assert_str_eq(e->code, r->code);
	ck_assert_pstr_eq(e->field, r->field);
}
END_TEST

static const struct cause_row {
	const char *sqlstate, *message, *cause;
} cause_rows[] = {
	{ "42601", "syntax error", "42601 syntax error" },
	{ "08006", "server closed\n\tThis means", "08006 server closed" },
	{ "22P02", "invalid input syntax for type uuid: \"hunter2\"", "22P02" },
	{ "22007", "invalid input syntax for type timestamp: \"x\"", "22007" },
	{ "22P05", "hunter2 cannot be converted", "22P05" },
	{ "220ZZ", "hunter2", "220ZZ" },
};

/* Messages of class 22 quote the value: no signal may have it. */
START_TEST(the_cause_has_the_servers_words_but_no_value)
{
	const struct cause_row *r = &cause_rows[_i];

	ck_assert_str_eq(rh_pg_err_make(rh_check_arena(), r->sqlstate, NULL,
	    r->message)->cause, r->cause);
}
END_TEST

RH_CHECK_MAIN("data/pg_err",
    RH_LOOP(a_state_has_one_meaning, rows),
    RH_LOOP(a_constraint_that_is_registered_knows_better, constraint_rows),
    RH_LOOP(the_cause_has_the_servers_words_but_no_value, cause_rows))
