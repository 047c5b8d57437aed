/*
 * postmortem - what is told of a worker that died, and of the request it died
 * in: one log line, the counts, the SERVER span, each once.
 *
 * Shape    a hook of serve/pool.h, in the master: before anyone else has the
 *          slot, and after its journal was settled
 * Errors   none; a record that makes no sense tells less
 */
#ifndef RH_SERVE_POSTMORTEM_H
#define RH_SERVE_POSTMORTEM_H

#include "serve/pool.h"

/* server: the master's. */
void rh_postmortem(void *server, const struct rh_death *death);

#endif
