#include "config.h"

#include "data/redis_session.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>

#include "base/clock.h"

enum { CMDS_FIRST = 8, ROUNDS_MAX = 8, WIRE_MAX = 128 << 20 };
/* How often a cluster is asked who has what, while something is amiss. */
#define MAP_AGE_NS	(100 * RH_MS_NS)

static const struct rh_redis_value nothing = { .kind = RH_REDIS_NIL };
static const struct rh_slice map_wire =
    RH_SLICE_INIT("*2\r\n$7\r\nCLUSTER\r\n$5\r\nSLOTS\r\n");

/* ---- the session ---- */

struct rh_redis *
rh_redis_new(struct rh_arena *arena, const struct rh_redis_conf *conf,
    const struct rh_redis_obs *obs)
{
	struct rh_redis *r = RH_NEW(arena, struct rh_redis);
	char memory[256];
	struct rh_buf why;

	r->conf = conf;
	r->obs = obs;
	r->own = arena;
	if (!conf->url || !conf->url[0])
		return r;
	rh_buf_init_fixed(&why, memory, sizeof(memory));
	/* a bad one was a fault of the configuration; without, all works, too */
	r->configured = rh_redis_url_get(&r->url, rh_slice_of(conf->url),
	    arena, &why);
	if (!r->configured) {
		snprintf(r->trouble, sizeof(r->trouble), "redis_url: %.*s",
		    RH_SLICE_ARG(rh_buf_get(&why)));
		return r;
	}
	r->nodes[r->nnodes++] = rh_redis_node_new(r, r->url.host, r->url.port);
	return r;
}

void
rh_redis_close(struct rh_redis *r)
{
	for (unsigned i = 0; r && i < r->nnodes; i++)
		rh_redis_node_close(r->nodes[i]);
}

const char *
rh_redis_trouble(const struct rh_redis *r)
{
	return r ? r->trouble : "";
}

int64_t
rh_redis_since_ms(const struct rh_redis *r)
{
	return r->since_ms;
}

unsigned
rh_redis_round_trips(const struct rh_redis *r)
{
	return r ? r->round_trips : 0;
}

uint64_t
rh_redis_wait_ns(const struct rh_redis *r)
{
	return r ? r->wait_ns : 0;
}

void
rh_redis_begin(struct rh_redis *r, struct rh_arena *arena,
    struct rh_trace *trace)
{
	r->arena = arena;
	r->trace = trace;
	r->err = NULL;
	r->cmds = NULL;
	r->queued = r->cap = r->flushed = r->read = 0;
	r->round_trips = 0;
	r->wait_ns = 0;
}

void
rh_redis_deadline(struct rh_redis *r, uint64_t deadline_ns)
{
	if (r)
		r->deadline_ns = deadline_ns;
}

void
rh_redis_end(struct rh_redis *r)
{
	if (!r)
		return;
	rh_redis_begin(r, NULL, NULL);
	r->deadline_ns = 0;
}

/* ---- whether it is worth asking ---- */

static bool
is_time_to_ask(const struct rh_redis *r)
{
	return rh_clock_mono_ns() - r->map_asked_ns >= MAP_AGE_NS;
}

bool
rh_redis_warm(struct rh_redis *r)
{
	return r->configured && rh_redis_node_ready(r->nodes[0], UINT64_MAX);
}

void
rh_redis_idle(struct rh_redis *r)
{
	if (!r || !r->configured)
		return;
	for (unsigned i = 0; i < r->nnodes; i++) {
		struct rh_redis_node *n = r->nodes[i];

		rh_redis_node_look(n);
		if (i == 0 || n->breaker.open)
			(void)rh_redis_node_try(n);
	}
}

static bool
is_worth(struct rh_redis_node *n)
{
	return !n->breaker.open || rh_redis_node_try(n);
}

bool
rh_redis_usable_for(struct rh_redis *r, struct rh_slice key)
{
	struct rh_redis_node *n;

	if (!r || !r->configured)
		return false;
	n = rh_redis_node_of(r, rh_redis_slot(key));
	/* a cluster may have another in its place by now: the flush asks */
	return is_worth(n) || (r->is_cluster && is_time_to_ask(r) &&
	    rh_redis_node_other(r, n));
}

bool
rh_redis_usable(struct rh_redis *r)
{
	return rh_redis_usable_for(r, RH_SLICE_NONE);
}

/* ---- queueing ---- */

static struct rh_redis_cmd *
cmd_new(struct rh_redis *r, struct rh_slice key)
{
	struct rh_redis_cmd *cmd;

	if (r->queued == r->cap) {
		unsigned cap = r->cap ? r->cap * 2 : CMDS_FIRST;

		r->cmds = rh_arena_grow(r->arena, r->cmds,
		    r->cap * sizeof(*r->cmds), cap * sizeof(*r->cmds));
		r->cap = cap;
	}
	cmd = &r->cmds[r->queued++];
	*cmd = (struct rh_redis_cmd){ .slot = rh_redis_slot(key) };
	return cmd;
}

static size_t
room_for(const struct rh_slice *argv, unsigned n)
{
	size_t bytes = 16;

	for (unsigned i = 0; i < n; i++)
		bytes += argv[i].n + 16;
	return bytes;
}

void
rh_redis_send_args(struct rh_redis *r, struct rh_slice key,
    const struct rh_slice *argv, unsigned n)
{
	struct rh_redis_cmd *cmd;
	struct rh_buf wire;

	if (r->err)
		return;
	cmd = cmd_new(r, key);
	rh_buf_init(&wire, r->arena, room_for(argv, n), WIRE_MAX);
	rh_redis_put_command(&wire, argv, n);
	rh_assert(!wire.full);
	cmd->wire = rh_buf_get(&wire);
	cmd->name = rh_arena_slice(r->arena, argv[0]);
}

void
rh_redis_run(struct rh_redis *r, const struct rh_script *script,
    const struct rh_slice *keys, unsigned nkeys, const struct rh_slice *args,
    unsigned nargs)
{
	struct rh_redis_cmd *cmd;
	struct rh_buf wire;

	if (r->err)
		return;
	cmd = cmd_new(r, nkeys ? keys[0] : RH_SLICE_NONE);
	rh_buf_init(&wire, r->arena, 32 + room_for(keys, nkeys) +
	    room_for(args, nargs), WIRE_MAX);
	rh_redis_put_number(&wire, nkeys);
	rh_redis_put_args(&wire, keys, nkeys);
	rh_redis_put_args(&wire, args, nargs);
	rh_assert(!wire.full);
	cmd->wire = rh_buf_get(&wire);
	cmd->script = script;
	cmd->nargs = nkeys + nargs + 1;
	cmd->name = RH_SLICE("EVALSHA");
}

/* ---- failing ---- */

static void
fail(struct rh_redis *r, const char *code, const char *why)
{
	if (r->err)
		return;
	r->err = rh_err_new(r->arena, RH_E_UNAVAILABLE, code,
	    "The cache is away.");
	r->err->cause = rh_arena_strdup(r->arena, rh_slice_of(why));
}

static uint64_t
until_of(const struct rh_redis *r, int64_t ms)
{
	uint64_t until = rh_clock_mono_ns() + (uint64_t)ms * RH_MS_NS;

	return r->deadline_ns ? RH_MIN(until, r->deadline_ns) : until;
}

/* Opening has a bound of its own. */
static uint64_t
open_until(const struct rh_redis *r)
{
	return r->deadline_ns ? r->deadline_ns : UINT64_MAX;
}

/* ---- a pipeline ---- */

static void
count_trips(struct rh_redis *r)
{
	unsigned n = 0;

	for (unsigned i = 0; i < r->nnodes; i++)
		n += r->nodes[i]->nsent > 0;
	r->round_trips += n;
	if (r->obs->tally)
		rh_count(r->obs->tally, r->obs->round_trips, RH_REDIS_STORE, 0, n);
}

/*
 * Who has what, asked of a node that is there: the cluster may have given the
 * slots of one that is away to its replica.
 */
static bool
map_ask(struct rh_redis *r, const struct rh_redis_node *than)
{
	struct rh_redis_node *n = rh_redis_node_other(r, than);
	struct rh_redis_cmd cmd = { .wire = map_wire };

	if (!n || !rh_redis_node_ready(n, open_until(r)))
		return false;
	r->map_asked_ns = rh_clock_mono_ns();
	rh_redis_node_queue(n, &cmd, 1);
	count_trips(r);
	if (!rh_redis_exchange(r, until_of(r, r->conf->timeout_ms), true))
		return false;
	rh_redis_map_learn(r, n, cmd.value);
	return true;
}

/* The node of the command, open. NULL: it is away, and the error told. */
static struct rh_redis_node *
node_for(struct rh_redis *r, struct rh_redis_cmd *cmd)
{
	const uint64_t until = open_until(r);
	struct rh_redis_node *n = cmd->asking ? cmd->node :
	    rh_redis_node_of(r, cmd->slot);
	const bool was_away = n->breaker.open;

	if (rh_redis_node_ready(n, until))
		return n;
	if (r->is_cluster && is_time_to_ask(r) && map_ask(r, n) &&
	    rh_redis_node_ready(n = rh_redis_node_of(r, cmd->slot), until))
		return n;
	fail(r, was_away ? "redis.away" : n->breaker.open ? "redis.connection" :
	    "redis.timeout", r->trouble[0] ? r->trouble : "connecting");
	return NULL;
}

/*
 * All are open before the first command is queued: what is learnt on the way
 * may close one, and send a command elsewhere.
 */
static bool
nodes_open(struct rh_redis *r)
{
	for (unsigned i = r->flushed; i < r->queued; i++)
		if (!r->cmds[i].value && !node_for(r, &r->cmds[i]))
			return false;
	return true;
}

/*
 * What is still without an answer, and the question for the map where it is
 * time. False: there is nowhere to send it.
 */
static bool
round_queue(struct rh_redis *r, struct rh_redis_cmd *map)
{
	const unsigned most = r->queued - r->flushed + 1;
	struct rh_redis_node *n = NULL;

	for (unsigned i = r->flushed; i < r->queued; i++) {
		struct rh_redis_cmd *cmd = &r->cmds[i];

		if (cmd->value)
			continue;
		n = cmd->asking ? cmd->node : rh_redis_node_of(r, cmd->slot);
		if (n->link != RH_LINK_READY) {
			fail(r, "redis.connection", r->trouble);
			return false;
		}
		rh_redis_node_queue(n, cmd, most);
	}
	if (map && n && r->map_stale && is_time_to_ask(r)) {
		r->map_asked_ns = rh_clock_mono_ns();
		*map = (struct rh_redis_cmd){ .wire = map_wire };
		rh_redis_node_queue(n, map, most);
	}
	return true;
}

static const char *const refusals[] = {
	"LOADING", "READONLY", "CLUSTERDOWN", "MASTERDOWN", "NOAUTH", "BUSY",
	NULL
};

/* It did not run, and for a reason that another try has not. */
static bool
is_again(const struct rh_redis_value *v)
{
	return rh_redis_is_error(v, "NOSCRIPT") ||
	    rh_redis_is_error(v, "TRYAGAIN") ||
	    rh_redis_is_error(v, "MOVED") || rh_redis_is_error(v, "ASK");
}

/* True: it is to be sent once more. */
static bool
judge(struct rh_redis *r, struct rh_redis_cmd *cmd, bool last)
{
	const struct rh_redis_value *v = cmd->value;
	struct rh_redis_node *n;
	int slot;

	if (v->kind != RH_REDIS_ERROR)
		return false;
	for (unsigned i = 0; refusals[i]; i++) {
		if (!rh_redis_is_error(v, refusals[i]))
			continue;
		rh_redis_node_fail(cmd->node, "%.*s", RH_SLICE_ARG(v->text));
		fail(r, "redis.refused", r->trouble);
		return false;
	}
	if (last)
		return false;
	if (cmd->script && !cmd->with_text && rh_redis_is_error(v, "NOSCRIPT"))
		return cmd->with_text = true;
	if (rh_redis_is_error(v, "TRYAGAIN"))
		return true;
	if (!rh_redis_is_error(v, "MOVED") && !rh_redis_is_error(v, "ASK"))
		return false;
	if (!(n = rh_redis_redirect(r, cmd->node, v->text, &slot)))
		return false;
	cmd->asking = rh_redis_is_error(v, "ASK");
	cmd->node = n;
	return true;
}

/* How many are to be sent once more. */
static unsigned
round_judge(struct rh_redis *r, bool last)
{
	unsigned again = 0;
	bool wait = false;

	for (unsigned i = r->flushed; i < r->queued && !r->err; i++) {
		struct rh_redis_cmd *cmd = &r->cmds[i];

		/* one that was answered in a round before has no node any more */
		if (!cmd->node || !judge(r, cmd, last)) {
			cmd->node = NULL;
			continue;
		}
		wait |= rh_redis_is_error(cmd->value, "TRYAGAIN");
		cmd->value = NULL;
		again++;
	}
	/* its keys are on their way to another node */
	if (wait)
		rh_redis_poll(NULL, 0, rh_clock_mono_ns() + RH_MS_NS);
	return again;
}

/* ---- its span ---- */

static struct rh_slice
operation_of(const struct rh_redis *r, const struct rh_redis_cmd *first,
    unsigned n)
{
	if (n == 1)
		return first->name;
	for (unsigned i = r->flushed; i < r->queued; i++)
		if (r->cmds[i].node && !rh_slice_is(r->cmds[i].name, first->name))
			return RH_SLICE("PIPELINE");
	return rh_slice_of(rh_arena_printf(r->arena, "PIPELINE %.*s",
	    RH_SLICE_ARG(first->name)));
}

/* Redis' own word for what went wrong; the rest of its text names keys. */
static void
span_judge(const struct rh_redis *r, struct rh_span *span)
{
	for (unsigned i = r->flushed; i < r->queued; i++) {
		const struct rh_redis_value *v = r->cmds[i].value;
		struct rh_slice text;

		if (!r->cmds[i].node || !v || v->kind != RH_REDIS_ERROR ||
		    is_again(v))
			continue;
		text = v->text;
		text = rh_slice_cut(&text, ' ');
		rh_span_text(span, "db.response.status_code", text);
		rh_span_fail(span, text, text);
		return;
	}
}

static void
span_fill(struct rh_redis *r, struct rh_span *span,
    const struct rh_redis_cmd *first, unsigned n)
{
	const struct rh_redis_node *node = first->node;

	rh_span_text(span, "db.system.name", RH_SLICE("redis"));
	rh_span_text(span, "db.namespace",
	    rh_slice_of(rh_arena_printf(r->arena, "%u", r->url.db)));
	rh_span_text(span, "db.operation.name", span->name);
	if (n > 1)
		rh_span_int(span, "db.operation.batch.size", n);
	else if (first->script)
		rh_span_text(span, "db.stored_procedure.name",
		    rh_slice_of(first->script->name));
	rh_span_text(span, "server.address", rh_slice_of(node->host[0] ?
	    rh_arena_printf(r->arena, "%s", node->host) : r->url.path));
	if (node->host[0])
		rh_span_int(span, "server.port", node->port);
}

/* Of those that were sent in this round: they still have their node. */
static void
span_add(struct rh_redis *r, uint64_t start_ns, bool answered)
{
	const struct rh_redis_cmd *first = NULL;
	struct rh_span *span;
	unsigned n = 0;

	if (!r->trace || !r->trace->on)
		return;
	for (unsigned i = r->queued; i-- > r->flushed;)
		if (r->cmds[i].node) {
			first = &r->cmds[i];
			n++;
		}
	span = rh_span_open(r->trace, RH_SPAN_CLIENT,
	    operation_of(r, first, n));
	span->start_ns = r->trace->wall_ns + (start_ns - r->trace->mono_ns);
	span_fill(r, span, first, n);
	if (!answered)
		rh_span_fail(span, rh_slice_of(r->err->code),
		    rh_slice_of(r->err->code));
	else
		span_judge(r, span);
	rh_span_close(r->trace, span);
}

/* ---- there and back ---- */

/* One round. False: failed. *budget_ns: what it leaves of timeout_ms. */
static bool
exchange(struct rh_redis *r, uint64_t *budget_ns)
{
	const uint64_t start = rh_clock_mono_ns();
	const uint64_t until = start + *budget_ns;
	const bool is_slow = !r->deadline_ns || until <= r->deadline_ns;
	bool good;

	count_trips(r);
	good = rh_redis_exchange(r, is_slow ? until : r->deadline_ns, is_slow);
	if (!good && errno == ETIMEDOUT)
		fail(r, "redis.timeout", is_slow ? r->trouble :
		    "the request's own time was up");
	else if (!good)
		fail(r, "redis.connection", r->trouble);
	*budget_ns -= RH_MIN(*budget_ns, rh_clock_mono_ns() - start);
	span_add(r, start, good);
	return good;
}

static void
rounds(struct rh_redis *r)
{
	uint64_t budget_ns = (uint64_t)r->conf->timeout_ms * RH_MS_NS;
	struct rh_redis_cmd map = { .wire = RH_SLICE_NONE };

	for (unsigned i = 1; nodes_open(r) && round_queue(r, &map); i++) {
		struct rh_redis_node *asked = map.node;

		if (!exchange(r, &budget_ns))
			return;
		if (asked)
			rh_redis_map_learn(r, asked, map.value);
		map.node = NULL;
		if (!round_judge(r, i == ROUNDS_MAX))
			return;
	}
}

static void
flush(struct rh_redis *r)
{
	const uint64_t start = rh_clock_mono_ns();

	if (r->err || r->flushed == r->queued)
		return;
	if (!r->configured) {
		fail(r, "redis.away", "not configured");
		return;
	}
	if (r->deadline_ns && start >= r->deadline_ns) {
		fail(r, "redis.timeout", "the request's own time was up");
		return;
	}
	rh_flight_at(r->obs->flight, RH_PHASE_QUERYING, "redis");
	rounds(r);
	rh_flight_at(r->obs->flight, RH_PHASE_HANDLING, NULL);
	r->wait_ns += rh_clock_mono_ns() - start;
	r->flushed = r->queued;
}

const struct rh_redis_value *
rh_redis_read(struct rh_redis *r)
{
	const struct rh_redis_value *v;

	if (r->read == r->flushed)
		flush(r);
	if (r->err || r->read == r->queued)
		return &nothing;
	v = r->cmds[r->read++].value;
	return v ? v : &nothing;
}

struct rh_err *
rh_redis_error(struct rh_redis *r)
{
	flush(r);
	return r->err;
}

bool
rh_redis_post(struct rh_redis *r)
{
	bool good = !r->err;

	if (good && r->flushed < r->queued) {
		/* the request has its reply: its deadline is of no account */
		r->deadline_ns = 0;
		for (unsigned i = r->flushed; i < r->queued; i++)
			r->cmds[i].with_text = r->cmds[i].script != NULL;
		good = r->configured && nodes_open(r) && round_queue(r, NULL) &&
		    rh_redis_post_out(r, until_of(r, r->conf->timeout_ms));
		if (!good)
			fail(r, "redis.connection", r->trouble);
	}
	r->queued = r->flushed;
	return good;
}
