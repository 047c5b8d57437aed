/*
 * attr - what the compiler can check for us, and the assertion that stays on.
 *
 * Shape    macros only
 * Errors   rh_assert ends the process: it is for our own mistakes, never for
 *          input, peers or the database
 */
#ifndef RH_BASE_ATTR_H
#define RH_BASE_ATTR_H

#include <stddef.h>

#define RH_MUST_CHECK		__attribute__((warn_unused_result))
#define RH_PRINTF(fmt, args)	__attribute__((format(printf, fmt, args)))
#define RH_NORETURN		__attribute__((noreturn))
#define RH_COLD			__attribute__((noinline, cold))
#define RH_LIKELY(x)		__builtin_expect(!!(x), 1)
#define RH_UNLIKELY(x)		__builtin_expect(!!(x), 0)
#define RH_COUNT(array)		(sizeof(array) / sizeof((array)[0]))
#define RH_MIN(a, b)		((a) < (b) ? (a) : (b))
#define RH_MAX(a, b)		((a) > (b) ? (a) : (b))

/* The one that failed, for whoever hears of the abort; what NULL: none did. */
struct rh_assertion {
	const char *what, *file;
	int line;
};
extern struct rh_assertion rh_assertion;

RH_NORETURN void rh_assert_failed(const char *what, const char *file, int line);
#define rh_assert(x) \
	(RH_LIKELY(x) ? (void)0 : rh_assert_failed(#x, __FILE__, __LINE__))

#endif
