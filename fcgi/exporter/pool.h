/*
 * pool - series that no worker counts: who is there, what was built, and what
 * the kernel says of the processes.
 *
 * Shape    workers{pool,state}, build_info{version,revision}, process_*{pool}
 *          by the names of Prometheus' client libraries
 * Units    seconds, bytes
 * Owner    one thread: it remembers the pool's CPU time, so that a worker which
 *          is reaped between two looks never turns the counter back
 */
#ifndef RH_EXPORTER_POOL_H
#define RH_EXPORTER_POOL_H

#include "obs/metric.h"
#include "obs/segment.h"

void pool_expose(struct rh_buf *to, const struct rh_segment *segment,
    enum rh_exposition format);

#endif
