/*
 * limiter - how many requests a tenant, a token or an address may make: one
 * contract, three places to count in.
 *
 * Shape    an ask of up to two budgets, all or nothing: where one is used up
 *          none is charged. GCRA each, exact however many processes ask:
 *            shm       limit.h, this host's
 *            redis     a Lua script on Redis' clock; the key is the text. A
 *                      host draws in advance for budgets that are busy
 *                      (advance.h), and grants these by itself
 *            postgres  limit_take (migrate/sql/0003) on PostgreSQL's clock,
 *                      in front of the request's own statements
 * Units    as limit.h; a step is a whole microsecond or more in redis
 * Errors   a place that cannot say leaves the ask unanswered; its caller goes
 *          to another, or does without
 * Owner    the worker; an ask is the request's, its keys in the arena
 *
 * Ask and answer are apart, so that both travel with whatever else the request
 * sends: in redis the ask is queued, and rh_limiter_answer reads it in its
 * turn. In postgres it leaves with the request's first flush, as a transaction
 * of its own: it is not undone with the request's, and its row's lock ends
 * before the request's statements begin. They are not executed where it was
 * denied, the pipe's error is RH_E_LIMITED then, and the answer is there once
 * anything was read.
 */
#ifndef RH_DATA_LIMITER_H
#define RH_DATA_LIMITER_H

#include "data/advance.h"
#include "data/limit.h"
#include "data/pipe.h"
#include "data/redis.h"

enum rh_limiter_kind {
	RH_LIMITER_SHM, RH_LIMITER_REDIS, RH_LIMITER_POSTGRES, RH_LIMITERS
};
extern const char *const rh_limiter_names[RH_LIMITERS + 1];

/* To be registered before the fork. */
extern struct rh_stmt rh_limiter_stmts[];
extern struct rh_script rh_limiter_scripts[];

struct rh_limiter {
	struct rh_limit_table *table;
	unsigned keys;
	struct rh_redis *redis;	/* NULL: none */
	struct rh_pipe *pipe;	/* the request's */
	/* redis: what was drawn before it came; NULL or a life of 0: nothing is */
	struct rh_advances *advances;
	int64_t advance_ns;	/* how long a lot may be used */
};

struct rh_budget {
	struct rh_slice key;	/* all of an ask with one {tag} */
	struct rh_quota quota;
	const char *name;	/* of the RateLimit fields */
	bool known;		/* there is a verdict */
	struct rh_verdict verdict;	/* granted: as far as this one goes */
};

#define RH_ASK_MAX 2
struct rh_ask {
	struct rh_budget of[RH_ASK_MAX];
	unsigned n;
	enum rh_limiter_kind by;
	bool answered;
	bool passed;		/* postgres: what stands behind it was executed */
	/* 0: granted; else the n-th budget is used up, and none was charged */
	int64_t denied;
	int64_t used_ns[RH_ASK_MAX];	/* as the place said it; -1: not looked at */
	/* redis */
	bool prepaid;		/* granted by this host's lots: nothing was asked */
	struct rh_draw draw[RH_ASK_MAX];
	uint64_t asked_ns;	/* mono; 0: a draw is no part of it */
};

/* of, n and by are set. shm answers at once. */
void rh_limiter_ask(struct rh_limiter *l, struct rh_ask *ask);
/*
 * Fills in the verdicts. False: not answered, by redis not at all, by postgres
 * not yet or not at all.
 */
RH_MUST_CHECK bool rh_limiter_answer(struct rh_limiter *l, struct rh_ask *ask);
/* Of shm: what is left of it; nothing is taken. */
struct rh_verdict rh_limiter_look(struct rh_limiter *l,
    const struct rh_budget *b);
/*
 * Gives back what a granted ask has charged. In redis it is posted; in
 * postgres it is a round trip, of a pipe with nothing in it.
 */
void rh_limiter_give(struct rh_limiter *l, const struct rh_ask *ask);
/* Of postgres: what is idle goes, a bounded number of rows at a time. A round trip. */
void rh_limiter_purge(struct rh_limiter *l);

#endif
