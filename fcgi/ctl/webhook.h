/*
 * webhook - rowhouse-ctl webhook: endpoints of any tenant, and what became of
 * their deliveries, in the database.
 *
 * Shape    a statement says what is printed of a row, for a person and as JSON;
 *          list, show and deliveries read; pause, resume and replay change, and
 *          leave the event that the API's route would
 * Errors   1, with a reason on stderr: no such endpoint, no database
 */
#ifndef RH_CTL_WEBHOOK_H
#define RH_CTL_WEBHOOK_H

#include "base/program.h"

extern const struct rh_option webhook_options[];
int webhook_run(struct rh_program *self, int argc, char **argv);

#endif
