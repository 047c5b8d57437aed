/*
 * tests/sql/statements.c - every statement that the API registers, a JSON
 * object a line: name, global (null where $1 is the tenant), sql, resource.
 */
#include "config.h"

#include <stdio.h>

#include "api/resources.h"
#include "base/buf.h"
#include "data/limiter.h"
#include "jobs/crons.h"
#include "jobs/deliver.h"
#include "jobs/relay.h"
#include "jobs/runner.h"
#include "serve/duty.h"
#include "serve/place.h"
#include "tenancy/authorize.h"
#include "tenancy/idempotency.h"

enum { LINE_MAX_BYTES = 65536 };

static void
member(struct rh_buf *b, const char *name, const char *value)
{
	rh_buf_char(b, b->n ? ',' : '{');
	rh_buf_json(b, rh_slice_of(name));
	rh_buf_char(b, ':');
	if (value)
		rh_buf_json(b, rh_slice_of(value));
	else
		rh_buf_lit(b, "null");
}

static void
show(const char *resource, const struct rh_stmt *stmts)
{
	static char line[LINE_MAX_BYTES];
	struct rh_buf b;

	for (const struct rh_stmt *s = stmts; s && s->name; s++) {
		rh_buf_init_fixed(&b, line, sizeof(line));
		member(&b, "name", s->name);
		member(&b, "global", s->global);
		member(&b, "sql", s->sql);
		member(&b, "resource", resource);
		rh_buf_lit(&b, "}\n");
		rh_assert(!b.full);
		fwrite(b.p, 1, b.n, stdout);
	}
}

int
main(void)
{
	show("authorize", rh_authorize_stmts);
	show("limiter", rh_limiter_stmts);
	show("idempotency", rh_idempotency_stmts);
	show("place", rh_place_stmts);
	show("relay", rh_relay_stmts);
	show("jobs", rh_job_stmts);
	show("jobs", rh_runner_stmts);
	show("crons", rh_cron_stmts);
	show("deliveries", rh_deliver_stmts);
	show("inboxes", rh_duty_inboxes_stmts);
	for (const struct rh_resource *const *r = api_resources; *r; r++)
		show((*r)->name, (*r)->stmts);
	return 0;
}
