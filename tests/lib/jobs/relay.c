/*
 * tests/lib/jobs/relay.c - the relay as a program, until rowhouse-jobs has it
 * as a duty. ROWHOUSE_TEST_URL says where.
 *
 *	relay run [FAN-OUT-SQL]	steps until SIGTERM
 *	relay drain		steps until nothing is left, or another is at it
 *	relay tend KEEP_MS	keeps house until there is no more to do
 *
 * A line on stdout for each step that moved something: moved, first and last
 * position, seq that the next one begins behind; of tend one for each step. Errors on
 * stderr; drain and tend end with 1 after one.
 */
#include "config.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "base/clock.h"
#include "data/pg.h"
#include "jobs/relay.h"

#define MS INT64_C(1000000)

enum { TIMEOUT_MS = 10000 };

static volatile sig_atomic_t ended;

static struct rh_stmt fan_out[] = {
	{ .name = "relay.fan_out", .global = "the test's" }, { 0 }
};
static const struct rh_stmt *const hanging[] = { &fan_out[0], NULL };

struct run {
	struct rh_arena *own, *arena;
	struct rh_pg *pg;
	struct rh_relay relay;
};

static void
end(int signo)
{
	(void)signo;
	ended = 1;
}

static bool
told(const struct rh_err *err)
{
	if (err)
		fprintf(stderr, "relay: %s: %s\n", err->code,
		    err->cause ? err->cause : "");
	return err != NULL;
}

static void
wait_ns(int64_t ns)
{
	(void)!poll(NULL, 0, (int)((ns + MS - 1) / MS));
}

/* False: it failed, and the next one has time. */
static bool
step(struct run *r, int64_t *again_ns)
{
	struct rh_relayed *last = &r->relay.last;
	bool failed = told(rh_relay_step(&r->relay,
	    rh_pg_begin(r->pg, r->arena, NULL), again_ns));

	rh_pg_end(r->pg);
	rh_arena_reset(r->arena);
	if (!failed && last->moved) {
		printf("%" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 "\n",
		    last->moved, last->first_pos, last->last_pos,
		    r->relay.above);
		fflush(stdout);
	}
	return !failed;
}

static int
run(struct run *r)
{
	int64_t again_ns;

	while (!ended) {
		(void)step(r, &again_ns);
		if (again_ns)
			wait_ns(again_ns);
	}
	return 0;
}

static int
drain(struct run *r)
{
	int64_t again_ns;

	do {
		if (!step(r, &again_ns))
			return 1;
	} while (r->relay.last.moved);
	return 0;
}

static int
tend(struct run *r)
{
	int64_t again_ns;
	bool failed;

	do {
		failed = told(rh_relay_tend(&r->relay,
		    rh_pg_begin(r->pg, r->arena, NULL), &again_ns));
		rh_pg_end(r->pg);
		rh_arena_reset(r->arena);
		printf("%" PRId64 "\n", again_ns / MS);
	} while (!failed && again_ns == 0);
	return failed;
}

int
main(int argc, char **argv)
{
	static struct rh_pg_obs obs;
	struct rh_pg_conf conf = { getenv("ROWHOUSE_TEST_URL"), TIMEOUT_MS,
		TIMEOUT_MS, 0, "relay" };
	struct rh_relay_conf how = { 0 };
	struct run r = { .own = rh_arena_new(4096, 1 << 20),
		.arena = rh_arena_new(65536, 16 << 20) };
	const char *what = argc > 1 ? argv[1] : "";
	int status = 2;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGTERM, end);
	rh_stmts_register(rh_relay_stmts);
	if (argc > 2 && strcmp(what, "run") == 0) {
		fan_out[0].sql = argv[2];
		rh_stmts_register(fan_out);
		how.fan_out = hanging;
	}
	if (argc > 2 && strcmp(what, "tend") == 0)
		how.keep_ms = strtoll(argv[2], NULL, 10);
	rh_relay_init(&r.relay, &how);
	r.pg = rh_pg_new(r.own, &conf, &obs);
	if (strcmp(what, "run") == 0)
		status = run(&r);
	else if (strcmp(what, "drain") == 0)
		status = drain(&r);
	else if (strcmp(what, "tend") == 0)
		status = tend(&r);
	rh_pg_close(r.pg);
	rh_arena_destroy(&r.arena);
	rh_arena_destroy(&r.own);
	return status;
}
