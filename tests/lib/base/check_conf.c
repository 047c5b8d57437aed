/* tests/lib/base/check_conf.c - every fault of a file is named, with its line. */
#include "config.h"

#include "base/conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "rh_check.h"

struct conf {
	int64_t workers, pause_ms, body_max_bytes;
	double ratio;
	bool limits;
	struct rh_slice listen, home;
	struct rh_slice key;
	int mode;
};

#define C(kind, member)	RH_CONF(kind, struct conf, member)

static const char *const modes[] = { "auto", "on", "off", NULL };

/* clang-format off */
static const struct rh_directive directives[] = {
	{ "workers",  C(INT, workers),          "8",                  "1",   "512", RH_RESTART, "processes", NULL },
	{ "pause",    C(MS, pause_ms),          "10s",                "0",   "1h",  RH_RELOAD,  "how long nothing happens", NULL },
	{ "body_max", C(BYTES, body_max_bytes), "1m",                 "1k",  NULL,  RH_RESTART, "most bytes", NULL },
	{ "ratio",    C(REAL, ratio),           "0.1",                "0",   "1",   RH_RELOAD,  "share", NULL },
	{ "limits",   C(BOOL, limits),          "on",                 NULL,  NULL,  RH_RELOAD,  "limits", NULL },
	{ "listen",   C(TEXT, listen),          "unix:/run/x.sock",   NULL,  NULL,  RH_RESTART, "where", NULL },
	{ "home",     C(TEXT, home),            "${RH_T_HOME:-}/x",   NULL,  NULL,  RH_RELOAD,  "home", NULL },
	{ "key",      C(SECRET, key),           "${RH_T_KEY:-}",      NULL,  NULL,  RH_RESTART, "signs", NULL },
	{ "mode",     C(ENUM, mode),            "auto",               NULL,  NULL,  RH_RELOAD,  "mode", modes },
	{ 0 }
};
/* clang-format on */

static char path[64];
static struct conf conf;
static const struct rh_conf_table tables[] = {
	{ directives, &conf, NULL }, { 0 },
};

static const char *
temp_file(const char *text, size_t n)
{
	int fd;

	snprintf(path, sizeof(path), "/tmp/rh-conf-XXXXXX");
	ck_assert_int_ge(fd = mkstemp(path), 0);
	ck_assert_int_eq(write(fd, text, n), (ssize_t)n);
	close(fd);
	return path;
}

/* The faults with the file's name cut from each line, "" if there are none. */
static const char *
read_with(const struct rh_conf_table *t, const char *text, size_t n,
    enum rh_conf_unknown unknown)
{
	struct rh_buf faults, cut;
	struct rh_slice rest;
	bool ok;

	rh_buf_init(&faults, rh_check_arena(), 64, 65536);
	rh_buf_init(&cut, rh_check_arena(), 64, 65536);
	ok = rh_conf_read(temp_file(text, n), t, unknown, rh_check_arena(), &faults);
	unlink(path);
	ck_assert_int_eq(ok, faults.n == 0);
	for (rest = rh_buf_get(&faults); rest.n;) {
		struct rh_slice line = rh_slice_cut(&rest, '\n');

		ck_assert(rh_slice_has_prefix(line, rh_slice_of(path)));
		rh_buf_slice(&cut, rh_slice_from(line, strlen(path)));
		rh_buf_char(&cut, '\n');
	}
	rh_buf_char(&cut, '\0');
	return cut.p;
}

static const char *
read_text(const char *text)
{
	memset(&conf, 0, sizeof(conf));
	return read_with(tables, text, strlen(text), RH_CONF_UNKNOWN_FAULT);
}

START_TEST(an_empty_file_is_all_defaults)
{
	unsetenv("RH_T_HOME");
	unsetenv("RH_T_KEY");
	ck_assert_str_eq(read_text("# nothing\n"), "");
	ck_assert_int_eq(conf.workers, 8);
	ck_assert_int_eq(conf.pause_ms, 10000);
	ck_assert_int_eq(conf.body_max_bytes, 1 << 20);
	ck_assert_double_eq(conf.ratio, 0.1);
	ck_assert(conf.limits);
	rh_assert_slice_eq(conf.listen, RH_SLICE("unix:/run/x.sock"));
	rh_assert_slice_eq(conf.home, RH_SLICE("/x"));
	ck_assert_ptr_null(conf.key.p);
	ck_assert_int_eq(conf.mode, 0);
}
END_TEST

static const struct { const char *text; int64_t value; } ints[] = {
	{ "workers = 1", 1 }, { "workers = 512", 512 }, { "workers = \"7\"", 7 },
	{ "workers=12 # dozen", 12 }, { "workers = 3 // three", 3 },
	{ "/* c\n*/ workers = 4", 4 }, { "workers =\n5", 5 },
};

START_TEST(whole_numbers_are_read)
{
	ck_assert_str_eq(read_text(ints[_i].text), "");
	ck_assert_int_eq(conf.workers, ints[_i].value);
}
END_TEST

static const struct { const char *text; int64_t value; } durations[] = {
	{ "pause = 0", 0 }, { "pause = 250", 250 }, { "pause = 250ms", 250 },
	{ "pause = 3s", 3000 }, { "pause = 2min", 120000 },
	{ "pause = 1h", 3600000 }, { "pause = 1H", 3600000 },
};

START_TEST(durations_are_milliseconds)
{
	ck_assert_str_eq(read_text(durations[_i].text), "");
	ck_assert_int_eq(conf.pause_ms, durations[_i].value);
}
END_TEST

static const struct { const char *text; int64_t value; } sizes[] = {
	{ "body_max = 2048", 2048 }, { "body_max = 64k", 65536 },
	{ "body_max = 64K", 65536 }, { "body_max = 3m", 3 << 20 },
	{ "body_max = 2g", 2147483648 },
};

START_TEST(sizes_are_bytes)
{
	ck_assert_str_eq(read_text(sizes[_i].text), "");
	ck_assert_int_eq(conf.body_max_bytes, sizes[_i].value);
}
END_TEST

static const struct { const char *word; bool value; } bools[] = {
	{ "on", true }, { "true", true }, { "yes", true }, { "1", true },
	{ "off", false }, { "false", false }, { "no", false }, { "0", false },
	{ "Off", false },
};

START_TEST(switches_have_many_words)
{
	ck_assert_str_eq(read_text(rh_arena_printf(rh_check_arena(),
	    "limits = %s", bools[_i].word)), "");
	ck_assert_int_eq(conf.limits, bools[_i].value);
}
END_TEST

/* RH_T_SET is "yes", RH_T_EMPTY "", RH_T_NOT is not set. */
static const struct { const char *text, *value; } texts[] = {
	{ "listen = 127.0.0.1:80", "127.0.0.1:80" },
	{ "listen = \"a b # c\"", "a b # c" },
	{ "listen = 'a \"b\"'", "a \"b\"" },
	{ "listen = \"a \\\"b\\\\\"", "a \"b\\" },
	{ "listen = \"\"", NULL },
	{ "listen = \"${RH_T_SET}\"", "yes" },
	{ "listen = ${RH_T_SET}", "yes" },
	{ "listen = \"a${RH_T_SET}b${RH_T_SET}\"", "ayesbyes" },
	{ "listen = \"${RH_T_SET:-no}\"", "yes" },
	{ "listen = \"${RH_T_NOT:-no}\"", "no" },
	{ "listen = ${RH_T_NOT:-no}", "no" },
	{ "listen = \"${RH_T_NOT:-}\"", NULL },
	{ "listen = \"${RH_T_NOT:-a:-b}\"", "a:-b" },
	{ "listen = \"${RH_T_EMPTY}\"", NULL },
	{ "listen = \"${RH_T_EMPTY:-no}\"", NULL },
	{ "listen = '${RH_T_NOT}'", "${RH_T_NOT}" },
	{ "listen = 'a${RH_T_NOT}b${RH_T_NOT}c'", "a${RH_T_NOT}b${RH_T_NOT}c" },
	{ "listen = \"\\${RH_T_NOT}\"", "${RH_T_NOT}" },
	{ "listen = \"${RH_T_NOT\"", "${RH_T_NOT" },
	{ "listen = x # ${RH_T_NOT}", "x" },
	{ "# ${RH_T_NOT}\nlisten = x", "x" },
	{ "listen = \"\xc3\xa9\"", "\xc3\xa9" },
};

static void
set_environment(void)
{
	setenv("RH_T_SET", "yes", 1);
	setenv("RH_T_EMPTY", "", 1);
	unsetenv("RH_T_NOT");
}

START_TEST(texts_are_quoted_and_expanded)
{
	set_environment();
	ck_assert_str_eq(read_text(texts[_i].text), "");
	ck_assert_pstr_eq(conf.listen.p, texts[_i].value);
	ck_assert_uint_eq(conf.listen.n,
	    texts[_i].value ? strlen(texts[_i].value) : 0);
}
END_TEST

#define IS_NO_MS " is no duration: a whole number and ms, s, min, h or d, as in 500ms\n"
#define IS_NO_SIZE " is no size: a whole number and k, m or g, as in 64k\n"
#define IS_NO_BOOL " is neither on nor off (nor true, false, yes, no, 1, 0)\n"
#define NOT_SET(name) "${" name "} is not set in the environment\n"
#define QUOTES "; a value with {, =, # or spaces goes in double quotes"
#define MISSING_VALUE "; either a value is missing, or it needs double quotes"

/* clang-format off */
static const struct { const char *text, *faults; } bad[] = {
	{ "workers = many", ":1: workers: \"many\" is no whole number\n" },
	{ "workers = 1.5", ":1: workers: \"1.5\" is no whole number\n" },
	{ "workers = 08", ":1: workers: \"08\" is no whole number\n" },
	{ "workers = \"\"", ":1: workers: \"\" is no whole number\n" },
	{ "workers = 99999999999999999999", ":1: workers: \"99999999999999999999\" is no whole number\n" },
	{ "workers = 0", ":1: workers: 0 is below the least, 1\n" },
	{ "workers = -3", ":1: workers: -3 is below the least, 1\n" },
	{ "workers = 513", ":1: workers: 513 is above the most, 512\n" },
	{ "workers = 8k", ":1: workers: \"8k\" is no whole number\n" },
	{ "pause = soon", ":1: pause: \"soon\"" IS_NO_MS },
	{ "pause = 10m", ":1: pause: \"10m\"" IS_NO_MS },
	{ "pause = 1.5s", ":1: pause: \"1.5s\"" IS_NO_MS },
	{ "pause = 9223372036854775807d", ":1: pause: \"9223372036854775807d\"" IS_NO_MS },
	{ "pause = 2h", ":1: pause: 2h is above the most, 1h\n" },
	{ "body_max = 64q", ":1: body_max: \"64q\"" IS_NO_SIZE },
	{ "body_max = 64mb", ":1: body_max: \"64mb\"" IS_NO_SIZE },
	{ "body_max = 1023", ":1: body_max: 1023 is below the least, 1k\n" },
	{ "ratio = half", ":1: ratio: \"half\" is no number\n" },
	{ "ratio = nan", ":1: ratio: \"nan\" is no number\n" },
	{ "ratio = 0x1", ":1: ratio: \"0x1\" is no number\n" },
	{ "ratio = 1e999", ":1: ratio: \"1e999\" is no number\n" },
	{ "ratio = 1.5", ":1: ratio: 1.5 is above the most, 1\n" },
	{ "ratio = -0.5", ":1: ratio: -0.5 is below the least, 0\n" },
	{ "limits = maybe", ":1: limits: \"maybe\"" IS_NO_BOOL },
	{ "mode = never", ":1: mode: \"never\" is none of auto, on, off\n" },
	{ "listen = \"a\nb\"", ":2: listen: has control characters\n" },
	{ "listen = \"\\x01\"", ":1: listen: has control characters\n" },
	{ "listen = \"\xff\"", ":1: listen: is not UTF-8\n" },
	{ "listen = a\x01z", ":1: a control character\n:1: syntax error: premature end of file\n" },
	/* variables */
	{ "listen = \"${RH_T_NOT}\"", ":1: listen: " NOT_SET("RH_T_NOT") },
	{ "listen = ${RH_T_NOT}", ":1: listen: " NOT_SET("RH_T_NOT") },
	{ "\nlisten = \"a${RH_T_NOT}b\"", ":2: listen: " NOT_SET("RH_T_NOT") },
	{ "workers = ${RH_T_NOT}", ":1: workers: " NOT_SET("RH_T_NOT") },
	{ "listen = \"${}\"", ":1: listen: " NOT_SET("") },
	{ "listen = \"${RH_T_SET:+x}\"", ":1: listen: " NOT_SET("RH_T_SET:+x") },
	/* names */
	{ "worker = 3", ":1: worker: no such directive; did you mean workers?\n" },
	{ "zebra_crossing = 3", ":1: zebra_crossing: no such directive\n" },
	{ "Workers = 3", ":1: Workers: no such directive; did you mean workers?\n" },
	{ "a = 1\nb = 2\na = 3", ":1: a: no such directive\n:2: b: no such directive\n:3: a: no such directive\n" },
	{ "workers = 3\n\nworkers = 3", ":3: workers: given twice, first on line 1\n" },
	{ "workers = 3\nworkers = 4\nworkers = 5",
	  ":2: workers: given twice, first on line 1\n:3: workers: given twice, first on line 1\n" },
	/* syntax; what stands after it is judged as well */
	{ "workers", ":1: syntax error: premature end of file\n" },
	{ "workers\nlimits = maybe", ":1: syntax error: missing equal sign after option 'workers'\n:2: limits: \"maybe\"" IS_NO_BOOL },
	{ "mode = on\n# why\nworkers =\nlimits = maybe\npause = x",
	  ":3: syntax error: unexpected token '='" MISSING_VALUE "\n:4: limits: \"maybe\"" IS_NO_BOOL ":5: pause: \"x\"" IS_NO_MS },
	{ "workers = {1, 2}\npause = x", ":1: syntax error: unexpected token '{'" QUOTES "\n:2: pause: \"x\"" IS_NO_MS },
	{ "listen = postgres://h/d?a=b\npause = x",
	  ":1: syntax error: unexpected token '='" MISSING_VALUE "\n:2: pause: \"x\"" IS_NO_MS },
	{ "pause = x\nlisten = \"open\nworkers = 0\n", ":1: pause: \"x\"" IS_NO_MS ":2: syntax error: premature end of file\n" },
	{ "= 3\nworkers = 0", ":1: syntax error: unexpected token '='" MISSING_VALUE "\n:2: workers: 0 is below the least, 1\n" },
	{ "}\nworkers = 0", ":1: syntax error: unexpected closing brace\n:2: workers: 0 is below the least, 1\n" },
	{ "pause = 2 parsecs\nworkers = 0\nlimits = maybe\n",
	  ":1: syntax error: missing equal sign after option 'parsecs'\n"
	  ":2: workers: 0 is below the least, 1\n:3: limits: \"maybe\"" IS_NO_BOOL },
	{ "workers = 0\npause = 2 parsecs\n\n",
	  ":1: workers: 0 is below the least, 1\n:2: syntax error: premature end of file\n" },
	{ "workers = 3 # \\\n\\\nlisten = a\\b",
	  ":2: a backslash outside of quotes\n:3: a backslash outside of quotes\n"
	  ":3: syntax error: premature end of file\n" },
	{ "workers = 3 }", ":1: syntax error: unexpected closing brace\n" },
	/* lines are right behind comments and strings of all sorts */
	{ "# a\n# b's \"\n\npause = x", ":4: pause: \"x\"" IS_NO_MS },
	{ "workers = 3 # a 'b\npause = x", ":2: pause: \"x\"" IS_NO_MS },
	{ "workers = 3 // a\n//\npause = x", ":3: pause: \"x\"" IS_NO_MS },
	{ "workers = 3 /* a\n \" b */\npause = x", ":3: pause: \"x\"" IS_NO_MS },
	{ "listen = \"a # \\\" b // ' /* \"\npause = x", ":2: pause: \"x\"" IS_NO_MS },
	{ "listen = 'a # \\' b // \" /* '\npause = x", ":2: pause: \"x\"" IS_NO_MS },
	{ "listen = ${RH_T_NOT:-#\"}\npause = x", ":2: pause: \"x\"" IS_NO_MS },
	{ "listen = http://a/b\npause = x", ":2: pause: \"x\"" IS_NO_MS },
	{ "listen = \"a\\\nb\"\npause = x", ":3: pause: \"x\"" IS_NO_MS },
	{ "workers = 3\r\n\r\npause = x\r\n", ":3: pause: \"x\"" IS_NO_MS },
	/* all at once, in the order of the lines */
	{ "pause = x\nnope = 1\nworkers = 0\nlimits\nratio = 2\nlisten = \"${RH_T_NOT}\"",
	  ":1: pause: \"x\"" IS_NO_MS ":2: nope: no such directive; did you mean home?\n"
	  ":3: workers: 0 is below the least, 1\n"
	  ":4: syntax error: missing equal sign after option 'limits'\n"
	  ":5: ratio: 2 is above the most, 1\n:6: listen: " NOT_SET("RH_T_NOT") },
};
/* clang-format on */

START_TEST(each_fault_has_its_line)
{
	set_environment();
	ck_assert_str_eq(read_text(bad[_i].text), bad[_i].faults);
}
END_TEST

START_TEST(a_file_that_is_not_there_is_a_fault)
{
	struct rh_buf faults;

	rh_buf_init(&faults, rh_check_arena(), 64, 4096);
	ck_assert(!rh_conf_read("/nonexistent/x", tables, RH_CONF_UNKNOWN_FAULT,
	    rh_check_arena(), &faults));
	rh_assert_slice_eq(rh_buf_get(&faults), RH_SLICE(
	    "/nonexistent/x: cannot be read: No such file or directory\n"));
}
END_TEST

START_TEST(a_folder_is_a_fault)
{
	struct rh_buf faults;

	rh_buf_init(&faults, rh_check_arena(), 64, 4096);
	ck_assert(!rh_conf_read("/tmp", tables, RH_CONF_UNKNOWN_FAULT,
	    rh_check_arena(), &faults));
	rh_assert_slice_eq(rh_buf_get(&faults),
	    RH_SLICE("/tmp: cannot be read: Is a directory\n"));
}
END_TEST

START_TEST(a_file_of_nulls_is_a_fault)
{
	ck_assert_str_eq(read_with(tables, "workers\0= 3", 11,
	    RH_CONF_UNKNOWN_FAULT), ": is no text: it has a NUL byte\n");
}
END_TEST

START_TEST(an_endless_file_is_a_fault)
{
	size_t n = 300 << 10;
	char *text = rh_arena_alloc(rh_check_arena(), n);

	memset(text, '\n', n);
	ck_assert_str_eq(read_with(tables, text, n, RH_CONF_UNKNOWN_FAULT),
	    ": is over 256 KiB\n");
}
END_TEST

START_TEST(others_directives_pass_where_they_may)
{
	static const char text[] = "theirs = 1\nworkers = 3\nworkes = 2\n";

	memset(&conf, 0, sizeof(conf));
	ck_assert_str_eq(read_with(tables, text, strlen(text),
	    RH_CONF_UNKNOWN_OK), "");
	ck_assert_int_eq(conf.workers, 3);
}
END_TEST

struct other {
	int64_t workers;
	struct rh_slice name;
};

static const struct rh_directive others[] = {
	{ "name", RH_CONF(TEXT, struct other, name), NULL, NULL, NULL,
	    RH_RELOAD, "name", NULL },
	{ "unset", RH_CONF(TEXT, struct other, name), "a${RH_T_NOT}", NULL, NULL,
	    RH_RELOAD, "name", NULL },
	{ 0 }
};

START_TEST(several_tables_share_the_file)
{
	struct other other = { 0 };
	const struct rh_conf_table two[] = {
		{ directives, &conf, NULL }, { others, &other, NULL }, { 0 },
	};
	static const char text[] = "workers = 3\nunset = x\nname = n\n";

	ck_assert_str_eq(read_with(two, text, strlen(text),
	    RH_CONF_UNKNOWN_FAULT), "");
	ck_assert_int_eq(conf.workers, 3);
	ck_assert_str_eq(other.name.p, "x");
}
END_TEST

struct shop {
	struct rh_slice name, key;
	int64_t seats;
};
#define SHOPS 2
static struct shop shops[SHOPS + 1];
/* clang-format off */
static const struct rh_directive shop_directives[] = {
	{ "key",   RH_CONF(SECRET, struct shop, key), NULL, NULL, NULL, RH_RELOAD, "of its door", NULL },
	{ "seats", RH_CONF(INT, struct shop, seats),  "4",  "1",  "9",  RH_RELOAD, "to sit on", NULL },
	{ 0 }
};
/* clang-format on */
static const struct rh_conf_section shop_section = { "shop", "a shop.",
	sizeof(struct shop), SHOPS + 1 };
static const struct rh_conf_table with_shops[] = {
	{ directives, &conf, NULL },
	{ shop_directives, shops, &shop_section }, { 0 },
};
static const struct rh_directive none[] = { { 0 } };
static const struct rh_conf_table without_shops[] = {
	{ directives, &conf, NULL }, { none, NULL, &shop_section }, { 0 },
};

static const char *
read_shops(const char *text)
{
	return read_with(with_shops, text, strlen(text), RH_CONF_UNKNOWN_FAULT);
}

START_TEST(sections_have_records_of_their_own)
{
	ck_assert_str_eq(read_shops("shop a {\n\tkey = x\n\tseats = 2\n}\n"
	    "workers = 3\nshop b { key = y }\n"), "");
	ck_assert_int_eq(conf.workers, 3);
	rh_assert_slice_eq(shops[0].name, RH_SLICE("a"));
	rh_assert_slice_eq(shops[0].key, RH_SLICE("x"));
	ck_assert_int_eq(shops[0].seats, 2);
	rh_assert_slice_eq(shops[1].name, RH_SLICE("b"));
	ck_assert_int_eq(shops[1].seats, 4);
	ck_assert_uint_eq(shops[2].name.n, 0);
	ck_assert_str_eq(read_shops(""), "");
	ck_assert_uint_eq(shops[0].name.n, 0);
}
END_TEST

static const struct { const char *text, *faults; } bad_shops[] = {
	{ "shop a {\n}\n", ": key: required, and not given\n" },
	{ "shop a {\nkey = x\nkey = y\n}\n", ":3: key: given twice, first on line 2\n" },
	{ "shop a {\nkey = x\nseats = 10\n}\n", ":3: seats: 10 is above the most, 9\n" },
	{ "shop a {\nkey = x\nworkers = 3\n}\n", ":3: workers: stands outside of any section\n" },
	{ "shop a {\nkey = x\nchairs = 3\n}\n", ":3: chairs: no such directive\n" },
	{ "seats = 3\n", ":1: seats: stands inside of a section\n" },
	{ "shop a { key = x }\nshop b { key = x }\nshop c { key = x }\n", ": shop: more than 2 of them\n" },
};

START_TEST(faults_of_sections_are_named)
{
	ck_assert_str_eq(read_shops(bad_shops[_i].text), bad_shops[_i].faults);
}
END_TEST

START_TEST(sections_of_others_are_let_be)
{
	const char *text = "shop a {\nkey = x\nchairs = 3\n}\nworkers = 3\n";

	ck_assert_str_eq(read_with(without_shops, text, strlen(text),
	    RH_CONF_UNKNOWN_OK), "");
	ck_assert_int_eq(conf.workers, 3);
}
END_TEST

START_TEST(sections_are_printed_and_reloaded)
{
	const struct rh_conf_table *next =
	    rh_conf_tables_like(with_shops, rh_check_arena());
	const char *text = "shop b { key = hush }";
	struct rh_buf out;

	ck_assert_str_eq(read_shops("shop a { key = x }"), "");
	ck_assert_str_eq(read_with(next, text, strlen(text),
	    RH_CONF_UNKNOWN_FAULT), "");
	rh_buf_init(&out, rh_check_arena(), 64, 4096);
	rh_conf_restart_needed(&out, with_shops, next);
	ck_assert_uint_eq(out.n, 0);
	rh_conf_reload(with_shops, next);
	rh_assert_slice_eq(shops[0].name, RH_SLICE("b"));
	ck_assert_uint_eq(shops[1].name.n, 0);
	rh_conf_print(&out, with_shops + 1);
	rh_assert_slice_eq(rh_buf_get(&out), RH_SLICE("shop b {\n\t# key ="
	    " \"********\"\n\tseats = 4\n}\n"));
}
END_TEST

START_TEST(the_missing_are_named)
{
	struct other other = { 0 };
	const struct rh_conf_table one[] = { { others, &other, NULL }, { 0 } };

	set_environment();
	ck_assert_str_eq(read_with(one, "", 0, RH_CONF_UNKNOWN_FAULT),
	    ": name: required, and not given\n: unset: not given, and ${RH_T_NOT},"
	    " its default, is not set in the environment\n");
}
END_TEST

static const struct { const char *file, *value; } secrets[] = {
	{ "s3cret\n", "s3cret" }, { "s3cret", "s3cret" },
	{ " two\n", " two" }, { "", NULL }, { "\n", NULL },
};

START_TEST(a_secret_may_stand_in_a_file)
{
	char file[64];
	const char *text;

	temp_file(secrets[_i].file, strlen(secrets[_i].file));
	memcpy(file, path, sizeof(file));
	text = rh_arena_printf(rh_check_arena(), "key = \"file:%s\"", file);
	ck_assert_str_eq(read_text(text), "");
	unlink(file);
	ck_assert_pstr_eq(conf.key.p, secrets[_i].value);
}
END_TEST

START_TEST(a_secrets_file_must_be_readable)
{
	ck_assert_str_eq(read_text("key = file:/nonexistent/k"),
	    ":1: key: /nonexistent/k cannot be read: No such file or directory\n");
}
END_TEST

START_TEST(a_secret_is_in_no_fault)
{
	ck_assert_str_eq(read_text("key = \"hush\x7f\""),
	    ":1: key: has control characters\n");
}
END_TEST

static const char *
printed(void (*print)(struct rh_buf *, const struct rh_conf_table *))
{
	struct rh_buf out;

	rh_buf_init(&out, rh_check_arena(), 64, 65536);
	print(&out, tables);
	rh_buf_char(&out, '\0');
	ck_assert(!out.full);
	return out.p;
}

START_TEST(what_is_printed_reads_back)
{
	const char *out;

	ck_assert_str_eq(read_text("workers = 3\npause = 90s\nbody_max = 1537k\n"
	    "ratio = 0.3\nlimits = no\nlisten = '${x} \"\\\\ #'\nkey = hush\n"
	    "mode = OFF\nhome = \"\"\n"), "");
	out = printed(rh_conf_print);
	ck_assert_str_eq(out, "workers = 3\npause = 90s\nbody_max = 1537k\n"
	    "ratio = 0.3\nlimits = off\nlisten = \"\\${x} \\\"\\\\ #\"\n"
	    "home = \"\"\n# key = \"********\"\nmode = off\n");
	unsetenv("RH_T_KEY");
	ck_assert_str_eq(read_text(out), "");
	ck_assert_int_eq(conf.pause_ms, 90000);
	rh_assert_slice_eq(conf.listen, RH_SLICE("${x} \"\\ #"));
	ck_assert_ptr_null(conf.key.p);
	ck_assert_int_eq(conf.mode, 2);
}
END_TEST

START_TEST(the_reference_changes_nothing)
{
	const char *out;

	unsetenv("RH_T_HOME");
	ck_assert_str_eq(read_text(""), "");
	out = printed(rh_conf_print_reference);
	ck_assert_ptr_nonnull(strstr(out,
	    "\n# processes. 1 to 512.\n#workers = 8\n\n"));
	ck_assert_ptr_nonnull(strstr(out,
	    "\n# mode. One of auto, on, off. A reload takes it.\n#mode = auto\n"));
	ck_assert_ptr_nonnull(strstr(out, "\n#key = \"${RH_T_KEY:-}\"\n"));
	ck_assert_str_eq(read_text(out), "");
	ck_assert_int_eq(conf.workers, 8);
}
END_TEST

/* Without its "#" before each directive the reference says the same. */
START_TEST(the_reference_uncommented_is_the_defaults)
{
	struct conf defaults;
	char *out, *hash;

	ck_assert_str_eq(read_text(""), "");
	defaults = conf;
	out = rh_arena_strdup(rh_check_arena(),
	    rh_slice_of(printed(rh_conf_print_reference)));
	for (hash = out; (hash = strstr(hash, "\n#")); hash++)
		if (hash[2] != ' ')
			hash[1] = ' ';
	ck_assert_str_eq(read_text(out), "");
	ck_assert_int_eq(conf.pause_ms, defaults.pause_ms);
	rh_assert_slice_eq(conf.listen, defaults.listen);
}
END_TEST

static const struct { const char *then, *names; } restarts[] = {
	{ "", "" },
	{ "pause = 1s\nmode = on\nratio = 1\nlimits = off", "" },
	{ "workers = 9", "workers" },
	{ "key = x\nworkers = 9\nlisten = y", "workers, listen, key" },
};

START_TEST(a_reload_takes_over_what_may_change)
{
	static const char text[] = "workers = 9\npause = 1s\nmode = on\n"
	    "ratio = 1\nlimits = off\nlisten = y\nhome = z";
	const struct rh_conf_table *next =
	    rh_conf_tables_like(tables, rh_check_arena());
	struct conf before;

	ck_assert_ptr_null(next[1].directives);
	ck_assert_str_eq(read_text(""), "");
	before = conf;
	ck_assert_str_eq(read_with(next, text, sizeof(text) - 1,
	    RH_CONF_UNKNOWN_FAULT), "");
	rh_conf_reload(tables, next);
	rh_assert_slice_eq(conf.home, RH_SLICE("z"));
	ck_assert_int_eq(conf.pause_ms, 1000);
	ck_assert_int_ne(conf.mode, before.mode);
	ck_assert(!conf.limits);
	ck_assert(conf.ratio == 1);
	ck_assert_int_eq(conf.workers, before.workers);
	rh_assert_slice_eq(conf.listen, before.listen);
}
END_TEST

START_TEST(a_reload_says_what_needs_a_restart)
{
	struct conf before;
	const struct rh_conf_table was[] = {
		{ directives, &before, NULL }, { 0 },
	};
	struct rh_buf out;

	rh_buf_init(&out, rh_check_arena(), 64, 4096);
	ck_assert_str_eq(read_text(""), "");
	before = conf;
	ck_assert_str_eq(read_text(restarts[_i].then), "");
	rh_conf_restart_needed(&out, was, tables);
	rh_assert_slice_eq(rh_buf_get(&out), rh_slice_of(restarts[_i].names));
}
END_TEST

RH_CHECK_MAIN("base/conf",
    RH_CASE(an_empty_file_is_all_defaults),
    RH_LOOP(whole_numbers_are_read, ints),
    RH_LOOP(durations_are_milliseconds, durations),
    RH_LOOP(sizes_are_bytes, sizes),
    RH_LOOP(switches_have_many_words, bools),
    RH_LOOP(texts_are_quoted_and_expanded, texts),
    RH_LOOP(each_fault_has_its_line, bad),
    RH_CASE(a_file_that_is_not_there_is_a_fault),
    RH_CASE(a_folder_is_a_fault),
    RH_CASE(a_file_of_nulls_is_a_fault),
    RH_CASE(an_endless_file_is_a_fault),
    RH_CASE(others_directives_pass_where_they_may),
    RH_CASE(several_tables_share_the_file),
    RH_CASE(sections_have_records_of_their_own),
    RH_LOOP(faults_of_sections_are_named, bad_shops),
    RH_CASE(sections_of_others_are_let_be),
    RH_CASE(sections_are_printed_and_reloaded),
    RH_CASE(the_missing_are_named),
    RH_LOOP(a_secret_may_stand_in_a_file, secrets),
    RH_CASE(a_secrets_file_must_be_readable),
    RH_CASE(a_secret_is_in_no_fault),
    RH_CASE(what_is_printed_reads_back),
    RH_CASE(the_reference_changes_nothing),
    RH_CASE(the_reference_uncommented_is_the_defaults),
    RH_CASE(a_reload_takes_over_what_may_change),
    RH_LOOP(a_reload_says_what_needs_a_restart, restarts))
