/*
 * sink - takes every POST and throws it away: the collector of a bench.
 *
 * sink PORT: HTTP/1.1 on loopback, kept connections, bodies by Content-Length.
 * A body is neither unpacked nor looked at, so that the sink costs little; at
 * its end it says how many POSTs and bytes came.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CLIENTS = 256, HEAD_MAX = 16384 };

struct client {
	size_t n;		/* bytes of the head so far */
	long long body;		/* bytes of the body still to come */
	char head[HEAD_MAX + 1];
};

static const char ok[] = "HTTP/1.1 200 OK\r\n"
    "Content-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";
static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";

static struct pollfd fds[1 + CLIENTS];
static struct client *clients[1 + CLIENTS];
static nfds_t count = 1;
static long long posts, bytes;
static volatile sig_atomic_t ended;

static void
end(int signo)
{
	(void)signo;
	ended = 1;
}

static bool
say(int fd, const char *text, size_t n)
{
	return send(fd, text, n, MSG_NOSIGNAL) == (ssize_t)n;
}

static long long
length_of(const char *head)
{
	const char *at = strcasestr(head, "\r\ncontent-length:");

	return at ? atoll(at + 17) : 0;
}

/* Whole heads and bodies out of what has come; false where it is no HTTP. */
static bool
take(struct client *c, int fd)
{
	const char *blank;
	size_t head;

	while (c->n > 0) {
		if (c->body > 0) {
			size_t part = c->body < (long long)c->n ?
			    (size_t)c->body : c->n;

			c->body -= (long long)part;
			c->n -= part;
			memmove(c->head, c->head + part, c->n);
			bytes += (long long)part;
			if (c->body == 0 && !say(fd, ok, sizeof(ok) - 1))
				return false;
			continue;
		}
		c->head[c->n] = '\0';
		if (!(blank = strstr(c->head, "\r\n\r\n")))
			return c->n < HEAD_MAX;
		head = (size_t)(blank - c->head) + 4;
		c->body = length_of(c->head);
		posts++;
		if (strcasestr(c->head, "\r\nexpect:") &&
		    !say(fd, go_on, sizeof(go_on) - 1))
			return false;
		c->n -= head;
		memmove(c->head, c->head + head, c->n);
		if (c->body == 0 && !say(fd, ok, sizeof(ok) - 1))
			return false;
	}
	return true;
}

static bool
hear(struct client *c, int fd)
{
	ssize_t n = recv(fd, c->head + c->n, HEAD_MAX - c->n, MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	c->n += (size_t)n;
	return n > 0 && take(c, fd);
}

static void
drop(nfds_t i)
{
	close(fds[i].fd);
	free(clients[i]);
	count--;
	fds[i] = fds[count];
	clients[i] = clients[count];
}

static void
meet(int listener)
{
	int fd = accept(listener, NULL, NULL);

	if (fd < 0)
		return;
	if (count > CLIENTS || !(clients[count] = calloc(1, sizeof(**clients)))) {
		close(fd);
		return;
	}
	fds[count++] = (struct pollfd){ .fd = fd, .events = POLLIN };
}

static int
listen_on(int port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 ||
	    listen(fd, CLIENTS) != 0)
		return -1;
	return fd;
}

int
main(int argc, char **argv)
{
	struct sigaction ending = { .sa_handler = end };

	if (argc != 2 || (fds[0].fd = listen_on(atoi(argv[1]))) < 0) {
		fprintf(stderr, "usage: sink PORT (a free one)\n");
		return 2;
	}
	fds[0].events = POLLIN;
	sigaction(SIGTERM, &ending, NULL);
	while (!ended) {
		if (poll(fds, count, -1) < 0)
			continue;
		for (nfds_t i = count; i-- > 1;)
			if (fds[i].revents && !hear(clients[i], fds[i].fd))
				drop(i);
		if (fds[0].revents)
			meet(fds[0].fd);
	}
	printf("%lld posts, %lld bytes\n", posts, bytes);
	return 0;
}
