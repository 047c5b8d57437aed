#include "config.h"

#include "serve/size.h"

#include <limits.h>

#define BACKOFF_MS	100
#define BACKOFF_MAX_MS	10000
/* A try that is up for so long, and as long as its step has waited, passes. */
#define PASS_MS		1000
/* So long after it passed, the steps before it are forgotten. */
#define FORGET_MS	10000
/* Looks that come sooner after one another do not double the burst. */
#define DOUBLE_MS	100

/* ---- how many ---- */

struct census {
	unsigned empty, idle, starting, busy;
	int longest;	/* idle; -1: none */
};

static struct census
count(const struct rh_size_seen *seen, unsigned slots)
{
	struct census c = { .longest = -1 };

	for (unsigned i = 0; i < slots; i++) {
		const struct rh_size_seen *s = &seen[i];

		c.empty += s->state == RH_SLOT_EMPTY;
		c.starting += s->state == RH_SLOT_STARTING;
		c.busy += s->state == RH_SLOT_BUSY;
		if (s->state != RH_SLOT_IDLE)
			continue;
		c.idle++;
		if (c.longest < 0 || s->idle_ms > seen[c.longest].idle_ms)
			c.longest = (int)i;
	}
	return c;
}

static unsigned
lack(unsigned want, unsigned have)
{
	return want > have ? want - have : 0;
}

struct rh_size_plan
rh_size_plan(const struct rh_size *size, const struct rh_size_seen *seen,
    unsigned slots, unsigned waiting)
{
	struct census c = count(seen, slots);
	unsigned ready = c.idle + c.starting, running = ready + c.busy;
	struct rh_size_plan plan = { .leaves = -1,
		.unserved = lack(waiting, ready) };

	plan.missing = RH_MIN(lack(size->min, running), c.empty);
	/* who is missing will be ready: only what that leaves open is growth */
	ready += plan.missing;
	if (ready < size->spare_min)
		plan.more = c.empty - plan.missing;
	else
		plan.more = RH_MIN(lack(waiting, ready),
		    c.empty - plan.missing);
	if (c.idle > size->spare_max && running > size->min &&
	    seen[c.longest].idle_ms >= size->idle_timeout_ms)
		plan.leaves = c.longest;
	return plan;
}

/* ---- the back-off ---- */

uint64_t
rh_backoff_wait_ms(const struct rh_backoff *b)
{
	if (b->steps == 0)
		return 0;
	return RH_MIN((uint64_t)BACKOFF_MS << RH_MIN(b->steps - 1, 10u),
	    BACKOFF_MAX_MS);
}

bool
rh_backoff_fail(struct rh_backoff *b, uint64_t now_ms)
{
	if (b->steps && !b->passed && b->tried_ms == 0)
		return false;
	b->steps++;
	b->due_ms = now_ms + rh_backoff_wait_ms(b);
	b->tried_ms = 0;
	b->passed = false;
	return true;
}

unsigned
rh_backoff_room(const struct rh_backoff *b, uint64_t now_ms)
{
	if (b->steps == 0 || b->passed)
		return UINT_MAX;
	return b->tried_ms == 0 && now_ms >= b->due_ms;
}

void
rh_backoff_tried(struct rh_backoff *b, uint64_t now_ms)
{
	if (b->steps && b->tried_ms == 0)
		b->tried_ms = RH_MAX(now_ms, 1);
}

bool
rh_backoff_look(struct rh_backoff *b, bool answered, uint64_t now_ms)
{
	uint64_t up_ms = now_ms - b->tried_ms;

	if (b->steps == 0 || b->tried_ms == 0)
		return false;
	if (up_ms >= RH_MAX(PASS_MS, rh_backoff_wait_ms(b)))
		b->passed = true;
	if (!answered && up_ms < rh_backoff_wait_ms(b) + FORGET_MS)
		return false;
	*b = (struct rh_backoff){ 0 };
	return true;
}

/* ---- the pace ---- */

static void
double_burst(struct rh_pace *p, bool grows, uint64_t now_ms)
{
	if (!grows)
		p->burst = 0;
	else if (p->burst == 0)
		p->burst = 1;
	else if (now_ms - p->doubled_ms >= DOUBLE_MS)
		p->burst = RH_MIN(p->burst * 2, 1u << 16);
	else
		return;
	p->doubled_ms = now_ms;
}

unsigned
rh_pace_allow(struct rh_pace *p, const struct rh_size *size,
    const struct rh_size_plan *plan, uint64_t now_ms)
{
	unsigned wanted, left = UINT_MAX;

	if (now_ms - p->second_ms >= 1000) {
		p->second_ms = now_ms;
		p->born = 0;
	}
	if (plan->missing + plan->more == 0)
		p->owed = 0;
	double_burst(p, plan->more > 0, now_ms);
	wanted = plan->missing + RH_MIN(plan->more, p->burst);
	if (size->spawn_rate)
		left = lack(size->spawn_rate, p->born) + p->owed;
	return RH_MIN(wanted, left);
}

void
rh_pace_born(struct rh_pace *p)
{
	if (p->owed)
		p->owed--;
	else
		p->born++;
}
