#include "config.h"

#include "ctl/move.h"

#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/text.h"
#include "ctl/forget.h"

/*
 * LAG: so little is left that the pause is short. SWITCH: longer nobody is kept
 * waiting, the tenant is served where it was. EXPIRY: no purge of the pause
 * reaches so far.
 */
enum {
	LAG_MAX = 256 << 10, SWITCH_MS = 10000, END_MS = 60000, LOOK_MS = 5,
	COPY_LOOK_MS = 100, FAILURES_MAX = 5, BATCH = 1000, EXPIRY_S = 600
};

void
move_say(const struct move *m, const char *what)
{
	fprintf(stderr, "%s: %.*s: %s\n", m->self->name, RH_SLICE_ARG(m->slug),
	    what);
}

struct rh_err *
move_fault(const struct move *m, const char *what, struct rh_slice where)
{
	return rh_err_new(m->self->arena, RH_E_CONFLICT, "move", "%.*s: %s",
	    RH_SLICE_ARG(where), what);
}

int64_t
move_now_ms(void)
{
	return (int64_t)(rh_clock_mono_ns() / 1000000);
}

static void
pause_ms(int ms)
{
	nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000L }, NULL);
}

/* A statement that answers a number which nobody needs. */
static struct rh_err *
tell(struct place *p, enum move_stmt stmt, const struct rh_arg *args,
    unsigned n)
{
	int64_t unused;

	return move_ask_int(p->db, stmt, args, n, &unused);
}

/* Until its answer is that; late: the reason where it is not by then. */
struct rh_err *
move_await(struct move *m, struct place *p, enum move_stmt stmt, int64_t wanted,
    int64_t until_ms, const char *late, const struct rh_arg *args, unsigned n)
{
	struct rh_err *err;
	int64_t got;

	for (;;) {
		if ((err = move_ask_int(p->db, stmt, args, n, &got)) ||
		    got == wanted)
			return err;
		if (move_now_ms() >= until_ms)
			return move_fault(m, late, p->name);
		pause_ms(LOOK_MS);
	}
}

static struct rh_err *
check(struct move *m)
{
	struct place *const both[] = { &m->source, &m->target };
	struct rh_slice book[2], word;
	struct rh_err *err;
	bool logical;

	for (size_t i = 0; i < RH_COUNT(both); i++) {
		if ((err = move_ask_text(both[i]->db, MOVE_CHECK, NULL, 0,
		    &book[i])))
			return err;
		word = rh_slice_cut(&book[i], ' ');
		if (!rh_slice_is(word, RH_SLICE("t")))
			return move_fault(m, "its move_database_url is not a"
			    " superuser's", both[i]->name);
		word = rh_slice_cut(&book[i], ' ');
		if (!rh_slice_is(word, RH_SLICE("t")))
			return move_fault(m, "is older than PostgreSQL 15, which"
			    " replicates by the row", both[i]->name);
		logical = rh_slice_is(rh_slice_cut(&book[i], ' '),
		    RH_SLICE("logical"));
		word = rh_slice_cut(&book[i], ' ');
		if (i == 0 && (!logical || rh_slice_is(word, RH_SLICE("0"))))
			return move_fault(m, "needs wal_level = logical and"
			    " max_wal_senders above 0 in its postgresql.conf,"
			    " and a restart", both[i]->name);
	}
	if (!rh_slice_is(book[0], book[1]))
		return move_fault(m, "has not the same migrations; run"
		    " rowhouse-migrate", m->target.name);
	return NULL;
}

/* ---- rows by hand: the tenant's own, its plan, its members ---- */

static struct rh_err *
copy_own(struct move *m)
{
	struct rh_slice tenant, users;
	struct rh_err *err;

	if ((err = move_ask_text(m->source.db, MOVE_TENANT, ARGS(ID(m)),
	    &tenant)) ||
	    (err = move_ask_text(m->source.db, MOVE_USERS, ARGS(ID(m)),
	    &users)) ||
	    (err = tell(&m->target, MOVE_TENANT_TAKE, ARGS(RH_TEXT(tenant)))))
		return err;
	return tell(&m->target, MOVE_USERS_TAKE, ARGS(RH_TEXT(users)));
}

/* Where it is away. */
static struct rh_err *
clear(struct move *m, struct place *p)
{
	struct rh_err *err;
	int64_t gone;

	do
		if ((err = move_ask_int(p->db, MOVE_CLEAR,
		    ARGS(ID(m), RH_INT(BATCH)), &gone)))
			return err;
	while (gone > 0);
	if (rh_slice_is(p->name, m->home.name))
		return NULL;	/* all users are home's */
	do
		if ((err = move_ask_int(p->db, MOVE_USERS_DROP,
		    ARGS(RH_INT(BATCH)), &gone)))
			return err;
	while (gone > 0);
	return NULL;
}

/* ---- while it is served: copied, and kept up ---- */

static struct rh_err *
subscribe(struct move *m)
{
	struct rh_err *err;
	int64_t n;

	if ((err = move_ask_int(m->target.db, MOVE_SUBSCRIBED, ARGS(ID(m)),
	    &n)) || n > 0)
		return err;
	/* a run that was killed in its pause: nobody waits for all of the copy */
	if ((err = tell(&m->source, MOVE_FENCE, ARGS(ID(m), RH_BOOL(false)))))
		return err;
	move_say(m, "makes room where it goes");
	if ((err = copy_own(m)) || (err = clear(m, &m->target)) ||
	    (err = copy_own(m)))	/* clear drops who is no member yet */
		return err;
	move_say(m, "publishes its rows");
	if ((err = tell(&m->source, MOVE_PUBLISH, ARGS(ID(m)))) ||
	    (err = tell(&m->source, MOVE_SLOT, ARGS(ID(m)))))
		return err;
	move_say(m, "subscribes to them");
	return tell(&m->target, MOVE_SUBSCRIBE, ARGS(ID(m),
	    RH_TEXT(rh_slice_of(m->source.url))));
}

/* Until no more is left than that, as long as the target can take it at all. */
static struct rh_err *
progress(struct move *m, struct place *p, enum move_stmt left, int64_t most)
{
	struct rh_err *err;
	int64_t n, failures;

	for (;;) {
		if ((err = move_ask_int(p->db, left, ARGS(ID(m)), &n)) ||
		    n <= most)
			return err;
		if ((err = move_ask_int(m->target.db, MOVE_FAILED, ARGS(ID(m)),
		    &failures)))
			return err;
		if (failures > FAILURES_MAX)
			return move_fault(m, "cannot take the rows, its log says"
			    " why; then run again, or --abort", m->target.name);
		pause_ms(COPY_LOOK_MS);
	}
}

static struct rh_err *
catch_up(struct move *m)
{
	struct rh_err *err;

	move_say(m, "copies its rows");
	if ((err = progress(m, &m->target, MOVE_COPIED, 0)))
		return err;
	move_say(m, "catches up");
	return progress(m, &m->source, MOVE_LAG, LAG_MAX);
}

/* ---- the switch ---- */

/* Who has not seen the fence is at work no more, and what they did is there. */
static struct rh_err *
drain(struct move *m, int64_t until_ms)
{
	struct rh_slice running, lsn;
	struct rh_err *err;

	if ((err = move_ask_text(m->source.db, MOVE_RUNNING, NULL, 0,
	    &running)) ||
	    (err = move_await(m, &m->source, MOVE_LEFT, 0, until_ms,
	    "has transactions that do not end", ARGS(RH_TEXT(running)))) ||
	    (err = move_ask_text(m->source.db, MOVE_LSN, NULL, 0, &lsn)))
		return err;
	return move_await(m, &m->source, MOVE_REACHED, 1, until_ms,
	    "what is new does not arrive in time",
	    ARGS(ID(m), RH_TEXT(lsn)));
}

static struct rh_err *
compare(struct move *m)
{
	int64_t alive = rh_clock_wall_us() / 1000000 + EXPIRY_S;
	struct rh_slice there;
	struct rh_err *err;

	if ((err = move_ask_text(m->source.db, MOVE_COUNT,
	    ARGS(ID(m), RH_INT(alive)), &m->rows)) ||
	    (err = move_ask_text(m->target.db, MOVE_COUNT,
	    ARGS(ID(m), RH_INT(alive)), &there)))
		return err;
	if (rh_slice_is(m->rows, there))
		return NULL;
	return rh_err_new(m->self->arena, RH_E_BUG, "move", "rows are not the"
	    " same: %.*s here, %.*s there", RH_SLICE_ARG(m->rows),
	    RH_SLICE_ARG(there));
}

/* Of requests that were answered here, Redis knows nothing any more. */
static struct rh_err *
forget_both(struct move *m)
{
	if (!forget_at(m->self, m->source.redis_url, m->id,
	    RH_SLICE("principals")))
		return move_fault(m, "its Redis cannot be told", m->source.name);
	if (!forget_all(m->self, m->target.redis_url, m->id))
		return move_fault(m, "its Redis cannot be told", m->target.name);
	return NULL;
}

/* To home both are one transaction. */
static struct rh_err *
flip(struct move *m)
{
	bool to_home = m->target.db == m->home.db;
	struct rh_err *err;

	rh_pipe_send(m->home.db->pipe, &move_stmts[MOVE_FLIP], ID(m),
	    RH_TEXT(m->target.name));
	if (to_home)
		rh_pipe_send(m->home.db->pipe, &move_stmts[MOVE_ARRIVE], ID(m));
	(void)rh_pipe_done(m->home.db->pipe);
	if (to_home)
		(void)rh_pipe_done(m->home.db->pipe);
	if ((err = rh_pipe_error(m->home.db->pipe)) || to_home)
		return err;
	return tell(&m->target, MOVE_ARRIVE, ARGS(ID(m)));
}

static struct rh_err *
switch_over(struct move *m)
{
	int64_t from_ms = move_now_ms(), until_ms = from_ms + SWITCH_MS;
	struct rh_err *err, *undone;

	move_say(m, "pauses");
	if ((err = tell(&m->source, MOVE_FENCE, ARGS(ID(m), RH_BOOL(true)))))
		return err;
	if ((err = drain(m, until_ms)) || (err = copy_own(m)) ||
	    (err = compare(m)) || (err = forget_both(m)) ||
	    /* what somebody who is late does here reaches nobody there */
	    (err = tell(&m->target, MOVE_UNSUBSCRIBE, ARGS(ID(m))))) {
		rh_pg_again(m->source.db->pg);
		undone = tell(&m->source, MOVE_FENCE,
		    ARGS(ID(m), RH_BOOL(false)));
		move_say(m, undone ? "is paused still: run again, or --abort" :
		    "is served where it was");
		return err;
	}
	move_say(m, "switches");
	if ((err = flip(m)))
		return err;
	m->paused_ms = move_now_ms() - from_ms;
	move_say(m, "is served where it goes");
	return NULL;
}

/* ---- the end of it ---- */

static struct rh_err *
tidy(struct move *m, struct place *p)
{
	struct rh_err *err;
	int64_t away;

	move_say(m, "ends the replication");
	if ((err = tell(&m->target, MOVE_UNSUBSCRIBE, ARGS(ID(m)))) ||
	    (err = move_await(m, &m->source, MOVE_UNPUBLISH, 1, move_now_ms() + END_MS,
	    "its replication slot stays in use", ARGS(ID(m)))) ||
	    (err = move_ask_int(p->db, MOVE_KNOWN, ARGS(ID(m)), &away)))
		return err;
	if (p == &m->source)
		move_say(m, "removes its rows where it was");
	else
		move_say(m, "removes its rows where it would have gone");
	if (away && (err = clear(m, p)))
		return err;
	rh_pipe_send(m->home.db->pipe, &move_stmts[MOVE_END], ID(m));
	(void)rh_pipe_done(m->home.db->pipe);
	return rh_pipe_error(m->home.db->pipe);
}

struct rh_err *
move_abandon(struct move *m)
{
	struct rh_err *err;

	if ((err = tell(&m->source, MOVE_FENCE, ARGS(ID(m), RH_BOOL(false)))))
		return err;
	move_say(m, "is served where it was");
	return tidy(m, &m->target);
}

struct rh_err *
move_go(struct move *m, bool is_there)
{
	struct rh_err *err;

	if (is_there) {
		/* the run before was killed behind the switch, or in it */
		if ((err = tell(&m->target, MOVE_ARRIVE, ARGS(ID(m)))))
			return err;
		return tidy(m, &m->source);
	}
	if ((err = check(m)))
		return err;
	rh_pipe_send(m->home.db->pipe, &move_stmts[MOVE_BEGIN], ID(m),
	    RH_TEXT(m->source.name), RH_TEXT(m->target.name));
	(void)rh_pipe_done(m->home.db->pipe);
	if ((err = rh_pipe_error(m->home.db->pipe)) || (err = subscribe(m)) || (err = catch_up(m)) ||
	    (err = switch_over(m)))
		return err;
	return tidy(m, &m->source);
}
