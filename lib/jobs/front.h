/*
 * front - how far the workers of a host are in a lane, all together.
 *
 * Shape    words in memory that they share: 16 bits of a lane's hash, 48 of a seq.
 *          A lane has one word, and loses it to another that comes to the same
 * Units    seq, as the database draws it
 * Errors   none: it is where to begin, and what it leads past a look finds
 * Owner    the segment
 *
 * Each that goes on behind its own last one passes by what the others took since,
 * tries the lock of each that is not yet committed, and where one was committed a
 * moment ago locks it and so its worker out, until its own commit. So each
 * takes a part of what is to come, as if a lane's seqs had no gaps.
 */
#ifndef RH_JOBS_FRONT_H
#define RH_JOBS_FRONT_H

#include <stdatomic.h>
#include <stdint.h>

enum { RH_FRONTS = 256 };

struct rh_fronts {
	_Atomic uint64_t at[RH_FRONTS];
};

/*
 * Where to begin for n of the lane: where the others end, but behind above. Who
 * is far behind them was led there by a look, to what they left: he goes on there.
 */
int64_t rh_front_take(struct rh_fronts *f, uint64_t lane, int64_t above,
    int64_t n, int64_t far);
/* So far somebody is: others need not go back. */
void rh_front_raise(struct rh_fronts *f, uint64_t lane, int64_t seq);
/* There was less than was taken: each goes on from where it is. */
void rh_front_forget(struct rh_fronts *f, uint64_t lane);

#endif
