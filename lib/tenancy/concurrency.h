/*
 * concurrency - how many workers are inside requests of one tenant, and no
 * more than that.
 *
 * Shape    a word a slot in the segment, written by that slot's worker alone:
 *          whose request it is in. Entering counts the others' words
 * Errors   none; among workers that enter in the same moment one may be
 *          refused that could have been let in, and never the other way round
 * Owner    the segment's area "concurrency". What a killed worker left counts
 *          for nothing: only the words of busy slots do
 */
#ifndef RH_TENANCY_CONCURRENCY_H
#define RH_TENANCY_CONCURRENCY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rh_concurrency;	/* in shared memory, zeros at first */
struct rh_segment;

size_t rh_concurrency_bytes(unsigned slots);
/*
 * tenant: 64 bits of a hash. False: most of them are inside already. A worker
 * that was let in leaves before it enters again.
 */
bool rh_concurrency_enter(struct rh_concurrency *c,
    const struct rh_segment *segment, unsigned slot, uint64_t tenant,
    unsigned most);
void rh_concurrency_leave(struct rh_concurrency *c, unsigned slot);

#endif
