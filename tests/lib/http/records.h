/*
 * records - a web server's side of FastCGI, for tests.
 *
 * Shape    bytes put together record by record; a peer is a socketpair whose
 *          one end the code under test has
 * Owner    the test; peer_close at its end
 */
#ifndef TESTS_HTTP_RECORDS_H
#define TESTS_HTTP_RECORDS_H

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/fcgx_conn.h"
#include "rh_check.h"

struct wire {
	size_t n;
	unsigned char p[(size_t)1 << 20];
};

static inline void
wire_raw(struct wire *w, const void *bytes, size_t n)
{
	ck_assert(w->n + n <= sizeof(w->p));
	if (n)
		memcpy(w->p + w->n, bytes, n);
	w->n += n;
}

static inline void
wire_record(struct wire *w, unsigned type, unsigned id, struct rh_slice content)
{
	unsigned char head[RH_RECORD_LEN];
	size_t pad = (8 - content.n % 8) % 8;

	rh_record_put(head, (enum rh_record_type)type, id, content.n, pad);
	wire_raw(w, head, sizeof(head));
	wire_raw(w, content.p, content.n);
	wire_raw(w, "\0\0\0\0\0\0\0", pad);
}

static inline void
wire_begin(struct wire *w, unsigned id, unsigned role, bool keep)
{
	char body[8] = { (char)(role >> 8), (char)role, keep };

	wire_record(w, RH_REC_BEGIN, id, (struct rh_slice){ body, 8 });
}

static inline void
wire_length(struct wire *w, size_t n)
{
	unsigned char b[4] = { (unsigned char)(n >> 24 | 0x80),
	    (unsigned char)(n >> 16), (unsigned char)(n >> 8), (unsigned char)n };

	if (n < 128)
		wire_raw(w, b + 3, 1);
	else
		wire_raw(w, b, 4);
}

/* A name and value as PARAMS has them: into a wire of its own. */
static inline void
wire_pair(struct wire *w, struct rh_slice name, struct rh_slice value)
{
	wire_length(w, name.n);
	wire_length(w, value.n);
	wire_raw(w, name.p, name.n);
	wire_raw(w, value.p, value.n);
}

static inline struct wire *
wire_new(void)
{
	struct wire *w = rh_arena_alloc(rh_check_arena(), sizeof(*w));

	w->n = 0;
	return w;
}

/* "NAME=value" strings, NULL at the end, as one PARAMS record. */
static inline void
wire_params(struct wire *w, unsigned id, const char *const *params)
{
	struct wire *pairs = wire_new();

	for (; params && *params; params++) {
		struct rh_slice value = rh_slice_of(*params);
		struct rh_slice name = rh_slice_cut(&value, '=');

		wire_pair(pairs, name, value);
	}
	if (pairs->n)
		wire_record(w, RH_REC_PARAMS, id,
		    (struct rh_slice){ (char *)pairs->p, pairs->n });
	wire_record(w, RH_REC_PARAMS, id, RH_SLICE(""));
}

static inline void
wire_stdin(struct wire *w, unsigned id, struct rh_slice body)
{
	for (; body.n > 60000; body = rh_slice_from(body, 60000))
		wire_record(w, RH_REC_STDIN, id,
		    (struct rh_slice){ body.p, 60000 });
	if (body.n)
		wire_record(w, RH_REC_STDIN, id, body);
	wire_record(w, RH_REC_STDIN, id, RH_SLICE(""));
}

static const char *const get_params[] = {
	"REQUEST_METHOD=GET", "REQUEST_URI=/v1/me?x=1", "HTTP_HOST=example.org",
	"REMOTE_ADDR=192.0.2.1", "CONTENT_TYPE=", "CONTENT_LENGTH=", NULL
};

/* A whole GET, as nginx sends one. */
static inline void
wire_get(struct wire *w, unsigned id, bool keep)
{
	wire_begin(w, id, RH_ROLE_RESPONDER, keep);
	wire_params(w, id, get_params);
	wire_stdin(w, id, RH_SLICE(""));
}

struct peer {
	int ours, theirs;	/* ours is the web server's end */
	struct rh_fcgx *fx;
};

static inline struct peer
peer_open(void)
{
	struct rh_fcgx_limits limits = { 49152, 60000, 60000 };
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	return (struct peer){ fds[0], fds[1],
	    rh_fcgx_new(rh_check_arena(), &limits) };
}

static inline void
peer_close(struct peer *p)
{
	close(p->ours);
	close(p->theirs);
}

static inline void
peer_send(struct peer *p, const void *bytes, size_t n)
{
	ck_assert_int_eq(send(p->ours, bytes, n, MSG_NOSIGNAL), (ssize_t)n);
}

/* Reads exactly n bytes, and waits only where somebody is stuck. */
static inline void
peer_read(struct peer *p, void *to, size_t n)
{
	struct pollfd poll_in = { .fd = p->ours, .events = POLLIN };
	char *at = to;

	while (n) {
		ssize_t got;

		ck_assert_int_eq(poll(&poll_in, 1, 30000), 1);
		got = recv(p->ours, at, n, 0);
		ck_assert_int_gt(got, 0);
		at += got;
		n -= (size_t)got;
	}
}

static inline struct rh_record
peer_record(struct peer *p, unsigned char content[65536 + 255])
{
	unsigned char head[RH_RECORD_LEN];
	struct rh_record r;

	peer_read(p, head, sizeof(head));
	r = rh_record_get(head);
	ck_assert_uint_eq(r.version, 1);
	peer_read(p, content, r.size - RH_RECORD_LEN);
	return r;
}

/* STDOUT up to END_REQUEST. */
static inline struct rh_slice
peer_reply(struct peer *p, unsigned id)
{
	unsigned char *content = rh_arena_alloc(rh_check_arena(), 65536 + 255);
	struct rh_buf out;
	struct rh_record r;

	rh_buf_init(&out, rh_check_arena(), 4096, (size_t)8 << 20);
	for (;;) {
		r = peer_record(p, content);
		ck_assert_uint_eq(r.id, id);
		if (r.type == RH_REC_END)
			break;
		ck_assert_uint_eq(r.type, RH_REC_STDOUT);
		rh_buf_put(&out, content, r.n);
	}
	ck_assert_uint_eq(content[4], RH_END_COMPLETE);
	return rh_buf_get(&out);
}

#endif
