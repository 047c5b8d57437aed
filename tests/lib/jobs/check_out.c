/*
 * check_out.c - the tricks by which a URL comes to where it must not, and what
 * becomes of a request on its way. The receiver is a real one, on loopback,
 * which the rows that ask it have allowed.
 */
#include "config.h"

#include "jobs/out.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "jobs/out_guard.h"
#include "tests/rh_check.h"

/* ---- URLs ---- */

#define LONG64 \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

/* As rh_out_refuses_under says it where nothing is allowed; NULL: fine. */
/* clang-format off */
static const struct {
	const char *url, *error;
} urls[] = {
	{ "https://example.com/hook", NULL },
	{ "http://example.com", NULL },
	{ "HTTPS://EXAMPLE.com:8443/a?b=c#d", NULL },
	{ "https://example.com./", NULL },
	{ "https://xn--bcher-kva.example/", NULL },
	{ "https://1.1.1.1/", NULL },
	{ "https://[2606:4700:4700::1111]/", NULL },
	{ "https://a.b?x@y", NULL }, /* behind the host it is no user */
	/* nothing else is spoken */
	{ "", "refused.url" },
	{ "ftp://example.com/", "refused.scheme" },
	{ "file:///etc/passwd", "refused.scheme" },
	{ "gopher://example.com/", "refused.scheme" },
	{ "javascript:alert(1)", "refused.scheme" },
	{ "//example.com/", "refused.scheme" },
	{ "example.com", "refused.scheme" },
	{ "http:/example.com/", "refused.scheme" },
	{ "https:example.com/", "refused.scheme" },
	/* whoever is in it would be told in logs */
	{ "https://user@example.com/", "refused.credentials" },
	{ "https://user:password@example.com/", "refused.credentials" },
	{ "https://example.com@127.0.0.1/", "refused.credentials" },
	{ "https://@example.com/", "refused.credentials" },
	/* parsers disagree about these */
	{ "http://exa mple.com/", "refused.url" },
	{ "http://example.com/\r\nHost: a", "refused.url" },
	{ "http://exam\tple.com/", "refused.url" },
	{ "\thttp://example.com/", "refused.url" },
	{ " http://example.com/", "refused.url" },
	{ "http://example.com\n", "refused.url" },
	{ "http://example.com\\@127.0.0.1/", "refused.url" },
	{ "http:\\\\127.0.0.1/", "refused.url" },
	{ "http:///path", "refused.url" },
	{ "http://", "refused.url" },
	{ "http://./", "refused.url" },
	{ "http://127%2e0%2e0%2e1/", "refused.url" },
	{ "http://%6c%6f%63alhost/", "refused.url" },
	{ "http://\xe2\x91\xa0\xe2\x91\xa1\xe2\x91\xa6.0.0.1/", "refused.url" },
	{ "http://127\xe3\x80\x82" "0.0.1/", "refused.url" },
	{ "http://\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.1/", "refused.url" },
	{ "http://b\xc3\xbc" "cher.example/", "refused.url" },
	{ "http://a;b/", "refused.url" },
	{ "http://a{1,2}/", "refused.url" },
	{ "http://" LONG64 LONG64 LONG64 LONG64 "/", "refused.url" },
	/* ports */
	{ "http://example.com:1024/", NULL },
	{ "http://example.com:65535/", NULL },
	{ "http://example.com:/", NULL },
	{ "http://example.com:0/", "refused.port" },
	{ "http://example.com:22/", "refused.port" },
	{ "http://example.com:25/", "refused.port" },
	{ "http://example.com:6667/", "refused.port" },
	{ "http://example.com:65536/", "refused.url" },
	{ "http://example.com:4294967376/", "refused.url" },
	{ "http://example.com:+80/", "refused.url" },
	{ "http://example.com:080/", "refused.url" },
	{ "http://example.com:80:80/", "refused.url" },
	{ "http://example.com:0x50/", "refused.url" },
	{ "http://[2606:4700::1]:25/", "refused.port" },
	/* 127.0.0.1 and its neighbours, in all their spellings */
	{ "http://127.0.0.1/", "refused.address" },
	{ "http://127.0.0.1./", "refused.address" },
	{ "http://127.1/", "refused.address" },
	{ "http://127.0.1:8080/", "refused.address" },
	{ "http://2130706433/", "refused.address" },
	{ "http://017700000001/", "refused.address" },
	{ "http://0x7f000001/", "refused.address" },
	{ "http://0x7F.1/", "refused.address" },
	{ "http://0177.0.0.0x1/", "refused.address" },
	{ "http://0/", "refused.address" },
	{ "http://0x/", "refused.address" },
	{ "http://0.0.0.0/", "refused.address" },
	{ "http://10.1/", "refused.address" },
	{ "http://192.168.257/", "refused.address" },
	{ "http://169.254.169.254/latest/meta-data/", "refused.address" },
	{ "http://2852039166/", "refused.address" },
	{ "http://0xa9.0xfe.0xa9.0xfe/", "refused.address" },
	{ "http://100.100.100.200/", "refused.address" },
	{ "http://168.63.129.16/", "refused.address" },
	/* numbers that are no address: some resolvers make one of them */
	{ "http://256.1.1.1/", "refused.address" },
	{ "http://1.2.3.4.5/", "refused.address" },
	{ "http://1..2/", "refused.address" },
	{ "http://4294967296/", "refused.address" },
	{ "http://4294967297/", "refused.address" },
	{ "http://08.8.8.8/", "refused.address" },
	{ "http://a.0x7f/", "refused.address" },
	{ "http://127.0.0.1.5555555555555/", "refused.address" },
	/* IPv6 */
	{ "http://[::1]/", "refused.address" },
	{ "http://[::]/", "refused.address" },
	{ "http://[0:0:0:0:0:0:0:1]/", "refused.address" },
	{ "http://[::ffff:127.0.0.1]/", "refused.address" },
	{ "http://[::ffff:7f00:1]/", "refused.address" },
	{ "http://[::127.0.0.1]/", "refused.address" },
	{ "http://[64:ff9b::127.0.0.1]/", "refused.address" },
	{ "http://[64:ff9b::a00:1]/", "refused.address" },
	{ "http://[64:ff9b:1::808:808]/", "refused.address" },
	{ "http://[64:ff9b::1.1.1.1]/", NULL },
	{ "http://[::ffff:1.1.1.1]/", NULL },
	{ "http://[2002:7f00:1::]/", "refused.address" },
	{ "http://[2001:0:4136:e378:8000:63bf:80ff:fffe]/", "refused.address" },
	{ "http://[fe80::1]/", "refused.address" },
	{ "http://[fe80::1%25eth0]/", "refused.address" },
	{ "http://[fe80::1%eth0]/", "refused.address" },
	{ "http://[::1%25lo]/", "refused.address" },
	{ "http://[fd00:ec2::254]/", "refused.address" },
	{ "http://[127.0.0.1]/", "refused.url" },
	{ "http://[::1/", "refused.url" },
	{ "http://[::1]x/", "refused.url" },
	{ "http://::1/", "refused.url" },
	{ "http://[v1.a]/", "refused.url" },
};

/* clang-format on */
START_TEST(a_url_passes_or_is_refused)
{
	struct rh_out_conf conf = { .most = 1 };
	const char *error = rh_out_refuses_under(&conf,
	    rh_slice_of(urls[_i].url));

	ck_assert_msg((!error && !urls[_i].error) ||
		(error && urls[_i].error && strcmp(error, urls[_i].error) == 0),
	    "%s: %s, not %s", urls[_i].url, error ? error : "(fine)",
	    urls[_i].error ? urls[_i].error : "(fine)");
}
END_TEST

START_TEST(a_url_that_is_too_long_is_refused)
{
	char url[2050] = "http://example.com/";

	memset(url + strlen(url), 'a', sizeof(url) - strlen(url));
	ck_assert_ptr_null(rh_out_refuses((struct rh_slice){ url, 2048 }));
	ck_assert_str_eq(rh_out_refuses((struct rh_slice){ url, 2049 }),
	    "refused.url");
}
END_TEST

/* ---- addresses, as the resolver gives them ---- */

static const struct {
	const char *address;
	bool passes;
} addresses[] = {
	{ "1.1.1.1", true },
	{ "93.184.216.34", true },
	{ "0.0.0.0", false },
	{ "0.255.255.255", false },
	{ "1.0.0.0", true },
	{ "9.255.255.255", true },
	{ "10.0.0.0", false },
	{ "10.255.255.255", false },
	{ "11.0.0.0", true },
	{ "100.63.255.255", true },
	{ "100.64.0.0", false },
	{ "100.127.255.255", false },
	{ "100.128.0.0", true },
	{ "127.0.0.1", false },
	{ "127.255.255.254", false },
	{ "169.253.255.255", true },
	{ "169.254.169.254", false },
	{ "172.15.255.255", true },
	{ "172.16.0.0", false },
	{ "172.31.255.255", false },
	{ "172.32.0.0", true },
	{ "192.0.0.192", false },
	{ "192.0.2.1", false },
	{ "192.88.99.1", false },
	{ "192.168.0.1", false },
	{ "198.17.255.255", true },
	{ "198.18.0.1", false },
	{ "198.19.255.255", false },
	{ "198.51.100.7", false },
	{ "203.0.113.7", false },
	{ "223.255.255.255", true },
	{ "224.0.0.1", false },
	{ "239.255.255.255", false },
	{ "240.0.0.1", false },
	{ "255.255.255.255", false },
	{ "2606:4700:4700::1111", true },
	{ "2a00:1450:4001:830::200e", true },
	{ "::", false },
	{ "::1", false },
	{ "::2", false },
	{ "::8.8.8.8", false },
	{ "::ffff:8.8.8.8", true },
	{ "::ffff:10.0.0.1", false },
	{ "64:ff9b::8.8.8.8", true },
	{ "64:ff9b::192.168.1.1", false },
	{ "64:ff9b::169.254.169.254", false },
	{ "64:ff9b:1::1", false },
	{ "100::1", false },
	{ "2001::1", false },
	{ "2001:2::1", false },
	{ "2001:10::1", false },
	{ "2001:20::1", false },
	{ "2001:200::1", true },
	{ "2001:db8::1", false },
	{ "2002:808:808::1", false },
	{ "2002:a00:1::1", false },
	{ "3fff::1", false },
	{ "3fff:fff:ffff::", false },
	{ "3fff:1000::", true },
	{ "4000::1", false },
	{ "5f00::1", false },
	{ "fc00::1", false },
	{ "fd00:ec2::254", false },
	{ "fe80::1", false },
	{ "fec0::1", false },
	{ "ff02::1", false },
};

START_TEST(an_address_passes_or_is_refused)
{
	unsigned char bytes[16];

	ck_assert(rh_address_get(bytes, rh_slice_of(addresses[_i].address)));
	ck_assert_msg(rh_out_address_passes(bytes, NULL) ==
		addresses[_i].passes,
	    "%s", addresses[_i].address);
}
END_TEST

static struct rh_cidrs
cidrs(const char *text)
{
	struct rh_slice fault;
	struct rh_cidrs list;

	ck_assert(
	    rh_cidrs_get(&list, rh_slice_of(text), rh_check_arena(), &fault));
	return list;
}

START_TEST(what_the_operator_allows_passes_and_its_neighbour_does_not)
{
	struct rh_cidrs allow = cidrs("10.1.0.0/16, fd00::/8");
	struct rh_out_conf conf = { .allow = &allow, .most = 1 };

#define REFUSES(url) rh_out_refuses_under(&conf, RH_SLICE(url))
	ck_assert_ptr_null(REFUSES("http://10.1.2.3/"));
	ck_assert_ptr_null(REFUSES("http://[::ffff:10.1.2.3]/"));
	ck_assert_ptr_null(REFUSES("http://[64:ff9b::10.1.2.3]/"));
	ck_assert_ptr_null(REFUSES("http://[fd12::1]/"));
	ck_assert_ptr_nonnull(REFUSES("http://10.2.0.0/"));
	ck_assert_ptr_nonnull(REFUSES("http://[fc00::1]/"));
	ck_assert_ptr_nonnull(REFUSES("http://127.0.0.1/"));
#undef REFUSES
}
END_TEST

/* ---- a receiver: one connection after the other, one request each ---- */

struct receiver {
	pthread_t thread;
	int fd;
	unsigned port;
	char heard[8192]; /* what came last; to be read once it is ended */
	unsigned connections;
	const char *answer; /* NULL: it closes without a word */
	size_t more;	    /* bytes of body behind it */
	bool stalls;
	_Atomic bool over;
};

static bool
readable(int fd, const struct receiver *r)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	while (!r->over)
		if (poll(&p, 1, 20) > 0)
			return true;
	return false;
}

/* Head and body, by its Content-Length. */
static void
hear(struct receiver *r, int fd)
{
	size_t n = 0, body = 0;
	const char *end = NULL, *length;
	ssize_t got;

	while (n < sizeof(r->heard) - 1 && readable(fd, r)) {
		got = read(fd, r->heard + n, sizeof(r->heard) - 1 - n);
		if (got <= 0)
			break;
		n += (size_t)got;
		r->heard[n] = '\0';
		if (!(end = strstr(r->heard, "\r\n\r\n")))
			continue;
		length = strcasestr(r->heard, "\r\ncontent-length:");
		body = length ? strtoul(length + 17, NULL, 10) : 0;
		if (n >= (size_t)(end + 4 - r->heard) + body)
			break;
	}
}

static void
answer(const struct receiver *r, int fd)
{
	static const char filler[4096];
	size_t left = r->more;
	ssize_t n;

	while (r->stalls && !r->over)
		usleep(10000);
	n = r->answer && !r->stalls ?
	    send(fd, r->answer, strlen(r->answer), MSG_NOSIGNAL) :
	    -1;
	for (; n > 0 && left; left -= (size_t)n)
		n = send(fd, filler, RH_MIN(left, sizeof(filler)),
		    MSG_NOSIGNAL);
}

static void *
receive(void *arg)
{
	struct receiver *r = arg;
	int fd;

	while (readable(r->fd, r)) {
		if ((fd = accept(r->fd, NULL, NULL)) < 0)
			continue;
		r->connections++;
		hear(r, fd);
		answer(r, fd);
		close(fd);
	}
	return NULL;
}

static void
receiver_start(struct receiver *r)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(at);

	r->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(r->fd, (void *)&at, sizeof(at)), 0);
	ck_assert_int_eq(listen(r->fd, 16), 0);
	ck_assert_int_eq(getsockname(r->fd, (void *)&at, &n), 0);
	r->port = ntohs(at.sin_port);
	ck_assert_int_eq(pthread_create(&r->thread, NULL, receive, r), 0);
}

static void
receiver_end(struct receiver *r)
{
	r->over = true;
	pthread_join(r->thread, NULL);
	close(r->fd);
}

/* ---- requests ---- */

#define GENEROUS_MS 60000

static struct rh_slice
url_of(const struct receiver *r, const char *host)
{
	return rh_slice_of(rh_arena_printf(rh_check_arena(),
	    "http://%s:%u/in?a=b", host, r->port));
}

static struct rh_out_reply
ask(struct rh_slice url, const char *allow, int64_t timeout_ms)
{
	static const struct rh_slice headers[] = {
		RH_SLICE_INIT("Content-Type: application/json"),
		RH_SLICE_INIT("X-Empty:"),
		RH_SLICE_INIT("X-Smuggled: a\r\nX-Second: b"),
		RH_SLICE_INIT("Transfer-Encoding: chunked"),
		RH_SLICE_INIT("Host: elsewhere")
	};
	struct rh_cidrs list = cidrs(allow);
	struct rh_out_reply reply;

	rh_out_ask(&(struct rh_out_conf){ .allow = &list }, rh_check_arena(),
	    &(struct rh_out_request){ .method = RH_SLICE("POST"),
		.url = url,
		.headers = headers,
		.nheaders = RH_COUNT(headers),
		.body = RH_SLICE("{\"a\":1}"),
		.timeout_ms = timeout_ms,
		.reply_max = 16 },
	    &reply);
	return reply;
}

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
#define ENDLESS "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n"

static const struct {
	const char *answer;
	size_t more;
	int status;
	const char *error, *body, *retry_after;
} answers[] = {
	{ OK, 0, 200, NULL, "hi", NULL },
	{ "HTTP/1.1 204 No Content\r\n\r\n", 0, 204, NULL, "", NULL },
	{ "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n", 0, 410, NULL, "",
	    NULL },
	{ "HTTP/1.1 503 No\r\nRetry-After: 7 \r\nContent-Length: 0\r\n\r\n", 0,
	    503, NULL, "", "7" },
	/* of two messages the last one counts */
	{ "HTTP/1.1 103 Hints\r\nRetry-After: 1\r\n\r\n" OK, 0, 200, NULL, "hi",
	    NULL },
	/* a redirect is an answer, and not followed */
	{ "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/b\r\n"
	  "Content-Length: 0\r\n\r\n",
	    0, 302, NULL, "", NULL },
	/* the first bytes are kept, the rest is not waited for */
	{ "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n01234567890123456789",
	    0, 200, NULL, "0123456789012345", NULL },
	{ ENDLESS "0123456789012345", 4 << 20, 200, NULL, "0123456789012345",
	    NULL },
	/* what is no HTTP/1 */
	{ "hello\r\n", 0, 0, "broken", "", NULL },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nshort", 0, 200,
	    "broken", "short", NULL },
	{ "HTTP/1.1 200 OK\r\nX: ", 1 << 20, 200, "broken", "", NULL },
	{ NULL, 0, 0, "broken", "", NULL },
};

START_TEST(an_answer_is_told_as_it_is)
{
	struct receiver r = { .answer = answers[_i].answer,
		.more = answers[_i].more };
	struct rh_out_reply reply;

	receiver_start(&r);
	reply = ask(url_of(&r, "127.0.0.1"), "127.0.0.1", GENEROUS_MS);
	receiver_end(&r);
	ck_assert_pstr_eq(reply.error, answers[_i].error);
	ck_assert_int_eq(reply.status, answers[_i].status);
	ck_assert(rh_slice_is(reply.body, rh_slice_of(answers[_i].body)));
	ck_assert_int_eq(reply.retry_after.p != NULL,
	    answers[_i].retry_after != NULL);
	if (reply.retry_after.p)
		ck_assert(rh_slice_is(reply.retry_after,
		    rh_slice_of(answers[_i].retry_after)));
	ck_assert_str_eq(reply.address, "127.0.0.1");
}
END_TEST

START_TEST(what_is_sent_is_what_was_asked_and_no_more)
{
	struct receiver r = { .answer = OK };
	struct rh_out_reply reply;

	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("all_proxy", "socks5://127.0.0.1:1", 1);
	receiver_start(&r);
	reply = ask(url_of(&r, "127.0.0.1"), "127.0.0.0/8", GENEROUS_MS);
	receiver_end(&r);
	ck_assert_int_eq(reply.status, 200);
	ck_assert_int_eq(strncmp(r.heard, "POST /in?a=b HTTP/1.1\r\n", 23), 0);
	ck_assert_ptr_nonnull(strstr(r.heard, "\r\nHost: 127.0.0.1:"));
	ck_assert_ptr_nonnull(strstr(r.heard,
	    "\r\nUser-Agent: Rowhouse/" PACKAGE_VERSION "\r\n"));
	ck_assert_ptr_nonnull(
	    strstr(r.heard, "\r\nContent-Type: application/json\r\n"));
	ck_assert_ptr_nonnull(strstr(r.heard, "\r\nContent-Length: 7\r\n"));
	ck_assert_ptr_nonnull(strstr(r.heard, "\r\nX-Empty:\r\n"));
	ck_assert_ptr_nonnull(strstr(r.heard, "\r\n\r\n{\"a\":1}"));
	ck_assert_ptr_null(strcasestr(r.heard, "smuggled"));
	ck_assert_ptr_null(strcasestr(r.heard, "x-second"));
	ck_assert_ptr_null(strcasestr(r.heard, "transfer-encoding"));
	ck_assert_ptr_null(strcasestr(r.heard, "elsewhere"));
	ck_assert_ptr_null(strcasestr(r.heard, "expect"));
	ck_assert_ptr_null(strcasestr(r.heard, "cookie"));
}
END_TEST

static const char *const hosts[] = { "127.0.0.1", "localhost", "127.1",
	"[::ffff:127.0.0.1]", "localhost.", "ip6-localhost" };

START_TEST(nobody_connects_to_what_is_refused)
{
	struct receiver r = { .answer = OK };
	struct rh_out_reply reply;

	receiver_start(&r);
	reply = ask(url_of(&r, hosts[_i]), "", GENEROUS_MS);
	receiver_end(&r);
	ck_assert_uint_eq(r.connections, 0);
	ck_assert_int_eq(reply.status, 0);
	/* a name that this host does not know */
	if (_i < 4 || strcmp(reply.error, "resolve") != 0)
		ck_assert_str_eq(reply.error, "refused.address");
}
END_TEST

START_TEST(a_name_that_means_an_allowed_address_is_asked)
{
	struct receiver r = { .answer = OK };
	struct rh_out_reply reply;

	receiver_start(&r);
	reply = ask(url_of(&r, "localhost"), "127.0.0.1 ::1", GENEROUS_MS);
	receiver_end(&r);
	ck_assert_int_eq(reply.status, 200);
	ck_assert_uint_eq(r.connections, 1);
}
END_TEST

START_TEST(where_nobody_listens_it_says_connect)
{
	struct receiver r = { .answer = OK };
	struct rh_out_reply reply;

	receiver_start(&r);
	receiver_end(&r);
	reply = ask(url_of(&r, "127.0.0.1"), "127.0.0.1", GENEROUS_MS);
	ck_assert_str_eq(reply.error, "connect");
	ck_assert_int_eq(reply.status, 0);
}
END_TEST

START_TEST(who_does_not_speak_tls_is_not_spoken_to)
{
	struct receiver r = { .answer = OK };
	struct rh_out_reply reply;

	receiver_start(&r);
	reply = ask(rh_slice_of(rh_arena_printf(rh_check_arena(),
			"https://127.0.0.1:%u/", r.port)),
	    "127.0.0.1", 2000);
	receiver_end(&r);
	ck_assert_int_eq(reply.status, 0);
	/* the receiver waits for the end of a head that is none */
	ck_assert(strcmp(reply.error, "tls") == 0 ||
	    strcmp(reply.error, "timeout") == 0);
}
END_TEST

START_TEST(who_stalls_is_given_up)
{
	struct receiver r = { .answer = OK, .stalls = true };
	struct rh_out_reply reply;

	receiver_start(&r);
	reply = ask(url_of(&r, "127.0.0.1"), "127.0.0.1", 200);
	receiver_end(&r);
	ck_assert_str_eq(reply.error, "timeout");
	/* libcurl's timers are of whole milliseconds, and begin a moment before ours */
	ck_assert_int_ge(reply.ms, 150);
}
END_TEST

/* ---- many ---- */

struct tally {
	unsigned answered, timed_out;
};

static void
count(void *arg, const struct rh_out_reply *reply)
{
	struct tally *t = arg;

	t->answered += reply->status == 200;
	t->timed_out += reply->error && strcmp(reply->error, "timeout") == 0;
}

static struct rh_out_request
get(struct rh_slice url, int64_t timeout_ms)
{
	return (struct rh_out_request){ .method = RH_SLICE("GET"),
		.url = url,
		.timeout_ms = timeout_ms,
		.reply_max = 16 };
}

START_TEST(who_stalls_holds_nobody)
{
	struct receiver slow = { .stalls = true }, quick = { .answer = OK };
	struct rh_cidrs allow = cidrs("127.0.0.1");
	struct rh_out *out = rh_out_new(
	    &(struct rh_out_conf){ &allow, .most = 9 });
	struct rh_out_request stalled, rq;
	struct tally t = { 0 };

	receiver_start(&slow);
	receiver_start(&quick);
	stalled = get(url_of(&slow, "127.0.0.1"), GENEROUS_MS);
	rq = get(url_of(&quick, "127.0.0.1"), GENEROUS_MS);
	for (unsigned i = 0; i < 4; i++)
		ck_assert(rh_out_start(out, &stalled, count, &t));
	for (unsigned i = 0; i < 5; i++)
		ck_assert(rh_out_start(out, &rq, count, &t));
	ck_assert(!rh_out_start(out, &rq, count, &t));
	while (rh_out_step(out, 1000) > 4)
		;
	ck_assert_uint_eq(t.answered, 5);
	ck_assert_uint_eq(t.timed_out, 0);
	/* what is refused takes no place */
	rq = get(RH_SLICE("http://10.0.0.1/"), GENEROUS_MS);
	ck_assert(rh_out_start(out, &rq, count, &t));
	ck_assert_uint_eq(rh_out_step(out, 0), 4);
	rh_out_destroy(&out);
	ck_assert_uint_eq(t.answered + t.timed_out, 5);
	receiver_end(&slow);
	receiver_end(&quick);
}
END_TEST

RH_CHECK_MAIN("jobs/out", RH_LOOP(a_url_passes_or_is_refused, urls),
    RH_CASE(a_url_that_is_too_long_is_refused),
    RH_LOOP(an_address_passes_or_is_refused, addresses),
    RH_CASE(what_the_operator_allows_passes_and_its_neighbour_does_not),
    RH_LOOP(an_answer_is_told_as_it_is, answers),
    RH_CASE(what_is_sent_is_what_was_asked_and_no_more),
    RH_LOOP(nobody_connects_to_what_is_refused, hosts),
    RH_CASE(a_name_that_means_an_allowed_address_is_asked),
    RH_CASE(where_nobody_listens_it_says_connect),
    RH_CASE(who_does_not_speak_tls_is_not_spoken_to),
    RH_CASE(who_stalls_is_given_up), RH_CASE(who_stalls_holds_nobody))
