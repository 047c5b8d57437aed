/*
 * thread - one beside the request's: the shipper, and whoever may wait without
 * a bound.
 *
 * Shape    pthread_create, with the signals of the process left to its first
 *          thread, but for the fatal ones: those come to whom they concern
 *          (obs/crash.h), and blocked they would end the process unheard
 * Units    bytes of stack
 * Owner    the caller joins or detaches it
 */
#ifndef RH_OBS_THREAD_H
#define RH_OBS_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"

RH_MUST_CHECK bool rh_thread_start(pthread_t *thread, size_t stack_bytes,
    void *(*run)(void *arg), void *arg);

#endif
