/*
 * move - rowhouse-ctl tenant move: a tenant to another database, while it is
 * served.
 *
 * Shape    PostgreSQL's logical replication of the tenant's rows, to a place
 *          that is fenced; then the source is fenced, what is left is waited
 *          for, and home's row says where it lives. What is under way stands in
 *          home's row too (move_from, move_to), so that another run continues
 *          wherever this one was killed, or --abort undoes
 * Units    paused_ms: from the fence to the place that serves again
 * Errors   1, with a reason on stderr; until the switch the tenant is served
 *          where it was
 * Source   PostgreSQL 15, 31.3: row filters of publications; migrate/sql/0005
 */
#ifndef RH_CTL_MOVE_H
#define RH_CTL_MOVE_H

#include "base/program.h"
#include "ctl/database.h"

struct move_found {
	struct rh_uuid id;
	struct rh_slice at;		/* "home", or a placement's name */
	struct rh_slice from, to;	/* of a move that is under way; else empty */
};

enum move_stmt {
	MOVE_LOCK, MOVE_FIND, MOVE_BEGIN, MOVE_END, MOVE_FLIP, MOVE_FENCE,
	MOVE_ARRIVE, MOVE_CHECK,
	MOVE_PUBLISH, MOVE_SLOT, MOVE_SUBSCRIBED, MOVE_SUBSCRIBE,
	MOVE_UNSUBSCRIBE, MOVE_UNPUBLISH, MOVE_COPIED, MOVE_FAILED, MOVE_LAG,
	MOVE_RUNNING,
	MOVE_LEFT, MOVE_LSN, MOVE_REACHED, MOVE_TENANT, MOVE_TENANT_TAKE,
	MOVE_USERS, MOVE_USERS_TAKE, MOVE_COUNT, MOVE_KNOWN, MOVE_CLEAR,
	MOVE_USERS_DROP
};
extern struct rh_stmt move_stmts[];

/* move_ask.c: one statement, a transaction of its own, and its one value. */
RH_MUST_CHECK struct rh_err *move_ask_int(struct database *db,
    enum move_stmt stmt, const struct rh_arg *args, unsigned n, int64_t *to);
RH_MUST_CHECK struct rh_err *move_ask_text(struct database *db,
    enum move_stmt stmt, const struct rh_arg *args, unsigned n,
    struct rh_slice *to);
RH_MUST_CHECK struct rh_err *move_find(struct database *home,
    struct rh_slice slug, struct move_found *to, bool *found);

/* ---- move.c and move_steps.c ---- */

struct place {
	struct rh_slice name;
	const char *url, *redis_url;
	struct database *db;
};

struct move {
	const struct rh_program *self;
	struct rh_slice slug;
	struct rh_uuid id;
	struct place home, source, target;
	struct rh_slice rows;		/* of each table, as compared */
	int64_t paused_ms;
};

#define ID(m)	RH_UUID((m)->id)
/* move_ask_*(db, stmt, args, n) of what stands behind. */
#define ARGS(...)	((const struct rh_arg[]){ __VA_ARGS__ }),		\
	(unsigned)(sizeof((const struct rh_arg[]){ __VA_ARGS__ }) /		\
	sizeof(struct rh_arg))

int64_t move_now_ms(void);
/* Progress, on stderr. */
void move_say(const struct move *m, const char *what);
struct rh_err *move_fault(const struct move *m, const char *what,
    struct rh_slice where);
/* Until its answer is that; late: the reason where it is not by then. */
RH_MUST_CHECK struct rh_err *move_await(struct move *m, struct place *p,
    enum move_stmt stmt, int64_t wanted, int64_t until_ms, const char *late,
    const struct rh_arg *args, unsigned n);
/* is_there: the switch was made by a run before this one. */
RH_MUST_CHECK struct rh_err *move_go(struct move *m, bool is_there);
RH_MUST_CHECK struct rh_err *move_abandon(struct move *m);

/* ---- the command ---- */

int tenant_move(struct rh_program *self, struct rh_slice slug,
    struct rh_slice to, bool abort, bool json);

#endif
