/* tests/lib/obs/check_otlp_encode.c - the bytes of OTLP, as protoc and a reader of JSON see them. */
#include "config.h"

#include "obs/otlp.h"

#include <stdio.h>
#include <unistd.h>

#include "obs/span_record.h"

#include "rh_check.h"

static struct rh_trace trace;

static struct rh_otlp_conf
conf_of(void)
{
	return (struct rh_otlp_conf){ .service_name = RH_SLICE("svc"),
	    .attrs_max = 128, .attr_text_max = INT32_MAX,
	    .events_max = 128, .event_attrs_max = 128, .links_max = 128,
	    .resource = RH_SLICE("host.name=h\nprocess.pid=7\n"
	    "service.instance.id=i\n") };
}

/* A trace of which every byte is known. */
static struct rh_trace *
known(enum rh_sampled_by by)
{
	struct rh_span *server = rh_trace_server(&trace), *db;

	trace = (struct rh_trace){ .on = true, .by = by, .flags = 3,
	    .remote_parent = true, .nspans = 1,
	    .threshold = 0x80000000000000, .tracestate = RH_SLICE("a=1") };
	memset(trace.trace_id, 0xab, sizeof(trace.trace_id));
	memset(trace.parent_id, 0xcd, sizeof(trace.parent_id));
	*server = (struct rh_span){ .kind = RH_SPAN_SERVER,
	    .name = RH_SLICE("GET /v1/me"), .start_ns = 1700000000000000001 };
	memset(server->id, 0x11, sizeof(server->id));
	memcpy(server->parent_id, trace.parent_id, 8);
	rh_span_int(server, "http.response.status_code", 200);
	db = &trace.spans[trace.nspans++];
	*db = (struct rh_span){ .kind = RH_SPAN_CLIENT,
	    .name = RH_SLICE("me.show"), .start_ns = 1700000000000000002,
	    .end_ns = 1700000000000000003 };
	memset(db->id, 0x22, sizeof(db->id));
	memcpy(db->parent_id, server->id, 8);
	rh_span_fail(db, RH_SLICE("57P01"), RH_SLICE("gone \"away\""));
	return &trace;
}

static struct rh_slice
record(struct rh_trace *t)
{
	struct rh_ring *ring = rh_arena_alloc(rh_check_arena(),
	    rh_ring_footprint(65536) + 64);
	char *bytes = rh_arena_alloc(rh_check_arena(), 20000);
	uint32_t length;
	uint64_t missed;
	unsigned items;

	ring = (struct rh_ring *)(((uintptr_t)ring + 63) & ~(uintptr_t)63);
	rh_ring_init(ring, 65536, RH_RING_OVERWRITE);
	rh_trace_end(t, ring, true, 1700000000000000009, RH_SLICE("req-1"),
	    RH_SLICE("ten-1"));
	length = (uint32_t)rh_ring_take(ring, bytes + 4, 19996, &items,
	    &missed);
	memcpy(bytes, &length, sizeof(length));
	return (struct rh_slice){ bytes, length + 4u };
}

static struct rh_slice
encoded(const struct rh_otlp_conf *conf, struct rh_slice records,
    unsigned want)
{
	struct rh_shipper_spec spec = { .conf = conf, .version = "1.2" };
	struct rh_buf to;

	rh_buf_init(&to, rh_check_arena(), 1024, 1 << 20);
	ck_assert_uint_eq(rh_otlp_encode(&to, conf->protocol, &spec,
	    records.p, records.n), want);
	return rh_buf_get(&to);
}

/* Through a reader that shares nothing with the encoder. */
static const char *
decoded(struct rh_slice bytes)
{
	char path[] = "/tmp/rh-check-otlp-XXXXXX", command[1024];
	struct rh_buf text;
	int fd = mkstemp(path);
	FILE *protoc;
	size_t n;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, bytes.p, bytes.n), (ssize_t)bytes.n);
	close(fd);
	snprintf(command, sizeof(command),
	    "protoc -I '%s/tests/proto' --decode=rowhouse.tests.otlp.Request"
	    " otlp_trace.proto < %s", getenv("top_srcdir") ?
	    getenv("top_srcdir") : ".", path);
	protoc = popen(command, "r");
	ck_assert_ptr_nonnull(protoc);
	rh_buf_init(&text, rh_check_arena(), 65536, 65536);
	while ((n = fread(text.p + text.n, 1, text.cap - text.n - 1, protoc)))
		text.n += n;
	unlink(path);
	ck_assert_int_eq(pclose(protoc), 0);
	text.p[text.n] = '\0';
	return text.p;
}

/* clang-format off */
static const char *const protobuf_has[] = {
	"    attributes {\n      key: \"service.name\"\n      value {\n        string_value: \"svc\"\n      }\n    }\n",
	"      key: \"service.version\"\n      value {\n        string_value: \"1.2\"\n",
	"      key: \"service.instance.id\"\n      value {\n        string_value: \"i\"\n",
	"      key: \"telemetry.sdk.name\"\n      value {\n        string_value: \"rowhouse\"\n",
	"    scope {\n      name: \"rowhouse\"\n      version: \"1.2\"\n    }\n",
	"      trace_id: \"\\253\\253\\253\\253\\253\\253\\253\\253\\253\\253\\253\\253\\253\\253\\253\\253\"\n"
	"      span_id: \"\\021\\021\\021\\021\\021\\021\\021\\021\"\n"
	"      trace_state: \"a=1\"\n"
	"      parent_span_id: \"\\315\\315\\315\\315\\315\\315\\315\\315\"\n"
	"      name: \"GET /v1/me\"\n"
	"      kind: 2\n"
	"      start_time_unix_nano: 1700000000000000001\n"
	"      end_time_unix_nano: 1700000000000000009\n",
	"        key: \"http.response.status_code\"\n        value {\n          int_value: 200\n",
	"        key: \"rowhouse.request_id\"\n        value {\n          string_value: \"req-1\"\n",
	"        key: \"rowhouse.tenant.id\"\n        value {\n          string_value: \"ten-1\"\n",
	"      flags: 771\n",		/* 0x303: remote, known, random, sampled */
	"      parent_span_id: \"\\021\\021\\021\\021\\021\\021\\021\\021\"\n      name: \"me.show\"\n      kind: 3\n",
	"      status {\n        message: \"gone \\\"away\\\"\"\n        code: 2\n      }\n      flags: 259\n",
};
/* clang-format on */

START_TEST(protobuf_is_what_protoc_reads)
{
	struct rh_otlp_conf conf = conf_of();
	const char *text = decoded(encoded(&conf, record(known(RH_BY_PARENT)),
	    2));

	ck_assert_msg(strstr(text, protobuf_has[_i]) != NULL,
	    "no\n%s\nin\n%s", protobuf_has[_i], text);
}
END_TEST

/* Hex ids, lowerCamelCase, integer enums, 64 bits as strings (OTLP, JSON). */
START_TEST(json_follows_the_mapping)
{
	struct rh_otlp_conf conf = conf_of();

	conf.protocol = RH_OTLP_JSON;
	rh_assert_slice_eq(encoded(&conf, record(known(RH_BY_PARENT)), 2),
	    RH_SLICE("{\"resourceSpans\":[{\"resource\":{\"attributes\":["
	    "{\"key\":\"service.name\",\"value\":{\"stringValue\":\"svc\"}},"
	    "{\"key\":\"service.version\",\"value\":{\"stringValue\":\"1.2\"}},"
	    "{\"key\":\"host.name\",\"value\":{\"stringValue\":\"h\"}},"
	    "{\"key\":\"process.pid\",\"value\":{\"stringValue\":\"7\"}},"
	    "{\"key\":\"service.instance.id\",\"value\":{\"stringValue\":\"i\"}},"
	    "{\"key\":\"telemetry.sdk.name\",\"value\":{\"stringValue\":\"rowhouse\"}},"
	    "{\"key\":\"telemetry.sdk.language\",\"value\":{\"stringValue\":\"c\"}},"
	    "{\"key\":\"telemetry.sdk.version\",\"value\":{\"stringValue\":\""
	    PACKAGE_VERSION "\"}}]},"
	    "\"scopeSpans\":[{\"scope\":{\"name\":\"rowhouse\",\"version\":\"1.2\"},"
	    "\"spans\":[{\"traceId\":\"abababababababababababababababab\","
	    "\"spanId\":\"1111111111111111\",\"traceState\":\"a=1\","
	    "\"parentSpanId\":\"cdcdcdcdcdcdcdcd\",\"name\":\"GET /v1/me\","
	    "\"kind\":2,\"startTimeUnixNano\":\"1700000000000000001\","
	    "\"endTimeUnixNano\":\"1700000000000000009\",\"attributes\":["
	    "{\"key\":\"rowhouse.request_id\",\"value\":{\"stringValue\":\"req-1\"}},"
	    "{\"key\":\"rowhouse.tenant.id\",\"value\":{\"stringValue\":\"ten-1\"}},"
	    "{\"key\":\"http.response.status_code\",\"value\":{\"intValue\":\"200\"}}],"
	    "\"flags\":771},"
	    "{\"traceId\":\"abababababababababababababababab\","
	    "\"spanId\":\"2222222222222222\",\"traceState\":\"a=1\","
	    "\"parentSpanId\":\"1111111111111111\",\"name\":\"me.show\","
	    "\"kind\":3,\"startTimeUnixNano\":\"1700000000000000002\","
	    "\"endTimeUnixNano\":\"1700000000000000003\",\"attributes\":["
	    "{\"key\":\"rowhouse.request_id\",\"value\":{\"stringValue\":\"req-1\"}},"
	    "{\"key\":\"rowhouse.tenant.id\",\"value\":{\"stringValue\":\"ten-1\"}},"
	    "{\"key\":\"error.type\",\"value\":{\"stringValue\":\"57P01\"}}],"
	    "\"status\":{\"message\":\"gone \\\"away\\\"\",\"code\":2},"
	    "\"flags\":259}]}]}]}"));
}
END_TEST

/* clang-format off */
static const struct { enum rh_sampled_by by; const char *want; } weights[] = {
	{ RH_BY_PARENT, "trace_state: \"a=1\"" },
	{ RH_BY_RATIO, "trace_state: \"ot=th:8,a=1\"" },
	{ RH_BY_ERROR, "trace_state: \"ot=th:0,a=1\"" },
	{ RH_BY_SLOW, "trace_state: \"ot=th:0,a=1\"" },
	{ RH_BY_SECURITY, "trace_state: \"ot=th:0,a=1\"" },
};
/* clang-format on */

START_TEST(always_kept_weighs_one)
{
	struct rh_otlp_conf conf = conf_of();
	const char *text = decoded(encoded(&conf,
	    record(known(weights[_i].by)), 2));

	ck_assert_ptr_nonnull(strstr(text, weights[_i].want));
}
END_TEST

START_TEST(no_spans_are_no_request)
{
	struct rh_otlp_conf conf = conf_of();
	struct rh_slice other = record(known(RH_BY_PARENT));

	ck_assert_uint_eq(encoded(&conf, RH_SLICE(""), 0).n, 0);
	((char *)(uintptr_t)other.p)[4] = RH_RECORD_VERSION + 1;
	ck_assert_uint_eq(encoded(&conf, other, 0).n, 0);
	conf.protocol = RH_OTLP_JSON;
	ck_assert_uint_eq(encoded(&conf, RH_SLICE(""), 0).n, 0);
}
END_TEST

START_TEST(limits_cut_and_count)
{
	struct rh_otlp_conf conf = conf_of();
	struct rh_trace *t = known(RH_BY_ERROR);
	const char *text;

	conf.attrs_max = 4;
	conf.attr_text_max = 3;
	rh_span_text(rh_trace_server(t), "x", RH_SLICE("\303\251\303\250zz"));
	rh_span_text(rh_trace_server(t), "y", RH_SLICE("one too many"));
	text = decoded(encoded(&conf, record(t), 2));
	ck_assert_ptr_nonnull(strstr(text,
	    "string_value: \"\\303\\251\\303\\250z\"\n"));
	ck_assert_ptr_nonnull(strstr(text, "string_value: \"req\"\n"));
	ck_assert_ptr_null(strstr(text, "key: \"y\""));
	ck_assert_ptr_nonnull(strstr(text, "dropped_attributes_count: 1\n"));
}
END_TEST

/* A worker's death, and a caller who is not trusted. */
static struct rh_slice
eventful(void)
{
	struct rh_trace *t = known(RH_BY_ERROR);

	t->remote_parent = false;
	memset(t->link_trace_id, 0xef, sizeof(t->link_trace_id));
	memset(t->link_trace_id, 0, 8);	/* as those have it who count in 64 bits */
	memset(t->link_span_id, 0x33, sizeof(t->link_span_id));
	t->link_flags = 1;
	rh_span_text(rh_trace_server(t), "exception.type", RH_SLICE("SIGSEGV"));
	rh_span_text(rh_trace_server(t), "exception.message", RH_SLICE("died"));
	return record(t);
}

/* clang-format off */
static const struct { int64_t events, attrs, links; const char *has, *lacks; } events[] = {
	{ 128, 128, 128,
	  "      events {\n        time_unix_nano: 1700000000000000009\n        name: \"exception\"\n"
	  "        attributes {\n          key: \"exception.type\"\n          value {\n            string_value: \"SIGSEGV\"\n          }\n        }\n"
	  "        attributes {\n          key: \"exception.message\"\n          value {\n            string_value: \"died\"\n          }\n        }\n      }\n"
	  "      links {\n        trace_id: \"\\000\\000\\000\\000\\000\\000\\000\\000\\357\\357\\357\\357\\357\\357\\357\\357\"\n"
	  "        span_id: \"33333333\"\n        flags: 769\n      }\n",	/* 0x301: remote, known, sampled */
	  "dropped" },
	{ 128, 1, 128, "        dropped_attributes_count: 1\n", "exception.message" },
	{ 0, 128, 128, "      dropped_events_count: 1\n", "exception" },
	{ 128, 128, 0, "      dropped_links_count: 1\n", "links {" },
};
/* clang-format on */

START_TEST(what_ended_it_is_an_event_and_a_stranger_a_link)
{
	struct rh_otlp_conf conf = conf_of();
	const char *text;

	conf.events_max = events[_i].events;
	conf.event_attrs_max = events[_i].attrs;
	conf.links_max = events[_i].links;
	text = decoded(encoded(&conf, eventful(), 2));
	ck_assert_msg(strstr(text, events[_i].has) != NULL, "%s", text);
	ck_assert_ptr_null(strstr(text, events[_i].lacks));
	conf.protocol = RH_OTLP_JSON;
	encoded(&conf, eventful(), 2);
}
END_TEST

START_TEST(event_and_link_follow_the_mapping)
{
	struct rh_otlp_conf conf = conf_of();
	struct rh_slice json;

	conf.protocol = RH_OTLP_JSON;
	json = encoded(&conf, eventful(), 2);
	ck_assert_ptr_nonnull(strstr(rh_arena_strdup(rh_check_arena(), json),
	    "\"events\":[{\"timeUnixNano\":\"1700000000000000009\","
	    "\"name\":\"exception\",\"attributes\":["
	    "{\"key\":\"exception.type\",\"value\":{\"stringValue\":\"SIGSEGV\"}},"
	    "{\"key\":\"exception.message\",\"value\":{\"stringValue\":\"died\"}}]}],"
	    "\"links\":[{\"traceId\":\"0000000000000000efefefefefefefef\","
	    "\"spanId\":\"3333333333333333\",\"flags\":769}],"));
}
END_TEST

/* One byte that is not UTF-8 would make a collector refuse them all. */
START_TEST(what_is_not_utf8_is_replaced)
{
	struct rh_otlp_conf conf = conf_of();
	struct rh_trace *t = known(RH_BY_PARENT);

	rh_span_text(rh_trace_server(t), "user_agent.original",
	    RH_SLICE("a\377\300\257b"));
	ck_assert_ptr_nonnull(strstr(decoded(encoded(&conf, record(t), 2)),
	    "string_value: \"a\\357\\277\\275\\357\\277\\275\\357\\277\\275b\""));
}
END_TEST

/* Lengths of one, two and three bytes, one inside the other. */
START_TEST(long_messages_nest)
{
	struct rh_otlp_conf conf = conf_of();
	struct rh_trace *t = known(RH_BY_PARENT);
	static char text[4000];
	const char *got;

	memset(text, 'x', sizeof(text));
	for (size_t n = 120; n < 132; n++)
		rh_span_text(rh_trace_server(t), "short",
		    (struct rh_slice){ text, n });
	rh_span_text(rh_trace_server(t), "long",
	    (struct rh_slice){ text, sizeof(text) });
	got = decoded(encoded(&conf, record(t), 2));
	ck_assert_ptr_nonnull(strstr(got, "key: \"long\""));
	ck_assert_ptr_nonnull(strstr(got, "name: \"me.show\""));
}
END_TEST

RH_CHECK_MAIN("obs/otlp_encode",
    RH_LOOP(protobuf_is_what_protoc_reads, protobuf_has),
    RH_CASE(json_follows_the_mapping),
    RH_LOOP(always_kept_weighs_one, weights),
    RH_CASE(no_spans_are_no_request),
    RH_CASE(limits_cut_and_count),
    RH_LOOP(what_ended_it_is_an_event_and_a_stranger_a_link, events),
    RH_CASE(event_and_link_follow_the_mapping),
    RH_CASE(what_is_not_utf8_is_replaced),
    RH_CASE(long_messages_nest))
