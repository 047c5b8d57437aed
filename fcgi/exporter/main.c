/* rowhouse-exporter - the segment's metrics, and the operator's page. */
#include "config.h"

#include <signal.h>
#include <stdlib.h>

#include "base/program.h"
#include "exporter/server.h"
#include "serve/conf.h"

static struct rh_serve_conf conf;

static const char *const ours[] = { "segment", "exporter_listen",
	"exporter_token" };
static struct rh_directive directives[RH_COUNT(ours) + 1];

static int
run(struct rh_program *self, int argc, char **argv)
{
	struct source source = { .path = conf.segment.p };
	struct server *server;
	struct rh_buf why;
	sigset_t ends;
	int sig;

	(void)argc;
	(void)argv;
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	/* before the server's thread is made, which inherits it */
	sigprocmask(SIG_BLOCK, &ends, NULL);
	signal(SIGPIPE, SIG_IGN);
	source_guard();
	rh_buf_init(&why, self->arena, 256, 4096);
	if (!(server = server_start(conf.exporter_listen,
	    conf.exporter_token, &source, self->arena, &why)))
		return rh_program_fail(self, "%.*s",
		    RH_SLICE_ARG(rh_buf_get(&why)));
	sigwait(&ends, &sig);
	server_stop(&server);
	rh_segment_close(&source.segment);
	return EXIT_SUCCESS;
}

int
main(int argc, char **argv)
{
	const struct rh_conf_table tables[] = { { directives, &conf, NULL },
	    { rh_no_directives, NULL, &rh_placement_section }, { 0 } };
	struct rh_program program = { .name = "rowhouse-exporter",
	    .summary = "Shows a Rowhouse pool to Prometheus, and to its operator.",
	    .tables = tables, .unknown = RH_CONF_UNKNOWN_OK, .run = run };

	rh_serve_conf_pick(directives, ours, RH_COUNT(ours));
	return rh_program_main(&program, argc, argv);
}
