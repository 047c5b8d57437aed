/*
 * crash - what a process still does on a fatal signal: it says where it stood,
 * has its last word, and dies of the signal all the same.
 *
 * Shape    handlers of SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT on a stack
 *          of their own, so that an overflow of the process's finds room; a
 *          failed rh_assert comes this way, with its text
 * Errors   a second fault, in the handler, ends the process at once; what was
 *          recorded until then stays
 * Owner    the process, from rh_crash_arm to its end. AddressSanitizer has
 *          handlers for some of these: ours take their place, and its other
 *          reports stay
 *
 * Threads begun later have the handlers, and their own stack to run them on.
 */
#ifndef RH_OBS_CRASH_H
#define RH_OBS_CRASH_H

#include "obs/moment.h"

struct rh_crash_spec {
	struct rh_moment *moment;	/* NULL: none is recorded */
	/*
	 * In the handler, between the moment's beginning and its frames; what
	 * it calls has to be async-signal-safe. NULL: none.
	 */
	void (*last)(void *ctx);
	void *ctx;
};

/* After the fork, once. False: no memory for the stack, or no handler. */
RH_MUST_CHECK bool rh_crash_arm(const struct rh_crash_spec *spec);
/* For whoever blocks signals: these must not be, or the handlers never run. */
void rh_crash_unblock(sigset_t *set);

#endif
