/*
 * cursor - where a page ended, signed so that nobody makes one up.
 *
 * Shape    base64url of { created_at, id, their SipHash } with a context:
 *          tenant, route and filters, so that a cursor of one list is not
 *          taken by another
 * Errors   RH_E_MALFORMED 400 "cursor" where it is not ours
 * Owner    plain values; the text lives in the arena
 */
#ifndef RH_HTTP_CURSOR_H
#define RH_HTTP_CURSOR_H

#include "base/clock.h"
#include "base/err.h"
#include "base/id.h"

#define RH_CURSOR_LEN	43	/* RH_BASE64URL_LEN(8 + 16 + 8) */

struct rh_cursor {
	int64_t at;	/* RH_TIME_INFINITY: from the start */
	struct rh_uuid id;
};

/* Once, before the first fork. */
void rh_cursor_key(struct rh_slice secret);
struct rh_slice rh_cursor_put(struct rh_arena *arena, struct rh_cursor c,
    uint64_t context);
/* p == NULL (no cursor) is the start. */
RH_MUST_CHECK struct rh_err *rh_cursor_get(struct rh_arena *arena,
    struct rh_slice text, uint64_t context, struct rh_cursor *c);

#endif
