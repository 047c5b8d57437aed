#include "config.h"

#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"

static const char *const kind_names[] = {
#define RH_ERR_KIND(name) [RH_E_##name] = #name,
	RH_ERR_KINDS(RH_ERR_KIND)
#undef RH_ERR_KIND
};

struct rh_err *
rh_err_make(struct rh_arena *arena, enum rh_err_kind kind, const char *code,
    const char *where, const char *fmt, ...)
{
	struct rh_err *err = RH_NEW(arena, struct rh_err);
	struct rh_buf text;
	va_list ap;

	err->kind = kind;
	err->code = code;
	err->where = where;
	rh_buf_init(&text, arena, 128, 4096);
	va_start(ap, fmt);
	rh_buf_vprintf(&text, fmt, ap);
	va_end(ap);
	rh_buf_char(&text, '\0');
	err->detail = text.full ? fmt : text.p;
	return err;
}

struct rh_err *
rh_err_late(struct rh_arena *arena, const char *fmt, ...)
{
	struct rh_err *err = rh_err_new(arena, RH_E_TIMEOUT, "request.timeout",
	    "The request took longer than it may, and was given up.");
	struct rh_buf text;
	va_list ap;

	rh_buf_init(&text, arena, 128, 1024);
	va_start(ap, fmt);
	rh_buf_vprintf(&text, fmt, ap);
	va_end(ap);
	rh_buf_char(&text, '\0');
	err->cause = text.full ? fmt : text.p;
	return err;
}

const char *
rh_err_kind_name(enum rh_err_kind kind)
{
	return kind_names[kind];
}

struct rh_assertion rh_assertion;

void
rh_assert_failed(const char *what, const char *file, int line)
{
	rh_assertion = (struct rh_assertion){ what, file, line };
	fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, what);
	abort();
}
