/*
 * pipe - a request's statements in one flush, its answers in the order sent.
 *
 * Shape    a session to PostgreSQL per worker; send, send, send, then the
 *          first read flushes all of them with one Sync: one implicit
 *          transaction, one round trip. Where a statement fails the server
 *          skips the rest and rolls back. rh_pipe_hold makes one
 *          transaction of several such
 * Errors   latched: after the first one all reads answer nothing; rh_pipe_error
 *          has it, mapped from SQLSTATE by pg_err.c
 * Owner    the worker; rows and texts point into results that hang on the
 *          request arena
 * Source   libpq 15, pipeline mode; pg*.c and pipe.c alone see libpq-fe.h
 */
#ifndef RH_DATA_PIPE_H
#define RH_DATA_PIPE_H

#include "base/err.h"
#include "base/field.h"

struct rh_pipe;
struct rh_pg;

/*
 * A statement with a name, which labels its metric and its span. $1 is the
 * tenant, or global says why not; tests/sql fails on silence.
 */
struct rh_stmt {
	const char *name;	/* "projects.page" */
	const char *sql;
	const char *global;	/* why $1 is not the tenant; NULL: it is */
	unsigned index;		/* given by rh_stmts_register */
};

enum rh_arg_kind {
	RH_ARG_TEXT, RH_ARG_UUID, RH_ARG_TIME, RH_ARG_INT, RH_ARG_BOOL,
	RH_ARG_BYTES
};
struct rh_arg {
	enum rh_arg_kind kind;
	struct rh_slice text;
	int64_t number;
	struct rh_uuid uuid;
};
/* p == NULL, nil, RH_TIME_NONE and RH_INT_NONE are SQL's NULL. */
#define RH_TEXT(s)	((struct rh_arg){ .kind = RH_ARG_TEXT, .text = (s) })
#define RH_BYTES(s)	((struct rh_arg){ .kind = RH_ARG_BYTES, .text = (s) })
#define RH_UUID(u)	((struct rh_arg){ .kind = RH_ARG_UUID, .uuid = (u) })
#define RH_TIME(t)	((struct rh_arg){ .kind = RH_ARG_TIME, .number = (t) })
#define RH_INT(i)	((struct rh_arg){ .kind = RH_ARG_INT, .number = (i) })
#define RH_BOOL(b)	((struct rh_arg){ .kind = RH_ARG_BOOL, .number = (b) })

#define RH_ARGS_MAX	24
#define RH_PIPE_MAX	16	/* statements in one flush */

struct rh_into {
	const struct rh_field *columns;
	void *row;
};

/* Queues; nothing leaves before the first read or rh_pipe_error. */
void rh_pipe_send_args(struct rh_pipe *p, const struct rh_stmt *stmt,
    const struct rh_arg *args, unsigned n);
#define rh_pipe_send(p, stmt, ...)						\
	rh_pipe_send_args((p), (stmt), (const struct rh_arg[]){ __VA_ARGS__ },	\
	    sizeof((const struct rh_arg[]){ __VA_ARGS__ }) / sizeof(struct rh_arg))

/*
 * As rh_pipe_send, with its one row read into the struct by the pipe itself as
 * soon as its turn comes: for what stands in front of a handler's statements.
 */
void rh_pipe_send_into(struct rh_pipe *p, const struct rh_stmt *stmt,
    const struct rh_arg *args, unsigned n, const struct rh_into *into);

/*
 * Once, in front of the next statement, where one comes: what has to stand there
 * after a transaction of this request has ended.
 */
void rh_pipe_preface(struct rh_pipe *p, void (*send)(void *of), void *of);

/*
 * As rh_pipe_send_into, before all others: a transaction of its own in the
 * same flush, ended before theirs begins. It stays whatever becomes of them,
 * and they are executed whatever becomes of it: where it fails its row is not
 * filled in, and the pipe has no error. A statement behind it may raise on what
 * it has left; not on what the session remembers, for behind a pooler they may
 * be another's. There, and where statements are not prepared, it is a round
 * trip of its own.
 */
void rh_pipe_send_apart(struct rh_pipe *p, const struct rh_stmt *stmt,
    const struct rh_arg *args, unsigned n, const struct rh_into *into);

/*
 * The next statement's rows as structs, by a table whose rows are its columns
 * in order: *rows is an array of size bytes each, in the arena.
 */
size_t rh_pipe_rows(struct rh_pipe *p, const struct rh_field *columns,
    size_t size, void *rows);
/*
 * A composite value, as a column of text has it: its fields as rh_pipe_row has
 * columns. One value costs the server less than a row of many columns, and a good deal
 * less than a function's. false: it is not made so.
 */
RH_MUST_CHECK bool rh_pg_record_get(struct rh_slice record,
    const struct rh_field *columns, void *row);
/* Its one row into the struct; false if there was none. */
bool rh_pipe_row(struct rh_pipe *p, const struct rh_field *columns, void *row);
/* Its first column of its first row; 0 if there is none. */
int64_t rh_pipe_int(struct rh_pipe *p);
/* How many rows it changed or answered; the rows themselves are not wanted. */
int64_t rh_pipe_done(struct rh_pipe *p);
/*
 * Reads to the end of the transaction. NULL: committed, everything. What
 * follows in the same request is a transaction, and a round trip, of its own.
 */
RH_MUST_CHECK struct rh_err *rh_pipe_error(struct rh_pipe *p);

/*
 * One transaction over several flushes. From the hold on reads and
 * rh_pipe_error flush as ever and end nothing; what stands before it in its
 * flush belongs to it (PostgreSQL makes one block of both). The commit
 * is queued like a statement: it leaves with what is queued still, and
 * rh_pipe_error says whether it was done. Without it, or after an error, none
 * of it has happened.
 */
void rh_pipe_hold(struct rh_pipe *p);
void rh_pipe_commit(struct rh_pipe *p);
/*
 * Gives up what is held and not committed; after a commit it does nothing. The
 * answer is waited for by whoever uses the session next, at the latest when
 * the request has its reply.
 */
void rh_pipe_rollback(struct rh_pipe *p);

#endif
