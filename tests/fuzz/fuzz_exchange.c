/*
 * fuzz_exchange - a worker's side of a connection from its first byte to its
 * close, as lib/serve/life.c has it, against a peer that sends what it likes
 * and when it likes: nothing hangs longer than its timeouts, and every answer
 * is that of the next request, by its id, its parameters and its body.
 *
 * One thread and no clock: where the code under test would wait, the peer
 * moves, and when it does not move any more, time passes.
 */
#include "config.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "exchange.h"
#include "http/fcgx_conn.h"
#include "target.h"

enum {
	HEADERS_MAX = 4096, BODY_MAX = 1000, TIMEOUT_MS = 1000,
	LONG_ANSWER = 300000, ANSWERS_MAX = REQUESTS_MAX * (LONG_ANSWER + 4096),
	/* a body and an answer that take their timeouts, and a lingering close */
	TURN_MAX_MS = 2 * TIMEOUT_MS + 500, TURNS_MAX = 2000
};

/* ---- the peer ---- */

static struct {
	const struct script *s;
	int fd;			/* -1: there is none */
	size_t sent;
	unsigned pause;
	bool ended;
	uint64_t random;
	size_t n;
	unsigned char answers[ANSWERS_MAX];
} peer = { .fd = -1 };

static uint64_t now_ns = 1;

static unsigned
dice(unsigned sides)
{
	peer.random = peer.random * UINT64_C(6364136223846793005) + 1;
	return (unsigned)(peer.random >> 33) % sides;
}

/* On to the next pause, as far as the socket takes it. False: it is done. */
static bool
peer_sends(void)
{
	const struct script *s = peer.s;
	size_t to = peer.pause < s->npauses ? s->pauses[peer.pause] : s->n;
	ssize_t n;

	if (peer.sent < to) {
		n = send(peer.fd, s->wire + peer.sent, to - peer.sent,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n > 0)
			peer.sent += (size_t)n;
		return n > 0;
	}
	if (peer.pause < s->npauses) {
		peer.pause++;
		return true;
	}
	if (s->silent || peer.ended)
		return false;
	peer.ended = true;
	shutdown(peer.fd, SHUT_WR);
	return true;
}

static bool
peer_reads(size_t most)
{
	ssize_t n = recv(peer.fd, peer.answers + peer.n,
	    RH_MIN(most, sizeof(peer.answers) - peer.n), MSG_DONTWAIT);

	if (n > 0)
		peer.n += (size_t)n;
	return n > 0;
}

/* In between: what a look has seen is then not all that is there. */
static void
peer_may_send(void)
{
	if (!peer.s->tame && dice(2))
		(void)peer_sends();
}

int __real_poll(struct pollfd *fds, nfds_t n, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms);
uint64_t __wrap_rh_clock_mono_ns(void);

int
__wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
	int ready;

	while ((ready = __real_poll(fds, n, 0)) == 0 && timeout_ms) {
		if (fds->events & POLLOUT ? !peer.s->deaf &&
		    peer_reads(1 + dice(1 << 17)) : peer_sends())
			continue;
		now_ns += (uint64_t)timeout_ms * 1000000;
		break;
	}
	return ready;
}

uint64_t
__wrap_rh_clock_mono_ns(void)
{
	return now_ns;
}

/* ---- the worker ---- */

struct answer {
	uint64_t params, body;
	int got;		/* enum rh_fcgx_body */
	size_t filler;
};

static void
add_param(void *ctx, struct rh_slice name, struct rh_slice value)
{
	struct answer *a = ctx;

	rh_assert(name.p[name.n] == '=' && value.p[value.n] == '\0');
	a->params = hash_pair(a->params, name.p, name.n, value.p, value.n);
	if (rh_slice_is(name, RH_SLICE("BIG")))
		a->filler = LONG_ANSWER / (1 + value.n);
}

static bool
serve(struct rh_fcgx *fx, struct rh_arena *arena)
{
	static const char filler[LONG_ANSWER];
	struct answer a = { HASH_START, HASH_START, 0, 0 };
	struct rh_slice body;
	char head[128];
	int n;

	rh_fcgx_params(fx, add_param, &a);
	peer_may_send();
	a.got = (int)rh_fcgx_read_body(fx, arena, BODY_MAX, &body);
	rh_assert(a.got != RH_BODY_OK || body.n <= BODY_MAX);
	if (a.got == RH_BODY_OK)
		a.body = hash_more(HASH_START, body.p, body.n);
	n = snprintf(head, sizeof(head), "Status: 200\r\n\r\n%016llx %016llx %d\n",
	    (unsigned long long)a.params, (unsigned long long)a.body, a.got);
	peer_may_send();
	(void)rh_fcgx_reply(fx, (struct rh_slice){ head, (size_t)n },
	    (struct rh_slice){ filler, a.filler });
	peer_may_send();
	return rh_fcgx_finish(fx);
}

enum turn { AGAIN, WAIT, OVER };

static enum turn
turn(struct rh_fcgx *fx, struct rh_arena *arena, int fd,
    const struct model *m, unsigned *served)
{
	switch (rh_fcgx_look(fx, fd)) {
	case RH_FCGX_READY:
		peer_may_send();
		if (rh_fcgx_accept(fx, fd)) {
			++*served;
			return serve(fx, arena) ? AGAIN : OVER;
		}
		/*
		 * What the guard lets through, libfcgi reads; but others'
		 * records in between may be such that they end it.
		 */
		rh_assert(*served < m->n && !m->requests[*served].alone);
		return OVER;
	case RH_FCGX_EMPTY:
	case RH_FCGX_INCOMPLETE:
		return WAIT;
	case RH_FCGX_TOO_LARGE:
		++*served;
		return rh_fcgx_refuse(fx, RH_SLICE("Status: 431\r\n\r\n"),
		    RH_SLICE("!")) ? AGAIN : OVER;
	case RH_FCGX_CLOSED:
	case RH_FCGX_HOSTILE:
		break;
	}
	return OVER;
}

static void
work(struct rh_fcgx *fx, struct rh_arena *arena, int fd,
    const struct model *m)
{
	enum turn now = WAIT;
	unsigned served = 0;

	for (unsigned i = 0; now != OVER; i++) {
		uint64_t begun_ns = now_ns;

		/* the pool waits for the rest of a request, up to a deadline */
		if (now == WAIT && !peer_sends())
			break;
		now = turn(fx, arena, fd, m, &served);
		rh_assert(now_ns - begun_ns <=
		    (uint64_t)TURN_MAX_MS * 1000000 && i < TURNS_MAX);
		rh_arena_reset(arena);
		while (!peer.s->deaf && peer_reads(1 << 16))
			;
	}
}

/* ---- what was answered, and what was to be ---- */

static void
judge(const char *text, size_t n, const struct expected *e)
{
	unsigned long long params, body;
	int got;

	rh_assert(!e->rubbish);
	rh_assert(n > 50 && sscanf(text, "Status: 200 %llx %llx %d", &params,
	    &body, &got) == 3);
	rh_assert(params == e->params);
	rh_assert(got != RH_BODY_OK || (e->whole && body == e->body));
}

/* One STDOUT of the answers, up to its END; n 0 at first. */
struct stdout_of {
	unsigned id;
	bool ended;
	size_t n;
	char text[128];
};

static void
add_stdout(struct stdout_of *out, const struct rh_record *r,
    const unsigned char *content)
{
	size_t n = RH_MIN(r->n, sizeof(out->text) - 1 - RH_MIN(out->n,
	    sizeof(out->text) - 1));

	rh_assert(!out->ended && (out->n == 0 || out->id == r->id));
	out->id = r->id;
	if (n)
		memcpy(out->text + out->n, content, n);
	out->n += n;
	out->ended = r->n == 0;
}

/* Answers how many requests were. */
static unsigned
judge_all(const struct model *m)
{
	struct stdout_of out = { .n = 0 };
	struct rh_record r;
	unsigned answered = 0;
	bool refused = false;

	for (size_t at = 0; peer.n - at >= RH_RECORD_LEN; at += r.size) {
		r = rh_record_get(peer.answers + at);
		rh_assert(r.version == 1 && !refused);
		if (peer.n - at < r.size)
			break;
		rh_assert(r.id ? r.type == RH_REC_STDOUT || r.type == RH_REC_END :
		    r.type == RH_REC_GET_VALUES_RESULT ||
		    r.type == RH_REC_UNKNOWN_TYPE);
		if (r.type == RH_REC_STDOUT)
			add_stdout(&out, &r, peer.answers + at + RH_RECORD_LEN);
		if (r.type != RH_REC_END || out.n == 0 || r.id != out.id)
			continue;
		rh_assert(out.ended);
		out.text[out.n] = '\0';
		refused = strncmp(out.text, "Status: 431", 11) == 0;
		if (!refused || answered < m->n) {
			rh_assert(answered < m->n &&
			    m->requests[answered].id == out.id);
			if (!refused)
				judge(out.text, out.n, &m->requests[answered]);
			/* only what never came whole has to be the last one */
			answered++;
			refused = false;
		}
		out = (struct stdout_of){ .n = 0 };
	}
	return answered;
}

/* ---- one run ---- */

static struct rh_arena *own;	/* of fx */

static void
clean(void)
{
	rh_arena_destroy(&own);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	static const struct rh_fcgx_limits limits = { HEADERS_MAX, 100,
		TIMEOUT_MS };
	static struct rh_fcgx *fx;
	static struct rh_arena *arena;
	const struct script *s = script_read(bytes, n);
	const struct model *m = model_read(s->wire, s->n);
	const int little = 4096;
	unsigned answered;
	int fds[2];

	rh_assert(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	if (s->narrow)
		setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &little, sizeof(little));
	peer.s = s;
	peer.fd = fds[0];
	peer.sent = peer.pause = peer.ended = 0;
	peer.n = 0;
	peer.random = s->random;
	if (!fx) {
		arena = rh_arena_new(1 << 16, 16 << 20);
		own = rh_arena_new(1 << 17, 1 << 20);
		fx = rh_fcgx_new(own, &limits);
		atexit(clean);
	}
	work(fx, arena, fds[1], m);
	close(fds[1]);
	while (peer_reads(1 << 16))
		;
	close(fds[0]);
	answered = judge_all(m);
	/* whoever keeps to the rules is answered, every time */
	rh_assert(!s->tame || answered == m->n);
	return 0;
}
