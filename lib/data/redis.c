#include "config.h"

#include "data/redis_session.h"

#include <stdio.h>

#include "base/clock.h"

enum { CMDS_FIRST = 8, WIRE_MAX = 128 << 20 };

static const struct rh_redis_value nothing = { .kind = RH_REDIS_NIL };

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
	/* a bad one was a fault of the configuration */
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
	if (!r)
		return;
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
	rh_redis_begin(r, NULL, NULL);
	rh_redis_deadline(r, 0);
}

/* ---- whether it is worth asking ---- */

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
		if (n->breaker.open || (i == 0 && !r->is_cluster))
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
	return is_worth(n) || (r->is_cluster && rh_redis_is_time_to_ask(r) &&
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

/* ---- there and back ---- */

static void
flush(struct rh_redis *r)
{
	const uint64_t start = rh_clock_mono_ns();

	if (r->err || r->flushed == r->queued)
		return;
	if (!r->configured) {
		rh_redis_fail(r, "redis.away", "not configured");
		return;
	}
	if (r->deadline_ns && start >= r->deadline_ns) {
		rh_redis_fail(r, "redis.timeout",
		    "the request's own time was up");
		return;
	}
	rh_flight_at(r->obs->flight, RH_PHASE_QUERYING, "redis");
	rh_redis_rounds(r);
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

/* Nobody will hear that a script is unknown, so its text goes along. */
static bool
post(struct rh_redis *r)
{
	for (unsigned i = r->flushed; i < r->queued; i++)
		r->cmds[i].with_text = r->cmds[i].script != NULL;
	return r->configured && rh_redis_nodes_open(r) &&
	    rh_redis_round_queue(r, NULL) &&
	    rh_redis_post_out(r, rh_redis_until(r, r->conf->timeout_ms));
}

bool
rh_redis_post(struct rh_redis *r)
{
	const uint64_t deadline_ns = r->deadline_ns;

	if (!r->err && r->flushed < r->queued) {
		/* the request has its reply: its deadline is of no account */
		r->deadline_ns = 0;
		if (!post(r))
			rh_redis_fail(r, "redis.connection", r->trouble);
		r->deadline_ns = deadline_ns;
	}
	r->queued = r->flushed;
	return !r->err;
}
