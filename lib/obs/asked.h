/*
 * asked - a process says where it stands when SIGUSR1 asks, and goes on.
 *
 * Shape    a handler that records a moment of RH_MOMENT_SLOW; system calls are
 *          restarted where the kernel can, the rest have to bear EINTR
 * Owner    the process; other threads keep the signal blocked, so that the
 *          moment is the request's
 */
#ifndef RH_OBS_ASKED_H
#define RH_OBS_ASKED_H

#include <signal.h>

#include "obs/moment.h"

#define RH_SIGNAL_ASK	SIGUSR1

/* After rh_crash_arm, whose stack it runs on. False: there is no handler. */
RH_MUST_CHECK bool rh_asked_arm(struct rh_moment *moment);

#endif
