#include "config.h"

#include "http/fcgx_conn.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/clock.h"

/*
 * Headers, body and END_REQUEST leave in one sendmsg(2), gathered from where
 * they stand. libfcgi copies them into its 8 KiB first, and needs two writes
 * for what is larger. CPU of a whole exchange over a socketpair, guard, reader
 * and 600 bytes of headers included: with a body of 6 KB 6.6 us, and 6.7 by
 * libfcgi's streams; with 10 KB 7.0 and 8.3.
 */

#define CONTENT_MAX	65528u	/* of a record: the most that needs no padding */
#define BATCH		8	/* records a system call */

/* *deadline_ns is 0 until the first wait, and then holds for all that follow. */
static bool
send_all(int fd, struct iovec *iov, unsigned n, int timeout_ms,
    uint64_t *deadline_ns)
{
	while (n) {
		struct msghdr m = { .msg_iov = iov, .msg_iovlen = n };
		ssize_t sent = sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent < 0 && errno != EAGAIN && errno != EINTR)
			return false;
		if (sent < 0) {
			if (*deadline_ns == 0)
				*deadline_ns = rh_clock_mono_ns() +
				    (uint64_t)timeout_ms * 1000000;
			if (rh_conn_wait(fd, POLLOUT, *deadline_ns) <= 0)
				return false;
			continue;
		}
		for (; n && (size_t)sent >= iov->iov_len; n--)
			sent -= (ssize_t)(iov++)->iov_len;
		if (n) {
			iov->iov_base = (char *)iov->iov_base + sent;
			iov->iov_len -= (size_t)sent;
		}
	}
	return true;
}

static struct iovec
piece(const void *p, size_t n)
{
	return (struct iovec){ .iov_base = (void *)(uintptr_t)p, .iov_len = n };
}

/* The next n bytes of head and body as one or two pieces. */
static unsigned
pieces(struct iovec *iov, struct rh_slice *head, struct rh_slice *body, size_t n)
{
	size_t of_head = RH_MIN(head->n, n), of_body = n - of_head;
	unsigned count = 0;

	if (of_head)
		iov[count++] = piece(head->p, of_head);
	if (of_body)
		iov[count++] = piece(body->p, of_body);
	if (of_head)
		*head = rh_slice_from(*head, of_head);
	if (of_body)
		*body = rh_slice_from(*body, of_body);
	return count;
}

bool
rh_conn_reply(int fd, unsigned id, struct rh_slice head, struct rh_slice body,
    int timeout_ms)
{
	/* padding, the empty STDOUT, END_REQUEST; sent from where padding starts */
	unsigned char tail[7 + RH_RECORD_LEN + RH_END_LEN] = { 0 };
	unsigned char records[BATCH][RH_RECORD_LEN];
	struct iovec iov[BATCH * 3 + 1];
	size_t left = head.n + body.n, pad = 0;
	uint64_t deadline_ns = 0;

	rh_record_put(tail + 7, RH_REC_STDOUT, id, 0, 0);
	rh_end_put(tail + 7 + RH_RECORD_LEN, id, RH_END_COMPLETE);
	do {
		unsigned n = 0;

		for (unsigned i = 0; i < BATCH && left; i++) {
			size_t now = RH_MIN(left, CONTENT_MAX);

			pad = (8 - now % 8) % 8;
			rh_record_put(records[i], RH_REC_STDOUT, id, now, pad);
			iov[n++] = piece(records[i], RH_RECORD_LEN);
			n += pieces(iov + n, &head, &body, now);
			left -= now;
		}
		if (left == 0)
			iov[n++] = piece(tail + 7 - pad, sizeof(tail) - 7 + pad);
		if (!send_all(fd, iov, n, timeout_ms, &deadline_ns))
			return false;
	} while (left);
	return true;
}

/*
 * What the web server still sends is taken, so that the close does not become
 * a reset that overtakes the reply.
 */
void
rh_conn_linger(int fd)
{
	uint64_t deadline = rh_clock_mono_ns() + RH_LINGER_NS;
	char trash[4096];
	ssize_t n;

	shutdown(fd, SHUT_WR);
	do {
		if (rh_conn_wait(fd, POLLIN, deadline) <= 0)
			return;
		n = recv(fd, trash, sizeof(trash), MSG_DONTWAIT);
	} while (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)));
}
