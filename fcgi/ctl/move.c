#include "config.h"

#include "ctl/move.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/text.h"
#include "ctl/conf.h"
#include "ctl/forget.h"

/*
 * LAG: so little is left that the pause is short. SWITCH: longer nobody is kept
 * waiting, the tenant is served where it was. EXPIRY: no purge of the pause
 * reaches so far.
 */
enum {
	LAG_MAX = 256 << 10, LOCK_MS = 10000, SWITCH_MS = 10000, END_MS = 60000, LOOK_MS = 5,
	COPY_LOOK_MS = 100, BATCH = 1000, EXPIRY_S = 600
};

struct place {
	struct rh_slice name;
	const char *url, *redis_url;
	struct database *db;
};

struct move {
	const struct rh_program *self;
	struct rh_slice slug;
	struct rh_uuid id;
	struct place home, source, target;
	struct rh_slice rows;		/* of each table, as compared */
	int64_t paused_ms;
};

#define ID(m)	RH_UUID((m)->id)
/* move_ask_*(db, stmt, n, args) of what stands behind. */
#define ARGS(...)	((const struct rh_arg[]){ __VA_ARGS__ }),		\
	(unsigned)(sizeof((const struct rh_arg[]){ __VA_ARGS__ }) /		\
	sizeof(struct rh_arg))

static void
say(const struct move *m, const char *what)
{
	fprintf(stderr, "%s: %.*s: %s\n", m->self->name, RH_SLICE_ARG(m->slug),
	    what);
}

static struct rh_err *
fault(const struct move *m, const char *what, struct rh_slice where)
{
	return rh_err_new(m->self->arena, RH_E_CONFLICT, "move", "%.*s: %s",
	    RH_SLICE_ARG(where), what);
}

static int64_t
now_ms(void)
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
static struct rh_err *
await(struct move *m, struct place *p, enum move_stmt stmt, int64_t wanted,
    int64_t until_ms, const char *late, const struct rh_arg *args, unsigned n)
{
	struct rh_err *err;
	int64_t got;

	for (;;) {
		if ((err = move_ask_int(p->db, stmt, args, n, &got)) ||
		    got == wanted)
			return err;
		if (now_ms() >= until_ms)
			return fault(m, late, p->name);
		pause_ms(LOOK_MS);
	}
}

/* ---- the places ---- */

static bool
place_of(const struct rh_program *self, struct place *p, struct rh_slice name)
{
	const struct rh_placement_conf *conf;

	*p = (struct place){ name, ctl_conf.move_database_url.p,
		ctl_conf.redis_url.p, NULL };
	if (!rh_slice_is(name, RH_SLICE(RH_PLACEMENT_HOME))) {
		if (!(conf = rh_serve_conf_placement(&ctl_conf, name))) {
			rh_program_fail(self, "%s has no placement \"%.*s\"",
			    self->conf_path, RH_SLICE_ARG(name));
			return false;
		}
		p->url = conf->move_database_url.p;
		p->redis_url = conf->redis_url.p;
	}
	if (p->url && p->url[0])
		return true;
	rh_program_fail(self, "%.*s has no move_database_url: a superuser's",
	    RH_SLICE_ARG(name));
	return false;
}

static bool
place_open(struct move *m, struct place *p)
{
	struct rh_err *err;

	if (!(p->db = database_connect(m->self, p->url)))
		return false;
	if (!(err = await(m, p, MOVE_LOCK, 1, now_ms() + LOCK_MS,
	    "another run is at work on it", ARGS(RH_TEXT(m->slug)))))
		return true;
	rh_program_fail(m->self, "%s", err->cause ? err->cause : err->detail);
	return false;
}

/* Home is one of them, as a rule. */
static bool
places_open(struct move *m, struct rh_slice from, struct rh_slice to)
{
	struct place *const both[] = { &m->source, &m->target };
	const struct rh_slice names[] = { from, to };

	for (size_t i = 0; i < RH_COUNT(both); i++) {
		if (!place_of(m->self, both[i], names[i]))
			return false;
		if (rh_slice_is(names[i], m->home.name))
			*both[i] = m->home;
		else if (!place_open(m, both[i]))
			return false;
	}
	return true;
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
			return fault(m, "its move_database_url is not a"
			    " superuser's", both[i]->name);
		word = rh_slice_cut(&book[i], ' ');
		if (!rh_slice_is(word, RH_SLICE("t")))
			return fault(m, "is older than PostgreSQL 15, which"
			    " replicates by the row", both[i]->name);
		logical = rh_slice_is(rh_slice_cut(&book[i], ' '),
		    RH_SLICE("logical"));
		word = rh_slice_cut(&book[i], ' ');
		if (i == 0 && (!logical || rh_slice_is(word, RH_SLICE("0"))))
			return fault(m, "needs wal_level = logical and"
			    " max_wal_senders above 0 in its postgresql.conf,"
			    " and a restart", both[i]->name);
	}
	if (!rh_slice_is(book[0], book[1]))
		return fault(m, "has not the same migrations; run"
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
	say(m, "makes room where it goes");
	if ((err = copy_own(m)) || (err = clear(m, &m->target)) ||
	    (err = copy_own(m)))	/* clear drops who is no member yet */
		return err;
	say(m, "publishes its rows");
	if ((err = tell(&m->source, MOVE_PUBLISH, ARGS(ID(m)))) ||
	    (err = tell(&m->source, MOVE_SLOT, ARGS(ID(m)))))
		return err;
	say(m, "subscribes to them");
	return tell(&m->target, MOVE_SUBSCRIBE, ARGS(ID(m),
	    RH_TEXT(rh_slice_of(m->source.url))));
}

static struct rh_err *
catch_up(struct move *m)
{
	int64_t left = 1, lag = INT64_MAX;
	struct rh_err *err;

	say(m, "copies its rows");
	while (left > 0) {
		if ((err = move_ask_int(m->target.db, MOVE_COPIED, ARGS(ID(m)),
		    &left)))
			return err;
		if (left > 0)
			pause_ms(COPY_LOOK_MS);
	}
	say(m, "catches up");
	while (lag > LAG_MAX) {
		if ((err = move_ask_int(m->source.db, MOVE_LAG, ARGS(ID(m)),
		    &lag)))
			return err;
		if (lag > LAG_MAX)
			pause_ms(COPY_LOOK_MS);
	}
	return NULL;
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
	    (err = await(m, &m->source, MOVE_LEFT, 0, until_ms,
	    "has transactions that do not end", ARGS(RH_TEXT(running)))) ||
	    (err = move_ask_text(m->source.db, MOVE_LSN, NULL, 0, &lsn)))
		return err;
	return await(m, &m->source, MOVE_REACHED, 1, until_ms,
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
		return fault(m, "its Redis cannot be told", m->source.name);
	if (!forget_all(m->self, m->target.redis_url, m->id))
		return fault(m, "its Redis cannot be told", m->target.name);
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
		rh_pipe_send(m->home.db->pipe, &move_stmts[MOVE_FENCE], ID(m),
		    RH_BOOL(false));
	(void)rh_pipe_done(m->home.db->pipe);
	if (to_home)
		(void)rh_pipe_done(m->home.db->pipe);
	if ((err = rh_pipe_error(m->home.db->pipe)) || to_home)
		return err;
	return tell(&m->target, MOVE_FENCE, ARGS(ID(m), RH_BOOL(false)));
}

static struct rh_err *
switch_over(struct move *m)
{
	int64_t from_ms = now_ms(), until_ms = from_ms + SWITCH_MS;
	struct rh_err *err, *undone;

	say(m, "pauses");
	if ((err = tell(&m->source, MOVE_FENCE, ARGS(ID(m), RH_BOOL(true)))))
		return err;
	if ((err = drain(m, until_ms)) || (err = copy_own(m)) ||
	    (err = compare(m)) || (err = forget_both(m))) {
		rh_pg_again(m->source.db->pg);
		undone = tell(&m->source, MOVE_FENCE,
		    ARGS(ID(m), RH_BOOL(false)));
		say(m, undone ? "is paused still: run again, or --abort" :
		    "is served where it was");
		return err;
	}
	say(m, "switches");
	if ((err = flip(m)))
		return err;
	m->paused_ms = now_ms() - from_ms;
	say(m, "is served where it goes");
	return NULL;
}

/* ---- the end of it ---- */

static struct rh_err *
tidy(struct move *m, struct place *p)
{
	struct rh_err *err;
	int64_t away;

	say(m, "ends the replication");
	if ((err = tell(&m->target, MOVE_UNSUBSCRIBE, ARGS(ID(m)))) ||
	    (err = await(m, &m->source, MOVE_UNPUBLISH, 1, now_ms() + END_MS,
	    "its replication slot stays in use", ARGS(ID(m)))) ||
	    (err = move_ask_int(p->db, MOVE_KNOWN, ARGS(ID(m)), &away)))
		return err;
	if (p == &m->source)
		say(m, "removes its rows where it was");
	else
		say(m, "removes its rows where it would have gone");
	if (away && (err = clear(m, p)))
		return err;
	rh_pipe_send(m->home.db->pipe, &move_stmts[MOVE_END], ID(m));
	(void)rh_pipe_done(m->home.db->pipe);
	return rh_pipe_error(m->home.db->pipe);
}

static struct rh_err *
abandon(struct move *m)
{
	struct rh_err *err;

	if ((err = tell(&m->source, MOVE_FENCE, ARGS(ID(m), RH_BOOL(false)))))
		return err;
	say(m, "is served where it was");
	return tidy(m, &m->target);
}

static struct rh_err *
go(struct move *m, bool is_there)
{
	struct rh_err *err;

	if (is_there) {
		/* the run before was killed behind the switch, or in it */
		if ((err = tell(&m->target, MOVE_FENCE,
		    ARGS(ID(m), RH_BOOL(false)))))
			return err;
		return tidy(m, &m->source);
	}
	rh_pipe_send(m->home.db->pipe, &move_stmts[MOVE_BEGIN], ID(m),
	    RH_TEXT(m->source.name), RH_TEXT(m->target.name));
	(void)rh_pipe_done(m->home.db->pipe);
	if ((err = rh_pipe_error(m->home.db->pipe)) || (err = check(m)) ||
	    (err = subscribe(m)) || (err = catch_up(m)) ||
	    (err = switch_over(m)))
		return err;
	return tidy(m, &m->source);
}

/* ---- the command ---- */

static int
print(const struct move *m, bool json)
{
	struct rh_buf to;
	char id[RH_UUID_LEN];

	rh_buf_init(&to, m->self->arena, 512, 64 << 10);
	rh_uuid_put(id, m->id);
	if (json)
		rh_buf_printf(&to, "{\"tenant\":\"%.*s\",\"tenant_id\":\"%.*s\","
		    "\"from\":\"%.*s\",\"to\":\"%.*s\",\"rows\":%.*s,"
		    "\"paused_ms\":%lld}\n", RH_SLICE_ARG(m->slug),
		    RH_UUID_LEN, id, RH_SLICE_ARG(m->source.name),
		    RH_SLICE_ARG(m->target.name), RH_SLICE_ARG(m->rows),
		    (long long)m->paused_ms);
	else
		rh_buf_printf(&to, "%.*s: from %.*s to %.*s, paused for %lld"
		    " ms\n", RH_SLICE_ARG(m->slug),
		    RH_SLICE_ARG(m->source.name), RH_SLICE_ARG(m->target.name),
		    (long long)m->paused_ms);
	if (!to.full && fwrite(to.p, 1, to.n, stdout) == to.n &&
	    fflush(stdout) == 0)
		return EXIT_SUCCESS;
	return rh_program_fail(m->self, "cannot write: %s", strerror(errno));
}

static int
run(struct move *m, struct move_found *found, struct rh_slice to, bool abort)
{
	bool is_there = rh_slice_is(found->at, to);
	struct rh_slice from = found->to.n ? found->from : found->at;
	struct rh_err *err;

	if (!places_open(m, from, to))
		return EXIT_FAILURE;
	if (abort && is_there)
		return rh_program_fail(m->self, "it is served there already:"
		    " run the move again to end it, and then move it back");
	if ((err = abort ? abandon(m) : go(m, is_there)))
		return rh_program_fail(m->self, "%s", err->cause ? err->cause :
		    err->detail);
	return EXIT_SUCCESS;
}

static int
find(struct move *m, struct move_found *found)
{
	struct rh_err *err;
	bool is_known;

	if (!place_of(m->self, &m->home, RH_SLICE(RH_PLACEMENT_HOME)) ||
	    !place_open(m, &m->home))
		return EXIT_FAILURE;
	if ((err = move_find(m->home.db, m->slug, found, &is_known)))
		return rh_program_fail(m->self, "%s", err->cause ? err->cause :
		    err->detail);
	if (!is_known)
		return rh_program_fail(m->self, "there is no tenant \"%.*s\"",
		    RH_SLICE_ARG(m->slug));
	m->id = found->id;
	return EXIT_SUCCESS;
}

int
tenant_move(struct rh_program *self, struct rh_slice slug, struct rh_slice to,
    bool abort, bool json)
{
	struct move m = { .self = self, .slug = slug,
		.rows = RH_SLICE_INIT("null") };
	struct move_found found;

	rh_stmts_register(move_stmts);
	if (find(&m, &found))
		return EXIT_FAILURE;
	if (abort && !found.to.n)
		return rh_program_fail(self, "no move of it is under way");
	if (found.to.n && to.n && !rh_slice_is(found.to, to))
		return rh_program_fail(self, "a move to %.*s is under way: end"
		    " it, or --abort it", RH_SLICE_ARG(found.to));
	if (abort)
		to = found.to;
	if (!found.to.n && rh_slice_is(found.at, to)) {
		m.source.name = m.target.name = to;
		return print(&m, json);
	}
	return run(&m, &found, to, abort) == EXIT_SUCCESS ? print(&m, json) :
	    EXIT_FAILURE;
}
