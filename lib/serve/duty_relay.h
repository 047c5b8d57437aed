/*
 * duty_relay - the outbox' relay and its feed's days, as duties.
 *
 * Shape    duty.c's rows; jobs/relay.h has what they do
 * Errors   told in the log, once until it works again
 * Owner    the worker: _open makes what both keep from step to step, by place;
 *          outbox_pending and outbox_lag are of all places together
 */
#ifndef RH_SERVE_DUTY_RELAY_H
#define RH_SERVE_DUTY_RELAY_H

#include "serve/duty.h"

void rh_duty_relay_open(struct rh_server *s);
/* What happened, from the outbox into the feed; answers how many events. */
unsigned rh_duty_relay(struct rh_server *s, int64_t *again_ns);
/* The days to come are made, those that are over dropped. */
unsigned rh_duty_days(struct rh_server *s, int64_t *again_ns);

#endif
