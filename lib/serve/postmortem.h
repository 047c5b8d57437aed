/*
 * postmortem - what is told of a worker that died, and of the request it died
 * in: one log line, the counts, the SERVER span, each once.
 *
 * Shape    a hook of serve/pool.h, in the master: before anyone else has the
 *          slot, and after its journal was settled. What it tells is in the
 *          teller's slot
 * Errors   none; a record that makes no sense tells less
 */
#ifndef RH_SERVE_POSTMORTEM_H
#define RH_SERVE_POSTMORTEM_H

#include "serve/pool.h"

struct rh_server;

/* server: the master's, or of a process that has none. */
void rh_postmortem(void *server, const struct rh_death *death);
/* postmortem_spans.c: its part of what is in that slot's ring of spans. */
void rh_postmortem_spans(struct rh_server *s, unsigned slot);

/*
 * unburied.c: those whose end nobody saw. At a master's start: who died with the
 * one before. left: in a process that had no master, of whom it has its slot; 0:
 * nobody's …
 */
void rh_unburied_tell(struct rh_server *s);
void rh_unburied_left(struct rh_server *s, pid_t left);
/* … and now and then those of the others that are gone. */
void rh_unburied_look(struct rh_server *s);

#endif
