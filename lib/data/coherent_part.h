/*
 * coherent_part - what the files of the coherent cache share: coherent.c looks
 * and fills, coherent_write.c lays tombstones and drops, coherent_keys.c names.
 *
 * Owner    the worker's struct; keys and numbers live on their caller's stack
 */
#ifndef RH_DATA_COHERENT_PART_H
#define RH_DATA_COHERENT_PART_H

#include "data/coherent_place.h"

#define RH_COHERENT_KEY_MAX \
	(RH_UUID_LEN + RH_COHERENT_GROUP_MAX + RH_COHERENT_ENTRY_MAX + 6)
#define RH_COHERENT_NUMBER_MAX 21

/* A look on its way. */
struct rh_coherent_asked {
	struct rh_uuid tenant;
	struct rh_slice group, entry;
	char token[RH_COHERENT_TOKEN];
	int64_t since_ms; /* of the connection, as it was judged by */
	int64_t trusted_ms;
	uint64_t mark;
	bool is_sent, is_glance, asks_time;
	enum rh_cache_result otherwise; /* where it is not */
};

struct rh_coherent {
	struct rh_coherent_conf conf;
	struct rh_coherent_obs obs;
	struct rh_coherent_place *place; /* our own */
	struct rh_coherent_asked asked[RH_COHERENT_LOOKS];
	unsigned nasked, nanswered;
	struct rh_lease forgone[RH_COHERENT_LOOKS];
	unsigned nforgone;
	uint32_t posted;	 /* records whose drop has left */
	int64_t posted_since_ms; /* by the connection of that time */
	bool is_queued;
	int64_t glance_ms;	 /* Redis' time, of the last look that asked */
	int64_t first_since_ms; /* the connection it began with */
};

/* Of one command. */
struct rh_coherent_keys {
	struct rh_slice key[3];
	unsigned n;
	char text[3 * RH_COHERENT_KEY_MAX];
	size_t used;
};

/* {tenant}:g:group, or with an entry {tenant}:e:group:entry */
void rh_coherent_key(struct rh_coherent_keys *k, char kind,
    struct rh_uuid tenant, struct rh_slice group, const struct rh_slice *entry);
struct rh_slice rh_coherent_number(char to[RH_COHERENT_NUMBER_MAX],
    int64_t value);
struct rh_slice rh_coherent_token(const char token[RH_COHERENT_TOKEN]);
void rh_coherent_token_make(char to[RH_COHERENT_TOKEN]);

/* ttl_ms 0: gives the lease back. */
void rh_coherent_fill_send(struct rh_coherent *c, const struct rh_lease *lease,
    struct rh_slice value, int64_t ttl_ms);
/* A later answer on the same connection: what was posted before it was done. */
void rh_coherent_posts_arrived(struct rh_coherent *c, struct rh_uuid tenant);

#endif
