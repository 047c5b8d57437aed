#include "config.h"

#include "serve/pass.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union ancillary {
	char bytes[CMSG_SPACE(RH_PASS_MAX * sizeof(int))];
	struct cmsghdr align;
};

bool
rh_pass_open(int ends[2])
{
	return socketpair(AF_UNIX,
	    SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0;
}

/* What passes once the other end has read: send(2), unix(7). */
static bool
passes(int error)
{
	return error == EAGAIN || error == ETOOMANYREFS || error == ENOBUFS ||
	    error == ENOMEM || error == EINTR;
}

enum rh_pass
rh_pass_send(int channel, const struct rh_parcel *parcel)
{
	union ancillary control = { 0 };
	struct iovec iov = { (void *)(uintptr_t)&parcel->as, parcel->bytes };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = CMSG_SPACE(parcel->nfds * sizeof(int)) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(parcel->nfds * sizeof(int));
	memcpy(CMSG_DATA(c), parcel->fds, parcel->nfds * sizeof(int));
	if (sendmsg(channel, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
		return RH_PASS_DONE;
	return passes(errno) ? RH_PASS_LATER : RH_PASS_BROKEN;
}

enum rh_pass
rh_pass_take(int channel, struct rh_parcel *parcel)
{
	union ancillary control;
	struct iovec iov = { &parcel->as, sizeof(parcel->as) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes) };
	ssize_t n;

	/*
	 * Where the other end was closed with something unread in it, the first
	 * call says so, and only the next one has what was sent before that.
	 */
	do {
		n = recvmsg(channel, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == ECONNRESET);
	parcel->nfds = 0;
	if (n <= 0)
		return n < 0 && passes(errno) ? RH_PASS_LATER : RH_PASS_BROKEN;
	parcel->bytes = (size_t)n;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c;
	    c = CMSG_NXTHDR(&msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		parcel->nfds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(parcel->fds, CMSG_DATA(c), parcel->nfds * sizeof(int));
	}
	return RH_PASS_DONE;
}
