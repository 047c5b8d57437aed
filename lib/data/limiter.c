#include "config.h"

#include "data/limiter.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/id.h"

const char *const rh_limiter_names[RH_LIMITERS + 1] = {
	[RH_LIMITER_SHM] = "shm", [RH_LIMITER_REDIS] = "redis",
	[RH_LIMITER_POSTGRES] = "postgres", NULL
};

static void
judge(struct rh_ask *ask, unsigned i, struct rh_verdict v)
{
	ask->of[i].verdict = v;
	ask->of[i].known = true;
}

/* ---- shared memory ---- */

static uint64_t
cell_of(const struct rh_budget *b)
{
	return rh_hash64(b->key.p, b->key.n);
}

static void
shm_ask(struct rh_limiter *l, struct rh_ask *ask)
{
	uint64_t now = rh_clock_mono_ns();
	unsigned i;

	for (i = 0; i < ask->n; i++) {
		struct rh_budget *b = &ask->of[i];

		judge(ask, i, rh_limit_take(l->table, l->keys, cell_of(b),
		    b->quota, now));
		if (!b->verdict.granted)
			break;
	}
	ask->answered = true;
	if (i == ask->n)
		return;
	ask->denied = i + 1;
	while (i-- > 0) {
		struct rh_budget *b = &ask->of[i];

		rh_limit_give(l->table, l->keys, cell_of(b), b->quota);
		judge(ask, i, rh_limit_look(l->table, l->keys, cell_of(b),
		    b->quota, now));
	}
}

static void
shm_give(struct rh_limiter *l, const struct rh_ask *ask)
{
	for (unsigned i = 0; i < ask->n; i++)
		rh_limit_give(l->table, l->keys, cell_of(&ask->of[i]),
		    ask->of[i].quota);
}

struct rh_verdict
rh_limiter_look(struct rh_limiter *l, const struct rh_budget *b)
{
	return rh_limit_look(l->table, l->keys, cell_of(b), b->quota,
	    rh_clock_mono_ns());
}

/* ---- Redis ---- */

/*
 * Microseconds: a Lua number holds whole ones exactly until the year 2255, and
 * Redis writes it with 17 digits. A clock that was set back, or a window that
 * became shorter, leaves times that are too far ahead: they count as a full
 * window, and are mended.
 */
enum { TAKE, GIVE };
struct rh_script rh_limiter_scripts[] = {
	[TAKE] = { .name = "limiter.take", .lua =
	    "local call = redis.call\n"
	    "local t = call('TIME')\n"
	    "local now = t[1] * 1000000 + t[2]\n"
	    "local had = call('MGET', unpack(KEYS))\n"
	    "local used = {}\n"
	    "for i = 1, #KEYS do\n"
	    "  local step, window = ARGV[2 * i - 1] + 0, ARGV[2 * i] + 0\n"
	    "  local tat = tonumber(had[i] or 0) or 0\n"
	    "  local u = tat - now\n"
	    "  if u < 0 then u = 0 elseif u > window then u = window end\n"
	    "  used[i] = u\n"
	    "  if u > window - step then\n"
	    "    if tat > now + u then\n"
	    "      call('SET', KEYS[i], now + u, 'PX', math.ceil(u / 1000))\n"
	    "    end\n"
	    "    return {i, used[1], used[2] or -1}\n"
	    "  end\n"
	    "end\n"
	    "for i = 1, #KEYS do\n"
	    "  local u = used[i] + ARGV[2 * i - 1]\n"
	    "  used[i] = u\n"
	    "  call('SET', KEYS[i], now + u, 'PX', math.ceil(u / 1000))\n"
	    "end\n"
	    "return {0, used[1], used[2] or -1}\n" },
	[GIVE] = { .name = "limiter.give", .lua =
	    "local t = redis.call('TIME')\n"
	    "local now = t[1] * 1000000 + t[2]\n"
	    "for i = 1, #KEYS do\n"
	    "  local had = tonumber(redis.call('GET', KEYS[i]) or 0) or 0\n"
	    "  local tat = had - tonumber(ARGV[2 * i - 1])\n"
	    "  if tat > now then\n"
	    "    redis.call('SET', KEYS[i], tat,"
	    "      'PX', math.ceil((tat - now) / 1000))\n"
	    "  elseif had > 0 then\n"
	    "    redis.call('DEL', KEYS[i])\n"
	    "  end\n"
	    "end\n"
	    "return 0\n" },
	{ 0 }
};

#define US_NS 1000

/* Rounded up, so that a period never has more requests than the quota says. */
static struct rh_gcra
redis_pace(struct rh_quota q)
{
	struct rh_gcra p = rh_limit_pace(q);
	int64_t step = (p.step_ns + US_NS - 1) / US_NS * US_NS;

	return (struct rh_gcra){ step, step * q.quota };
}

static void
redis_run(struct rh_limiter *l, const struct rh_ask *ask,
    const struct rh_script *script)
{
	struct rh_slice keys[RH_ASK_MAX], args[2 * RH_ASK_MAX];
	char text[2 * RH_ASK_MAX][24];

	for (unsigned i = 0; i < ask->n; i++) {
		struct rh_gcra p = redis_pace(ask->of[i].quota);
		const int64_t us[] = { p.step_ns / US_NS, p.window_ns / US_NS };

		keys[i] = ask->of[i].key;
		for (unsigned k = 0; k < 2; k++) {
			struct rh_buf b;

			rh_buf_init_fixed(&b, text[2 * i + k],
			    sizeof(text[0]));
			rh_buf_i64(&b, us[k]);
			args[2 * i + k] = rh_buf_get(&b);
		}
	}
	rh_redis_run(l->redis, script, keys, ask->n, args, 2 * ask->n);
}

static void
redis_answer(struct rh_limiter *l, struct rh_ask *ask)
{
	const struct rh_redis_value *v = rh_redis_read(l->redis);

	if (v->kind != RH_REDIS_ARRAY || v->n != 1 + RH_ASK_MAX)
		return;
	ask->denied = v->items[0].number;
	for (unsigned i = 0; i < RH_ASK_MAX; i++)
		ask->used_ns[i] = v->items[1 + i].number < 0 ? -1 :
		    v->items[1 + i].number * US_NS;
	ask->answered = true;
}

/* ---- PostgreSQL ---- */

enum { PG_TAKE, PG_GUARD, PG_GIVE, PG_PURGE };

#define BEFORE_WHOSE "asked before it is known whose the caller is"

/* clang-format off */
struct rh_stmt rh_limiter_stmts[] = {
	[PG_TAKE] = { .name = "limiter.take", .global = BEFORE_WHOSE, .sql =
	    "select true, denied, used, used2 from limit_take($1, $2, $3, $4, $5, $6, $7)" },
	[PG_GUARD] = { .name = "limiter.guard", .global = BEFORE_WHOSE, .sql =
	    "select limit_guard($1)" },
	[PG_GIVE] = { .name = "limiter.give", .global = BEFORE_WHOSE, .sql =
	    "select limit_give($1, $2, $3, $4)" },
	[PG_PURGE] = { .name = "limiter.purge", .global = "budgets of all that are idle", .sql =
	    "select limit_purge()" },
	{ 0 }
};

static const struct rh_field said_columns[] = {
	{ RH_FIELD("answered", BOOL, struct rh_ask, answered) },
	{ RH_FIELD("denied", INT, struct rh_ask, denied) },
	{ .name = "used", .type = RH_T_INT, .at = offsetof(struct rh_ask, used_ns[0]) },
	{ .name = "used2", .type = RH_T_INT, .at = offsetof(struct rh_ask, used_ns[1]) },
	{ 0 }
};
static const struct rh_field passed_columns[] = {
	{ RH_FIELD("passed", BOOL, struct rh_ask, passed) },
	{ 0 }
};
/* clang-format on */

/* One may be absent: NULLs. */
static void
pg_args(struct rh_arg *to, const struct rh_ask *ask, unsigned each)
{
	for (unsigned i = 0; i < RH_ASK_MAX; i++, to += each) {
		bool there = i < ask->n;
		struct rh_gcra p = { 0, 0 };

		if (there)
			p = rh_limit_pace(ask->of[i].quota);
		to[0] = RH_TEXT(there ? ask->of[i].key : RH_SLICE_NONE);
		to[1] = RH_INT(p.step_ns);
		if (each == 3)
			to[2] = RH_INT(p.window_ns);
	}
}

static void
pg_ask(struct rh_limiter *l, struct rh_ask *ask)
{
	struct rh_arg args[1 + 3 * RH_ASK_MAX] = { RH_UUID(rh_uuid_v7()) };

	pg_args(args + 1, ask, 3);
	rh_pipe_send_apart(l->pipe, &rh_limiter_stmts[PG_TAKE], args,
	    RH_COUNT(args), &(struct rh_into){ said_columns, ask });
	rh_pipe_send_into(l->pipe, &rh_limiter_stmts[PG_GUARD], args, 1,
	    &(struct rh_into){ passed_columns, ask });
}

static void
pg_give(struct rh_limiter *l, const struct rh_ask *ask)
{
	struct rh_arg args[2 * RH_ASK_MAX];

	pg_args(args, ask, 2);
	rh_pipe_send_args(l->pipe, &rh_limiter_stmts[PG_GIVE], args,
	    RH_COUNT(args));
	(void)!rh_pipe_error(l->pipe);	/* then the rest of its window is longer */
}

void
rh_limiter_purge(struct rh_limiter *l)
{
	rh_pipe_send_args(l->pipe, &rh_limiter_stmts[PG_PURGE], NULL, 0);
	(void)!rh_pipe_error(l->pipe);	/* another time, then */
}

/* ---- all of them ---- */

void
rh_limiter_ask(struct rh_limiter *l, struct rh_ask *ask)
{
	rh_assert(ask->n > 0 && ask->n <= RH_ASK_MAX);
	ask->answered = false;
	ask->denied = 0;
	switch (ask->by) {
	case RH_LIMITER_SHM:
		shm_ask(l, ask);
		return;
	case RH_LIMITER_REDIS:
		redis_run(l, ask, &rh_limiter_scripts[TAKE]);
		return;
	case RH_LIMITER_POSTGRES:
	case RH_LIMITERS:
		pg_ask(l, ask);
		return;
	}
}

bool
rh_limiter_answer(struct rh_limiter *l, struct rh_ask *ask)
{
	if (ask->by == RH_LIMITER_SHM)
		return ask->answered;
	if (ask->by == RH_LIMITER_REDIS)
		redis_answer(l, ask);
	for (unsigned i = 0; ask->answered && i < ask->n; i++) {
		struct rh_quota q = ask->of[i].quota;

		if (ask->used_ns[i] >= 0)
			judge(ask, i, rh_limit_verdict(ask->by ==
			    RH_LIMITER_REDIS ? redis_pace(q) : rh_limit_pace(q),
			    ask->denied != i + 1, ask->used_ns[i]));
	}
	return ask->answered;
}

void
rh_limiter_give(struct rh_limiter *l, const struct rh_ask *ask)
{
	switch (ask->by) {
	case RH_LIMITER_SHM:
		shm_give(l, ask);
		return;
	case RH_LIMITER_REDIS:
		redis_run(l, ask, &rh_limiter_scripts[GIVE]);
		(void)rh_redis_post(l->redis);
		return;
	case RH_LIMITER_POSTGRES:
	case RH_LIMITERS:
		pg_give(l, ask);
		return;
	}
}
