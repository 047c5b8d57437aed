#include "config.h"

#include "serve/duty.h"

#include "base/clock.h"
#include "serve/duty_relay.h"

/* Whoever has nothing to do looks so often whether the database is there. */
#define MS_NS UINT64_C(1000000)
#define REST_NS (1000 * UINT64_C(1000000))

/* What has expired of the replies that were kept for a POST's repetition. */
static unsigned
forget_replies(struct rh_server *s, int64_t *again_ns)
{
	rh_idempotent_purge(s);
	*again_ns = (int64_t)(s->purge_ns - rh_clock_mono_ns());
	return 0;
}

/* In the order of their urgency. */
static const struct rh_duty duties[] = {
	{ "relay", rh_duty_relay_open, rh_duty_relay },
	{ "jobs", rh_duty_jobs_open, rh_duty_jobs_step },
	{ "days", NULL, rh_duty_days },
	{ "jobs' house", NULL, rh_duty_jobs_tend },
	{ "replies", NULL, forget_replies },
};

bool
rh_duty_start(void *server, unsigned slot)
{
	struct rh_server *s = server;

	rh_server_open(s, slot);
	rh_gauge_set(&s->tally, s->host->series.dependency_up,
	    RH_DEPENDENCY_REDIS, s->host->redis.url ? 0 : RH_GAUGE_UNKNOWN);
	s->due_ns = rh_arena_zalloc(s->own, RH_COUNT(duties),
	    sizeof(*s->due_ns));
	for (size_t i = 0; i < RH_COUNT(duties); i++)
		if (duties[i].open)
			duties[i].open(s);
	return rh_server_reach(s, true);
}

static void
step(struct rh_server *s, size_t i, uint64_t *done)
{
	int64_t again_ns = 0;

	*done += duties[i].step(s, &again_ns);
	s->due_ns[i] = rh_clock_mono_ns() + (uint64_t)RH_MAX(again_ns, 0);
	rh_arena_reset(s->arena);
}

int64_t
rh_duty_work(void *server, uint64_t *done)
{
	struct rh_server *s = server;
	uint64_t now_ns = rh_clock_mono_ns(), first_ns = now_ns + REST_NS;

	if (!rh_server_reach(s, false))
		return REST_NS / MS_NS;
	for (size_t i = 0; i < RH_COUNT(duties); i++) {
		if (s->due_ns[i] <= now_ns)
			step(s, i, done);
		first_ns = RH_MIN(first_ns, s->due_ns[i]);
	}
	now_ns = rh_clock_mono_ns();
	/* rounded up: a step that is called too early finds nothing */
	return first_ns <= now_ns ?
	    0 :
	    (int64_t)((first_ns - now_ns + MS_NS - 1) / MS_NS);
}

void
rh_duty_stop(void *server, int64_t deadline_ms)
{
	rh_duty_jobs_close(server);
	rh_server_stop(server, deadline_ms);
}
