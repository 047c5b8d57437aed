/*
 * conf_value - one directive's value: from text, to text, compared.
 *
 * Shape    functions over a row of a directive table and the struct it
 *          describes; inside lib/base only; conf.h, with rh_conf_value_get, is
 *          for everybody else
 * Errors   false, with the reason in the caller's buffer; a secret's text is
 *          never part of it
 * Owner    texts live in the arena that was passed in
 */
#ifndef RH_BASE_CONF_VALUE_H
#define RH_BASE_CONF_VALUE_H

#include "base/conf.h"

/*
 * ${VAR} and ${VAR:-default} as libconfuse has them: the default stands in
 * where VAR is not set; a VAR that is set but empty stays empty. Answers NULL
 * where a variable without a default is not set, and names it in *unset.
 */
const char *rh_conf_expand(const char *text, struct rh_arena *arena,
    struct rh_slice *unset);

/* As it would stand in the file; a secret as it is. */
void rh_conf_value_put(struct rh_buf *to, const struct rh_directive *d,
    const void *record);
bool rh_conf_value_is_same(const struct rh_directive *d, const void *a,
    const void *b);

/* The whole file; *why is "cannot be read: ..." or "is over ... KiB". */
RH_MUST_CHECK bool rh_conf_file_get(struct rh_slice *text, const char *path,
    size_t max, struct rh_arena *arena, struct rh_buf *why);

/* In double quotes, so that libconfuse reads back the same bytes. */
void rh_conf_quote(struct rh_buf *to, struct rh_slice text);

#endif
