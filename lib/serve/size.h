/*
 * size - how many workers there should be, and when they may be started:
 * decisions alone, made of what was seen.
 *
 * Shape    bounds from the configuration; what a look at the slots found;
 *          what to do about it. The back-off and the pace remember between two
 *          looks
 * Units    _ms of the monotonic clock, the caller's
 * Owner    the master; nothing here has an effect
 */
#ifndef RH_SERVE_SIZE_H
#define RH_SERVE_SIZE_H

#include "obs/segment.h"

/* Below min at once; then idle ones between the two spares. */
struct rh_size {
	unsigned min, spare_min, spare_max;
	unsigned spawn_rate;	/* workers a second; 0: no bound */
	uint64_t idle_timeout_ms;	/* an idle one too many ends after this */
};

struct rh_size_seen {
	enum rh_slot_state state;
	uint64_t idle_ms;	/* without a request, where it is idle */
};

struct rh_size_plan {
	unsigned missing;	/* to min */
	unsigned more;		/* useful besides, as far as there are slots */
	unsigned unserved;	/* wait, and nobody is idle or about to be */
	int leaves;		/* the one to end; -1: none */
};

/* waiting: requests that no worker has taken yet, as far as is known. */
struct rh_size_plan rh_size_plan(const struct rh_size *size,
    const struct rh_size_seen *seen, unsigned slots, unsigned waiting);

/*
 * A crash loop: workers that end before they answered anything, or cannot be
 * forked. Each step waits twice as long and then tries one worker; more are
 * started once it has answered, or has stayed up. Those that fail while a step
 * waits belong to it, however many.
 */
struct rh_backoff {
	unsigned steps;		/* 0: all is well */
	uint64_t due_ms;	/* of the next try */
	uint64_t tried_ms;	/* 0: not yet, in this step */
	bool passed;		/* the try stays up; not forgotten yet */
};

/* True: it begins a new step. */
bool rh_backoff_fail(struct rh_backoff *b, uint64_t now_ms);
/* How long this step waits. */
uint64_t rh_backoff_wait_ms(const struct rh_backoff *b);
/* How many may be started now. */
unsigned rh_backoff_room(const struct rh_backoff *b, uint64_t now_ms);
void rh_backoff_tried(struct rh_backoff *b, uint64_t now_ms);
/*
 * Now and then. answered: what was started since the step began has answered
 * a request. True: all is well again, and was not before.
 */
bool rh_backoff_look(struct rh_backoff *b, bool answered, uint64_t now_ms);

/*
 * Growth is 1, 2, 4 … at a look, and at most spawn_rate in a second. Whoever
 * takes the place of a worker that left on purpose is owed, and is free.
 */
struct rh_pace {
	uint64_t second_ms, doubled_ms;
	unsigned born, burst, owed;
};

/* How many of the plan may be started now. */
unsigned rh_pace_allow(struct rh_pace *p, const struct rh_size *size,
    const struct rh_size_plan *plan, uint64_t now_ms);
void rh_pace_born(struct rh_pace *p);

#endif
