#include "config.h"

#include "exporter/source.h"

#include <signal.h>

/* Of the one thread that reads: for its signal handler. */
static const struct rh_segment *volatile being_read;
static volatile sig_atomic_t cut_short;

static void
mend(int sig, siginfo_t *info, void *context)
{
	const struct rh_segment *segment = being_read;

	(void)context;
	if (info->si_code == BUS_ADRERR && segment &&
	    rh_segment_mend(segment, info->si_addr))
		cut_short = 1;
	else	/* it happens again at once, and ends us */
		signal(sig, SIG_DFL);
}

void
source_guard(void)
{
	struct sigaction act = { .sa_sigaction = mend, .sa_flags = SA_SIGINFO };

	sigemptyset(&act.sa_mask);
	sigaction(SIGBUS, &act, NULL);
}

const struct rh_segment *
source_get(struct source *source, struct rh_buf *why)
{
	being_read = NULL;
	if (source->segment && (cut_short ||
	    rh_segment_is_replaced(source->segment)))
		rh_segment_close(&source->segment);
	cut_short = 0;
	if (!source->segment &&
	    !rh_segment_open(&source->segment, source->path, why))
		return NULL;
	rh_segment_survey(source->segment);
	being_read = source->segment;
	return source->segment;
}

bool
source_is_whole(const struct source *source, struct rh_buf *why)
{
	if (!cut_short)
		return true;
	rh_buf_printf(why, "%s was cut short while it was read\n",
	    source->path);
	return false;
}
