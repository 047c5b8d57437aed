/* tests/lib/serve/check_queue.c - what waits to be accepted is counted. */
#include "config.h"

#include "serve/queue.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "rh_check.h"

#define CLIENTS	5

union address {
	struct sockaddr any;
	struct sockaddr_un un;
	struct sockaddr_in in;
};

static const int families[] = { AF_UNIX, AF_INET };

static int
new_listener(int family, union address *at, socklen_t *n)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	*at = (union address){ .any.sa_family = (sa_family_t)family };
	if (family == AF_INET)
		at->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	/* a unix socket without a name gets an abstract one */
	*n = family == AF_INET ? sizeof(at->in) : sizeof(sa_family_t);
	ck_assert_int_eq(bind(fd, &at->any, *n), 0);
	*n = sizeof(*at);
	ck_assert_int_eq(getsockname(fd, &at->any, n), 0);
	ck_assert_int_eq(listen(fd, 64), 0);
	return fd;
}

static unsigned
length_of(const struct rh_queue *q)
{
	unsigned n = UINT32_MAX;

	ck_assert(rh_queue_length(q, &n));
	return n;
}

/* Of TCP's handshake the client has seen the end before the listener has. */
static void
await_length(const struct rh_queue *q, unsigned n)
{
	for (int ms = 0; length_of(q) != n; ms++) {
		ck_assert_int_lt(ms, 30000);
		usleep(1000);
	}
}

START_TEST(each_connection_counts_until_it_is_accepted)
{
	union address at;
	struct rh_queue q;
	socklen_t n;
	int fd = new_listener(families[_i], &at, &n), clients[CLIENTS];

	if (!rh_queue_open(&q, fd)) {
		/* a kernel without unix_diag: the pool does without, too */
		ck_assert_int_eq(families[_i], AF_UNIX);
		return;
	}
	for (unsigned i = 0; i < CLIENTS; i++) {
		await_length(&q, i);
		clients[i] = socket(families[_i], SOCK_STREAM, 0);
		ck_assert_int_eq(connect(clients[i], &at.any, n), 0);
	}
	await_length(&q, CLIENTS);
	for (unsigned i = CLIENTS; i > 0; i--) {
		ck_assert_uint_eq(length_of(&q), i);
		close(accept(fd, NULL, NULL));
	}
	ck_assert_uint_eq(length_of(&q), 0);
	rh_queue_close(&q);
	ck_assert(!rh_queue_length(&q, &(unsigned){ 0 }));
	for (unsigned i = 0; i < CLIENTS; i++)
		close(clients[i]);
	close(fd);
}
END_TEST

START_TEST(what_listens_not_has_no_length)
{
	struct rh_queue q;
	int fd = open("/dev/null", O_RDONLY);

	ck_assert(!rh_queue_open(&q, fd));
	ck_assert(!rh_queue_open(&q, -1));
	close(fd);
}
END_TEST

RH_CHECK_MAIN("serve/queue",
    RH_LOOP(each_connection_counts_until_it_is_accepted, families),
    RH_CASE(what_listens_not_has_no_length))
