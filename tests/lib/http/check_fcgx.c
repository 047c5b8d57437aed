/* check_fcgx.c - requests over a connection: parameters, bodies, replies, one after another. */
#include "config.h"

#include <netinet/in.h>
#include <pthread.h>

#include "base/clock.h"
#include "records.h"

#define HEAD	RH_SLICE("Status: 200 OK\r\n\r\n")

struct seen {
	unsigned n;
	char text[16384];
};

static void
collect(void *ctx, struct rh_slice name, struct rh_slice value)
{
	struct seen *s = ctx;
	struct rh_buf b;

	rh_buf_init_fixed(&b, s->text, sizeof(s->text));
	b.n = strlen(s->text);
	rh_buf_slice(&b, name);
	rh_buf_char(&b, '=');
	rh_buf_json(&b, value);
	rh_buf_lit(&b, "\n");
	rh_buf_char(&b, '\0');
	s->n++;
}

static void
take(struct peer *p)
{
	ck_assert_int_eq(rh_fcgx_look(p->fx, p->theirs), RH_FCGX_READY);
	ck_assert(rh_fcgx_accept(p->fx, p->theirs));
}

static void
answer(struct peer *p, struct rh_slice body)
{
	ck_assert(rh_fcgx_reply(p->fx, HEAD, body));
}

static struct rh_slice
answer_to(struct rh_slice body)
{
	return rh_slice_of(rh_arena_printf(rh_check_arena(), "%.*s%.*s",
	    RH_SLICE_ARG(HEAD), RH_SLICE_ARG(body)));
}

static char *
filler(size_t n)
{
	char *p = rh_arena_alloc(rh_check_arena(), n + 1);

	for (size_t i = 0; i < n; i++)
		p[i] = (char)('a' + i % 26);
	p[n] = '\0';
	return p;
}

START_TEST(parameters_come_in_order_and_repeated)
{
	static const char *const params[] = {
		"REQUEST_METHOD=GET", "HTTP_A=1", "HTTP_A=2", "EMPTY=",
		"EQUALS=a=b", NULL
	};
	struct peer p = peer_open();
	struct wire *w = wire_new();
	struct seen s = { 0 };

	wire_begin(w, 1, RH_ROLE_RESPONDER, false);
	wire_params(w, 1, params);
	wire_stdin(w, 1, RH_SLICE(""));
	peer_send(&p, w->p, w->n);
	take(&p);
	rh_fcgx_params(p.fx, collect, &s);
	ck_assert_uint_eq(s.n, 5);
	ck_assert_str_eq(s.text, "REQUEST_METHOD=\"GET\"\nHTTP_A=\"1\"\n"
	    "HTTP_A=\"2\"\nEMPTY=\"\"\nEQUALS=\"a=b\"\n");
	ck_assert(!rh_fcgx_keeps(p.fx));
	answer(&p, RH_SLICE("hello"));
	rh_assert_slice_eq(peer_reply(&p, 1), answer_to(RH_SLICE("hello")));
	ck_assert(!rh_fcgx_finish(p.fx));
	peer_close(&p);
}
END_TEST

START_TEST(a_nul_does_not_shorten_a_value)
{
	struct peer p = peer_open();
	struct wire *w = wire_new(), *pairs = wire_new();
	struct seen s = { 0 };

	wire_pair(pairs, RH_SLICE("A"), RH_SLICE("x\0y"));
	wire_pair(pairs, RH_SLICE("B"), RH_SLICE("z"));
	wire_begin(w, 1, RH_ROLE_RESPONDER, false);
	wire_record(w, RH_REC_PARAMS, 1,
	    (struct rh_slice){ (char *)pairs->p, pairs->n });
	wire_params(w, 1, NULL);
	peer_send(&p, w->p, w->n);
	take(&p);
	rh_fcgx_params(p.fx, collect, &s);
	ck_assert_str_eq(s.text, "A=\"x\\u0000y\"\nB=\"z\"\n");
	shutdown(p.ours, SHUT_WR);
	ck_assert(!rh_fcgx_finish(p.fx));
	peer_close(&p);
}
END_TEST

static const size_t replies[] = {
	0, 1, 7, 8, 6000, 8192, 10000, 65000, 65509, 65510, 65511, 70000, 1500000
};

/* The reader has to run beside: the larger ones do not fit a socket's buffer. */
static void *
read_reply(void *arg)
{
	struct peer *p = arg;
	struct rh_slice *got = rh_arena_alloc(rh_check_arena(), sizeof(*got));

	*got = peer_reply(p, 1);
	return got;
}

START_TEST(replies_of_any_size_arrive_whole)
{
	struct peer p = peer_open();
	struct wire *w = wire_new();
	struct rh_slice body = { filler(replies[_i]), replies[_i] };
	pthread_t reader;
	void *got;

	wire_get(w, 1, true);
	peer_send(&p, w->p, w->n);
	take(&p);
	ck_assert_int_eq(pthread_create(&reader, NULL, read_reply, &p), 0);
	answer(&p, body);
	pthread_join(reader, &got);
	rh_assert_slice_eq(*(struct rh_slice *)got, answer_to(body));
	ck_assert(rh_fcgx_finish(p.fx));
	peer_close(&p);
}
END_TEST

START_TEST(a_kept_connection_carries_one_after_another)
{
	struct peer p = peer_open();

	for (unsigned id = 1; id <= 5; id++) {
		struct wire *w = wire_new();

		wire_get(w, id, true);
		peer_send(&p, w->p, w->n);
		take(&p);
		ck_assert(rh_fcgx_keeps(p.fx));
		answer(&p, RH_SLICE("x"));
		rh_assert_slice_eq(peer_reply(&p, id), answer_to(RH_SLICE("x")));
		ck_assert(rh_fcgx_finish(p.fx));
		ck_assert_int_eq(rh_fcgx_look(p.fx, p.theirs), RH_FCGX_EMPTY);
	}
	peer_close(&p);
}
END_TEST

static void
wire_post(struct wire *w, struct rh_slice body)
{
	static const char *const params[] = {
		"REQUEST_METHOD=POST", "REQUEST_URI=/", NULL
	};

	wire_begin(w, 1, RH_ROLE_RESPONDER, true);
	wire_params(w, 1, params);
	wire_stdin(w, 1, body);
}

/* What libfcgi reads at once is 8192: around it lie the mistakes. */
static const size_t bodies[] = {
	0, 1, 100, 8000, 8050, 8080, 8088, 8096, 8100, 8104, 8105, 8200, 20000,
	60000, 65000, 150000, 170000
};

START_TEST(bodies_of_any_size_arrive_and_the_connection_lives)
{
	struct peer p = peer_open();
	struct wire *w = wire_new();
	struct rh_slice sent = { filler(bodies[_i]), bodies[_i] }, body;

	wire_post(w, sent);
	peer_send(&p, w->p, w->n);
	take(&p);
	ck_assert_int_eq(rh_fcgx_read_body(p.fx, rh_check_arena(), 1 << 20,
	    &body), RH_BODY_OK);
	rh_assert_slice_eq(body, sent);
	answer(&p, RH_SLICE("y"));
	(void)peer_reply(&p, 1);
	ck_assert(rh_fcgx_finish(p.fx));
	w->n = 0;
	wire_get(w, 2, true);
	peer_send(&p, w->p, w->n);
	take(&p);
	answer(&p, RH_SLICE("z"));
	(void)peer_reply(&p, 2);
	ck_assert(rh_fcgx_finish(p.fx));
	peer_close(&p);
}
END_TEST

/* As a web server sends a chunked upload: in pieces, without CONTENT_LENGTH. */
START_TEST(a_body_may_come_in_pieces)
{
	struct peer p = peer_open();
	struct wire *w = wire_new();
	struct rh_slice body;

	wire_begin(w, 1, RH_ROLE_RESPONDER, true);
	wire_params(w, 1, get_params);
	wire_record(w, RH_REC_STDIN, 1, RH_SLICE("one "));
	peer_send(&p, w->p, w->n);
	take(&p);
	w->n = 0;
	wire_record(w, RH_REC_STDIN, 1, RH_SLICE("two "));
	wire_stdin(w, 1, RH_SLICE("three"));
	peer_send(&p, w->p, w->n);
	ck_assert_int_eq(rh_fcgx_read_body(p.fx, rh_check_arena(), 100, &body),
	    RH_BODY_OK);
	rh_assert_slice_eq(body, RH_SLICE("one two three"));
	answer(&p, RH_SLICE(""));
	ck_assert(rh_fcgx_finish(p.fx));
	peer_close(&p);
}
END_TEST

START_TEST(a_body_over_max_is_drained)
{
	struct peer p = peer_open();
	struct wire *w = wire_new();
	struct rh_slice sent = { filler(5000), 5000 }, body;

	wire_post(w, sent);
	peer_send(&p, w->p, w->n);
	take(&p);
	ck_assert_int_eq(rh_fcgx_read_body(p.fx, rh_check_arena(), 1000, &body),
	    RH_BODY_TOO_LARGE);
	answer(&p, RH_SLICE("413"));
	(void)peer_reply(&p, 1);
	ck_assert(rh_fcgx_finish(p.fx));
	peer_close(&p);
}
END_TEST

START_TEST(a_body_far_over_max_ends_the_connection)
{
	struct peer p = peer_open();
	struct wire *w = wire_new();
	struct rh_slice sent = { filler(100000), 100000 }, body;

	wire_post(w, sent);
	peer_send(&p, w->p, w->n);
	take(&p);
	ck_assert_int_eq(rh_fcgx_read_body(p.fx, rh_check_arena(), 1000, &body),
	    RH_BODY_TOO_LARGE);
	answer(&p, RH_SLICE("413"));
	(void)peer_reply(&p, 1);
	shutdown(p.ours, SHUT_WR);
	ck_assert(!rh_fcgx_finish(p.fx));
	peer_close(&p);
}
END_TEST

START_TEST(a_body_that_nobody_read_is_drained)
{
	struct peer p = peer_open();
	struct wire *w = wire_new();

	wire_post(w, (struct rh_slice){ filler(120000), 120000 });
	peer_send(&p, w->p, w->n);
	take(&p);
	answer(&p, RH_SLICE("401"));
	(void)peer_reply(&p, 1);
	ck_assert(rh_fcgx_finish(p.fx));
	ck_assert_int_eq(rh_fcgx_look(p.fx, p.theirs), RH_FCGX_EMPTY);
	peer_close(&p);
}
END_TEST

START_TEST(the_requests_deadline_ends_the_wait_for_its_body)
{
	struct rh_fcgx_limits limits = { 49152, 1000, 60000 };
	struct peer p = peer_open();
	struct wire *w = wire_new();
	struct rh_slice body;

	p.fx = rh_fcgx_new(rh_check_arena(), &limits);
	wire_begin(w, 1, RH_ROLE_RESPONDER, true);
	wire_params(w, 1, get_params);
	wire_record(w, RH_REC_STDIN, 1, RH_SLICE("half"));
	peer_send(&p, w->p, w->n);
	take(&p);
	rh_fcgx_deadline(p.fx, rh_clock_mono_ns() + 50000000);
	ck_assert_int_eq(rh_fcgx_read_body(p.fx, rh_check_arena(), 100, &body),
	    RH_BODY_LATE);
	answer(&p, RH_SLICE("504"));
	rh_assert_slice_eq(peer_reply(&p, 1), answer_to(RH_SLICE("504")));
	ck_assert(!rh_fcgx_finish(p.fx));
	peer_close(&p);
}
END_TEST

START_TEST(an_answer_that_nobody_takes_is_given_up_at_the_deadline)
{
	struct rh_fcgx_limits limits = { 49152, 1000, 60000 };
	struct peer p = peer_open();
	struct wire *w = wire_new();
	const size_t n = (size_t)8 << 20;
	char *much = rh_arena_zalloc(rh_check_arena(), n, 1);

	p.fx = rh_fcgx_new(rh_check_arena(), &limits);
	wire_begin(w, 1, RH_ROLE_RESPONDER, true);
	wire_params(w, 1, get_params);
	wire_record(w, RH_REC_STDIN, 1, RH_SLICE_NONE);
	peer_send(&p, w->p, w->n);
	take(&p);
	rh_fcgx_deadline(p.fx, rh_clock_mono_ns() + 1);
	ck_assert(!rh_fcgx_reply(p.fx, RH_SLICE("Status: 200\r\n\r\n"),
	    (struct rh_slice){ much, n }));
	ck_assert(!rh_fcgx_finish(p.fx));
	peer_close(&p);
}
END_TEST

START_TEST(a_body_that_stops_times_out)
{
	struct rh_fcgx_limits limits = { 49152, 1000, 50 };
	struct peer p = peer_open();
	struct wire *w = wire_new();
	struct rh_slice body;

	p.fx = rh_fcgx_new(rh_check_arena(), &limits);
	wire_begin(w, 1, RH_ROLE_RESPONDER, true);
	wire_params(w, 1, get_params);
	wire_record(w, RH_REC_STDIN, 1, RH_SLICE("half"));
	peer_send(&p, w->p, w->n);
	take(&p);
	ck_assert_int_eq(rh_fcgx_read_body(p.fx, rh_check_arena(), 100, &body),
	    RH_BODY_TIMEOUT);
	answer(&p, RH_SLICE("400"));
	rh_assert_slice_eq(peer_reply(&p, 1), answer_to(RH_SLICE("400")));
	ck_assert(!rh_fcgx_finish(p.fx));
	peer_close(&p);
}
END_TEST

static void
cut_off(struct wire *w)
{
	(void)w;
}

static void
aborted(struct wire *w)
{
	wire_record(w, RH_REC_ABORT, 1, RH_SLICE(""));
}

static void
params_again(struct wire *w)
{
	wire_params(w, 1, get_params);
}

static void
garbage(struct wire *w)
{
	wire_raw(w, "GARBAGE!", 8);
}

static void (*const breaks[])(struct wire *w) = {
	cut_off, aborted, params_again, garbage,
};

START_TEST(a_body_that_breaks_is_broken)
{
	struct peer p = peer_open();
	struct wire *w = wire_new();
	struct rh_slice body;

	wire_begin(w, 1, RH_ROLE_RESPONDER, true);
	wire_params(w, 1, get_params);
	wire_record(w, RH_REC_STDIN, 1, RH_SLICE("half"));
	breaks[_i](w);
	peer_send(&p, w->p, w->n);
	shutdown(p.ours, SHUT_WR);
	take(&p);
	ck_assert_int_eq(rh_fcgx_read_body(p.fx, rh_check_arena(), 100, &body),
	    RH_BODY_BROKEN);
	answer(&p, RH_SLICE("400"));
	ck_assert(!rh_fcgx_finish(p.fx));
	peer_close(&p);
}
END_TEST

/* Where libfcgi would answer GET_VALUES on its stack. */
START_TEST(others_records_are_answered_wherever_they_come)
{
	struct peer p = peer_open();
	struct wire *w = wire_new(), *pairs = wire_new();
	struct rh_slice values, body;
	unsigned char content[65536 + 255];
	struct seen s = { 0 };

	for (int i = 0; i < 6; i++)
		wire_pair(pairs, RH_SLICE("FCGI_MAX_CONNS"), RH_SLICE(""));
	values = (struct rh_slice){ (char *)pairs->p, pairs->n };
	wire_begin(w, 1, RH_ROLE_RESPONDER, true);
	wire_record(w, RH_REC_GET_VALUES, 0, values);
	wire_begin(w, 2, RH_ROLE_RESPONDER, true);
	wire_params(w, 1, get_params);
	wire_record(w, RH_REC_STDIN, 1, RH_SLICE("a"));
	wire_record(w, RH_REC_GET_VALUES, 0, values);
	wire_record(w, RH_REC_STDIN, 2, RH_SLICE("not ours"));
	wire_stdin(w, 1, RH_SLICE("b"));
	peer_send(&p, w->p, w->n);
	take(&p);
	rh_fcgx_params(p.fx, collect, &s);
	ck_assert_uint_eq(s.n, 6);
	ck_assert_int_eq(rh_fcgx_read_body(p.fx, rh_check_arena(), 100, &body),
	    RH_BODY_OK);
	rh_assert_slice_eq(body, RH_SLICE("ab"));
	ck_assert_uint_eq(peer_record(&p, content).type, RH_REC_GET_VALUES_RESULT);
	ck_assert_uint_eq(peer_record(&p, content).id, 2);
	ck_assert_uint_eq(content[4], RH_END_CANT_MULTIPLEX);
	ck_assert_uint_eq(peer_record(&p, content).type, RH_REC_GET_VALUES_RESULT);
	answer(&p, RH_SLICE("c"));
	rh_assert_slice_eq(peer_reply(&p, 1), answer_to(RH_SLICE("c")));
	ck_assert(rh_fcgx_finish(p.fx));
	peer_close(&p);
}
END_TEST

/* A head by way of the relay: its body is not there yet. */
static void
relayed(struct peer *p, const char *uri)
{
	const char *const params[] = { rh_arena_printf(rh_check_arena(),
	    "REQUEST_URI=%s", uri), NULL };
	struct wire *w = wire_new();
	struct seen s = { 0 };

	wire_begin(w, 1, RH_ROLE_RESPONDER, true);
	wire_params(w, 1, params);
	peer_send(p, w->p, w->n);
	take(p);
	rh_fcgx_params(p->fx, collect, &s);
	ck_assert_str_eq(s.text, rh_arena_printf(rh_check_arena(),
	    "REQUEST_URI=\"%s\"\n", uri));
	w->n = 0;
	wire_stdin(w, 1, RH_SLICE(""));
	peer_send(p, w->p, w->n);
	answer(p, RH_SLICE(""));
	(void)peer_reply(p, 1);
	ck_assert(rh_fcgx_finish(p->fx));
}

/* Found by fuzzing: libfcgi left the padding, and the next head came behind it. */
START_TEST(padding_at_the_end_of_a_head_is_not_left_over)
{
	static char value[8154];
	unsigned char padded[RH_RECORD_LEN + 255] = { 0 };
	struct peer p = peer_open();
	struct wire *w = wire_new(), *pairs = wire_new();

	memset(value, 'x', sizeof(value));
	wire_pair(pairs, RH_SLICE("A"), (struct rh_slice){ value, sizeof(value) });
	wire_begin(w, 1, RH_ROLE_RESPONDER, true);
	wire_record(w, RH_REC_PARAMS, 1,
	    (struct rh_slice){ (char *)pairs->p, pairs->n });
	rh_record_put(padded, RH_REC_PARAMS, 1, 0, 255);
	wire_raw(w, padded, sizeof(padded));
	ck_assert_uint_eq(w->n, 8192 + 255);
	wire_stdin(w, 1, RH_SLICE(""));
	peer_send(&p, w->p, w->n);
	take(&p);
	answer(&p, RH_SLICE(""));
	(void)peer_reply(&p, 1);
	ck_assert(rh_fcgx_finish(p.fx));
	relayed(&p, "/next");
	relayed(&p, "/and/one/more");
	peer_close(&p);
}
END_TEST

/* Found by fuzzing: libfcgi takes it for the next record. */
START_TEST(padding_of_begin_is_not_forgotten)
{
	unsigned char begin[RH_BEGIN_LEN + 4] = { 0 };
	struct peer p = peer_open();
	struct wire *w = wire_new();
	struct seen s = { 0 };

	rh_record_put(begin, RH_REC_BEGIN, 1, 8, 4);
	begin[9] = RH_ROLE_RESPONDER;
	begin[10] = RH_KEEP_CONN;
	wire_raw(w, begin, sizeof(begin));
	wire_params(w, 1, get_params);
	wire_stdin(w, 1, RH_SLICE(""));
	peer_send(&p, w->p, w->n);
	take(&p);
	rh_fcgx_params(p.fx, collect, &s);
	ck_assert_uint_eq(s.n, 6);
	answer(&p, RH_SLICE(""));
	(void)peer_reply(&p, 1);
	ck_assert(rh_fcgx_finish(p.fx));
	peer_close(&p);
}
END_TEST

/* Found by fuzzing: half a head stood in front of the next one. */
START_TEST(a_head_that_failed_halfway_is_forgotten)
{
	struct peer p = peer_open(), next = peer_open();
	struct wire *w = wire_new();

	wire_begin(w, 1, RH_ROLE_RESPONDER, true);
	wire_begin(w, 2, RH_ROLE_RESPONDER, true);
	wire_params(w, 1, get_params);
	peer_send(&p, w->p, w->n);
	ck_assert_int_eq(rh_fcgx_look(p.fx, p.theirs), RH_FCGX_READY);
	close(p.ours);		/* nobody to answer CANT_MPX_CONN to */
	ck_assert(!rh_fcgx_accept(p.fx, p.theirs));
	next.fx = p.fx;
	relayed(&next, "/next");
	close(p.theirs);
	peer_close(&next);
}
END_TEST

START_TEST(a_second_request_before_the_first_reply_ends_the_connection)
{
	struct peer p = peer_open();
	struct wire *w = wire_new();

	wire_get(w, 1, true);
	wire_get(w, 2, true);
	peer_send(&p, w->p, w->n);
	take(&p);
	answer(&p, RH_SLICE("first"));
	rh_assert_slice_eq(peer_reply(&p, 1), answer_to(RH_SLICE("first")));
	ck_assert(!rh_fcgx_finish(p.fx));
	peer_close(&p);
}
END_TEST

/*
 * libfcgi reads up to 8 KiB, whatever was looked at. Where it took the start of
 * a second request along, what follows is a body's bytes at best: no look may
 * come upon them.
 */
START_TEST(a_second_request_between_look_and_read_gets_no_wrong_reply)
{
	struct peer p = peer_open();
	struct wire *w = wire_new();
	bool kept;

	wire_get(w, 1, true);
	peer_send(&p, w->p, w->n);
	ck_assert_int_eq(rh_fcgx_look(p.fx, p.theirs), RH_FCGX_READY);
	w->n = 0;
	wire_get(w, 2, true);
	peer_send(&p, w->p, w->n);
	ck_assert(rh_fcgx_accept(p.fx, p.theirs));
	answer(&p, RH_SLICE("one"));
	rh_assert_slice_eq(peer_reply(&p, 1), answer_to(RH_SLICE("one")));
	kept = rh_fcgx_finish(p.fx);
	/* a libfcgi that is not known reads from our hands, and takes no more */
	if (kept) {
		take(&p);
		answer(&p, RH_SLICE("two"));
		rh_assert_slice_eq(peer_reply(&p, 2),
		    answer_to(RH_SLICE("two")));
		ck_assert(rh_fcgx_finish(p.fx));
	}
	peer_close(&p);
}
END_TEST

/* A socket's buffer holds a few hundred writes, however short. */
START_TEST(a_head_in_many_small_records_goes_through)
{
	struct peer p = peer_open();
	struct wire *w = wire_new(), *pairs = wire_new();
	struct seen s = { 0 };

	for (int i = 0; i < 100; i++)
		wire_pair(pairs, RH_SLICE("HTTP_A"), RH_SLICE("0123456789"));
	wire_begin(w, 1, RH_ROLE_RESPONDER, true);
	wire_record(w, RH_REC_STDIN, 7, RH_SLICE("another's"));
	for (size_t i = 0; i < pairs->n; i++)
		wire_record(w, RH_REC_PARAMS, 1,
		    (struct rh_slice){ (char *)pairs->p + i, 1 });
	wire_record(w, RH_REC_PARAMS, 1, RH_SLICE(""));
	wire_stdin(w, 1, RH_SLICE(""));
	peer_send(&p, w->p, w->n);
	take(&p);
	rh_fcgx_params(p.fx, collect, &s);
	ck_assert_uint_eq(s.n, 100);
	answer(&p, RH_SLICE("x"));
	(void)peer_reply(&p, 1);
	ck_assert(rh_fcgx_finish(p.fx));
	peer_close(&p);
}
END_TEST

START_TEST(a_client_that_left_is_noticed)
{
	struct peer p = peer_open();
	struct wire *w = wire_new();

	wire_get(w, 1, true);
	peer_send(&p, w->p, w->n);
	take(&p);
	ck_assert(!rh_fcgx_is_abandoned(p.fx));
	close(p.ours);
	ck_assert(rh_fcgx_is_abandoned(p.fx));
	ck_assert(!rh_fcgx_finish(p.fx));
	close(p.theirs);
}
END_TEST

START_TEST(a_reader_that_stops_holds_nobody_for_long)
{
	struct rh_fcgx_limits limits = { 49152, 1000, 50 };
	struct peer p = peer_open();
	struct wire *w = wire_new();

	p.fx = rh_fcgx_new(rh_check_arena(), &limits);
	wire_get(w, 1, true);
	peer_send(&p, w->p, w->n);
	take(&p);
	ck_assert(!rh_fcgx_reply(p.fx, HEAD,
	    (struct rh_slice){ filler(4 << 20), 4 << 20 }));
	ck_assert(!rh_fcgx_finish(p.fx));
	peer_close(&p);
}
END_TEST

/* Until the other side is closed: never fast, never still. */
static void *
read_slowly(void *arg)
{
	static char bytes[65536];
	struct peer *p = arg;

	do
		usleep(10000);
	while (recv(p->ours, bytes, sizeof(bytes), 0) > 0);
	return NULL;
}

/* Each system call of a long reply gets on; all of it would take seconds. */
START_TEST(a_reader_that_trickles_holds_nobody_for_long)
{
	struct rh_fcgx_limits limits = { 49152, 1000, 300 };
	struct peer p = peer_open();
	struct wire *w = wire_new();
	static const char zeros[32 << 20];
	pthread_t reader;

	p.fx = rh_fcgx_new(rh_check_arena(), &limits);
	wire_get(w, 1, true);
	peer_send(&p, w->p, w->n);
	take(&p);
	ck_assert_int_eq(pthread_create(&reader, NULL, read_slowly, &p), 0);
	ck_assert(!rh_fcgx_reply(p.fx, HEAD,
	    (struct rh_slice){ zeros, sizeof(zeros) }));
	ck_assert(!rh_fcgx_finish(p.fx));
	shutdown(p.theirs, SHUT_RDWR);
	pthread_join(reader, NULL);
	peer_close(&p);
}
END_TEST

START_TEST(a_large_head_goes_through)
{
	static char text[40000];
	const char *params[] = { text, "REQUEST_URI=/", NULL };
	struct peer p = peer_open();
	struct wire *w = wire_new();
	struct seen s = { 0 };

	memset(text, 'x', sizeof(text) - 1);
	text[6] = '=';
	wire_begin(w, 1, RH_ROLE_RESPONDER, true);
	wire_params(w, 1, params);
	wire_stdin(w, 1, RH_SLICE(""));
	peer_send(&p, w->p, w->n);
	take(&p);
	rh_fcgx_params(p.fx, collect, &s);
	ck_assert_uint_eq(s.n, 2);
	answer(&p, RH_SLICE(""));
	ck_assert(rh_fcgx_finish(p.fx));
	peer_close(&p);
}
END_TEST

START_TEST(tcp_works_as_well)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(a);
	int s = socket(AF_INET, SOCK_STREAM, 0);
	struct peer p = peer_open();
	struct wire *w = wire_new();
	struct rh_slice body;

	peer_close(&p);
	ck_assert_int_eq(bind(s, (struct sockaddr *)&a, n), 0);
	ck_assert_int_eq(listen(s, 1), 0);
	ck_assert_int_eq(getsockname(s, (struct sockaddr *)&a, &n), 0);
	p.ours = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(connect(p.ours, (struct sockaddr *)&a, n), 0);
	p.theirs = accept(s, NULL, NULL);
	wire_post(w, (struct rh_slice){ filler(30000), 30000 });
	peer_send(&p, w->p, w->n);
	while (rh_fcgx_look(p.fx, p.theirs) != RH_FCGX_READY)
		(void)poll(NULL, 0, 1);
	ck_assert(rh_fcgx_accept(p.fx, p.theirs));
	ck_assert_int_eq(rh_fcgx_read_body(p.fx, rh_check_arena(), 1 << 20,
	    &body), RH_BODY_OK);
	ck_assert_uint_eq(body.n, 30000);
	answer(&p, RH_SLICE("tcp"));
	rh_assert_slice_eq(peer_reply(&p, 1), answer_to(RH_SLICE("tcp")));
	ck_assert(rh_fcgx_finish(p.fx));
	close(s);
	peer_close(&p);
}
END_TEST

RH_CHECK_MAIN("http/fcgx",
    RH_CASE(parameters_come_in_order_and_repeated),
    RH_CASE(a_nul_does_not_shorten_a_value),
    RH_LOOP(replies_of_any_size_arrive_whole, replies),
    RH_CASE(a_kept_connection_carries_one_after_another),
    RH_LOOP(bodies_of_any_size_arrive_and_the_connection_lives, bodies),
    RH_CASE(a_body_may_come_in_pieces),
    RH_CASE(a_body_over_max_is_drained),
    RH_CASE(a_body_far_over_max_ends_the_connection),
    RH_CASE(a_body_that_nobody_read_is_drained),
    RH_CASE(the_requests_deadline_ends_the_wait_for_its_body),
    RH_CASE(an_answer_that_nobody_takes_is_given_up_at_the_deadline),
    RH_CASE(a_body_that_stops_times_out),
    RH_LOOP(a_body_that_breaks_is_broken, breaks),
    RH_CASE(others_records_are_answered_wherever_they_come),
    RH_CASE(padding_at_the_end_of_a_head_is_not_left_over),
    RH_CASE(padding_of_begin_is_not_forgotten),
    RH_CASE(a_head_that_failed_halfway_is_forgotten),
    RH_CASE(a_second_request_before_the_first_reply_ends_the_connection),
    RH_CASE(a_second_request_between_look_and_read_gets_no_wrong_reply),
    RH_CASE(a_head_in_many_small_records_goes_through),
    RH_CASE(a_client_that_left_is_noticed),
    RH_CASE(a_reader_that_stops_holds_nobody_for_long),
    RH_CASE(a_reader_that_trickles_holds_nobody_for_long),
    RH_CASE(a_large_head_goes_through),
    RH_CASE(tcp_works_as_well))
