/*
 * memory - how much a process has for itself.
 *
 * Shape    resident pages that no file and no shared memory stands behind, by
 *          /proc/self/statm: a few µs; the proportional share (smaps_rollup)
 *          walks the page tables. What is still shared with
 *          the master since the fork counts in full
 * Errors   0 where there is no /proc
 * Owner    the process that opened it
 */
#ifndef RH_SERVE_MEMORY_H
#define RH_SERVE_MEMORY_H

#include <stdint.h>

/* A descriptor for rh_memory_bytes; -1: not to be had. */
int rh_memory_open(void);
uint64_t rh_memory_bytes(int statm);

#endif
