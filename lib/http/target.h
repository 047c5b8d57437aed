/*
 * target - request targets taken apart (RFC 3986), as text only.
 *
 * Shape    functions over slices; inside lib/http
 * Errors   false: not a target, a bad escape, not UTF-8, U+0000
 * Owner    what decoding changes goes to the arena; the rest is borrowed
 */
#ifndef RH_HTTP_TARGET_H
#define RH_HTTP_TARGET_H

#include "base/arena.h"

/*
 * Origin-form and absolute-form into path and query, neither decoded;
 * query->p == NULL where there is no "?". Refuses controls, spaces, bytes past
 * ASCII, "#", escapes that are none or %00.
 */
RH_MUST_CHECK bool rh_target_split(struct rh_slice target,
    struct rh_slice *path, struct rh_slice *query);

/* In place where nothing is escaped. plus: "+" is a space. */
RH_MUST_CHECK bool rh_percent_decode(struct rh_slice *text,
    struct rh_arena *arena, bool plus);

#endif
