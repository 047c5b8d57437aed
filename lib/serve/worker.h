/*
 * worker - one process that answers, one request at a time. For worker_*.c.
 *
 * Shape    an epoll of its own with three kinds of connections in it: the
 *          listening socket, fresh ones (accepted here, known to nobody else)
 *          and seats (kept, known to all)
 * Units    deadlines in mono milliseconds
 * Owner    the process; epoll_wait takes one event at a time, since what a
 *          busy worker has taken and not looked at, no other would be told of
 */
#ifndef RH_SERVE_WORKER_H
#define RH_SERVE_WORKER_H

#include "obs/segment.h"
#include "serve/heritage.h"
#include "serve/queue.h"

#define RH_FRESH_MAX	256
#define RH_PRIVATE_MAX	(RH_FRESH_MAX / 2)	/* of them, kept ones */

/*
 * HEIR: its connections are another worker's from then on. SPARE: likewise, but
 * nobody is started for them, so what it was woken for it serves first.
 */
enum rh_leaving {
	RH_STAYS, RH_LEAVES_TO_HEIR, RH_LEAVES_SPARE, RH_LEAVES_LAST
};

/* A connection of this worker's alone. */
struct rh_fresh {
	int fd;			/* -1: none */
	uint64_t deadline_ms;	/* 0: it is kept, and waits for a seat */
	uint64_t used;		/* worker.requests when it was last answered */
};

/* Looks of the shedder that found a seat waiting, without a gap. */
struct rh_since {
	uint64_t first, seen;
};

struct rh_worker {
	struct rh_heritage *h;
	struct rh_slot *record;
	int epfd, signals;
	int calls;		/* of hooks.called; -1: none */
	enum rh_leaving leaving;
	int status;		/* to leave with */
	bool listening;
	bool shedding;		/* more is to be turned away */
	int statm;		/* of rh_memory_open */
	/* the shedder's */
	struct rh_queue queue;
	struct rh_since *since;	/* by seat */
	uint64_t looks;
	unsigned underway;	/* to the master, and not back as a seat yet */
	uint64_t requests;
	int serving;		/* the connection in work; -1: none */
	struct rh_seat *seat;	/* its seat; NULL: it is fresh */
	struct rh_fresh fresh[RH_FRESH_MAX];
	uint16_t free_fresh[RH_FRESH_MAX];
	unsigned nfree;
	unsigned nkept;		/* fresh ones that wait for a seat */
	bool looking;		/* the one in work is fresh, and not kept */
	uint64_t next_deadline_ms;	/* no fresh one's is earlier */
	uint64_t tended_ms;	/* when the idle hook ran last */
	int64_t rest_ms;	/* how long the work hook need not be called */
};

uint64_t rh_worker_now_ms(void);
/* Runs the hook and counts; the caller disposes of fd. seat NULL: it has none. */
enum rh_served rh_worker_serve(struct rh_worker *w, int fd,
    struct rh_seat *seat);
void rh_worker_trouble(struct rh_worker *w, const char *what);

/* worker_fresh.c */
void rh_fresh_init(struct rh_worker *w);
unsigned rh_fresh_count(const struct rh_worker *w);
void rh_fresh_accept(struct rh_worker *w);
/* Accepts for another worker; false: there is none, or no room for it. */
bool rh_fresh_pass_on(struct rh_worker *w);
void rh_fresh_look(struct rh_worker *w, unsigned i);
/*
 * In a dying worker: all but the one in work go to the master, for not a byte
 * of them is taken. answered: that one as well; -1: it was not.
 */
void rh_fresh_bequeath(struct rh_worker *w, int answered);
/* Whether seats have run out: what is kept from now on stays here. */
bool rh_fresh_is_full(const struct rh_worker *w);
/* Ends what is overdue; gives the master what it had no room for. */
void rh_fresh_tend(struct rh_worker *w);
/* Told to leave: none may take longer than this. */
void rh_fresh_hurry(struct rh_worker *w, uint64_t left_ms);
/* While the request in work takes long: all but its own go to the master. */
void rh_fresh_spare(struct rh_worker *w);
/* On the way out, with a successor: all that are left go to the master. */
void rh_fresh_hand_over(struct rh_worker *w);
/* On the way out, without one: what is idle is ended. */
void rh_fresh_part(struct rh_worker *w);

/* worker_seats.c */
void rh_seats_inherit(struct rh_worker *w);
/* Takes what the master has sent. False: the master is gone. */
RH_MUST_CHECK bool rh_seats_receive(struct rh_worker *w);
void rh_seats_look(struct rh_worker *w, unsigned seat);

/* worker_shed.c */
void rh_shed_init(struct rh_worker *w);
/* Turns away what is over queue_max; true: perhaps not all of it. */
bool rh_shed(struct rh_worker *w);

#endif
