/*
 * session - a worker of sorts for the tests of the pipe: one session to the
 * PostgreSQL that test_pipe.py started, and statements to try on it.
 */
#ifndef RH_TESTS_DATA_SESSION_H
#define RH_TESTS_DATA_SESSION_H

#include "data/pg.h"

#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "rh_check.h"

#define STALE_MS	600	/* longer than a session trusts what it cannot see */
#define TRIES		500
#define SOON_MS		1000	/* a deadline: not so soon that it is over before it is sent */
#define WORDS		10	/* tries: where all is slow, the server's last word is too late */

enum {
	KINDS, RECORD, SERIES, ECHO, NUMBER, NOTHING, NONE, TWO_ROWS, PUT, DROP, COUNT,
	NOTE, OURS, LATER, PID, SLEEP, CAST, PREPARED, FORGET, KILL, ALIVE, ASLEEP
};

/* clang-format off */
static struct rh_stmt stmts[] = {
	[KINDS] = { .name = "kinds", .sql = "select $1::text, $2::uuid, $3::timestamptz, $4::bigint,"
	    " $5::boolean, $6::bytea, $7::int2, $8::int4, $9::text, $10::text" },
	[RECORD] = { .name = "record", .sql = "select row($1::text, $2::uuid, $3::timestamptz, $4::bigint,"
	    " $5::boolean, $6::bytea, $7::int2, $8::int4, $9::text, $10::text)" },
	[SERIES] = { .name = "series", .sql = "select g, 'row ' || g from generate_series(1, $1::int) g" },
	[ECHO] = { .name = "echo", .sql = "select $1::text" },
	[NUMBER] = { .name = "number", .sql = "select $1::bigint" },
	[NOTHING] = { .name = "nothing", .sql = "select null::bigint" },
	[NONE] = { .name = "none", .sql = "select 1::bigint where false" },
	[TWO_ROWS] = { .name = "two_rows", .sql = "select * from (values (1::bigint), (2)) v" },
	[PUT] = { .name = "put", .sql = "insert into things (k) values ($1)" },
	[DROP] = { .name = "drop", .sql = "delete from things where k like $1" },
	[COUNT] = { .name = "count", .sql = "select count(*) from things where k like $1" },
	[NOTE] = { .name = "note", .sql = "insert into things (k) values ($1) returning 1::bigint" },
	/* locks of writing that this transaction holds on the table */
	[OURS] = { .name = "ours", .sql = "select count(*) from pg_locks where pid = pg_backend_pid()"
	    " and relation = $1::text::regclass and mode = 'RowExclusiveLock'" },
	[LATER] = { .name = "later", .sql = "insert into later (k) values ($1)" },
	[PID] = { .name = "pid", .sql = "select pg_backend_pid()" },
	[SLEEP] = { .name = "sleep", .sql = "select 1 from pg_sleep($1::bigint / 1000.0)" },
	[CAST] = { .name = "cast", .sql = "select $1::text::uuid" },
	[PREPARED] = { .name = "prepared", .sql = "select count(*) from pg_prepared_statements where not from_sql" },
	[FORGET] = { .name = "forget", .sql = "deallocate all" },
	[KILL] = { .name = "kill", .sql = "select pg_terminate_backend($1::int)::int" },
	[ALIVE] = { .name = "alive", .sql = "select count(*) from pg_stat_activity where pid = $1::int" },
	[ASLEEP] = { .name = "asleep", .sql = "select count(*) from pg_stat_activity where pid = $1::int"
	    " and wait_event = 'PgSleep'" },
	{ 0 }
};
/* clang-format on */

enum { AUTO, ON, OFF };

struct session {
	struct rh_arena *own, *arena;
	struct rh_pg_conf conf;
	struct rh_pg_obs obs;
	struct rh_trace trace;
	struct rh_sampler sampler;
	struct rh_pg *pg;
	struct rh_pipe *pipe;
};

static inline void
session_init(struct session *s, int prepared, int64_t timeout_ms)
{
	memset(s, 0, sizeof(*s));
	s->own = rh_check_arena();
	s->arena = rh_arena_new(4096, 64 << 20);
	s->conf = (struct rh_pg_conf){ getenv("ROWHOUSE_TEST_URL"), 10000,
		timeout_ms, prepared, "check_pipe" };
	ck_assert_ptr_nonnull(s->conf.url);
	rh_sampler_init(&s->sampler, RH_SAMPLER_ALWAYS_ON, true, 1);
	s->pg = rh_pg_new(s->own, &s->conf, &s->obs);
}

static inline void
begin(struct session *s)
{
	rh_trace_begin(&s->trace, &s->sampler, &(struct rh_trace_caller){ 0 });
	s->trace.on = true;
	s->pipe = rh_pg_begin(s->pg, s->arena, &s->trace);
}

static inline void
end(struct session *s)
{
	rh_pg_end(s->pg);
	rh_arena_reset(s->arena);
}

static inline void
session_open(struct session *s, int prepared)
{
	if (rh_stmts_count() == 0)
		rh_stmts_register(stmts);
	session_init(s, prepared, 10000);
	ck_assert_msg(rh_pg_ready(s->pg, true), "%s", rh_pg_trouble(s->pg));
	begin(s);
}

static inline void
session_close(struct session *s)
{
	end(s);
	rh_pg_close(s->pg);
	rh_arena_destroy(&s->arena);
}

/* One statement with one number, as a request of its own. */
static inline int64_t
ask(struct session *s, int stmt, int64_t number)
{
	int64_t said;

	end(s);
	begin(s);
	if (stmt == PID || stmt == PREPARED)
		rh_pipe_send_args(s->pipe, &stmts[stmt], NULL, 0);
	else
		rh_pipe_send(s->pipe, &stmts[stmt], RH_INT(number));
	said = rh_pipe_int(s->pipe);
	ck_assert_ptr_null(rh_pipe_error(s->pipe));
	end(s);
	begin(s);
	return said;
}

static inline int64_t
count(struct session *s, const char *like)
{
	int64_t n;

	end(s);
	begin(s);
	rh_pipe_send(s->pipe, &stmts[COUNT], RH_TEXT(rh_slice_of(like)));
	n = rh_pipe_int(s->pipe);
	ck_assert_ptr_null(rh_pipe_error(s->pipe));
	end(s);
	begin(s);
	return n;
}

static inline void
put(struct session *s, const char *key)
{
	rh_pipe_send(s->pipe, &stmts[PUT], RH_TEXT(rh_slice_of(key)));
}

static inline void
pause_ms(long ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
}

/* A process of the server's: from here on it does nothing more. */
static inline void
freeze(int64_t pid)
{
	char path[64], text[256] = "";
	const char *state = NULL;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	ck_assert_int_eq(kill((pid_t)pid, SIGSTOP), 0);
	for (int i = 0; i < TRIES && !(state && state[2] == 'T'); i++) {
		ck_assert_ptr_nonnull(f = fopen(path, "r"));
		ck_assert_ptr_nonnull(fgets(text, sizeof(text), f));
		fclose(f);
		ck_assert_ptr_nonnull(state = strrchr(text, ')'));
		pause_ms(1);
	}
	ck_assert_int_eq(state[2], 'T');
}

/* By another session, which also sees to it that the backend has gone. */
static inline void
terminate(int64_t pid)
{
	struct session other;
	int i;

	session_open(&other, OFF);
	ck_assert_int_eq(ask(&other, KILL, pid), 1);
	for (i = 0; i < TRIES && ask(&other, ALIVE, pid); i++)
		pause_ms(10);
	ck_assert_int_lt(i, TRIES);
	session_close(&other);
}

static inline void
expect_error(struct session *s, enum rh_err_kind kind, const char *cause)
{
	const struct rh_err *e = rh_pipe_error(s->pipe);

	ck_assert_ptr_nonnull(e);
	ck_assert_msg(e->kind == kind && strncmp(e->cause, cause,
	    strlen(cause)) == 0, "%s, %s", rh_err_kind_name(e->kind), e->cause);
	/* it stays: whoever asks again hears the same */
	ck_assert_ptr_eq(rh_pipe_error(s->pipe), e);
}

#define MS	UINT64_C(1000000)

static inline void
expect_late(struct session *s, const char *where)
{
	const struct rh_err *e = rh_pipe_error(s->pipe);

	ck_assert_ptr_nonnull(e);
	ck_assert_msg(e->kind == RH_E_TIMEOUT &&
	    strcmp(e->code, "request.timeout") == 0 &&
	    strncmp(e->cause, where, strlen(where)) == 0, "%s, %s: %s",
	    rh_err_kind_name(e->kind), e->code, e->cause);
}

static inline void
within(struct session *s, uint64_t ms)
{
	rh_pg_deadline(s->pg, rh_clock_mono_ns() + ms * MS);
}

#endif
