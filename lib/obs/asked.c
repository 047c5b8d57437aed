#include "config.h"

#include "obs/asked.h"

#include <errno.h>
#include <stddef.h>

static struct rh_moment *armed;

static void
on_ask(int sig, siginfo_t *info, void *context)
{
	int saved = errno;

	(void)sig;
	rh_moment_begin(armed, RH_MOMENT_SLOW, info, context);
	rh_moment_walk(armed, context);
	errno = saved;
}

bool
rh_asked_arm(struct rh_moment *moment)
{
	struct sigaction action = { .sa_sigaction = on_ask,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };

	armed = moment;
	sigemptyset(&action.sa_mask);
	rh_moment_prepare();
	return sigaction(RH_SIGNAL_ASK, &action, NULL) == 0;
}
