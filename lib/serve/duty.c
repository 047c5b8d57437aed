#include "config.h"

#include "serve/duty.h"

#include "base/clock.h"
#include "serve/duty_deliver.h"
#include "serve/duty_relay.h"

#define MS_NS UINT64_C(1000000)
/* Whoever has nothing to do looks so often whether the databases are there. */
#define REST_NS (1000 * MS_NS)
/* One that takes its time to connect is looked at so often: rh_pg_try waits. */
#define CONNECTING_NS (100 * MS_NS)
/* After so long the worker looks whether it is to end. */
#define PASS_NS (50 * MS_NS)

/* What has expired of the replies that were kept for a POST's repetition. */
static unsigned
forget_replies(struct rh_server *s, int64_t *again_ns)
{
	s->purge_ns = s->kept->purge_ns;
	rh_idempotent_purge(s);
	s->kept->purge_ns = s->purge_ns;
	*again_ns = (int64_t)(s->purge_ns - rh_clock_mono_ns());
	return 0;
}

/* Of those that are due at the same time the first is the more urgent. */
/* clang-format off */
static const struct rh_duty duties[] = {
	/* name          who              open                step                close               wake            gap_ns */
	/* several events are one step's as well */
	{ "relay",       RH_DUTY_COURIER, rh_duty_relay_open, rh_duty_relay,      NULL,               RH_WAKE_EVENTS, 10 * MS_NS },
	{ "webhooks",    RH_DUTY_COURIER, rh_duty_deliver_open, rh_duty_deliver,  rh_duty_deliver_close, RH_WAKE_NOT, 0 },
	{ "jobs",        RH_DUTY_JOBS,    rh_duty_jobs_open,  rh_duty_jobs_step,  rh_duty_jobs_close, RH_WAKE_JOBS,   0 },
	{ "cron",        RH_DUTY_COURIER, rh_duty_cron_open,  rh_duty_cron_step,  NULL,               RH_WAKE_NOT,    0 },
	{ "days",        RH_DUTY_COURIER, rh_duty_relay_open, rh_duty_days,       NULL,               RH_WAKE_NOT,    0 },
	{ "webhooks' house", RH_DUTY_COURIER, NULL,           rh_duty_deliver_tend, NULL,             RH_WAKE_NOT,    0 },
	{ "jobs' house", RH_DUTY_COURIER, rh_duty_jobs_open,  rh_duty_jobs_tend,  rh_duty_jobs_close, RH_WAKE_NOT,    0 },
	{ "replies",     RH_DUTY_COURIER, NULL,               forget_replies,     NULL,               RH_WAKE_NOT,    0 },
	{ "inboxes",     RH_DUTY_COURIER, NULL,               rh_duty_inboxes,    NULL,               RH_WAKE_NOT,    0 },
};
/* clang-format on */

static bool
is_mine(const struct rh_server *s, const struct rh_duty *d)
{
	bool courier = s->slot == 1;

	return d->who == RH_DUTY_EVERYBODY ||
	    s->host->conf->jobs_workers == 1 ||
	    courier == (d->who == RH_DUTY_COURIER);
}

/* ---- places ---- */

static void
stand(struct rh_server *s, unsigned place)
{
	rh_place_stand(s, place);
	s->kept = &s->keeps[place];
}

static void
keeps_open(struct rh_server *s)
{
	s->keeps = rh_arena_zalloc(s->own, s->nplaces, sizeof(*s->keeps));
	for (unsigned i = 0; i < s->nplaces; i++) {
		struct rh_kept *kept = &s->keeps[i];

		kept->due_ns = rh_arena_zalloc(s->own, RH_COUNT(duties),
		    sizeof(*kept->due_ns));
		kept->stepped_ns = rh_arena_zalloc(s->own, RH_COUNT(duties),
		    sizeof(*kept->stepped_ns));
	}
	stand(s, 0);
}

/* The log hears it once. */
static bool
placement_try(struct rh_server *s, unsigned place)
{
	const struct rh_placement_conf *conf =
	    &s->host->conf->placements[place - 1];
	bool ready = rh_pg_try(s->pg);

	if (rh_pg_is_connecting(s->pg))
		return false;
	if (!ready && !s->kept->away)
		rh_log_say(&s->log, RH_LOG_WARN,
		    "PostgreSQL of the placement %.*s is away: %s",
		    RH_SLICE_ARG(conf->name), rh_pg_trouble(s->pg));
	s->kept->away = !ready;
	return ready;
}

static void
kept_open(struct rh_server *s)
{
	for (size_t i = 0; i < RH_COUNT(duties); i++)
		if (duties[i].open && is_mine(s, &duties[i]))
			duties[i].open(s);
	s->kept->opened = true;
}

/* Whether its duties can be done now. */
static void
look(struct rh_server *s, unsigned place, uint64_t now_ns)
{
	struct rh_kept *kept = &s->keeps[place];

	if (now_ns < kept->look_ns)
		return;
	stand(s, place);
	kept->ready = place ? placement_try(s, place) : rh_server_try(s);
	if (!kept->ready)
		kept->look_ns = now_ns +
		    (rh_pg_is_connecting(s->pg) ? CONNECTING_NS : REST_NS);
	else if (!kept->opened)
		kept_open(s);
}

/* ---- steps ---- */

static void
step(struct rh_server *s, const struct rh_duty *d, uint64_t *done)
{
	int64_t again_ns = 0;
	uint64_t now_ns;

	*done += d->step(s, &again_ns);
	now_ns = rh_clock_mono_ns();
	s->kept->stepped_ns[d - duties] = now_ns;
	s->kept->due_ns[d - duties] = now_ns + (uint64_t)RH_MAX(again_ns, 0);
	rh_arena_reset(s->arena);
}

static uint64_t
soonest_ns(const struct rh_kept *kept, size_t i)
{
	return kept->stepped_ns[i] + (uint64_t)duties[i].gap_ns;
}

/* What was left meanwhile is due there, unless it was looked for a moment ago. */
static void
hear(struct rh_server *s)
{
	for (unsigned p = 0; p < s->nplaces; p++) {
		unsigned called = rh_waker_hear(&s->waker, s->places[p].hash);
		struct rh_kept *kept = &s->keeps[p];

		kept->called |= called;
		for (size_t i = 0; i < RH_COUNT(duties); i++)
			if (duties[i].wake && called & 1U << duties[i].wake)
				kept->due_ns[i] = RH_MIN(kept->due_ns[i],
				    soonest_ns(kept, i));
	}
}

/* To be called for what is not due anyway by the time it may be. */
static bool
may_rest(struct rh_server *s)
{
	unsigned what = 0;

	for (unsigned p = 0; p < s->nplaces; p++)
		for (size_t i = 0; i < RH_COUNT(duties); i++)
			if (duties[i].wake && is_mine(s, &duties[i]) &&
			    s->keeps[p].ready && s->keeps[p].due_ns[i] >
			    soonest_ns(&s->keeps[p], i))
				what |= 1U << duties[i].wake;
	return rh_waker_rest(&s->waker, what);
}

void
rh_duty_hasten(struct rh_server *s, rh_duty_step *whose)
{
	for (size_t i = 0; i < RH_COUNT(duties); i++)
		if (duties[i].step == whose)
			s->kept->due_ns[i] = 0;
}

int
rh_duty_called(void *server)
{
	struct rh_server *s = server;

	return rh_waker_listen(&s->waker, s->slot);
}

/* Who is due first, at whatever place, and when; the worker stands there then. */
static const struct rh_duty *
first(struct rh_server *s, uint64_t *due_ns)
{
	const struct rh_duty *d = NULL;

	*due_ns = UINT64_MAX;
	for (size_t i = 0; i < RH_COUNT(duties); i++) {
		if (!is_mine(s, &duties[i]))
			continue;
		for (unsigned p = 0; p < s->nplaces; p++) {
			if (!s->keeps[p].ready ||
			    s->keeps[p].due_ns[i] >= *due_ns)
				continue;
			*due_ns = s->keeps[p].due_ns[i];
			d = &duties[i];
			stand(s, p);
		}
	}
	return d;
}

static int64_t
rest_ms(struct rh_server *s)
{
	uint64_t now_ns = rh_clock_mono_ns(), until_ns;

	(void)first(s, &until_ns);
	until_ns = RH_MIN(until_ns, now_ns + REST_NS);
	for (unsigned p = 0; p < s->nplaces; p++)
		if (!s->keeps[p].ready)
			until_ns = RH_MIN(until_ns, s->keeps[p].look_ns);
	/* rounded up: a step that is called too early finds nothing */
	return until_ns <= now_ns ?
	    0 :
	    (int64_t)((until_ns - now_ns + MS_NS - 1) / MS_NS);
}

bool
rh_duty_start(void *server, unsigned slot)
{
	struct rh_server *s = server;

	rh_server_open(s, slot);
	rh_gauge_set(&s->tally, s->host->series.dependency_up,
	    RH_DEPENDENCY_REDIS, s->host->redis.url ? 0 : RH_GAUGE_UNKNOWN);
	rh_places_open(s);
	keeps_open(s);
	return rh_server_reach(s, true);
}

int64_t
rh_duty_work(void *server, uint64_t *done)
{
	struct rh_server *s = server;
	uint64_t began_ns = rh_clock_mono_ns(), due_ns;
	const struct rh_duty *d;
	int64_t rest;

	for (unsigned p = 0; p < s->nplaces; p++)
		look(s, p, began_ns);
	hear(s);
	while ((d = first(s, &due_ns)) && due_ns <= began_ns) {
		step(s, d, done);
		if (rh_clock_mono_ns() - began_ns >= PASS_NS)
			break;
	}
	rest = rest_ms(s);
	stand(s, 0);
	return rest && may_rest(s) ? rest : 0;
}

static void
kept_close(struct rh_server *s)
{
	for (size_t i = 0; i < RH_COUNT(duties); i++)
		if (duties[i].close && is_mine(s, &duties[i]))
			duties[i].close(s);
}

void
rh_duty_stop(void *server, int64_t deadline_ms)
{
	struct rh_server *s = server;

	for (unsigned p = 0; p < s->nplaces; p++) {
		stand(s, p);
		if (s->kept->opened)
			kept_close(s);
	}
	stand(s, 0);
	rh_server_stop(s, deadline_ms);
}
