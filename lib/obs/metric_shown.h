/*
 * metric_shown - one series on its way out, in whichever format.
 *
 * Shape    metric_expose.c walks the segment and writes both text formats,
 *          metric_protobuf.c writes the third
 * Owner    of the exposition alone: nobody else includes it
 */
#ifndef RH_OBS_METRIC_SHOWN_H
#define RH_OBS_METRIC_SHOWN_H

#include "obs/metric.h"
#include "obs/segment_file.h"

struct rh_shown {
	const struct rh_segment *segment;
	const struct rh_seg_family *family;
	const struct rh_seg_family *native;	/* of a histogram; NULL: none */
	struct rh_buf *to;
	enum rh_exposition format;
	struct rh_slice name;
	uint32_t a, b;
	uint64_t cells[RH_BUCKETS + 2];	/* summed over the slots */
	bool unknown;	/* a gauge that somebody could not tell */
};

/* For each series that has something to say, its cells summed. */
void rh_shown_each(struct rh_shown *s, void (*put)(const struct rh_shown *));
/* False: there is nothing to say. */
bool rh_shown_sum(struct rh_shown *s);
/* name="value",… as it stands between braces. False: there is none. */
bool rh_shown_labels(const struct rh_shown *s);
/* The newest of the slots'. False: none, or its value is not of that bucket. */
bool rh_shown_exemplar(const struct rh_shown *s, unsigned bucket,
    struct rh_exemplar *newest);

/* metric_protobuf.c: the whole family as one message behind its length. */
void rh_shown_protobuf(struct rh_shown *s);
/* The native buckets of family i, if the next is that and fits to it. */
const struct rh_seg_family *rh_shown_native(const struct rh_seg_head *head,
    unsigned i);

#endif
