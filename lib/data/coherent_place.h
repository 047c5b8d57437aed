/*
 * coherent_place - which writers of this host are at work on which groups, and
 * who rebuilds which entries, where Redis may lose it: between coherent.c and
 * coherent_place.c.
 *
 * Shape    a place for each slot, RH_COHERENT_TOMBS records in it. laid: its
 *          transaction may yet commit. done: it has ended, and the drop is not
 *          known to have arrived
 * Units    _ms of the monotonic clock, which all processes of a host share
 * Owner    the slot's process writes, all read; a successor finds what the one
 *          before it left
 */
#ifndef RH_DATA_COHERENT_PLACE_H
#define RH_DATA_COHERENT_PLACE_H

#include <stdatomic.h>

#include "data/coherent.h"
#include "data/coherent_cold.h"
#include "data/coherent_glance.h"

struct rh_coherent_record {
	_Atomic uint64_t hash;		/* of tenant and group */
	_Atomic int64_t until_ms;
	struct rh_uuid tenant;
	char token[RH_COHERENT_TOKEN];
	uint8_t group_n;
	char group[RH_COHERENT_GROUP_MAX];
};

struct rh_coherent_rebuild {
	_Atomic uint64_t hash;		/* of tenant, group and entry */
	_Atomic int64_t until_ms;
};

struct rh_coherent_place {
	_Atomic uint32_t laid, done;	/* bit i: record i */
	_Atomic uint32_t blind;		/* of the laid: Redis has no tombstone */
	_Atomic uint32_t cold;		/* of the laid: nor had it anything of the group */
	_Atomic uint32_t rebuilds;	/* how many of these there are */
	struct rh_coherent_rebuild rebuild[RH_COHERENT_LOOKS];
	struct rh_coherent_record records[RH_COHERENT_TOMBS];
};

struct rh_coherent_shared {
	_Atomic int64_t not_before_ms;	/* what was read before is not trusted */
	struct rh_glance_hints hints;
	struct rh_cold cold;
	struct rh_coherent_place places[];
};

int64_t rh_coherent_now_ms(void);
uint64_t rh_coherent_hash(struct rh_uuid tenant, struct rh_slice group);
/* A record for the tomb; -1: all are taken. Before the tomb is sent. */
int rh_coherent_place_take(struct rh_coherent_place *p,
    const struct rh_tomb *tomb);
/* Laid no more: done. */
void rh_coherent_place_done(struct rh_coherent_place *p, int record);
void rh_coherent_place_free(struct rh_coherent_place *p, int record);
/* Redis knows nothing of this write. */
void rh_coherent_place_blind(struct rh_coherent_place *p, int record);
bool rh_coherent_place_is_blind(const struct rh_coherent_place *p, int record);
/* Redis had nothing to keep off. */
void rh_coherent_place_cold(struct rh_coherent_place *p, int record, bool is);
/* What a dead one left half done: its transaction may yet commit. */
void rh_coherent_place_tidy(struct rh_coherent_place *p,
    struct rh_coherent_shared *shared);
/* Whether any process of this host may yet commit to the group. */
bool rh_coherent_is_written(const struct rh_coherent_shared *shared,
    unsigned slots, struct rh_uuid tenant, struct rh_slice group);
/*
 * Says that we rebuild the entry. False: another of this host does, and we say
 * nothing. Of two at once one sees the other, or both do.
 */
bool rh_coherent_rebuild_begin(struct rh_coherent_shared *shared,
    unsigned slots, unsigned slot, const struct rh_lease *lease,
    int64_t lease_ms);
/* All of them. */
void rh_coherent_rebuild_end(struct rh_coherent_place *p);
/* Nothing that was cached before then is trusted on this host. */
void rh_coherent_distrust(struct rh_coherent_shared *shared, int64_t until_ms);

#endif
