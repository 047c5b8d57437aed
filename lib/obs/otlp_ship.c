#include "config.h"

#include "obs/otlp.h"

#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "base/clock.h"
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
#define REPLY_BYTES	8192

struct rh_shipper {
	struct rh_shipper_spec spec;
	pthread_t thread;
	pthread_mutex_t lock;	/* of what stop touches: the next four */
	pthread_cond_t wake;
	bool stop;
	uint64_t stop_by_ns;
	CURLM *multi;

	CURL *easy;
	struct curl_slist *headers;
	uint64_t jitter;
	unsigned attempts_at_stop;
	/* One mapping, untouched until there is a batch, and given back after. */
	char *memory;
	size_t memory_n, records_n, encoded_n;
	struct rh_slice records, body;
	unsigned spans;		/* in body */
	char reply[REPLY_BYTES];
	size_t reply_n;
};

enum outcome { DELIVERED, REFUSED, RETRY };

static void
count(struct rh_shipper *s, enum rh_spans_outcome outcome, uint64_t n)
{
	if (n)
		rh_count(s->spec.tally, s->spec.spans, outcome, 0, n);
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
	uint64_t n = atomic_load(&ring->head) - atomic_load(&ring->tail);

	return RH_MIN(n, ring->size);
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

/* Takes whole records, until the batch is full or the ring is empty. */
static unsigned
take(struct rh_shipper *s)
{
	struct rh_ring *ring = s->spec.ring;
	char *at = s->memory;
	unsigned all = 0;

	while (all < s->spec.conf->max_batch) {
		size_t left = s->records_n - (size_t)(at - s->memory), n;
		uint64_t missed = 0;
		unsigned items = 0;
		uint32_t length;

		if (left < sizeof(length) + ring->size / 4)
			break;
		n = rh_ring_take(ring, at + sizeof(length),
		    left - sizeof(length), &items, &missed);
		count(s, RH_SPANS_DROPPED, missed);
		if (n == 0)
			break;
		length = (uint32_t)n;
		memcpy(at, &length, sizeof(length));
		at += sizeof(length) + n;
		all += items;
	}
	s->records = (struct rh_slice){ s->memory, (size_t)(at - s->memory) };
	return all;
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
static bool
encode(struct rh_shipper *s, unsigned taken)
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
	count(s, RH_SPANS_DROPPED, taken - s->spans);
	return s->spans > 0;
}

static size_t
on_reply(char *bytes, size_t size, size_t n, void *arg)
{
	struct rh_shipper *s = arg;
	size_t keep = RH_MIN(n, sizeof(s->reply) - s->reply_n);

	memcpy(s->reply + s->reply_n, bytes, keep);
	s->reply_n += keep;
	return size * n;
}

static void
header(struct rh_shipper *s, const char *line)
{
	struct curl_slist *longer = curl_slist_append(s->headers, line);

	s->headers = longer ? longer : s->headers;
}

static void
headers(struct rh_shipper *s)
{
	const struct rh_otlp_conf *conf = s->spec.conf;
	struct rh_slice list = conf->headers;

	header(s, conf->protocol == RH_OTLP_JSON ?
	    "Content-Type: application/json" :
	    "Content-Type: application/x-protobuf");
	if (conf->gzip)
		header(s, "Content-Encoding: gzip");
	header(s, "Expect:");
	while (list.p) {
		struct rh_slice one = rh_slice_cut(&list, '\n');
		char line[4096];

		if (one.n == 0 || one.n >= sizeof(line))
			continue;
		memcpy(line, one.p, one.n);
		line[one.n] = '\0';
		header(s, line);
	}
}

static void
set_text(CURL *easy, CURLoption option, struct rh_slice text)
{
	if (text.n)
		curl_easy_setopt(easy, option, text.p);
}

static void
set_options(struct rh_shipper *s)
{
	const struct rh_otlp_conf *conf = s->spec.conf;
	CURL *e = s->easy;

	curl_easy_setopt(e, CURLOPT_URL, conf->url.p);
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(e, CURLOPT_POST, 1L);
	curl_easy_setopt(e, CURLOPT_HTTPHEADER, s->headers);
	curl_easy_setopt(e, CURLOPT_USERAGENT,
	    "OTel-OTLP-Exporter-Rowhouse/" PACKAGE_VERSION);
	curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	/* no proxy of the environment's, no redirects, no signals */
	curl_easy_setopt(e, CURLOPT_PROXY, "");
	curl_easy_setopt(e, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)conf->timeout_ms);
	curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)conf->timeout_ms);
	curl_easy_setopt(e, CURLOPT_UPLOAD_BUFFERSIZE, 16384L);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_reply);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, s);
	set_text(e, CURLOPT_CAINFO, conf->certificate);
	set_text(e, CURLOPT_SSLCERT, conf->client_certificate);
	set_text(e, CURLOPT_SSLKEY, conf->client_key);
}

static void
curl_begin(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* With the first batch: where nothing is kept, curl costs nothing. */
static bool
connect_once(struct rh_shipper *s)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	CURLM *multi;

	if (s->easy)
		return true;
	pthread_once(&once, curl_begin);
	multi = curl_multi_init();
	s->easy = multi ? curl_easy_init() : NULL;
	if (!s->easy) {
		curl_multi_cleanup(multi);
		return false;
	}
	headers(s);
	set_options(s);
	pthread_mutex_lock(&s->lock);
	s->multi = multi;
	pthread_mutex_unlock(&s->lock);
	return true;
}

/* Drives the transfer, so that stop's deadline can end it at once. */
static bool
transfer(struct rh_shipper *s)
{
	CURLMsg *message = NULL;
	bool done = false;
	int running = 1, left;

	curl_multi_add_handle(s->multi, s->easy);
	while (curl_multi_perform(s->multi, &running) == CURLM_OK && running) {
		uint64_t by, now = rh_clock_mono_ns();
		int wait_ms = 1000;

		if (is_stopping(s, &by)) {
			if (now >= by)
				break;
			wait_ms = (int)RH_MIN((by - now) / MS + 1, 1000);
		}
		curl_multi_poll(s->multi, NULL, 0, wait_ms, NULL);
	}
	while ((message = curl_multi_info_read(s->multi, &left)))
		done |= message->msg == CURLMSG_DONE &&
		    message->data.result == CURLE_OK;
	curl_multi_remove_handle(s->multi, s->easy);
	return done;
}

static bool
take_varint(struct rh_slice *rest, uint64_t *n)
{
	*n = 0;
	for (unsigned shift = 0; rest->n && shift < 64; shift += 7) {
		unsigned char c = (unsigned char)rest->p[0];

		*rest = rh_slice_from(*rest, 1);
		*n |= (uint64_t)(c & 0x7f) << shift;
		if (c < 0x80)
			return true;
	}
	return false;
}

/* Finds a field of that tag; false where it is not, or the message breaks. */
static bool
find_field(struct rh_slice *rest, uint64_t wanted, uint64_t *n)
{
	uint64_t tag;

	while (take_varint(rest, &tag)) {
		if ((tag & 7) != 0 && (tag & 7) != 2)
			return false;
		if (!take_varint(rest, n))
			return false;
		if (tag == wanted)
			return true;
		if ((tag & 7) == 2) {
			if (*n > rest->n)
				return false;
			*rest = rh_slice_from(*rest, *n);
		}
	}
	return false;
}

/* ExportTraceServiceResponse { partial_success 1 { rejected_spans 1 } } */
static uint64_t
rejected_protobuf(struct rh_slice reply)
{
	uint64_t n;

	if (!find_field(&reply, 1 << 3 | 2, &n))
		return 0;
	reply.n = RH_MIN(reply.n, n);
	return find_field(&reply, 1 << 3, &n) ? n : 0;
}

/* "rejectedSpans":"3", or the number; the name stands nowhere else. */
static uint64_t
rejected_json(struct rh_slice reply)
{
	static const char name[] = "\"rejectedSpans\"";
	const char *at = memmem(reply.p, reply.n, name, sizeof(name) - 1);
	const char *end = reply.p + reply.n;
	uint64_t n = 0;

	if (!at)
		return 0;
	at += sizeof(name) - 1;
	while (at < end && strchr(" \t\r\n:\"", *at))
		at++;
	for (; at < end && *at >= '0' && *at <= '9' && n < UINT32_MAX; at++)
		n = n * 10 + (uint64_t)(*at - '0');
	return n;
}

static void
count_delivered(struct rh_shipper *s)
{
	struct rh_slice reply = { s->reply, s->reply_n };
	uint64_t rejected = s->spec.conf->protocol == RH_OTLP_JSON ?
	    rejected_json(reply) : rejected_protobuf(reply);

	rejected = RH_MIN(rejected, s->spans);
	count(s, RH_SPANS_REJECTED, rejected);
	count(s, RH_SPANS_EXPORTED, s->spans - rejected);
}

static enum outcome
outcome_of(long status)
{
	if (status >= 200 && status < 300)
		return DELIVERED;
	if (status == 429 || status == 502 || status == 503 || status == 504)
		return RETRY;
	return REFUSED;
}

/* One POST. *retry_after_ms: what the collector asks for, or 0. */
static enum outcome
post(struct rh_shipper *s, uint64_t *retry_after_ms)
{
	curl_off_t after = 0;
	long status = 0;

	*retry_after_ms = 0;
	s->reply_n = 0;
	if (!connect_once(s))
		return RETRY;
	curl_easy_setopt(s->easy, CURLOPT_POSTFIELDSIZE_LARGE,
	    (curl_off_t)s->body.n);
	curl_easy_setopt(s->easy, CURLOPT_POSTFIELDS, s->body.p);
	if (!transfer(s))
		return RETRY;
	curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(s->easy, CURLINFO_RETRY_AFTER, &after);
	if (after > 0)
		*retry_after_ms = (uint64_t)after * 1000;
	return outcome_of(status);
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

static bool
deliver(struct rh_shipper *s)
{
	uint64_t give_up = rh_clock_mono_ns() +
	    (uint64_t)s->spec.conf->export_timeout_ms * MS, after;
	enum outcome outcome;

	for (unsigned attempts = 0;; attempts++) {
		outcome = post(s, &after);
		if (outcome != RETRY ||
		    !wait_to_retry(s, give_up, attempts, after))
			break;
	}
	if (outcome == DELIVERED)
		count_delivered(s);
	else
		count(s, RH_SPANS_DROPPED, s->spans);
	return outcome != RETRY;
}

/*
 * What is still there when stop is asked for goes out while time is left, and
 * while there is somebody to take it: else it is better kept in the ring.
 */
static void
flush(struct rh_shipper *s)
{
	unsigned taken;
	uint64_t by;

	while (is_stopping(s, &by) && rh_clock_mono_ns() < by &&
	    (taken = take(s)))
		if (encode(s, taken) && !deliver(s))
			return;
}

static void *
run(void *arg)
{
	struct rh_shipper *s = arg;
	bool served = true;

	while (wait_for_batch(s)) {
		unsigned taken = take(s);

		if (taken && encode(s, taken))
			served = deliver(s);
		madvise(s->memory, s->memory_n, MADV_DONTNEED);
	}
	if (served || s->attempts_at_stop == 0)
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
	curl_easy_cleanup(s->easy);
	curl_multi_cleanup(s->multi);
	curl_slist_free_all(s->headers);
	munmap(s->memory, s->memory_n);
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->lock);
	free(s);
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
	s->jitter = (rh_clock_mono_ns() ^ (uint64_t)getpid() << 32) | 1;
	if (!map_memory(s)) {
		free(s);
		return NULL;
	}
	init_wake(s);
	if (!rh_thread_start(&s->thread, STACK_BYTES, run, s)) {
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
	if (s->multi)
		curl_multi_wakeup(s->multi);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	destroy(s);
	*shipper = NULL;
}
