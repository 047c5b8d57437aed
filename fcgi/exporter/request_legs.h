/*
 * request_legs - who did what in a trace, in words.
 *
 * Owner    the arena's; names of pools are the segment's
 */
#ifndef RH_EXPORTER_REQUEST_LEGS_H
#define RH_EXPORTER_REQUEST_LEGS_H

#include "exporter/request_read.h"

const struct request_leg *request_legs(const struct rh_past_found *found,
    const struct rh_segment *segment, struct rh_arena *arena);

#endif
