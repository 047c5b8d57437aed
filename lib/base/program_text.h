/*
 * program_text - what a program says of itself, out of its tables; for
 * program.c alone.
 *
 * Shape    usage: for a person; describe: the OPTIONS and COMMANDS of its
 *          manual page (mdoc), completions for bash and zsh
 * Errors   false: no such description
 */
#ifndef RH_BASE_PROGRAM_TEXT_H
#define RH_BASE_PROGRAM_TEXT_H

#include "base/buf.h"
#include "base/program.h"

#define RH_PROGRAM_CONF	RH_SYSCONFDIR "/rowhouse/rowhouse.conf"

/* What all programs take; ended by { 0 }. */
extern const struct rh_option rh_program_options[];

void rh_program_usage(struct rh_buf *to, const struct rh_program *program);
RH_MUST_CHECK bool rh_program_describe(struct rh_buf *to,
    const struct rh_program *program, const char *what);

#endif
