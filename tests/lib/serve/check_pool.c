/* tests/lib/serve/check_pool.c - kept connections belong to all workers. */
#include "config.h"

#include "serve/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "rh_check.h"
#include "serve/worker.h"
#include "stand.h"

#define CLIENTS	64

static void
close_all(const int *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		close(fds[i]);
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
connect_all(const struct stand *s, int *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		fds[i] = stand_connect(s);
}

/* address NULL: unix */
static const struct { unsigned workers; const char *address; } pools[] = {
	{ 1, NULL }, { 4, NULL }, { 4, "127.0.0.1:0" },
};

START_TEST(no_kept_connection_starves)
{
	struct rh_pool_spec spec;
	struct stand s;
	int fds[CLIENTS];

	stand_init(&s, &spec, pools[_i].workers);
	if (pools[_i].address)
		strcpy(s.address, pools[_i].address);
	stand_open(&s, &spec);
	connect_all(&s, fds, CLIENTS);
	for (int round = 0; round < 50; round++)
		ask_all(fds, CLIENTS, "keep\n");
	close_all(fds, CLIENTS);
	ck_assert_int_eq(stand_close(&s), 0);
}
END_TEST

START_TEST(idle_workers_take_over_from_a_busy_one)
{
	struct rh_pool_spec spec;
	struct stand s;
	pid_t busy;
	int slow, other;

	stand_init(&s, &spec, 2);
	stand_open(&s, &spec);
	stand_settle(&s, 2);
	slow = stand_connect(&s);
	other = stand_connect(&s);
	ck_assert_int_gt(stand_ask(slow, "keep"), 0);
	ck_assert_int_gt(stand_ask(other, "keep"), 0);
	for (int round = 0; round < 3; round++) {
		stand_say(slow, "slow\n");
		stand_nap(20);
		for (int n = 0; n < 10; n++)
			ck_assert_int_gt(stand_ask(other, "keep"), 0);
		busy = stand_hear(slow);
		ck_assert_int_gt(busy, 0);
	}
	close(slow);
	close(other);
	ck_assert_int_eq(stand_close(&s), 0);
}
END_TEST

START_TEST(a_connection_that_is_not_kept_is_closed)
{
	struct rh_pool_spec spec;
	struct stand s;

	stand_init(&s, &spec, 2);
	stand_open(&s, &spec);
	for (int n = 0; n < 100; n++) {
		int fd = stand_connect(&s);

		ck_assert_int_gt(stand_ask(fd, "close"), 0);
		ck_assert_int_eq(stand_hear(fd), 0);
		close(fd);
	}
	ck_assert_int_eq(stand_close(&s), 0);
}
END_TEST

START_TEST(a_kept_connection_can_be_closed_by_any_worker)
{
	struct rh_pool_spec spec;
	struct stand s;
	int fds[CLIENTS];

	stand_init(&s, &spec, 4);
	spec.max_connections = CLIENTS;
	stand_open(&s, &spec);
	/* were seats not given back, the second round would find none */
	for (int round = 0; round < 4; round++) {
		connect_all(&s, fds, CLIENTS);
		ask_all(fds, CLIENTS, "keep\n");
		ask_all(fds, CLIENTS, "keep\n");
		ask_all(fds, CLIENTS, "close\n");
		for (unsigned i = 0; i < CLIENTS; i++)
			ck_assert_int_eq(stand_hear(fds[i]), 0);
		close_all(fds, CLIENTS);
		stand_nap(50);
	}
	ck_assert_int_eq(stand_close(&s), 0);
}
END_TEST

/* Until all seats that the cap allows are taken. */
static void
await_full(const struct stand *s)
{
	const struct rh_share *share = rh_segment_area(s->segment, RH_POOL_AREA);

	for (int ms = 0; share->open < share->limit; ms += 10) {
		ck_assert_int_lt(ms, STAND_WAIT_MS);
		stand_nap(10);
	}
}

static const unsigned recycled[] = { 1, 3 };

START_TEST(past_the_cap_no_connection_is_closed)
{
	struct rh_pool_spec spec;
	struct stand s;
	int fds[16];

	stand_init(&s, &spec, recycled[_i]);
	spec.max_connections = 3;
	spec.max_requests = 20;
	stand_open(&s, &spec);
	connect_all(&s, fds, 16);
	for (int round = 0; round < 40; round++)
		ask_all(fds, 16, "keep\n");
	ck_assert_uint_ge(stand_restarts(&s, RH_END_REQUESTS), 16);
	close_all(fds, 16);
	ck_assert_int_eq(stand_close(&s), 0);
}
END_TEST

START_TEST(past_the_cap_a_part_is_ended_and_idling_is_not)
{
	struct rh_pool_spec spec;
	struct stand s;
	int fds[3];

	stand_init(&s, &spec, 1);
	spec.max_connections = 1;
	spec.header_timeout_ms = 200;
	stand_open(&s, &spec);
	connect_all(&s, fds, 3);
	ck_assert_int_gt(stand_ask(fds[0], "keep"), 0);
	await_full(&s);
	ask_all(fds + 1, 2, "keep\n");
	ask_all(fds, 3, "keep\n");
	stand_say(fds[1], "kee");
	ck_assert_int_eq(stand_hear(fds[1]), 0);
	ck_assert_int_gt(stand_ask(fds[0], "keep"), 0);
	ck_assert_int_gt(stand_ask(fds[2], "keep"), 0);
	close_all(fds, 3);
	ck_assert_int_eq(stand_close(&s), 0);
}
END_TEST

START_TEST(past_the_cap_what_has_come_is_answered_at_the_end)
{
	struct rh_pool_spec spec;
	struct stand s;
	int fds[3];

	stand_init(&s, &spec, 1);
	spec.max_connections = 1;
	stand_open(&s, &spec);
	connect_all(&s, fds, 3);
	ck_assert_int_gt(stand_ask(fds[0], "keep"), 0);
	await_full(&s);
	ask_all(fds + 1, 2, "keep\n");
	stand_say(fds[0], "gate\n");
	stand_await_busy(&s, 1);
	stand_say(fds[1], "keep\n");
	ck_assert_int_eq(kill(s.master, SIGTERM), 0);
	stand_await_draining(&s);
	stand_open_gate(&s);
	ck_assert_int_gt(stand_hear(fds[0]), 0);
	ck_assert_int_gt(stand_hear(fds[1]), 0);
	ck_assert_int_eq(stand_hear(fds[2]), 0);
	ck_assert_int_eq(stand_wait(&s), 0);
	close_all(fds, 3);
	stand_clean(&s);
}
END_TEST

START_TEST(where_a_worker_has_too_many_the_least_used_goes)
{
	enum { MANY = RH_PRIVATE_MAX + 20 };
	struct rh_pool_spec spec;
	struct stand s;
	int first, fds[MANY];

	stand_init(&s, &spec, 1);
	spec.max_connections = 1;
	stand_open(&s, &spec);
	first = stand_connect(&s);
	ck_assert_int_gt(stand_ask(first, "keep"), 0);
	await_full(&s);
	for (unsigned i = 0; i < MANY; i++) {
		fds[i] = stand_connect(&s);
		ck_assert_int_gt(stand_ask(fds[i], "keep"), 0);
		ck_assert_int_gt(stand_ask(fds[0], "keep"), 0);
	}
	ck_assert_int_gt(stand_ask(first, "keep"), 0);
	for (unsigned i = 1; i <= MANY - RH_PRIVATE_MAX; i++)
		ck_assert_int_eq(stand_hear(fds[i]), 0);
	ck_assert_int_gt(stand_ask(fds[0], "keep"), 0);
	ask_all(fds + MANY - RH_PRIVATE_MAX + 1, RH_PRIVATE_MAX - 1, "keep\n");
	close_all(fds, MANY);
	close(first);
	ck_assert_int_eq(stand_close(&s), 0);
}
END_TEST

START_TEST(a_killed_worker_is_replaced_and_the_others_feel_nothing)
{
	struct rh_pool_spec spec;
	struct stand s;
	int fds[CLIENTS];

	stand_init(&s, &spec, 4);
	stand_open(&s, &spec);
	stand_settle(&s, 4);
	connect_all(&s, fds, CLIENTS);
	ask_all(fds, CLIENTS, "keep\n");
	for (unsigned round = 1; round <= 4; round++) {
		pid_t victim = rh_segment_slot(s.segment, round)->pid;

		stand_await_kept(&s, CLIENTS);
		ck_assert_int_eq(kill(victim, SIGKILL), 0);
		ask_all(fds, CLIENTS, "keep\n");
		stand_await_restarts(&s, RH_END_KILLED, round);
	}
	stand_settle(&s, 4);
	ask_all(fds, CLIENTS, "keep\n");
	close_all(fds, CLIENTS);
	ck_assert_int_eq(stand_close(&s), 0);
}
END_TEST

START_TEST(a_worker_that_dies_in_a_request_takes_only_that_with_it)
{
	struct rh_pool_spec spec;
	struct stand s;
	int fds[8];

	stand_init(&s, &spec, 2);
	stand_open(&s, &spec);
	stand_settle(&s, 2);
	connect_all(&s, fds, 8);
	ask_all(fds, 8, "keep\n");
	stand_await_kept(&s, 8);
	ck_assert_int_eq(stand_ask(fds[0], "die"), 0);
	ask_all(fds + 1, 7, "keep\n");
	stand_await_restarts(&s, RH_END_KILLED, 1);
	stand_settle(&s, 2);
	ask_all(fds + 1, 7, "keep\n");
	close_all(fds, 8);
	ck_assert_int_eq(stand_close(&s), 0);
}
END_TEST

START_TEST(recycling_loses_no_request)
{
	struct rh_pool_spec spec;
	struct stand s;
	int fds[16];

	stand_init(&s, &spec, recycled[_i]);
	spec.max_requests = 20;
	stand_open(&s, &spec);
	connect_all(&s, fds, 16);
	for (int round = 0; round < 40; round++)
		ask_all(fds, 16, "keep\n");
	ck_assert_uint_ge(stand_restarts(&s, RH_END_REQUESTS), 16);
	ck_assert_uint_eq(stand_restarts(&s, RH_END_EXIT), 0);
	close_all(fds, 16);
	ck_assert_int_eq(stand_close(&s), 0);
}
END_TEST

START_TEST(a_part_of_a_first_request_holds_no_worker)
{
	struct rh_pool_spec spec;
	struct stand s;
	int part, silent, other;

	stand_init(&s, &spec, 1);
	stand_open(&s, &spec);
	part = stand_connect(&s);
	silent = stand_connect(&s);
	stand_say(part, "ke");
	other = stand_connect(&s);
	ck_assert_int_gt(stand_ask(other, "keep"), 0);
	stand_say(part, "e");
	ck_assert_int_gt(stand_ask(other, "keep"), 0);
	stand_say(part, "p\n");
	ck_assert_int_gt(stand_hear(part), 0);
	ck_assert_int_gt(stand_ask(silent, "keep"), 0);
	ck_assert_int_gt(stand_ask(part, "keep"), 0);
	close(part);
	close(silent);
	close(other);
	ck_assert_int_eq(stand_close(&s), 0);
}
END_TEST

START_TEST(a_part_of_a_later_request_holds_no_worker)
{
	struct rh_pool_spec spec;
	struct stand s;
	int part, other;

	stand_init(&s, &spec, 1);
	stand_open(&s, &spec);
	part = stand_connect(&s);
	other = stand_connect(&s);
	for (int round = 0; round < 5; round++) {
		ck_assert_int_gt(stand_ask(part, "keep"), 0);
		stand_say(part, "k");
		ck_assert_int_gt(stand_ask(other, "keep"), 0);
		stand_say(part, "eep\n");
		ck_assert_int_gt(stand_hear(part), 0);
	}
	close(part);
	close(other);
	ck_assert_int_eq(stand_close(&s), 0);
}
END_TEST

START_TEST(a_request_that_stays_a_part_is_ended)
{
	struct rh_pool_spec spec;
	struct stand s;
	int first, later, idle;

	stand_init(&s, &spec, 2);
	spec.header_timeout_ms = 200;
	stand_open(&s, &spec);
	first = stand_connect(&s);
	later = stand_connect(&s);
	idle = stand_connect(&s);
	ck_assert_int_gt(stand_ask(later, "keep"), 0);
	ck_assert_int_gt(stand_ask(idle, "keep"), 0);
	stand_say(first, "kee");
	stand_say(later, "kee");
	ck_assert_int_eq(stand_hear(first), 0);
	ck_assert_int_eq(stand_hear(later), 0);
	/* what is only idle has no deadline */
	ck_assert_int_gt(stand_ask(idle, "keep"), 0);
	close(first);
	close(later);
	close(idle);
	ck_assert_int_eq(stand_close(&s), 0);
}
END_TEST

START_TEST(a_part_survives_its_worker)
{
	struct rh_pool_spec spec;
	struct stand s;
	int part, other;

	stand_init(&s, &spec, 1);
	spec.max_requests = 1;
	stand_open(&s, &spec);
	part = stand_connect(&s);
	stand_say(part, "ke");
	stand_nap(50);
	other = stand_connect(&s);
	ck_assert_int_gt(stand_ask(other, "keep"), 0);
	stand_await_restarts(&s, RH_END_REQUESTS, 1);
	stand_say(part, "ep\n");
	ck_assert_int_gt(stand_hear(part), 0);
	close(part);
	close(other);
	ck_assert_int_eq(stand_close(&s), 0);
}
END_TEST

START_TEST(the_request_in_flight_is_answered_at_the_end)
{
	struct rh_pool_spec spec;
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct stand s;
	int first, kept, fd;

	stand_init(&s, &spec, 2);
	stand_open(&s, &spec);
	first = stand_connect(&s);
	kept = stand_connect(&s);
	ck_assert_int_gt(stand_ask(kept, "keep"), 0);
	stand_say(first, "gate\n");
	stand_say(kept, "gate\n");
	stand_await_busy(&s, 2);
	ck_assert_int_eq(kill(s.master, SIGTERM), 0);
	stand_await_draining(&s);
	stand_open_gate(&s);
	ck_assert_int_gt(stand_hear(first), 0);
	ck_assert_int_gt(stand_hear(kept), 0);
	ck_assert_int_eq(stand_wait(&s), 0);
	ck_assert_int_eq(stand_hear(first), 0);
	ck_assert_int_eq(stand_hear(kept), 0);
	strcpy(un.sun_path, s.address + 5);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_ne(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	ck_assert_int_eq(errno, ENOENT);
	close(fd);
	close(first);
	close(kept);
	stand_clean(&s);
}
END_TEST

static const int enders[] = { SIGTERM, SIGQUIT, SIGINT };

START_TEST(these_signals_end_the_pool)
{
	struct rh_pool_spec spec;
	struct stand s;

	stand_init(&s, &spec, 2);
	stand_open(&s, &spec);
	stand_settle(&s, 2);
	ck_assert_int_eq(kill(s.master, enders[_i]), 0);
	ck_assert_int_eq(stand_wait(&s), 0);
	stand_clean(&s);
}
END_TEST

START_TEST(a_hangup_ends_nothing)
{
	struct rh_pool_spec spec;
	struct stand s;
	int fd;

	stand_init(&s, &spec, 1);
	stand_open(&s, &spec);
	stand_settle(&s, 1);
	ck_assert_int_eq(kill(s.master, SIGUSR2), 0);
	ck_assert_int_eq(kill(rh_segment_slot(s.segment, 1)->pid, SIGHUP), 0);
	fd = stand_connect(&s);
	ck_assert_int_gt(stand_ask(fd, "keep"), 0);
	close(fd);
	for (unsigned i = 0; i < RH_ENDS; i++)
		ck_assert_uint_eq(stand_restarts(&s, i), 0);
	ck_assert_int_eq(stand_close(&s), 0);
}
END_TEST

START_TEST(a_reload_replaces_workers_under_their_connections)
{
	struct rh_pool_spec spec;
	struct stand s;
	pid_t first, then;
	int fds[4];

	stand_init(&s, &spec, 2);
	spec.max_requests = 1000000;
	stand_open(&s, &spec);
	stand_settle(&s, 2);
	for (unsigned i = 0; i < RH_COUNT(fds); i++)
		fds[i] = stand_connect(&s);
	first = rh_segment_slot(s.segment, 1)->pid;
	then = rh_segment_slot(s.segment, 2)->pid;
	for (unsigned i = 0; i < RH_COUNT(fds); i++)
		ck_assert_int_gt(stand_ask(fds[i], "keep"), 0);
	ck_assert_int_eq(kill(s.master, SIGHUP), 0);
	stand_await_restarts(&s, RH_END_RELOAD, 2);
	for (unsigned i = 0; i < RH_COUNT(fds); i++) {
		pid_t pid = stand_ask(fds[i], "keep");

		ck_assert_int_gt(pid, 0);
		ck_assert_int_ne(pid, first);
		ck_assert_int_ne(pid, then);
		close(fds[i]);
	}
	for (unsigned i = 0; i < RH_ENDS; i++)
		ck_assert_uint_eq(stand_restarts(&s, i), i == RH_END_RELOAD ? 2 : 0);
	ck_assert_int_eq(stand_close(&s), 0);
}
END_TEST

START_TEST(what_does_not_end_is_killed_after_the_grace)
{
	struct rh_pool_spec spec;
	struct stand s;
	int fd;

	stand_init(&s, &spec, 2);
	spec.shutdown_grace_ms = 200;
	stand_open(&s, &spec);
	fd = stand_connect(&s);
	stand_say(fd, "hang\n");
	stand_nap(50);
	ck_assert_int_eq(stand_close(&s), 0);
	ck_assert_int_eq(stand_hear(fd), 0);
	close(fd);
}
END_TEST

START_TEST(workers_die_with_their_master)
{
	struct rh_pool_spec spec;
	struct stand s;
	int fds[4];

	stand_init(&s, &spec, 4);
	stand_open(&s, &spec);
	stand_settle(&s, 4);
	connect_all(&s, fds, 4);
	ask_all(fds, 4, "keep\n");
	stand_say(fds[0], "hang\n");
	kill(s.master, SIGKILL);
	stand_wait(&s);
	/* every worker had a copy: it is closed when none of them lives */
	for (unsigned i = 0; i < 4; i++)
		ck_assert_int_eq(stand_hear(fds[i]), 0);
	close_all(fds, 4);
	stand_clean(&s);
}
END_TEST

START_TEST(workers_that_cannot_start_do_not_tie_up_the_master)
{
	struct rh_pool_spec spec;
	struct stand s;

	stand_init(&s, &spec, 4);
	s.broken_start = true;
	stand_open(&s, &spec);
	stand_await_restarts(&s, RH_END_EXIT, 8);
	ck_assert_int_eq(stand_close(&s), 0);
}
END_TEST

START_TEST(a_start_that_failed_serves_all_the_same)
{
	struct rh_pool_spec spec;
	struct stand s;
	int fd;

	stand_init(&s, &spec, 1);
	s.false_start = true;
	stand_open(&s, &spec);
	fd = stand_connect(&s);
	ck_assert_int_gt(stand_ask(fd, "keep"), 0);
	close(fd);
	ck_assert_int_eq(stand_close(&s), 0);
}
END_TEST

START_TEST(a_worker_told_to_end_is_replaced)
{
	struct rh_pool_spec spec;
	struct stand s;
	int fds[8];

	stand_init(&s, &spec, 2);
	stand_open(&s, &spec);
	stand_settle(&s, 2);
	connect_all(&s, fds, 8);
	ask_all(fds, 8, "keep\n");
	ck_assert_int_eq(kill(rh_segment_slot(s.segment, 1)->pid, SIGTERM), 0);
	stand_await_restarts(&s, RH_END_EXIT, 1);
	stand_settle(&s, 2);
	ask_all(fds, 8, "keep\n");
	close_all(fds, 8);
	ck_assert_int_eq(stand_close(&s), 0);
}
END_TEST

START_TEST(a_stopped_worker_stops_nobody)
{
	enum { MANY = 400 };
	struct rh_pool_spec spec;
	struct stand s;
	static int fds[MANY];
	pid_t first, second;

	stand_init(&s, &spec, 2);
	stand_open(&s, &spec);
	stand_settle(&s, 2);
	first = rh_segment_slot(s.segment, 1)->pid;
	second = rh_segment_slot(s.segment, 2)->pid;
	kill(first, SIGSTOP);
	/* more than its channel holds */
	connect_all(&s, fds, MANY);
	ask_all(fds, MANY, "keep\n");
	ask_all(fds, MANY, "keep\n");
	stand_await_kept(&s, MANY);
	kill(first, SIGCONT);
	kill(second, SIGSTOP);
	for (unsigned i = 0; i < MANY; i++)
		ck_assert_int_eq(stand_ask(fds[i], "keep"), first);
	kill(second, SIGCONT);
	close_all(fds, MANY);
	ck_assert_int_eq(stand_close(&s), 0);
}
END_TEST

START_TEST(the_last_line_reaches_the_reader)
{
	struct rh_pool_spec spec;
	struct stand s;
	char text[8192];
	ssize_t n, have = 0;
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	stand_init(&s, &spec, 1);
	spec.log_fd = ends[1];
	stand_open(&s, &spec);
	close(ends[1]);
	stand_settle(&s, 1);
	ck_assert_int_eq(stand_close(&s), 0);
	while ((n = read(ends[0], text + have, sizeof(text) - 1 -
	    (size_t)have)) > 0)
		have += n;
	text[have] = '\0';
	ck_assert_ptr_nonnull(strstr(text, "pool test: 1 workers"));
	ck_assert_ptr_nonnull(strstr(text, "pool test: stopped"));
	close(ends[0]);
}
END_TEST

START_TEST(a_reader_that_stalls_does_not_hold_the_end)
{
	static const char filler[4096];
	struct rh_pool_spec spec;
	struct stand s;
	int ends[2], fd;

	ck_assert_int_eq(pipe2(ends, O_NONBLOCK), 0);
	while (write(ends[1], filler, sizeof(filler)) > 0)
		;
	fcntl(ends[1], F_SETFL, 0);
	stand_init(&s, &spec, 1);
	spec.shutdown_grace_ms = 200;
	spec.log_fd = ends[1];
	stand_open(&s, &spec);
	fd = stand_connect(&s);
	ck_assert_int_gt(stand_ask(fd, "keep"), 0);
	ck_assert_int_eq(stand_close(&s), 0);
	close(fd);
	close(ends[0]);
	close(ends[1]);
}
END_TEST

RH_CHECK_MAIN("serve/pool",
    RH_LOOP(no_kept_connection_starves, pools),
    RH_CASE(idle_workers_take_over_from_a_busy_one),
    RH_CASE(a_connection_that_is_not_kept_is_closed),
    RH_CASE(a_kept_connection_can_be_closed_by_any_worker),
    RH_LOOP(past_the_cap_no_connection_is_closed, recycled),
    RH_CASE(past_the_cap_a_part_is_ended_and_idling_is_not),
    RH_CASE(past_the_cap_what_has_come_is_answered_at_the_end),
    RH_CASE(where_a_worker_has_too_many_the_least_used_goes),
    RH_CASE(a_killed_worker_is_replaced_and_the_others_feel_nothing),
    RH_CASE(a_worker_that_dies_in_a_request_takes_only_that_with_it),
    RH_LOOP(recycling_loses_no_request, recycled),
    RH_CASE(a_part_of_a_first_request_holds_no_worker),
    RH_CASE(a_part_of_a_later_request_holds_no_worker),
    RH_CASE(a_request_that_stays_a_part_is_ended),
    RH_CASE(a_part_survives_its_worker),
    RH_CASE(the_request_in_flight_is_answered_at_the_end),
    RH_LOOP(these_signals_end_the_pool, enders),
    RH_CASE(a_hangup_ends_nothing),
    RH_CASE(a_reload_replaces_workers_under_their_connections),
    RH_CASE(what_does_not_end_is_killed_after_the_grace),
    RH_CASE(workers_die_with_their_master),
    RH_CASE(workers_that_cannot_start_do_not_tie_up_the_master),
    RH_CASE(a_start_that_failed_serves_all_the_same),
    RH_CASE(a_worker_told_to_end_is_replaced),
    RH_CASE(a_stopped_worker_stops_nobody),
    RH_CASE(the_last_line_reaches_the_reader),
    RH_CASE(a_reader_that_stalls_does_not_hold_the_end))
