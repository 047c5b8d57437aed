/*
 * tests/lib/data/redis_asked.h - one server, one user, and the scripts that
 * check_redis and check_redis_away ask it for.
 */
#ifndef RH_TESTS_REDIS_ASKED_H
#define RH_TESTS_REDIS_ASKED_H

#include "redis_stand.h"

#include "rh_check.h"

/* Ample where nothing is to be late, and short where something is to be. */
enum { AMPLE_MS = 20000, SHORT_MS = 60 };

#define K(text)	RH_SLICE(text)

static struct rh_script scripts[] = {
	{ .name = "test.add", .lua = "return redis.call('INCRBY', KEYS[1], ARGV[1])" },
	{ .name = "test.twice", .lua = "return {KEYS[1], ARGV[1], ARGV[2]}" },
	{ .name = "test.shape", .lua = "return {1, {'two', {false, 3}}, {}, redis.error_reply('E x')}" },
	{ 0 }
};
enum { ADD, TWICE, SHAPE };

static struct redis_stand server;
static struct redis_user user;

static void
set_up(int64_t timeout_ms)
{
	rh_scripts_register(scripts);
	redis_stand_open(&server, NULL);
	redis_user_open(&user, server.unix_url, timeout_ms);
}

static const char *
code(void)
{
	struct rh_err *err = rh_redis_error(user.r);

	return err ? err->code : NULL;
}

static void
add(const char *key)
{
	const struct rh_slice k = rh_slice_of(key), one = K("1");

	rh_redis_run(user.r, &scripts[ADD], &k, 1, &one, 1);
}

#endif
