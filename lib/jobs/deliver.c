#include "config.h"

#include "jobs/deliver.h"

#include "base/clock.h"
#include "jobs/deliver_part.h"

/* Sockets are looked at so often while something is on its way. */
#define LOOK_NS (5 * MS_NS)
/* What is over waits so long for others, to be settled with them. */
#define GATHER_NS (20 * MS_NS)
/* Where nothing was due; and where the database did not answer as it should. */
#define POLL_NS (100 * MS_NS)
/* To find that nothing is due may take this part of the time. */
#define POLL_SHARE 10
#define TROUBLE_NS (1000 * MS_NS)
#define STATEMENT_NS (10000 * MS_NS)
/* A stop waits so long for receivers. */
#define STOP_NS (3000 * MS_NS)
/* A lease outlives all that an attempt may take, and being settled. */
#define LEASE_MORE_MS 60000
#define LEFT_MAX 1000

enum {
	ARENA_FIRST = 64 << 10,
	ARENA_CAP = 256 << 20,
	SENDING_FIRST = 4096,
	SENDING_CAP = 256 << 20
};

#define EVERYBODYS .global = "who delivers is nobody's: all tenants in turn"

/* clang-format off */
struct rh_stmt rh_deliver_stmts[] = {
	[RH_DELIVER_FAN_OUT_STMT] = { .name = "deliveries.fan_out", EVERYBODYS, .sql =
	    "select webhook_fan_out()" },
	[RH_DELIVER_CLAIM] = { .name = "deliveries.claim", EVERYBODYS, .sql =
	    "select tenant_id, id, webhook_id, event_id, subject_id, actor_id, type,"
	    "  payload, trace_id, parent_span_id, request_id, url, secret, old_secret,"
	    "  happened_at, attempt, waited_ms, coalesce(trace_flags, -1)"
	    " from webhook_take($1, $2, $3, $4, $5, $6, $7)" },
	[RH_DELIVER_SETTLE] = { .name = "deliveries.settle", EVERYBODYS, .sql =
	    "select webhook_settle($1, $2::text::uuid[], $3::text::uuid[],"
	    "  $4::text::int[], $5::text::bigint[], $6::text::int[],"
	    "  $7::text::int[], $8::text::text[], $9::text::text[],"
	    "  $10::text::int[], $11::text::bigint[], $12::text::boolean[], $13)" },
	[RH_DELIVER_RESCUE] = { .name = "deliveries.rescue", EVERYBODYS, .sql =
	    "select webhook_rescue($1, $2::text::uuid[], $3, $4, $5, $6)" },
	[RH_DELIVER_FORGET] = { .name = "deliveries.forget", EVERYBODYS, .sql =
	    "select webhook_forget($1, $2)" },
	{ 0 }
};
/* clang-format on */
_Static_assert((int)RH_DELIVER_FAN_OUT_STMT == RH_DELIVER_FAN_OUT,
    "as deliver.h says");

#define R struct rh_due
/* clang-format off */
static const struct rh_field due_columns[] = {
	{ RH_FIELD("tenant_id", UUID, R, tenant) },
	{ RH_FIELD("id", UUID, R, id) },
	{ RH_FIELD("webhook_id", UUID, R, webhook) },
	{ RH_FIELD("event_id", UUID, R, event) },
	{ RH_FIELD("subject_id", UUID, R, subject) },
	{ RH_FIELD("actor_id", UUID, R, actor) },
	{ RH_FIELD("type", TEXT, R, type) },
	{ RH_FIELD("payload", TEXT, R, payload) },
	{ RH_FIELD("trace_id", TEXT, R, trace_id) },
	{ RH_FIELD("parent_span_id", TEXT, R, parent_span_id) },
	{ RH_FIELD("request_id", TEXT, R, request_id) },
	{ RH_FIELD("url", TEXT, R, url) },
	{ RH_FIELD("secret", TEXT, R, secret) },
	{ RH_FIELD("old_secret", TEXT, R, old_secret) },
	{ RH_FIELD("happened_at", TIME, R, happened_us) },
	{ RH_FIELD("attempt", INT, R, attempt) },
	{ RH_FIELD("waited_ms", INT, R, waited_ms) },
	{ RH_FIELD("trace_flags", INT, R, trace_flags) },
	{ 0 }
};
/* clang-format on */
#undef R

/* ---- statements: no request's, so the master is not told of them ---- */

static struct rh_pipe *
begin(struct rh_deliver *d)
{
	struct rh_pipe *p = rh_pg_begin(d->pg, d->arena, NULL);

	rh_pg_deadline(d->pg, rh_clock_mono_ns() + STATEMENT_NS);
	return p;
}

static bool
commit(struct rh_deliver *d, struct rh_pipe *p, const char *what)
{
	struct rh_err *err = rh_pipe_error(p);

	if (err)
		rh_log_say(d->obs.log, RH_LOG_WARN,
		    "webhooks: cannot %s: %s: %s", what, err->code,
		    err->cause ? err->cause : err->detail);
	rh_pg_end(d->pg);
	return !err;
}

static void
settled(struct rh_deliver *d)
{
	for (unsigned i = 0; i < d->conf.out.most; i++) {
		struct rh_sending *s = &d->sending[i];
		struct rh_arena *arena = s->arena;

		if (s->state != RH_SENDING_OVER)
			continue;
		rh_arena_reset(arena);
		*s = (struct rh_sending){ .d = d, .arena = arena };
	}
	d->over = 0;
}

/* The last row says how far the claim has come. */
static size_t
start_all(struct rh_deliver *d, const struct rh_due *rows, size_t n)
{
	unsigned at = 0;

	if (n == 0)
		return 0;
	d->after_tenant = rows[--n].tenant;
	d->after_webhook = rows[n].webhook;
	for (size_t i = 0; i < n; i++) {
		while (d->sending[at].state != RH_SENDING_FREE)
			rh_assert(++at < d->conf.out.most);
		d->busy++;
		rh_sending_start(&d->sending[at], &rows[i]);
	}
	return n;
}

/* What is over is settled, and what is due claimed, in one transaction. */
static bool
exchange(struct rh_deliver *d, bool claims, size_t *n)
{
	int64_t free = (int64_t)d->conf.out.most - d->busy;
	struct rh_pipe *p = begin(d);
	struct rh_due *rows = NULL;
	bool settles = d->over > 0;

	*n = 0;
	if (settles)
		rh_deliver_settle(d, p);
	if (claims)
		rh_pipe_send(p, &rh_deliver_stmts[RH_DELIVER_CLAIM],
		    RH_UUID(d->holder), RH_INT(free),
		    RH_INT(d->conf.timeout_ms + LEASE_MORE_MS),
		    RH_UUID(d->after_tenant), RH_UUID(d->after_webhook),
		    RH_INT(d->conf.concurrency), RH_INT(d->conf.rate));
	if (settles)
		(void)rh_pipe_int(p);
	if (claims)
		*n = rh_pipe_rows(p, due_columns, sizeof(*rows), &rows);
	if (!commit(d, p, "claim and settle")) {
		/* it may have been done, and the answer lost */
		d->sweep = true;
		return false;
	}
	if (settles)
		settled(d);
	*n = start_all(d, rows, *n);
	return true;
}

/* What the database says that we have, and we do not know of. */
static bool
sweep(struct rh_deliver *d)
{
	struct rh_pipe *p = begin(d);
	int64_t n;

	rh_deliver_rescue(d, p, true);
	n = rh_pipe_int(p);
	if (!commit(d, p, "take back"))
		return false;
	if (n)
		rh_log_say(d->obs.log, RH_LOG_WARN,
		    "webhooks: %lld deliveries"
		    " that this slot had and nobody worked at are taken back",
		    (long long)n);
	d->sweep = d->begun = false;
	return true;
}

/* ---- a step ---- */

static bool
is_time_to_settle(const struct rh_deliver *d, uint64_t now)
{
	return d->over &&
	    (d->busy == 0 || now - d->over_ns >= GATHER_NS ||
		d->over >= d->conf.out.most / 2);
}

static int64_t
until(uint64_t at_ns)
{
	uint64_t now = rh_clock_mono_ns();

	return at_ns > now ? (int64_t)(at_ns - now) : 0;
}

static bool
tidy(struct rh_deliver *d)
{
	uint64_t now = rh_clock_mono_ns();
	bool claims = now >= d->claim_ns && d->busy < d->conf.out.most;
	uint64_t took;
	size_t n;

	if (d->sweep && now < d->claim_ns)
		return true;
	if (!claims && !is_time_to_settle(d, now))
		return true;
	if ((d->sweep && !sweep(d)) || !exchange(d, claims, &n)) {
		d->claim_ns = rh_clock_mono_ns() + TROUBLE_NS;
		return false;
	}
	took = rh_clock_mono_ns() - now;
	/* there may be more of those that had their part */
	if (claims)
		d->claim_ns = now + took +
		    (n ? GATHER_NS : RH_MAX(POLL_NS, took * POLL_SHARE));
	return true;
}

unsigned
rh_deliver_step(struct rh_deliver *d, int64_t *again_ns)
{
	d->ended = 0;
	rh_out_step(d->out, 0);
	(void)tidy(d);
	rh_arena_reset(d->arena);
	/* what was started is on its way at once */
	rh_out_step(d->out, 0);
	rh_gauge_set(d->obs.tally, d->obs.series->on_their_way, 0, d->busy);
	*again_ns = until(d->claim_ns);
	if (d->busy || (d->over && !d->sweep))
		*again_ns = RH_MIN(*again_ns, (int64_t)LOOK_NS);
	return d->ended;
}

void
rh_deliver_tend(struct rh_deliver *d)
{
	struct rh_pipe *p = begin(d);
	int64_t n;

	rh_deliver_rescue(d, p, false);
	rh_pipe_send(p, &rh_deliver_stmts[RH_DELIVER_FORGET],
	    RH_INT(d->conf.keep_ms), RH_INT(LEFT_MAX));
	n = rh_pipe_int(p);
	(void)rh_pipe_int(p);
	if (commit(d, p, "look after them") && n)
		rh_log_say(d->obs.log, RH_LOG_WARN,
		    "webhooks: %lld deliveries"
		    " whose lease was over are taken back",
		    (long long)n);
	rh_arena_reset(d->arena);
}

/* ---- its life ---- */

struct rh_deliver *
rh_deliver_new(struct rh_arena *own, struct rh_pg *pg, struct rh_uuid holder,
    const struct rh_deliver_conf *conf, const struct rh_deliver_obs *obs)
{
	struct rh_deliver *d = RH_NEW(own, struct rh_deliver);

	d->pg = pg;
	d->holder = holder;
	d->conf = *conf;
	d->obs = *obs;
	rh_hook_key_init(&d->key, conf->secret_key);
	d->trace = RH_NEW(own, struct rh_trace);
	d->trace->on = obs->traces;
	d->arena = rh_arena_new(ARENA_FIRST, ARENA_CAP);
	d->out = rh_out_new(&conf->out);
	rh_assert(d->out);
	d->sending = rh_arena_zalloc(own, conf->out.most, sizeof(*d->sending));
	for (unsigned i = 0; i < conf->out.most; i++) {
		d->sending[i].d = d;
		d->sending[i].arena = rh_arena_new(SENDING_FIRST, SENDING_CAP);
	}
	/* the one before in this slot is gone */
	d->sweep = d->begun = true;
	return d;
}

void
rh_deliver_end(struct rh_deliver *d)
{
	uint64_t stop = rh_clock_mono_ns() + STOP_NS;
	size_t n;

	while (d->busy && rh_clock_mono_ns() < stop)
		rh_out_step(d->out, 50);
	if (d->over && !d->sweep)
		(void)exchange(d, false, &n);
	/* what is on its way may have come there: it is tried again */
	d->begun = true;
	if (d->busy) {
		rh_out_destroy(&d->out);
		for (unsigned i = 0; i < d->conf.out.most; i++)
			d->sending[i].state = RH_SENDING_FREE;
		(void)sweep(d);
	}
	rh_gauge_set(d->obs.tally, d->obs.series->on_their_way, 0, 0);
	rh_out_destroy(&d->out);
	for (unsigned i = 0; i < d->conf.out.most; i++)
		rh_arena_destroy(&d->sending[i].arena);
	rh_arena_destroy(&d->arena);
}
