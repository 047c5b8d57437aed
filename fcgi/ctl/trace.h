/*
 * trace - rowhouse-ctl trace: what the segment remembers of one request.
 *
 * Shape    the same as the exporter's page has, as a waterfall for a terminal
 *          or as its JSON
 * Errors   exit 1 with a reason: no segment, an id that is not remembered
 * Owner    the arena's
 */
#ifndef RH_CTL_TRACE_H
#define RH_CTL_TRACE_H

#include "base/program.h"
#include "exporter/request_read.h"

struct trace_look {
	unsigned columns;
	bool colours;
};

/* trace_text.c */
void trace_put_text(struct rh_buf *to, const struct request *r,
    const struct trace_look *look, struct rh_arena *arena);

extern const struct rh_option trace_options[];
int trace_run(struct rh_program *self, int argc, char **argv);

#endif
