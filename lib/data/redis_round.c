#include "config.h"

#include "data/redis_session.h"

#include <poll.h>

#include "base/clock.h"

enum { ROUNDS_MAX = 8 };
/* How often a cluster is asked who has what, while something is amiss. */
#define MAP_AGE_NS	(100 * RH_MS_NS)

static const struct rh_slice map_wire =
    RH_SLICE_INIT("*2\r\n$7\r\nCLUSTER\r\n$5\r\nSLOTS\r\n");

/* ---- failing ---- */

void
rh_redis_fail(struct rh_redis *r, const char *code, const char *why)
{
	if (r->err)
		return;
	r->err = rh_err_new(r->arena, RH_E_UNAVAILABLE, code,
	    "The cache is away.");
	r->err->cause = rh_arena_strdup(r->arena, rh_slice_of(why));
}

uint64_t
rh_redis_until(const struct rh_redis *r, int64_t ms)
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

/* ---- sending ---- */

static void
count_trips(struct rh_redis *r)
{
	unsigned n = 0;

	for (unsigned i = 0; i < r->nnodes; i++)
		n += r->nodes[i]->nsent > 0;
	r->round_trips += n;
	if (r->obs->tally)
		rh_count(r->obs->tally, r->obs->round_trips, RH_REDIS_STORE, 0,
		    n);
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
	if (rh_redis_exchange(r, rh_redis_until(r, r->conf->timeout_ms),
	    true) != RH_END_ANSWERED)
		return false;
	rh_redis_map_learn(r, n, cmd.value);
	return true;
}

bool
rh_redis_is_time_to_ask(const struct rh_redis *r)
{
	return rh_clock_mono_ns() - r->map_asked_ns >= MAP_AGE_NS;
}

static struct rh_redis_node *
node_of(struct rh_redis *r, const struct rh_redis_cmd *cmd)
{
	return cmd->asking ? cmd->node : rh_redis_node_of(r, cmd->slot);
}

/* Its node, once that is open: opening one may tell that it is another. */
static struct rh_redis_node *
node_open(struct rh_redis *r, const struct rh_redis_cmd *cmd)
{
	struct rh_redis_node *n;

	for (int i = 0; i < ROUNDS_MAX; i++) {
		n = node_of(r, cmd);
		if (!rh_redis_node_ready(n, open_until(r)))
			return NULL;
		if (n == node_of(r, cmd))
			return n;
	}
	return NULL;
}

/* The node of the command, open. NULL: it is away, and the error told. */
static struct rh_redis_node *
node_for(struct rh_redis *r, const struct rh_redis_cmd *cmd)
{
	struct rh_redis_node *n = node_of(r, cmd), *open;
	const bool was_away = n->breaker.open;

	if ((open = node_open(r, cmd)) || (r->is_cluster &&
	    rh_redis_is_time_to_ask(r) && map_ask(r, node_of(r, cmd)) &&
	    (open = node_open(r, cmd))))
		return open;
	rh_redis_fail(r, was_away ? "redis.away" :
	    n->breaker.open ? "redis.connection" : "redis.timeout",
	    r->trouble[0] ? r->trouble : "connecting");
	return NULL;
}

/*
 * All are open before the first command is queued: what is learnt on the way
 * may close one, and send a command elsewhere.
 */
bool
rh_redis_nodes_open(struct rh_redis *r)
{
	const struct rh_redis_node *n, *last = NULL;

	for (unsigned i = r->flushed; i < r->queued; i++) {
		struct rh_redis_cmd *cmd = &r->cmds[i];

		if (cmd->value)
			continue;
		n = node_of(r, cmd);
		if (n != last && !(last = node_for(r, cmd)))
			return false;
	}
	return true;
}

/*
 * What is still without an answer, and the question for the map where it is
 * time. False: there is nowhere to send it.
 */
bool
rh_redis_round_queue(struct rh_redis *r, struct rh_redis_cmd *map)
{
	const unsigned most = r->queued - r->flushed + 1;
	struct rh_redis_node *n = NULL;

	for (unsigned i = r->flushed; i < r->queued; i++) {
		struct rh_redis_cmd *cmd = &r->cmds[i];

		if (cmd->value)
			continue;
		n = node_of(r, cmd);
		if (n->link != RH_LINK_READY) {
			rh_redis_fail(r, "redis.connection", r->trouble);
			rh_redis_unqueue(r);
			return false;
		}
		rh_redis_node_queue(n, cmd, most);
	}
	if (map && n && r->map_stale && rh_redis_is_time_to_ask(r)) {
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

/* Of a command's keys some have moved, and the others are about to. */
static bool
is_halfway(const struct rh_redis_value *v)
{
	return v->kind == RH_REDIS_ERROR && rh_redis_is_error(v, "TRYAGAIN");
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
		rh_redis_fail(r, "redis.refused", r->trouble);
		return false;
	}
	if (last)
		return false;
	if (cmd->script && !cmd->with_text && rh_redis_is_error(v, "NOSCRIPT"))
		return cmd->with_text = true;
	if (!rh_redis_is_error(v, "MOVED") && !rh_redis_is_error(v, "ASK"))
		return false;
	if (!(n = rh_redis_redirect(r, cmd->node, v->text, &slot)))
		return false;
	cmd->asking = rh_redis_is_error(v, "ASK");
	cmd->node = n;
	return true;
}

/*
 * Whether some are to be sent once more. Those that stand between two nodes wait
 * for as long as it takes, but for half of the time that there is: who moves them
 * is slow, and their node is not.
 */
static bool
round_judge(struct rh_redis *r, unsigned *round, uint64_t *budget_ns)
{
	const bool may_wait = *budget_ns / RH_MS_NS >
	    (uint64_t)r->conf->timeout_ms / 2;
	bool again = false, wait = false;

	for (unsigned i = r->flushed; i < r->queued && !r->err; i++) {
		struct rh_redis_cmd *cmd = &r->cmds[i];

		/* one that was answered in a round before has no node */
		if (!cmd->node || !(is_halfway(cmd->value) ? may_wait :
		    judge(r, cmd, *round == ROUNDS_MAX))) {
			cmd->node = NULL;
			continue;
		}
		wait |= is_halfway(cmd->value);
		cmd->value = NULL;
		again = true;
	}
	*round += !wait;
	if (!wait)
		return again;
	rh_redis_poll(NULL, 0, rh_clock_mono_ns() + RH_MS_NS);
	*budget_ns -= RH_MIN(*budget_ns, RH_MS_NS);
	return true;
}

/* ---- there and back ---- */

/* False: failed. *budget_ns: what it leaves of timeout_ms. */
static bool
exchange(struct rh_redis *r, uint64_t *budget_ns)
{
	const uint64_t start = rh_clock_mono_ns();
	const uint64_t until = start + *budget_ns;
	const bool is_slow = !r->deadline_ns || until <= r->deadline_ns;
	enum rh_redis_end end;

	count_trips(r);
	end = rh_redis_exchange(r, is_slow ? until : r->deadline_ns, is_slow);
	if (end == RH_END_LATE)
		rh_redis_fail(r, "redis.timeout", is_slow ? r->trouble :
		    "the request's own time was up");
	else if (end == RH_END_LOST)
		rh_redis_fail(r, "redis.connection", r->trouble);
	*budget_ns -= RH_MIN(*budget_ns, rh_clock_mono_ns() - start);
	rh_redis_span_add(r, start, end == RH_END_ANSWERED);
	return end == RH_END_ANSWERED;
}

void
rh_redis_rounds(struct rh_redis *r)
{
	uint64_t budget_ns = (uint64_t)r->conf->timeout_ms * RH_MS_NS;
	struct rh_redis_cmd map = { .wire = RH_SLICE_NONE };

	for (unsigned round = 1;;) {
		struct rh_redis_node *asked;

		if (!rh_redis_nodes_open(r) ||
		    !rh_redis_round_queue(r, &map) || !exchange(r, &budget_ns))
			return;
		asked = map.node;
		if (asked)
			rh_redis_map_learn(r, asked, map.value);
		map.node = NULL;
		if (!round_judge(r, &round, &budget_ns))
			return;
	}
}
