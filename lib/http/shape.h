/*
 * shape - JSON in and out by tables (base/field.h).
 *
 * Shape    out: members in table order, RH_F_INTERNAL left out, null where
 *          the value is none; in: a strict scan of our own (json_scan), then
 *          json-c, then the table
 * Errors   400 for what is not strict JSON (RFC 8259 and UTF-8, no duplicate
 *          keys, 256 members an object, depth 16, no U+0000); 422 with a
 *          pointer for each unknown member, missing member, wrong type,
 *          bound, a whole number past 2^53
 * Owner    the arena
 * Source   RFC 8259, RFC 7493 (I-JSON), RFC 6901 pointers, RFC 7396
 */
#ifndef RH_HTTP_SHAPE_H
#define RH_HTTP_SHAPE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/field.h"

/* Bit i is row i of the table. */
struct rh_given {
	uint64_t given;	/* the member was there */
	uint64_t null;	/* and was null */
};

void rh_shape_write(struct rh_buf *to, const struct rh_field *shape,
    const void *object);
/*
 * Members that are absent leave the struct as it is: the caller puts defaults
 * there first. merge: REQUIRED is not asked for, null is allowed where
 * NULLABLE. All faults, up to 32, hang on the error as one chain (err->next).
 */
RH_MUST_CHECK struct rh_err *rh_shape_read(struct rh_arena *arena,
    const struct rh_field *shape, struct rh_slice json, bool merge, void *object,
    struct rh_given *given);
static inline bool
rh_given_has(struct rh_given g, unsigned row)
{
	return g.given >> row & 1;
}

/*
 * The strict scan: NULL, or why not and where (byte offset). Depth and size
 * are bounded before anything is allocated.
 */
const char *rh_json_scan(struct rh_slice json, size_t *at);

#endif
