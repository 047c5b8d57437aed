/*
 * cbor - values as bytes, the same bytes for the same value: what a cache
 * keeps and what other languages read (RFC 8949).
 *
 * Shape    a tree of rh_cbor, or a struct by its table (base/field.h): a map
 *          by the members' names; UUIDs as 16 bytes, times as microseconds,
 *          enums by name, null where the value is none. RH_F_INTERNAL members
 *          are in it: it is the row, not its JSON
 * Units    RH_CBOR_BYTES_MAX bytes, RH_CBOR_DEPTH_MAX arrays, maps and tags
 *          inside each other, RH_CBOR_ELEMENTS_MAX items of arrays and pairs of
 *          maps in all
 * Errors   reading: RH_E_MALFORMED, "cbor.malformed" for what is not
 *          well-formed, indefinite lengths, keys that come twice, bytes behind
 *          the value, text that is not UTF-8, simple values nobody assigned,
 *          more than the limits; "cbor.shape" for another map than the table's.
 *          Longer forms of a number and maps in any order are read
 * Owner    texts point into the bytes that were read, the rest is the arena's
 * Source   RFC 8949; written as section 4.2.1 has it (core deterministic
 *          encoding). libcbor's streaming decoder is in cbor.c alone
 */
#ifndef RH_DATA_CBOR_H
#define RH_DATA_CBOR_H

#include "base/buf.h"
#include "base/err.h"
#include "base/field.h"

#define RH_CBOR_BYTES_MAX	((size_t)1 << 20)
#define RH_CBOR_DEPTH_MAX	16
#define RH_CBOR_ELEMENTS_MAX	10000

/* In the order of their encodings. */
enum rh_cbor_kind {
	RH_CBOR_UINT,
	RH_CBOR_NINT,		/* -1 - number */
	RH_CBOR_BYTES,
	RH_CBOR_TEXT,
	RH_CBOR_ARRAY,		/* n items */
	RH_CBOR_MAP,		/* n pairs: items are key, value, key, value … */
	RH_CBOR_TAG,		/* number, and one item */
	RH_CBOR_BOOL,		/* number is 0 or 1 */
	RH_CBOR_NULL,
	RH_CBOR_UNDEFINED,
	RH_CBOR_FLOAT,
};

struct rh_cbor {
	enum rh_cbor_kind kind;
	union {
		uint64_t number;
		double real;
	};
	union {
		struct rh_slice text;	/* RH_CBOR_TEXT, RH_CBOR_BYTES */
		struct {
			struct rh_cbor *items;
			size_t n;
		};
	};
};

RH_MUST_CHECK struct rh_err *rh_cbor_read(struct rh_arena *arena,
    struct rh_slice bytes, struct rh_cbor *value);
/*
 * Sorts the maps in place. NULL, or why not: the limits, a key twice, text that
 * is not UTF-8, no room.
 */
RH_MUST_CHECK const char *rh_cbor_write(struct rh_buf *to,
    struct rh_cbor *value);

/* An int64_t, whichever kind it is; false: no whole number, or too large. */
bool rh_cbor_int(const struct rh_cbor *value, int64_t *to);
/* A map's value under a key of text, or NULL. */
const struct rh_cbor *rh_cbor_find(const struct rh_cbor *map,
    struct rh_slice key);
/*
 * The order of their encodings (section 4.2.1), below, at or above 0; maps
 * inside have to be sorted, as those that were read are.
 */
int rh_cbor_compare(const struct rh_cbor *a, const struct rh_cbor *b);

/* False: no room, or text that is not UTF-8; what is in the buffer is of no use. */
RH_MUST_CHECK bool rh_cbor_put(struct rh_buf *to, const struct rh_field *shape,
    const void *object);
/*
 * All members have to be there, and no other: what another version wrote is
 * not this struct. Bounds (min, max) are not asked for.
 */
RH_MUST_CHECK struct rh_err *rh_cbor_get(struct rh_arena *arena,
    const struct rh_field *shape, struct rh_slice bytes, void *object);

#endif
