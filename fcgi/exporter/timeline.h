/*
 * timeline - one axis for a whole trace: from its first moment to its last, long
 * times in which nothing of it happened folded, so that a request of 5 ms is
 * still seen beside the job that began an hour later.
 *
 * Shape    places from 0 to 1; within a fold, and between two, they are linear
 * Errors   whatever clocks say, a place is within 0 and 1
 */
#ifndef RH_EXPORTER_TIMELINE_H
#define RH_EXPORTER_TIMELINE_H

#include "obs/past.h"

#define TIMELINE_FOLDS_MAX	32

struct timeline {
	uint64_t start_ns, end_ns;
	unsigned nfolds;
	struct timeline_fold {
		uint64_t from_ns, to_ns;
		double at, width;
	} folds[TIMELINE_FOLDS_MAX];
	double per_ns;		/* where nothing is folded */
};

void timeline_of(struct timeline *t, const struct rh_past_found *found);
double timeline_place(const struct timeline *t, uint64_t ns);
/* How long after the start that place is. */
uint64_t timeline_since(const struct timeline *t, double place);

#endif
