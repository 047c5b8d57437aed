/*
 * duty_deliver - webhooks out, as duties.
 *
 * Shape    duty.c's rows; jobs/deliver.h has what they do
 * Owner    the worker: _open makes what they keep from step to step, _close
 *          waits a moment for receivers
 */
#ifndef RH_SERVE_DUTY_DELIVER_H
#define RH_SERVE_DUTY_DELIVER_H

#include "serve/duty.h"

void rh_duty_deliver_open(struct rh_server *s);
/* What is on its way goes on, what is due leaves; answers how many ended. */
unsigned rh_duty_deliver(struct rh_server *s, int64_t *again_ns);
/* Leases that are over; what is old is forgotten. */
unsigned rh_duty_deliver_tend(struct rh_server *s, int64_t *again_ns);
void rh_duty_deliver_close(struct rh_server *s);

#endif
