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
	MOVE_LOCK, MOVE_FIND, MOVE_BEGIN, MOVE_END, MOVE_FLIP, MOVE_FENCE, MOVE_CHECK,
	MOVE_PUBLISH, MOVE_SLOT, MOVE_SUBSCRIBED, MOVE_SUBSCRIBE,
	MOVE_UNSUBSCRIBE, MOVE_UNPUBLISH, MOVE_COPIED, MOVE_LAG, MOVE_RUNNING,
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

int tenant_move(struct rh_program *self, struct rh_slice slug,
    struct rh_slice to, bool abort, bool json);

#endif
