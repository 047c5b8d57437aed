/* tests/lib/data/check_lock.c - one at a time, and what is to happen once. */
#include "config.h"

#include "cache_stand.h"

/* ---- locks ---- */

START_TEST(one_has_the_lock_until_it_is_released)
{
	struct rh_cache *c = open_for(ours);
	struct rh_lock a, b;

	assert_done(rh_lock_acquire(c, S("l"), TTL_MS, &a));
	assert_code(rh_lock_acquire(c, S("l"), TTL_MS, &b), "lock.held");
	/* who does not have it cannot release or extend it */
	assert_code(rh_lock_release(&b), "lock.lost");
	assert_code(rh_lock_extend(&b, TTL_MS), "lock.lost");
	assert_done(rh_lock_extend(&a, TTL_MS));
	assert_done(rh_lock_release(&a));
	assert_code(rh_lock_release(&a), "lock.lost");
	assert_done(rh_lock_acquire(c, S("l"), TTL_MS, &b));
	ck_assert_int_gt(b.fence, a.fence);
	ck_assert_uint_eq(cells[RH_CACHE_RESULTS + RH_LOCK_ACQUIRED], 2);
	ck_assert_uint_eq(cells[RH_CACHE_RESULTS + RH_LOCK_HELD], 1);
}
END_TEST

START_TEST(a_lock_ends_with_its_time_unless_extended)
{
	struct rh_cache *c = open_for(ours);
	struct rh_lock a, b;

	assert_done(rh_lock_acquire(c, S("l"), BRIEF_MS, &a));
	assert_done(rh_lock_extend(&a, TTL_MS));
	rest_ms(BRIEF_MS + 50);
	assert_code(rh_lock_acquire(c, S("l"), TTL_MS, &b), "lock.held");
	assert_done(rh_lock_extend(&a, 50));
	rest_ms(100);
	assert_code(rh_lock_extend(&a, TTL_MS), "lock.lost");
	assert_done(rh_lock_acquire(c, S("l"), TTL_MS, &b));
	assert_code(rh_lock_release(&a), "lock.lost");
	assert_done(rh_lock_release(&b));
}
END_TEST

START_TEST(fences_grow_also_when_redis_forgets)
{
	struct rh_cache *c = open_for(ours);
	struct rh_lock a, b;

	assert_done(rh_lock_acquire(c, S("l"), TTL_MS, &a));
	rh_redis_send(redis, RH_SLICE_NONE, S("FLUSHALL"));
	(void)rh_redis_read(redis);
	assert_done(rh_lock_acquire(c, S("l"), TTL_MS, &b));
	ck_assert_int_gt(b.fence, a.fence);
}
END_TEST

/* Processes that count up together, a read and a write apart. */
START_TEST(many_processes_take_turns)
{
	enum { PROCESSES = 6, TURNS = 40 };
	struct shared { _Atomic int inside, most; int count; int64_t fence; } *s;

	s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (int p = 0; p < PROCESSES; p++) {
		if (fork())
			continue;
		for (int turn = 0; turn < TURNS;) {
			struct rh_lock lock;

			if (rh_lock_acquire(open_for(ours), S("turn"), TTL_MS,
			    &lock))
				continue;
			if (++s->inside > 1 || lock.fence <= s->fence)
				s->most = 1;
			s->fence = lock.fence;
			s->count++;
			s->inside--;
			turn += !rh_lock_release(&lock);
		}
		_exit(0);
	}
	for (int p = 0; p < PROCESSES; p++)
		wait(NULL);
	ck_assert_int_eq(s->count, PROCESSES * TURNS);
	ck_assert_int_eq(s->most, 0);
}
END_TEST

/* ---- when something dies ---- */

/* One that has it, and is killed over it. */
static void
die_with(bool lock)
{
	_Atomic bool *has = shared_zeroes(sizeof(*has));
	pid_t pid = fork();

	if (pid == 0) {
		struct rh_lock l;
		struct rh_once o;

		if (lock)
			assert_done(rh_lock_acquire(open_for(ours), S("x"),
			    BRIEF_MS, &l));
		else
			assert_done(rh_once_begin(open_for(ours), S("x"),
			    BRIEF_MS, &o));
		*has = true;
		pause();
	}
	while (!*has)
		rest_ms(1);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

START_TEST(who_dies_has_the_lock_to_the_end_of_its_time_and_no_longer)
{
	struct rh_lock lock;
	struct rh_err *err;
	int i;

	die_with(true);
	err = rh_lock_acquire(open_for(ours), S("x"), TTL_MS, &lock);
	/* where we were slow it was over by then */
	for (i = 0; err && i < 1000; i++) {
		ck_assert(rh_cache_err_is(err, "lock.held"));
		rest_ms(10);
		err = rh_lock_acquire(open_for(ours), S("x"), TTL_MS, &lock);
	}
	ck_assert_ptr_null(err);
	assert_done(rh_lock_release(&lock));
}
END_TEST

static void
restart(void)
{
	redis_server_kill(&server);
	redis_server_start(&server);
	for (int i = 0; i < 1000 && rh_cache_health(open_for(ours)); i++) {
		rest_ms(10);
		rh_redis_end(redis);
		rh_redis_begin(redis, rh_check_arena(), NULL);
	}
}

static void (*const losses[])(void) = { flush_all, restart };

START_TEST(what_redis_forgot_is_another_s_and_not_the_first_one_s)
{
	struct rh_cache *c = open_for(ours);
	struct rh_lock a, b;

	assert_done(rh_lock_acquire(c, S("l"), TTL_MS, &a));
	losses[_i]();
	assert_code(rh_lock_extend(&a, TTL_MS), "lock.lost");
	assert_done(rh_lock_acquire(c, S("l"), TTL_MS, &b));
	ck_assert_int_gt(b.fence, a.fence);
	assert_code(rh_lock_release(&a), "lock.lost");
	assert_done(rh_lock_extend(&b, TTL_MS));
	assert_done(rh_lock_release(&b));
}
END_TEST

/* As a database does that has: update … where fence < $1. */
START_TEST(who_stalled_past_its_time_is_refused_by_its_fence)
{
	struct rh_cache *c = open_for(ours);
	struct rh_lock stalled, next;
	int64_t stored = 0;

	assert_done(rh_lock_acquire(c, S("l"), 50, &stalled));
	rest_ms(100);
	assert_done(rh_lock_acquire(c, S("l"), TTL_MS, &next));
	stored = next.fence;
	ck_assert_int_lt(stalled.fence, stored);
	assert_code(rh_lock_release(&stalled), "lock.lost");
	assert_code(rh_lock_acquire(c, S("l"), TTL_MS, &stalled), "lock.held");
}
END_TEST

START_TEST(without_redis_nobody_has_a_lock_and_nothing_is_said_to_be_done)
{
	struct rh_cache *none = rh_cache_open(rh_check_arena(),
	    &(struct rh_cache_conf){ .tenant = ours, .obs = &obs });
	struct rh_cache *c = open_for(ours);
	struct rh_once once;
	struct rh_lock lock;

	assert_code(rh_lock_acquire(none, S("l"), TTL_MS, &lock),
	    "cache.configuration");
	assert_code(rh_once_begin(none, S("o"), TTL_MS, &once),
	    "cache.configuration");
	redis_server_kill(&server);
	assert_code(rh_lock_acquire(c, S("l"), TTL_MS, &lock),
	    "cache.connection");
	assert_code(rh_lock_release(&lock), "cache.connection");
	assert_code(rh_once_begin(c, S("o"), TTL_MS, &once),
	    "cache.connection");
	ck_assert_uint_eq(cells[RH_CACHE_RESULTS + RH_LOCK_OFF], 2);
	ck_assert_uint_eq(cells[RH_CACHE_RESULTS + RH_LOCK_ACQUIRED], 0);
}
END_TEST

/* ---- once ---- */

START_TEST(it_happens_once_and_all_see_its_result)
{
	struct rh_cache *c = open_for(ours);
	struct rh_once a, b;

	assert_done(rh_once_begin(c, S("job"), TTL_MS, &a));
	ck_assert_int_eq(a.state, RH_ONCE_FIRST);
	assert_done(rh_once_begin(c, S("job"), TTL_MS, &b));
	ck_assert_int_eq(b.state, RH_ONCE_RUNNING);
	assert_done(rh_once_done(&a, S("result"), TTL_MS));
	assert_done(rh_once_begin(c, S("job"), TTL_MS, &b));
	ck_assert_int_eq(b.state, RH_ONCE_DONE);
	rh_assert_slice_eq(b.result, S("result"));
	assert_code(rh_once_undo(&a), "cache.cas_failed");
}
END_TEST

START_TEST(what_did_not_happen_is_the_next_ones)
{
	struct rh_cache *c = open_for(ours);
	struct rh_once a, b;

	assert_done(rh_once_begin(c, S("job"), TTL_MS, &a));
	assert_done(rh_once_undo(&a));
	assert_done(rh_once_begin(c, S("job"), 50, &b));
	ck_assert_int_eq(b.state, RH_ONCE_FIRST);
	rest_ms(100);		/* as one that died over it */
	assert_done(rh_once_begin(c, S("job"), TTL_MS, &a));
	ck_assert_int_eq(a.state, RH_ONCE_FIRST);
	assert_code(rh_once_done(&b, S("late"), TTL_MS), "cache.cas_failed");
	assert_done(rh_once_done(&a, S(""), TTL_MS));
}
END_TEST

START_TEST(of_many_processes_one_does_it_and_all_have_its_result)
{
	enum { PROCESSES = 8, MESSAGES = 20 };
	struct shared { _Atomic int done[MESSAGES]; _Atomic int strange; } *s =
	    shared_zeroes(sizeof(*s));

	for (int p = 0; p < PROCESSES; p++) {
		if (fork())
			continue;
		for (int m = 0; m < MESSAGES;) {
			struct rh_slice name = rh_slice_of(rh_arena_printf(
			    rh_check_arena(), "message %d", m));
			struct rh_once once;

			assert_done(rh_once_begin(open_for(ours), name, TTL_MS,
			    &once));
			if (once.state == RH_ONCE_FIRST) {
				s->done[m]++;
				rest_ms(1);
				assert_done(rh_once_done(&once, name, TTL_MS));
			} else if (once.state == RH_ONCE_DONE) {
				s->strange += !rh_slice_is(once.result, name);
				m++;
			}
		}
		_exit(0);
	}
	all_end(PROCESSES);
	for (int m = 0; m < MESSAGES; m++)
		ck_assert_int_eq(s->done[m], 1);
	ck_assert_int_eq(s->strange, 0);
}
END_TEST

START_TEST(what_who_died_began_is_begun_by_the_next_when_its_time_is_over)
{
	struct rh_once once = { .state = RH_ONCE_RUNNING };

	die_with(false);
	for (int i = 0; i < 1000 && once.state == RH_ONCE_RUNNING; i++) {
		assert_done(rh_once_begin(open_for(ours), S("x"), TTL_MS,
		    &once));
		rest_ms(10);
	}
	ck_assert_int_eq(once.state, RH_ONCE_FIRST);
}
END_TEST

/* So what may never happen twice is not for this alone. */
START_TEST(what_redis_forgot_in_the_middle_is_begun_anew_and_that_is_told)
{
	struct rh_cache *c = open_for(ours);
	struct rh_once a, b;

	assert_done(rh_once_begin(c, S("x"), TTL_MS, &a));
	flush_all();
	assert_code(rh_once_done(&a, S("a"), TTL_MS), "cache.cas_failed");
	assert_done(rh_once_begin(c, S("x"), TTL_MS, &b));
	ck_assert_int_eq(b.state, RH_ONCE_FIRST);
	assert_code(rh_once_done(&a, S("a"), TTL_MS), "cache.cas_failed");
	assert_code(rh_once_undo(&a), "cache.cas_failed");
	assert_done(rh_once_done(&b, S("b"), TTL_MS));
}
END_TEST

int
main(void)
{
	const struct rh_check_case cases[] = {
		RH_CASE(one_has_the_lock_until_it_is_released),
		RH_CASE(a_lock_ends_with_its_time_unless_extended),
		RH_CASE(fences_grow_also_when_redis_forgets),
		RH_CASE(many_processes_take_turns),
		RH_CASE(who_dies_has_the_lock_to_the_end_of_its_time_and_no_longer),
		RH_LOOP(what_redis_forgot_is_another_s_and_not_the_first_one_s, losses),
		RH_CASE(who_stalled_past_its_time_is_refused_by_its_fence),
		RH_CASE(without_redis_nobody_has_a_lock_and_nothing_is_said_to_be_done),
		RH_CASE(it_happens_once_and_all_see_its_result),
		RH_CASE(what_did_not_happen_is_the_next_ones),
		RH_CASE(of_many_processes_one_does_it_and_all_have_its_result),
		RH_CASE(what_who_died_began_is_begun_by_the_next_when_its_time_is_over),
		RH_CASE(what_redis_forgot_in_the_middle_is_begun_anew_and_that_is_told),
	};

	return stand_main("data/lock", cases, RH_COUNT(cases), stand_tear_down);
}
