/*
 * past_legs - a trace put in order, by who did what; for past*.c alone.
 *
 * Shape    spans that came together as a record are a leg, and so is a request
 *          of which no span is left
 * Owner    the arena's
 */
#ifndef RH_OBS_PAST_LEGS_H
#define RH_OBS_PAST_LEGS_H

#include "obs/past.h"

/*
 * spans: of found's records, .leg being the record's number; slots: of found's
 * requests. Sets found's spans and legs.
 */
void rh_past_legs(struct rh_past_found *found, struct rh_past_span *spans,
    const unsigned *slots, struct rh_arena *arena);

/* Whatever a clock says. */
static inline uint64_t
rh_past_span_ns(const struct rh_past_span *span)
{
	return span->fixed.end_ns > span->fixed.start_ns ?
	    span->fixed.end_ns - span->fixed.start_ns : 0;
}

#endif
