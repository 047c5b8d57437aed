#include "config.h"

#include "data/redis_session.h"

#include <errno.h>
#include <poll.h>
#include <time.h>

#include "base/clock.h"

enum { OUT_FIRST = 1024, OUT_MAX = 128 << 20 };

/* ---- the wire: RESP2, arrays of bulk strings ---- */

static void
put_bulk(struct rh_buf *to, struct rh_slice text)
{
	rh_buf_char(to, '$');
	rh_buf_u64(to, text.n);
	rh_buf_lit(to, "\r\n");
	rh_buf_slice(to, text);
	rh_buf_lit(to, "\r\n");
}

static void
put_count(struct rh_buf *to, unsigned n)
{
	rh_buf_char(to, '*');
	rh_buf_u64(to, n);
	rh_buf_lit(to, "\r\n");
}

void
rh_redis_put_args(struct rh_buf *to, const struct rh_slice *args, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		put_bulk(to, args[i]);
}

void
rh_redis_put_command(struct rh_buf *to, const struct rh_slice *argv, unsigned n)
{
	put_count(to, n);
	rh_redis_put_args(to, argv, n);
}

void
rh_redis_put_number(struct rh_buf *to, unsigned number)
{
	char memory[16];
	struct rh_buf text;

	rh_buf_init_fixed(&text, memory, sizeof(memory));
	rh_buf_u64(&text, number);
	put_bulk(to, rh_buf_get(&text));
}

static void
put_cmd(struct rh_buf *to, const struct rh_redis_cmd *cmd)
{
	if (cmd->script) {
		put_count(to, cmd->nargs + 2);
		put_bulk(to, cmd->with_text ? RH_SLICE("EVAL") :
		    RH_SLICE("EVALSHA"));
		put_bulk(to, rh_slice_of(cmd->with_text ? cmd->script->lua :
		    cmd->script->sha1));
	}
	rh_buf_slice(to, cmd->wire);
}

void
rh_redis_node_queue(struct rh_redis_node *n, struct rh_redis_cmd *cmd,
    unsigned most)
{
	struct rh_redis *r = n->r;

	if (n->nsent == 0) {
		/* each of them may have ASKING in front */
		n->sent = rh_arena_alloc(r->arena,
		    2 * most * sizeof(struct rh_redis_cmd *));
		rh_buf_init(&n->out, r->arena, OUT_FIRST, OUT_MAX);
		n->written = n->nread = 0;
		n->sink.bytes = 0;
	}
	if (cmd->asking) {
		const struct rh_slice asking = RH_SLICE("ASKING");

		rh_redis_put_command(&n->out, &asking, 1);
		n->sent[n->nsent++] = NULL;
	}
	put_cmd(&n->out, cmd);
	cmd->node = n;
	n->sent[n->nsent++] = cmd;
}

/* ---- waiting ---- */

int
rh_redis_poll(struct pollfd *fds, unsigned n, uint64_t until_ns)
{
	for (;;) {
		uint64_t now = until_ns ? rh_clock_mono_ns() : 0;
		uint64_t left = until_ns > now ? until_ns - now : 0;
		struct timespec time = { (time_t)(left / 1000000000),
			(long)(left % 1000000000) };
		int got = ppoll(fds, n, &time, NULL);

		/* a signal is no answer */
		if (got >= 0 || errno != EINTR)
			return got;
	}
}

/* ---- there and back ---- */

static bool
is_busy(const struct rh_redis_node *n)
{
	return n->nread < n->nsent;
}

static bool
answers_take(struct rh_redis_node *n)
{
	const struct rh_redis_value *v;

	while (is_busy(n)) {
		struct rh_redis_cmd *cmd = n->sent[n->nread];

		if (!rh_redis_node_take(n, n->r->arena, &v))
			return false;
		if (!v)
			break;
		n->nread++;
		if (cmd)
			cmd->value = v;
	}
	return true;
}

static unsigned
watch(struct rh_redis *r, struct pollfd *fds, struct rh_redis_node **whose)
{
	unsigned n = 0;

	for (unsigned i = 0; i < r->nnodes; i++) {
		struct rh_redis_node *node = r->nodes[i];

		if (!is_busy(node))
			continue;
		/* it may have to be rid of answers before it takes more */
		fds[n] = (struct pollfd){ .fd = node->fd, .events = POLLIN |
			(node->written < node->out.n ? POLLOUT : 0) };
		whose[n++] = node;
	}
	return n;
}

static bool
first_words(struct rh_redis *r)
{
	bool good = true;

	for (unsigned i = 0; i < r->nnodes; i++)
		if (is_busy(r->nodes[i]))
			good &= rh_redis_node_write(r->nodes[i]);
	return good;
}

/* Whoever has not answered by now has its connection closed. */
static void
late(struct rh_redis *r, bool is_slow)
{
	for (unsigned i = 0; i < r->nnodes; i++) {
		struct rh_redis_node *n = r->nodes[i];

		if (!is_busy(n))
			continue;
		if (is_slow)
			rh_redis_node_fail(n, "no answer within %lld ms",
			    (long long)r->conf->timeout_ms);
		else
			rh_redis_node_close(n);
	}
}

static void
done(struct rh_redis *r)
{
	uint64_t now = rh_clock_mono_ns();

	for (unsigned i = 0; i < r->nnodes; i++) {
		struct rh_redis_node *n = r->nodes[i];

		if (n->nsent == 0)
			continue;
		/* one failed, and with it all: nobody reads the rest */
		if (is_busy(n))
			rh_redis_node_close(n);
		n->last_used_ns = now;
		n->nsent = n->nread = 0;
	}
}

static enum rh_redis_end
go_round(struct rh_redis *r, uint64_t until_ns, bool is_slow)
{
	struct pollfd fds[RH_REDIS_NODES];
	struct rh_redis_node *whose[RH_REDIS_NODES];
	unsigned n;

	while ((n = watch(r, fds, whose))) {
		if (rh_redis_poll(fds, n, until_ns) <= 0) {
			late(r, is_slow);
			return RH_END_LATE;
		}
		for (unsigned i = 0; i < n; i++) {
			if ((fds[i].revents & POLLOUT &&
			    !rh_redis_node_write(whose[i])) ||
			    (fds[i].revents & ~POLLOUT &&
			    (!rh_redis_node_read(whose[i]) ||
			    !answers_take(whose[i]))))
				return RH_END_LOST;
		}
	}
	return RH_END_ANSWERED;
}

void
rh_redis_unqueue(struct rh_redis *r)
{
	for (unsigned i = 0; i < r->nnodes; i++)
		if (r->nodes[i]->nsent) {
			r->nodes[i]->nsent = 0;
			r->nodes[i]->out.n = 0;
		}
}

enum rh_redis_end
rh_redis_exchange(struct rh_redis *r, uint64_t until_ns, bool is_slow)
{
	enum rh_redis_end end = first_words(r) ?
	    go_round(r, until_ns, is_slow) : RH_END_LOST;

	done(r);
	return end;
}

/* Their answers are nobody's from now on. */
static unsigned
post_watch(struct rh_redis *r, struct pollfd *fds, struct rh_redis_node **whose)
{
	unsigned n = 0;

	for (unsigned i = 0; i < r->nnodes; i++) {
		struct rh_redis_node *node = r->nodes[i];

		node->unwanted += node->nsent;
		node->nsent = 0;
		if (node->link != RH_LINK_READY || node->written == node->out.n)
			continue;
		fds[n] = (struct pollfd){ node->fd, POLLIN | POLLOUT, 0 };
		whose[n++] = node;
	}
	return n;
}

bool
rh_redis_read_off(struct rh_redis_node *n)
{
	const struct rh_redis_value *v;

	if (!rh_redis_node_read(n) || !rh_redis_node_take(n, NULL, &v))
		return false;
	if (v)
		rh_redis_node_fail(n, "an answer that nobody asked for");
	return !v;
}

/* A command cut in two would spoil all that follows. */
static void
torn_close(struct rh_redis *r)
{
	for (unsigned i = 0; i < r->nnodes; i++)
		if (r->nodes[i]->written < r->nodes[i]->out.n)
			rh_redis_node_close(r->nodes[i]);
}

bool
rh_redis_post_out(struct rh_redis *r, uint64_t until_ns)
{
	struct pollfd fds[RH_REDIS_NODES];
	struct rh_redis_node *whose[RH_REDIS_NODES];
	bool good = first_words(r);
	unsigned n;

	while ((n = post_watch(r, fds, whose)) && good) {
		if (rh_redis_poll(fds, n, until_ns) <= 0) {
			for (unsigned i = 0; i < n; i++)
				rh_redis_node_fail(whose[i],
				    "it takes no commands");
			good = false;
			break;
		}
		for (unsigned i = 0; i < n && good; i++)
			good = (!(fds[i].revents & ~POLLOUT) ||
			    rh_redis_read_off(whose[i])) &&
			    rh_redis_node_write(whose[i]);
	}
	if (!good)
		torn_close(r);
	return good;
}
