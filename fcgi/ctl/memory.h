/*
 * memory - what a process takes of the machine's memory.
 *
 * Units    bytes; -1: not for us to know
 * Source   proc(5): statm is open to all, smaps_rollup to the same user and
 *          to root
 */
#ifndef RH_CTL_MEMORY_H
#define RH_CTL_MEMORY_H

#include <stdint.h>
#include <sys/types.h>

struct memory {
	int64_t resident;	/* shared pages count in full */
	int64_t proportional;	/* shared pages count by their share (PSS) */
};

struct memory memory_of(pid_t pid);

#endif
