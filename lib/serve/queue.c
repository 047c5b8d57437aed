#include "config.h"

#include "serve/queue.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define NO_COOKIE	UINT32_MAX

static bool
ask(const struct rh_queue *q)
{
	struct {
		struct nlmsghdr head;
		struct unix_diag_req what;
	} request = {
		.head = { .nlmsg_len = sizeof(request),
		    .nlmsg_type = SOCK_DIAG_BY_FAMILY,
		    .nlmsg_flags = NLM_F_REQUEST },
		.what = { .sdiag_family = AF_UNIX, .udiag_states = UINT32_MAX,
		    .udiag_ino = q->inode, .udiag_show = UDIAG_SHOW_RQLEN,
		    .udiag_cookie = { NO_COOKIE, NO_COOKIE } },
	};

	return send(q->netlink, &request, sizeof(request), MSG_DONTWAIT) ==
	    sizeof(request);
}

/* Of a listening socket, the receive queue is what waits to be accepted. */
static bool
read_answer(const struct nlmsghdr *head, size_t n, unsigned *length)
{
	const size_t fixed = NLMSG_HDRLEN +
	    NLMSG_ALIGN(sizeof(struct unix_diag_msg));
	const char *at = (const char *)head + fixed;
	const char *end = (const char *)head + n;
	struct unix_diag_rqlen rqlen;
	struct nlattr attr;

	if (n < fixed || head->nlmsg_type != SOCK_DIAG_BY_FAMILY)
		return false;
	while (end - at >= NLA_HDRLEN) {
		memcpy(&attr, at, sizeof(attr));
		if (attr.nla_len < NLA_HDRLEN || attr.nla_len > end - at)
			return false;
		if (attr.nla_type == UNIX_DIAG_RQLEN &&
		    attr.nla_len >= NLA_HDRLEN + sizeof(rqlen)) {
			memcpy(&rqlen, at + NLA_HDRLEN, sizeof(rqlen));
			*length = rqlen.udiag_rqueue;
			return true;
		}
		at += RH_MIN((size_t)NLA_ALIGN(attr.nla_len),
		    (size_t)(end - at));
	}
	return false;
}

static bool
unix_length(const struct rh_queue *q, unsigned *length)
{
	union { struct nlmsghdr head; char bytes[1024]; } answer;
	ssize_t n;

	/* what an earlier question left would be taken for this one's answer */
	while (recv(q->netlink, &answer, sizeof(answer), MSG_DONTWAIT) > 0)
		;
	if (!ask(q))
		return false;
	n = recv(q->netlink, &answer, sizeof(answer), MSG_DONTWAIT);
	return n >= NLMSG_HDRLEN &&
	    read_answer(&answer.head, (size_t)n, length);
}

static bool
tcp_length(int fd, unsigned *length)
{
	struct tcp_info info;
	socklen_t n = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) != 0)
		return false;
	/* of a listening socket: its backlog, and how long it may become */
	*length = info.tcpi_unacked;
	return true;
}

bool
rh_queue_open(struct rh_queue *q, int listen_fd)
{
	struct sockaddr_storage name;
	socklen_t n = sizeof(name);
	unsigned length;
	struct stat st;

	*q = (struct rh_queue){ .listen_fd = listen_fd, .netlink = -1 };
	if (getsockname(listen_fd, (struct sockaddr *)&name, &n) != 0 ||
	    fstat(listen_fd, &st) != 0)
		return false;
	if (name.ss_family != AF_UNIX)
		return tcp_length(listen_fd, &length);
	q->inode = (uint32_t)st.st_ino;
	q->netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC,
	    NETLINK_SOCK_DIAG);
	if (q->netlink < 0)
		return false;
	if (unix_length(q, &length))
		return true;
	rh_queue_close(q);
	errno = EOPNOTSUPP;
	return false;
}

void
rh_queue_close(struct rh_queue *q)
{
	if (q->netlink >= 0)
		close(q->netlink);
	q->netlink = -1;
	q->inode = 0;
	q->listen_fd = -1;
}

bool
rh_queue_length(const struct rh_queue *q, unsigned *length)
{
	if (q->listen_fd < 0)
		return false;
	return q->netlink < 0 ? tcp_length(q->listen_fd, length) :
	    unix_length(q, length);
}
