/* tests/lib/obs/check_otlp_env.c - what each OTEL_* variable does. */
#include "config.h"

#include "obs/otlp.h"

#include "rh_check.h"

extern char **environ;

struct read {
	struct rh_otlp_conf conf;
	struct rh_buf warnings;
};

/* vars: "NAME=value" up to NULL; endpoint: of rowhouse.conf. */
static struct read *
read_env(const char *const *vars, const char *endpoint)
{
	struct read *r = rh_arena_zalloc(rh_check_arena(), 1, sizeof(*r));
	struct rh_otlp_defaults defaults = { .trace_ratio = 0.25,
	    .traces = true, .endpoint = rh_slice_of(endpoint),
	    .service_name = RH_SLICE("rowhouse") };

	clearenv();
	for (; vars && *vars; vars++)
		putenv((char *)(uintptr_t)*vars);
	rh_buf_init(&r->warnings, rh_check_arena(), 256, 65536);
	rh_otlp_conf_read(&r->conf, &defaults, rh_check_arena(), &r->warnings);
	return r;
}

#define READ(endpoint, ...) \
	read_env((const char *const[]){ __VA_ARGS__, NULL }, (endpoint))

#define E	"OTEL_EXPORTER_OTLP_"
#define T	"OTEL_EXPORTER_OTLP_TRACES_"

/* clang-format off */
static const struct { const char *vars[3], *conf, *url; bool warns; } endpoints[] = {	/* url NULL: disabled */
	{ { NULL }, NULL, NULL, false },
	{ { NULL }, "http://c:4318", "http://c:4318/v1/traces", false },
	{ { E "ENDPOINT=http://e:1" }, "http://c:2", "http://e:1/v1/traces", false },
	{ { E "ENDPOINT=http://e:1/" }, NULL, "http://e:1/v1/traces", false },
	{ { E "ENDPOINT=http://e:1/base//" }, NULL, "http://e:1/base/v1/traces", false },
	{ { E "ENDPOINT=https://e" }, NULL, "https://e/v1/traces", false },
	{ { E "ENDPOINT= http://e:1 " }, NULL, "http://e:1/v1/traces", false },
	{ { T "ENDPOINT=http://t:1" }, NULL, "http://t:1", false },
	{ { T "ENDPOINT=http://t:1/x", E "ENDPOINT=http://e:1" }, "http://c", "http://t:1/x", false },
	{ { T "ENDPOINT=", E "ENDPOINT=http://e:1" }, NULL, "http://e:1/v1/traces", false },
	{ { E "ENDPOINT=" }, "http://c", "http://c/v1/traces", false },
	{ { E "ENDPOINT=" }, NULL, NULL, false },
	{ { T "ENDPOINT=t:4318", E "ENDPOINT=http://e" }, NULL, "http://e/v1/traces", true },
	{ { E "ENDPOINT=ftp://e" }, NULL, NULL, true },
	{ { E "ENDPOINT=http://" }, NULL, NULL, true },
	{ { E "ENDPOINT=http://a b" }, NULL, NULL, true },
	{ { "OTEL_TRACES_EXPORTER=otlp" }, NULL, "http://localhost:4318/v1/traces", false },
	{ { "OTEL_TRACES_EXPORTER=OTLP" }, "http://c", "http://c/v1/traces", false },
	{ { "OTEL_TRACES_EXPORTER=none" }, "http://c", NULL, false },
	{ { "OTEL_TRACES_EXPORTER=" }, "http://c", "http://c/v1/traces", false },
	{ { "OTEL_TRACES_EXPORTER=console" }, NULL, NULL, true },
	{ { "OTEL_TRACES_EXPORTER=zipkin" }, "http://c", "http://c/v1/traces", true },
	{ { "OTEL_TRACES_EXPORTER=console,otlp" }, NULL, "http://localhost:4318/v1/traces", true },
	{ { "OTEL_SDK_DISABLED=true", E "ENDPOINT=http://e" }, NULL, NULL, false },
	{ { "OTEL_SDK_DISABLED=TRUE", E "ENDPOINT=http://e" }, NULL, NULL, false },
	{ { "OTEL_SDK_DISABLED=false", E "ENDPOINT=http://e" }, NULL, "http://e/v1/traces", false },
	{ { "OTEL_SDK_DISABLED=1", E "ENDPOINT=http://e" }, NULL, "http://e/v1/traces", true },
};

#define N(member)	offsetof(struct rh_otlp_conf, member)
static const struct { const char *vars[3]; size_t at; int64_t want; bool warns; } numbers[] = {
	{ { NULL }, N(timeout_ms), 10000, false },
	{ { E "TIMEOUT=250" }, N(timeout_ms), 250, false },
	{ { E "TIMEOUT=250", T "TIMEOUT=100" }, N(timeout_ms), 100, false },
	{ { E "TIMEOUT=250", T "TIMEOUT=1s" }, N(timeout_ms), 250, true },
	{ { E "TIMEOUT=250", T "TIMEOUT=" }, N(timeout_ms), 250, false },
	{ { E "TIMEOUT=-1" }, N(timeout_ms), 10000, true },
	{ { E "TIMEOUT=1.5" }, N(timeout_ms), 10000, true },
	{ { E "TIMEOUT=99999999999999999999" }, N(timeout_ms), 10000, true },
	{ { E "TIMEOUT=0" }, N(timeout_ms), 600000, false },	/* indefinite: our longest */
	{ { NULL }, N(schedule_delay_ms), 5000, false },
	{ { "OTEL_BSP_SCHEDULE_DELAY=10" }, N(schedule_delay_ms), 10, false },
	{ { "OTEL_BSP_SCHEDULE_DELAY=ten" }, N(schedule_delay_ms), 5000, true },
	{ { NULL }, N(max_batch), 512, false },
	{ { "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=7" }, N(max_batch), 7, false },
	{ { "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=0" }, N(max_batch), 512, true },
	{ { "OTEL_BSP_EXPORT_TIMEOUT=900" }, N(export_timeout_ms), 900, false },
	{ { "OTEL_BSP_EXPORT_TIMEOUT=x" }, N(export_timeout_ms), 300000, true },
	{ { NULL }, N(attrs_max), 128, false },
	{ { "OTEL_ATTRIBUTE_COUNT_LIMIT=9" }, N(attrs_max), 9, false },
	{ { "OTEL_ATTRIBUTE_COUNT_LIMIT=9", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT=0" }, N(attrs_max), 0, false },
	{ { "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT=9" }, N(attr_text_max), 9, false },
	{ { "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT=3" }, N(attr_text_max), 3, false },
	{ { NULL }, N(events_max), 128, false },
	{ { "OTEL_SPAN_EVENT_COUNT_LIMIT=0" }, N(events_max), 0, false },
	{ { "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT=1" }, N(event_attrs_max), 1, false },
	{ { "OTEL_SPAN_LINK_COUNT_LIMIT=0" }, N(links_max), 0, false },
	{ { "OTEL_SPAN_LINK_COUNT_LIMIT=none" }, N(links_max), 128, true },
};

static const struct {
	const char *vars[3]; enum rh_sampler_kind root; bool parent_based; double ratio; bool warns;
} samplers[] = {
	{ { NULL }, RH_SAMPLER_RATIO, true, 0.25, false },
	{ { "OTEL_TRACES_SAMPLER_ARG=0.5" }, RH_SAMPLER_RATIO, true, 0.25, false },	/* used with a sampler only */
	{ { "OTEL_TRACES_SAMPLER=always_on" }, RH_SAMPLER_ALWAYS_ON, false, 0.25, false },
	{ { "OTEL_TRACES_SAMPLER=always_off" }, RH_SAMPLER_ALWAYS_OFF, false, 0.25, false },
	{ { "OTEL_TRACES_SAMPLER=traceidratio" }, RH_SAMPLER_RATIO, false, 1, false },
	{ { "OTEL_TRACES_SAMPLER=traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.5" }, RH_SAMPLER_RATIO, false, 0.5, false },
	{ { "OTEL_TRACES_SAMPLER=parentbased_always_on" }, RH_SAMPLER_ALWAYS_ON, true, 0.25, false },
	{ { "OTEL_TRACES_SAMPLER=parentbased_always_off" }, RH_SAMPLER_ALWAYS_OFF, true, 0.25, false },
	{ { "OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=0" }, RH_SAMPLER_RATIO, true, 0, false },
	{ { "OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=1.5" }, RH_SAMPLER_RATIO, true, 1, true },
	{ { "OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=nan" }, RH_SAMPLER_RATIO, true, 1, true },
	{ { "OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.5x" }, RH_SAMPLER_RATIO, true, 1, true },
	{ { "OTEL_TRACES_SAMPLER=jaeger_remote" }, RH_SAMPLER_RATIO, true, 0.25, true },
};

static const struct { const char *vars[3], *want; bool warns; } header_lists[] = {
	{ { E "HEADERS=api-key=key,other=value" }, "api-key: key\nother: value\n", false },
	{ { E "HEADERS= a = b%20c , d=%C3%A9" }, "a: b c\nd: \303\251\n", false },
	{ { E "HEADERS=a=b=c==" }, "a: b=c==\n", false },
	{ { E "HEADERS=a=b", T "HEADERS=c=d" }, "c: d\n", false },
	{ { E "HEADERS=a=%0d%0aX: y,b=c" }, "b: c\n", true },
	{ { E "HEADERS=a=%zz,b=c" }, "b: c\n", true },
	{ { E "HEADERS=nothing,b=c" }, "b: c\n", true },
	{ { E "HEADERS=a b=c" }, "", true },
	{ { E "HEADERS=Content-Type=text/plain,b=c" }, "b: c\n", true },
};

static const struct { const char *vars[3], *resource, *service; bool warns; } resources[] = {
	{ { NULL }, "", "rowhouse", false },
	{ { "OTEL_SERVICE_NAME=s" }, "", "s", false },
	{ { "OTEL_SERVICE_NAME=" }, "", "rowhouse", false },
	{ { "OTEL_RESOURCE_ATTRIBUTES=a=b,c=d%2Ce" }, "a=b\nc=d,e\n", "rowhouse", false },
	{ { "OTEL_RESOURCE_ATTRIBUTES=service.name=r,a=b" }, "a=b\n", "r", false },
	{ { "OTEL_RESOURCE_ATTRIBUTES=service.name=r", "OTEL_SERVICE_NAME=s" }, "", "s", false },
	{ { "OTEL_RESOURCE_ATTRIBUTES=a=b,c" }, "", "rowhouse", true },
	{ { "OTEL_RESOURCE_ATTRIBUTES=service.name=r,c=%" }, "", "rowhouse", true },
	{ { "OTEL_RESOURCE_ATTRIBUTES=a=%0a" }, "", "rowhouse", true },
	{ { "OTEL_RESOURCE_ATTRIBUTES=a=%ff" }, "", "rowhouse", true },
	{ { "OTEL_RESOURCE_ATTRIBUTES==b" }, "", "rowhouse", true },
};

static const struct { const char *vars[3]; bool json, gzip, warns; } wires[] = {
	{ { NULL }, false, false, false },
	{ { E "PROTOCOL=http/json" }, true, false, false },
	{ { E "PROTOCOL=http/json", T "PROTOCOL=http/protobuf" }, false, false, false },
	{ { E "PROTOCOL=grpc" }, false, false, true },
	{ { E "PROTOCOL=http/xml" }, false, false, true },
	{ { E "COMPRESSION=gzip" }, false, true, false },
	{ { E "COMPRESSION=gzip", T "COMPRESSION=none" }, false, false, false },
	{ { E "COMPRESSION=zstd" }, false, false, true },
};

static const struct { const char *vars[3]; size_t at; const char *want; bool warns; } files[] = {
	{ { E "CERTIFICATE=/dev/null" }, N(certificate), "/dev/null", false },
	{ { E "CERTIFICATE=/dev/null", T "CERTIFICATE=/dev/zero" }, N(certificate), "/dev/zero", false },
	{ { E "CERTIFICATE=/nowhere/at/all" }, N(certificate), "/nowhere/at/all", true },
	{ { E "CLIENT_CERTIFICATE=/dev/null" }, N(client_certificate), "/dev/null", false },
	{ { E "CLIENT_CERTIFICATE=/dev/null", T "CLIENT_CERTIFICATE=/dev/zero" }, N(client_certificate), "/dev/zero", false },
	{ { E "CLIENT_KEY=/dev/null" }, N(client_key), "/dev/null", false },
	{ { E "CLIENT_KEY=/dev/null", T "CLIENT_KEY=/dev/zero" }, N(client_key), "/dev/zero", false },
	{ { T "CLIENT_KEY=" }, N(client_key), NULL, false },
};

/* Those of README.md's second table that nothing is said about. */
static const char *const ignored[] = {
	"OTEL_LOG_LEVEL=debug", "OTEL_BSP_MAX_QUEUE_SIZE=7", "OTEL_EXPORTER_OTLP_INSECURE=true",
	"OTEL_EXPORTER_OTLP_TRACES_INSECURE=true", "OTEL_EXPORTER_OTLP_SPAN_INSECURE=true",
	"OTEL_EXPORTER_OTLP_METRICS_INSECURE=true", "OTEL_EXPORTER_OTLP_METRIC_INSECURE=true",
	"OTEL_EXPORTER_OTLP_LOGS_INSECURE=true", "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT=0", "OTEL_EXPORTER_ZIPKIN_ENDPOINT=1",
	"OTEL_EXPORTER_ZIPKIN_TIMEOUT=1", "OTEL_EXPORTER_ZIPKIN_PROTOCOL=1", "OTEL_EXPORTER_JAEGER_AGENT_HOST=1",
	"OTEL_EXPORTER_JAEGER_AGENT_PORT=1", "OTEL_EXPORTER_JAEGER_ENDPOINT=1", "OTEL_EXPORTER_JAEGER_PROTOCOL=1",
	"OTEL_EXPORTER_JAEGER_TIMEOUT=1", "OTEL_EXPORTER_JAEGER_USER=1", "OTEL_EXPORTER_JAEGER_PASSWORD=1",
	"OTEL_METRICS_EXPORTER=otlp", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=http://m", "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT=1",
	"OTEL_METRIC_EXPORT_INTERVAL=1", "OTEL_METRIC_EXPORT_TIMEOUT=1", "OTEL_METRICS_EXEMPLAR_FILTER=always_off",
	"OTEL_EXPORTER_PROMETHEUS_HOST=h", "OTEL_EXPORTER_PROMETHEUS_PORT=1", "OTEL_LOGS_EXPORTER=otlp",
	"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=http://l", "OTEL_BLRP_SCHEDULE_DELAY=1", "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT=0",
	"OTEL_EXPORTER_OTLP_PROFILES_ENDPOINT=http://p", "OTEL_ENTITIES=x", "OTEL_SEMCONV_STABILITY_OPT_IN=http/dup",
	"OTEL_INSTRUMENTATION_COMMON_DEFAULT_ENABLED=false", "OTEL_PYTHON_LOG_LEVEL=debug",
};

static const struct { const char *var; bool warns; } others[] = {
	{ "OTEL_CONFIG_FILE=/x", true },
	{ "OTEL_EXPERIMENTAL_CONFIG_FILE=/x", true },
	{ "OTEL_CONFIG_FILE=", false },
	{ "OTEL_PROPAGATORS=tracecontext,baggage", false },
	{ "OTEL_PROPAGATORS=b3", true },
};
/* clang-format on */

START_TEST(endpoint_is_put_together)
{
	struct read *r = read_env(endpoints[_i].vars, endpoints[_i].conf);

	ck_assert_int_eq(r->conf.disabled, endpoints[_i].url == NULL);
	if (endpoints[_i].url) {
		rh_assert_slice_eq(r->conf.url, rh_slice_of(endpoints[_i].url));
		ck_assert_int_eq(r->conf.url.p[r->conf.url.n], '\0');
	}
	ck_assert_int_eq(r->warnings.n > 0, endpoints[_i].warns);
}
END_TEST

START_TEST(number_is_read_or_warned_of)
{
	struct read *r = read_env(numbers[_i].vars, NULL);
	int64_t got;

	memcpy(&got, (char *)&r->conf + numbers[_i].at, sizeof(got));
	ck_assert_int_eq(got, numbers[_i].want);
	ck_assert_int_eq(r->warnings.n > 0, numbers[_i].warns);
}
END_TEST

START_TEST(sampler_is_chosen)
{
	struct read *r = read_env(samplers[_i].vars, NULL);

	ck_assert_int_eq(r->conf.sampler.root, samplers[_i].root);
	ck_assert_int_eq(r->conf.sampler.parent_based,
	    samplers[_i].parent_based);
	ck_assert_double_eq(r->conf.sampler.ratio, samplers[_i].ratio);
	ck_assert_int_eq(r->warnings.n > 0, samplers[_i].warns);
}
END_TEST

START_TEST(headers_are_decoded)
{
	struct read *r = read_env(header_lists[_i].vars, NULL);

	rh_assert_slice_eq(r->conf.headers, rh_slice_of(header_lists[_i].want));
	ck_assert_int_eq(r->warnings.n > 0, header_lists[_i].warns);
}
END_TEST

START_TEST(resource_is_decoded)
{
	struct read *r = read_env(resources[_i].vars, NULL);

	rh_assert_slice_eq(r->conf.resource,
	    rh_slice_of(resources[_i].resource));
	rh_assert_slice_eq(r->conf.service_name,
	    rh_slice_of(resources[_i].service));
	ck_assert_int_eq(r->warnings.n > 0, resources[_i].warns);
}
END_TEST

START_TEST(wire_is_chosen)
{
	struct read *r = read_env(wires[_i].vars, NULL);

	ck_assert_int_eq(r->conf.protocol == RH_OTLP_JSON, wires[_i].json);
	ck_assert_int_eq(r->conf.gzip, wires[_i].gzip);
	ck_assert_int_eq(r->warnings.n > 0, wires[_i].warns);
}
END_TEST

START_TEST(what_is_not_honoured_warns)
{
	struct read *r = READ(NULL, others[_i].var);

	ck_assert_int_eq(r->warnings.n > 0, others[_i].warns);
}
END_TEST

START_TEST(file_is_named)
{
	struct read *r = read_env(files[_i].vars, NULL);
	struct rh_slice got;

	memcpy(&got, (char *)&r->conf + files[_i].at, sizeof(got));
	rh_assert_slice_eq(got, rh_slice_of(files[_i].want));
	ck_assert_int_eq(r->warnings.n > 0, files[_i].warns);
}
END_TEST

/* All numbers at once; where there are texts, they are compared. */
static bool
are_alike(const struct rh_otlp_conf *a, const struct rh_otlp_conf *b)
{
	return a->traces == b->traces && a->disabled == b->disabled &&
	    rh_slice_is(a->url, b->url) && a->protocol == b->protocol &&
	    a->gzip == b->gzip && a->timeout_ms == b->timeout_ms &&
	    a->export_timeout_ms == b->export_timeout_ms &&
	    rh_slice_is(a->headers, b->headers) && a->certificate.p == NULL &&
	    a->client_certificate.p == NULL && a->client_key.p == NULL &&
	    a->schedule_delay_ms == b->schedule_delay_ms &&
	    a->max_batch == b->max_batch && a->attrs_max == b->attrs_max &&
	    a->attr_text_max == b->attr_text_max &&
	    a->events_max == b->events_max && a->links_max == b->links_max &&
	    a->event_attrs_max == b->event_attrs_max &&
	    rh_slice_is(a->service_name, b->service_name) &&
	    rh_slice_is(a->resource, b->resource) &&
	    a->sampler.threshold == b->sampler.threshold &&
	    a->sampler.parent_based == b->sampler.parent_based;
}

START_TEST(what_is_not_honoured_changes_nothing)
{
	struct read *with = READ("http://c", ignored[_i]);
	struct rh_otlp_conf conf = with->conf;

	ck_assert_uint_eq(with->warnings.n, 0);
	unsetenv(strtok(rh_arena_strdup(rh_check_arena(),
	    rh_slice_of(ignored[_i])), "="));
	ck_assert(are_alike(&conf, &READ("http://c", NULL)->conf));
}
END_TEST

/* Headers and endpoints carry credentials. */
START_TEST(warnings_show_no_values)
{
	struct read *r = READ(NULL, E "HEADERS=authorization=s3cret%0a",
	    E "ENDPOINT=ftp://user:s3cret@e");

	ck_assert_uint_gt(r->warnings.n, 0);
	ck_assert_ptr_null(memmem(r->warnings.p, r->warnings.n, "s3cret", 6));
}
END_TEST

START_TEST(sdk_disabled_records_nothing)
{
	ck_assert(!READ("http://c", "OTEL_SDK_DISABLED=true")->conf.traces);
	ck_assert(READ(NULL, "OTEL_TRACES_EXPORTER=none")->conf.traces);
}
END_TEST

RH_CHECK_MAIN("obs/otlp_env",
    RH_LOOP(endpoint_is_put_together, endpoints),
    RH_LOOP(number_is_read_or_warned_of, numbers),
    RH_LOOP(sampler_is_chosen, samplers),
    RH_LOOP(headers_are_decoded, header_lists),
    RH_LOOP(resource_is_decoded, resources),
    RH_LOOP(wire_is_chosen, wires),
    RH_LOOP(file_is_named, files),
    RH_LOOP(what_is_not_honoured_warns, others),
    RH_LOOP(what_is_not_honoured_changes_nothing, ignored),
    RH_CASE(warnings_show_no_values),
    RH_CASE(sdk_disabled_records_nothing))
