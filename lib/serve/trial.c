#include "config.h"

#include "serve/trial.h"

#include <unistd.h>

#include "base/clock.h"
#include "serve/server.h"
#include "serve/will.h"

#define STOP_MS	1000

/* Under a name of its own, and without one as soon as it is open. */
static bool
segment_open(struct rh_host *h, struct rh_arena *arena, struct rh_buf *why)
{
	char *path = rh_arena_printf(arena, "%s.trial.%ld",
	    (const char *)h->conf->segment.p, (long)getpid());
	bool open;

	h->trial = h->conf->segment.p;
	open = rh_host_segment(h, path, NULL, NULL, why);

	unlink(path);
	return open;
}

static int
try_worker(const struct rh_program *program, struct rh_host *h,
    const struct rh_pool_hooks *hooks)
{
	struct rh_server *server = RH_NEW(program->arena, struct rh_server);
	int status = 0;

	server->host = h;
	if (!hooks->start(server, 1))
		status = rh_program_fail(program, "PostgreSQL is away: %s",
		    rh_pg_trouble(server->pg));
	hooks->stop(server, (int64_t)(rh_clock_mono_ns() / 1000000) + STOP_MS);
	return status;
}

int
rh_trial_run(const struct rh_program *program, struct rh_host *h,
    const struct rh_pool_hooks *hooks, unsigned version)
{
	struct rh_buf why;
	int status;

	if (version != RH_WILL_VERSION)
		return rh_program_fail(program, "the workers there are would not"
		    " understand this program (%u, %u): it takes a restart",
		    version, RH_WILL_VERSION);
	rh_buf_init(&why, program->arena, 256, 4096);
	if (!segment_open(h, program->arena, &why))
		return rh_program_fail(program, "%.*s",
		    RH_SLICE_ARG(rh_buf_get(&why)));
	status = try_worker(program, h, hooks);
	rh_segment_close(&h->segment);
	return status;
}
