#include "config.h"

#include "http/fcgx_conn.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/clock.h"

/*
 * STDIN is read by this file alone: libfcgi would block without a deadline,
 * and would answer management records that come between STDIN's on its stack.
 */

#define MANAGED_MAX	16	/* foreign records during one body */

int
rh_conn_wait(int fd, short events, uint64_t deadline_ns)
{
	struct pollfd p = { .fd = fd, .events = events };

	for (;;) {
		uint64_t now = rh_clock_mono_ns();
		int n;

		if (now >= deadline_ns)
			return 0;
		n = poll(&p, 1, (int)((deadline_ns - now + 999999) / 1000000));
		if (n > 0)
			return 1;	/* also for errors: the call after it tells */
		if (n < 0 && errno != EINTR)
			return -1;
	}
}

/* Bytes more into the window. */
static enum rh_fcgx_body
fill(struct rh_conn *c, uint64_t deadline_ns)
{
	if (c->at == c->end)
		c->at = c->end = 0;
	if (c->end == sizeof(c->bytes)) {
		memmove(c->bytes, c->bytes + c->at, c->end - c->at);
		c->end -= c->at;
		c->at = 0;
	}
	for (;;) {
		ssize_t n = recv(c->fd, c->bytes + c->end,
		    sizeof(c->bytes) - c->end, MSG_DONTWAIT);

		if (n > 0) {
			c->end += (size_t)n;
			return RH_BODY_OK;
		}
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			return RH_BODY_BROKEN;
		n = rh_conn_wait(c->fd, POLLIN, deadline_ns);
		if (n <= 0)
			return n ? RH_BODY_BROKEN : RH_BODY_TIMEOUT;
	}
}

static enum rh_fcgx_body
need(struct rh_conn *c, size_t n, uint64_t deadline_ns)
{
	enum rh_fcgx_body got = RH_BODY_OK;

	while (c->end - c->at < n && got == RH_BODY_OK)
		got = fill(c, deadline_ns);
	return got;
}

/* A record of somebody else's, whole in the window if it wants an answer. */
static enum rh_fcgx_body
foreign(struct rh_conn *c, const struct rh_record *r, uint64_t deadline_ns)
{
	enum rh_fcgx_body got;

	if (r->version != 1 || r->id == c->id || r->size > RH_MANAGEMENT_MAX ||
	    c->managed++ == MANAGED_MAX)
		return RH_BODY_BROKEN;
	if ((got = need(c, r->size, deadline_ns)) != RH_BODY_OK)
		return got;
	if (!rh_conn_answer(c->fd, r, c->bytes + c->at + RH_RECORD_LEN))
		return RH_BODY_BROKEN;
	c->at += r->size;
	return RH_BODY_OK;
}

/* n bytes out of the window, to to where it has room under max. */
static enum rh_fcgx_body
take(struct rh_conn *c, size_t n, struct rh_buf *to, uint64_t deadline_ns)
{
	enum rh_fcgx_body got;

	while (n) {
		size_t there = RH_MIN(n, c->end - c->at);

		if (there == 0) {
			if ((got = fill(c, deadline_ns)) != RH_BODY_OK)
				return got;
			continue;
		}
		if (to)
			rh_buf_put(to, c->bytes + c->at, there);
		c->at += there;
		n -= there;
	}
	return RH_BODY_OK;
}

struct drain {
	struct rh_buf *to;
	size_t seen, max, drain_max;
	uint64_t deadline_ns;
};

static enum rh_fcgx_body
read_record(struct rh_conn *c, struct drain *d)
{
	enum rh_fcgx_body got = need(c, RH_RECORD_LEN, d->deadline_ns);
	struct rh_record r;

	if (got != RH_BODY_OK)
		return got;
	r = rh_record_get(c->bytes + c->at);
	if (r.version != 1 || r.id != c->id || r.type != RH_REC_STDIN)
		return foreign(c, &r, d->deadline_ns);
	c->at += RH_RECORD_LEN;
	d->seen += r.n;
	if (d->seen > d->drain_max)
		return RH_BODY_BROKEN;
	if (d->seen > d->max)
		d->to = NULL;
	if ((got = take(c, r.n, d->to, d->deadline_ns)) == RH_BODY_OK)
		got = take(c, r.size - RH_RECORD_LEN - r.n, NULL, d->deadline_ns);
	c->stdin_ended = got == RH_BODY_OK && r.n == 0;
	return got;
}

enum rh_fcgx_body
rh_conn_read(struct rh_conn *c, struct rh_buf *to, size_t max, size_t drain_max)
{
	struct drain d = { .to = to, .max = max, .drain_max = drain_max };
	enum rh_fcgx_body got = RH_BODY_OK;
	bool bounded;

	if (c->stdin_ended && !c->broken)
		return RH_BODY_OK;
	d.deadline_ns = rh_clock_mono_ns() +
	    (uint64_t)c->limits.body_timeout_ms * 1000000;
	bounded = c->deadline_ns && c->deadline_ns < d.deadline_ns;
	if (bounded)
		d.deadline_ns = c->deadline_ns;
	while (!c->stdin_ended && !c->broken) {
		if ((got = read_record(c, &d)) != RH_BODY_OK)
			c->broken = true;
	}
	if (got == RH_BODY_TIMEOUT)
		return bounded ? RH_BODY_LATE : RH_BODY_TIMEOUT;
	if (d.seen > max)
		return RH_BODY_TOO_LARGE;
	return got != RH_BODY_OK ? got :
	    c->broken ? RH_BODY_BROKEN : RH_BODY_OK;
}

/*
 * Its BEGIN_REQUEST comes first, and once: a second one before the end of PARAMS
 * breaks the rules, and what stands behind it is no request.
 */
static enum rh_fcgx_body
skip_record(struct rh_conn *c, struct drain *d, bool *ended)
{
	enum rh_fcgx_body got = need(c, RH_RECORD_LEN, d->deadline_ns);
	struct rh_record r;

	if (got != RH_BODY_OK)
		return got;
	r = rh_record_get(c->bytes + c->at);
	if (r.version != 1 || r.id != c->id)
		return foreign(c, &r, d->deadline_ns);
	if (r.type != (d->seen ? RH_REC_PARAMS : RH_REC_BEGIN) ||
	    (d->seen += r.size) > d->drain_max)
		return RH_BODY_BROKEN;
	*ended = r.type == RH_REC_PARAMS && r.n == 0;
	return take(c, r.size, NULL, d->deadline_ns);
}

bool
rh_conn_skip_head(struct rh_conn *c, uint64_t ns)
{
	struct drain d = { NULL, 0, 0, RH_DRAIN_MAX, rh_clock_mono_ns() + ns };
	bool ended = false;

	/* what the guard saw is still in the socket */
	c->at = c->end = 0;
	c->stdin_ended = c->broken = false;
	c->managed = 0;
	while (!ended && !c->broken)
		c->broken = skip_record(c, &d, &ended) != RH_BODY_OK;
	return !c->broken;
}

struct rh_slice
rh_conn_body_in_place(struct rh_conn *c)
{
	const unsigned char *p = c->bytes + c->at;
	size_t there = c->end - c->at;
	struct rh_record r, last;

	if (there < RH_RECORD_LEN || c->stdin_ended || c->broken)
		return RH_SLICE_NONE;
	r = rh_record_get(p);
	if (r.version != 1 || r.id != c->id || r.type != RH_REC_STDIN ||
	    r.n == 0 || there < r.size + RH_RECORD_LEN)
		return RH_SLICE_NONE;
	last = rh_record_get(p + r.size);
	if (last.version != 1 || last.id != c->id || last.n ||
	    last.type != RH_REC_STDIN || there < r.size + last.size)
		return RH_SLICE_NONE;
	c->at += r.size + last.size;
	c->stdin_ended = true;
	return (struct rh_slice){ (const char *)p + RH_RECORD_LEN, r.n };
}
