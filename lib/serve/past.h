/*
 * past - the master's part of what the pool remembers: it samples the counts.
 *
 * Shape    one look a second, for the gauges; a sample where one is due
 * Units    as obs/history.h
 * Owner    the master: the area has one writer
 */
#ifndef RH_SERVE_PAST_H
#define RH_SERVE_PAST_H

#include "serve/host.h"

/* The bytes of the segment's area. */
size_t rh_past_bytes(const struct rh_host *host);

struct rh_past_keeper;
struct rh_past_keeper *rh_past_open(const struct rh_host *host,
    struct rh_arena *arena);
/* As often as one likes; a pool's tick. */
void rh_past_look(struct rh_past_keeper *keeper);

#endif
