/*
 * debug - routes that crash, sleep and stall on purpose, for tests and for
 * trying out how operators would see it.
 *
 * Shape    debug.c and debug_jobs.c have them, none.c has none; the build chooses
 *          (--enable-debug-routes), and release builds choose none.c
 */
#ifndef DEBUG_DEBUG_H
#define DEBUG_DEBUG_H

#include "serve/app.h"

extern const struct rh_resource debug_resource, debug_jobs_resource;

#endif
