/*
 * trial - a program tries itself before a master becomes it: as much of a start
 * as disturbs nobody.
 *
 * Shape    one call, in place of serving: a segment of its own, one worker's
 *          start, its end
 * Errors   exit status 1 and a sentence on stderr: what a start would say; that
 *          PostgreSQL is away; that the workers there are would not understand
 *          this program
 * Owner    nothing of it is left
 */
#ifndef RH_SERVE_TRIAL_H
#define RH_SERVE_TRIAL_H

#include "serve/host.h"

/* hooks: start and stop of the worker that is tried. */
int rh_trial_run(const struct rh_program *program, struct rh_host *host,
    const struct rh_pool_hooks *hooks, unsigned version);

#endif
