#include "config.h"

#include "obs/otlp_post.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "base/clock.h"
#include "obs/journal.h"
#include "obs/thread.h"

#define MS		((uint64_t)1000000)
#define STACK_BYTES	(256 << 10)
#define BATCH_BYTES	((size_t)512 << 10)	/* of records, besides the last */
/*
 * The longest sleep between two looks at the ring. The hot path wakes nobody:
 * that would be a system call a kept trace.
 */
#define LOOK_MS		50
#define LOOK_LEAST_MS	5
#define BACKOFF_MS	500
#define BACKOFF_MOST_MS	10000
/* A pool must stop soon also while its collector is away. */
#define BACKOFF_STOP_MS	200
#define ATTEMPTS_STOP	5
/* Then it is taken for what they died of. */
#define DEATHS_MOST	3

struct rh_shipper {
	struct rh_shipper_spec spec;
	pthread_t thread;
	pthread_mutex_t lock;	/* of what stop touches: the next three */
	pthread_cond_t wake;
	bool stop;
	uint64_t stop_by_ns;

	struct rh_otlp_post *post;
	uint64_t jitter;
	unsigned attempts_at_stop;
	/* One mapping, untouched until there is a batch, and given back after. */
	char *memory;
	size_t memory_n, records_n, encoded_n;
	struct rh_slice records, body;
	/* The batch: it stays in the ring until it is known what became of it. */
	struct rh_ring_cursor end;
	uint64_t missed, taken;	/* before it and within it; items of the ring */
	unsigned spans;		/* in body */
	struct rh_journal journal;
};

static void
count(struct rh_shipper *s, enum rh_spans_outcome outcome, uint64_t n)
{
	if (n)
		rh_journal_count(&s->journal, s->spec.tally, s->spec.spans,
		    outcome, 0, n);
}

/* Counts and the ring's end of the batch: all of it is told, or nothing. */
static void
settle(struct rh_shipper *s, uint64_t exported, uint64_t rejected)
{
	rh_journal_open(&s->journal);
	count(s, RH_SPANS_EXPORTED, exported);
	count(s, RH_SPANS_REJECTED, rejected);
	count(s, RH_SPANS_DROPPED, s->missed + s->taken - exported - rejected);
	rh_journal_release(&s->journal, s->spec.ring, &s->end);
	rh_journal_commit(&s->journal);
}

static bool
is_stopping(struct rh_shipper *s, uint64_t *stop_by_ns)
{
	bool stop;

	pthread_mutex_lock(&s->lock);
	stop = s->stop;
	*stop_by_ns = s->stop_by_ns;
	pthread_mutex_unlock(&s->lock);
	return stop;
}

/* Until then, or until stop is asked for; not again where it already was. */
static void
sleep_until(struct rh_shipper *s, uint64_t ns)
{
	struct timespec until = { (time_t)(ns / (1000 * MS)),
	    (long)(ns % (1000 * MS)) };
	bool was;

	pthread_mutex_lock(&s->lock);
	was = s->stop;
	while (s->stop == was && rh_clock_mono_ns() < ns)
		pthread_cond_timedwait(&s->wake, &s->lock, &until);
	pthread_mutex_unlock(&s->lock);
}

static uint64_t
pending(const struct rh_ring *ring)
{
	uint64_t head = atomic_load(&ring->head);
	uint64_t tail = atomic_load(&ring->tail);

	return head > tail ? RH_MIN(head - tail, ring->size) : 0;
}

/* Waits for a batch: by size, by number, or by age. False: stop instead. */
static bool
wait_for_batch(struct rh_shipper *s)
{
	const struct rh_otlp_conf *conf = s->spec.conf;
	struct rh_ring *ring = s->spec.ring;
	uint64_t enough = ring->size / 4, last = pending(ring), by;
	uint64_t started = rh_clock_mono_ns(), look = LOOK_MS * MS;
	uint64_t due = started + (uint64_t)conf->schedule_delay_ms * MS;

	while (!is_stopping(s, &by)) {
		uint64_t now = rh_clock_mono_ns(), held = pending(ring), grown;
		uint64_t items = atomic_load(&ring->items_in) -
		    atomic_load(&ring->items_out);

		if (held && (held >= enough || now >= due ||
		    items >= (uint64_t)conf->max_batch))
			return true;
		/* look again when, at this pace, a quarter will be full */
		grown = held > last ? held - last : 1;
		look = RH_MIN(look * enough / grown, LOOK_MS * MS);
		look = RH_MAX(look, LOOK_LEAST_MS * MS);
		last = held;
		sleep_until(s, now + look);
	}
	return false;
}

/* Copies whole records, until the batch is full or the ring is empty. */
static void
take(struct rh_shipper *s)
{
	struct rh_ring *ring = s->spec.ring;
	char *at = s->memory;

	rh_ring_begin(ring, &s->end);
	s->missed = s->taken = 0;
	while (s->taken < (uint64_t)s->spec.conf->max_batch) {
		size_t left = s->records_n - (size_t)(at - s->memory), n;
		uint64_t missed = 0;
		unsigned items = 0;
		uint32_t length;

		if (left < sizeof(length) + ring->size / 4)
			break;
		n = rh_ring_next(ring, &s->end, at + sizeof(length),
		    left - sizeof(length), &items, &missed);
		if (n == 0)
			break;
		length = (uint32_t)n;
		memcpy(at, &length, sizeof(length));
		at += sizeof(length) + n;
		s->taken += items;
		s->missed += missed;
	}
	s->records = (struct rh_slice){ s->memory, (size_t)(at - s->memory) };
}

/* In little memory: a window of 8 KiB instead of 32 costs a few percent. */
static bool
gzip(struct rh_slice *body, char *to, size_t cap)
{
	z_stream z = { .next_in = (unsigned char *)(uintptr_t)body->p,
	    .avail_in = (uInt)body->n,
	    .next_out = (unsigned char *)to, .avail_out = (uInt)cap };
	int done;

	if (deflateInit2(&z, 4, Z_DEFLATED, 13 + 16, 5,
	    Z_DEFAULT_STRATEGY) != Z_OK)
		return false;
	done = deflate(&z, Z_FINISH);
	*body = (struct rh_slice){ to, cap - z.avail_out };
	deflateEnd(&z);
	return done == Z_STREAM_END;
}

/* Makes the request of what was taken; what is no span of ours is dropped. */
static void
encode(struct rh_shipper *s)
{
	struct rh_buf to;

	rh_buf_init_fixed(&to, s->memory + s->records_n, s->encoded_n);
	s->spans = rh_otlp_encode(&to, s->spec.conf->protocol, &s->spec,
	    s->records.p, s->records.n);
	s->body = rh_buf_get(&to);
	if (to.full || (s->spec.conf->gzip && s->spans &&
	    !gzip(&s->body, s->memory + s->records_n + s->encoded_n,
	    s->memory_n - s->records_n - s->encoded_n)))
		s->spans = 0;
}

static uint64_t
stop_by_ns(void *shipper)
{
	uint64_t by;

	return is_stopping(shipper, &by) ? by : UINT64_MAX;
}

/* Half of it, and a random part of the other half (xorshift). */
static uint64_t
jittered(struct rh_shipper *s, uint64_t ms)
{
	s->jitter ^= s->jitter << 13;
	s->jitter ^= s->jitter >> 7;
	s->jitter ^= s->jitter << 17;
	return ms / 2 + s->jitter % (ms / 2 + 1);
}

/*
 * Waits before the next attempt; false: it would come too late. A stop cuts
 * our own back-off short, but not the wait that a collector asked for.
 */
static bool
wait_to_retry(struct rh_shipper *s, uint64_t give_up_ns, unsigned attempts,
    uint64_t retry_after_ms)
{
	uint64_t by, until, now = rh_clock_mono_ns();
	uint64_t backoff = RH_MIN((uint64_t)BACKOFF_MS << RH_MIN(attempts, 8),
	    BACKOFF_MOST_MS);
	bool stopping = is_stopping(s, &by);

	if (stopping) {
		if (++s->attempts_at_stop >= ATTEMPTS_STOP)
			return false;
		backoff = BACKOFF_STOP_MS;
		give_up_ns = RH_MIN(give_up_ns, by);
	}
	until = now + MS * (retry_after_ms ? retry_after_ms :
	    jittered(s, backoff));
	if (until >= give_up_ns)
		return false;
	sleep_until(s, until);
	if (stopping || !is_stopping(s, &by))
		return true;
	if (!retry_after_ms)
		return true;
	if (until >= by)
		return false;
	sleep_until(s, until);
	return true;
}

/* False: a stop cut it short, and the batch is still the ring's. */
static bool
deliver(struct rh_shipper *s)
{
	uint64_t give_up = rh_clock_mono_ns() +
	    (uint64_t)s->spec.conf->export_timeout_ms * MS, by;
	struct rh_otlp_answer answer;

	for (unsigned attempts = 0;; attempts++) {
		answer = rh_otlp_post(s->post, s->body, stop_by_ns, s);
		if (answer.outcome != RH_OTLP_RETRY || !wait_to_retry(s,
		    give_up, attempts, answer.retry_after_ms))
			break;
	}
	if (answer.outcome == RH_OTLP_RETRY && is_stopping(s, &by) &&
	    rh_clock_mono_ns() < give_up)
		return false;
	answer.rejected = RH_MIN(answer.rejected, s->spans);
	settle(s, answer.outcome == RH_OTLP_DELIVERED ?
	    s->spans - answer.rejected : 0, answer.rejected);
	return true;
}

/* One batch, whatever becomes of it; false: it is left to the next owner. */
static bool
ship(struct rh_shipper *s)
{
	unsigned deaths = rh_ring_dare(s->spec.ring);

	take(s);
	s->spans = 0;
	if (deaths < DEATHS_MOST)
		encode(s);
	rh_ring_dared(s->spec.ring);
	if (s->spans)
		return deliver(s);
	settle(s, 0, 0);
	return true;
}

/*
 * What is still there when stop is asked for goes out while time is left, and
 * while there is somebody to take it: else it is better kept in the ring.
 */
static void
flush(struct rh_shipper *s)
{
	uint64_t by;

	while (is_stopping(s, &by) && rh_clock_mono_ns() < by &&
	    rh_ring_has(s->spec.ring) && ship(s))
		;
}

static void *
run(void *arg)
{
	struct rh_shipper *s = arg;

	while (wait_for_batch(s)) {
		if (!ship(s))
			return NULL;
		madvise(s->memory, s->memory_n, MADV_DONTNEED);
	}
	flush(s);
	return NULL;
}

static void
init_wake(struct rh_shipper *s)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->wake, &attr);
	pthread_condattr_destroy(&attr);
}

/* JSON of hostile texts is six times as long as they are, and then the ids. */
static bool
map_memory(struct rh_shipper *s)
{
	s->records_n = BATCH_BYTES + s->spec.ring->size / 4;
	s->encoded_n = RH_MIN(s->records_n * 8, (size_t)60 << 20);
	s->memory_n = s->records_n + s->encoded_n;
	if (s->spec.conf->gzip)
		s->memory_n += s->encoded_n + (64 << 10);
	s->memory = mmap(NULL, s->memory_n, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return s->memory != MAP_FAILED;
}

static void
destroy(struct rh_shipper *s)
{
	rh_otlp_post_destroy(&s->post);
	munmap(s->memory, s->memory_n);
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

void
rh_shipper_prepare(const struct rh_otlp_conf *conf)
{
	if (!conf->disabled)
		rh_otlp_post_prepare();
}

struct rh_shipper *
rh_shipper_start(const struct rh_shipper_spec *spec)
{
	struct rh_shipper *s;

	if (spec->conf->disabled || !spec->ring)
		return NULL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->spec = *spec;
	rh_journal_bind_spans(&s->journal, spec->segment, spec->slot);
	s->jitter = (rh_clock_mono_ns() ^ (uint64_t)getpid() << 32) | 1;
	if (!map_memory(s)) {
		free(s);
		return NULL;
	}
	s->post = rh_otlp_post_new(s->spec.conf);
	init_wake(s);
	if (!s->post || !rh_thread_start(&s->thread, STACK_BYTES, run, s)) {
		destroy(s);
		return NULL;
	}
	return s;
}

void
rh_shipper_stop(struct rh_shipper **shipper, int64_t deadline_ms)
{
	struct rh_shipper *s = *shipper;

	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	s->stop_by_ns = rh_clock_mono_ns() +
	    (uint64_t)RH_MAX(deadline_ms, 0) * MS;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	rh_otlp_post_wake(s->post);
	pthread_join(s->thread, NULL);
	destroy(s);
	*shipper = NULL;
}
