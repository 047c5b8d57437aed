#include "config.h"

#include "ctl/move.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctl/conf.h"

/* For what a run that was killed has left at work. */
enum { LOCK_MS = 10000 };

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
	if (!(err = move_await(m, p, MOVE_LOCK, 1, move_now_ms() + LOCK_MS,
	    "another run is at work on it, or this is the database of another"
	    " place, too", ARGS(RH_TEXT(m->slug)))))
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

static void
places_close(struct move *m)
{
	struct database *home = m->home.db;
	struct place *const both[] = { &m->source, &m->target };

	for (size_t i = 0; i < RH_COUNT(both); i++)
		if (both[i]->db != home)
			database_close(&both[i]->db);
	database_close(&home);
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
	else if (rh_slice_is(m->source.name, m->target.name))
		rh_buf_printf(&to, "%.*s: at %.*s\n", RH_SLICE_ARG(m->slug),
		    RH_SLICE_ARG(m->source.name));
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
	if ((err = abort ? move_abandon(m) : move_go(m, is_there)))
		return rh_program_fail(m->self, "%s", err->cause ? err->cause :
		    err->detail);
	if (abort)
		m->target.name = m->source.name;
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

static int
find_and_run(struct move *m, struct rh_slice to, bool abort)
{
	struct move_found found;

	if (find(m, &found))
		return EXIT_FAILURE;
	if (abort && !found.to.n)
		return rh_program_fail(m->self, "no move of it is under way");
	if (found.to.n && to.n && !rh_slice_is(found.to, to))
		return rh_program_fail(m->self, "a move to %.*s is under way:"
		    " end it, or --abort it", RH_SLICE_ARG(found.to));
	if (found.to.n || !rh_slice_is(found.at, to))
		return run(m, &found, abort ? found.to : to, abort);
	m->source.name = m->target.name = to;
	return EXIT_SUCCESS;
}

int
tenant_move(struct rh_program *self, struct rh_slice slug, struct rh_slice to,
    bool abort, bool json)
{
	struct move m = { .self = self, .slug = slug,
		.rows = RH_SLICE_INIT("null") };
	int status;

	rh_stmts_register(move_stmts);
	status = find_and_run(&m, to, abort);
	places_close(&m);
	return status == EXIT_SUCCESS ? print(&m, json) : status;
}
