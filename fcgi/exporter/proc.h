/*
 * proc - what the kernel says of a process.
 *
 * Units    seconds since 1970 or of a CPU, bytes, counts
 * Errors   false: there is no such process, or not within our sight; files is
 *          -1 where its list is not for us to read
 * Source   proc(5)
 */
#ifndef RH_EXPORTER_PROC_H
#define RH_EXPORTER_PROC_H

#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"
#include "base/slice.h"

struct proc {
	double cpu_s;		/* its own */
	double children_cpu_s;	/* of those it has waited for */
	double start_s;
	double resident_bytes, virtual_bytes;
	int64_t files, files_max;
};

RH_MUST_CHECK bool proc_read(struct proc *to, pid_t pid);

#endif
