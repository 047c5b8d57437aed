/*
 * fuzz_guard - whatever a peer sends: the guard and libfcgi survive it, block
 * on nothing, and a request that passes has its parameters and its end.
 */
#include "config.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/fcgx.h"
#include "target.h"

static void
count(void *ctx, struct rh_slice name, struct rh_slice value)
{
	size_t *total = ctx;

	rh_assert(name.p[name.n] == '=' && value.p[value.n] == '\0');
	*total += name.n + value.n;
}

static bool
serve(struct rh_fcgx *fx, struct rh_arena *arena, int fd)
{
	struct rh_slice body;
	size_t total = 0;

	if (!rh_fcgx_accept(fx, fd))
		return false;
	rh_fcgx_params(fx, count, &total);
	rh_assert(total <= 4096);
	if (rh_fcgx_read_body(fx, arena, 1000, &body) == RH_BODY_OK)
		rh_assert(body.n <= 1000);
	(void)rh_fcgx_reply(fx, RH_SLICE("Status: 200\r\n\r\n"), body);
	return rh_fcgx_finish(fx);
}

static struct rh_arena *own;	/* of fx */

static void
clean(void)
{
	rh_arena_destroy(&own);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	static const struct rh_fcgx_limits limits = { 4096, 1000, 1000 };
	static struct rh_fcgx *fx;
	static struct rh_arena *arena;
	int fds[2];

	if (!fx) {
		arena = rh_arena_new(1 << 16, 16 << 20);
		own = rh_arena_new(1 << 17, 1 << 20);
		fx = rh_fcgx_new(own, &limits);
		atexit(clean);
	}
	rh_assert(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	/* what does not fit the socket's buffer is left out */
	(void)!send(fds[0], bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	shutdown(fds[0], SHUT_WR);
	while (rh_fcgx_look(fx, fds[1]) == RH_FCGX_READY &&
	    serve(fx, arena, fds[1]))
		;
	close(fds[0]);
	close(fds[1]);
	rh_arena_reset(arena);
	return 0;
}
