#include "config.h"

#include "serve/pool.h"

#include <signal.h>
#include <unistd.h>

#include "serve/heritage.h"
#include "serve/pass.h"

/*
 * A worker without a master: whoever started us decides when there is another
 * one. Nothing is kept over a request, for nobody could take it; the channel
 * is there because a worker looks at one.
 */
int
rh_pool_alone(const struct rh_pool_spec *spec, unsigned slot)
{
	static struct rh_share share;
	static struct rh_heritage heritage;
	int ends[2];

	if (!rh_pass_open(ends))
		return 1;
	atomic_store(&share.draining, 1);	/* there is no heir */
	heritage = (struct rh_heritage){ .spec = spec, .share = &share,
		.slot = slot, .channel = ends[1] };
	signal(SIGCHLD, SIG_DFL);
	rh_worker_run(&heritage);
}
