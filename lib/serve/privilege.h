/*
 * privilege - root no longer, once the socket is open.
 *
 * Shape    one call; no-op where neither user nor group is named
 * Errors   false and a sentence in *why: unknown names, or the system's reason
 * Owner    the process, for good: supplementary groups go as well
 */
#ifndef RH_SERVE_PRIVILEGE_H
#define RH_SERVE_PRIVILEGE_H

#include "base/buf.h"

/* group empty: the user's own. Not root: only what is so already passes. */
RH_MUST_CHECK bool rh_privilege_drop(struct rh_slice user,
    struct rh_slice group, struct rh_buf *why);
/* "name" or "123" to the number. */
RH_MUST_CHECK bool rh_privilege_uid(struct rh_slice name, unsigned *uid,
    struct rh_buf *why);
RH_MUST_CHECK bool rh_privilege_gid(struct rh_slice name, unsigned *gid,
    struct rh_buf *why);

#endif
