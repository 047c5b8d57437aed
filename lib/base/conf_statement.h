/*
 * conf_statement - a configuration file's statements, as they stand there, by
 * libconfuse; what they mean is conf.c's.
 *
 * Shape    a list of name and value with the line, and of the faults that were
 *          found on the way; inside lib/base only
 * Errors   faults, all of them: a broken statement is one, and reading goes on
 *          behind it
 * Owner    all is in the reading's arena
 */
#ifndef RH_BASE_CONF_STATEMENT_H
#define RH_BASE_CONF_STATEMENT_H

#include "base/conf.h"

struct cfg_opt_t;

struct rh_conf_statement {
	const char *title;	/* of its section; NULL: it stands in none */
	const char *name;
	const char *value;
	unsigned line;
	struct rh_conf_statement *next;
};

struct rh_conf_fault {
	unsigned line;		/* 0: of no line */
	const char *text;
	struct rh_conf_fault *next;
};

struct rh_conf_reading {
	const char *path;
	const struct rh_conf_table *tables;
	struct rh_arena *arena;
	char *text;
	struct cfg_opt_t *opts;	/* ended by CFG_END */
	size_t n_opts;
	struct rh_conf_statement *first, **last;
	struct rh_conf_fault *faults;
	const struct rh_conf_table *section;	/* NULL: there is none */
	const char **titles;
	unsigned n_titles;
	/* where libconfuse stopped, and the lines of the statements before */
	char message[256];
	unsigned line, good, good_before;
};

void rh_conf_fault_add(struct rh_conf_reading *r, unsigned line,
    const char *text);
/* From r->path to r->first and r->titles. False: there is no text to judge. */
RH_MUST_CHECK bool rh_conf_statements_read(struct rh_conf_reading *r);
/*
 * Answers the variable that a value needs and has not got, or NULL. In single
 * quotes "${name}" is text; there the mark is taken out again.
 */
const char *rh_conf_unset_find(struct rh_conf_reading *r, char *value);

#endif
