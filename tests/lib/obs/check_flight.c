/* tests/lib/obs/check_flight.c - what is in work can be read by anybody, at any moment. */
#include "config.h"

#include "obs/flight.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "rh_check.h"

static struct rh_flight *
none(void)
{
	return rh_arena_zalloc(rh_check_arena(), 1, sizeof(struct rh_flight));
}

static struct rh_flight_facts
some_facts(const char *id)
{
	return (struct rh_flight_facts){ .request_id = rh_slice_of(id),
	    .method = RH_SLICE("GET"), .route = RH_SLICE("/v1/t/{tenant}"),
	    .path = RH_SLICE("/v1/t/acme"), .tenant = RH_SLICE("acme"),
	    .trace_id = (const unsigned char *)"0123456789abcdef",
	    .deadline_ns = 77 };
}

START_TEST(nothing_is_in_work_before_and_after)
{
	struct rh_flight *f = none();
	struct rh_flight_facts facts = some_facts("request-1");
	struct rh_flight copy;

	ck_assert(!rh_flight_read(f, false, &copy));
	rh_flight_open(f, 5, 6);
	ck_assert(rh_flight_read(f, false, &copy));
	ck_assert_uint_eq(copy.phase, RH_PHASE_READING);
	rh_flight_tell(f, &facts);
	rh_flight_close(f);
	ck_assert(!rh_flight_read(f, false, &copy));
}
END_TEST

START_TEST(what_was_told_is_read)
{
	struct rh_flight *f = none();
	struct rh_flight_facts facts = some_facts("request-1");
	struct rh_flight copy;

	rh_flight_open(f, 5, 6);
	rh_flight_tell(f, &facts);
	rh_flight_at(f, RH_PHASE_QUERYING, "tasks.page");
	ck_assert(rh_flight_read(f, false, &copy));
	ck_assert_uint_eq(copy.phase, RH_PHASE_QUERYING);
	ck_assert_int_eq(copy.start_us, 5);
	ck_assert_uint_eq(copy.start_ns, 6);
	ck_assert_uint_eq(copy.deadline_ns, 77);
	ck_assert(rh_slice_is(rh_flight_text(&copy, waits_for), RH_SLICE("tasks.page")));
	ck_assert(rh_slice_is(rh_flight_text(&copy, tenant), RH_SLICE("acme")));
	ck_assert(rh_slice_is(rh_flight_text(&copy, request_id), RH_SLICE("request-1")));
	ck_assert_mem_eq(copy.trace_id, "0123456789abcdef", 16);
}
END_TEST

START_TEST(the_next_request_has_nothing_of_the_last)
{
	struct rh_flight *f = none();
	struct rh_flight_facts facts = some_facts("request-1");
	struct rh_flight copy;

	rh_flight_open(f, 5, 6);
	rh_flight_tell(f, &facts);
	rh_flight_at(f, RH_PHASE_QUERYING, "tasks.page");
	rh_flight_close(f);
	rh_flight_open(f, 7, 8);
	ck_assert(rh_flight_read(f, false, &copy));
	ck_assert_uint_eq(copy.request_id_n + copy.path_n + copy.tenant_n +
	    copy.waits_for_n + copy.deadline_ns, 0);
	ck_assert_int_eq(copy.trace_id[0], 0);
}
END_TEST

START_TEST(a_text_without_room_is_cut)
{
	struct rh_flight *f = none();
	static char path[5000];
	struct rh_flight_facts facts = some_facts("request-1");
	struct rh_flight copy;

	memset(path, 'p', sizeof(path));
	facts.path = (struct rh_slice){ path, sizeof(path) };
	rh_flight_open(f, 5, 6);
	rh_flight_tell(f, &facts);
	ck_assert(rh_flight_read(f, false, &copy));
	ck_assert_uint_eq(copy.path_n, sizeof(copy.path));
}
END_TEST

/* A worker that dies writing leaves turn odd for ever: only its master reads on. */
START_TEST(a_dead_writer_is_read_by_its_master_alone)
{
	struct rh_flight *f = none();
	struct rh_flight copy;

	rh_flight_open(f, 5, 6);
	atomic_fetch_add(&f->turn, 1);
	ck_assert(!rh_flight_read(f, false, &copy));
	ck_assert(rh_flight_read(f, true, &copy));
}
END_TEST

START_TEST(rubbish_has_no_length_beyond_its_room)
{
	struct rh_flight *f = none();
	struct rh_flight copy;

	memset(f, 0xee, sizeof(*f));
	atomic_store(&f->phase, RH_PHASE_HANDLING);
	ck_assert(rh_flight_read(f, true, &copy));
	ck_assert_uint_le(copy.path_n, sizeof(copy.path));
	ck_assert_uint_le(copy.request_id_n, sizeof(copy.request_id));
	ck_assert_uint_le(copy.waits_for_n, sizeof(copy.waits_for));
	atomic_store(&f->phase, RH_PHASES);
	ck_assert(!rh_flight_read(f, true, &copy));
}
END_TEST

/* Every text of one request has the same letter: a torn copy would mix two. */
START_TEST(a_copy_is_of_one_moment)
{
	struct rh_flight *shared = mmap(NULL, sizeof(*shared),
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct rh_flight copy;
	uint64_t until_ns = 0;
	unsigned seen = 0;
	pid_t writer;

	ck_assert_ptr_ne(shared, MAP_FAILED);
	if ((writer = fork()) == 0) {
		char text[400];

		for (unsigned i = 0; getppid() != 1; i++) {
			memset(text, 'a' + i % 26, sizeof(text));
			rh_flight_open(shared, i % 26, 0);
			rh_flight_tell(shared, &(struct rh_flight_facts){
			    .path = { text, sizeof(text) } });
		}
		_exit(0);
	}
	/* some at the least, however late the writer begins; then for so long */
	while (seen == 0 || (seen < 20000 && rh_clock_mono_ns() < until_ns)) {
		if (!rh_flight_read(shared, false, &copy) || copy.path_n == 0)
			continue;
		if (seen++ == 0)
			until_ns = rh_clock_mono_ns() + UINT64_C(3000000000);
		for (unsigned k = 0; k < copy.path_n; k++)
			ck_assert_int_eq(copy.path[k], 'a' + copy.start_us);
	}
	kill(writer, SIGKILL);
	waitpid(writer, NULL, 0);
}
END_TEST

RH_CHECK_MAIN("obs/flight",
    RH_CASE(nothing_is_in_work_before_and_after),
    RH_CASE(what_was_told_is_read),
    RH_CASE(the_next_request_has_nothing_of_the_last),
    RH_CASE(a_text_without_room_is_cut),
    RH_CASE(a_dead_writer_is_read_by_its_master_alone),
    RH_CASE(rubbish_has_no_length_beyond_its_room),
    RH_CASE(a_copy_is_of_one_moment))
