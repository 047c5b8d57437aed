#include "config.h"

#include <sys/syscall.h>
#include <unistd.h>

#include "serve/server.h"

/*
 * All of this runs in the handler of a fatal signal, on whatever memory the
 * fault has left: no allocation, no lock, no stdio. What it tells stands in the
 * segment; the worker's own structs give only what the segment lacks.
 */

enum { HEAD_MAX = 512, BODY_MAX = 4096 };

/* As rh_traceresponse_put, of a trace that is only known by its ids. */
static void
put_traceresponse(struct rh_buf *b, const struct rh_flight *f)
{
	rh_buf_lit(b, "traceresponse: 00-");
	rh_buf_hex(b, f->trace_id, sizeof(f->trace_id));
	rh_buf_char(b, '-');
	rh_buf_hex(b, f->span_id, sizeof(f->span_id));
	rh_buf_lit(b, "-0");
	rh_buf_char(b, (char)('0' + (f->flags & 2) + (f->on != 0)));
	rh_buf_lit(b, "\r\n");
}

static void
put_head(struct rh_buf *b, const struct rh_flight *f, size_t body)
{
	rh_buf_lit(b, "Content-Type: application/problem+json\r\n"
	    "Cache-Control: no-store\r\n");
	if (f->request_id_n) {
		rh_buf_lit(b, "X-Request-Id: ");
		rh_buf_slice(b, rh_flight_text(f, request_id));
		rh_buf_lit(b, "\r\n");
		put_traceresponse(b, f);
	}
	rh_buf_lit(b, "Status: 500 ");
	rh_buf_slice(b, rh_slice_of(rh_problem_title(RH_E_BUG)));
	rh_buf_lit(b, "\r\nX-Content-Type-Options: nosniff\r\nContent-Length: ");
	rh_buf_u64(b, body);
	rh_buf_lit(b, "\r\n\r\n");
}

static enum rh_fcgx_last
tell_client(struct rh_server *s, const struct rh_flight *f)
{
	const struct rh_err err = { .kind = RH_E_BUG, .code = RH_WORKER_DIED,
		.detail = "The process that worked on this request ended before"
		    " it could answer; whether the request took effect is not"
		    " known." };
	char head_bytes[HEAD_MAX], body_bytes[BODY_MAX];
	struct rh_slice path = rh_flight_text(f, path);
	struct rh_buf head, body;

	if (path.n == 0)
		path = RH_SLICE_NONE;
	rh_buf_init_fixed(&body, body_bytes, sizeof(body_bytes));
	rh_problem_put(&body, &err, path, &(struct rh_problem_ids){
	    rh_flight_text(f, request_id), f->trace_id });
	rh_buf_init_fixed(&head, head_bytes, sizeof(head_bytes));
	put_head(&head, f, body.n);
	if (rh_slice_is(rh_flight_text(f, method), RH_SLICE("HEAD")))
		body.n = 0;
	return rh_fcgx_last_word(s->fx, rh_buf_get(&head), rh_buf_get(&body),
	    syscall(SYS_gettid) == getpid());
}

/* The flight learns who calls when the handler is done; this one never is. */
static void
note_caller(struct rh_server *s)
{
	struct rh_principal *who = &s->call.who;

	rh_principal_read(who);
	if (!rh_uuid_is_nil(who->user_id))
		rh_flight_who(s->flight, who->user_id, who->token_id,
		    (unsigned)who->role);
}

void
rh_server_last_word(void *server)
{
	struct rh_server *s = server;
	struct rh_flight copy;
	enum rh_fcgx_last told;

	if (!rh_flight_read(s->flight, true, &copy)) {
		rh_pool_bequeath(false);
		return;
	}
	told = tell_client(s, &copy);
	if (told != RH_FCGX_NOT_TOLD)
		rh_moment_answered(s->moment);
	rh_pool_bequeath(told == RH_FCGX_TOLD_KEEP);
	if (copy.phase == RH_PHASE_HANDLING || copy.phase == RH_PHASE_QUERYING)
		note_caller(s);
}
