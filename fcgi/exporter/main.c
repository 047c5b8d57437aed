/* rowhouse-exporter - the segment's metrics over HTTP. */
#include "config.h"

#include <signal.h>
#include <stdlib.h>

#include "base/program.h"
#include "exporter/server.h"
#include "serve/conf.h"

static struct rh_serve_conf conf;

/*
 * Of the directives that all programs share, those of use here: so it neither
 * asks for nor ever holds a secret.
 */
static const char *const ours[] = { "segment", "exporter_listen" };
static struct rh_directive directives[RH_COUNT(ours) + 1];

static void
pick_directives(void)
{
	struct rh_directive *to = directives;

	for (const struct rh_directive *d = rh_serve_directives; d->name; d++)
		for (size_t i = 0; i < RH_COUNT(ours); i++)
			if (strcmp(d->name, ours[i]) == 0)
				*to++ = *d;
	rh_assert(to == directives + RH_COUNT(ours));
}

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
	if (!(server = server_start(conf.exporter_listen, &source, self->arena,
	    &why)))
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
	const struct rh_conf_table tables[] = { { directives, &conf },
	    { NULL, NULL } };
	struct rh_program program = { .name = "rowhouse-exporter",
	    .summary = "Serves the metrics of a Rowhouse pool to Prometheus.",
	    .tables = tables, .unknown = RH_CONF_UNKNOWN_OK, .run = run };

	pick_directives();
	return rh_program_main(&program, argc, argv);
}
