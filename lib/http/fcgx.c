#include "config.h"

#include "http/fcgx.h"

#include <errno.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"
#include "http/fcgx_conn.h"

/*
 * libfcgi reads parameters, and nothing else: STDIN and the reply are ours
 * (fcgx_body.c, fcgx_reply.c). It takes up to LIBFCGI_READ bytes at a time, so
 * a request that is whole in one such read goes from the socket to libfcgi
 * directly, while its body stands in what the guard peeked at. Anything else
 * (a long body, a body not there yet, records of others in between) we take
 * off the socket ourselves and hand the head over through a socketpair: no
 * byte behind the head is then lost in libfcgi's buffer.
 */
#define LIBFCGI_READ	8192
/* What an answer has to be taken, however late its request is. */
#define LATE_REPLY_MS	UINT64_C(500)

struct rh_fcgx {
	struct rh_conn conn;
	FCGX_Request request;
	bool direct;		/* how much libfcgi reads can be seen */
	int relay[2];		/* we write to 1, libfcgi reads from 0; -1: none yet */
};

/*
 * How the struct begins that libfcgi keeps for a stream, from 2.0 to 2.4.6. It
 * alone tells how much was read from the socket: bytes that a peer sends after
 * our look, and libfcgi takes with it, are lost to the next look.
 */
struct reader {
	unsigned char *bytes;
	int size;
	unsigned char *allocated, *end;
};

/* FCGX_Init puts handlers of its own in place of SIG_DFL and SIG_IGN. */
static void
init_quietly(void)
{
	static const int signals[] = { SIGPIPE, SIGUSR1, SIGTERM };
	struct sigaction saved[RH_COUNT(signals)];

	for (size_t i = 0; i < RH_COUNT(signals); i++)
		sigaction(signals[i], NULL, &saved[i]);
	rh_assert(FCGX_Init() == 0);
	for (size_t i = 0; i < RH_COUNT(signals); i++)
		sigaction(signals[i], &saved[i], NULL);
}

static int
accept_from(struct rh_fcgx *fx, int fd)
{
	fx->request.keepConnection = 1;	/* else it starts by closing ipcFd */
	fx->request.detached = 1;	/* if it closes, then without waiting */
	fx->request.ipcFd = fd;
	return FCGX_Accept_r(&fx->request);
}

static void
let_go(struct rh_fcgx *fx)
{
	FCGX_Free(&fx->request, 0);
	fx->request.ipcFd = -1;
}

static size_t
taken(const struct rh_fcgx *fx)
{
	const struct reader *r = fx->request.in->data;

	return (size_t)((uintptr_t)r->end - (uintptr_t)r->bytes);
}

/* A libfcgi whose struct begins otherwise says something else of these. */
static bool
reader_is_known(struct rh_fcgx *fx)
{
	unsigned char bytes[RH_BEGIN_LEN + RH_RECORD_LEN + 5] = { 0 };
	bool known = false;
	int fds[2];

	rh_record_put(bytes, RH_REC_BEGIN, 1, 8, 0);
	bytes[RH_RECORD_LEN + 1] = RH_ROLE_RESPONDER;
	rh_record_put(bytes + RH_BEGIN_LEN, RH_REC_PARAMS, 1, 0, 0);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return false;
	if (send(fds[1], bytes, sizeof(bytes), MSG_NOSIGNAL) == sizeof(bytes) &&
	    accept_from(fx, fds[0]) == 0) {
		known = taken(fx) == sizeof(bytes);
		let_go(fx);
		close(fds[0]);		/* else libfcgi has closed it */
	}
	close(fds[1]);
	return known;
}

struct rh_fcgx *
rh_fcgx_new(struct rh_arena *arena, const struct rh_fcgx_limits *limits)
{
	/* not zeroed: pages that no request needs are never touched */
	struct rh_fcgx *fx = rh_arena_alloc(arena, sizeof(*fx));

	rh_assert(limits->headers_max_bytes < RH_CONN_BYTES);
	memset(&fx->conn, 0, offsetof(struct rh_conn, bytes));
	fx->conn.limits = *limits;
	fx->conn.fd = -1;
	fx->relay[0] = fx->relay[1] = -1;
	init_quietly();
	FCGX_InitRequest(&fx->request, -1, 0);
	fx->direct = reader_is_known(fx);
	return fx;
}

enum rh_fcgx_look
rh_fcgx_look(struct rh_fcgx *fx, int fd)
{
	return rh_conn_look(&fx->conn, fd);
}

static void
relay_close(struct rh_fcgx *fx)
{
	for (int i = 0; i < 2; i++) {
		if (fx->relay[i] >= 0)
			close(fx->relay[i]);
		fx->relay[i] = -1;
	}
}

/*
 * Made when first needed, thus in the worker: it is no heirloom. What libfcgi
 * reads is there before it reads; should the two of us ever count differently,
 * it fails after a while and does not hang.
 */
static bool
relay_open(struct rh_fcgx *fx)
{
	int ms = fx->conn.limits.header_timeout_ms;
	struct timeval limit = { ms / 1000, ms % 1000 * 1000 };

	return fx->relay[0] >= 0 ||
	    (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fx->relay) == 0 &&
	    setsockopt(fx->relay[0], SOL_SOCKET, SO_RCVTIMEO, &limit,
	    sizeof(limit)) == 0);
}

static bool
relay_send(struct rh_fcgx *fx, size_t n)
{
	return send(fx->relay[1], fx->conn.bytes, n,
	    MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)n;
}

/*
 * Our request's records of the head; those of others are answered here. One
 * send, since the socketpair has room for a few hundred only, however short.
 */
static bool
relay_records(struct rh_fcgx *fx)
{
	struct rh_conn *c = &fx->conn;
	struct rh_record r;
	size_t n = 0;

	for (size_t at = 0; at < c->head; at += r.size) {
		r = rh_record_get(c->bytes + at);
		if (r.id != c->id) {
			if (!rh_conn_answer(c->fd, &r,
			    c->bytes + at + RH_RECORD_LEN))
				return false;
			continue;
		}
		memmove(c->bytes + n, c->bytes + at, RH_RECORD_LEN + r.n);
		c->bytes[n + 6] = 0;
		n += RH_RECORD_LEN + r.n;
	}
	return relay_send(fx, n);
}

/*
 * libfcgi forgets the padding of BEGIN_REQUEST, and stops in front of that of
 * the empty PARAMS, which could then stay in the socketpair before the next
 * request: neither goes in.
 */
static bool
relay_head(struct rh_fcgx *fx)
{
	struct rh_conn *c = &fx->conn;
	size_t n = c->head - c->head_pad;

	if (!c->plain)
		return relay_records(fx);
	c->bytes[n - 2] = 0;
	return relay_send(fx, n);
}

static bool
relay(struct rh_fcgx *fx)
{
	struct rh_conn *c = &fx->conn;

	if (recv(c->fd, c->bytes, c->peeked, MSG_DONTWAIT) ==
	    (ssize_t)c->peeked && relay_open(fx) && relay_head(fx))
		return true;
	relay_close(fx);	/* half a head may stand in it */
	return false;
}

/*
 * libfcgi closes the descriptor that it could not read parameters from. The
 * guard leaves it no reason to; should it find one, the number stays ours.
 */
static void
accept_failed(struct rh_fcgx *fx, int from)
{
	int null;

	fx->request.ipcFd = -1;
	if (from != fx->conn.fd) {
		fx->relay[0] = -1;
		relay_close(fx);
		return;
	}
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0 && null != from) {
		dup3(null, from, O_CLOEXEC);
		close(null);
	}
}

/* The guard's lengths are good only for what libfcgi read by the same rules. */
static bool
read_alike(const struct rh_fcgx *fx)
{
	char **text = fx->request.envp;
	unsigned n = 0;

	while (text[n])
		n++;
	return n == fx->conn.nparams + 1 && FCGX_GetError(fx->request.in) == 0;
}

bool
rh_fcgx_accept(struct rh_fcgx *fx, int fd)
{
	struct rh_conn *c = &fx->conn;
	int from = fd;

	rh_assert(c->ready && c->fd == fd);
	c->ready = c->broken = c->replied = c->stdin_ended = false;
	c->managed = 0;
	c->deadline_ns = 0;
	if (!fx->direct || !c->plain || c->whole != c->peeked ||
	    c->peeked > LIBFCGI_READ) {
		if (!relay(fx))
			return false;
		from = fx->relay[0];
	}
	if (accept_from(fx, from) < 0) {
		accept_failed(fx, from);
		return false;
	}
	/* sent in spite of FCGI_MPXS_CONNS 0, and gone: what follows has no start */
	if (from == fd && taken(fx) != c->peeked)
		c->keep = false;
	c->at = c->head;
	c->end = c->peeked;
	if (read_alike(fx)) {
		atomic_store_explicit(&c->owed, RH_OWED_REPLY,
		    memory_order_release);
		return true;
	}
	let_go(fx);
	relay_close(fx);
	return false;
}

bool
rh_fcgx_keeps(const struct rh_fcgx *fx)
{
	return fx->conn.keep;
}

bool
rh_fcgx_is_abandoned(const struct rh_fcgx *fx)
{
	struct pollfd p = { .fd = fx->conn.fd, .events = POLLRDHUP };

	return poll(&p, 1, 0) > 0 &&
	    p.revents & (POLLRDHUP | POLLHUP | POLLERR);
}

void
rh_fcgx_params(const struct rh_fcgx *fx,
    void (*each)(void *ctx, struct rh_slice name, struct rh_slice value),
    void *ctx)
{
	const struct rh_conn *c = &fx->conn;
	char **text = fx->request.envp + 1;	/* 0 is libfcgi's own FCGI_ROLE */

	/* lengths as they came: a NUL inside a value does not shorten it */
	for (unsigned i = 0; i < c->nparams; i++)
		each(ctx, (struct rh_slice){ text[i], c->name_n[i] },
		    (struct rh_slice){ text[i] + c->name_n[i] + 1,
		    c->value_n[i] });
}

void
rh_fcgx_deadline(struct rh_fcgx *fx, uint64_t deadline_ns)
{
	fx->conn.deadline_ns = deadline_ns;
}

enum rh_fcgx_body
rh_fcgx_read_body(struct rh_fcgx *fx, struct rh_arena *arena, size_t max,
    struct rh_slice *body)
{
	enum rh_fcgx_body got;
	struct rh_buf b;

	*body = rh_conn_body_in_place(&fx->conn);
	if (body->p)
		return body->n > max ? RH_BODY_TOO_LARGE : RH_BODY_OK;
	rh_buf_init(&b, arena, RH_MIN(max, (size_t)LIBFCGI_READ), max);
	got = rh_conn_read(&fx->conn, &b, max, max * 8);
	*body = rh_buf_get(&b);
	return got;
}

/* A 504 is late by its nature, and a web server near by takes it at once. */
static int
reply_timeout_ms(const struct rh_conn *c)
{
	uint64_t now, left;

	if (c->deadline_ns == 0)
		return c->limits.body_timeout_ms;
	now = rh_clock_mono_ns();
	left = c->deadline_ns > now ? (c->deadline_ns - now) / 1000000 : 0;
	return (int)RH_MIN(RH_MAX(left, LATE_REPLY_MS),
	    (uint64_t)c->limits.body_timeout_ms);
}

bool
rh_fcgx_reply(struct rh_fcgx *fx, struct rh_slice head, struct rh_slice body)
{
	struct rh_conn *c = &fx->conn;

	rh_assert(!c->replied);
	/* a web server that sees END_REQUEST before it sent all gives up the connection */
	(void)rh_conn_read(c, NULL, RH_DRAIN_MAX, RH_DRAIN_MAX);
	c->replied = true;
	/* else a thread of this process has answered it, and dies */
	while (atomic_exchange(&c->owed, RH_OWED_REST) != RH_OWED_REPLY)
		pause();
	if (rh_conn_reply(c->fd, c->id, head, body, reply_timeout_ms(c)))
		return true;
	c->broken = true;
	return false;
}

/*
 * A web server takes a connection whose reply is whole for one that it may use
 * again: closing it after that would race with its next request, and a POST
 * that loses is a 502. So what was refused is taken off all the same.
 */
bool
rh_fcgx_refuse(struct rh_fcgx *fx, struct rh_slice head, struct rh_slice body)
{
	struct rh_conn *c = &fx->conn;
	bool skipped = rh_conn_skip_head(c, RH_LINGER_NS) &&
	    rh_conn_read(c, NULL, RH_DRAIN_MAX, RH_DRAIN_MAX) == RH_BODY_OK;

	if (!rh_conn_reply(c->fd, c->id, head, body,
	    (int)(RH_LINGER_NS / 1000000)))
		return false;
	if (!skipped)
		rh_conn_linger(c->fd);
	return skipped && c->keep && c->at == c->end;
}

bool
rh_fcgx_finish(struct rh_fcgx *fx)
{
	struct rh_conn *c = &fx->conn;

	if (!c->replied && !c->broken)
		(void)rh_fcgx_reply(fx, RH_SLICE_NONE, RH_SLICE_NONE);
	let_go(fx);
	atomic_store_explicit(&c->owed, RH_OWED_NOTHING, memory_order_release);
	if (!c->stdin_ended)
		rh_conn_linger(c->fd);
	/* bytes of a second request are not ours to keep: FCGI_MPXS_CONNS is 0 */
	return c->keep && !c->broken && c->stdin_ended && c->at == c->end;
}

/*
 * As in rh_fcgx_refuse: closed behind a whole reply, a kept connection would
 * take its web server's next request along. Where a byte of the reply is out,
 * END_REQUEST would bless the truncation, so then nothing is said.
 */
enum rh_fcgx_last
rh_fcgx_last_word(struct rh_fcgx *fx, struct rh_slice head,
    struct rh_slice body, bool can_read)
{
	struct rh_conn *c = &fx->conn;
	unsigned owed = atomic_exchange(&c->owed, RH_OWED_NOTHING);
	int ms = (int)(RH_LINGER_NS / 1000000);
	bool told = false;

	if (owed == RH_OWED_NOTHING)
		return RH_FCGX_NOT_TOLD;
	if (owed == RH_OWED_REPLY) {
		c->limits.body_timeout_ms = ms;
		if (can_read)
			(void)rh_conn_read(c, NULL, RH_DRAIN_MAX, RH_DRAIN_MAX);
		told = rh_conn_reply(c->fd, c->id, head, body, ms);
	}
	if (told && can_read && c->keep && !c->broken && c->stdin_ended &&
	    c->at == c->end)
		return RH_FCGX_TOLD_KEEP;
	if (told && !c->stdin_ended)
		rh_conn_linger(c->fd);
	shutdown(c->fd, SHUT_RDWR);
	return told ? RH_FCGX_TOLD_CLOSED : RH_FCGX_NOT_TOLD;
}
