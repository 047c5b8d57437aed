/* rowhouse-ctl - the operator's command line: one row per command. */
#include "config.h"

#include "ctl/conf.h"
#include "ctl/job.h"
#include "ctl/status.h"
#include "ctl/tenant.h"
#include "ctl/trace.h"
#include "ctl/webhook.h"

struct rh_serve_conf ctl_conf;

static const char *const ours[] = {
	"segment", "admin_database_url", "move_database_url",
	"connect_timeout", "statement_timeout", "redis_url",
	"redis_connect_timeout", "redis_timeout", "redis_retry",
	"cache_quarantine"
};
static struct rh_directive directives[RH_COUNT(ours) + 1];

/* clang-format off */
static const struct rh_command commands[] = {
	{ "job", "list|show|retry|cancel|pause|resume|limit|drain|cron [ID]", "what waits, runs and is over; tried again, cancelled, stopped, bounded, waited for", job_options, job_run },
	{ "status", NULL, "who does what: the pool, and each of its workers", status_options, status_run },
	{ "tenant", "limit|move SLUG [PLACEMENT]", "limit: what it may do, shown, and changed where something is given; move: to the database of a placement, or home", tenant_options, tenant_run },
	{ "trace", "REQUEST_ID|TRACE_ID", "one request: where its time went, and why its trace was kept or not", trace_options, trace_run },
	{ "webhook", "list|show|deliveries|pause|resume|replay [ID]", "endpoints that events are delivered to: which there are, what became of their deliveries; stop one, let it go on, deliver again", webhook_options, webhook_run },
	{ 0 }
};
/* clang-format on */

int
main(int argc, char **argv)
{
	const struct rh_conf_table tables[] = {
		{ directives, &ctl_conf, NULL },
		{ rh_placement_directives, ctl_conf.placements,
		    &rh_placement_section },
		{ 0 } };
	struct rh_program program = { .name = "rowhouse-ctl",
	    .summary = "Asks a Rowhouse pool, and tells it.",
	    .commands = commands, .tables = tables,
	    .unknown = RH_CONF_UNKNOWN_OK };

	rh_serve_conf_pick(directives, ours, RH_COUNT(ours));
	return rh_program_main(&program, argc, argv);
}
