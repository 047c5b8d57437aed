#include "config.h"

#include "jobs/relay.h"

#include "base/clock.h"

#define MS INT64_C(1000000)

/* A pause doubles while nothing comes. */
#define PAUSE_FIRST_NS (10 * MS)
#define PAUSE_MOST_NS (160 * MS)
/* Another relay has the lock: how long until this one takes over from a dead one. */
#define BUSY_NS (250 * MS)
#define FAILED_NS (1000 * MS)
#define RESCAN_NS ((uint64_t)(10000 * MS))
#define LOOK_NS ((uint64_t)(1000 * MS))
/* Counting what waits may take this part of the time. */
#define LOOK_SHARE 20
#define TEND_NS (600000 * MS)
#define TEND_LATER_NS (5000 * MS)
#define DAYS_AHEAD 3

/* The largest batch, in those of the configuration. */
#define BATCH_GROWS 8

enum { MOVE, WAITING, TEND };

#define ALL_TENANTS "one relay for all tenants: what it moves keeps its tenant"

/* clang-format off */
struct rh_stmt rh_relay_stmts[] = {
	[MOVE] = { .name = "relay.move", .global = ALL_TENANTS, .sql =
	    "select busy, moved, coalesce(first_pos, 0), coalesce(last_pos, 0),"
	    " coalesce(first_seq, 0), coalesce(last_seq, 0), coalesce(drawn, 0),"
	    " coalesce(begins, 0), coalesce(own, 0), coalesce(passed, 0)"
	    " from events_relay($1, $2)" },
	[WAITING] = { .name = "relay.waiting", .global = ALL_TENANTS, .sql =
	    "select pending, lag_ms from events_waiting()" },
	[TEND] = { .name = "relay.tend", .global = "days are all tenants'", .sql =
	    "select more from events_tend($1, $2)" },
	{ 0 }
};

struct answer {
	bool busy;
	int64_t moved, first_pos, last_pos, first_seq, last_seq, drawn, begins, own,
	    passed;
};
static const struct rh_field answer_columns[] = {
	{ RH_FIELD("busy", BOOL, struct answer, busy) },
	{ RH_FIELD("moved", INT, struct answer, moved) },
	{ RH_FIELD("first_pos", INT, struct answer, first_pos) },
	{ RH_FIELD("last_pos", INT, struct answer, last_pos) },
	{ RH_FIELD("first_seq", INT, struct answer, first_seq) },
	{ RH_FIELD("last_seq", INT, struct answer, last_seq) },
	{ RH_FIELD("drawn", INT, struct answer, drawn) },
	{ RH_FIELD("begins", INT, struct answer, begins) },
	{ RH_FIELD("own", INT, struct answer, own) },
	{ RH_FIELD("passed", INT, struct answer, passed) },
	{ 0 }
};

static const struct rh_field waiting_columns[] = {
	{ RH_FIELD("pending", INT, struct rh_relay_waiting, pending) },
	{ RH_FIELD("lag_ms", INT, struct rh_relay_waiting, lag_ms) },
	{ 0 }
};
/* clang-format on */

void
rh_relay_init(struct rh_relay *r, const struct rh_relay_conf *conf)
{
	static const struct rh_stmt *const none[] = { NULL };

	*r = (struct rh_relay){ .conf = *conf,
		.pause_ns = PAUSE_FIRST_NS };
	if (!r->conf.batch)
		r->conf.batch = RH_RELAY_BATCH;
	r->batch = r->conf.batch;
	if (!r->conf.fan_out)
		r->conf.fan_out = none;
}

/* ---- the watermark ---- */

/* From the first row on: at first, and now and then, for nothing is for ever. */
static int64_t
begin_at(struct rh_relay *r, uint64_t now)
{
	if (now < r->rescan_ns)
		return r->above;
	r->rescan_ns = now + RESCAN_NS;
	return 0;
}

/*
 * A mark is what had been drawn by the end of one step. The next one that moves
 * something has a transaction number above all of those who drew it. When nobody
 * below that is at work any more the rows up to the mark are visible to all, and
 * a step that was not cut short, or came to higher ones, has moved them.
 */
static void
watermark_move(struct rh_relay *r, const struct answer *a)
{
	/* another server, or one set back; or a number without a transaction */
	if (a->drawn < r->above || (a->moved && a->first_seq <= r->above))
		r->above = r->mark = r->mark_ends = 0;
	if (r->mark && !r->mark_ends)
		r->mark_ends = a->own;
	if (r->mark_ends && a->begins >= r->mark_ends) {
		r->above = RH_MAX(r->above,
		    !r->last.full ? r->mark : RH_MIN(r->mark, a->last_seq));
		if (r->above == r->mark)
			r->mark = 0;
	}
	/* of a tenant that is away, and may come back */
	if (a->passed)
		r->above = RH_MIN(r->above, a->passed - 1);
	if (!r->mark) {
		r->mark = a->drawn;
		r->mark_ends = 0;
	}
}

/* ---- what waits ---- */

/* In a transaction of its own, before the step that may fail. */
static void
look(struct rh_relay *r, struct rh_pipe *p)
{
	uint64_t before = rh_clock_mono_ns(), now;
	struct rh_relay_waiting w;

	if (before < r->look_ns)
		return;
	rh_pipe_send_args(p, &rh_relay_stmts[WAITING], NULL, 0);
	if (rh_pipe_row(p, waiting_columns, &w) && !rh_pipe_error(p))
		r->waiting = w;
	now = rh_clock_mono_ns();
	r->look_ns = now + RH_MAX(LOOK_NS, (now - before) * LOOK_SHARE);
}

/* ---- a step ---- */

static int64_t
pause_next(struct rh_relay *r)
{
	int64_t ns = r->pause_ns;

	if (r->last.busy)
		return BUSY_NS;
	if (r->last.full)
		return 0;
	if (r->last.moved)
		ns = PAUSE_FIRST_NS;
	r->pause_ns = RH_MIN(2 * ns, PAUSE_MOST_NS);
	return ns;
}

/* Each step passes by what is dead: so larger ones where there are many. */
static void
batch_next(struct rh_relay *r)
{
	r->batch = !r->last.full ?
	    r->conf.batch :
	    RH_MIN(2 * r->batch, BATCH_GROWS * r->conf.batch);
}

static struct rh_err *
move(struct rh_relay *r, struct rh_pipe *p, struct answer *a)
{
	const struct rh_stmt *const *hanging = r->conf.fan_out;
	unsigned n;

	rh_pipe_send(p, &rh_relay_stmts[MOVE],
	    RH_INT(begin_at(r, rh_clock_mono_ns())), RH_INT(r->batch));
	for (n = 0; hanging[n]; n++) {
		rh_assert(n < RH_RELAY_FAN_OUT_MAX);
		rh_pipe_send_args(p, hanging[n], NULL, 0);
	}
	(void)rh_pipe_row(p, answer_columns, a);
	while (n--)
		(void)rh_pipe_done(p);
	return rh_pipe_error(p);
}

struct rh_err *
rh_relay_step(struct rh_relay *r, struct rh_pipe *p, int64_t *again_ns)
{
	struct answer a = { .busy = false };
	struct rh_err *err;

	r->last = (struct rh_relayed){ .moved = 0 };
	if (r->behind)
		look(r, p);
	r->behind = true;
	if ((err = move(r, p, &a))) {
		r->rescan_ns = 0; /* perhaps by another server next time */
		r->batch = r->conf.batch;
		*again_ns = FAILED_NS;
		return err;
	}
	r->last = (struct rh_relayed){ a.busy, a.moved, a.moved == r->batch,
		a.first_pos, a.last_pos };
	batch_next(r);
	*again_ns = pause_next(r);
	if (a.busy)
		return NULL;
	watermark_move(r, &a);
	if (r->last.full)
		return NULL;
	r->behind = false;
	r->waiting = (struct rh_relay_waiting){ 0, 0 };
	return NULL;
}

struct rh_err *
rh_relay_tend(struct rh_relay *r, struct rh_pipe *p, int64_t *again_ns)
{
	struct rh_err *err;
	bool more;

	rh_pipe_send(p, &rh_relay_stmts[TEND], RH_INT(r->conf.keep_ms),
	    RH_INT(DAYS_AHEAD));
	more = rh_pipe_int(p) != 0;
	if ((err = rh_pipe_error(p))) {
		*again_ns = TEND_LATER_NS;
		return strcmp(err->code, "database.locked") == 0 ? NULL : err;
	}
	*again_ns = more ? 0 : TEND_NS;
	return NULL;
}
