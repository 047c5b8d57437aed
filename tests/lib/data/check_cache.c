/* tests/lib/data/check_cache.c - what an application keeps in Redis. */
#include "config.h"

#include "cache_stand.h"

/* ---- the cache ---- */

static const struct rh_slice values[] = { RH_SLICE_INIT("text"), RH_SLICE_INIT(""),
    RH_SLICE_INIT("\0\r\n$-1\xff") };

START_TEST(what_is_set_is_got_until_it_is_deleted)
{
	struct rh_cache *c = open_for(ours);
	struct rh_slice value;

	assert_code(rh_cache_get(c, S("k"), &value), "cache.not_found");
	ck_assert_ptr_null(value.p);
	assert_done(rh_cache_set(c, S("k"), values[_i], TTL_MS));
	assert_done(rh_cache_get(c, S("k"), &value));
	rh_assert_slice_eq(value, values[_i]);
	ck_assert_ptr_nonnull(value.p);
	assert_done(rh_cache_delete(c, S("k")));
	assert_done(rh_cache_delete(c, S("k")));
	assert_code(rh_cache_get(c, S("k"), &value), "cache.not_found");
}
END_TEST

START_TEST(it_ends_when_its_time_is_over)
{
	struct rh_cache *c = open_for(ours);
	struct rh_slice value;

	assert_done(rh_cache_set(c, S("k"), S("v"), 50));
	rest_ms(100);
	assert_code(rh_cache_get(c, S("k"), &value), "cache.not_found");
}
END_TEST

START_TEST(no_tenant_sees_anothers)
{
	struct rh_cache *a = open_for(ours), *b = open_for(theirs);
	struct rh_slice value;
	struct rh_lock lock;

	assert_done(rh_cache_set(a, S("k"), S("v"), TTL_MS));
	assert_code(rh_cache_get(b, S("k"), &value), "cache.not_found");
	assert_done(rh_cache_delete(b, S("k")));
	assert_done(rh_cache_get(a, S("k"), &value));
	assert_done(rh_lock_acquire(a, S("k"), TTL_MS, &lock));
	assert_done(rh_lock_acquire(b, S("k"), TTL_MS, &lock));
}
END_TEST

START_TEST(the_first_sets_and_the_others_get)
{
	struct rh_cache *c = open_for(ours);
	struct rh_slice stored;
	bool was_set;

	assert_done(rh_cache_get_or_set(c, S("k"), S("1"), TTL_MS, &stored,
	    &was_set));
	ck_assert(was_set);
	rh_assert_slice_eq(stored, S("1"));
	assert_done(rh_cache_get_or_set(c, S("k"), S("2"), TTL_MS, &stored,
	    &was_set));
	ck_assert(!was_set);
	rh_assert_slice_eq(stored, S("1"));
}
END_TEST

START_TEST(a_value_changes_only_from_what_is_expected)
{
	struct rh_cache *c = open_for(ours);
	struct rh_slice value;

	assert_code(rh_cache_compare_and_set(c, S("k"), S("0"), S("1"), TTL_MS),
	    "cache.cas_failed");
	assert_done(rh_cache_compare_and_set(c, S("k"), RH_SLICE_NONE, S("1"),
	    TTL_MS));
	assert_code(rh_cache_compare_and_set(c, S("k"), RH_SLICE_NONE, S("2"),
	    TTL_MS), "cache.cas_failed");
	assert_code(rh_cache_compare_and_set(c, S("k"), S(""), S("2"), TTL_MS),
	    "cache.cas_failed");
	assert_done(rh_cache_compare_and_set(c, S("k"), S("1"), S("2"), TTL_MS));
	assert_code(rh_cache_compare_and_delete(c, S("k"), S("1")),
	    "cache.cas_failed");
	assert_done(rh_cache_get(c, S("k"), &value));
	rh_assert_slice_eq(value, S("2"));
	assert_done(rh_cache_compare_and_delete(c, S("k"), S("2")));
	assert_code(rh_cache_compare_and_delete(c, S("k"), S("2")),
	    "cache.cas_failed");
}
END_TEST

static const int64_t bad_ttls[] = { 0, -1, INT64_MIN, RH_CACHE_TTL_MAX_MS + 1,
    INT64_MAX };

START_TEST(what_never_ends_is_not_stored)
{
	struct rh_cache *c = open_for(ours);
	int64_t ttl = bad_ttls[_i];
	struct rh_slice stored;
	struct rh_lock lock;
	bool was_set;

	assert_code(rh_cache_set(c, S("k"), S("v"), ttl), "cache.invalid_ttl");
	assert_code(rh_cache_get_or_set(c, S("k"), S("v"), ttl, &stored,
	    &was_set), "cache.invalid_ttl");
	assert_code(rh_cache_compare_and_set(c, S("k"), RH_SLICE_NONE, S("v"),
	    ttl), "cache.invalid_ttl");
	assert_code(rh_lock_acquire(c, S("k"), ttl, &lock), "cache.invalid_ttl");
	assert_code(rh_cache_get(c, S("k"), &stored), "cache.not_found");
}
END_TEST

START_TEST(an_error_has_its_key_and_operation)
{
	struct rh_cache *c = open_for(ours);
	const struct rh_cache_err *e;
	struct rh_err *err;
	struct rh_slice value;

	err = rh_cache_get(c, S("some key"), &value);
	ck_assert_ptr_nonnull(e = rh_cache_err_of(err));
	ck_assert_str_eq(e->operation, "get");
	rh_assert_slice_eq(e->key, S("some key"));
	ck_assert(!strstr(err->detail, "some key") &&
	    !strstr(err->cause, "some key"));
	ck_assert_ptr_null(rh_cache_err_of(NULL));
	ck_assert_ptr_null(rh_cache_err_of(rh_err_new(rh_check_arena(), RH_E_BUG,
	    "other.error", "none of ours")));
}
END_TEST

START_TEST(what_redis_refuses_is_an_operations_error)
{
	struct rh_cache *c = open_for(ours);
	struct rh_slice value;
	struct rh_err *err;

	rh_redis_send(redis, RH_SLICE_NONE, S("LPUSH"),
	    S("{01000000-0000-0000-0000-000000000000}:c:k"), S("x"));
	ck_assert_int_eq(rh_redis_read(redis)->kind, RH_REDIS_INT);
	err = rh_cache_get(c, S("k"), &value);
	ck_assert(rh_cache_err_is(err, "cache.operation"));
	ck_assert_ptr_nonnull(strstr(err->cause, "get: WRONGTYPE"));
	assert_code(rh_cache_compare_and_set(c, S("k"), S("1"), S("2"), TTL_MS),
	    "cache.operation");
	/* and the next one is none the worse for it */
	assert_done(rh_cache_set(c, S("k2"), S("v"), TTL_MS));
}
END_TEST

START_TEST(bounds_hold_before_anything_is_sent)
{
	struct rh_cache *c = open_for(ours);
	char *big = rh_arena_zalloc(rh_check_arena(), RH_CACHE_VALUE_MAX + 1, 1);
	struct rh_slice value, key = { big, RH_CACHE_KEY_MAX };

	assert_done(rh_cache_set(c, key, S("v"), TTL_MS));
	key.n++;
	assert_code(rh_cache_set(c, key, S("v"), TTL_MS), "cache.operation");
	assert_code(rh_cache_get(c, S(""), &value), "cache.operation");
	assert_code(rh_cache_set(c, S("k"), (struct rh_slice){ big,
	    RH_CACHE_VALUE_MAX + 1 }, TTL_MS), "cache.operation");
	ck_assert_uint_eq(rh_redis_round_trips(redis), 1);
}
END_TEST

START_TEST(after_close_all_is_closed)
{
	struct rh_cache *c = open_for(ours), *d = open_for(ours);
	struct rh_slice value;
	bool was_set;

	rh_cache_close(c);
	assert_code(rh_cache_get(c, S("k"), &value), "cache.closed");
	assert_code(rh_cache_set(c, S("k"), S("v"), TTL_MS), "cache.closed");
	assert_code(rh_cache_delete(c, S("k")), "cache.closed");
	assert_code(rh_cache_get_or_set(c, S("k"), S("v"), TTL_MS, &value,
	    &was_set), "cache.closed");
	assert_code(rh_cache_compare_and_set(c, S("k"), S("a"), S("v"), TTL_MS),
	    "cache.closed");
	assert_code(rh_cache_compare_and_delete(c, S("k"), S("a")),
	    "cache.closed");
	assert_code(rh_cache_health(c), "cache.closed");
	assert_code(rh_cache_stats(c, &stats), "cache.closed");
	ck_assert_uint_eq(rh_redis_round_trips(redis), 0);
	assert_done(rh_cache_health(d));
}
END_TEST

START_TEST(without_redis_it_is_a_matter_of_configuration)
{
	struct rh_cache *c = rh_cache_open(rh_check_arena(),
	    &(struct rh_cache_conf){ .tenant = ours });
	struct rh_slice value;

	assert_code(rh_cache_get(c, S("k"), &value), "cache.configuration");
	assert_code(rh_cache_health(c), "cache.configuration");
}
END_TEST

START_TEST(a_redis_that_is_away_is_told)
{
	struct rh_cache *c = open_for(ours);
	struct rh_slice value;

	assert_done(rh_cache_health(c));
	redis_server_kill(&server);
	assert_code(rh_cache_get(c, S("k"), &value), "cache.connection");
	assert_code(rh_cache_health(c), "cache.connection");
	redis_server_start(&server);
	for (int i = 0; i < 1000; i++) {
		rh_redis_begin(redis, rh_check_arena(), NULL);
		if (rh_redis_usable(redis) && !rh_cache_health(c))
			return;
		rest_ms(5);
	}
	ck_abort_msg("it did not come back");
}
END_TEST

START_TEST(what_happened_is_counted)
{
	struct rh_cache *c = open_for(ours);
	struct rh_cache_stats got;
	struct rh_slice value;

	assert_code(rh_cache_get(c, S("k"), &value), "cache.not_found");
	assert_done(rh_cache_set(c, S("k"), S("v"), TTL_MS));
	assert_done(rh_cache_get(c, S("k"), &value));
	assert_code(rh_cache_compare_and_set(c, S("k"), S("x"), S("y"), TTL_MS),
	    "cache.cas_failed");
	assert_done(rh_cache_delete(c, S("k")));
	assert_code(rh_cache_set(c, S("k"), S("v"), 0), "cache.invalid_ttl");
	assert_done(rh_cache_stats(c, &got));
	ck_assert(got.misses == 1 && got.stored == 1 && got.hits == 1 &&
	    got.cas_failed == 1 && got.deleted == 1 && got.errors == 1);
	ck_assert(cells[RH_CACHE_MISS] == 1 && cells[RH_CACHE_HIT] == 1 &&
	    cells[RH_CACHE_BUSY] == 1 && cells[RH_CACHE_OFF] == 1);
}
END_TEST

/* ---- each call ---- */

/* One of each, all of them of one key. */
static struct rh_err *
call(struct rh_cache *c, int which)
{
	struct rh_cache_stats unused;
	struct rh_slice value;
	bool was_set;

	switch (which) {
	case 0:
		return rh_cache_get(c, S("k"), &value);
	case 1:
		return rh_cache_set(c, S("k"), S("v"), TTL_MS);
	case 2:
		return rh_cache_delete(c, S("k"));
	case 3:
		return rh_cache_get_or_set(c, S("k"), S("v"), TTL_MS, &value,
		    &was_set);
	case 4:
		return rh_cache_compare_and_set(c, S("k"), S("a"), S("v"),
		    TTL_MS);
	case 5:
		return rh_cache_compare_and_delete(c, S("k"), S("a"));
	case 6:
		return rh_cache_health(c);
	default:
		return rh_cache_stats(c, &unused);
	}
}
static const char *const operations[] = { "get", "set", "delete", "get_or_set",
	"compare_and_set", "compare_and_delete", "health", "stats" };
#define OF_A_KEY 6	/* of these */

static void
assert_told(int which, struct rh_err *err, const char *code)
{
	const struct rh_cache_err *e = rh_cache_err_of(err);

	ck_assert_msg(rh_cache_err_is(err, code), "%s", operations[which]);
	ck_assert_ptr_nonnull(e);
	ck_assert_str_eq(e->operation, operations[which]);
	ck_assert_int_eq(rh_slice_is(e->key, S("k")), which < OF_A_KEY);
}

START_TEST(each_tells_its_key_and_operation_whatever_fails)
{
	struct rh_cache *closed = open_for(ours), *c;
	struct rh_cache *none = rh_cache_open(rh_check_arena(),
	    &(struct rh_cache_conf){ .tenant = ours });

	rh_cache_close(closed);
	assert_told(_i, call(closed, _i), "cache.closed");
	assert_told(_i, call(none, _i), "cache.configuration");
	redis_server_kill(&server);
	c = open_for(ours);
	if (_i <= OF_A_KEY)
		assert_told(_i, call(c, _i), "cache.connection");
	else
		assert_done(call(c, _i));	/* asks nobody */
}
END_TEST

/* ---- several processes ---- */

enum { PROCESSES = 8, ROUNDS = 100 };

/* Before a round all of them are there. */
static void
meet(_Atomic int *there, int round)
{
	++*there;
	while (*there < (round + 1) * PROCESSES)
		rest_ms(0);
}

START_TEST(of_many_processes_one_sets_and_all_get_that)
{
	struct shared {
		_Atomic int there, set[ROUNDS], strange;
		_Atomic int64_t whose[ROUNDS];
	} *s = shared_zeroes(sizeof(*s));

	for (int p = 0; p < PROCESSES; p++) {
		if (fork())
			continue;
		for (int round = 0; round < ROUNDS; round++) {
			struct rh_cache *c = open_for(ours);
			struct rh_slice key, mine, stored;
			int64_t whose = p + 1, none = 0;
			bool was_set;

			key = rh_slice_of(rh_arena_printf(rh_check_arena(),
			    "hot %d", round));
			mine = (struct rh_slice){ (const char *)&whose,
				sizeof(whose) };
			meet(&s->there, round);
			assert_done(rh_cache_get_or_set(c, key, mine, TTL_MS,
			    &stored, &was_set));
			s->set[round] += was_set;
			ck_assert_uint_eq(stored.n, sizeof(whose));
			memcpy(&whose, stored.p, sizeof(whose));
			if (!atomic_compare_exchange_strong(&s->whose[round],
			    &none, whose) && none != whose)
				s->strange++;
		}
		_exit(0);
	}
	all_end(PROCESSES);
	for (int round = 0; round < ROUNDS; round++)
		ck_assert_int_eq(s->set[round], 1);
	ck_assert_int_eq(s->strange, 0);
}
END_TEST

/* As a counter of their own would be: a lost one is missing in the end. */
START_TEST(no_process_overwrites_what_it_has_not_seen)
{
	enum { TURNS = 25 };
	struct rh_slice value;
	int64_t n;

	for (int p = 0; p < PROCESSES; p++) {
		if (fork())
			continue;
		for (int turn = 0; turn < TURNS;) {
			struct rh_cache *c = open_for(ours);
			struct rh_err *err = rh_cache_get(c, S("n"), &value);

			n = 0;
			if (value.p)
				memcpy(&n, value.p, sizeof(n));
			n++;
			ck_assert(!err || rh_cache_err_is(err, "cache.not_found"));
			err = rh_cache_compare_and_set(c, S("n"), value,
			    (struct rh_slice){ (const char *)&n, sizeof(n) },
			    TTL_MS);
			ck_assert(!err || rh_cache_err_is(err, "cache.cas_failed"));
			turn += !err;
		}
		_exit(0);
	}
	all_end(PROCESSES);
	assert_done(rh_cache_get(open_for(ours), S("n"), &value));
	memcpy(&n, value.p, sizeof(n));
	ck_assert_int_eq(n, PROCESSES * TURNS);
}
END_TEST

int
main(void)
{
	const struct rh_check_case cases[] = {
		RH_LOOP(what_is_set_is_got_until_it_is_deleted, values),
		RH_CASE(it_ends_when_its_time_is_over),
		RH_CASE(no_tenant_sees_anothers),
		RH_CASE(the_first_sets_and_the_others_get),
		RH_CASE(a_value_changes_only_from_what_is_expected),
		RH_LOOP(what_never_ends_is_not_stored, bad_ttls),
		RH_CASE(an_error_has_its_key_and_operation),
		RH_CASE(what_redis_refuses_is_an_operations_error),
		RH_CASE(bounds_hold_before_anything_is_sent),
		RH_CASE(after_close_all_is_closed),
		RH_CASE(without_redis_it_is_a_matter_of_configuration),
		RH_CASE(a_redis_that_is_away_is_told),
		RH_CASE(what_happened_is_counted),
		RH_LOOP(each_tells_its_key_and_operation_whatever_fails, operations),
		RH_CASE(of_many_processes_one_sets_and_all_get_that),
		RH_CASE(no_process_overwrites_what_it_has_not_seen),
	};

	return stand_main("data/cache", cases, RH_COUNT(cases), stand_tear_down);
}
