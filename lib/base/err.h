/*
 * err - why something failed, told once.
 *
 * Shape    NULL is success; anything else the full story
 * Owner    the arena it was made in, the request's as a rule
 *
 * Return an error or log it, never both. Texts say what happened, then the
 * facts, then a hint; code is public and stable ("project.name_taken"),
 * detail one sentence for the caller, cause and where for our log alone.
 */
#ifndef RH_BASE_ERR_H
#define RH_BASE_ERR_H

#include "base/arena.h"
#include "base/err_kinds.h"

enum rh_err_kind {
#define RH_ERR_KIND(name) RH_E_##name,
	RH_ERR_KINDS(RH_ERR_KIND)
#undef RH_ERR_KIND
	RH_E_COUNT
};

struct rh_err {
	enum rh_err_kind kind;
	const char *code;
	const char *detail;
	const char *field;	/* JSON pointer into the body, or NULL */
	const char *cause;	/* what lay beneath: a driver's message; or NULL */
	const char *where;	/* file:line */
	unsigned retry_after_s;	/* 0: no hint */
	bool transient;		/* nothing was done: the same again may succeed at once */
	struct rh_err *next;	/* further faults of the same body */
};

#define RH_ERR_LINE_(x)	#x
#define RH_ERR_LINE(x)	RH_ERR_LINE_(x)
/* rh_err_new(arena, RH_E_CONFLICT, "project.name_taken", "…", args) */
#define rh_err_new(arena, kind, code, ...)				\
	rh_err_make((arena), (kind), (code),				\
	    __FILE__ ":" RH_ERR_LINE(__LINE__), __VA_ARGS__)

struct rh_err *rh_err_make(struct rh_arena *arena, enum rh_err_kind kind,
    const char *code, const char *where, const char *fmt, ...)
    RH_PRINTF(5, 6) __attribute__((returns_nonnull));
/*
 * The request's deadline has passed: RH_E_TIMEOUT, "request.timeout". The text
 * is the cause: where the request stood, for our log alone.
 */
struct rh_err *rh_err_late(struct rh_arena *arena, const char *fmt, ...)
    RH_PRINTF(2, 3) __attribute__((returns_nonnull));
/* "CONFLICT" */
const char *rh_err_kind_name(enum rh_err_kind kind);

#endif
