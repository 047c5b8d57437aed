#include "config.h"

#include "obs/otlp_post.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"

#define MS		((uint64_t)1000000)
#define REPLY_BYTES	8192

struct rh_otlp_post {
	const struct rh_otlp_conf *conf;
	_Atomic(CURLM *) multi;	/* others wake us by it */
	CURL *easy;
	struct curl_slist *headers;
	char reply[REPLY_BYTES];
	size_t reply_n;
};

static size_t
on_reply(char *bytes, size_t size, size_t n, void *arg)
{
	struct rh_otlp_post *p = arg;
	size_t keep = RH_MIN(n, sizeof(p->reply) - p->reply_n);

	memcpy(p->reply + p->reply_n, bytes, keep);
	p->reply_n += keep;
	return size * n;
}

static void
header(struct rh_otlp_post *p, const char *line)
{
	struct curl_slist *longer = curl_slist_append(p->headers, line);

	p->headers = longer ? longer : p->headers;
}

static void
headers(struct rh_otlp_post *p)
{
	const struct rh_otlp_conf *conf = p->conf;
	struct rh_slice list = conf->headers;

	header(p, conf->protocol == RH_OTLP_JSON ?
	    "Content-Type: application/json" :
	    "Content-Type: application/x-protobuf");
	if (conf->gzip)
		header(p, "Content-Encoding: gzip");
	header(p, "Expect:");
	while (list.p) {
		struct rh_slice one = rh_slice_cut(&list, '\n');
		char line[4096];

		if (one.n == 0 || one.n >= sizeof(line))
			continue;
		memcpy(line, one.p, one.n);
		line[one.n] = '\0';
		header(p, line);
	}
}

static void
set_text(CURL *easy, CURLoption option, struct rh_slice text)
{
	if (text.n)
		curl_easy_setopt(easy, option, text.p);
}

static void
set_options(struct rh_otlp_post *p)
{
	const struct rh_otlp_conf *conf = p->conf;
	CURL *e = p->easy;

	curl_easy_setopt(e, CURLOPT_URL, conf->url.p);
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(e, CURLOPT_POST, 1L);
	curl_easy_setopt(e, CURLOPT_HTTPHEADER, p->headers);
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
	curl_easy_setopt(e, CURLOPT_WRITEDATA, p);
	set_text(e, CURLOPT_CAINFO, conf->certificate);
	set_text(e, CURLOPT_SSLCERT, conf->client_certificate);
	set_text(e, CURLOPT_SSLKEY, conf->client_key);
}

static void
curl_begin(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

void
rh_otlp_post_prepare(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, curl_begin);
}

/* With the first batch: where nothing is kept, a connection costs nothing. */
static bool
connect_once(struct rh_otlp_post *p)
{
	CURLM *multi;

	if (p->easy)
		return true;
	rh_otlp_post_prepare();
	multi = curl_multi_init();
	p->easy = multi ? curl_easy_init() : NULL;
	if (!p->easy) {
		curl_multi_cleanup(multi);
		return false;
	}
	headers(p);
	set_options(p);
	atomic_store(&p->multi, multi);
	return true;
}

static bool
transfer(struct rh_otlp_post *p, uint64_t (*until_ns)(void *arg), void *arg)
{
	CURLMsg *message = NULL;
	CURLM *multi = p->multi;
	bool done = false;
	int running = 1, left;

	curl_multi_add_handle(multi, p->easy);
	while (curl_multi_perform(multi, &running) == CURLM_OK && running) {
		uint64_t now = rh_clock_mono_ns(), until = until_ns(arg);

		if (now >= until)
			break;
		curl_multi_poll(multi, NULL, 0,
		    (int)RH_MIN((until - now - 1) / MS + 1, 1000), NULL);
	}
	while ((message = curl_multi_info_read(multi, &left)))
		done |= message->msg == CURLMSG_DONE &&
		    message->data.result == CURLE_OK;
	curl_multi_remove_handle(multi, p->easy);
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

static uint64_t
rejected(const struct rh_otlp_post *p)
{
	struct rh_slice reply = { p->reply, p->reply_n };

	return p->conf->protocol == RH_OTLP_JSON ? rejected_json(reply) :
	    rejected_protobuf(reply);
}

static enum rh_otlp_outcome
outcome_of(long status)
{
	if (status >= 200 && status < 300)
		return RH_OTLP_DELIVERED;
	if (status == 429 || status == 502 || status == 503 || status == 504)
		return RH_OTLP_RETRY;
	return RH_OTLP_REFUSED;
}

struct rh_otlp_answer
rh_otlp_post(struct rh_otlp_post *p, struct rh_slice body,
    uint64_t (*until_ns)(void *arg), void *arg)
{
	struct rh_otlp_answer answer = { .outcome = RH_OTLP_RETRY };
	curl_off_t after = 0;
	long status = 0;

	p->reply_n = 0;
	if (!connect_once(p))
		return answer;
	curl_easy_setopt(p->easy, CURLOPT_POSTFIELDSIZE_LARGE,
	    (curl_off_t)body.n);
	curl_easy_setopt(p->easy, CURLOPT_POSTFIELDS, body.p);
	if (!transfer(p, until_ns, arg))
		return answer;
	curl_easy_getinfo(p->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(p->easy, CURLINFO_RETRY_AFTER, &after);
	answer.outcome = outcome_of(status);
	if (answer.outcome == RH_OTLP_DELIVERED)
		answer.rejected = rejected(p);
	if (after > 0)
		answer.retry_after_ms = (uint64_t)after * 1000;
	return answer;
}

struct rh_otlp_post *
rh_otlp_post_new(const struct rh_otlp_conf *conf)
{
	struct rh_otlp_post *p = calloc(1, sizeof(*p));

	if (p)
		p->conf = conf;
	return p;
}

void
rh_otlp_post_wake(struct rh_otlp_post *p)
{
	CURLM *multi = atomic_load(&p->multi);

	if (multi)
		curl_multi_wakeup(multi);
}

void
rh_otlp_post_destroy(struct rh_otlp_post **post)
{
	struct rh_otlp_post *p = *post;

	if (!p)
		return;
	curl_easy_cleanup(p->easy);
	curl_multi_cleanup(p->multi);
	curl_slist_free_all(p->headers);
	free(p);
	*post = NULL;
}
