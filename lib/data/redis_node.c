#include "config.h"

#include "data/redis_session.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"

/* A session that rests for longer is looked at before it is used. */
#define STALE_AFTER_NS	(100 * RH_MS_NS)

enum {
	READ_BYTES = 64 << 10, SCRATCH_FIRST = 4096, SCRATCH_CAP = 96 << 20,
	OUT_MAX = 128 << 20
};

/* What a connection begins with; their order is that of greet(). */
enum { G_AUTH = 1 << 0, G_SELECT = 1 << 1, G_NAME = 1 << 2 };

/* ---- its end ---- */

struct rh_redis_node *
rh_redis_node_new(struct rh_redis *r, const char *host, uint16_t port)
{
	struct rh_redis_node *n = RH_NEW(r->own, struct rh_redis_node);

	n->r = r;
	n->fd = -1;
	n->port = port;
	snprintf(n->host, sizeof(n->host), "%s", host ? host : "");
	return n;
}

void
rh_redis_node_close(struct rh_redis_node *n)
{
	rh_redis_lookup_abandon(&n->lookup);
	if (n->fd >= 0)
		close(n->fd);
	n->fd = -1;
	rh_redis_reader_free(n->reader);
	n->reader = NULL;
	rh_arena_destroy(&n->scratch);
	n->link = RH_LINK_NONE;
	n->unwanted = n->nsent = n->nread = 0;
	n->written = 0;
	n->out = (struct rh_buf){ 0 };
}

/* A cluster of which some node is away is not up. */
void
rh_redis_tell_up(const struct rh_redis *r)
{
	bool up = true;

	for (unsigned i = 0; i < r->nnodes; i++)
		up &= !r->nodes[i]->breaker.open ||
		    (r->is_cluster && !r->nodes[i]->in_map);
	if (r->obs->tally && !r->obs->placed)
		rh_gauge_set(r->obs->tally, r->obs->up, RH_REDIS_DEPENDENCY,
		    up);
}

const char *
rh_redis_node_name(const struct rh_redis_node *n, char to[280])
{
	if (n->host[0])
		snprintf(to, 280, strchr(n->host, ':') ? "[%s]:%u" : "%s:%u",
		    n->host, n->port);
	else
		snprintf(to, 280, "unix:%s", n->r->url.path);
	return to;
}

void
rh_redis_node_fail(struct rh_redis_node *n, const char *fmt, ...)
{
	struct rh_redis *r = n->r;
	char name[280], text[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(r->trouble, sizeof(r->trouble), "%s: %s",
	    rh_redis_node_name(n, name), text);
	rh_redis_node_close(n);
	rh_breaker_trip(&n->breaker, r->conf->retry_ms, rh_clock_mono_ns());
	r->map_stale |= r->is_cluster;
	rh_redis_tell_up(r);
}

/* ---- bytes out, bytes in ---- */

bool
rh_redis_node_write(struct rh_redis_node *n)
{
	while (n->written < n->out.n) {
		ssize_t done = send(n->fd, n->out.p + n->written,
		    n->out.n - n->written, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return true;
		if (done < 0) {
			rh_redis_node_fail(n, "%s", strerror(errno));
			return false;
		}
		n->written += (size_t)done;
	}
	return true;
}

bool
rh_redis_node_read(struct rh_redis_node *n)
{
	static char bytes[READ_BYTES];
	ssize_t got;

	do {
		got = recv(n->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	} while (got < 0 && errno == EINTR);
	if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return true;
	if (got <= 0) {
		rh_redis_node_fail(n, "%s", got ? strerror(errno) :
		    "the server closed the connection");
		return false;
	}
	if (rh_redis_reader_feed(n->reader, bytes, (size_t)got))
		return true;
	rh_redis_node_fail(n, "%s", rh_redis_reader_trouble(n->reader));
	return false;
}

/* Whatever a post was to drop may be there still: as if we had been away. */
static void
posts_lost(struct rh_redis_node *n)
{
	n->sink.lost = false;
	n->r->map_stale |= n->r->is_cluster;
	n->r->since_ms = rh_clock_wall_us() / 1000;
}

bool
rh_redis_node_take(struct rh_redis_node *n, struct rh_arena *arena,
    const struct rh_redis_value **value)
{
	do {
		n->sink.arena = n->unwanted ? NULL : arena;
		if (!rh_redis_reader_take(n->reader, value)) {
			rh_redis_node_fail(n, "%s",
			    rh_redis_reader_trouble(n->reader));
			return false;
		}
	} while (*value && n->unwanted && n->unwanted--);
	if (n->sink.lost)
		posts_lost(n);
	return true;
}

/* ---- opening, a step at a time ---- */

static bool
opening_begin(struct rh_redis_node *n)
{
	struct rh_redis *r = n->r;

	n->opening_until_ns = rh_clock_mono_ns() +
	    (uint64_t)r->conf->connect_timeout_ms * RH_MS_NS;
	n->naddresses = n->address = 0;
	n->greetings = 0;
	if (!n->host[0]) {
		struct sockaddr_un *un = (void *)&n->addresses[0].at;

		*un = (struct sockaddr_un){ .sun_family = AF_UNIX };
		memcpy(un->sun_path, r->url.path, strlen(r->url.path));
		n->addresses[0].n = sizeof(*un);
		n->naddresses = 1;
	} else {
		n->naddresses = rh_redis_resolve_number(n->addresses, n->host,
		    n->port);
	}
	n->link = n->naddresses ? RH_LINK_CONNECTING : RH_LINK_RESOLVING;
	if (n->naddresses || (n->lookup =
	    rh_redis_lookup_begin(n->host, n->port)))
		return true;
	rh_redis_node_fail(n, "no thread to look its name up");
	return false;
}

/* errno of the last address; EINPROGRESS: it is on its way. */
static void
connect_next(struct rh_redis_node *n)
{
	const int one = 1;

	while (n->fd < 0 && n->address < n->naddresses) {
		const struct rh_redis_address *a = &n->addresses[n->address++];

		n->fd = socket(a->at.ss_family,
		    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (n->fd < 0)
			continue;
		if (a->at.ss_family != AF_UNIX)
			setsockopt(n->fd, IPPROTO_TCP, TCP_NODELAY, &one,
			    sizeof(one));
		if (connect(n->fd, (const void *)&a->at, a->n) == 0 ||
		    errno == EINPROGRESS || errno == EINTR)
			return;
		close(n->fd);
		n->fd = -1;
	}
}

static bool
poll_now(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	return rh_redis_poll(&p, 1, 0) > 0;
}

#define SAY(...)							\
	do {								\
		const struct rh_slice say_[] = { __VA_ARGS__ };		\
									\
		rh_redis_put_command(&n->out, say_, RH_COUNT(say_));	\
	} while (0)

static void
greet(struct rh_redis_node *n)
{
	const struct rh_redis_url *url = &n->r->url;
	char db[12];
	int len = snprintf(db, sizeof(db), "%u", url->db);

	rh_buf_init(&n->out, n->scratch, 1024, OUT_MAX);
	n->written = n->greeted = n->greetings = 0;
	if (url->password && url->user)
		SAY(RH_SLICE("AUTH"), rh_slice_of(url->user),
		    rh_slice_of(url->password));
	else if (url->password)
		SAY(RH_SLICE("AUTH"), rh_slice_of(url->password));
	if (url->password)
		n->greetings |= G_AUTH;
	if (url->db) {
		SAY(RH_SLICE("SELECT"), ((struct rh_slice){ db, (size_t)len }));
		n->greetings |= G_SELECT;
	}
	if (n->r->conf->client_name) {
		SAY(RH_SLICE("CLIENT"), RH_SLICE("SETNAME"),
		    rh_slice_of(n->r->conf->client_name));
		n->greetings |= G_NAME;
	}
	for (unsigned i = 0; i < rh_redis_scripts_count(); i++)
		SAY(RH_SLICE("SCRIPT"), RH_SLICE("LOAD"),
		    rh_slice_of(rh_redis_scripts_get(i)->lua));
	SAY(RH_SLICE("CLUSTER"), RH_SLICE("SLOTS"));
	SAY(RH_SLICE("PING"));
}

static bool
begin_greeting(struct rh_redis_node *n)
{
	int error = 0;
	socklen_t size = sizeof(error);

	if (getsockopt(n->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 ||
	    error) {
		close(n->fd);
		n->fd = -1;
		connect_next(n);
		if (n->fd < 0)
			rh_redis_node_fail(n, "%s",
			    strerror(error ? error : errno));
		return false;
	}
	n->scratch = rh_arena_new(SCRATCH_FIRST, SCRATCH_CAP);
	n->sink = (struct rh_redis_sink){ .arena = n->scratch };
	n->reader = rh_redis_reader_new(&n->sink);
	greet(n);
	n->link = RH_LINK_GREETING;
	return true;
}

static void
opened(struct rh_redis_node *n)
{
	n->link = RH_LINK_READY;
	n->written = 0;
	n->out = (struct rh_buf){ 0 };
	rh_arena_destroy(&n->scratch);
	rh_breaker_close(&n->breaker);
	n->last_used_ns = rh_clock_mono_ns();
	n->r->since_ms = rh_clock_wall_us() / 1000;
	n->r->trouble[0] = '\0';
	rh_redis_tell_up(n->r);
}

/*
 * The answers in the order asked. Without the right name, the scripts or the
 * map we can do; PING tells a server that is loading, or wants a password.
 */
static bool
greeting_judge(struct rh_redis_node *n, const struct rh_redis_value *v)
{
	unsigned bits = n->greetings, at = n->greeted++;
	const unsigned needed = (bits & G_AUTH ? 1u : 0) +
	    (bits & G_SELECT ? 1u : 0);
	const unsigned slots = needed + (bits & G_NAME ? 1u : 0) +
	    rh_redis_scripts_count();

	if (at == slots && v->kind == RH_REDIS_ARRAY)
		rh_redis_map_learn(n->r, n, v);
	if (v->kind != RH_REDIS_ERROR || (at >= needed && at <= slots)) {
		if (at > slots)
			opened(n);
		return true;
	}
	rh_redis_node_fail(n, "%.*s", RH_SLICE_ARG(v->text));
	return false;
}

static bool
greeting_read(struct rh_redis_node *n)
{
	const struct rh_redis_value *v;

	if (!rh_redis_node_write(n) ||
	    (poll_now(n->fd, POLLIN) && !rh_redis_node_read(n)))
		return false;
	while (n->link == RH_LINK_GREETING) {
		if (!rh_redis_node_take(n, n->scratch, &v))
			return false;
		if (!v)
			return true;
		if (!greeting_judge(n, v))
			return false;
	}
	return true;
}

/* False: there is nothing more to do now. */
static bool
advance(struct rh_redis_node *n)
{
	const enum rh_redis_link before = n->link;
	int error;

	switch (n->link) {
	case RH_LINK_RESOLVING:
		if (!poll_now(rh_redis_lookup_fd(n->lookup), POLLIN))
			return false;
		n->naddresses = rh_redis_lookup_take(&n->lookup, n->addresses);
		if (n->naddresses == 0)
			rh_redis_node_fail(n, "its name is unknown");
		else
			n->link = RH_LINK_CONNECTING;
		break;
	case RH_LINK_CONNECTING:
		if (n->fd < 0) {
			errno = 0;
			connect_next(n);
			error = errno;
			if (n->fd < 0)
				rh_redis_node_fail(n, "%s", strerror(error));
		}
		if (n->fd >= 0 && poll_now(n->fd, POLLOUT))
			(void)begin_greeting(n);
		break;
	case RH_LINK_GREETING:
		(void)greeting_read(n);
		break;
	case RH_LINK_NONE:
	case RH_LINK_READY:
		return false;
	}
	return n->link != before && n->link != RH_LINK_NONE;
}

static bool
is_opening(const struct rh_redis_node *n)
{
	return n->link != RH_LINK_NONE && n->link != RH_LINK_READY;
}

static void
opening_go_on(struct rh_redis_node *n)
{
	while (advance(n))
		;
	if (is_opening(n) && rh_clock_mono_ns() >= n->opening_until_ns)
		rh_redis_node_fail(n, n->link == RH_LINK_GREETING ?
		    "connected, and no answer" : "connecting took too long");
}

bool
rh_redis_node_try(struct rh_redis_node *n)
{
	if (n->link == RH_LINK_NONE &&
	    (!rh_breaker_may_try(&n->breaker, rh_clock_mono_ns()) ||
	    !opening_begin(n)))
		return false;
	if (is_opening(n))
		opening_go_on(n);
	return n->link == RH_LINK_READY;
}

static bool
await_open(struct rh_redis_node *n, uint64_t until_ns)
{
	while (!rh_redis_node_try(n) && is_opening(n)) {
		struct pollfd p = { .fd = n->link == RH_LINK_RESOLVING ?
			rh_redis_lookup_fd(n->lookup) : n->fd,
			.events = n->link == RH_LINK_CONNECTING ||
			n->written < n->out.n ? POLLOUT : POLLIN };

		if (rh_redis_poll(&p, 1,
		    RH_MIN(until_ns, n->opening_until_ns)) == 0 &&
		    rh_clock_mono_ns() >= until_ns)
			return false;	/* the request's own time is up */
	}
	return n->link == RH_LINK_READY;
}

/* A server that went away while we rested has left the end in the socket. */
static bool
has_ended(const struct rh_redis_node *n)
{
	char byte;
	ssize_t got = recv(n->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	return got == 0 || (got > 0 && n->unwanted == 0) ||
	    (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK &&
	    errno != EINTR);
}

void
rh_redis_node_look(struct rh_redis_node *n)
{
	if (n->link != RH_LINK_READY)
		return;
	if (has_ended(n))
		rh_redis_node_close(n);
	else if (n->unwanted && poll_now(n->fd, POLLIN))
		(void)rh_redis_read_off(n);
}

bool
rh_redis_node_ready(struct rh_redis_node *n, uint64_t until_ns)
{
	if (n->link == RH_LINK_READY && rh_clock_mono_ns() -
	    n->last_used_ns > STALE_AFTER_NS && has_ended(n))
		rh_redis_node_close(n);
	if (n->link == RH_LINK_READY)
		return true;
	return n->breaker.open ? rh_redis_node_try(n) : await_open(n, until_ns);
}
