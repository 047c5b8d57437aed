#include "config.h"

#include "jobs/out.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "jobs/out_guard.h"

#define MS_NS UINT64_C(1000000)

/* Past this a reply is not read on: what it said first is known by then. */
#define BODY_MOST ((size_t)64 << 10)
#define HEAD_MOST ((size_t)64 << 10)
#define RETRY_AFTER_MAX 64
/*
 * Kept connections go where they went when they were opened, and that was
 * looked at: a name that means something else since takes none of them there.
 * So they are reused, and for so long, that a change of DNS is followed.
 */
#define CONNECTION_IDLE_S 30L
#define CONNECTION_LIFE_S 60L

struct transfer {
	struct transfer *next; /* of those on their way, or of those idle */
	struct rh_out *out;
	CURL *easy;
	struct curl_slist *headers;
	char *copy; /* the URL, the method, the body, each with a NUL */
	char *reply;
	size_t reply_n, reply_max, seen, head_seen;
	char retry_after[RETRY_AFTER_MAX];
	bool has_retry_after, enough;
	unsigned refused, opened; /* addresses */
	uint64_t start_ns;
	rh_out_done *done;
	void *arg;
};

struct rh_out {
	CURLM *multi;
	struct rh_out_conf conf;
	struct transfer *running, *idle;
	unsigned n;
};

/* ---- what libcurl calls ---- */

static bool
passes(const struct sockaddr *addr, const struct rh_cidrs *allow)
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
	const struct sockaddr_in6 *six = (const void *)addr;
	const struct sockaddr_in *four = (const void *)addr;
	unsigned char address[16];

	if (addr->sa_family == AF_INET6 && !six->sin6_scope_id)
		return rh_out_address_passes(six->sin6_addr.s6_addr, allow);
	if (addr->sa_family != AF_INET)
		return false;
	memcpy(address, mapped, sizeof(mapped));
	memcpy(address + 12, &four->sin_addr, 4);
	return rh_out_address_passes(address, allow);
}

/* Whatever the name meant a moment ago: this is what is connected to. */
static curl_socket_t
on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
	struct transfer *t = arg;

	if (purpose != CURLSOCKTYPE_IPCXN ||
	    !passes(&to->addr, t->out->conf.allow)) {
		t->refused++;
		return CURL_SOCKET_BAD;
	}
	t->opened++;
	return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

static size_t
on_body(char *bytes, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	size_t keep = RH_MIN(n, t->reply_max - t->reply_n);

	memcpy(t->reply + t->reply_n, bytes, keep);
	t->reply_n += keep;
	t->seen += n;
	t->enough = t->seen > RH_MAX(BODY_MOST, t->reply_max);
	return t->enough ? 0 : size * n;
}

/* A line; of several messages (100 Continue) the last one counts. */
static size_t
on_header(char *bytes, size_t size, size_t n, void *arg)
{
	static const struct rh_slice name = RH_SLICE_INIT("retry-after:");
	struct transfer *t = arg;
	struct rh_slice line = { bytes, n };

	t->head_seen += n;
	if (t->head_seen > HEAD_MOST)
		return 0;
	if (rh_slice_has_prefix(line, RH_SLICE("HTTP/")))
		t->has_retry_after = false;
	if (n < name.n ||
	    !rh_slice_is_nocase((struct rh_slice){ bytes, name.n }, name))
		return size * n;
	while (line.n &&
	    (line.p[line.n - 1] == '\n' || line.p[line.n - 1] == '\r'))
		line.n--;
	line = rh_slice_trim(rh_slice_from(line, name.n));
	if (line.n < sizeof(t->retry_after)) {
		memcpy(t->retry_after, line.p, line.n);
		t->retry_after[line.n] = '\0';
		t->has_retry_after = true;
	}
	return size * n;
}

/* ---- a transfer ---- */

static void
curl_begin(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

static void
transfer_free(struct transfer *t)
{
	curl_easy_cleanup(t->easy);
	curl_slist_free_all(t->headers);
	free(t->copy);
	free(t->reply);
	free(t);
}

static struct transfer *
transfer_take(struct rh_out *out)
{
	struct transfer *t = out->idle;

	if (t) {
		out->idle = t->next;
		return t;
	}
	t = calloc(1, sizeof(*t));
	if (!t || !(t->easy = curl_easy_init())) {
		free(t);
		return NULL;
	}
	t->out = out;
	return t;
}

/* Its handle is kept, nothing else of it. */
static void
transfer_give_back(struct transfer *t)
{
	struct rh_out *out = t->out;
	CURL *easy = t->easy;

	curl_easy_reset(easy);
	curl_slist_free_all(t->headers);
	free(t->copy);
	free(t->reply);
	*t = (struct transfer){ .next = out->idle, .out = out, .easy = easy };
	out->idle = t;
}

static bool
is_framing(struct rh_slice name)
{
	static const struct rh_slice names[] = { RH_SLICE_INIT("host"),
		RH_SLICE_INIT("connection"), RH_SLICE_INIT("content-length"),
		RH_SLICE_INIT("expect"), RH_SLICE_INIT("keep-alive"),
		RH_SLICE_INIT("proxy-authorization"),
		RH_SLICE_INIT("proxy-connection"), RH_SLICE_INIT("te"),
		RH_SLICE_INIT("trailer"), RH_SLICE_INIT("transfer-encoding"),
		RH_SLICE_INIT("upgrade") };

	for (size_t i = 0; i < RH_COUNT(names); i++)
		if (rh_slice_is_nocase(name, names[i]))
			return true;
	return false;
}

static bool
header_add(struct transfer *t, const char *line)
{
	struct curl_slist *longer = curl_slist_append(t->headers, line);

	t->headers = longer ? longer : t->headers;
	return longer != NULL;
}

/* "Name:" without a value is libcurl's way to leave it out, "Name;" to send it. */
static bool
header_copy(struct transfer *t, struct rh_slice header)
{
	struct rh_slice value = header, name = rh_slice_cut(&value, ':');
	char *line;
	bool added;

	for (size_t i = 0; i < header.n; i++)
		if ((unsigned char)header.p[i] < ' ' ? header.p[i] != '\t' :
						       header.p[i] == 0x7f)
			return true;
	if (!value.p || name.n == 0 || is_framing(rh_slice_trim(name)))
		return true;
	if (!(line = malloc(header.n + 2)))
		return false;
	memcpy(line, header.p, header.n);
	line[header.n] = '\0';
	if (rh_slice_trim(value).n == 0) {
		line[name.n] = ';';
		line[name.n + 1] = '\0';
	}
	added = header_add(t, line);
	free(line);
	return added;
}

static bool
headers_copy(struct transfer *t, const struct rh_out_request *rq)
{
	static const struct rh_slice type = RH_SLICE_INIT("content-type:");
	bool ok = header_add(t, "Expect:"), has_type = false;

	for (size_t i = 0; i < rq->nheaders && ok; i++) {
		struct rh_slice h = rq->headers[i];

		has_type |= h.n >= type.n &&
		    rh_slice_is_nocase((struct rh_slice){ h.p, type.n }, type);
		ok = header_copy(t, h);
	}
	/* or libcurl would call it a form */
	return ok && (has_type || header_add(t, "Content-Type:"));
}

static void
set_method(CURL *e, const struct rh_out_request *rq, const char *method,
    const char *body)
{
	if (rh_slice_is(rq->method, RH_SLICE("HEAD"))) {
		curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
		return;
	}
	if (rq->body.n || rh_slice_is(rq->method, RH_SLICE("POST"))) {
		curl_easy_setopt(e, CURLOPT_POST, 1L);
		curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE,
		    (curl_off_t)rq->body.n);
		curl_easy_setopt(e, CURLOPT_POSTFIELDS, body);
	}
	curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, method);
}

static void
set_options(struct transfer *t, const struct rh_out_request *rq)
{
	CURL *e = t->easy;

	curl_easy_setopt(e, CURLOPT_PRIVATE, t);
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(e, CURLOPT_PROXY, "");
	curl_easy_setopt(e, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(e, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(e, CURLOPT_HTTP09_ALLOWED, 0L);
	curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(e, CURLOPT_USERAGENT, "Rowhouse/" PACKAGE_VERSION);
	curl_easy_setopt(e, CURLOPT_HTTPHEADER, t->headers);
	curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, on_open);
	curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, t);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, t);
	curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(e, CURLOPT_HEADERDATA, t);
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	/* a resolver that hangs is left behind: else all would wait for it */
	curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)rq->timeout_ms);
	curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)rq->timeout_ms);
	curl_easy_setopt(e, CURLOPT_MAXAGE_CONN, CONNECTION_IDLE_S);
	curl_easy_setopt(e, CURLOPT_MAXLIFETIME_CONN, CONNECTION_LIFE_S);
	curl_easy_setopt(e, CURLOPT_UPLOAD_BUFFERSIZE, 16384L);
	curl_easy_setopt(e, CURLOPT_BUFFERSIZE, 8192L);
}

static char *
put(char *to, struct rh_slice text)
{
	if (text.n)
		memcpy(to, text.p, text.n);
	to[text.n] = '\0';
	return to + text.n + 1;
}

/* All of what is asked is copied. False: no memory. */
static bool
transfer_fill(struct transfer *t, const struct rh_out_request *rq)
{
	char *method, *body;

	t->reply_max = rq->reply_max;
	t->reply = malloc(rq->reply_max + 1);
	t->copy = malloc(rq->url.n + rq->method.n + rq->body.n + 3);
	if (!t->reply || !t->copy || !headers_copy(t, rq))
		return false;
	method = put(t->copy, rq->url);
	body = put(method, rq->method);
	put(body, rq->body);
	set_options(t, rq);
	curl_easy_setopt(t->easy, CURLOPT_URL, t->copy);
	set_method(t->easy, rq, method, body);
	return true;
}

/* ---- its end ---- */

static const char *
error_of(const struct transfer *t, CURLcode code)
{
	switch (code) {
	case CURLE_OK: return NULL;
	case CURLE_URL_MALFORMAT: return "refused.url";
	case CURLE_COULDNT_RESOLVE_HOST: return "resolve";
	case CURLE_COULDNT_CONNECT:
		return t->refused && !t->opened ? "refused.address" : "connect";
	case CURLE_OPERATION_TIMEDOUT: return "timeout";
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_INVALIDCERTSTATUS:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_PEER_FAILED_VERIFICATION: return "tls";
	/* it was us who did not read on */
	case CURLE_WRITE_ERROR: return t->enough ? NULL : "broken";
	default: return "broken";
	}
}

static int64_t
ms_since(uint64_t start_ns)
{
	return (int64_t)((rh_clock_mono_ns() - start_ns) / MS_NS);
}

static void
tell(struct transfer *t, CURLcode code)
{
	struct rh_out_reply reply = { .error = error_of(t, code),
		.body = { t->reply, t->reply_n },
		.ms = ms_since(t->start_ns) };
	char *address = NULL;
	long status = 0;

	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(t->easy, CURLINFO_PRIMARY_IP, &address);
	reply.status = (int)status;
	if (t->has_retry_after)
		reply.retry_after = rh_slice_of(t->retry_after);
	if (address && strlen(address) < sizeof(reply.address))
		memcpy(reply.address, address, strlen(address) + 1);
	t->done(t->arg, &reply);
}

static void
unlink_running(struct rh_out *out, const struct transfer *t)
{
	struct transfer **at = &out->running;

	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	out->n--;
}

/* How many are over. */
static unsigned
reap(struct rh_out *out)
{
	CURLMsg *message;
	unsigned n = 0;
	int left;

	while ((message = curl_multi_info_read(out->multi, &left))) {
		CURLcode code = message->data.result;
		struct transfer *t = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &t);
		curl_multi_remove_handle(out->multi, t->easy);
		unlink_running(out, t);
		n++;
		tell(t, code);
		transfer_give_back(t);
	}
	return n;
}

/* ---- for others ---- */

struct rh_out *
rh_out_new(const struct rh_out_conf *conf)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct rh_out *out = calloc(1, sizeof(*out));

	pthread_once(&once, curl_begin);
	if (!out || !(out->multi = curl_multi_init())) {
		free(out);
		return NULL;
	}
	out->conf = *conf;
	curl_multi_setopt(out->multi, CURLMOPT_MAXCONNECTS,
	    (long)RH_MAX(conf->most, 1));
	return out;
}

void
rh_out_destroy(struct rh_out **to)
{
	struct rh_out *out = *to;
	struct transfer *t;

	if (!out)
		return;
	while ((t = out->running)) {
		out->running = t->next;
		curl_multi_remove_handle(out->multi, t->easy);
		transfer_free(t);
	}
	while ((t = out->idle)) {
		out->idle = t->next;
		transfer_free(t);
	}
	curl_multi_cleanup(out->multi);
	free(out);
	*to = NULL;
}

bool
rh_out_start(struct rh_out *out, const struct rh_out_request *rq,
    rh_out_done *done, void *arg)
{
	const char *fault = rh_out_refuses_under(&out->conf, rq->url);
	struct transfer *t;

	if (fault) {
		done(arg, &(struct rh_out_reply){ .error = fault });
		return true;
	}
	if (out->n >= out->conf.most || !(t = transfer_take(out)))
		return false;
	t->done = done;
	t->arg = arg;
	t->start_ns = rh_clock_mono_ns();
	if (!transfer_fill(t, rq) ||
	    curl_multi_add_handle(out->multi, t->easy) != CURLM_OK) {
		transfer_give_back(t);
		return false;
	}
	t->next = out->running;
	out->running = t;
	out->n++;
	return true;
}

unsigned
rh_out_step(struct rh_out *out, int wait_ms)
{
	int running;

	curl_multi_perform(out->multi, &running);
	if (reap(out) == 0 && out->n && wait_ms > 0) {
		curl_multi_poll(out->multi, NULL, 0, wait_ms, NULL);
		curl_multi_perform(out->multi, &running);
		reap(out);
	}
	return out->n;
}
