/* tests/fcgi/exporter/check_html.c - nothing from outside is anything but text. */
#include "config.h"

#include "exporter/html.h"

#include "exporter/auth.h"
#include "exporter/fmt.h"
#include "rh_check.h"

static const struct {
	struct rh_slice text;
	const char *shown;
} texts[] = {
	{ RH_SLICE_INIT("plain"), "plain" },
	{ RH_SLICE_INIT("<b>&\"'"), "&lt;b&gt;&amp;&quot;&#39;" },
	{ RH_SLICE_INIT("\033[2J\0\177"), "\xef\xbf\xbd[2J\xef\xbf\xbd\xef\xbf\xbd" },
	{ RH_SLICE_INIT("\xc3\xa9\xff\xc0\xaf"), "\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
	{ RH_SLICE_INIT("a\xe2\x80\xae" "b"), "a\xef\xbf\xbd" "b" },
	{ RH_SLICE_INIT("\xc2\x9b" "31m"), "\xef\xbf\xbd" "31m" },
	{ RH_SLICE_INIT("tab\tline\n"), "tab\tline\n" },
};

static struct rh_buf *
buf(void)
{
	struct rh_buf *b = RH_NEW(rh_check_arena(), struct rh_buf);

	rh_buf_init(b, rh_check_arena(), 256, 65536);
	return b;
}

START_TEST(text_is_escaped)
{
	struct rh_buf *b = buf();
	struct html h;

	html_init(&h, b);
	html_text(&h, texts[_i].text);
	rh_assert_slice_eq(rh_buf_get(b), rh_slice_of(texts[_i].shown));
	b->n = 0;
	html_open(&h, "a");
	html_attr_text(&h, "title", texts[_i].text);
	html_close(&h);
	rh_assert_slice_eq(rh_buf_get(b), rh_slice_of(rh_arena_printf(
	    rh_check_arena(), "<a title=\"%s\"></a>", texts[_i].shown)));
}
END_TEST

START_TEST(elements_close_in_order)
{
	struct rh_buf *b = buf();
	struct html h;

	html_init(&h, b);
	html_open(&h, "em");
	html_attr(&h, "class", "x");
	html_void(&h, "br");
	html_close(&h);
	html_say(&h, "b", "", RH_SLICE("<"));
	html_open(&h, "i");
	html_finish(&h);
	rh_assert_slice_eq(rh_buf_get(b), RH_SLICE("<em class=\"x\"><br>\n"
	    "<b>&lt;</b><i></i></em>"));
}
END_TEST

START_TEST(addresses_are_percent_encoded)
{
	struct rh_buf *b = buf();

	rh_assert_slice_eq(html_path(rh_check_arena(), "/requests/",
	    RH_SLICE("a/b?c#d%\r\n\0 e\xc3\xa9~"), "/x"),
	    RH_SLICE("/requests/a%2Fb%3Fc%23d%25%0D%0A%00%20e%C3%A9~/x"));
	rh_buf_lit(b, "/requests");
	html_query(b, "route", RH_SLICE("/t/{x}&y=1"));
	html_query(b, "status", RH_SLICE("5xx"));
	rh_assert_slice_eq(rh_buf_get(b),
	    RH_SLICE("/requests?route=%2Ft%2F%7Bx%7D%26y%3D1&status=5xx"));
}
END_TEST

static const struct {
	const char *authorization, *token;
	bool granted;
} asked[] = {
	{ NULL, "", true }, { "Bearer x", "", true }, { NULL, "sesame", false },
	{ "", "sesame", false }, { "Bearer", "sesame", false },
	{ "Bearer sesame", "sesame", true }, { "bEARER   sesame ", "sesame", true },
	{ "Bearer sesam", "sesame", false }, { "Bearer sesame2", "sesame", false },
	{ "Basic dTpzZXNhbWU=", "sesame", true },	/* u:sesame */
	{ "Basic OnNlc2FtZQ==", "sesame", true },	/* :sesame */
	{ "Basic c2VzYW1lOng=", "sesame", false },	/* sesame:x */
	{ "Basic c2VzYW1l", "sesame", false },		/* sesame */
	{ "Basic dTpzZX?hbWU=", "sesame", false }, { "Basic ", "sesame", false },
	{ "Digest sesame", "sesame", false },
};

START_TEST(the_token_is_asked_for)
{
	ck_assert(auth_is_granted(rh_slice_of(asked[_i].authorization),
	    rh_slice_of(asked[_i].token)) == asked[_i].granted);
}
END_TEST

static const struct {
	uint64_t ns;
	const char *text;
} durations[] = {
	{ 0, "0\u00a0µs" }, { 999, "1\u00a0µs" }, { 850000, "850\u00a0µs" },
	{ 999499, "999\u00a0µs" }, { 999500, "1.00\u00a0ms" },
	{ 12340000, "12.3\u00a0ms" }, { 123400000, "123\u00a0ms" },
	{ 999500000, "1.00\u00a0s" }, { 12340000000, "12.3\u00a0s" },
	{ 90000000000, "1\u00a0min" }, { UINT64_MAX, "213503\u00a0d 23\u00a0h" },
};

START_TEST(durations_have_three_digits)
{
	rh_assert_slice_eq(fmt_ns(rh_check_arena(), durations[_i].ns),
	    rh_slice_of(durations[_i].text));
}
END_TEST

RH_CHECK_MAIN("exporter/html",
    RH_LOOP(text_is_escaped, texts),
    RH_CASE(elements_close_in_order),
    RH_CASE(addresses_are_percent_encoded),
    RH_LOOP(the_token_is_asked_for, asked),
    RH_LOOP(durations_have_three_digits, durations))
