#include "config.h"

#include "data/pg_session.h"

#include <stdatomic.h>
#include <time.h>

#include <libpq-fe.h>

#include "obs/thread.h"

/*
 * PQcancel opens a connection of its own and waits until the server has closed
 * it, for as long as that takes: two minutes where packets get lost. So a
 * thread does it, and is left alone where the answer does not come in time.
 */

#define STACK_BYTES	((size_t)256 << 10)
#define THREADS_MAX	4	/* that a worker may have left alone */

static _Atomic int threads;

static void *
run(void *arg)
{
	char why[256];

	PQcancel(arg, why, sizeof(why));
	PQfreeCancel(arg);
	atomic_fetch_sub(&threads, 1);
	return NULL;
}

bool
rh_pg_cancel_begin(struct rh_pg *pg)
{
	PGcancel *what;

	if (atomic_load(&threads) >= THREADS_MAX ||
	    !(what = PQgetCancel(pg->conn)))
		return false;
	atomic_fetch_add(&threads, 1);
	pg->cancelling = rh_thread_start(&pg->canceller, STACK_BYTES, run, what);
	if (!pg->cancelling) {
		atomic_fetch_sub(&threads, 1);
		PQfreeCancel(what);
	}
	return pg->cancelling;
}

bool
rh_pg_cancel_end(struct rh_pg *pg, uint64_t until_ns)
{
	const struct timespec until = { (time_t)(until_ns / 1000000000),
		(long)(until_ns % 1000000000) };

	if (pg->cancelling && pthread_clockjoin_np(pg->canceller, NULL,
	    CLOCK_MONOTONIC, &until) == 0)
		pg->cancelling = false;
	return !pg->cancelling;
}

void
rh_pg_cancel_abandon(struct rh_pg *pg)
{
	if (pg->cancelling)
		pthread_detach(pg->canceller);
	pg->cancelling = false;
}
