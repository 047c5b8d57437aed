#include "config.h"

#include "ctl/move.h"

#define ANY	"an operator names any tenant"

/* clang-format off */
struct rh_stmt move_stmts[] = {
	/* of the session: one run at a time, also of what a killed one left at work */
	[MOVE_LOCK] = { .name = "move.lock", .global = ANY, .sql =
	    "select pg_try_advisory_lock(hashtextextended('rowhouse move ' || $1::text, 0))::int" },
	/* at home */
	[MOVE_FIND] = { .name = "move.find", .global = ANY, .sql =
	    "select id, coalesce(placement, 'home'), coalesce(move_from, ''), coalesce(move_to, '')"
	    " from tenants where slug = $1" },
	[MOVE_BEGIN] = { .name = "move.begin", .global = ANY, .sql =
	    "update tenants set move_from = $2, move_to = $3 where id = $1 and move_to is null" },
	[MOVE_END] = { .name = "move.end", .global = ANY, .sql =
	    "update tenants set move_from = null, move_to = null where id = $1" },
	[MOVE_FLIP] = { .name = "move.flip", .global = ANY, .sql =
	    "update tenants set placement = nullif($2::text, 'home') where id = $1" },
	/* where it was, and where it goes */
	[MOVE_FENCE] = { .name = "move.fence", .global = ANY, .sql =
	    "select move_fence($1, $2)::int" },
	[MOVE_ARRIVE] = { .name = "move.arrive", .global = ANY, .sql =
	    "select move_arrive($1)::int" },
	[MOVE_CHECK] = { .name = "move.check", .global = ANY, .sql =
	    "select concat_ws(' ', rolsuper, current_setting('server_version_num')::int >= 150000,"
	    " current_setting('wal_level'), current_setting('max_wal_senders'),"
	    " (select md5(string_agg(version || checksum || state, ',' order by version)) from rowhouse_migrations))"
	    " from pg_roles where rolname = current_user" },
	[MOVE_PUBLISH] = { .name = "move.publish", .global = ANY, .sql =
	    "select move_publish($1)::int" },
	[MOVE_SLOT] = { .name = "move.slot", .global = ANY, .sql =
	    "select count(pg_create_logical_replication_slot(n, 'pgoutput')) from move_name($1) n"
	    " where not exists (select from pg_replication_slots where slot_name = n)" },
	[MOVE_SUBSCRIBED] = { .name = "move.subscribed", .global = ANY, .sql =
	    "select count(*) from pg_subscription s join pg_database d on d.oid = s.subdbid"
	    " where subname = move_name($1) and datname = current_database()" },
	[MOVE_SUBSCRIBE] = { .name = "move.subscribe", .global = ANY, .sql =
	    "select move_subscribe($1, $2)::int" },
	[MOVE_UNSUBSCRIBE] = { .name = "move.unsubscribe", .global = ANY, .sql =
	    "select move_unsubscribe($1)::int" },
	[MOVE_UNPUBLISH] = { .name = "move.unpublish", .global = ANY, .sql =
	    "select move_unpublish($1)::int" },
	/* tables that are not copied yet */
	[MOVE_COPIED] = { .name = "move.copied", .global = ANY, .sql =
	    "select count(*) filter (where srsubstate <> 'r') from pg_subscription_rel"
	    " where srsubid = (select s.oid from pg_subscription s join pg_database d on d.oid = s.subdbid"
	    "  where subname = move_name($1) and datname = current_database())" },
	[MOVE_FAILED] = { .name = "move.failed", .global = ANY, .sql =
	    "select coalesce(sum(apply_error_count + sync_error_count), 0)::bigint"
	    " from pg_stat_subscription_stats where subname = move_name($1)" },
	[MOVE_LAG] = { .name = "move.lag", .global = ANY, .sql =
	    "select pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::bigint"
	    " from pg_replication_slots where slot_name = move_name($1)" },
	[MOVE_RUNNING] = { .name = "move.running", .global = ANY, .sql =
	    "select move_running()" },
	[MOVE_LEFT] = { .name = "move.left", .global = ANY, .sql =
	    "select move_left($1)" },
	/* flushed, or the server would send it only when somebody flushes more */
	[MOVE_LSN] = { .name = "move.lsn", .global = ANY, .sql =
	    "select pg_logical_emit_message(true, 'rowhouse', 'drained')::text"
	    " from set_config('synchronous_commit', 'on', true)" },
	[MOVE_REACHED] = { .name = "move.reached", .global = ANY, .sql =
	    "select (confirmed_flush_lsn >= $2::text::pg_lsn)::int from pg_replication_slots"
	    " where slot_name = move_name($1)" },
	[MOVE_TENANT] = { .name = "move.tenant", .global = ANY, .sql =
	    "select move_tenant($1)" },
	[MOVE_TENANT_TAKE] = { .name = "move.tenant_take", .global = ANY, .sql =
	    "select move_tenant_take($1)::int" },
	[MOVE_USERS] = { .name = "move.users", .global = ANY, .sql =
	    "select move_users($1)" },
	[MOVE_USERS_TAKE] = { .name = "move.users_take", .global = ANY, .sql =
	    "select move_users_take($1)::int" },
	[MOVE_COUNT] = { .name = "move.count", .global = ANY, .sql =
	    "select move_count($1, to_timestamp($2::bigint))" },
	[MOVE_KNOWN] = { .name = "move.known", .global = ANY, .sql =
	    "select count(*) from tenant_limits where tenant_id = $1 and away" },
	[MOVE_CLEAR] = { .name = "move.clear", .global = ANY, .sql =
	    "select move_clear($1, $2)" },
	[MOVE_USERS_DROP] = { .name = "move.users_drop", .global = ANY, .sql =
	    "select move_users_drop($1)" },
	{ 0 }
};

struct text {
	struct rh_slice value;
};
static const struct rh_field text_columns[] = {
	{ RH_FIELD("value", TEXT, struct text, value) },
	{ 0 }
};
static const struct rh_field found_columns[] = {
	{ RH_FIELD("id", UUID, struct move_found, id) },
	{ RH_FIELD("at", TEXT, struct move_found, at) },
	{ RH_FIELD("from", TEXT, struct move_found, from) },
	{ RH_FIELD("to", TEXT, struct move_found, to) },
	{ 0 }
};
/* clang-format on */

struct rh_err *
move_ask_int(struct database *db, enum move_stmt stmt,
    const struct rh_arg *args, unsigned n, int64_t *to)
{
	static struct rh_arena *scratch;
	struct rh_pipe *pipe;
	struct rh_err *err;

	/* asked again and again: what an answer takes is given back */
	if (!scratch)
		scratch = rh_arena_new(4 << 10, 16 << 20);
	rh_pg_end(db->pg);
	pipe = rh_pg_begin(db->pg, scratch, NULL);
	rh_pipe_send_args(pipe, &move_stmts[stmt], args, n);
	*to = rh_pipe_int(pipe);
	if ((err = rh_pipe_error(pipe)))
		return err;
	rh_pg_end(db->pg);
	rh_arena_reset(scratch);
	db->pipe = rh_pg_begin(db->pg, db->arena, NULL);
	return NULL;
}

struct rh_err *
move_ask_text(struct database *db, enum move_stmt stmt,
    const struct rh_arg *args, unsigned n, struct rh_slice *to)
{
	struct text text = { RH_SLICE_NONE };

	rh_pipe_send_args(db->pipe, &move_stmts[stmt], args, n);
	(void)rh_pipe_row(db->pipe, text_columns, &text);
	*to = text.value;
	return rh_pipe_error(db->pipe);
}

struct rh_err *
move_find(struct database *home, struct rh_slice slug, struct move_found *to,
    bool *found)
{
	rh_pipe_send(home->pipe, &move_stmts[MOVE_FIND], RH_TEXT(slug));
	*found = rh_pipe_row(home->pipe, found_columns, to);
	return rh_pipe_error(home->pipe);
}
