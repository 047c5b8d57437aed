#include "config.h"

#include "migrate/apply.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "migrate/sql.h"

#define TRIES		10
#define PAUSE_MAX_MS	8000

/* One migration on its way from a state to another. */
struct move {
	struct db *db;
	struct migration *m;
	const struct script *script;
	struct rh_arena *arena;
	enum migration_state meanwhile, after;
	bool resumed;		/* an earlier run was cut off in the middle */
	uint64_t started_ns;
};

static struct rh_err *
record(struct move *v, enum migration_state state)
{
	enum migration_state before = v->m->state;
	struct rh_err *err;

	v->m->state = state;
	v->m->duration_ms =
	    (int64_t)((rh_clock_mono_ns() - v->started_ns) / 1000000);
	if ((err = db_write_book(v->db, v->m)))
		v->m->state = before;
	return err;
}

static struct rh_err *
in_transaction(struct move *v)
{
	enum migration_state before = v->m->state;
	struct rh_err *err;

	if ((err = db_begin(v->db)) ||
	    (err = db_run_script(v->db, v->script, v->script->text)) ||
	    (err = record(v, v->after)) ||
	    (err = db_commit(v->db))) {
		db_rollback(v->db);
		v->m->state = before;
	}
	return err;
}

/* --- outside of a transaction --- */

struct rh_err *
apply_check(const struct script *script, struct rh_arena *arena)
{
	struct rh_slice rest = script->text, text;

	do {
		text = script->transaction ? RH_SLICE_NONE : sql_next(&rest);
		if (!text.p)
			return NULL;
	} while (sql_classify(text, arena).kind != SQL_OTHER);
	return rh_err_new(arena, RH_E_INVALID, "migrate.no_transaction",
	    "%s: \"%.*s\" may not stand outside of a transaction, as it may not"
	    " run twice; only \"create index concurrently NAME on\", \"drop index"
	    " concurrently NAME\", \"alter type ... add value if not exists\","
	    " vacuum, analyze and set may", script->path,
	    (int)strcspn(text.p, "\n"), text.p);
}

/* An index of that name which is none of ours must not pass for ours. */
static struct rh_err *
refuse_foreign(struct move *v)
{
	struct rh_slice rest = v->script->text, text;

	while ((text = sql_next(&rest)).p) {
		struct sql_statement s = sql_classify(text, v->arena);
		enum db_index found;
		struct rh_err *err;

		if (s.kind != SQL_CREATE_INDEX || s.if_exists)
			continue;
		if ((err = db_find_index(v->db, s.index, s.table, &found)))
			return err;
		if (found == DB_INDEX_VALID)
			return rh_err_new(v->arena, RH_E_CONFLICT,
			    "migrate.index", "%s: the index %s is there already",
			    v->script->path, s.index);
	}
	return NULL;
}

static struct rh_err *
run_repeatable(struct move *v, struct rh_slice text)
{
	struct sql_statement s = sql_classify(text, v->arena);
	enum db_index found = DB_INDEX_NONE;
	struct rh_err *err = NULL;

	if (s.index)
		err = db_find_index(v->db, s.index, s.table, &found);
	if (err || (s.kind == SQL_CREATE_INDEX && found == DB_INDEX_VALID) ||
	    (s.kind == SQL_DROP_INDEX && found == DB_INDEX_NONE && v->resumed))
		return err;
	if (s.kind == SQL_CREATE_INDEX && found == DB_INDEX_INVALID &&
	    (err = db_drop_index(v->db, s.index, s.table)))
		return err;
	return db_run_script(v->db, v->script, text);
}

static struct rh_err *
step_by_step(struct move *v)
{
	struct rh_slice rest = v->script->text, text;
	struct rh_err *err;

	if (!v->resumed && ((err = refuse_foreign(v)) ||
	    (err = record(v, v->meanwhile))))
		return err;
	v->resumed = true;
	while ((text = sql_next(&rest)).p)
		if ((err = run_repeatable(v, text)))
			return err;
	return record(v, v->after);
}

/* --- both --- */

static long
pause_ms(unsigned try)
{
	long most = RH_MIN(500L << (try - 1), PAUSE_MAX_MS);
	uint32_t dice;

	rh_random(&dice, sizeof(dice));
	return most / 2 + dice % (uint32_t)(most / 2);
}

static void
wait_for_lock(const struct move *v, unsigned try, const struct rh_err *err)
{
	long ms = pause_ms(try);
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	fprintf(stderr, "%04" PRId64 "_%s: %s\n  trying again in %ld.%ld s"
	    " (%u of %u)\n", v->m->version, v->m->name, err->detail, ms / 1000,
	    ms % 1000 / 100, try, TRIES - 1);
	nanosleep(&t, NULL);
}

static struct rh_err *
move(struct move *v)
{
	struct rh_err *err;

	v->resumed = v->m->state == MIGRATION_RUNNING ||
	    v->m->state == MIGRATION_REVERTING;
	for (unsigned try = 1;; try++) {
		v->started_ns = rh_clock_mono_ns();
		err = v->script->transaction ? in_transaction(v) :
		    step_by_step(v);
		if (!err || err->kind != RH_E_UNAVAILABLE || try == TRIES)
			return err;
		wait_for_lock(v, try, err);
	}
}

struct rh_err *
apply_up(struct db *db, struct migration *m, struct rh_arena *arena)
{
	struct move v = { .db = db, .m = m, .script = &m->up, .arena = arena,
	    .meanwhile = MIGRATION_RUNNING, .after = MIGRATION_APPLIED };

	return move(&v);
}

struct rh_err *
apply_down(struct db *db, struct migration *m, struct rh_arena *arena)
{
	struct move v = { .db = db, .m = m, .script = &m->down, .arena = arena,
	    .meanwhile = MIGRATION_REVERTING, .after = MIGRATION_PENDING };

	return move(&v);
}
