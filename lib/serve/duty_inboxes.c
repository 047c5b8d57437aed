#include "config.h"

#include "serve/duty.h"

#include "jobs/out.h"

/* A look now and then, by each worker; more at once where there was enough. */
#define REST_NS (20000 * INT64_C(1000000))
enum { PURGE_MOST = 1000 };

struct rh_stmt rh_duty_inboxes_stmts[] = {
	{ .name = "inboxes.purge",
	    .global = "what has expired, and what is old, of all tenants",
	    .sql = "select inbox_purge($1, $2)" },
	{ 0 }
};

const struct rh_out_conf *
rh_duty_out(struct rh_server *s)
{
	struct rh_out_conf *out = RH_NEW(s->own, struct rh_out_conf);

	*out = (struct rh_out_conf){ &s->host->webhook_allow, 1 };
	return out;
}

/* What inboxes have recorded long ago, and those that have expired. */
unsigned
rh_duty_inboxes(struct rh_server *s, int64_t *again_ns)
{
	struct rh_pipe *p = rh_duty_begin(s);
	struct rh_err *err;
	int64_t gone;

	rh_pipe_send(p, &rh_duty_inboxes_stmts[0],
	    RH_INT(s->host->conf->inbox_keep_ms), RH_INT(PURGE_MOST));
	gone = rh_pipe_int(p);
	err = rh_pipe_error(p);
	rh_duty_end(s, "old requests of inboxes", err,
	    &s->kept->inboxes_failed);
	*again_ns = !err && gone > 0 ? 0 : REST_NS;
	return 0;
}
