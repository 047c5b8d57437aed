/* tests/fcgi/exporter/check_accept.c - who gets which format, and who gets gzip. */
#include "config.h"

#include "exporter/accept.h"

#include "exporter/squeeze.h"
#include "rh_check.h"

#define TEXT		RH_EXPO_PROMETHEUS
#define OPEN		RH_EXPO_OPENMETRICS
#define PROTOBUF	RH_EXPO_PROTOBUF
#define PROTO		"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
static const struct { const char *accept; enum rh_exposition format; } formats[] = {
	{ NULL, TEXT },
	{ "", TEXT },
	{ "*/*", TEXT },
	{ "text/plain", TEXT },
	{ "application/openmetrics-text", OPEN },
	{ "Application/OpenMetrics-Text; Version=1.0.0", OPEN },
	{ "application/openmetrics-text;version=\"1.0.0\"", OPEN },
	{ "application/openmetrics-text;version=2.0.0", TEXT },
	{ "application/openmetrics-text;version=2.0.0,text/plain", TEXT },
	{ "application/openmetrics-text;q=0", TEXT },
	{ "application/openmetrics-text;q=0.000,*/*", TEXT },
	{ "application/openmetrics-text;q=0.5,text/plain;q=0.6", TEXT },
	{ "application/openmetrics-text;q=0.6,text/plain;q=0.5", OPEN },
	{ "application/openmetrics-text;q=0.5,text/*", TEXT },
	{ "application/openmetrics-text;q=0.5,text/plain;q=0.4,*/*", OPEN },
	{ "text/html,*/*;q=0.8", TEXT },
	{ "application/openmetrics-text;version=1.0.0,application/openmetrics"
	  "-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
	  OPEN },	/* Prometheus 2.42 */
	{ PROTO, PROTOBUF },
	{ PROTO ";q=0", TEXT },
	{ PROTO ";q=0.5,application/openmetrics-text;q=0.4,*/*;q=0.1", PROTOBUF },
	{ PROTO ";q=0.5,application/openmetrics-text;q=0.6", OPEN },
	{ PROTO ";q=0.5,text/plain;q=0.6", TEXT },
	{ PROTO "x", TEXT },
	{ "application/vnd.google.protobuf", TEXT },
	{ "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text", TEXT },
	{ "application/vnd.google.protobuf;encoding=delimited,application/openmetrics-text", OPEN },
	{ PROTO ",application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;"
	  "version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", PROTOBUF },	/* with native-histograms */
	{ ",;,q=,;=,application/openmetrics-text;q;", OPEN },
	{ "application/openmetrics-text;q=1.5", OPEN },
	{ "application/openmetrics-text;q=x,text/plain", OPEN },
};

START_TEST(the_format_that_is_liked_more)
{
	ck_assert_int_eq(accept_exposition(rh_slice_of(formats[_i].accept)),
	    formats[_i].format);
}
END_TEST

static const struct { const char *accept; bool gzip; } encodings[] = {
	{ NULL, false }, { "", false }, { "identity", false }, { "br", false },
	{ "gzip", true }, { "GZIP", true }, { "gzip;q=0", false },
	{ "gzip; q=0.001", true }, { "deflate, gzip;q=0.5", true },
	{ "*", true }, { "*;q=0", false }, { "gzip;q=0, *", false },
};

START_TEST(gzip_where_it_is_wanted)
{
	ck_assert_int_eq(accept_gzip(rh_slice_of(encodings[_i].accept)),
	    encodings[_i].gzip);
}
END_TEST

START_TEST(gzip_that_does_not_fit_is_not_sent)
{
	char memory[16];
	struct rh_buf b;

	rh_buf_init_fixed(&b, memory, sizeof(memory));
	ck_assert(!squeeze(&b, RH_SLICE("some text that is long enough")));
	rh_buf_init(&b, rh_check_arena(), 64, 4096);
	ck_assert(squeeze(&b, RH_SLICE("some text that is long enough")));
	ck_assert_mem_eq(b.p, "\x1f\x8b\x08", 3);
}
END_TEST

RH_CHECK_MAIN("exporter/accept",
    RH_LOOP(the_format_that_is_liked_more, formats),
    RH_LOOP(gzip_where_it_is_wanted, encodings),
    RH_CASE(gzip_that_does_not_fit_is_not_sent))
