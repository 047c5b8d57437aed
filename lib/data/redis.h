/*
 * redis - a worker's session to Redis, or to a cluster of it: what a request
 * asks leaves in one pipeline.
 *
 * Shape    send, send, run; the first read flushes all of it and awaits all
 *          answers, which then come in the order sent. In a cluster each
 *          command goes to the node of its key, at the same time
 * Units    _ms, _ns; deadlines of the monotonic clock
 * Errors   latched until rh_redis_begin: RH_E_UNAVAILABLE, "redis.timeout",
 *          "redis.connection", "redis.refused" (by the
 *          server: credentials, loading, no cluster) or "redis.away" (known
 *          from before, nothing was waited for). What the server says about
 *          one command is that command's answer, RH_REDIS_ERROR
 * Owner    the worker; never shared over a fork. Values live in the arena of
 *          rh_redis_begin
 * Source   hiredis 0.14 reads RESP2, redis*.c alone see it; Redis Cluster
 *          specification
 *
 * A breaker for each node: from the first timeout or lost connection on, all
 * fails at once; after retry_ms another connection is tried for, and no request
 * waits for that. A command that was not answered in time may still be
 * executed, also much later, by a server that was only frozen. One that did not
 * run (its script was unknown, its slot has moved) is sent once more, and only
 * that one: what stood behind it in the pipeline has run before it.
 */
#ifndef RH_DATA_REDIS_H
#define RH_DATA_REDIS_H

#include "base/err.h"
#include "obs/flight.h"
#include "obs/metric.h"
#include "obs/trace.h"

struct rh_redis;

struct rh_redis_conf {
	const char *url;	/* data/redis_url.h; NULL or "": none configured */
	int64_t connect_timeout_ms, timeout_ms;
	int64_t retry_ms;	/* how long the breaker is open at first; doubles to 16 times, with jitter */
	const char *client_name;	/* as CLIENT LIST shows it; NULL: none */
};

/* What the session tells as it goes; tally NULL: it counts nothing. */
struct rh_redis_obs {
	const struct rh_tally *tally;
	struct rh_family round_trips;	/* store: RH_REDIS_STORE */
	struct rh_family up;		/* dependency: RH_REDIS_DEPENDENCY */
	struct rh_flight *flight;	/* is told what it waits for; NULL: none */
	bool placed;			/* some tenants' alone: no dependency of all */
};
/* Their place in the dimensions of serve/series.c. */
enum { RH_REDIS_STORE = 1, RH_REDIS_DEPENDENCY = 1 };

/*
 * A Lua script. Every new connection loads all of them; a server that has lost
 * one since is sent its text, and only for those that it did not run.
 */
struct rh_script {
	const char *name;	/* "limit.take": of its span */
	const char *lua;
	char sha1[41];		/* by rh_scripts_register */
};
/* A table ended by { 0 }, before the fork. */
void rh_scripts_register(struct rh_script *scripts);

enum rh_redis_kind {
	RH_REDIS_NIL, RH_REDIS_INT, RH_REDIS_TEXT, RH_REDIS_ARRAY,
	RH_REDIS_ERROR
};
struct rh_redis_value {
	enum rh_redis_kind kind;
	int64_t number;
	struct rh_slice text;	/* bytes, a NUL behind them; of an error its message */
	const struct rh_redis_value *items;
	size_t n;
};

/* conf's texts and obs outlive it. Opens nothing yet. */
struct rh_redis *rh_redis_new(struct rh_arena *worker_arena,
    const struct rh_redis_conf *conf, const struct rh_redis_obs *obs);
/* Ends its connections; it may be used again. To be called before its arena ends. */
void rh_redis_close(struct rh_redis *r);
/*
 * Opens the connection, within connect_timeout_ms: before a worker accepts, so
 * that no request has to. False: the server is away, rh_redis_trouble says why.
 */
bool rh_redis_warm(struct rh_redis *r);
/*
 * Looks after it while there is no request, and waits for nothing: finds out
 * that the server has gone, tries again for one that had.
 */
void rh_redis_idle(struct rh_redis *r);
/* Why it is away, or "". */
const char *rh_redis_trouble(const struct rh_redis *r);

/* One request's use of it: values live in that arena, spans in that trace (NULL: none). */
void rh_redis_begin(struct rh_redis *r, struct rh_arena *arena,
    struct rh_trace *trace);
/* Mono; the shorter of it and timeout_ms holds. 0: none. rh_redis_end forgets it. */
void rh_redis_deadline(struct rh_redis *r, uint64_t deadline_ns);
/* What was queued and not read is discarded. Before the arena is reset. */
void rh_redis_end(struct rh_redis *r);
/*
 * Configured, and not known to be away: false means do without, at once. r may
 * be NULL. Of a cluster some node; rh_redis_usable_for asks about that key's.
 */
bool rh_redis_usable(struct rh_redis *r);
bool rh_redis_usable_for(struct rh_redis *r, struct rh_slice key);

/*
 * Queues; nothing leaves before the first read. key decides the node of a
 * cluster, by its {tag}; all keys of one command share a slot. key.p NULL: any
 * node. The arguments are copied.
 */
void rh_redis_send_args(struct rh_redis *r, struct rh_slice key,
    const struct rh_slice *argv, unsigned n);
/* rh_redis_send(r, key, RH_SLICE("SET"), key, value) */
#define rh_redis_send(r, key, ...)						\
	rh_redis_send_args((r), (key), (const struct rh_slice[]){ __VA_ARGS__ },\
	    sizeof((const struct rh_slice[]){ __VA_ARGS__ }) /			\
	    sizeof(struct rh_slice))
/* The first key decides the node. */
void rh_redis_run(struct rh_redis *r, const struct rh_script *script,
    const struct rh_slice *keys, unsigned nkeys,
    const struct rh_slice *args, unsigned nargs);
/*
 * The next answer, in the order sent. Never NULL: after an error it is
 * RH_REDIS_NIL, and rh_redis_error says why.
 */
const struct rh_redis_value *rh_redis_read(struct rh_redis *r);
/* Flushes what is queued, as a read does. NULL: all was answered. */
RH_MUST_CHECK struct rh_err *rh_redis_error(struct rh_redis *r);
/*
 * Sends what is queued since the last flush and does not wait for its answers:
 * they are read off before those of the next pipeline, and nobody sees them.
 * False: it could not be sent.
 */
bool rh_redis_post(struct rh_redis *r);

/*
 * Milliseconds of this host's wall clock since when the connection stands
 * without a gap: what was cached before it may have missed a drop.
 */
int64_t rh_redis_since_ms(const struct rh_redis *r);
/* Since begin; posts are not waited for and do not count. */
unsigned rh_redis_round_trips(const struct rh_redis *r);
uint64_t rh_redis_wait_ns(const struct rh_redis *r);

#endif
