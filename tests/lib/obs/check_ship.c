/* check_ship.c - a shipper that is killed leaves its batch to the next, and the books whole. */
#include "config.h"

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

#include "obs/journal.h"
#include "obs/otlp.h"
#include "scratch.h"

#define SMALL		16384
#define LARGE		(512 << 10)
#define PATIENCE_MS	60000
#define SLOT		1

struct stand {
	struct rh_segment *segment;
	struct rh_family spans;
	struct rh_tally tally;
	struct rh_otlp_conf conf;
	struct rh_ring *ring;
	size_t ring_bytes;
	struct rh_trace trace;
	uint64_t ended;
	int listening;
};

/* ---- a pool's segment, and spans in it ---- */

static struct rh_metrics *
metrics_of(struct stand *s)
{
	static const char *const outcomes[] = { "exported", "dropped",
	    "rejected", "unsampled" };
	struct rh_metrics *m = rh_metrics_new(rh_check_arena());
	int dim = rh_metrics_dim(m, "outcome", 0);

	for (unsigned i = 0; i < RH_COUNT(outcomes); i++)
		rh_metrics_value(m, dim, &outcomes[i]);
	s->spans = rh_metrics_family(m, &(struct rh_family_spec){
	    .kind = RH_M_COUNTER, .name = "spans_total", .help = "h",
	    .dim_a = dim, .dim_b = -1 });
	return m;
}

static void
open_segment(struct stand *s)
{
	static const struct rh_area none[] = { { NULL, 0, false, 0 } };
	struct rh_metrics *m = metrics_of(s);
	struct rh_buf *why = scratch_buf();

	ck_assert_msg(rh_segment_create(&s->segment, scratch_open(),
	    &(struct rh_segment_spec){ .pool = "fcgi", .service = "s",
	    .version = "1", .revision = "r", .slots = 2,
	    .log_ring_bytes = SMALL, .span_ring_bytes = s->ring_bytes,
	    .areas = none, .metrics = m }, why), "%s", scratch_text(why));
	rh_tally_bind(&s->tally, m, s->segment, SLOT);
	s->ring = rh_segment_spans(s->segment, SLOT);
}

static void
listen_open(struct stand *s)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(at);

	s->listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(s->listening, 0);
	ck_assert_int_eq(bind(s->listening, (struct sockaddr *)&at, n), 0);
	ck_assert_int_eq(listen(s->listening, 64), 0);
	ck_assert_int_eq(getsockname(s->listening, (struct sockaddr *)&at, &n),
	    0);
	rh_otlp_conf_read(&s->conf, &(struct rh_otlp_defaults){
	    .trace_ratio = 1, .traces = true,
	    .service_name = RH_SLICE("check"),
	    .endpoint = rh_slice_of(rh_arena_printf(rh_check_arena(),
	    "http://127.0.0.1:%u", ntohs(at.sin_port))) }, rh_check_arena(),
	    scratch_buf());
	s->conf.schedule_delay_ms = 0;
}

static struct stand *
stand_open(size_t ring_bytes)
{
	struct stand *s = RH_NEW(rh_check_arena(), struct stand);

	s->ring_bytes = ring_bytes;
	signal(SIGPIPE, SIG_IGN);
	open_segment(s);
	listen_open(s);
	return s;
}

static void
put(struct stand *s, unsigned traces)
{
	struct rh_trace *t = &s->trace;

	t->on = true;
	for (unsigned i = 0; i < traces; i++) {
		rh_trace_begin(t, &s->conf.sampler,
		    &(struct rh_trace_caller){ 0 });
		rh_trace_server(t)->name = RH_SLICE("trace");
		rh_span_close(t, rh_span_open(t, RH_SPAN_CLIENT,
		    RH_SLICE("child")));
		s->ended += rh_trace_spans(t);
		rh_trace_decide(t, (struct rh_trace_facts){ 0 });
		rh_trace_end(t, s->ring, true, rh_trace_now(t),
		    RH_SLICE("request"), RH_SLICE("tenant"));
	}
}

static uint64_t
counted(const struct stand *s, enum rh_spans_outcome outcome)
{
	return __atomic_load_n(s->tally.cells + s->spans.cell +
	    outcome * s->spans.stride_a, __ATOMIC_RELAXED);
}

static uint64_t
held(const struct stand *s)
{
	return s->ring->items_in - s->ring->items_out;
}

/* All that ended is one of these. */
static void
assert_books(const struct stand *s, uint64_t exported, uint64_t dropped)
{
	ck_assert_uint_eq(counted(s, RH_SPANS_EXPORTED), exported);
	ck_assert_uint_eq(counted(s, RH_SPANS_DROPPED), dropped);
	ck_assert_uint_eq(counted(s, RH_SPANS_REJECTED), 0);
	ck_assert_uint_eq(held(s), s->ended - exported - dropped);
	ck_assert(rh_ring_is_sound(s->ring, s->ring_bytes, RH_RING_OVERWRITE));
}

/* ---- shippers ---- */

static struct rh_shipper *
ship(const struct stand *s)
{
	struct rh_shipper *shipper = rh_shipper_start(
	    &(struct rh_shipper_spec){ .conf = &s->conf,
	    .segment = s->segment, .slot = SLOT, .ring = s->ring,
	    .tally = &s->tally, .spans = s->spans, .version = "1",
	    .pid = 7 });

	ck_assert_ptr_nonnull(shipper);
	return shipper;
}

/* A worker that does nothing else. */
static pid_t
worker_start(const struct stand *s)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	ship(s);
	for (;;)
		pause();
}

static void
worker_kill(const struct stand *s, pid_t pid)
{
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	scratch_reap(pid, SIGKILL);
	rh_journal_settle(s->segment, SLOT);
}

/* ---- the collector's side ---- */

struct request {
	int fd;
	struct rh_buf *bytes;
	struct rh_slice body;
};

/* More of it; false at its end. */
static bool
more(struct request *rq)
{
	struct pollfd p = { .fd = rq->fd, .events = POLLIN };
	char bytes[4096];
	ssize_t n;

	ck_assert_int_eq(poll(&p, 1, PATIENCE_MS), 1);
	if ((n = read(rq->fd, bytes, sizeof(bytes))) <= 0)
		return false;
	rh_buf_put(rq->bytes, bytes, (size_t)n);
	return true;
}

/* Whether it has come as a whole. */
static bool
is_whole(struct request *rq)
{
	struct rh_slice all = rh_buf_get(rq->bytes);
	const char *end = memmem(all.p, all.n, "\r\n\r\n", 4), *length;

	if (!end)
		return false;
	length = memmem(all.p, all.n, "Content-Length: ", 16);
	ck_assert_ptr_nonnull(length);
	rq->body = rh_slice_from(all, (size_t)(end + 4 - all.p));
	return rq->body.n == strtoul(length + 16, NULL, 10);
}

static bool
request_read(struct request *rq)
{
	rq->bytes->n = 0;
	while (!is_whole(rq))
		if (!more(rq))
			return false;
	return true;
}

static void
request_accept(struct request *rq, const struct stand *s)
{
	struct pollfd p = { .fd = s->listening, .events = POLLIN };

	ck_assert_int_eq(poll(&p, 1, PATIENCE_MS), 1);
	rq->fd = accept(s->listening, NULL, NULL);
	ck_assert_int_ge(rq->fd, 0);
	rq->bytes = scratch_buf();
}

static void
answer(const struct request *rq, const char *text)
{
	ssize_t n = send(rq->fd, text, strlen(text), MSG_NOSIGNAL);

	/* who is gone does not hear it */
	(void)n;
}

#define OK	"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

/* One that accepts all that comes, a connection after the other. */
static pid_t
collector_start(const struct stand *s)
{
	struct request rq;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		rq.fd = accept(s->listening, NULL, NULL);
		rq.bytes = scratch_buf();
		while (rq.fd >= 0 && request_read(&rq))
			answer(&rq, OK);
		close(rq.fd);
	}
}

static void
collector_end(pid_t pid)
{
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	scratch_reap(pid, SIGKILL);
}

/* ---- what is on its way when the process is killed ---- */

/* What the collector had said by then. */
static const char *const said[] = {
	"",
	"HTTP/1.1 200 OK\r\nContent-Len",
	"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\n",
	"HTTP/1.1 503 Later\r\nRetry-After: 60\r\nContent-Length: 0\r\n\r\n",
};

START_TEST(a_batch_is_the_next_one_s_until_it_is_answered)
{
	struct request first, second;
	struct stand *s = stand_open(SMALL);
	struct rh_shipper *shipper;
	pid_t worker;

	put(s, 5);
	worker = worker_start(s);
	request_accept(&first, s);
	ck_assert(request_read(&first));
	answer(&first, said[_i]);
	worker_kill(s, worker);
	assert_books(s, 0, 0);
	ck_assert(rh_ring_has(s->ring));
	/* the very same spans, by the same ids */
	shipper = ship(s);
	request_accept(&second, s);
	ck_assert(request_read(&second));
	ck_assert_uint_eq(first.body.n, second.body.n);
	ck_assert_mem_eq(first.body.p, second.body.p, first.body.n);
	answer(&second, OK);
	rh_shipper_stop(&shipper, PATIENCE_MS);
	assert_books(s, s->ended, 0);
	ck_assert(!rh_ring_has(s->ring));
	rh_segment_close(&s->segment);
}
END_TEST

/* What a batch that was overwritten has lost is counted by who comes next. */
START_TEST(what_is_overwritten_meanwhile_is_counted)
{
	struct stand *s = stand_open(SMALL);
	struct rh_shipper *shipper;
	pid_t worker, collector;
	struct request rq;

	put(s, 5);
	worker = worker_start(s);
	request_accept(&rq, s);
	ck_assert(request_read(&rq));
	put(s, 400);
	worker_kill(s, worker);
	assert_books(s, 0, 0);
	collector = collector_start(s);
	shipper = ship(s);
	rh_shipper_stop(&shipper, PATIENCE_MS);
	ck_assert_uint_gt(counted(s, RH_SPANS_DROPPED), 10);
	assert_books(s, s->ended - counted(s, RH_SPANS_DROPPED),
	    counted(s, RH_SPANS_DROPPED));
	ck_assert_uint_eq(held(s), 0);
	collector_end(collector);
	rh_segment_close(&s->segment);
}
END_TEST

/* Wherever it is: each ended span is exported once in the books. */
START_TEST(kills_at_any_time_leave_the_books_whole)
{
	struct stand *s = stand_open(LARGE);
	pid_t collector = collector_start(s), worker;
	struct rh_shipper *shipper;
	uint64_t seed = 11;

	for (unsigned i = 0; i < 40; i++) {
		struct timespec nap = { 0,
		    (long)(scratch_random(&seed) % 30000000) };

		put(s, 1 + (unsigned)(scratch_random(&seed) % 8));
		worker = worker_start(s);
		put(s, 1 + (unsigned)(scratch_random(&seed) % 8));
		nanosleep(&nap, NULL);
		worker_kill(s, worker);
		assert_books(s, counted(s, RH_SPANS_EXPORTED), 0);
	}
	shipper = ship(s);
	rh_shipper_stop(&shipper, PATIENCE_MS);
	assert_books(s, s->ended, 0);
	collector_end(collector);
	rh_segment_close(&s->segment);
}
END_TEST

/* ---- what may be wrong with the ring ---- */

START_TEST(what_three_have_died_of_is_dropped)
{
	struct stand *s = stand_open(SMALL);
	pid_t collector = collector_start(s);
	struct rh_shipper *shipper;
	uint64_t before;

	put(s, 4);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_uint_eq(rh_ring_dare(s->ring), i);
	before = s->ended;
	shipper = ship(s);
	rh_shipper_stop(&shipper, PATIENCE_MS);
	assert_books(s, 0, before);
	put(s, 4);
	shipper = ship(s);
	rh_shipper_stop(&shipper, PATIENCE_MS);
	assert_books(s, s->ended - before, before);
	collector_end(collector);
	rh_segment_close(&s->segment);
}
END_TEST

/* Whatever stands there: the shipper lives, and comes to an end. */
START_TEST(rubbish_is_survived)
{
	struct stand *s = stand_open(SMALL);
	pid_t collector = collector_start(s);
	struct rh_shipper *shipper;

	for (uint64_t seed = 1; seed <= 60; seed++) {
		uint64_t state = seed, some = scratch_random(&state) % 3;
		struct rh_ring *r = s->ring;

		for (size_t i = 0; i < SMALL / 8; i++)
			((uint64_t *)(void *)r->bytes)[i] = some ?
			    scratch_random(&state) % 600 :
			    scratch_random(&state);
		r->head = scratch_random(&state) % (4 * SMALL) & ~(uint64_t)7;
		r->oldest = scratch_random(&state) % (4 * SMALL);
		r->tail = scratch_random(&state) % (some + 3 * SMALL);
		r->items_in = scratch_random(&state);
		r->items_out = some ? 0 : scratch_random(&state);
		r->dares = (uint32_t)(scratch_random(&state) % 5);
		shipper = ship(s);
		rh_shipper_stop(&shipper, PATIENCE_MS);
		ck_assert(!rh_ring_has(r));
	}
	collector_end(collector);
	rh_segment_close(&s->segment);
}
END_TEST

RH_CHECK_MAIN("obs/ship",
    RH_LOOP(a_batch_is_the_next_one_s_until_it_is_answered, said),
    RH_CASE(what_is_overwritten_meanwhile_is_counted),
    RH_CASE(kills_at_any_time_leave_the_books_whole),
    RH_CASE(what_three_have_died_of_is_dropped),
    RH_CASE(rubbish_is_survived))
