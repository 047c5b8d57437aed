/*
 * cache_part - what cache.c, cache_manager.c and lock.c share; nobody else includes it.
 */
#ifndef RH_DATA_CACHE_PART_H
#define RH_DATA_CACHE_PART_H

#include "data/cache.h"

struct rh_cache_given;

struct rh_cache {
	struct rh_arena *arena;
	struct rh_cache_conf conf;
	bool is_closed;
	struct rh_cache_given *given;	/* of cache_manager.c */
};

/* One call, from its checks to its answer. */
struct rh_cache_call {
	struct rh_cache *cache;
	const char *operation;
	char kind;			/* {tenant}:kind:key; 0: no key */
	char other;			/* of a script's second key; 0: it has none */
	struct rh_slice key;
	const struct rh_script *script;	/* NULL: the command in words */
	struct rh_slice words[4];	/* a command's: what follows its key */
	const char *verb;
	unsigned nwords;
	int64_t ttl_ms;			/* checked where has_ttl */
	bool has_ttl;
	const struct rh_redis_value *answer;
};

/* NULL: .answer is there, and is no error. */
RH_MUST_CHECK struct rh_err *rh_cache_ask(struct rh_cache_call *call);
/* An error of that call. */
struct rh_err *rh_cache_fail(const struct rh_cache_call *call,
    enum rh_err_kind kind, const char *code, const char *detail,
    const char *cause);
/* Decimal, in the request's arena. */
struct rh_slice rh_cache_number(struct rh_cache *c, int64_t value);

#endif
