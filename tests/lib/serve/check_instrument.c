/* tests/lib/serve/check_instrument.c - what a resource may call its metrics. */
#include "config.h"

#include "serve/instrument.h"

#include "rh_check.h"

#define WHY_MAX	1024

static const char *const sizes[] = { "small", "large", NULL };
static const char *const none[] = { NULL };

#define ROW(...)	{ { __VA_ARGS__ }, { 0 } }
static struct {
	const char *says;	/* NULL: it is taken */
	struct rh_instrument table[2];
} rows[] = {
	{ NULL, ROW(.name = "notes_total", .kind = RH_M_COUNTER, .help = "h") },
	{ NULL, ROW(.name = "notes_open", .kind = RH_M_GAUGE, .help = "h",
	    .label = "size", .values = sizes) },
	{ NULL, ROW(.name = "notes_seconds", .kind = RH_M_HISTOGRAM,
	    .flags = RH_M_EXEMPLARS, .help = "h", .label = "size", .values = sizes) },
	{ "lower-case", ROW(.name = "Notes_total", .kind = RH_M_COUNTER, .help = "h") },
	{ "lower-case", ROW(.name = "notes-total", .kind = RH_M_COUNTER, .help = "h") },
	{ "lower-case", ROW(.name = "1_total", .kind = RH_M_COUNTER, .help = "h") },
	{ "lower-case", ROW(.name = "a_total", .kind = RH_M_COUNTER, .help = "h",
	    .label = "a b", .values = sizes) },
	{ "_total", ROW(.name = "notes", .kind = RH_M_COUNTER, .help = "h") },
	{ "_total", ROW(.name = "notes_total", .kind = RH_M_GAUGE, .help = "h") },
	{ "help", ROW(.name = "notes_total", .kind = RH_M_COUNTER) },
	{ "values", ROW(.name = "notes_total", .kind = RH_M_COUNTER, .help = "h",
	    .label = "size") },
	{ "values", ROW(.name = "notes_total", .kind = RH_M_COUNTER, .help = "h",
	    .label = "size", .values = none) },
	{ "taken", ROW(.name = "requests_total", .kind = RH_M_COUNTER, .help = "h") },
	{ "taken", ROW(.name = "workers", .kind = RH_M_GAUGE, .help = "h") },
};

static struct rh_metrics *
with_one(void)
{
	struct rh_metrics *m = rh_metrics_new(rh_check_arena());

	rh_metrics_family(m, &(struct rh_family_spec){ .kind = RH_M_COUNTER,
	    .name = "requests_total", .help = "h", .dim_a = -1, .dim_b = -1 });
	return m;
}

START_TEST(a_bad_name_is_refused_with_its_reason)
{
	struct rh_metrics *m = with_one();
	struct rh_buf why;
	bool good;

	rh_buf_init(&why, rh_check_arena(), WHY_MAX, WHY_MAX);
	good = rh_instruments_register(m, rows[_i].table, &why);
	rh_buf_char(&why, '\0');
	ck_assert_int_eq(good, rows[_i].says == NULL);
	if (rows[_i].says) {
		ck_assert_msg(strstr(why.p, rows[_i].says), "%s", why.p);
		ck_assert_ptr_nonnull(strstr(why.p, rows[_i].table[0].name));
	} else
		ck_assert(rh_metrics_has(m, rows[_i].table[0].name));
}
END_TEST

START_TEST(two_resources_cannot_have_one_name)
{
	static struct rh_instrument twice[] = {
		{ .name = "a_total", .kind = RH_M_COUNTER, .help = "h" },
		{ .name = "a_total", .kind = RH_M_COUNTER, .help = "h" },
		{ 0 }
	};
	struct rh_buf why;

	rh_buf_init(&why, rh_check_arena(), WHY_MAX, WHY_MAX);
	ck_assert(!rh_instruments_register(with_one(), twice, &why));
}
END_TEST

RH_CHECK_MAIN("serve/instrument",
    RH_LOOP(a_bad_name_is_refused_with_its_reason, rows),
    RH_CASE(two_resources_cannot_have_one_name))
