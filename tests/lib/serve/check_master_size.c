/* tests/lib/serve/check_master_size.c - the pool follows its load. */
#include "config.h"

#include "serve/pool.h"

#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "rh_check.h"
#include "stand.h"

#define CLIENTS	16
#define MANY	12

static void
connect_all(const struct stand *s, int *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		fds[i] = stand_connect(s);
}

static void
ask_all(const int *fds, unsigned n, const char *line)
{
	for (unsigned i = 0; i < n; i++)
		stand_say(fds[i], line);
	for (unsigned i = 0; i < n; i++)
		ck_assert_int_gt(stand_hear(fds[i]), 0);
}

static void
close_all(const int *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		close(fds[i]);
}

/* From any of them, so many. */
static void
await_answers(const int *fds, unsigned n, unsigned want)
{
	char text[16];

	for (int ms = 0; want && ms < STAND_WAIT_MS; ms++) {
		for (unsigned i = 0; i < n; i++)
			want -= recv(fds[i], text, sizeof(text),
			    MSG_DONTWAIT) > 0;
		stand_nap(1);
	}
	ck_assert_uint_eq(want, 0);
}

/* How many were ever started. */
static unsigned
births(const struct stand *s)
{
	unsigned n = 0;

	for (unsigned i = 1; i <= s->nworkers; i++)
		n += rh_segment_slot(s->segment, i)->generation;
	return n;
}

static const char *const addresses[] = { NULL, "127.0.0.1:0" };

START_TEST(ondemand_starts_with_nobody_and_goes_back_to_it)
{
	struct rh_pool_spec spec;
	struct stand s;
	int kept, other;

	stand_init(&s, &spec, 4);
	if (addresses[_i])
		strcpy(s.address, addresses[_i]);
	spec.mode = RH_POOL_ONDEMAND;
	spec.size.idle_timeout_ms = 50;
	stand_open(&s, &spec);
	stand_nap(150);
	ck_assert_uint_eq(births(&s), 0);
	kept = stand_connect(&s);
	for (int round = 0; round < 2; round++) {
		/* on the connection that outlived whoever answered last */
		ck_assert_int_gt(stand_ask(kept, "keep"), 0);
		stand_await_count(&s, 0, 0);
		other = stand_connect(&s);
		ck_assert_int_gt(stand_ask(other, "close"), 0);
		close(other);
		stand_await_count(&s, 0, 0);
	}
	close(kept);
	ck_assert_int_eq(stand_close(&s), 0);
}
END_TEST

START_TEST(a_web_server_that_leaves_starts_nobody)
{
	struct rh_pool_spec spec;
	struct stand s;
	int fds[CLIENTS];
	unsigned born;

	stand_init(&s, &spec, 2);
	spec.mode = RH_POOL_ONDEMAND;
	spec.size.idle_timeout_ms = 50;
	spec.max_connections = CLIENTS;
	stand_open(&s, &spec);
	/* were seats not given back, the second round would find none */
	for (int round = 0; round < 2; round++) {
		connect_all(&s, fds, CLIENTS);
		ask_all(fds, CLIENTS, "keep\n");
		stand_await_count(&s, 0, 0);
		/* the master watches from its next look on */
		stand_nap(100);
		born = births(&s);
		close_all(fds, CLIENTS);
		stand_nap(100);
		ck_assert_uint_eq(births(&s), born);
	}
	ck_assert_int_eq(stand_close(&s), 0);
}
END_TEST

static const enum rh_pool_mode growing[] = { RH_POOL_DYNAMIC,
	RH_POOL_ONDEMAND };

START_TEST(a_pool_grows_with_its_load_and_shrinks_without)
{
	struct rh_pool_spec spec;
	struct stand s;
	unsigned rest = growing[_i] == RH_POOL_DYNAMIC;
	int fds[MANY];

	stand_init(&s, &spec, 6);
	spec.mode = growing[_i];
	spec.size.min = spec.size.spare_min = spec.size.spare_max = 1;
	spec.size.idle_timeout_ms = 50;
	stand_open(&s, &spec);
	stand_await_count(&s, rest, rest);
	connect_all(&s, fds, MANY);
	/* kept: those that wait for their first byte are one worker's alone */
	ask_all(fds, MANY, "keep\n");
	for (unsigned i = 0; i < MANY; i++)
		stand_say(fds[i], "gate\n");
	stand_await_count(&s, 5, 6);
	stand_open_gate(&s);
	for (unsigned i = 0; i < MANY; i++)
		ck_assert_int_gt(stand_hear(fds[i]), 0);
	stand_await_count(&s, rest, rest);
	ck_assert_uint_eq(stand_restarts(&s, RH_END_EXIT), 0);
	close_all(fds, MANY);
	ck_assert_int_eq(stand_close(&s), 0);
}
END_TEST

START_TEST(workers_that_come_and_go_lose_nothing)
{
	struct rh_pool_spec spec;
	struct stand s;
	int fds[CLIENTS];

	stand_init(&s, &spec, 6);
	spec.mode = growing[_i];
	spec.size.min = 1;
	spec.size.idle_timeout_ms = 1;
	spec.max_requests = 30;
	stand_open(&s, &spec);
	connect_all(&s, fds, CLIENTS);
	for (int round = 0; round < 60; round++) {
		ask_all(fds, CLIENTS, "keep\n");
		if (round % 10 == 9)
			stand_nap(round % 30 == 29 ? 150 : 90);
	}
	ck_assert_uint_gt(births(&s), 6);
	close_all(fds, CLIENTS);
	ck_assert_int_eq(stand_close(&s), 0);
}
END_TEST

START_TEST(a_reload_loses_nothing_whatever_their_number)
{
	struct rh_pool_spec spec;
	struct stand s;
	int fds[CLIENTS];

	stand_init(&s, &spec, 6);
	spec.mode = growing[_i];
	spec.size.min = 1;
	stand_open(&s, &spec);
	connect_all(&s, fds, CLIENTS);
	for (int round = 0; round < 40; round++) {
		if (round % 10 == 5)
			ck_assert_int_eq(kill(s.master, SIGHUP), 0);
		ask_all(fds, CLIENTS, "keep\n");
		if (round % 20 == 9)
			stand_nap(150);
	}
	stand_await_restarts(&s, RH_END_RELOAD, 2);
	ck_assert_uint_eq(stand_restarts(&s, RH_END_EXIT), 0);
	close_all(fds, CLIENTS);
	ck_assert_int_eq(stand_close(&s), 0);
}
END_TEST

START_TEST(recycling_by_memory_loses_no_request)
{
	struct rh_pool_spec spec;
	struct stand s;
	int fds[CLIENTS];

	stand_init(&s, &spec, 3);
	spec.max_memory = 1;	/* whoever looks has more */
	stand_open(&s, &spec);
	connect_all(&s, fds, CLIENTS);
	for (int round = 0; round < 20; round++)
		ask_all(fds, CLIENTS, "keep\n");
	ck_assert_uint_ge(stand_restarts(&s, RH_END_MEMORY), 10);
	ck_assert_uint_eq(stand_restarts(&s, RH_END_EXIT), 0);
	close_all(fds, CLIENTS);
	ck_assert_int_eq(stand_close(&s), 0);
}
END_TEST

START_TEST(a_crash_loop_tries_one_at_a_time)
{
	enum { N = 16 };
	struct rh_pool_spec spec;
	struct stand s;
	unsigned held = 0, born;
	uint64_t begun_ns = rh_clock_mono_ns();

	stand_init(&s, &spec, N);
	s.broken_start = true;
	stand_open(&s, &spec);
	stand_await_restarts(&s, RH_END_EXIT, N + 2);
	/* 100 and 200 ms */
	ck_assert_uint_ge(rh_clock_mono_ns() - begun_ns, 300 * 1000000ull);
	for (unsigned i = 1; i <= N; i++)
		held += rh_segment_slot(s.segment, i)->state ==
		    RH_SLOT_BACKOFF;
	ck_assert_uint_ge(held, N - 2);
	born = births(&s);
	ck_assert_uint_le(born, stand_restarts(&s, RH_END_EXIT) + 1);
	ck_assert_int_eq(stand_close(&s), 0);
}
END_TEST

START_TEST(a_crash_loop_leaves_good_workers_alone)
{
	struct rh_pool_spec spec;
	struct stand s;
	struct rh_slot *slot;
	pid_t good, bad = 0, last;
	int fd;

	stand_init(&s, &spec, 2);
	stand_open(&s, &spec);
	stand_settle(&s, 2);
	fd = stand_connect(&s);
	good = stand_ask(fd, "keep");
	ck_assert_int_gt(good, 0);
	slot = rh_segment_slot(s.segment, 1);
	if (slot->pid != good)
		slot = rh_segment_slot(s.segment, 2);
	for (unsigned n = 1; n <= 3; n++) {
		/* whoever comes is killed before it could answer anything */
		for (last = bad; bad == last; stand_nap(1)) {
			for (unsigned i = 1; i <= 2; i++) {
				pid_t pid = rh_segment_slot(s.segment, i)->pid;

				if (pid && pid != good)
					bad = pid;
			}
		}
		kill(bad, SIGKILL);
		stand_await_restarts(&s, RH_END_KILLED, n);
	}
	ck_assert_int_gt(stand_ask(fd, "keep"), 0);
	ck_assert_int_eq(slot->pid, good);
	/* left alone, it is back to its number */
	stand_settle(&s, 2);
	close(fd);
	ck_assert_int_eq(stand_close(&s), 0);
}
END_TEST

START_TEST(those_over_the_bound_are_refused_while_all_are_busy)
{
	enum { BOUND = 3, KEPT = 4, ALL = 12 };
	struct rh_pool_spec spec;
	struct stand s;
	int all[ALL], busy[2];
	pid_t hung[2], shedder;
	struct rh_slot *slot;

	stand_init(&s, &spec, 2);
	spec.queue_max = BOUND;
	stand_open(&s, &spec);
	stand_settle(&s, 2);
	hung[0] = rh_segment_slot(s.segment, 1)->pid;
	hung[1] = rh_segment_slot(s.segment, 2)->pid;
	slot = rh_segment_slot(s.segment, 3);
	connect_all(&s, busy, 2);
	connect_all(&s, all, KEPT);
	ask_all(busy, 2, "keep\n");
	ask_all(all, KEPT, "keep\n");
	stand_say(busy[0], "hang\n");
	stand_say(busy[1], "hang\n");
	while (rh_segment_slot(s.segment, 1)->state != RH_SLOT_BUSY ||
	    rh_segment_slot(s.segment, 2)->state != RH_SLOT_BUSY)
		stand_nap(1);
	connect_all(&s, all + KEPT, ALL - KEPT);
	for (unsigned i = 0; i < ALL; i++)
		stand_say(all[i], "keep\n");
	await_answers(all, ALL, ALL - BOUND);
	/* the bound is reached: whoever comes now is refused, nobody else */
	for (unsigned i = 0; i < 5; i++) {
		int late = stand_connect(&s);

		ck_assert_int_eq(stand_ask(late, "keep"), STAND_REFUSED);
		ck_assert_int_eq(stand_ask(late, "keep"), STAND_REFUSED);
		close(late);
	}
	/* a reload ends the shedder; the next one cannot tell who came last */
	shedder = slot->pid;
	ck_assert_int_eq(kill(s.master, SIGHUP), 0);
	while (slot->pid == shedder)
		stand_nap(1);
	stand_say(all[ALL - 1], "keep\n");
	await_answers(all, ALL, 1);
	kill(hung[0], SIGKILL);
	kill(hung[1], SIGKILL);
	await_answers(all, ALL, BOUND);
	close_all(busy, 2);
	close_all(all, ALL);
	ck_assert_int_eq(stand_close(&s), 0);
}
END_TEST

RH_CHECK_MAIN("serve/master_size",
    RH_LOOP(ondemand_starts_with_nobody_and_goes_back_to_it, addresses),
    RH_CASE(a_web_server_that_leaves_starts_nobody),
    RH_LOOP(a_pool_grows_with_its_load_and_shrinks_without, growing),
    RH_LOOP(workers_that_come_and_go_lose_nothing, growing),
    RH_LOOP(a_reload_loses_nothing_whatever_their_number, growing),
    RH_CASE(recycling_by_memory_loses_no_request),
    RH_CASE(a_crash_loop_tries_one_at_a_time),
    RH_CASE(a_crash_loop_leaves_good_workers_alone),
    RH_CASE(those_over_the_bound_are_refused_while_all_are_busy))
