#include "config.h"

#include "exporter/server.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include "exporter/page.h"

#define CONNECTIONS_MAX	64
#define IDLE_S		30
#define KEPT_BYTES	(1 << 20)	/* of the arena, between two scrapes */
#define ARENA_MAX	(512 << 20)
#define CHALLENGE_BEARER	"Bearer realm=\"rowhouse-exporter\""
/* For browsers: any name, and the token as the password. */
#define CHALLENGE_BASIC	"Basic realm=\"rowhouse-exporter\", charset=\"UTF-8\""

struct server {
	struct MHD_Daemon *daemon;
	struct source *source;
	struct rh_slice token;
	struct rh_arena *arena;		/* of the request at hand */
};

static struct rh_slice
header(struct MHD_Connection *c, const char *name)
{
	return rh_slice_of(MHD_lookup_connection_value(c, MHD_HEADER_KIND,
	    name));
}

static void
add_header(struct MHD_Response *r, const char *name, const char *value)
{
	if (value)
		MHD_add_response_header(r, name, value);
}

static enum MHD_Result
send_reply(struct MHD_Connection *c, const struct page_reply *reply)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(reply->body.n,
	    (void *)(uintptr_t)reply->body.p, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result queued;

	if (!r)
		return MHD_NO;
	add_header(r, "Content-Type", reply->type);
	add_header(r, "Content-Encoding", reply->encoding);
	add_header(r, "Vary", reply->vary);
	add_header(r, "Allow", reply->allow);
	add_header(r, "Location", reply->location);
	add_header(r, "Content-Disposition", reply->disposition);
	add_header(r, "Content-Security-Policy", reply->policy ?
	    reply->policy : "default-src 'none'; frame-ancestors 'none'");
	add_header(r, "Referrer-Policy", "no-referrer");
	if (reply->challenge) {
		add_header(r, "WWW-Authenticate", CHALLENGE_BEARER);
		add_header(r, "WWW-Authenticate", CHALLENGE_BASIC);
	}
	add_header(r, "Cache-Control", "no-store");
	add_header(r, "X-Content-Type-Options", "nosniff");
	queued = MHD_queue_response(c, reply->status, r);
	MHD_destroy_response(r);
	return queued;
}

/* Also libmicrohttpd's; a name without "=" has no value. */
static enum MHD_Result
take_arg(void *self, enum MHD_ValueKind kind, const char *name,
    const char *value)
{
	struct page_request *rq = self;

	(void)kind;
	if (rq->nargs == PAGE_ARGS_MAX)
		return MHD_NO;
	rq->args[rq->nargs++] = (struct page_arg){ rh_slice_of(name),
		rh_slice_of(value ? value : "") };
	return MHD_YES;
}

/*
 * The signature is libmicrohttpd's. It calls once when the headers are there
 * and again when all is: an answer at the first call closes the connection,
 * which suits those who send a body, and who want what is not served.
 */
static enum MHD_Result
answer(void *self, struct MHD_Connection *c, const char *path,
    const char *method, const char *version, const char *upload,
    size_t *upload_bytes, void **state)
{
	struct server *s = self;
	struct page_request rq = { rh_slice_of(method), rh_slice_of(path),
	    header(c, "Accept"), header(c, "Accept-Encoding"),
	    header(c, "Authorization"), .token = s->token };
	struct page_reply reply;
	enum MHD_Result queued;

	(void)version;
	(void)upload;
	if (!*state && rq.method.n && strchr("GH", rq.method.p[0])) {
		*state = s;
		return MHD_YES;
	}
	if (*upload_bytes) {
		*upload_bytes = 0;
		return MHD_YES;
	}
	MHD_get_connection_values(c, MHD_GET_ARGUMENT_KIND, take_arg, &rq);
	page_answer(&reply, &rq, s->source, s->arena);
	queued = send_reply(c, &reply);
	rh_arena_reset(s->arena);
	return queued;
}

/* "host:port" into its parts; the brackets of an IPv6 address go. */
static bool
split(struct rh_slice listen, char host[256], char port[8])
{
	const char *colon = memrchr(listen.p, ':', listen.n);
	struct rh_slice h, p;

	if (!colon)
		return false;
	h = (struct rh_slice){ listen.p, (size_t)(colon - listen.p) };
	p = rh_slice_from(listen, h.n + 1);
	if (h.n > 1 && h.p[0] == '[' && h.p[h.n - 1] == ']')
		h = (struct rh_slice){ h.p + 1, h.n - 2 };
	if (h.n == 0 || h.n > 255 || p.n == 0 || p.n > 5)
		return false;
	memcpy(host, h.p, h.n);
	host[h.n] = 0;
	memcpy(port, p.p, p.n);
	port[p.n] = 0;
	return true;
}

static int
bound_socket(const struct addrinfo *a)
{
	int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0), on = 1;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, 64) == 0)
		return fd;
	close(fd);
	return -1;
}

static int
listen_at(struct rh_slice address, struct rh_buf *why)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
	    .ai_flags = AI_NUMERICSERV };
	struct addrinfo *found;
	char host[256], port[8];
	int fault, fd;

	if (!split(address, host, port)) {
		rh_buf_printf(why, "exporter_listen: \"%.*s\" is not"
		    " address:port", RH_SLICE_ARG(address));
		return -1;
	}
	if ((fault = getaddrinfo(host, port, &hints, &found))) {
		rh_buf_printf(why, "exporter_listen: %s: %s", host,
		    gai_strerror(fault));
		return -1;
	}
	if ((fd = bound_socket(found)) < 0)
		rh_buf_printf(why, "cannot listen on %.*s: %s",
		    RH_SLICE_ARG(address), strerror(errno));
	freeaddrinfo(found);
	return fd;
}

struct server *
server_start(struct rh_slice address, struct rh_slice token,
    struct source *source, struct rh_arena *arena, struct rh_buf *why)
{
	struct server *s = RH_NEW(arena, struct server);
	int fd = listen_at(address, why);

	if (fd < 0)
		return NULL;
	s->source = source;
	s->token = token;
	s->arena = rh_arena_new(KEPT_BYTES, ARENA_MAX);
	s->daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD |
	    MHD_USE_ERROR_LOG, 0, NULL, NULL, answer, s,
	    MHD_OPTION_LISTEN_SOCKET, fd,
	    MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
	    MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S, MHD_OPTION_END);
	if (s->daemon)
		return s;
	rh_buf_lit(why, "libmicrohttpd does not start");
	close(fd);
	rh_arena_destroy(&s->arena);
	return NULL;
}

void
server_stop(struct server **server)
{
	struct server *s = *server;

	MHD_stop_daemon(s->daemon);
	rh_arena_destroy(&s->arena);
	*server = NULL;
}
