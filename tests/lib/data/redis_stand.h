/*
 * redis_stand - a Redis of the test's own, to be frozen, killed, started anew.
 *
 * Shape    redis-server on a unix socket, and on a port of loopback
 * Errors   what does not come up fails the test
 * Owner    the test: it dies with it. Its folder is below ROWHOUSE_TEST_DIR,
 *          which whoever runs the test removes
 */
#ifndef RH_TESTS_REDIS_STAND_H
#define RH_TESTS_REDIS_STAND_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "data/redis.h"

struct redis_stand {
	pid_t pid;
	char dir[64], socket[80];
	char unix_url[96], tcp_url[64];
	uint16_t port;
	bool away;	/* killed, or frozen */
	const char *args[24];
};

/* args: of redis-server, more than its defaults; ended by NULL. */
void redis_stand_open(struct redis_stand *s, const char *const *args);
void redis_stand_start(struct redis_stand *s);
/* SIGKILL, and it is gone. */
void redis_stand_kill(struct redis_stand *s);
void redis_stand_freeze(struct redis_stand *s);
void redis_stand_thaw(struct redis_stand *s);
/* redis-cli's exit is 0. */
bool redis_stand_cli(const struct redis_stand *s, const char *command);

/* ---- a worker of sorts, with a session ---- */

struct redis_user {
	struct rh_arena *own, *arena;
	struct rh_redis_conf conf;
	struct rh_redis_obs obs;
	struct rh_tally tally;
	struct rh_trace trace;
	struct rh_sampler sampler;
	struct rh_redis *r;
};

/* timeout_ms of both kinds. */
void redis_user_open(struct redis_user *u, const char *url, int64_t timeout_ms);
void redis_user_begin(struct redis_user *u);
void redis_user_end(struct redis_user *u);
void redis_user_close(struct redis_user *u);
/* A pipeline of its own with one command in it, "SET key value"; its answer. */
const struct rh_redis_value *redis_user_ask(struct redis_user *u,
    const char *command);
/* dependency_up{dependency="redis"}, round_trips_total{store="redis"} */
uint64_t redis_user_up(const struct redis_user *u);
uint64_t redis_user_trips(const struct redis_user *u);

/* Until something is so, 20 s at most; CK_TIMEOUT_MULTIPLIER scales it. */
#define redis_until(condition)						\
	do {								\
		for (int ms_ = 0; !(condition); ms_ += 5) {		\
			ck_assert_msg(ms_ < redis_patience_ms(), "%s",	\
			    "never: " #condition);			\
			redis_pause(5);					\
		}							\
	} while (0)
int redis_patience_ms(void);
void redis_pause(int ms);

#endif
