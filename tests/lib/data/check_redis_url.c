/*
 * tests/lib/data/check_redis_url.c - what of Redis needs no server: its URL,
 * the breaker, a key's slot.
 */
#include "config.h"

#include "data/redis_session.h"
#include "rh_check.h"

/* clang-format off */
static const struct {
	const char *url;
	struct rh_redis_url want;
} good[] = {
	{ "redis://localhost",                   { .host = "localhost", .port = 6379 } },
	{ "redis://10.0.0.1:7000/3",             { .host = "10.0.0.1", .port = 7000, .db = 3 } },
	{ "redis://r.example/",                  { .host = "r.example", .port = 6379 } },
	{ "redis://[::1]:7000",                  { .host = "::1", .port = 7000 } },
	{ "redis://[::1]",                       { .host = "::1", .port = 6379 } },
	{ "redis://:secret@h",                   { .host = "h", .port = 6379, .password = "secret" } },
	{ "redis://u:p%40%3a%2F@h:1/0",          { .host = "h", .port = 1, .user = "u", .password = "p@:/" } },
	{ "redis://u:p@q@h",                     { .host = "h", .port = 6379, .user = "u", .password = "p@q" } },
	{ "redis://u%3a:@h",                     { .host = "h", .port = 6379, .user = "u:", .password = "" } },
	{ "unix:///run/redis.sock",              { .path = "/run/redis.sock" } },
	{ "unix:///run/redis.sock?db=15",        { .path = "/run/redis.sock", .db = 15 } },
	{ "unix://u:p@/run/redis.sock",          { .path = "/run/redis.sock", .user = "u", .password = "p" } },
	{ "unix:///a@b",                         { .path = "/a@b" } },
};

static const struct { const char *url, *why; } bad[] = {
	{ "rediss://h",             "etc/stunnel/" },
	{ "http://h",               "begins with neither" },
	{ "localhost:6379",         "begins with neither" },
	{ "redis://",               "no host" },
	{ "redis://:6379",          "no host" },
	{ "redis://h:0",            "port" },
	{ "redis://h:65536",        "port" },
	{ "redis://h:1x",           "port" },
	{ "redis://[::1",           "no host" },
	{ "redis://[::1]7",         "port" },
	{ "redis://h/x",            "database" },
	{ "redis://h/70000",        "database" },
	{ "redis://h?db=1",         "may follow" },
	{ "redis://hunter2@h",      "without a password" },
	{ "redis://u:hunter2%@h",   "%" },
	{ "redis://u:hunter2%4@h",  "%" },
	{ "redis://u:hunter2%00@h", "%" },
	{ "unix://run/redis.sock",  "path" },
	{ "unix://",                "path" },
	{ "unix:///s?x=1",          "may follow" },
	{ "unix:///s?db=x",         "database" },
};

static const struct { const char *key; int slot; } slots[] = {
	{ "123456789",             12739 },
	{ "",                      0 },
	{ "foo",                   12182 },
	{ "{foo}bar",              12182 },
	{ "a{foo}{bar}",           12182 },
	{ "foo{}{bar}",            8363 },	/* an empty tag is none */
	{ "foo{{bar}}zap",         4015 },
	{ "{user1000}.following",  3443 },
	{ "{user1000}.followers",  3443 },
};
/* clang-format on */

static void
is_same(const char *got, const char *want)
{
	ck_assert_pstr_eq(got, want);
}

START_TEST(url_says_where_and_who)
{
	const struct rh_redis_url *want = &good[_i].want;
	struct rh_redis_url got;
	char memory[200];
	struct rh_buf why;

	rh_buf_init_fixed(&why, memory, sizeof(memory));
	ck_assert(rh_redis_url_get(&got, rh_slice_of(good[_i].url),
	    rh_check_arena(), &why));
	is_same(got.host, want->host);
	is_same(got.path, want->path);
	is_same(got.user, want->user);
	is_same(got.password, want->password);
	ck_assert_uint_eq(got.port, want->port);
	ck_assert_uint_eq(got.db, want->db);
}
END_TEST

START_TEST(bad_url_is_refused_and_not_quoted)
{
	struct rh_redis_url got;
	char memory[200];
	struct rh_buf why;

	rh_buf_init_fixed(&why, memory, sizeof(memory));
	ck_assert(!rh_redis_url_get(&got, rh_slice_of(bad[_i].url),
	    rh_check_arena(), &why));
	rh_buf_char(&why, '\0');
	ck_assert(!why.full);
	ck_assert_ptr_nonnull(strstr(memory, bad[_i].why));
	ck_assert_ptr_null(strstr(memory, "hunter2"));
}
END_TEST

START_TEST(slot_is_that_of_the_tag)
{
	ck_assert_int_eq(rh_redis_slot(rh_slice_of(slots[_i].key)),
	    slots[_i].slot);
}
END_TEST

START_TEST(no_key_has_no_slot)
{
	ck_assert_int_eq(rh_redis_slot(RH_SLICE_NONE), -1);
}
END_TEST

#define MS	UINT64_C(1000000)

START_TEST(breaker_doubles_to_sixteen_times)
{
	struct rh_breaker b = { .open = false };
	uint64_t now = 1000 * MS;

	ck_assert(rh_breaker_may_try(&b, now));
	for (int64_t times = 1; times <= 64; times *= 2) {
		const uint64_t ms = (uint64_t)RH_MIN(times, 16) * 100;

		rh_breaker_trip(&b, 100, now);
		ck_assert(b.open);
		ck_assert(!rh_breaker_may_try(&b, now + ms * MS * 3 / 4 - 1));
		ck_assert(rh_breaker_may_try(&b, now + ms * MS * 5 / 4 + 1));
		now += ms * MS * 2;
	}
	rh_breaker_close(&b);
	ck_assert(rh_breaker_may_try(&b, 0));
	rh_breaker_trip(&b, 100, now);		/* from the start again */
	ck_assert(rh_breaker_may_try(&b, now + 126 * MS));
}
END_TEST

START_TEST(breakers_of_workers_differ)
{
	struct rh_breaker a = { .open = false }, b = a;

	rh_breaker_trip(&a, 100, MS);
	for (int i = 0; i < 100 && (i == 0 || b.until_ns == a.until_ns); i++) {
		rh_breaker_close(&b);
		rh_breaker_trip(&b, 100, MS);
	}
	ck_assert_uint_ne(a.until_ns, b.until_ns);
}
END_TEST

START_TEST(script_is_known_by_its_sha1)
{
	static struct rh_script scripts[] = {
		{ .name = "one", .lua = "return 1" }, { 0 }
	};

	rh_scripts_register(scripts);
	ck_assert_str_eq(scripts[0].sha1,
	    "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
}
END_TEST

RH_CHECK_MAIN("data/redis_url",
    RH_LOOP(url_says_where_and_who, good),
    RH_LOOP(bad_url_is_refused_and_not_quoted, bad),
    RH_LOOP(slot_is_that_of_the_tag, slots),
    RH_CASE(no_key_has_no_slot),
    RH_CASE(breaker_doubles_to_sixteen_times),
    RH_CASE(breakers_of_workers_differ),
    RH_CASE(script_is_known_by_its_sha1))
