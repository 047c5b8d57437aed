/*
 * fcgx_conn - what the guard knows of a connection, and the bytes it saw.
 *
 * Shape    records of { version, type, id, content length, padding length, 0 },
 *          content, padding; the window at..end of bytes is what was taken
 *          from the socket and is not yet used
 * Units    bytes; nanoseconds of the monotonic clock for deadlines
 * Owner    inside lib/http only: fcgx*.c; one a worker, in its struct rh_fcgx
 * Source   FastCGI 1.0 sections 3.3 to 5.5
 */
#ifndef RH_HTTP_FCGX_CONN_H
#define RH_HTTP_FCGX_CONN_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/uio.h>

#include "http/fcgx.h"

enum rh_record_type {
	RH_REC_BEGIN = 1, RH_REC_ABORT, RH_REC_END, RH_REC_PARAMS, RH_REC_STDIN,
	RH_REC_STDOUT, RH_REC_STDERR, RH_REC_DATA, RH_REC_GET_VALUES,
	RH_REC_GET_VALUES_RESULT, RH_REC_UNKNOWN_TYPE
};
enum rh_end_status {
	RH_END_COMPLETE, RH_END_CANT_MULTIPLEX, RH_END_OVERLOADED,
	RH_END_UNKNOWN_ROLE
};

#define RH_RECORD_LEN		8	/* of a record's header */
#define RH_BEGIN_LEN		16	/* BEGIN_REQUEST, header included */
#define RH_END_LEN		16
#define RH_ROLE_RESPONDER	1
#define RH_KEEP_CONN		1
#define RH_CONN_BYTES		65536
#define RH_PARAMS_MAX		256
#define RH_MANAGEMENT_MAX	4096	/* bytes of a management record */
#define RH_DRAIN_MAX		((size_t)8 << 20)
#define RH_LINGER_NS		((uint64_t)250 * 1000000)

/* What the connection's web server still has to get, as a crash finds it. */
enum rh_owed {
	RH_OWED_NOTHING,
	RH_OWED_REPLY,		/* a request is in work, no byte of its reply is out */
	RH_OWED_REST,		/* some of it may be */
};

struct rh_record {
	unsigned version, type, id;
	size_t n, size;		/* of the content; of all of it */
};

struct rh_conn {
	struct rh_fcgx_limits limits;
	/* from the guard's last look */
	int fd;
	unsigned id;
	bool keep;
	bool plain;		/* BEGIN without padding, PARAMS, nothing else */
	bool ready;
	size_t peeked;
	size_t head;		/* up to and with the empty PARAMS */
	size_t head_pad;	/* of which its padding */
	size_t whole;		/* up to and with the empty STDIN; 0: not there yet */
	unsigned nparams;
	uint16_t name_n[RH_PARAMS_MAX], value_n[RH_PARAMS_MAX];
	/* of the request in work */
	size_t at, end;
	uint64_t deadline_ns;	/* 0: none */
	bool stdin_ended, broken, replied;
	_Atomic unsigned char owed;	/* enum rh_owed */
	unsigned managed;	/* management records answered on the way */
	unsigned char bytes[RH_CONN_BYTES];
};

static inline struct rh_record
rh_record_get(const unsigned char *p)
{
	struct rh_record r = { .version = p[0], .type = p[1],
	    .id = (unsigned)p[2] << 8 | p[3], .n = (size_t)p[4] << 8 | p[5] };

	r.size = RH_RECORD_LEN + r.n + p[6];
	return r;
}

static inline void
rh_record_put(unsigned char *to, enum rh_record_type type, unsigned id,
    size_t n, size_t pad)
{
	to[0] = 1;
	to[1] = (unsigned char)type;
	to[2] = (unsigned char)(id >> 8);
	to[3] = (unsigned char)id;
	to[4] = (unsigned char)(n >> 8);
	to[5] = (unsigned char)n;
	to[6] = (unsigned char)pad;
	to[7] = 0;
}

static inline void
rh_end_put(unsigned char to[RH_END_LEN], unsigned id, enum rh_end_status status)
{
	rh_record_put(to, RH_REC_END, id, 8, 0);
	memset(to + RH_RECORD_LEN, 0, 8);
	to[RH_RECORD_LEN + 4] = (unsigned char)status;
}

enum rh_fcgx_look rh_conn_look(struct rh_conn *c, int fd);

/*
 * Answers a record that belongs to no request of ours: management, or
 * another request's. content holds r->n bytes. False: close the connection.
 */
RH_MUST_CHECK bool rh_conn_answer(int fd, const struct rh_record *r,
    const unsigned char *content);

/* Reads stdin on to its end; to NULL: only drains. */
enum rh_fcgx_body rh_conn_read(struct rh_conn *c, struct rh_buf *to,
    size_t max, size_t drain_max);
/*
 * Takes a request's BEGIN and PARAMS off, unread, after a look that found them
 * too large; for no longer than ns. False: stdin cannot follow.
 */
RH_MUST_CHECK bool rh_conn_skip_head(struct rh_conn *c, uint64_t ns);
/* The whole body where it stands in bytes as one record; p == NULL: it does not. */
struct rh_slice rh_conn_body_in_place(struct rh_conn *c);

/*
 * Sends it all; false: the peer is gone, or has not taken it timeout_ms after
 * it first had to be waited for.
 */
RH_MUST_CHECK bool rh_conn_reply(int fd, unsigned id, struct rh_slice head,
    struct rh_slice body, int timeout_ms);

/* Shuts our side and takes what still comes, for a moment: before a close with bytes unread. */
void rh_conn_linger(int fd);

/* Waits for events until the deadline: 1 there, 0 too late, -1 the peer is gone. */
int rh_conn_wait(int fd, short events, uint64_t deadline_ns);

#endif
