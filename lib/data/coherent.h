/*
 * coherent - what was read from the database, kept in Redis, and never older
 * than the last write whose reply is out.
 *
 * Shape    entries belong to a group of a tenant; a write invalidates groups.
 *          {tenant}:g:GROUP        the generation, or "!" and who writes, until when
 *          {tenant}:e:GROUP:ENTRY  generation, as of when, until when, how long
 *                                  it took to make (ms), then the value
 *          {tenant}:l:GROUP:ENTRY  the lease: token, since when
 *          One script for each verb, or a MGET where a look is likely to hit,
 *          queued into the session's pipeline; its answer is read in its turn
 * Units    milliseconds, of Redis' clock where they stand in Redis: hosts
 *          compare ages, so their clocks need not agree
 * Errors   none: a cache that cannot answer is RH_CACHE_OFF, and the database
 *          is asked. A write whose tombstone could not be laid makes this host
 *          trust nothing that was cached before its end
 * Owner    the worker; groups and entries live as long as the request
 * Source   leases: Nishtala et al., Scaling Memcache at Facebook (2013); early
 *          refresh: Vattani, Chierichetti and Lowenstein, Optimal Probabilistic
 *          Cache Stampede Prevention (2015)
 *
 * A request: rh_coherent_begin; looks and tombs are queued; the pipeline's one
 * flush; their answers; the database; rh_coherent_done as soon as it is known
 * what became of the transaction; the reply; fills and drops; rh_coherent_post.
 * README.md says why this holds, and where it ends.
 */
#ifndef RH_DATA_COHERENT_H
#define RH_DATA_COHERENT_H

#include "base/id.h"
#include "data/redis.h"
#include "obs/metric.h"

#define RH_COHERENT_GROUP_MAX	63	/* bytes */
#define RH_COHERENT_ENTRY_MAX	95
#define RH_COHERENT_LOOKS	8	/* queued and not answered yet */
#define RH_COHERENT_TOMBS	8	/* in a request, and left by dead ones in a slot */
#define RH_COHERENT_TOKEN	16

struct rh_coherent;
struct rh_coherent_shared;

enum rh_cache_result {
	RH_CACHE_OFF,	/* no cache now: the database, and no fill */
	RH_CACHE_MISS,	/* not there; the lease is yours: the database, then fill */
	RH_CACHE_BUSY,	/* somebody writes, or fills: the database, and no fill */
	RH_CACHE_HIT,	/* with a lease: soon to end, and yours to refresh */
	RH_CACHE_RESULTS
};
/* "off", "miss", "busy", "hit": the label's values, in this order. */
extern const char *const rh_cache_results[RH_CACHE_RESULTS + 1];

struct rh_coherent_conf {
	struct rh_redis *redis;	/* NULL: all is RH_CACHE_OFF */
	struct rh_coherent_shared *shared;
	unsigned slots, slot;	/* places in it, and the worker's own */
	int64_t lease_ms;	/* no rebuild may take longer: the longest deadline */
	/* for what Redis has lost; all hosts have the same. 0: there is one host */
	int64_t quarantine_ms;
	int64_t away_ms;	/* until any worker has tried again for a Redis that was away */
};

/* As rh_pg_obs; tally NULL: it counts nothing. */
struct rh_coherent_obs {
	const struct rh_tally *tally;
	struct rh_family requests;	/* cache_requests_total: caches, rh_cache_results */
	const char *const *caches;	/* what stands before a group's ':'; ended by NULL, the first for all others */
};

/* The right, and the duty, to fill. Not held: all zeros. */
struct rh_lease {
	bool held;
	struct rh_uuid tenant;
	struct rh_slice group, entry;
	char token[RH_COHERENT_TOKEN], generation[RH_COHERENT_TOKEN];
};

struct rh_cached {
	enum rh_cache_result result;
	struct rh_slice value;	/* RH_CACHE_HIT: in the arena of rh_redis_begin */
	struct rh_lease lease;
};

struct rh_tomb {
	struct rh_uuid tenant;
	struct rh_slice group;
	char token[RH_COHERENT_TOKEN];
	int64_t life_ms;
	int64_t since_ms;	/* mono: before it left */
	uint64_t hash, word;	/* of the group; what was known of it */
	int place;		/* of its record; -1: none was free */
	bool is_sent, is_laid, is_dropped;
	bool is_cold;		/* Redis has nothing of the group */
};

/* An area of the segment, zeros at first: a place for each slot. */
size_t rh_coherent_shared_bytes(unsigned slots);
/*
 * Whether others are at work on what is Redis', of this host and of a segment of
 * their own: then every write asks Redis, also where there is one host.
 */
void rh_coherent_beside(struct rh_coherent_shared *shared, bool others);
/* They are, or were a moment ago: for so long nothing is cached. */
void rh_coherent_after(struct rh_coherent_shared *shared, int64_t ms);
/* Before the fork, once: the scripts. */
void rh_coherent_register(void);
struct rh_coherent *rh_coherent_new(struct rh_arena *worker_arena,
    const struct rh_coherent_conf *conf, const struct rh_coherent_obs *obs);
/*
 * When a worker starts: does the drops that the one before it in this slot was
 * killed before. Where nobody knows whether its transaction committed, the
 * tombstone ends by itself. Inside of rh_redis_begin and _end.
 */
void rh_coherent_inherit(struct rh_coherent *c);
/*
 * Now and then: does the drops that did not get away, for no request may come
 * that would. Inside of rh_redis_begin and _end.
 */
void rh_coherent_idle(struct rh_coherent *c);

/* After rh_redis_begin. */
void rh_coherent_begin(struct rh_coherent *c);
/* Queues. Its answer, in its turn: */
void rh_coherent_look(struct rh_coherent *c, struct rh_uuid tenant,
    struct rh_slice group, struct rh_slice entry);
void rh_coherent_answer(struct rh_coherent *c, struct rh_cached *to);

/*
 * Queues. life_ms: what is left of the request's deadline, and the server's
 * grace to end its statement: the tombstone must not end before the transaction.
 */
void rh_coherent_tomb(struct rh_coherent *c, struct rh_uuid tenant,
    struct rh_slice group, int64_t life_ms, struct rh_tomb *tomb);
/*
 * Reads its answer, in its turn and before the transaction begins. Where Redis
 * has nothing of the group there is nothing to keep off, and it is as good as
 * laid. False: Redis could not be told; then this host fills nothing of the group
 * while the write is at work, and trusts nothing that was cached before its end.
 * To be called for every tomb.
 */
bool rh_coherent_tomb_laid(struct rh_coherent *c, struct rh_tomb *tomb);
/*
 * The transaction is over, one way or the other: from here on a kill costs no
 * more than a successor's drop. Before the reply.
 */
void rh_coherent_done(struct rh_coherent *c, struct rh_tomb *tomb);
/*
 * Other hosts wait quarantine_ms for the writes whose tombstones Redis may have
 * lost. A write that took longer is dropped here, and that is waited for: a round
 * trip. After done and before the reply. False: Redis could not be told.
 */
bool rh_coherent_confirm(struct rh_coherent *c, struct rh_tomb *tombs,
    unsigned n);
/* Nobody knows how, or when: in place of done and drop. */
void rh_coherent_unsettled(struct rh_coherent *c, struct rh_tomb *tomb);

/*
 * Only where the transaction's end is known; else the tombstone is left to end
 * by itself. Goes with rh_coherent_post, and again where that was in vain.
 */
void rh_coherent_drop(struct rh_coherent *c, struct rh_tomb *tomb);
/* Goes with rh_coherent_post; the value is copied. A lease that is not held: nothing. */
void rh_coherent_fill(struct rh_coherent *c, const struct rh_lease *lease,
    struct rh_slice value, int64_t ttl_ms);
/* There is nothing to fill with after all: the next may try. */
void rh_coherent_forgo(struct rh_coherent *c, const struct rh_lease *lease);
/* Sends them and waits for nothing: after the reply, before rh_redis_end. */
void rh_coherent_post(struct rh_coherent *c);

#endif
