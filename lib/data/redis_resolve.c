#include "config.h"

#include "data/redis_session.h"

#include <netdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "obs/thread.h"

/*
 * getaddrinfo waits as long as its name servers do, so a thread does it, and
 * is left alone where it takes too long.
 */

#define STACK_BYTES	((size_t)256 << 10)
#define THREADS_MAX	4	/* that a worker may have left alone */

struct rh_redis_lookup {
	_Atomic int holders;	/* session and thread; the last one frees */
	int done;		/* eventfd */
	char host[254];
	char port[6];
	unsigned n;
	struct rh_redis_address found[RH_REDIS_ADDRESSES];
};

static _Atomic int threads;

static unsigned
resolve(struct rh_redis_address *to, const char *host, const char *port,
    int flags)
{
	const struct addrinfo hints = { .ai_flags = flags | AI_NUMERICSERV,
		.ai_socktype = SOCK_STREAM };
	struct addrinfo *list, *a;
	unsigned n = 0;

	if (getaddrinfo(host, port, &hints, &list) != 0)
		return 0;
	for (a = list; a && n < RH_REDIS_ADDRESSES; a = a->ai_next) {
		memcpy(&to[n].at, a->ai_addr, a->ai_addrlen);
		to[n++].n = a->ai_addrlen;
	}
	freeaddrinfo(list);
	return n;
}

unsigned
rh_redis_resolve_number(struct rh_redis_address *to, const char *host,
    uint16_t port)
{
	char text[6];

	snprintf(text, sizeof(text), "%u", port);
	return resolve(to, host, text, AI_NUMERICHOST);
}

static void
drop(struct rh_redis_lookup *l)
{
	if (atomic_fetch_sub(&l->holders, 1) > 1)
		return;
	close(l->done);
	free(l);
}

static void *
run(void *arg)
{
	struct rh_redis_lookup *l = arg;

	l->n = resolve(l->found, l->host, l->port, 0);
	rh_assert(eventfd_write(l->done, 1) == 0);
	drop(l);
	atomic_fetch_sub(&threads, 1);
	return NULL;
}

struct rh_redis_lookup *
rh_redis_lookup_begin(const char *host, uint16_t port)
{
	struct rh_redis_lookup *l;
	pthread_t thread;

	if (atomic_load(&threads) >= THREADS_MAX ||
	    !(l = calloc(1, sizeof(*l))))
		return NULL;
	atomic_fetch_add(&threads, 1);
	atomic_store(&l->holders, 2);
	snprintf(l->host, sizeof(l->host), "%s", host);
	snprintf(l->port, sizeof(l->port), "%u", port);
	l->done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->done >= 0 && rh_thread_start(&thread, STACK_BYTES, run, l)) {
		pthread_detach(thread);
		return l;
	}
	atomic_fetch_sub(&threads, 1);
	if (l->done >= 0)
		close(l->done);
	free(l);
	return NULL;
}

int
rh_redis_lookup_fd(const struct rh_redis_lookup *l)
{
	return l->done;
}

unsigned
rh_redis_lookup_take(struct rh_redis_lookup **lookup,
    struct rh_redis_address *to)
{
	struct rh_redis_lookup *l = *lookup;
	eventfd_t once;
	unsigned n;

	/* what the thread wrote before it is seen after this */
	rh_assert(eventfd_read(l->done, &once) == 0);
	n = l->n;
	memcpy(to, l->found, n * sizeof(*to));
	rh_redis_lookup_abandon(lookup);
	return n;
}

void
rh_redis_lookup_abandon(struct rh_redis_lookup **lookup)
{
	if (*lookup)
		drop(*lookup);
	*lookup = NULL;
}
