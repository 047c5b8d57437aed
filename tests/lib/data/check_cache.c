/* tests/lib/data/check_cache.c - the cache, locks and once of an application; whose session is whose. */
#include "config.h"

#include "data/cache.h"

#include <stdatomic.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "data/cache_manager.h"
#include "data/coherent.h"
#include "data/lock.h"
#include "rh_check.h"
#include "redis_server.h"

#define TTL_MS	60000
#define BRIEF_MS	2000	/* to be waited for; and we may be slow before it ends */

static struct redis_server server;
static const struct rh_uuid ours = { { 1 } }, theirs = { { 2 } };

/* ---- a worker of sorts, in its request ---- */

static struct rh_redis_conf conf = { NULL, 5000, 5000, 1, NULL };
static struct rh_redis_obs redis_obs;
static struct rh_redis *redis;
static struct rh_cache_stats stats;
static uint64_t cells[RH_CACHE_RESULTS + RH_LOCK_RESULTS];
static const struct rh_tally tally = { .cells = cells };
static const struct rh_cache_obs obs = { &tally, { 0, RH_CACHE_RESULTS, 1, 0 }, 0,
    { RH_CACHE_RESULTS, 1, 1, 0 } };

static struct rh_cache *
open_for(struct rh_uuid tenant)
{
	if (!redis) {
		conf.url = server.url;
		redis = rh_redis_new(rh_check_arena(), &conf, &redis_obs);
		rh_redis_begin(redis, rh_check_arena(), NULL);
	}
	return rh_cache_open(rh_check_arena(), &(struct rh_cache_conf){ redis,
	    tenant, &stats, &obs });
}

#define S(literal)	RH_SLICE(literal)
#define assert_code(call, wanted)						\
	do {									\
		struct rh_err *err_ = (call);					\
										\
		ck_assert_msg(rh_cache_err_is(err_, wanted), "%s is %s", #call,	\
		    err_ ? err_->code : "done");				\
	} while (0)
#define assert_done(call)							\
	do {									\
		struct rh_err *err_ = (call);					\
										\
		ck_assert_msg(!err_, "%s: %s, %s", #call, err_ ? err_->code : "", \
		    err_ && err_->cause ? err_->cause : "");			\
	} while (0)

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

/* ---- the manager ---- */

#define OWN	5	/* tenants with a Redis of their own: databases of one server */

static struct rh_cache_manager_conf manager_conf;
static struct rh_cache_manager *managed;
static char urls[OWN + 1][160];

/* The first byte of a tenant's id says which. */
static struct rh_err *
resolve(void *of, struct rh_arena *arena, struct rh_uuid tenant,
    const char **url)
{
	(void)of;
	if (tenant.b[0] == 255)
		return rh_err_new(arena, RH_E_MISSING, "tenant.unknown", "No.");
	*url = tenant.b[0] == 0 ? NULL : tenant.b[0] == 254 ? "http://x" :
	    urls[tenant.b[0]];
	return NULL;
}

static struct rh_cache_manager *
manager(unsigned max)
{
	(void)open_for(ours);
	for (int i = 1; i <= OWN; i++)
		snprintf(urls[i], sizeof(urls[i]), "%s?db=%d", server.url, i);
	manager_conf = (struct rh_cache_manager_conf){ redis, resolve, NULL, max,
	    60000, conf, &redis_obs, &obs, mmap(NULL, rh_cache_gate_bytes(),
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0) };
	manager_conf.own.retry_ms = 300;
	return managed = rh_cache_manager_new(rh_check_arena(), &manager_conf);
}

/* A request: its arena's end gives back what it took. */
static struct rh_arena *
request(void)
{
	return rh_arena_new(4096, 1 << 24);
}

static struct rh_err *
get(struct rh_cache_manager *m, struct rh_arena *of, unsigned char tenant,
    struct rh_cache **c)
{
	return rh_cache_manager_get(m, &(struct rh_cache_for){ .arena = of,
	    .tenant = { { tenant, 9 } } }, c);
}

static struct rh_cache_manager_stats
stats_of(struct rh_cache_manager *m)
{
	struct rh_cache_manager_stats s;

	rh_cache_manager_stats(m, &s);
	return s;
}

START_TEST(each_tenant_has_its_redis)
{
	struct rh_cache_manager *m = manager(2);
	struct rh_arena *a = request();
	struct rh_cache *shared, *own;
	struct rh_slice value;

	assert_done(get(m, a, 0, &shared));
	assert_done(get(m, a, 1, &own));
	assert_done(rh_cache_set(own, S("k"), S("own"), TTL_MS));
	assert_done(rh_cache_set(shared, S("k"), S("shared"), TTL_MS));
	assert_done(rh_cache_get(own, S("k"), &value));
	rh_assert_slice_eq(value, S("own"));
	rh_redis_send(redis, RH_SLICE_NONE, S("DBSIZE"));
	ck_assert_int_eq(rh_redis_read(redis)->number, 1);
	ck_assert_uint_eq(stats_of(m).open, 1);
	ck_assert_uint_eq(stats_of(m).caches.stored, 2);
	rh_arena_destroy(&a);
	ck_assert_uint_eq(stats_of(m).in_use, 0);
}
END_TEST

START_TEST(a_session_serves_one_request_after_the_other)
{
	struct rh_cache_manager *m = manager(2);
	struct rh_cache *c, *again;
	struct rh_slice value;

	for (int i = 0; i < 5; i++) {
		struct rh_arena *a = request();

		assert_done(get(m, a, 1, &c));
		assert_done(get(m, a, 1, &again));
		ck_assert_uint_eq(stats_of(m).in_use, 1);
		assert_done(rh_cache_set(c, S("k"), S("v"), TTL_MS));
		rh_cache_manager_put(m, c);
		assert_code(rh_cache_get(c, S("k"), &value), "cache.closed");
		assert_done(rh_cache_get(again, S("k"), &value));
		rh_arena_destroy(&a);
	}
	ck_assert_uint_eq(stats_of(m).opened, 1);
	ck_assert_uint_eq(stats_of(m).in_use, 0);
}
END_TEST

START_TEST(the_least_recently_used_goes_and_none_in_use)
{
	struct rh_cache_manager *m = manager(2);
	struct rh_arena *a = request(), *b = request(), *d = request();
	struct rh_cache *c[4];

	assert_done(get(m, a, 1, &c[0]));
	assert_done(get(m, a, 2, &c[1]));
	/* both are in use: a third has to do without */
	assert_code(get(m, b, 3, &c[2]), "cache.connection");
	assert_done(rh_cache_set(c[0], S("k"), S("v"), TTL_MS));
	assert_done(rh_cache_set(c[1], S("k"), S("v"), TTL_MS));
	rh_cache_manager_put(m, c[1]);
	rh_cache_manager_put(m, c[0]);	/* used last */
	assert_done(get(m, b, 3, &c[2]));
	assert_done(get(m, d, 1, &c[3]));
	ck_assert_uint_eq(stats_of(m).opened, 3);	/* the first one's was still there */
	ck_assert_uint_eq(stats_of(m).evicted, 1);
	ck_assert_uint_eq(stats_of(m).open, 2);
	rh_arena_destroy(&a);
	rh_arena_destroy(&b);
	rh_arena_destroy(&d);
}
END_TEST

START_TEST(the_idle_are_closed_and_those_in_use_are_not)
{
	struct rh_cache_manager *m = manager(3);
	struct rh_arena *a = request();
	struct rh_cache *c[2];

	assert_done(get(m, a, 1, &c[0]));
	assert_done(get(m, a, 2, &c[1]));
	rh_cache_manager_put(m, c[0]);
	rh_cache_manager_idle(m);
	ck_assert_uint_eq(stats_of(m).open, 2);
	manager_conf.idle_ms = 50;
	rest_ms(100);
	rh_cache_manager_idle(m);
	ck_assert_uint_eq(stats_of(m).open, 1);
	ck_assert_uint_eq(stats_of(m).idled, 1);
	assert_done(rh_cache_health(c[1]));
	/* nor does closing the manager close what is in use */
	rh_cache_manager_close(m);
	assert_done(rh_cache_health(c[1]));
	assert_code(get(m, a, 1, &c[0]), "cache.closed");
	rh_arena_destroy(&a);
	ck_assert_uint_eq(stats_of(m).open, 0);
}
END_TEST

START_TEST(faults_are_told_apart)
{
	struct rh_cache_manager *m = manager(2);
	struct rh_arena *a = request();
	struct rh_cache *c;

	assert_code(get(m, a, 255, &c), "tenant.unknown");
	ck_assert_ptr_null(c);
	assert_code(get(m, a, 254, &c), "cache.configuration");
	manager_conf.shared = NULL;
	assert_code(get(m, a, 0, &c), "cache.configuration");
	rh_arena_destroy(&a);
}
END_TEST

START_TEST(one_that_is_away_is_asked_by_one_and_not_again_soon)
{
	struct rh_cache_manager *m = manager(2);
	struct rh_arena *a = request();
	struct rh_cache *c;

	manager_conf.own.retry_ms = BRIEF_MS;
	redis_server_kill(&server);
	assert_code(get(m, a, 1, &c), "cache.connection");
	for (int i = 0; i < 5; i++)
		assert_code(get(m, a, 1, &c), "cache.connection");
	ck_assert_uint_eq(stats_of(m).failed, 1);
	ck_assert_uint_eq(stats_of(m).turned_away, 5);
	redis_server_start(&server);
	rest_ms(BRIEF_MS + 50);
	assert_done(get(m, a, 1, &c));
	assert_done(rh_cache_health(c));
	rh_arena_destroy(&a);
}
END_TEST

/* A Redis that takes connections, and as long as it likes to answer. */
START_TEST(of_concurrent_misses_one_connects)
{
	enum { PROCESSES = 8 };
	struct rh_cache_manager *m = manager(2);
	_Atomic unsigned *tried = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct rh_cache *c;

	/* who is late is turned away as well: by the gate, which the first one has
	 * for twice as long as he may take, and then by what he found */
	manager_conf.own.connect_timeout_ms = 2000;
	manager_conf.own.retry_ms = 60000;
	redis_server_freeze(&server);
	for (int p = 0; p < PROCESSES; p++) {
		if (fork())
			continue;
		assert_code(get(m, request(), 1, &c), "cache.connection");
		tried[0] += (unsigned)stats_of(m).failed;
		tried[1] += (unsigned)stats_of(m).turned_away;
		_exit(0);
	}
	for (int p = 0; p < PROCESSES; p++)
		wait(NULL);
	kill(server.pid, SIGCONT);
	ck_assert_uint_eq(tried[0], 1);
	ck_assert_uint_eq(tried[1], PROCESSES - 1);
}
END_TEST

START_TEST(who_dies_while_connecting_bars_the_gate_for_a_moment_only)
{
	struct rh_cache_manager *m = manager(2);
	struct rh_arena *a = request();
	struct rh_cache *c;
	pid_t pid;

	manager_conf.own.connect_timeout_ms = 200;
	redis_server_freeze(&server);
	if ((pid = fork()) == 0) {
		(void)!get(m, request(), 1, &c);
		_exit(0);
	}
	rest_ms(50);
	kill(pid, SIGKILL);
	wait(NULL);
	kill(server.pid, SIGCONT);
	for (int i = 0; i < 2000 && get(m, a, 1, &c); i++)
		rest_ms(10);
	ck_assert_ptr_nonnull(c);
	assert_done(rh_cache_health(c));
	rh_arena_destroy(&a);
}
END_TEST

static void
set_up(void)
{
	memset(&server, 0, sizeof(server));
	redis_server_start(&server);
}

static void
tear_down(void)
{
	if (managed)
		rh_cache_manager_close(managed);
	if (redis)
		rh_redis_close(redis);
	redis = NULL;
	redis_server_remove(&server);
}

int
main(void)
{
	int failed;
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
		RH_CASE(one_has_the_lock_until_it_is_released),
		RH_CASE(a_lock_ends_with_its_time_unless_extended),
		RH_CASE(fences_grow_also_when_redis_forgets),
		RH_CASE(many_processes_take_turns),
		RH_CASE(it_happens_once_and_all_see_its_result),
		RH_CASE(what_did_not_happen_is_the_next_ones),
		RH_CASE(each_tenant_has_its_redis),
		RH_CASE(a_session_serves_one_request_after_the_other),
		RH_CASE(the_least_recently_used_goes_and_none_in_use),
		RH_CASE(the_idle_are_closed_and_those_in_use_are_not),
		RH_CASE(faults_are_told_apart),
		RH_CASE(one_that_is_away_is_asked_by_one_and_not_again_soon),
		RH_CASE(of_concurrent_misses_one_connects),
		RH_CASE(who_dies_while_connecting_bars_the_gate_for_a_moment_only),
	};

	if (!redis_server_is_there()) {
		puts("skipped: the Redis server is not installed");
		return 77;
	}
	rh_cache_register();
	rh_lock_register();
	redis_server_home_open();
	failed = rh_check_run_with("data/cache", cases, RH_COUNT(cases), set_up,
	    tear_down);
	return redis_server_home_close() ? 1 : failed;
}
