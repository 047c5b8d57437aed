#include "config.h"

#include "serve/place.h"

#include <time.h>

#include "base/clock.h"
#include "data/pg_err.h"
#include "serve/server.h"
#include "tenancy/authorize.h"

/* A request waits so long for the end of its tenant's move, then it is 503. */
enum {
	MOVE_WAIT_MS = 500, MOVE_LOOK_MS = 10, MOVES_MAX = 3,
	UNKNOWN_RETRY_S = 5
};
#define MS_NS	UINT64_C(1000000)

enum { WHERE, FIND, ADOPT };

/* clang-format off */
struct rh_stmt rh_place_stmts[] = {
	[WHERE] = { .name = "place.where",
	    .global = "finds the tenant's id and its placement by its slug",
	    .sql = "select id, placement from tenant_where($1)" },
	[FIND] = { .name = "place.session_find",
	    .global = "a session is home's, and of no tenant",
	    .sql = "select id, user_id, created_at, expires_at from session_find($1)" },
	[ADOPT] = { .name = "place.session_adopt",
	    .sql = "select session_adopt($2, $1, $3, $4, $5, $6)" },
	{ 0 }
};

struct where {
	struct rh_uuid id;
	struct rh_slice placement;
};
static const struct rh_field where_columns[] = {
	{ RH_FIELD("id", UUID, struct where, id) },
	{ RH_FIELD("placement", TEXT, struct where, placement) },
	{ 0 }
};

struct session {
	struct rh_uuid id, user;
	int64_t created_at, expires_at;
};
static const struct rh_field session_columns[] = {
	{ RH_FIELD("id", UUID, struct session, id) },
	{ RH_FIELD("user_id", UUID, struct session, user) },
	{ RH_FIELD("created_at", TIME, struct session, created_at) },
	{ RH_FIELD("expires_at", TIME, struct session, expires_at) },
	{ 0 }
};
/* clang-format on */

/* ---- the sessions ---- */

void
rh_places_open(struct rh_server *s)
{
	struct rh_host *h = s->host;

	s->nplaces = 1 + h->nplaces;
	s->places = rh_arena_zalloc(s->own, s->nplaces, sizeof(*s->places));
	s->places[0] = (struct rh_place){ 0, true, s->pg, s->redis,
		s->coherent };
	s->at = &s->places[0];
	s->placed_redis_obs = s->redis_obs;
	s->placed_redis_obs.placed = true;
	for (unsigned i = 0; i < h->nplaces; i++) {
		const struct rh_place_conf *conf = &h->places[i];
		struct rh_place *p = &s->places[1 + i];

		p->hash = conf->hash;
		p->pg = rh_pg_new(s->own, &conf->pg, &s->pg_obs);
		rh_pg_share_gauge(p->pg, &s->pg_open);
		/* what is behind requests does without */
		if (h->pool == RH_POOL_FCGI && conf->redis.url &&
		    conf->redis.url[0])
			p->redis = rh_redis_new(s->own, &conf->redis,
			    &s->placed_redis_obs);
	}
}

/* Somebody asks there: as a worker opens its own, but nobody waits long. */
static void
place_open(struct rh_server *s, struct rh_place *p)
{
	p->used = true;
	if (!p->redis)
		return;
	(void)rh_redis_warm(p->redis);
	p->coherent = rh_server_coherent(s, p->redis,
	    (unsigned)(p - s->places));
	rh_redis_begin(p->redis, s->arena, NULL);
	rh_coherent_inherit(p->coherent);
	rh_redis_end(p->redis);
}

void
rh_places_idle(struct rh_server *s, void (*tend)(struct rh_server *s))
{
	for (unsigned i = 1; i < s->nplaces; i++) {
		struct rh_place *p = &s->places[i];

		if (!p->used)
			continue;
		if (p->redis)
			rh_server_redis_idle(s, p->redis, p->coherent);
		/* to open it may take long, and others' requests would wait */
		if (!rh_pg_is_open(p->pg))
			continue;
		s->pg = p->pg;
		tend(s);
		s->pg = s->places[0].pg;
	}
}

void
rh_places_close(struct rh_server *s)
{
	for (unsigned i = 1; i < s->nplaces; i++) {
		rh_pg_close(s->places[i].pg);
		rh_redis_close(s->places[i].redis);
	}
}

void
rh_place_stand(struct rh_server *s, unsigned place)
{
	s->at = &s->places[place];
	s->pg = s->at->pg;
}

/* ---- where a request is ---- */

static struct rh_place *
place_find(struct rh_server *s, uint64_t hash)
{
	for (unsigned i = 0; i < s->nplaces; i++)
		if (s->places[i].hash == hash)
			return &s->places[i];
	return NULL;
}

/* Its database alone: the cache and the limiter stay where the tenant's are. */
static void
ask_at(struct rh_call *c, struct rh_place *p)
{
	struct rh_server *s = c->server;
	const struct rh_pipe *was = c->pipe;

	if (s->pg == p->pg) {
		rh_pg_again(s->pg);	/* what it said is known */
		return;
	}
	rh_pg_end(s->pg);
	s->pg = p->pg;
	c->pipe = s->limiter.pipe = rh_pg_begin_on(s->pg, s->arena, c->trace,
	    was);
	rh_pg_deadline(s->pg, c->deadline_ns);
}

static void
enter(struct rh_call *c, struct rh_place *p)
{
	struct rh_server *s = c->server;

	ask_at(c, p);
	if (s->at == p)
		return;
	if (!p->used)
		place_open(s, p);
	if (s->redis) {
		c->redis_trips += rh_redis_round_trips(s->redis);
		c->redis_ns += rh_redis_wait_ns(s->redis);
		rh_redis_end(s->redis);
	}
	s->at = p;
	s->redis = s->limiter.redis = p->redis;
	s->coherent = p->coherent;
	if (!s->redis)
		return;
	rh_redis_begin(s->redis, s->arena, c->trace);
	rh_redis_deadline(s->redis, c->deadline_ns);
}

struct rh_err *
rh_place_enter(struct rh_call *c, uint64_t hash)
{
	struct rh_place *p = place_find(c->server, hash);
	struct rh_err *err;

	if (p) {
		enter(c, p);
		return NULL;
	}
	err = rh_err_new(c->arena, RH_E_UNAVAILABLE, "placement.unknown",
	    "This host does not know the tenant's database; try again.");
	err->cause = "no such placement in this host's configuration";
	err->retry_after_s = UNKNOWN_RETRY_S;
	return err;
}

void
rh_place_leave(struct rh_server *s)
{
	struct rh_place *home = &s->places[0];

	s->at = home;
	s->pg = home->pg;
	s->redis = s->limiter.redis = home->redis;
	s->coherent = home->coherent;
}

unsigned
rh_place_redis_trips(const struct rh_call *c)
{
	const struct rh_server *s = c->server;

	return c->redis_trips + rh_redis_round_trips(s->redis) +
	    (s->caches ? rh_cache_manager_round_trips(s->caches) : 0);
}

uint64_t
rh_place_redis_ns(const struct rh_call *c)
{
	const struct rh_server *s = c->server;

	return c->redis_ns + rh_redis_wait_ns(s->redis) +
	    (s->caches ? rh_cache_manager_wait_ns(s->caches) : 0);
}

void
rh_call_home(struct rh_call *c)
{
	enter(c, c->server->places);
}

bool
rh_call_has_places(const struct rh_call *c)
{
	return c->server->nplaces > 1;
}

bool
rh_call_next_place(struct rh_call *c)
{
	struct rh_server *s = c->server;
	struct rh_place *next = s->at + 1;

	if (next == s->places + s->nplaces)
		next = s->places;
	enter(c, next);
	return next != s->places;
}

/* ---- what home knows of a tenant ---- */

static struct rh_err *
where(struct rh_call *c, struct where *w, bool *found)
{
	const struct rh_arg args[] = { RH_TEXT(c->tenant_slug) };

	ask_at(c, &c->server->places[0]);
	rh_pipe_send_args(c->pipe, &rh_place_stmts[WHERE], args,
	    RH_COUNT(args));
	*found = rh_pipe_row(c->pipe, where_columns, w);
	return rh_pipe_error(c->pipe);
}

struct rh_err *
rh_place_learn(struct rh_call *c)
{
	struct where w = { .placement = RH_SLICE_NONE };
	struct rh_err *err;
	bool found;

	if ((err = where(c, &w, &found)) || !found)
		return err;
	c->placement = rh_placement_hash(w.placement);
	if ((err = rh_place_enter(c, c->placement)))
		return err;
	c->tenant = w.id;
	c->learned = true;
	return NULL;
}

/* ---- a tenant that has moved, or is on its way ---- */

/* What was asked of the cache of where it was: nothing has happened there. */
static void
recall_end(struct rh_call *c)
{
	const struct rh_err nothing = { .kind = RH_E_MISSING, .code = "" };

	rh_recall_done(c, &nothing);
	rh_recall_keep(c, &nothing);
	c->recall = (struct rh_recall){ .asked = false };
}

static bool
wait_a_little(struct rh_call *c)
{
	const struct timespec look = { .tv_nsec = MOVE_LOOK_MS * 1000000L };
	uint64_t now = rh_clock_mono_ns();

	if (!c->moved_ns)
		c->moved_ns = now;
	if (now - c->moved_ns >= MOVE_WAIT_MS * MS_NS ||
	    now + MOVE_LOOK_MS * MS_NS >= c->deadline_ns)
		return false;
	nanosleep(&look, NULL);
	return true;
}

static bool
follow(struct rh_call *c, struct rh_err **err)
{
	struct where w = { .placement = RH_SLICE_NONE };
	struct rh_place *was = c->server->at;
	struct rh_err *failed;
	uint64_t hash;
	bool found;

	if ((failed = where(c, &w, &found)) || !found) {
		*err = failed ? failed : *err;
		return false;
	}
	hash = rh_placement_hash(w.placement);
	if (hash == was->hash) {
		ask_at(c, was);
		return wait_a_little(c);
	}
	rh_directory_place(c->server->host->directory,
	    (unsigned)c->conf->tenants_max, c->tenant_slug, hash);
	recall_end(c);
	if ((failed = rh_place_enter(c, hash))) {
		*err = failed;
		return false;
	}
	c->placement = hash;
	rh_recall_learned(c);
	return ++c->moved_from <= MOVES_MAX;
}

/* ---- a token that its database does not know ---- */

/* Home has it, and the tenant's place its member: from now on it is let in. */
static bool
adopt(struct rh_call *c, struct rh_err **err)
{
	struct rh_place *place = c->server->at;
	const struct rh_arg token[] = { RH_HASH(&c->token) };
	struct session in;
	struct rh_err *failed;
	bool found;

	ask_at(c, &c->server->places[0]);
	rh_pipe_send_args(c->pipe, &rh_place_stmts[FIND], token, 1);
	found = rh_pipe_row(c->pipe, session_columns, &in);
	failed = rh_pipe_error(c->pipe);
	ask_at(c, place);
	if (!found || failed) {
		*err = failed ? failed : *err;
		return false;
	}
	rh_pipe_send(c->pipe, &rh_place_stmts[ADOPT], RH_UUID(c->tenant),
	    RH_HASH(&c->token), RH_UUID(in.id), RH_UUID(in.user),
	    RH_TIME(in.created_at), RH_TIME(in.expires_at));
	(void)rh_pipe_done(c->pipe);
	if (!(failed = rh_pipe_error(c->pipe)))
		return true;
	*err = failed;
	return false;
}

static bool
is_known(struct rh_call *c, struct rh_place *p)
{
	struct rh_principal who = { .actor = RH_SLICE_NONE };

	ask_at(c, p);
	rh_authorize_user(c->pipe, &c->token, &who);
	return !rh_pipe_error(c->pipe);
}

/*
 * A key is known in its tenant's database alone. Outside of tenants its request
 * goes on there; in another tenant's it is that of a foreign one, and its
 * caller hears the same whether there is such a tenant or not.
 */
static bool
seek(struct rh_call *c, struct rh_err **err)
{
	struct rh_server *s = c->server;
	struct rh_place *was = s->at;

	for (unsigned i = 0; i < s->nplaces; i++) {
		struct rh_place *p = &s->places[i];

		if (p == was || !is_known(c, p))
			continue;
		if (c->rq->match.route->access == RH_USER) {
			ask_at(c, was);
			enter(c, p);
			return true;
		}
		*err = rh_pg_err_make(c->arena, "RH404", NULL,
		    "key of another database");
		break;
	}
	ask_at(c, was);
	return false;
}

bool
rh_place_again(struct rh_call *c, struct rh_err **err)
{
	const struct rh_server *s = c->server;

	if (s->nplaces == 1 || c->rq->match.route->access == RH_PUBLIC)
		return false;
	if (strcmp((*err)->code, "tenant.moved") == 0)
		return follow(c, err);
	if (strcmp((*err)->code, "token.unknown") != 0 || c->sought)
		return false;
	c->sought = true;
	if (c->token.kind == RH_TOKEN_KEY)
		return seek(c, err);
	return s->at != &s->places[0] && adopt(c, err);
}
