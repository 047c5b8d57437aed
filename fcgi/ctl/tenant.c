#include "config.h"

#include "ctl/tenant.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctl/conf.h"
#include "ctl/database.h"
#include "ctl/forget.h"
#include "ctl/move.h"

enum {
	TENANT, TOKEN, TENANT_WRITE, TOKEN_WRITE, WINDOW, LIMITS,
	RESET = LIMITS, ABORT, JSON, OPTIONS
};

/* clang-format off */
const struct rh_option tenant_options[] = {
	[TENANT] = { "--tenant", "N", "requests of all its tokens in a window; 0, here and below: as configured", NULL },
	[TOKEN] = { "--token", "N", "requests with one token in a window", NULL },
	[TENANT_WRITE] = { "--tenant-write", "N", "a budget of their own for those that write", NULL },
	[TOKEN_WRITE] = { "--token-write", "N", "the same for one token's", NULL },
	[WINDOW] = { "--window", "TIME", "what they are counted in, as in 60s: a second to an hour", NULL },
	[RESET] = { "--reset", NULL, "all as configured, before what else is given", NULL },
	[ABORT] = { "--abort", NULL, "move: undo one that was begun, and not switched yet", NULL },
	[JSON] = { "--json", NULL, "one JSON object", NULL },
	{ 0 }
};

/* ---- the database: this role owns the tables, and sees what rowhouse_auth may ---- */

enum { DROP, SET, SHOW, WHERE };
static struct rh_stmt stmts[] = {
	[DROP] = { .name = "tenant_limits.drop", .global = "an operator names any tenant", .sql =
	    "delete from tenant_limits l using tenants t where l.tenant_id = t.id and t.slug = $1 and not l.away" },
	/* -1: as it was */
	[SET] = { .name = "tenant_limits.set", .global = "an operator names any tenant", .sql =
	    "insert into tenant_limits as l (tenant_id, tenant, token, tenant_write, token_write, window_ms)"
	    " select id, greatest($2::int, 0), greatest($3::int, 0), greatest($4::int, 0),"
	    "  greatest($5::int, 0), greatest($6::int, 0) from tenants where slug = $1 and deleted_at is null"
	    " on conflict (tenant_id) do update set updated_at = now(),"
	    "  tenant = case when $2::int < 0 then l.tenant else excluded.tenant end,"
	    "  token = case when $3::int < 0 then l.token else excluded.token end,"
	    "  tenant_write = case when $4::int < 0 then l.tenant_write else excluded.tenant_write end,"
	    "  token_write = case when $5::int < 0 then l.token_write else excluded.token_write end,"
	    "  window_ms = case when $6::int < 0 then l.window_ms else excluded.window_ms end" },
	[SHOW] = { .name = "tenant_limits.show", .global = "an operator names any tenant", .sql =
	    "select t.id, coalesce(l.tenant, 0), coalesce(l.token, 0), coalesce(l.tenant_write, 0),"
	    " coalesce(l.token_write, 0), coalesce(l.window_ms, 0)"
	    " from tenants t left join tenant_limits l on l.tenant_id = t.id"
	    " where t.slug = $1 and t.deleted_at is null" },
	/* at home */
	[WHERE] = { .name = "tenant_limits.place", .global = "an operator names any tenant", .sql =
	    "select coalesce(placement, ''), coalesce(move_to, '') from tenants where slug = $1" },
	{ 0 }
};

struct where {
	struct rh_slice placement, move_to;
};
static const struct rh_field where_columns[] = {
	{ RH_FIELD("placement", TEXT, struct where, placement) },
	{ RH_FIELD("move_to", TEXT, struct where, move_to) },
	{ 0 }
};

struct plan {
	struct rh_uuid id;
	int64_t of[LIMITS];
};
#define OF(i) .type = RH_T_INT, .at = offsetof(struct plan, of[i])
static const struct rh_field columns[] = {
	{ RH_FIELD("id", UUID, struct plan, id) },
	{ .name = "tenant", OF(TENANT) },
	{ .name = "token", OF(TOKEN) },
	{ .name = "tenant_write", OF(TENANT_WRITE) },
	{ .name = "token_write", OF(TOKEN_WRITE) },
	{ .name = "window_ms", OF(WINDOW) },
	{ 0 }
};
/* clang-format on */

static struct rh_err *
ask(struct database *db, struct rh_slice slug, const struct plan *change,
    bool changes, bool reset, struct plan *now, bool *found)
{
	const int64_t *of = change->of;

	if (reset)
		rh_pipe_send(db->pipe, &stmts[DROP], RH_TEXT(slug));
	if (changes)
		rh_pipe_send(db->pipe, &stmts[SET], RH_TEXT(slug),
		    RH_INT(of[TENANT]), RH_INT(of[TOKEN]),
		    RH_INT(of[TENANT_WRITE]), RH_INT(of[TOKEN_WRITE]),
		    RH_INT(of[WINDOW]));
	rh_pipe_send(db->pipe, &stmts[SHOW], RH_TEXT(slug));
	if (reset)
		(void)rh_pipe_done(db->pipe);
	if (changes)
		(void)rh_pipe_done(db->pipe);
	*found = rh_pipe_row(db->pipe, columns, now);
	return rh_pipe_error(db->pipe);
}

struct database *
tenant_open(const struct rh_program *self, struct rh_slice slug, bool changes,
    const char **redis_url)
{
	struct database *db = database_open(self, stmts);
	const struct rh_placement_conf *p;
	struct where w = { .placement = RH_SLICE_NONE };
	struct rh_err *err;

	*redis_url = ctl_conf.redis_url.p;
	if (!db)
		return NULL;
	rh_pipe_send(db->pipe, &stmts[WHERE], RH_TEXT(slug));
	(void)rh_pipe_row(db->pipe, where_columns, &w);
	if ((err = rh_pipe_error(db->pipe)))
		rh_program_fail(self, "%s", err->cause ? err->cause :
		    err->detail);
	else if (w.move_to.n && changes)
		rh_program_fail(self, "it is on its way to %.*s: again when it"
		    " is there", RH_SLICE_ARG(w.move_to));
	else if (!w.placement.n)
		return db;
	else if (!(p = rh_serve_conf_placement(&ctl_conf, w.placement)) ||
	    !p->admin_database_url.n)
		rh_program_fail(self, "%s has no admin_database_url of"
		    " placement %.*s", self->conf_path,
		    RH_SLICE_ARG(w.placement));
	else {
		database_close(&db);
		*redis_url = p->redis_url.p;
		return database_connect(self, p->admin_database_url.p);
	}
	database_close(&db);
	return NULL;
}

/* ---- what was given ---- */

static bool
change_read(const struct rh_program *self, const char *const values[],
    struct plan *change, bool *changes)
{
	static const struct rh_directive number = { "", RH_CONF(INT,
	    struct plan, of[0]), NULL, "0", "1000000000", RH_RELOAD, "", NULL };
	static const struct rh_directive window = { "", RH_CONF(MS,
	    struct plan, of[0]), NULL, "1s", "1h", RH_RELOAD, "", NULL };
	struct rh_buf why;

	for (int i = 0; i < LIMITS; i++) {
		struct plan one = { .of = { 0 } };

		change->of[i] = -1;
		if (!values[i])
			continue;
		rh_buf_init(&why, self->arena, 128, 1024);
		if (strcmp(values[i], "0") != 0 &&
		    !rh_conf_value_get(&one, i == WINDOW ? &window : &number,
		    rh_slice_of(values[i]), self->arena, &why)) {
			rh_program_fail(self, "%s: %.*s", tenant_options[i].name,
			    RH_SLICE_ARG(rh_buf_get(&why)));
			return false;
		}
		change->of[i] = one.of[0];
		*changes = true;
	}
	return true;
}

/* ---- what it is now ---- */

static const char *const names[LIMITS] = {
	[TENANT] = "tenant", [TOKEN] = "token",
	[TENANT_WRITE] = "tenant_write", [TOKEN_WRITE] = "token_write",
	[WINDOW] = "window_ms"
};

static void
put_json(struct rh_buf *to, struct rh_slice slug, const struct plan *p)
{
	char id[RH_UUID_LEN];

	rh_uuid_put(id, p->id);
	rh_buf_lit(to, "{\"tenant\":");
	rh_buf_json(to, slug);
	rh_buf_printf(to, ",\"tenant_id\":\"%.*s\",\"limits\":", RH_UUID_LEN, id);
	for (int i = 0; i < LIMITS; i++) {
		rh_buf_printf(to, "%c\"%s\":", i ? ',' : '{', names[i]);
		if (p->of[i])
			rh_buf_i64(to, p->of[i]);
		else
			rh_buf_lit(to, "null");
	}
	rh_buf_lit(to, "}}\n");
}

static void
put_text(struct rh_buf *to, struct rh_slice slug, const struct plan *p)
{
	rh_buf_printf(to, "%.*s\n", RH_SLICE_ARG(slug));
	for (int i = 0; i < LIMITS; i++) {
		rh_buf_printf(to, "  %-13s ", names[i]);
		if (p->of[i])
			rh_buf_i64(to, p->of[i]);
		else
			rh_buf_lit(to, "as configured");
		rh_buf_char(to, '\n');
	}
}

static int
print(const struct rh_program *self, struct rh_slice slug,
    const struct plan *p, bool json)
{
	struct rh_buf text;

	rh_buf_init(&text, self->arena, 512, 4096);
	(json ? put_json : put_text)(&text, slug, p);
	if (!text.full && fwrite(text.p, 1, text.n, stdout) == text.n &&
	    fflush(stdout) == 0)
		return EXIT_SUCCESS;
	return rh_program_fail(self, "cannot write: %s", strerror(errno));
}

static int
limit(const struct rh_program *self, struct rh_slice slug,
    const char *const values[])
{
	struct plan change, now = { .of = { 0 } };
	bool changes = false, found = false;
	const char *redis_url;
	struct database *db;
	struct rh_err *err;

	if (!change_read(self, values, &change, &changes) ||
	    !(db = tenant_open(self, slug, changes || values[RESET],
	    &redis_url)))
		return EXIT_FAILURE;
	err = ask(db, slug, &change, changes, values[RESET], &now, &found);
	database_close(&db);
	if (err)
		return rh_program_fail(self, "%s", err->cause ? err->cause :
		    err->detail);
	if (!found)
		return rh_program_fail(self, "there is no tenant \"%.*s\"",
		    RH_SLICE_ARG(slug));
	/* its plan stands beside who is let in */
	if (changes || values[RESET])
		(void)!forget_at(self, redis_url, now.id,
		    RH_SLICE("principals"));
	return print(self, slug, &now, values[JSON]);
}

int
tenant_run(struct rh_program *self, int argc, char **argv)
{
	const char *values[OPTIONS];

	if (!rh_program_take_options(self, &argc, argv, values))
		return EXIT_FAILURE;
	if (argc >= 3 && strcmp(argv[1], "move") == 0 &&
	    argc == (values[ABORT] ? 3 : 4))
		return tenant_move(self, rh_slice_of(argv[2]),
		    argc == 4 ? rh_slice_of(argv[3]) : RH_SLICE_NONE,
		    values[ABORT], values[JSON]);
	if (argc != 3 || strcmp(argv[1], "limit") != 0 || values[ABORT])
		return rh_program_fail(self, "tenant: wants \"limit SLUG\","
		    " \"move SLUG PLACEMENT\" or \"move SLUG --abort\"");
	return limit(self, rh_slice_of(argv[2]), values);
}
