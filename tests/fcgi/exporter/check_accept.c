/* tests/fcgi/exporter/check_accept.c - who gets OpenMetrics, and who gets gzip. */
#include "config.h"

#include "exporter/accept.h"

#include "exporter/squeeze.h"
#include "rh_check.h"

static const struct { const char *accept; bool open; } formats[] = {
	{ NULL, false },
	{ "", false },
	{ "*/*", false },
	{ "text/plain", false },
	{ "application/openmetrics-text", true },
	{ "Application/OpenMetrics-Text; Version=1.0.0", true },
	{ "application/openmetrics-text;version=\"1.0.0\"", true },
	{ "application/openmetrics-text;version=2.0.0", false },
	{ "application/openmetrics-text;version=2.0.0,text/plain", false },
	{ "application/openmetrics-text;q=0", false },
	{ "application/openmetrics-text;q=0.000,*/*", false },
	{ "application/openmetrics-text;q=0.5,text/plain;q=0.6", false },
	{ "application/openmetrics-text;q=0.6,text/plain;q=0.5", true },
	{ "application/openmetrics-text;q=0.5,text/*", false },
	{ "application/openmetrics-text;q=0.5,text/plain;q=0.4,*/*", true },
	{ "text/html,*/*;q=0.8", false },
	{ "application/openmetrics-text;version=1.0.0,application/openmetrics"
	  "-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
	  true },	/* Prometheus 2.42 */
	{ ",;,q=,;=,application/openmetrics-text;q;", true },
	{ "application/openmetrics-text;q=1.5", true },
	{ "application/openmetrics-text;q=x,text/plain", true },
};

START_TEST(the_format_that_is_liked_more)
{
	ck_assert_int_eq(accept_exposition(rh_slice_of(formats[_i].accept)) ==
	    RH_EXPO_OPENMETRICS, formats[_i].open);
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
