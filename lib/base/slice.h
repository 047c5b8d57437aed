/*
 * slice - a string that knows its length and owns nothing.
 *
 * Shape    { p, n }; p == NULL is "no value" (SQL NULL, absent header), which
 *          is not the same as an empty string
 * Units    n bytes, no terminating NUL promised
 * Owner    whoever owns the memory p points into: the request arena, as a rule
 */
#ifndef RH_BASE_SLICE_H
#define RH_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct rh_slice {
	const char *p;
	size_t n;
};

/* A string literal as a slice, in an initializer and in an expression. */
#define RH_SLICE_INIT(literal)	{ "" literal, sizeof(literal) - 1 }
#define RH_SLICE(literal)	((struct rh_slice)RH_SLICE_INIT(literal))
#define RH_SLICE_NONE		((struct rh_slice){ NULL, 0 })
/* For "%.*s". */
#define RH_SLICE_ARG(s)		(int)(s).n, (s).p ? (s).p : ""

static inline struct rh_slice
rh_slice_of(const char *text)
{
	return (struct rh_slice){ text, text ? strlen(text) : 0 };
}

static inline bool
rh_slice_is(struct rh_slice s, struct rh_slice other)
{
	return s.n == other.n && (s.n == 0 || memcmp(s.p, other.p, s.n) == 0);
}

static inline bool
rh_slice_has_prefix(struct rh_slice s, struct rh_slice prefix)
{
	return s.n >= prefix.n && memcmp(s.p, prefix.p, prefix.n) == 0;
}

static inline struct rh_slice
rh_slice_from(struct rh_slice s, size_t start)
{
	return (struct rh_slice){ s.p + start, s.n - start };
}

/* ASCII letters compare without case, as header values and media types do. */
bool rh_slice_is_nocase(struct rh_slice s, struct rh_slice other);
/* Without spaces and tabs at both ends (RFC 9110 section 5.6.3, OWS). */
struct rh_slice rh_slice_trim(struct rh_slice s);
/*
 * Cuts *rest at the first sep: answers what stands before it and leaves in
 * *rest what stands after it, p == NULL once nothing is left.
 */
struct rh_slice rh_slice_cut(struct rh_slice *rest, char sep);

#endif
