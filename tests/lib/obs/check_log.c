/* tests/lib/obs/check_log.c - a line is whole JSON, bounded, and never waits. */
#include "config.h"

#include "obs/log.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "obs/segment_file.h"
#include "scratch.h"

#define NOW	1767323045678901	/* 2026-01-02T03:04:05.678901Z */

struct pool {
	struct rh_segment *segment;
	struct rh_tally tally;
	struct rh_log log;
};

static void
pool_open(struct pool *p)
{
	struct rh_metrics *m = rh_metrics_new(rh_check_arena());
	int outcome = rh_metrics_dim(m, "outcome", 0);
	struct rh_segment_spec spec = { .pool = "fcgi", .service = "s",
	    .version = "1", .revision = "r", .slots = 3,
	    .log_ring_bytes = 16384, .span_ring_bytes = 16384, .metrics = m };
	struct rh_buf *why = scratch_buf();

	*p = (struct pool){ .log = { .tally = &p->tally } };
	rh_metrics_value(m, outcome, (const char *const []){ "written" });
	rh_metrics_value(m, outcome, (const char *const []){ "dropped" });
	p->log.lines = rh_metrics_family(m, &(struct rh_family_spec){
	    RH_M_COUNTER, 0, "log_lines_total", "Lines.", outcome, -1 });
	ck_assert_msg(rh_segment_create(&p->segment, scratch_open(), &spec,
	    why), "%s", scratch_text(why));
	rh_tally_bind(&p->tally, m, p->segment, 1);
	rh_log_bind(&p->log, p->segment, 1, rh_check_arena());
	rh_log_name(&p->log, rh_check_arena(), "row\"house", "0.1.0");
}

static uint64_t
counted(const struct pool *p, unsigned outcome)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < p->segment->head->slots; i++)
		n += rh_segment_cells(p->segment, i)[p->log.lines.cell + outcome];
	return n;
}

/* The oldest line in the ring; parsed, and checked for what holds of all. */
static struct json_object *
line_of(struct pool *p, const char **text)
{
	char *line = rh_arena_alloc(rh_check_arena(), RH_LINE_MAX + 1);
	struct json_object *json;
	uint64_t missed;
	unsigned items;
	size_t n = rh_ring_take(p->log.ring, line, RH_LINE_MAX, &items,
	    &missed);

	ck_assert_uint_gt(n, 0);
	line[n] = 0;
	ck_assert_uint_eq(strlen(line), n);
	ck_assert_ptr_eq(strchr(line, '\n'), line + n - 1);
	json = json_tokener_parse(line);
	ck_assert_msg(json != NULL, "%s", line);
	ck_assert_str_eq(json_object_get_string(json_object_object_get(json,
	    "service")), "row\"house");
	ck_assert_int_eq(json_object_get_int(json_object_object_get(json,
	    "pid")), getpid());
	*text = line;
	return json;
}

START_TEST(fields_stand_in_the_order_called)
{
	const unsigned char trace[16] = { 0xab, [15] = 0x01 };
	struct rh_uuid id = { { 1, [15] = 2 } };
	struct rh_line line;
	const char *text;
	struct pool p;

	pool_open(&p);
	rh_line_open(&line, &p.log, RH_LOG_INFO, "request", NOW);
	rh_line_hex(&line, "trace_id", trace, 16);
	rh_line_hex(&line, "span_id", NULL, 8);
	rh_line_text(&line, "path", RH_SLICE("/a\"b\\c\n\x01\xff\xc3\xa9"), 100);
	rh_line_text(&line, "tenant", RH_SLICE_NONE, 100);
	rh_line_text(&line, "role", RH_SLICE(""), 100);
	rh_line_int(&line, "status", -200);
	rh_line_ms(&line, "duration_ms", 1234567);
	rh_line_bool(&line, "sampled", true);
	rh_line_uuid(&line, "user_id", id);
	rh_line_uuid(&line, "token_id", RH_UUID_NIL);
	rh_line_object(&line, "rt");
	rh_line_int(&line, "pg", 1);
	rh_line_int(&line, "redis", 0);
	rh_line_object_end(&line);
	rh_line_bool(&line, "last", false);
	rh_line_close(&line);
	json_object_put(line_of(&p, &text));
	ck_assert_str_eq(text, rh_arena_printf(rh_check_arena(),
	    "{\"time\":\"2026-01-02T03:04:05.678901Z\",\"level\":\"info\","
	    "\"msg\":\"request\","
	    "\"trace_id\":\"ab000000000000000000000000000001\","
	    "\"path\":\"/a\\\"b\\\\c\\n\\u0001\xef\xbf\xbd\xc3\xa9\","
	    "\"role\":\"\",\"status\":-200,\"duration_ms\":1.234,"
	    "\"sampled\":true,"
	    "\"user_id\":\"01000000-0000-0000-0000-000000000002\","
	    "\"rt\":{\"pg\":1,\"redis\":0},\"last\":false,"
	    "\"service\":\"row\\\"house\",\"version\":\"0.1.0\",\"pid\":%d}\n",
	    getpid()));
	rh_segment_close(&p.segment);
}
END_TEST

/* What is cut to what: whole characters, whole escapes. */
static const struct { const char *text; size_t cap; const char *left; } cuts[] = {
	{ "abcdef", 6, "abcdef" },
	{ "abcdef", 5, "abcde" },
	{ "abc\xc3\xa9", 5, "abc\xc3\xa9" },
	{ "abc\xc3\xa9", 4, "abc" },
	{ "ab\xf0\x9f\x8f\xa0z", 6, "ab\xf0\x9f\x8f\xa0" },
	{ "ab\xf0\x9f\x8f\xa0z", 5, "ab" },
	{ "ab\n\nd", 5, "ab\n" },
	{ "ab\"", 3, "ab" },
	{ "\x01\x01", 11, "\x01" },
	{ "\x01\x01", 12, "\x01\x01" },
	{ "\xff\xff\xff", 8, "\xef\xbf\xbd\xef\xbf\xbd" },
	{ "a", 0, "" },
};

START_TEST(a_long_text_is_cut_at_a_character)
{
	struct json_object *json;
	struct rh_line line;
	const char *text, *left;
	struct pool p;
	bool cut = strcmp(cuts[_i].text, cuts[_i].left) != 0;

	pool_open(&p);
	rh_line_open(&line, &p.log, RH_LOG_WARN, "m", NOW);
	rh_line_text(&line, "path", rh_slice_of(cuts[_i].text), cuts[_i].cap);
	rh_line_close(&line);
	json = line_of(&p, &text);
	left = json_object_get_string(json_object_object_get(json, "path"));
	ck_assert_str_eq(left, cuts[_i].left);
	ck_assert_int_eq(json_object_get_boolean(json_object_object_get(json,
	    "truncated")), cut);
	json_object_put(json);
	rh_segment_close(&p.segment);
}
END_TEST

/* Lines that would not fit: what the long text is made of, and how much. */
static const struct { const char *unit; size_t times, cap; } floods[] = {
	{ "a", 5000, SIZE_MAX }, { "a", 4000, SIZE_MAX }, { "\n", 4000, SIZE_MAX },
	{ "\x01", 4000, 3000 }, { "\xf0\x9f\x8f\xa0", 2000, SIZE_MAX },
	{ "\xff", 65000, SIZE_MAX }, { "\"", 1900, SIZE_MAX },
	{ "a", 3780, SIZE_MAX }, { "a", 3800, SIZE_MAX }, { "a", 3820, SIZE_MAX },
	{ "a", 3840, SIZE_MAX }, { "a", 3860, SIZE_MAX }, { "a", 3880, SIZE_MAX },
	{ "a", 3900, SIZE_MAX }, { "a", 3920, SIZE_MAX }, { "a", 3940, SIZE_MAX },
	{ "a", 3960, SIZE_MAX }, { "a", 3980, SIZE_MAX },
};

START_TEST(a_line_is_bounded_and_stays_json)
{
	char *flood = malloc(floods[_i].times * strlen(floods[_i].unit) + 1);
	struct json_object *json;
	struct rh_line line;
	const char *text;
	struct pool p;

	flood[0] = 0;
	for (size_t i = 0, n = strlen(floods[_i].unit); i < floods[_i].times;
	    i++)
		memcpy(flood + i * n, floods[_i].unit, n + 1);
	pool_open(&p);
	rh_line_open(&line, &p.log, RH_LOG_ERROR, "request", NOW);
	rh_line_int(&line, "status", 200);
	rh_line_text(&line, "path", rh_slice_of(flood), floods[_i].cap);
	rh_line_text(&line, "user_agent", rh_slice_of(flood), 256);
	rh_line_object(&line, "rt");
	rh_line_int(&line, "pg", 1);
	rh_line_text(&line, "inner", rh_slice_of(flood), SIZE_MAX);
	rh_line_object_end(&line);
	rh_line_object(&line, "ms");
	rh_line_text(&line, "inner", rh_slice_of(flood), SIZE_MAX);
	rh_line_object_end(&line);
	rh_line_ms(&line, "duration_ms", 5);
	rh_line_bool(&line, "sampled", true);
	rh_line_hex(&line, "trace_id", "0123456789abcdef", 16);
	rh_line_uuid(&line, "user_id", (struct rh_uuid){ { 1 } });
	rh_line_close(&line);
	json = line_of(&p, &text);
	ck_assert_uint_le(strlen(text), RH_LINE_MAX);
	ck_assert_int_eq(json_object_get_int(json_object_object_get(json,
	    "status")), 200);
	ck_assert(json_object_get_boolean(json_object_object_get(json,
	    "truncated")));
	json_object_put(json);
	free(flood);
	rh_segment_close(&p.segment);
}
END_TEST

START_TEST(other_lines_carry_the_request)
{
	struct json_object *json;
	const char *text;
	struct pool p;

	pool_open(&p);
	p.log.request_id = RH_SLICE("req-12345678");
	p.log.trace_id = (const unsigned char *)"0123456789abcdef";
	p.log.span_id = (const unsigned char *)"01234567";
	p.log.tenant = RH_SLICE("acme");
	rh_log_say(&p.log, RH_LOG_WARN, "lost %d of %s", 3, "five");
	json = line_of(&p, &text);
	ck_assert_str_eq(json_object_get_string(json_object_object_get(json,
	    "msg")), "lost 3 of five");
	ck_assert_str_eq(json_object_get_string(json_object_object_get(json,
	    "request_id")), "req-12345678");
	ck_assert_str_eq(json_object_get_string(json_object_object_get(json,
	    "trace_id")), "30313233343536373839616263646566");
	ck_assert_str_eq(json_object_get_string(json_object_object_get(json,
	    "tenant")), "acme");
	json_object_put(json);
	rh_log_say(&p.log, RH_LOG_WARN, "%5000d", 3);
	json = line_of(&p, &text);
	ck_assert(json_object_get_boolean(json_object_object_get(json,
	    "truncated")));
	json_object_put(json);
	rh_segment_close(&p.segment);
}
END_TEST

START_TEST(without_a_segment_lines_go_to_stderr)
{
	struct rh_log log = { .ring = NULL };
	int pipes[2], saved = dup(STDERR_FILENO);
	char text[512];
	ssize_t n;

	ck_assert_int_eq(pipe(pipes), 0);
	rh_log_bind(&log, NULL, 0, rh_check_arena());
	dup2(pipes[1], STDERR_FILENO);
	rh_log_say(&log, RH_LOG_INFO, "hello");
	dup2(saved, STDERR_FILENO);
	n = read(pipes[0], text, sizeof(text) - 1);
	ck_assert_int_gt(n, 0);
	text[n] = 0;
	ck_assert_ptr_nonnull(strstr(text, "\"msg\":\"hello\",\"pid\":"));
}
END_TEST

/* The drain, in a process of its own as in a pool. */

static volatile sig_atomic_t stop;

static void
on_term(int sig)
{
	(void)sig;
	stop = 1;
}

static pid_t
drain_start(const struct pool *p, int fd, int close_fd)
{
	const struct sigaction act = { .sa_handler = on_term };
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid)
		return pid;
	sigaction(SIGTERM, &act, NULL);
	if (close_fd >= 0)
		close(close_fd);
	rh_log_drain(p->segment, fd, &stop);
	_exit(0);
}

static void
drain_stop(const struct pool *p, pid_t pid)
{
	/* the signal must find its handler */
	while (!rh_segment_slot(p->segment,
	    rh_segment_writer_slot(p->segment))->pid)
		usleep(1000);
	ck_assert_int_eq(kill(pid, SIGTERM), 0);
	scratch_reap(pid, 0);
}

static void
say(struct pool *p, unsigned number)
{
	struct rh_line line;

	rh_line_open(&line, &p->log, RH_LOG_INFO, "request", NOW);
	rh_line_int(&line, "number", number);
	rh_line_text(&line, "filler", (struct rh_slice){
	    "................................................................"
	    "................................................................",
	    number % 128 }, 128);
	rh_line_close(&line);
}

/* In how many lines which sum of dropped ones was told. */
static struct { unsigned lines; uint64_t sum; } told;

/* Up to so many; numbers in order, each at most once. Answers how many came. */
static unsigned
read_some(FILE *f, unsigned most)
{
	char line[RH_LINE_MAX + 2];
	struct json_object *json, *dropped;
	int last = -1, number;
	unsigned n = 0;

	while (n < most && fgets(line, sizeof(line), f)) {
		json = json_tokener_parse(line);
		ck_assert_msg(json != NULL, "%s", line);
		n++;
		if (json_object_object_get_ex(json, "dropped", &dropped)) {
			told.lines++;
			told.sum += (uint64_t)json_object_get_int64(dropped);
			json_object_put(json);
			continue;
		}
		number = json_object_get_int(json_object_object_get(json,
		    "number"));
		ck_assert_int_gt(number, last);
		last = number;
		json_object_put(json);
	}
	return n;
}

static unsigned
read_lines(int fd)
{
	FILE *f = fdopen(fd, "r");
	unsigned n = read_some(f, UINT32_MAX);

	fclose(f);
	return n;
}

/*
 * Nobody reads: the pipe and the ring fill, and the writer never waits (it
 * would for ever). What was dropped and what comes out later add up.
 */
START_TEST(a_stalled_reader_costs_lines_and_counts_them)
{
	const unsigned lines = 20000;
	int pipes[2];
	struct pool p;
	uint64_t dropped;
	pid_t pid;
	FILE *f;

	pool_open(&p);
	ck_assert_int_eq(pipe(pipes), 0);
	/* less than the ring: of what is dropped nothing is told before we read */
	ck_assert_int_gt(fcntl(pipes[1], F_SETPIPE_SZ, 4096), 0);
	pid = drain_start(&p, pipes[1], pipes[0]);
	close(pipes[1]);
	for (unsigned i = 0; i < lines; i++)
		say(&p, i);
	dropped = counted(&p, 1);
	ck_assert_uint_gt(dropped, 0);
	ck_assert_uint_lt(dropped, lines);
	/* all that is left, for one that ends waits a second for its reader */
	f = fdopen(pipes[0], "r");
	ck_assert_uint_eq(read_some(f, (unsigned)(lines - dropped)),
	    lines - dropped);
	drain_stop(&p, pid);
	ck_assert_uint_eq(read_some(f, UINT32_MAX), 1);
	fclose(f);
	ck_assert_uint_eq(told.lines, 1);
	ck_assert_uint_eq(told.sum, dropped);
	ck_assert_uint_eq(counted(&p, 0), lines - dropped + 1);
	ck_assert_uint_eq(counted(&p, 1), dropped);
	rh_segment_close(&p.segment);
}
END_TEST

/* It goes on: what was dropped is told without anybody's end. */
START_TEST(a_reader_that_is_back_hears_of_it_once)
{
	char text[65536];
	int pipes[2];
	struct pool p;
	uint64_t dropped;
	unsigned i = 0;
	pid_t pid;

	pool_open(&p);
	ck_assert_int_eq(pipe(pipes), 0);
	pid = drain_start(&p, pipes[1], pipes[0]);
	close(pipes[1]);
	while (counted(&p, 1) == 0)
		say(&p, i++);
	dropped = counted(&p, 1);
	while (
	    atomic_load(&rh_seg_live_pool(p.segment)->dropped_told) != dropped)
		if (read(pipes[0], text, sizeof(text)) <= 0)
			break;
	say(&p, i++);
	drain_stop(&p, pid);
	(void)read_lines(pipes[0]);
	ck_assert_uint_le(told.lines, 1);
	ck_assert_uint_eq(counted(&p, 0) + counted(&p, 1), i + 1);
	ck_assert_uint_eq(counted(&p, 1), dropped);
	rh_segment_close(&p.segment);
}
END_TEST

/* Its predecessor was killed, or the pool before had no reader. */
START_TEST(what_nobody_was_told_of_is_told_at_the_start)
{
	int pipes[2];
	struct pool p;
	unsigned i = 0;
	pid_t pid;

	pool_open(&p);
	ck_assert_int_eq(pipe(pipes), 0);
	while (counted(&p, 1) < 7)
		say(&p, i++);
	pid = drain_start(&p, pipes[1], pipes[0]);
	close(pipes[1]);
	drain_stop(&p, pid);
	ck_assert_uint_eq(read_lines(pipes[0]), i - 7 + 1);
	ck_assert_uint_eq(told.lines, 1);
	ck_assert_uint_eq(told.sum, 7);
	rh_segment_close(&p.segment);
}
END_TEST

START_TEST(a_reader_that_never_reads_cannot_hold_the_end)
{
	const unsigned lines = 3000;
	int pipes[2];
	struct pool p;
	pid_t pid;

	pool_open(&p);
	ck_assert_int_eq(pipe(pipes), 0);
	pid = drain_start(&p, pipes[1], -1);
	for (unsigned i = 0; i < lines; i++)
		say(&p, i);
	drain_stop(&p, pid);
	close(pipes[1]);
	ck_assert_uint_eq(read_lines(pipes[0]), counted(&p, 0));
	/* where the pipe took all that the ring had, the drain told of the rest */
	ck_assert_uint_eq(counted(&p, 0) + counted(&p, 1), lines + told.lines);
	rh_segment_close(&p.segment);
}
END_TEST

static char
state_of(pid_t pid)
{
	FILE *f = fopen(rh_arena_printf(rh_check_arena(), "/proc/%d/stat",
	    (int)pid), "r");
	char state = 0;

	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fscanf(f, "%*d (%*[^)]) %c", &state), 1);
	fclose(f);
	return state;
}

/* In poll, with lines that fd does not take: nowhere else it sleeps then. */
static bool
is_blocked(const struct pool *p, pid_t pid, int fd)
{
	struct pollfd out = { .fd = fd, .events = POLLOUT };

	return poll(&out, 1, 0) == 0 && rh_ring_has(p->log.ring) &&
	    state_of(pid) == 'S';
}

/* What it had read and not written is the next one's. */
START_TEST(a_killed_drain_leaves_its_lines_to_the_next)
{
	int pipes[2];
	struct pool p;
	uint64_t dropped;
	unsigned i = 0, n;
	pid_t pid;

	pool_open(&p);
	ck_assert_int_eq(pipe(pipes), 0);
	pid = drain_start(&p, pipes[1], pipes[0]);
	for (; !is_blocked(&p, pid, pipes[1]); usleep(1000))
		for (n = 0; n < 50; n++)
			say(&p, i++);
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	scratch_reap(pid, SIGKILL);
	dropped = counted(&p, 1);
	pid = drain_start(&p, pipes[1], pipes[0]);
	close(pipes[1]);
	while (rh_segment_slot(p.segment,
	    rh_segment_writer_slot(p.segment))->pid != pid)
		usleep(1000);
	ck_assert_int_eq(kill(pid, SIGTERM), 0);
	n = read_lines(pipes[0]);
	scratch_reap(pid, 0);
	ck_assert_uint_eq(n, i - dropped + told.lines);
	ck_assert_uint_eq(told.sum, dropped);
	ck_assert_uint_eq(counted(&p, 0), n);
	ck_assert_uint_eq(counted(&p, 1), dropped);
	rh_segment_close(&p.segment);
}
END_TEST

START_TEST(a_sleeping_drain_is_woken)
{
	int pipes[2];
	_Atomic uint32_t *bell;
	struct pool p;
	pid_t pid;

	pool_open(&p);
	bell = p.log.bell;
	ck_assert_int_eq(pipe(pipes), 0);
	pid = drain_start(&p, pipes[1], pipes[0]);
	close(pipes[1]);
	for (unsigned i = 0; i < 3; i++) {
		char text[1024];

		while (!atomic_load(bell))
			usleep(1000);
		say(&p, i);
		ck_assert_int_gt(read(pipes[0], text, sizeof(text)), 0);
	}
	drain_stop(&p, pid);
	ck_assert_uint_eq(counted(&p, 0), 3);
	close(pipes[0]);
	rh_segment_close(&p.segment);
}
END_TEST

/* As a master that was killed leaves its writer, and the next one starts. */
START_TEST(a_second_drain_waits_for_the_first)
{
	const unsigned lines = 200;	/* fewer than fill the pipe */
	int pipes[2];
	struct pool p;
	pid_t first, second;

	pool_open(&p);
	ck_assert_int_eq(pipe(pipes), 0);
	first = drain_start(&p, pipes[1], pipes[0]);
	while (!atomic_load(p.log.bell))
		usleep(1000);
	second = drain_start(&p, pipes[1], pipes[0]);
	close(pipes[1]);
	for (unsigned i = 0; i < lines; i++) {
		say(&p, i);
		usleep(i % 50 ? 0 : 10000);
	}
	ck_assert_int_eq(rh_segment_slot(p.segment,
	    rh_segment_writer_slot(p.segment))->pid, first);
	ck_assert_int_eq(kill(first, SIGTERM), 0);
	scratch_reap(first, 0);
	drain_stop(&p, second);
	ck_assert_uint_eq(read_lines(pipes[0]), counted(&p, 0));
	/* of a slow drain's lines some may have been dropped, and told of */
	ck_assert_uint_eq(counted(&p, 0) + counted(&p, 1), lines + told.lines);
	rh_segment_close(&p.segment);
}
END_TEST

/* All slots' lines, the master's too, and a file takes them in large writes. */
START_TEST(lines_of_all_slots_reach_a_file)
{
	char *path;
	struct pool p;
	struct rh_log other;
	pid_t pid;
	int fd;

	pool_open(&p);
	path = rh_arena_printf(rh_check_arena(), "%s.log", p.segment->path);
	fd = open(path, O_CREAT | O_RDWR | O_APPEND, 0600);
	other = p.log;
	rh_log_bind(&other, p.segment, 0, rh_check_arena());
	rh_log_say(&other, RH_LOG_INFO, "from the master");
	for (unsigned i = 0; i < 50; i++)
		say(&p, i + 1);
	pid = drain_start(&p, fd, -1);
	drain_stop(&p, pid);
	ck_assert_uint_eq(counted(&p, 0), 51);
	ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
	ck_assert_uint_eq(read_lines(fd), 51);
	rh_segment_close(&p.segment);
}
END_TEST

/* What stdout is: a pipe that nobody reads, a full disk. */
static const char *const failures[] = { NULL, "/dev/full" };

/* stdout that fails: its lines are dropped, and the drain goes on. */
START_TEST(a_failed_stdout_costs_lines_and_counts_them)
{
	int pipes[2], fd = failures[_i] ? open(failures[_i], O_WRONLY) : -1;
	struct pool p;
	pid_t pid;

	pool_open(&p);
	ck_assert_int_eq(pipe(pipes), 0);
	close(pipes[0]);
	pid = drain_start(&p, fd < 0 ? pipes[1] : fd, -1);
	for (unsigned i = 0; i < 20; i++)
		say(&p, i);
	while (rh_ring_has(p.log.ring))
		usleep(1000);
	for (unsigned i = 0; i < 20; i++)
		say(&p, i);
	drain_stop(&p, pid);
	ck_assert_uint_eq(counted(&p, 0), 0);
	ck_assert_uint_eq(counted(&p, 1), 40);
	rh_segment_close(&p.segment);
}
END_TEST

RH_CHECK_MAIN("obs/log",
    RH_CASE(fields_stand_in_the_order_called),
    RH_LOOP(a_long_text_is_cut_at_a_character, cuts),
    RH_LOOP(a_line_is_bounded_and_stays_json, floods),
    RH_CASE(other_lines_carry_the_request),
    RH_CASE(without_a_segment_lines_go_to_stderr),
    RH_CASE(a_stalled_reader_costs_lines_and_counts_them),
    RH_CASE(a_reader_that_is_back_hears_of_it_once),
    RH_CASE(what_nobody_was_told_of_is_told_at_the_start),
    RH_CASE(a_reader_that_never_reads_cannot_hold_the_end),
    RH_CASE(a_killed_drain_leaves_its_lines_to_the_next),
    RH_CASE(a_sleeping_drain_is_woken),
    RH_CASE(a_second_drain_waits_for_the_first),
    RH_CASE(lines_of_all_slots_reach_a_file),
    RH_LOOP(a_failed_stdout_costs_lines_and_counts_them, failures))
