#include "config.h"

#include "migrate/db.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <libpq-fe.h>

#include "base/clock.h"

struct db {
	PGconn *conn;
	struct rh_arena *arena;
};

/* "rowhouse" as a number: the key of the advisory lock, one in each database. */
#define LOCK_KEY	"8245940733168939877"

#define SET_UP \
	"set client_min_messages = warning;" \
	"set statement_timeout = 0;" \
	"set idle_in_transaction_session_timeout = 0;" \
	"set lock_timeout = 0"

/* So that a killed migrator's lock ends in a second, not with its statement. */
#define NOTICE_THE_END	"set client_connection_check_interval = '1s'"

#define BOOK_IS_THERE "select to_regclass('rowhouse_migrations') is not null"
#define CREATE_BOOK \
	"create table if not exists rowhouse_migrations (" \
	" version integer primary key check (version > 0)," \
	" name text not null," \
	" checksum text not null," \
	" state text not null default 'applied'" \
	"   check (state in ('applied', 'running', 'reverting'))," \
	" applied_at timestamptz not null default now()," \
	" duration interval not null default '0');" \
	"comment on table rowhouse_migrations is" \
	" 'global: the migrations of this database, kept by rowhouse-migrate'"
#define READ_BOOK \
	"select version, name, checksum, state," \
	" to_char(applied_at at time zone 'UTC'," \
	"         'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')," \
	" round(extract(epoch from duration) * 1000)::bigint" \
	" from rowhouse_migrations order by version"
#define WRITE_BOOK \
	"insert into rowhouse_migrations" \
	" (version, name, checksum, state, applied_at, duration)" \
	" values ($1, $2, $3, $4, clock_timestamp()," \
	"         $5::bigint * interval '1 millisecond')" \
	" on conflict (version) do update set name = excluded.name," \
	" checksum = excluded.checksum, state = excluded.state," \
	" applied_at = excluded.applied_at, duration = excluded.duration"
#define STRIKE_BOOK "delete from rowhouse_migrations where version = $1"

#define TRY_LOCK "select pg_try_advisory_lock(" LOCK_KEY ")"
#define LOCK_HOLDER \
	"select pid from pg_locks where locktype = 'advisory' and granted" \
	" and ((classid::bigint << 32) | objid::bigint) = " LOCK_KEY \
	" and database = (select oid from pg_database" \
	"                 where datname = current_database()) limit 1"

#define FIND_INDEX \
	"select i.indisvalid from pg_index i" \
	" join pg_class c on c.oid = i.indexrelid" \
	" where c.relname = (parse_ident($1))[1] and i.indrelid = to_regclass($2)"
#define FIND_INDEX_ALONE \
	"select i.indisvalid from pg_index i where i.indexrelid = to_regclass($1)"
#define DROP_INDEX \
	"select format('drop index concurrently if exists %I.%I'," \
	"              n.nspname, c.relname)" \
	" from pg_index i join pg_class c on c.oid = i.indexrelid" \
	" join pg_namespace n on n.oid = c.relnamespace" \
	" where c.relname = (parse_ident($1))[1] and i.indrelid = to_regclass($2)"

static const char *const state_names[] = {
	[MIGRATION_PENDING] = "", [MIGRATION_APPLIED] = "applied",
	[MIGRATION_RUNNING] = "running", [MIGRATION_REVERTING] = "reverting",
};

static const char *
field(const PGresult *res, int code)
{
	return PQresultErrorField(res, code);
}

/* "message; detail; hint", each where there is one. */
static const char *
story(struct db *db, const PGresult *res)
{
	static const int codes[] = {
		PG_DIAG_MESSAGE_PRIMARY, PG_DIAG_MESSAGE_DETAIL,
		PG_DIAG_MESSAGE_HINT, PG_DIAG_CONTEXT,
	};
	struct rh_buf out;

	rh_buf_init(&out, db->arena, 256, 65536);
	for (size_t i = 0; res && i < RH_COUNT(codes); i++)
		if (field(res, codes[i]))
			rh_buf_printf(&out, "%s%s", out.n ? "; " : "",
			    field(res, codes[i]));
	if (out.n == 0)
		rh_buf_slice(&out, rh_slice_of(PQerrorMessage(db->conn)));
	while (out.n && out.p[out.n - 1] == '\n')
		out.n--;
	rh_buf_char(&out, '\0');
	return out.p;
}

/* A lock that was not to be had in time, and a deadlock, may pass. */
static enum rh_err_kind
kind_of(const PGresult *res)
{
	const char *state = res ? field(res, PG_DIAG_SQLSTATE) : NULL;

	return state && (strcmp(state, "55P03") == 0 ||
	    strcmp(state, "40P01") == 0) ? RH_E_UNAVAILABLE : RH_E_CONFLICT;
}

static struct rh_err *
finish(struct db *db, PGresult *res)
{
	ExecStatusType status = PQresultStatus(res);
	struct rh_err *err = NULL;

	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK &&
	    status != PGRES_EMPTY_QUERY)
		err = rh_err_new(db->arena, kind_of(res), "migrate.database",
		    "%s", story(db, res));
	PQclear(res);
	return err;
}

static struct rh_err *
run(struct db *db, const char *sql)
{
	return finish(db, PQexec(db->conn, sql));
}

/* The first column of the first row; NULL where there is none. */
static struct rh_err *
ask(struct db *db, const char **value, const char *sql, int n,
    const char *const *params)
{
	PGresult *res = PQexecParams(db->conn, sql, n, NULL, params, NULL, NULL,
	    0);

	*value = NULL;
	if (PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) > 0 &&
	    !PQgetisnull(res, 0, 0))
		*value = rh_arena_strdup(db->arena,
		    rh_slice_of(PQgetvalue(res, 0, 0)));
	return finish(db, res);
}

static void
close_conn(void *conn)
{
	PQfinish(conn);
}

/* libpq repeats what it cannot read, passwords included; so ask it first. */
static struct rh_err *
check_url(const char *url, struct rh_arena *arena)
{
	char *message = NULL;
	PQconninfoOption *parsed = PQconninfoParse(url, &message);

	PQfreemem(message);
	if (!parsed)
		return rh_err_new(arena, RH_E_INVALID, "migrate.url",
		    "the database's URL cannot be read; it is not shown, as it may"
		    " hold a password");
	PQconninfoFree(parsed);
	return NULL;
}

struct rh_err *
db_open(struct db **to, const char *url, unsigned connect_timeout_s,
    struct rh_arena *arena)
{
	const char *timeout = rh_arena_printf(arena, "%u",
	    RH_MAX(connect_timeout_s, 2u));
	const char *const keys[] = {
		"connect_timeout", "application_name", "dbname", NULL,
	};
	const char *const values[] = { timeout, "rowhouse-migrate", url, NULL };
	struct db *db = RH_NEW(arena, struct db);
	struct rh_err *err = check_url(url, arena);

	if (err)
		return err;
	db->arena = arena;
	db->conn = PQconnectdbParams(keys, values, 1);
	rh_arena_defer(arena, close_conn, db->conn);
	if (PQstatus(db->conn) != CONNECTION_OK)
		return rh_err_new(arena, RH_E_UNAVAILABLE, "migrate.connect",
		    "%s", story(db, NULL));
	/* a server on another system may not have it */
	PQclear(PQexec(db->conn, NOTICE_THE_END));
	*to = db;
	return run(db, SET_UP);
}

static void
sleep_ms(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

static struct rh_err *
say_waiting(struct db *db)
{
	const char *pid;
	struct rh_err *err = ask(db, &pid, LOCK_HOLDER, 0, NULL);

	if (!err)
		fprintf(stderr, "waiting for another rowhouse-migrate"
		    " (server process %s)\n", pid ? pid : "gone");
	return err;
}

/*
 * Tried again and again, not waited for in the server: a statement that waits
 * there holds a snapshot, and the other's "create index concurrently" would
 * wait for that.
 */
struct rh_err *
db_lock(struct db *db)
{
	const char *granted;
	struct rh_err *err;

	for (unsigned tries = 0;; tries++) {
		if ((err = ask(db, &granted, TRY_LOCK, 0, NULL)))
			return err;
		if (*granted == 't')
			return NULL;
		if (tries % 50 == 0 && (err = say_waiting(db)))
			return err;
		sleep_ms(150 + rh_clock_mono_ns() / 1000 % 100);
	}
}

struct rh_err *
db_create_book(struct db *db)
{
	const char *there;
	struct rh_err *err = ask(db, &there, BOOK_IS_THERE, 0, NULL);

	return err || *there == 't' ? err : run(db, CREATE_BOOK);
}

static enum migration_state
state_of(const char *name)
{
	int state = MIGRATION_REVERTING;

	while (state && strcmp(state_names[state], name) != 0)
		state--;
	return (enum migration_state)state;
}

static void
take_row(struct db *db, struct migration **list, const PGresult *res, int row)
{
	struct migration *m = files_get(list, atoll(PQgetvalue(res, row, 0)),
	    db->arena);

	m->applied_name = rh_arena_strdup(db->arena,
	    rh_slice_of(PQgetvalue(res, row, 1)));
	if (!m->name)
		m->name = m->applied_name;
	m->applied_checksum = rh_arena_strdup(db->arena,
	    rh_slice_of(PQgetvalue(res, row, 2)));
	m->state = state_of(PQgetvalue(res, row, 3));
	m->applied_at = rh_arena_strdup(db->arena,
	    rh_slice_of(PQgetvalue(res, row, 4)));
	m->duration_ms = atoll(PQgetvalue(res, row, 5));
}

struct rh_err *
db_read_book(struct db *db, struct migration **list)
{
	const char *there;
	struct rh_err *err = ask(db, &there, BOOK_IS_THERE, 0, NULL);
	PGresult *res;

	if (err || *there != 't')
		return err;
	res = PQexec(db->conn, READ_BOOK);
	if (PQresultStatus(res) == PGRES_TUPLES_OK)
		for (int row = 0; row < PQntuples(res); row++)
			take_row(db, list, res, row);
	return finish(db, res);
}

/* A table in use is not waited for long: readers queue up behind us. */
struct rh_err *
db_begin(struct db *db)
{
	return run(db, "begin; set local lock_timeout = '2s'");
}

struct rh_err *
db_commit(struct db *db)
{
	PGresult *res = PQexec(db->conn, "commit");
	bool rolled_back = strcmp(PQcmdStatus(res), "ROLLBACK") == 0;
	struct rh_err *err = finish(db, res);

	if (!err && rolled_back)
		return rh_err_new(db->arena, RH_E_CONFLICT, "migrate.commit",
		    "the transaction was rolled back");
	return err;
}

void
db_rollback(struct db *db)
{
	if (PQtransactionStatus(db->conn) != PQTRANS_IDLE)
		PQclear(PQexec(db->conn, "rollback"));
}

/* The position counts characters; files are UTF-8. */
static unsigned
line_of(const struct script *script, const char *text, const PGresult *res)
{
	const char *position = field(res, PG_DIAG_STATEMENT_POSITION);
	const char *p = text;
	unsigned line = 1;

	for (const char *c = script->text.p; c < text; c++)
		line += *c == '\n';
	for (long n = position ? atol(position) : 1; *p && n > 1; p++) {
		line += *p == '\n';
		n -= (p[1] & 0xc0) != 0x80;
	}
	return line;
}

struct rh_err *
db_run_script(struct db *db, const struct script *script, struct rh_slice text)
{
	bool inside = PQtransactionStatus(db->conn) == PQTRANS_INTRANS;
	const char *sql = rh_arena_strdup(db->arena, text);
	PGresult *res = PQexec(db->conn, sql);
	unsigned line = line_of(script, text.p, res);
	struct rh_err *err = finish(db, res);

	if (err)
		return rh_err_new(db->arena, err->kind, err->code, "%s:%u: %s",
		    script->path, line, err->detail);
	if (inside && PQtransactionStatus(db->conn) != PQTRANS_INTRANS)
		return rh_err_new(db->arena, RH_E_CONFLICT, "migrate.transaction",
		    "%s: ends the transaction that it runs in; take out its"
		    " \"commit\"", script->path);
	return NULL;
}

struct rh_err *
db_write_book(struct db *db, const struct migration *m)
{
	char version[24], duration[24];
	const char *params[] = {
		version, m->name, m->dir ? m->checksum : m->applied_checksum,
		state_names[m->state], duration,
	};
	const char *nothing;

	snprintf(version, sizeof(version), "%" PRId64, m->version);
	snprintf(duration, sizeof(duration), "%" PRId64, m->duration_ms);
	if (m->state == MIGRATION_PENDING)
		return ask(db, &nothing, STRIKE_BOOK, 1, params);
	return ask(db, &nothing, WRITE_BOOK, RH_COUNT(params), params);
}

struct rh_err *
db_find_index(struct db *db, const char *index, const char *table,
    enum db_index *found)
{
	const char *params[] = { index, table };
	const char *valid;
	struct rh_err *err = table ? ask(db, &valid, FIND_INDEX, 2, params) :
	    ask(db, &valid, FIND_INDEX_ALONE, 1, params);

	if (!err)
		*found = !valid ? DB_INDEX_NONE :
		    *valid == 't' ? DB_INDEX_VALID : DB_INDEX_INVALID;
	return err;
}

struct rh_err *
db_drop_index(struct db *db, const char *index, const char *table)
{
	const char *params[] = { index, table };
	const char *sql;
	struct rh_err *err = ask(db, &sql, DROP_INDEX, 2, params);

	return err || !sql ? err : run(db, sql);
}
