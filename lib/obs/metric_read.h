/*
 * metric_read - single series of a segment, for who shows them otherwise than
 * as an exposition: the pool's history, the exporter's page.
 *
 * Shape    a family is a number; its series are told by two indexes, its
 *          cells summed over the slots
 * Units    histograms: nanoseconds
 * Errors   of a segment that anyone may have made: a family that is not there
 *          is -1, a label that is not there RH_SLICE_NONE
 * Owner    labels live in the arena passed in
 */
#ifndef RH_OBS_METRIC_READ_H
#define RH_OBS_METRIC_READ_H

#include "obs/metric.h"
#include "obs/segment.h"

/* Cells of a series, of whatever kind; a histogram's are its buckets, then the sum. */
#define RH_METRIC_CELLS	(RH_BUCKETS + 2)

/* name as in series.c, without "rowhouse_". */
int rh_metric_find(const struct rh_segment *segment, const char *name);
/* How many values its two dimensions have; 1 where there is none. */
void rh_metric_size(const struct rh_segment *segment, int metric,
    unsigned *na, unsigned *nb);
/* False: no such series, or a gauge that nobody knows. */
RH_MUST_CHECK bool rh_metric_sum(const struct rh_segment *segment, int metric,
    unsigned a, unsigned b, uint64_t cells[RH_METRIC_CELLS]);
/*
 * A gauge of one dimension: how many of the workers of this view's pool that
 * serve know it, and in how many of them it is not zero.
 */
void rh_metric_workers(const struct rh_segment *segment, int metric,
    unsigned a, unsigned *workers, unsigned *nonzero);
/* All values of both dimensions together; 0 where there is no such family. */
uint64_t rh_metric_total(const struct rh_segment *segment, const char *name);
/*
 * The label key of a dimension's value i ('a' or 'b'), as it was before it was
 * escaped for the exposition.
 */
struct rh_slice rh_metric_label(const struct rh_segment *segment, int metric,
    char dimension, unsigned i, const char *key, struct rh_arena *arena);

/*
 * What a share q of a histogram's durations does not pass, as Prometheus'
 * histogram_quantile() has it: evenly spread within a bucket. 0: there are
 * none.
 */
uint64_t rh_quantile_ns(const uint64_t buckets[RH_BUCKETS + 1], double q);
/* The share of them that took less than ns; NAN: there are none. */
double rh_share_below(const uint64_t buckets[RH_BUCKETS + 1], uint64_t ns);

#endif
