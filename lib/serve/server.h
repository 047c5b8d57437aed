/*
 * server - a worker's own side of serving: what it opens after the fork.
 *
 * Shape    one a worker; the context of the pool's hooks
 * Owner    the worker, for its life
 */
#ifndef RH_SERVE_SERVER_H
#define RH_SERVE_SERVER_H

#include "data/cache_manager.h"
#include "http/fcgx.h"
#include "obs/journal.h"
#include "obs/log.h"
#include "obs/metric.h"
#include "serve/call.h"
#include "serve/host.h"
#include "serve/place.h"
#include "serve/wake.h"

struct rh_server {
	struct rh_host *host;
	unsigned slot;
	bool sheds;			/* says 503 to all; has no database */
	struct rh_arena *own;		/* for the worker's life */
	struct rh_arena *arena;		/* for a request's */
	struct rh_fcgx *fx;
	/* where the request is: home's, or a placement's */
	struct rh_pg *pg;
	struct rh_redis *redis;		/* NULL: not configured */
	struct rh_coherent *coherent;	/* NULL: there is no Redis */
	struct rh_place *at;
	struct rh_place *places;	/* home first */
	unsigned nplaces;
	struct rh_cache_manager_conf caches_conf;
	struct rh_cache_obs caches_obs;
	struct rh_cache_manager *caches;	/* of handlers; NULL: it sheds */
	struct rh_limiter limiter;
	unsigned counted;		/* by PostgreSQL, for this worker */
	struct rh_pg_obs pg_obs;
	unsigned pg_open;		/* sessions, of all places */
	bool pg_away;			/* as the log was told */
	struct rh_redis_obs redis_obs, placed_redis_obs;
	bool redis_away;		/* as the log was told */
	struct rh_log log;
	struct rh_tally tally;
	struct rh_flight *flight;	/* the slot's, in the segment */
	struct rh_moment *moment;	/* likewise */
	struct rh_journal journal;
	struct rh_shipper *shipper;
	unsigned tenant_most;		/* workers inside one tenant's requests; 0: no bound */
	uint64_t purge_ns;		/* mono: when keys that expired are looked for */
	bool purges;			/* they were, a moment ago */
	struct rh_kept *kept;	/* of the duties, at the place of s->at; NULL: it has none */
	struct rh_kept *keeps;	/* by place, as places */
	struct rh_waker waker;
	struct rh_hashers hashers;	/* the host's, and the request's deadline */
	struct rh_trace trace;
	struct rh_req rq;
	struct rh_call call;
};

/* server.c: a cache in that Redis; place: its place in the segment's area. */
struct rh_coherent *rh_server_coherent(struct rh_server *s,
    struct rh_redis *redis, unsigned place);

/* keep.c: what handlers keep in Redis by themselves. */
void rh_keep_open(struct rh_server *s);

/* What workers of all pools have: log, counters, flight, session to PostgreSQL. */
void rh_server_open(struct rh_server *s, unsigned slot);
/* Whether PostgreSQL is to be had; wait: for as long as connecting may take. */
bool rh_server_reach(struct rh_server *s, bool wait);
/* The same, and nobody waits: again in a moment, or when its back-off is over. */
bool rh_server_try(struct rh_server *s);
/* The hooks of serve/pool.h. */
bool rh_server_start(void *server, unsigned slot);
/* While there is no request: the session's, and its cache's, duties. */
void rh_server_redis_idle(struct rh_server *s, struct rh_redis *redis,
    struct rh_coherent *coherent);
void rh_server_idle(void *server);
void rh_server_stop(void *server, int64_t deadline_ms);
void rh_server_trouble(void *server, const char *what, int error);
/* last_word.c: from the handler of a fatal signal. */
void rh_server_last_word(void *server);
/* The code of a request whose worker died of it: client and log are told the same. */
#define RH_WORKER_DIED "worker.died"
/* life.c: at most one request of the connection, from accept to account. */
enum rh_served rh_life(void *server, int fd);

/*
 * deadline.c: until when the request may take, told to all that waits for
 * something; once when it starts, once more when its route is known.
 */
void rh_deadline_set(struct rh_call *c);

/* identify.c: request id and trace, whatever else is wrong with the request. */
void rh_identify(struct rh_call *c);
/*
 * admit.c: rate limits, and a tenant's share of the workers, before anything
 * costs more than this process. What rh_admit_ask queues for Redis leaves with
 * whatever else is queued before rh_admit_answer reads it.
 */
void rh_admit_ask(struct rh_call *c);
RH_MUST_CHECK struct rh_err *rh_admit_answer(struct rh_call *c);
/* Both once more, for a tenant whose id is known only now. */
RH_MUST_CHECK struct rh_err *rh_admit_known(struct rh_call *c);
/* Where PostgreSQL counts: in front of what the request sends it. */
void rh_admit_send(struct rh_call *c);
/* … and what it has said; err is the pipe's. Takes in the tenant's plan, too. */
struct rh_err *rh_admit_settle(struct rh_call *c, struct rh_err *err);
/* Who calls is known, and with that the tenant's plan: for the next request. */
void rh_admit_plan(struct rh_call *c);
/* The tenant's place among the workers is another's. */
void rh_admit_leave(struct rh_call *c);
/*
 * A caller that turned out not to be the tenant's does not use up its budget;
 * what takes a round trip waits for rh_admit_repay, after the reply.
 */
void rh_admit_undo(struct rh_call *c, const struct rh_err *err);
void rh_admit_repay(struct rh_call *c);
void rh_admit_headers(struct rh_call *c);
/*
 * recall.c: queues what the cache is asked, of a tenant that this host knows …
 */
void rh_recall_ask(struct rh_call *c);
/* … hears it, before any transaction; true: it was the reply, and who calls is known … */
bool rh_recall_answer(struct rh_call *c);
/* … or asks it all now, of a tenant known only since … */
void rh_recall_learned(struct rh_call *c);
/* … knows whether the transaction ended, before the reply goes out … */
void rh_recall_done(struct rh_call *c, const struct rh_err *err);
/* … and sends what is to be remembered, and forgotten, behind it. */
void rh_recall_keep(struct rh_call *c, const struct rh_err *err);
/*
 * idempotent.c: a POST with an Idempotency-Key; without one all of these do
 * nothing. Its key and its body are read …
 */
RH_MUST_CHECK struct rh_err *rh_idempotent_read(struct rh_call *c);
/* … one transaction is begun, for what it does and what it is answered … */
void rh_idempotent_hold(struct rh_call *c);
/* … in which the key is claimed behind the authorization: all stops here if it is not new … */
void rh_idempotent_claim(struct rh_call *c);
/* … the reply is stored and all of it committed … */
void rh_idempotent_store(struct rh_call *c);
/* … or taken back; and what is said in its place: a replay, 409, 422, err itself. */
RH_MUST_CHECK struct rh_err *rh_idempotent_settle(struct rh_call *c,
    struct rh_err *err);
/* What has expired, now and then, by a worker that is idle. */
void rh_idempotent_purge(struct rh_server *s);
/* The same at another place, whenever it was time at home. */
void rh_idempotent_purge_at(struct rh_server *s);
/* account.c: what is in work, for whoever looks at the segment … */
void rh_account_begin(struct rh_call *c);
/* … whether the trace is kept, known before the reply goes out … */
bool rh_account_decide(struct rh_call *c, const struct rh_err *err);
/* … and one log line, one count, one duration, the spans, after it. */
void rh_account(struct rh_call *c, const struct rh_err *err, bool kept);

#endif
