/*
 * pool - a master and its workers over one listening socket and the
 * connections that web servers keep open.
 *
 * Shape    rh_pool_run() is the master's whole life; the hooks run in the
 *          workers. Knows neither HTTP nor PostgreSQL
 * Units    _ms milliseconds, deadlines in mono milliseconds
 * Errors   to the log; exit status 1 where the pool cannot start
 * Owner    the caller's spec outlives the pool. Before the fork there must be
 *          no thread; a worker's own are started by hooks.start
 *
 * A kept connection belongs to all workers at once: see README.md.
 */
#ifndef RH_SERVE_POOL_H
#define RH_SERVE_POOL_H

#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "obs/metric.h"
#include "serve/size.h"

struct rh_listen;
struct rh_log;
struct rh_segment;
struct rh_shipper_spec;
struct rh_will;

/* The segment's area that the pool needs, and its bytes. */
#define RH_POOL_AREA	"conns"
size_t rh_pool_area_bytes(unsigned max_connections);
/*
 * The slots that it needs: the master's, the workers', the shedder's, which is
 * there without queue_max, too, as a reload may set it.
 */
unsigned rh_pool_slots(unsigned nworkers);

enum rh_served {
	RH_SERVED_KEEP,		/* answered; the connection may carry another */
	RH_SERVED_CLOSE,	/* answered, or hostile: close it */
	RH_SERVED_NOT_YET,	/* part of a request is there; none was read */
	RH_SERVED_NOTHING,	/* nothing was there: another was faster */
	RH_SERVED_GONE,		/* the web server has closed it */
};

struct rh_pool_hooks {
	/*
	 * In the worker, before it accepts: opens the database, starts threads.
	 * SIGTERM stays blocked in whatever threads it starts. False: something
	 * is amiss, and its own log says what; the worker serves all the same,
	 * and idle may mend it.
	 */
	bool (*start)(void *ctx, unsigned slot);
	/*
	 * At most one request of the connection, which may well have none. Must
	 * not close fd. May block for its body and its answer.
	 */
	enum rh_served (*serve)(void *ctx, int fd);
	/* Nothing happened for idle_ms. NULL: none. */
	void (*idle)(void *ctx);
	/*
	 * In a pool that listens to nobody, in place of serve and idle: does
	 * what there is to do, adds to *done what counts as a request, answers
	 * how long it need not be called again.
	 */
	int64_t (*work)(void *ctx, uint64_t *done);
	/*
	 * There: what ends its rest as soon as something is received from it;
	 * datagrams, which are thrown away. -1: there is none.
	 */
	int (*called)(void *ctx);
	/* The worker's last act, to be done by then. NULL: none. */
	void (*stop)(void *ctx, int64_t deadline_ms);
};

/* Why a worker ended: dimension a of worker_restarts_total. */
enum rh_end {
	RH_END_EXIT, RH_END_SIGNAL, RH_END_KILLED, RH_END_REQUESTS,
	RH_END_RELOAD, RH_END_STUCK, RH_END_MEMORY, RH_ENDS
};
extern const char *const rh_end_names[RH_ENDS];	/* "exit", … */

/* The pools that share a segment, in its order: who they are, and what they do. */
enum rh_pool_kind { RH_POOL_FCGI, RH_POOL_JOBS, RH_POOLS };
extern const char *const rh_pool_names[RH_POOLS]; /* "fcgi", "jobs" */

/* Of a process that was nobody's child: neither an exit nor a signal's. */
#define RH_STATUS_UNSEEN	(-1)

struct rh_death {
	unsigned slot;
	pid_t pid;
	int status;		/* as waitpid gave it, or RH_STATUS_UNSEEN */
	enum rh_end end;
};

/* STATIC: nworkers. DYNAMIC: by size. ONDEMAND: none as long as none is needed. */
enum rh_pool_mode { RH_POOL_STATIC, RH_POOL_DYNAMIC, RH_POOL_ONDEMAND };

struct rh_pool_spec {
	const char *name;		/* "fcgi" */
	struct rh_listen
	    *listen; /* open, and the pool closes it; fd -1: hooks.work */
	unsigned nworkers;		/* slots 1 to n of the segment; the most */
	enum rh_pool_mode mode;
	struct rh_size size;		/* min and spares: of DYNAMIC alone */
	uint64_t max_requests;		/* then a worker is replaced; 0: never */
	uint64_t max_memory;		/* likewise: bytes of its own */
	/*
	 * Requests that may wait for a worker; 0: no bound. What is over it
	 * is given to a process of its own, the shedder: slot nworkers + 1,
	 * whose serve hook is to refuse, and at once.
	 */
	unsigned queue_max;
	unsigned max_connections;
	int64_t shutdown_grace_ms;
	int64_t header_timeout_ms;
	int64_t idle_ms;		/* 0: 1000 */
	int64_t timeout_ms;		/* of a request that does not say itself */
	int64_t timeout_grace_ms;	/* past it the worker is stuck; 0: not watched */
	int64_t slow_ms;		/* as most requests have it: how often to look */
	bool slow_backtrace;
	bool batch;			/* workers are SCHED_BATCH */
	struct rh_segment *segment;	/* rh_pool_slots(), RH_POOL_AREA */
	struct rh_log *log;		/* the master's, bound to slot 0 */
	const struct rh_tally *tally;	/* the master's */
	struct rh_family restarts;	/* worker_restarts_total; a: rh_end */
	struct rh_family queue_length;	/* listen_queue_length */
	int log_fd;			/* the log-writer's: 1, as a rule */
	struct rh_pool_hooks hooks;
	/* In the worker, for its log: out of descriptors, say. NULL: none. */
	void (*trouble)(void *ctx, const char *what, int error);
	/* Of slot 0's spans, by a child of the master's. NULL: they stay there. */
	const struct rh_shipper_spec *ship;
	/*
	 * In the master, for each worker that ended, before another one has its
	 * slot. NULL: none.
	 */
	void (*died)(void *ctx, const struct rh_death *death);
	/*
	 * In the master: reads the configuration again, changes what the next
	 * worker inherits, and in *spec the numbers that may change while the
	 * pool runs (size, queue_max, max_requests, max_memory, the _ms). False: all is as before, and its
	 * own log says why. NULL: a reload only replaces the workers.
	 */
	bool (*reload)(void *ctx, struct rh_pool_spec *spec);
	/* In the master, at least once a second; must not block. NULL: none. */
	void (*tick)(void *ctx);
	/* What SIGUSR2 makes of the master; NULL: nothing. */
	const char *program;
	char **argv;
	/*
	 * In the master, before it becomes that program, whose workers may have
	 * a segment of their own while ours live on in this one; false: it has
	 * not become it, or has this segment. NULL: none.
	 */
	void (*becoming)(void *ctx, bool yes);
	/* Of the program that it was before; NULL: it starts. */
	const struct rh_will *will;
	void *ctx;
};

/*
 * Until SIGTERM, SIGQUIT or SIGINT and the end of what they drain; answers the
 * exit status. Forks the log-writer (log_fd -1: none), then the workers, which
 * never return.
 */
int rh_pool_run(const struct rh_pool_spec *spec, struct rh_arena *arena);
/*
 * One worker in that slot of the segment and no master: SIGTERM ends it after
 * its request. Keeps no connection. Comes back only where it cannot begin.
 */
int rh_pool_alone(const struct rh_pool_spec *spec, unsigned slot);

/*
 * From the handler of a fatal signal, in a worker: the connections that this
 * process alone has, and whose requests are still to come, go on without it.
 * answered: so does the one in work, whose request has its whole reply.
 */
void rh_pool_bequeath(bool answered);

#endif
