/* check_target.c - REQUEST_URI is taken apart once, and strictly. */
#include "config.h"

#include "http/target.h"
#include "rh_check.h"

static const struct { const char *target, *path, *query; } targets[] = {
	{ "/", "/", NULL },
	{ "/v1/me", "/v1/me", NULL },
	{ "/v1/me?", "/v1/me", "" },
	{ "/a?b=c?d", "/a", "b=c?d" },
	{ "//a//b", "//a//b", NULL },
	{ "/a/../b", "/a/../b", NULL },
	{ "/a%2fb", "/a%2fb", NULL },
	{ "/%c3%a9", "/%c3%a9", NULL },
	{ "http://example.org/a?b", "/a", "b" },
	{ "HTTPS://example.org:8443/a", "/a", NULL },
	{ "/a|b", "/a|b", NULL },
	/* refused */
	{ "", NULL, NULL },
	{ "*", NULL, NULL },
	{ "?a=b", NULL, NULL },
	{ "a/b", NULL, NULL },
	{ "http://", NULL, NULL },
	{ "http://example.org", NULL, NULL },
	{ "http:///a", NULL, NULL },
	{ "ftp://example.org/a", NULL, NULL },
	{ "example.org:443", NULL, NULL },
	{ "/a b", NULL, NULL },
	{ "/a\tb", NULL, NULL },
	{ "/a\rb", NULL, NULL },
	{ "/a\x7f", NULL, NULL },
	{ "/\xc3\xa9", NULL, NULL },
	{ "/a#b", NULL, NULL },
	{ "/%", NULL, NULL },
	{ "/%4", NULL, NULL },
	{ "/%4g", NULL, NULL },
	{ "/%00", NULL, NULL },
	{ "/a?b=%00", NULL, NULL },
	{ "/a?b=%zz", NULL, NULL },
};

START_TEST(targets_split)
{
	struct rh_slice path, query;
	bool good = rh_target_split(rh_slice_of(targets[_i].target), &path,
	    &query);

	ck_assert_msg(good == (targets[_i].path != NULL), "%s",
	    targets[_i].target);
	if (!good)
		return;
	rh_assert_slice_eq(path, rh_slice_of(targets[_i].path));
	rh_assert_slice_eq(query, rh_slice_of(targets[_i].query));
	ck_assert_int_eq(query.p != NULL, targets[_i].query != NULL);
}
END_TEST

static const struct { const char *text; bool plus; const char *decoded; } escapes[] = {
	{ "abc", false, "abc" },
	{ "a+b", false, "a+b" },
	{ "a+b", true, "a b" },
	{ "%41%42", false, "AB" },
	{ "a%2Fb", false, "a/b" },
	{ "%c3%A9", false, "\xc3\xa9" },
	{ "%2541", false, "%41" },
	{ "%c0%af", false, NULL },	/* overlong */
	{ "%ed%a0%80", false, NULL },	/* a surrogate */
	{ "%ff", false, NULL },
	{ "%00", false, NULL },
	{ "a%", false, NULL },
};

START_TEST(escapes_are_decoded_to_utf8)
{
	struct rh_slice text = rh_slice_of(escapes[_i].text);
	bool good = rh_percent_decode(&text, rh_check_arena(), escapes[_i].plus);

	ck_assert_msg(good == (escapes[_i].decoded != NULL), "%s",
	    escapes[_i].text);
	if (good)
		rh_assert_slice_eq(text, rh_slice_of(escapes[_i].decoded));
}
END_TEST

RH_CHECK_MAIN("http/target",
    RH_LOOP(targets_split, targets),
    RH_LOOP(escapes_are_decoded_to_utf8, escapes))
