#include "config.h"

#include "obs/thread.h"

#include <signal.h>

#include "obs/crash.h"

bool
rh_thread_start(pthread_t *thread, size_t stack_bytes, void *(*run)(void *arg),
    void *arg)
{
	pthread_attr_t attr;
	sigset_t all, before;
	bool started;

	sigfillset(&all);
	rh_crash_unblock(&all);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, stack_bytes);
	/* so from the thread's first instruction on */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	started = pthread_create(thread, &attr, run, arg) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return started;
}
