/*
 * master - the process that has the socket, the workers and a copy of every
 * kept connection, and never touches a request. For master_*.c.
 *
 * Shape    one epoll: signals, a channel to each worker, the kept connections
 *          (for their end only)
 * Units    times in mono milliseconds
 * Owner    the process; it must never block, since workers wait for it when
 *          they are replaced
 */
#ifndef RH_SERVE_MASTER_H
#define RH_SERVE_MASTER_H

#include "obs/log.h"
#include "obs/segment.h"
#include "serve/heritage.h"
#include "serve/notify.h"
#include "serve/queue.h"

/* Past max_connections: for what workers hand over when they leave. */
#define RH_SEATS_SPARE	1024

/* What was done about a worker's request in flight. */
struct rh_watch {
	uint64_t start_ns;	/* which request that was */
	uint64_t asked_ns;	/* when it was asked where it stands; 0: it was not */
	bool told;		/* that it is slow */
};

/* A worker's place; its index is its slot less one. */
struct rh_child {
	pid_t pid;		/* 0: none now */
	int channel;
	bool wants_room;	/* the channel was full */
	uint64_t *unsent;	/* a bit for each seat it was not told of */
	unsigned nunsent;
	uint64_t started_ms;
	uint64_t idle_since_ms, requests;	/* as the last look found it */
	bool old;		/* of before a reload: to be replaced */
	uint64_t told_ms;	/* when it was told to leave; 0: it was not */
	struct rh_watch watch;
	uint64_t stuck_ms;	/* since when it is ended as stuck; 0: it is not */
	uint64_t due_ms;	/* of its next start: writer and shedder alone */
	unsigned early;		/* the writer's ends in a row soon after the start */
};

/* A child that tries the program which the master is to become. */
struct rh_trial {
	pid_t pid;		/* 0: none */
	int said;		/* its stderr */
	uint64_t due_ms;
};

struct rh_estate;
struct rh_will;

struct rh_master {
	struct rh_heritage h;
	const struct rh_pool_spec *spec;	/* &own */
	struct rh_pool_spec own;	/* the caller's, as reloads changed it */
	int epfd, signals;
	struct rh_child *children;	/* the workers, and the shedder's place */
	unsigned nplaces;
	unsigned nchildren;	/* how many run */
	uint32_t *free_seats;
	unsigned nfree;
	struct rh_child writer;	/* of the log */
	struct rh_child ship;	/* of spans */
	uint64_t stop_ms;	/* when the rest is killed; 0: not stopping */
	bool rolling;		/* workers are being replaced */
	struct rh_notify notify;
	struct rh_trial trial;
	struct { uint64_t since_ms; unsigned lines, untold; } slow;
	bool asking;		/* a worker is to say where it stands */
	struct rh_estate *estate;	/* of before an upgrade; NULL: none */
	/* master_size.c */
	struct rh_size size;
	struct rh_size_seen *seen;
	struct rh_backoff backoff;
	struct rh_pace pace;
	struct rh_queue queue;
	unsigned missing;	/* at the last look, and could not be started */
	bool answered;		/* a worker of this back-off's step has */
	bool watching;		/* no worker is there: it waits for the first */
	bool called;		/* … which has come */
	uint64_t look_ms;	/* of the next look */
	uint64_t shed_ms;	/* when the shedder was needed last */
};

/* How soon it is seen that a new worker accepts, while that matters. */
#define RH_LOOK_MS	5

uint64_t rh_master_now_ms(void);

/* master_reap.c */
/* False: errno says why. */
RH_MUST_CHECK bool rh_master_spawn(struct rh_master *m, unsigned i);
void rh_master_writer_due(struct rh_master *m);
/* How long until something is due, at most limit_ms. */
int rh_master_patience_ms(const struct rh_master *m, int limit_ms);
void rh_master_reap(struct rh_master *m);
void rh_master_signal_all(struct rh_master *m, int sig);

/* master_watch.c: tells of slow requests, ends stuck workers; once a tick, and while asking */
void rh_master_watch(struct rh_master *m);

/* master_roll.c */
void rh_master_reload(struct rh_master *m);
/* All workers of now are replaced, a few at a time. */
void rh_master_roll_begin(struct rh_master *m);
/* As far as it can go now; for each turn of the loop. */
void rh_master_roll(struct rh_master *m);
/* How many serve nobody new: they leave, start, or failed to start. */
unsigned rh_master_away(const struct rh_master *m);

/* master_notify.c: to the service manager */
/* Ready once all workers accept; alive, as the watchdog wants to hear. */
void rh_master_notify(struct rh_master *m);
void rh_master_notify_reload(struct rh_master *m);
void rh_master_notify_stop(struct rh_master *m);
/* How long until rh_master_notify has something to look at. */
uint64_t rh_master_notify_wait_ms(const struct rh_master *m, uint64_t now_ms);

/* master_upgrade.c */
void rh_master_upgrade(struct rh_master *m);
/* The trial has ended; may not come back. */
void rh_master_upgrade_tried(struct rh_master *m, int status);
/* One that does not end is killed. */
void rh_master_upgrade_late(struct rh_master *m);
/* Takes over what the program before left, and replaces its workers. */
void rh_master_succeed(struct rh_master *m, const struct rh_will *will,
    struct rh_arena *arena);

/* master_estate.c: workers of before in a segment of before */
void rh_master_estate_open(struct rh_master *m, const struct rh_will *will,
    struct rh_arena *arena);
/* As far as it can go now; for each turn of the loop. */
void rh_master_estate(struct rh_master *m);
/* index: less the number of our own. */
void rh_master_estate_woke(struct rh_master *m, enum rh_woke kind,
    unsigned index);
void rh_master_estate_reap(struct rh_master *m, pid_t pid, int status);
void rh_master_estate_signal(const struct rh_master *m, int sig);
unsigned rh_master_estate_count(const struct rh_master *m);
void rh_master_estate_drain(struct rh_master *m);
/* In a new worker. */
void rh_master_estate_forget(struct rh_master *m);

/* master_size.c */
void rh_master_size_init(struct rh_master *m, struct rh_arena *arena);
/* What a reload may have changed. */
void rh_master_size_tune(struct rh_master *m);
/* No worker is started, or one alone: those before it ended early. */
bool rh_master_is_held(const struct rh_master *m);
/* Looks at the slots, where it is time to; starts and ends workers. */
void rh_master_size(struct rh_master *m);
/* Somebody wants to be served, and no worker is there. */
void rh_master_called(struct rh_master *m);
void rh_master_size_ended(struct rh_master *m, unsigned i, int status);
/* There are too many of them. */
void rh_master_retire(struct rh_child *c);
/* It left because it was told to, or for what it has served. */
bool rh_master_is_planned(int status);
/* … or because there were too many. */
bool rh_master_is_spare(int status);

/* master_shed.c */
void rh_master_shed(struct rh_master *m, unsigned unserved, bool grows,
    uint64_t now_ms);
/* It is not to go on as it is. */
void rh_master_shed_end(struct rh_master *m);

/* master_seats.c */
void rh_master_seats_init(struct rh_master *m, struct rh_arena *arena);
/* The same seats go on; fds: -1 where there is none. */
void rh_master_seats_adopt(struct rh_master *m, const int *fds);
/* Gives a seat to a connection; whoever does so tells all, then. */
void rh_master_take(struct rh_master *m, int fd, uint64_t deadline_ms);
void rh_master_tell_all(struct rh_master *m);
/* Takes what a worker wants kept. */
void rh_master_receive(struct rh_master *m, struct rh_child *c);
/* Tells a worker of the seats it does not know yet, as far as there is room. */
void rh_master_tell(struct rh_master *m, struct rh_child *c);
/* Requests on kept connections are the master's to see, or no longer. */
void rh_master_seats_watch(struct rh_master *m);
/* A seat's connection went down; the seat is free if a worker closed it. */
void rh_master_seat_ended(struct rh_master *m, unsigned seat);
/*
 * A worker may have died with the news of a connection that nobody else was
 * told of: another one adds them all anew, and so sees which are readable.
 */
void rh_master_remind(struct rh_master *m);
void rh_master_remind_one(struct rh_master *m, struct rh_child *c);
void rh_master_bereave(struct rh_master *m, unsigned slot);
void rh_master_expire(struct rh_master *m);

/* master_ship.c */
/* Starts it, where there is something for it. */
void rh_master_ship_due(struct rh_master *m);
uint64_t rh_master_ship_wait_ms(const struct rh_master *m, uint64_t now_ms);
/* Another one, with what a reload has changed. */
void rh_master_ship_again(struct rh_master *m);
/* The last spans, for as long as the deadline allows. */
void rh_master_ship_end(struct rh_master *m, uint64_t deadline_ms);

/* master_writer.c */
void rh_master_writer_spawn(struct rh_master *m);
/* Waits for its last lines, and kills it at the deadline. */
void rh_master_writer_end(struct rh_master *m, uint64_t deadline_ms);

#endif
