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
 * A budget is "TAT", or, where hosts have drawn in advance, "TAT UNTIL OUT": so
 * many are out, charged and perhaps not yet used, until then. What is out cannot
 * come back by waiting: until its end the used part of the window is not below
 * it, and only from then on does it recover, as if all had been used at its last
 * moment. So at no time is there more to be had than the quota, however long a
 * lot lives. A host gives back what it has not used of a lot with its next draw.
 *
 * Microseconds: a Lua number holds whole ones exactly until the year 2255, and
 * Redis writes it with 17 digits. A clock that was set back, or a window that
 * became shorter, leaves times that are too far ahead: they count as a full
 * window, and are mended.
 */
#define LUA_NOW									\
	"local call = redis.call\n"						\
	"local t = call('TIME')\n"						\
	"local now = t[1] * 1000000 + t[2]\n"					\
	"local function read(x)\n"						\
	"  local tat = tonumber(x or 0)\n"					\
	"  if tat then return tat, 0, 0 end\n"					\
	"  local a, e, o = string.match(x, '^(%d+) (%d+) (%d+)$')\n"		\
	"  return (a or 0) + 0, (e or 0) + 0, (o or 0) + 0\n"			\
	"end\n"									\
	"local function used(tat, e, o, step, window)\n"			\
	"  local u, out = tat - now, o * step\n"				\
	"  if e < now then out = out - (now - e) end\n"				\
	"  if u < out then u = out end\n"					\
	"  if u > window then return window end\n"				\
	"  return u > 0 and u or 0\n"						\
	"end\n"									\
	"local function put(key, tat, e, o, step)\n"				\
	"  local last = o > 0 and e + o * step or 0\n"				\
	"  if last < tat then last = tat end\n"					\
	"  if last <= now then call('DEL', key)\n"				\
	"  else call('SET', key,"						\
	"    o > 0 and string.format('%.0f %.0f %.0f', tat, e, o) or tat,"	\
	"    'PX', math.ceil((last - now) / 1000)) end\n"			\
	"end\n"
enum { TAKE, DRAW, GIVE };
struct rh_script rh_limiter_scripts[] = {
	[TAKE] = { .name = "limiter.take", .lua = LUA_NOW
	    "local had = call('MGET', unpack(KEYS))\n"
	    "local u, ends, out = {}, {}, {}\n"
	    "for i = 1, #KEYS do\n"
	    "  local step, window = ARGV[2 * i - 1] + 0, ARGV[2 * i] + 0\n"
	    "  local tat, e, o = read(had[i])\n"
	    "  u[i] = used(tat, e, o, step, window)\n"
	    "  if e <= now then o = 0 end\n"
	    "  ends[i], out[i] = e, o\n"
	    "  if u[i] > window - step then\n"
	    "    if tat > now + u[i] then put(KEYS[i], now + u[i], e, o, step) end\n"
	    "    return {i, u[1], u[2] or -1}\n"
	    "  end\n"
	    "end\n"
	    "for i = 1, #KEYS do\n"
	    "  local step = ARGV[2 * i - 1] + 0\n"
	    "  u[i] = u[i] + step\n"
	    "  put(KEYS[i], now + u[i], ends[i], out[i], step)\n"
	    "end\n"
	    "return {0, u[1], u[2] or -1}\n" },
	/*
	 * The same for whoever draws in advance, or has a lot behind him: want
	 * more besides the one that is asked for, over and back of that lot.
	 * Of a window that is half used nothing is drawn: then each asks.
	 */
	[DRAW] = { .name = "limiter.draw", .lua = LUA_NOW
	    "local had = call('MGET', unpack(KEYS))\n"
	    "local life = ARGV[#ARGV] + 0\n"
	    "local u, ends, out, steps, want = {}, {}, {}, {}, {}\n"
	    "local denied = 0\n"
	    "for i = 1, #KEYS do\n"
	    "  local at = 5 * i - 5\n"
	    "  local step, window = ARGV[at + 1] + 0, ARGV[at + 2] + 0\n"
	    "  local w, over, back = ARGV[at + 3] + 0, ARGV[at + 4] + 0, ARGV[at + 5] + 0\n"
	    "  local tat, e, o = read(had[i])\n"
	    "  local v = used(tat, e, o, step, window) - back * step\n"
	    "  o = e > now and o > over and o - over or 0\n"
	    "  if v < o * step then v = o * step end\n"
	    "  if v + (1 + w) * step > window / 2 then w = 0 end\n"
	    "  if denied == 0 and v > window - step then denied = i end\n"
	    "  u[i], ends[i], out[i], steps[i], want[i] = v, e, o, step, w\n"
	    "end\n"
	    "for i = 1, #KEYS do\n"
	    "  if denied == 0 then\n"
	    "    u[i] = u[i] + (1 + want[i]) * steps[i]\n"
	    "    out[i] = out[i] + want[i]\n"
	    "    if want[i] > 0 and ends[i] < now + life then ends[i] = now + life end\n"
	    "  else want[i] = 0 end\n"
	    "  put(KEYS[i], now + u[i], ends[i], out[i], steps[i])\n"
	    "end\n"
	    "return {denied, u[1], denied ~= 1 and u[2] or -1, want[1], want[2] or 0}\n" },
	[GIVE] = { .name = "limiter.give", .lua = LUA_NOW
	    "for i = 1, #KEYS do\n"
	    "  local step = ARGV[2 * i - 1] + 0\n"
	    "  local tat, e, o = read(call('GET', KEYS[i]) or 0)\n"
	    "  put(KEYS[i], tat - step, e, o, step)\n"
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

/* Of script's: a row of numbers for each budget, and life behind them if it is one of DRAW. */
struct numbers {
	struct rh_slice args[5 * RH_ASK_MAX + 1];
	char text[5 * RH_ASK_MAX + 1][24];
	unsigned n;
};

static void
number_put(struct numbers *to, int64_t number)
{
	struct rh_buf b;

	rh_buf_init_fixed(&b, to->text[to->n], sizeof(to->text[0]));
	rh_buf_i64(&b, number);
	to->args[to->n++] = rh_buf_get(&b);
}

static void
redis_run(struct rh_limiter *l, const struct rh_ask *ask, unsigned script)
{
	struct rh_slice keys[RH_ASK_MAX];
	struct numbers to;

	to.n = 0;
	for (unsigned i = 0; i < ask->n; i++) {
		struct rh_gcra p = redis_pace(ask->of[i].quota);

		keys[i] = ask->of[i].key;
		number_put(&to, p.step_ns / US_NS);
		number_put(&to, p.window_ns / US_NS);
		if (script != DRAW)
			continue;
		number_put(&to, ask->draw[i].want);
		number_put(&to, ask->draw[i].over);
		number_put(&to, ask->draw[i].back);
	}
	if (script == DRAW)
		number_put(&to, l->advance_ns / US_NS);
	rh_redis_run(l->redis, &rh_limiter_scripts[script], keys, ask->n,
	    to.args, to.n);
}

/* ---- in advance ---- */

/* A lot is at most such a part of the quota: what other hosts may miss of it. */
enum { LOT_PART = 32 };

/* False: a budget has no lot; nothing was taken then. */
static bool
spend(struct rh_limiter *l, struct rh_ask *ask, uint64_t now_ns)
{
	unsigned i;

	for (i = 0; i < ask->n; i++) {
		struct rh_gcra p = redis_pace(ask->of[i].quota);
		int64_t left, used;
		uint64_t tat_ns;

		if (!rh_advance_spend(l->advances, l->keys,
		    cell_of(&ask->of[i]), now_ns, &left, &tat_ns))
			break;
		used = tat_ns > now_ns ? (int64_t)(tat_ns - now_ns) : 0;
		used -= left * p.step_ns;
		ask->used_ns[i] = RH_MIN(RH_MAX(used, p.step_ns), p.window_ns);
	}
	if (i == ask->n)
		return true;
	while (i-- > 0)
		rh_advance_unspend(l->advances, l->keys, cell_of(&ask->of[i]));
	return false;
}

/* Whether there is anything to say but that one request asks. */
static bool
draws(struct rh_limiter *l, struct rh_ask *ask, uint64_t now_ns)
{
	bool any = false;

	for (unsigned i = 0; i < ask->n; i++) {
		struct rh_budget *b = &ask->of[i];
		struct rh_draw *d = &ask->draw[i];

		*d = rh_advance_draw(l->advances, l->keys, cell_of(b), now_ns,
		    (uint64_t)l->advance_ns, b->quota.quota / LOT_PART);
		any = any || d->want || d->over || d->back;
	}
	return any;
}

static void
redis_ask(struct rh_limiter *l, struct rh_ask *ask)
{
	uint64_t now_ns;

	ask->prepaid = false;
	ask->asked_ns = 0;
	if (!l->advances || l->advance_ns == 0) {
		redis_run(l, ask, TAKE);
		return;
	}
	now_ns = rh_clock_mono_ns();
	if (spend(l, ask, now_ns)) {
		ask->prepaid = ask->answered = true;
		return;
	}
	if (draws(l, ask, now_ns))
		ask->asked_ns = now_ns;
	redis_run(l, ask, ask->asked_ns ? DRAW : TAKE);
}

/* What was granted of it is this host's now. */
static void
keep_lots(struct rh_limiter *l, struct rh_ask *ask,
    const struct rh_redis_value *said, uint64_t now_ns)
{
	for (unsigned i = 0; i < ask->n; i++)
		if (said[i].number > 0)
			rh_advance_put(l->advances, l->keys,
			    cell_of(&ask->of[i]), said[i].number,
			    ask->asked_ns + (uint64_t)l->advance_ns,
			    now_ns + (uint64_t)ask->used_ns[i]);
}

/* To Redis a lot is used; to who is told what is left, what this host has is not. */
static void
without_lots(struct rh_limiter *l, struct rh_ask *ask, uint64_t now_ns)
{
	for (unsigned i = 0; i < ask->n; i++) {
		int64_t step = redis_pace(ask->of[i].quota).step_ns;

		if (ask->used_ns[i] > step)
			ask->used_ns[i] = RH_MAX(step, ask->used_ns[i] - step *
			    rh_advance_left(l->advances, l->keys,
			    cell_of(&ask->of[i]), now_ns));
	}
}

static void
redis_answer(struct rh_limiter *l, struct rh_ask *ask)
{
	const struct rh_redis_value *v;
	size_t n = 1 + RH_ASK_MAX;

	if (ask->prepaid)
		return;
	v = rh_redis_read(l->redis);
	if (v->kind != RH_REDIS_ARRAY ||
	    v->n != n + (ask->asked_ns ? RH_ASK_MAX : 0))
		return;
	ask->denied = v->items[0].number;
	for (unsigned i = 0; i < RH_ASK_MAX; i++)
		ask->used_ns[i] = v->items[1 + i].number < 0 ? -1 :
		    v->items[1 + i].number * US_NS;
	if (l->advances && ask->denied == 0) {
		uint64_t now_ns = rh_clock_mono_ns();

		if (ask->asked_ns)
			keep_lots(l, ask, &v->items[n], now_ns);
		without_lots(l, ask, now_ns);
	}
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
		redis_ask(l, ask);
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
		redis_run(l, ask, GIVE);
		(void)rh_redis_post(l->redis);
		return;
	case RH_LIMITER_POSTGRES:
	case RH_LIMITERS:
		pg_give(l, ask);
		return;
	}
}
