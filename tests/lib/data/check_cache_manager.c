/* tests/lib/data/check_cache_manager.c - whose Redis a tenant's cache is in, and whose session. */
#include "config.h"

#include "cache_stand.h"

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

START_TEST(who_has_no_redis_is_told_so)
{
	struct rh_cache_manager *m = manager(2);
	struct rh_arena *a = request();
	struct rh_cache *c;

	urls[1][0] = '\0';
	assert_code(get(m, a, 1, &c), "cache.configuration");
	ck_assert_ptr_null(c);
	rh_arena_destroy(&a);
}
END_TEST

/* Each needs a connection of its own: who has to wait for another's gets it then. */
START_TEST(each_process_has_one_in_the_end)
{
	enum { PROCESSES = 8 };
	struct rh_cache_manager *m = manager(2);
	_Atomic unsigned *opened = shared_zeroes(4096);
	struct rh_cache *c;

	for (int p = 0; p < PROCESSES; p++) {
		if (fork())
			continue;
		for (int i = 0; i < 3000 && get(m, request(), 1, &c); i++)
			rest_ms(5);
		ck_assert_ptr_nonnull(c);
		assert_done(rh_cache_health(c));
		*opened += (unsigned)stats_of(m).opened;
		ck_assert_uint_eq(stats_of(m).failed, 0);
		ck_assert_uint_eq(rh_cache_manager_round_trips(m), 1);
		_exit(0);
	}
	all_end(PROCESSES);
	ck_assert_uint_eq(*opened, PROCESSES);
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
tear_down(void)
{
	if (managed)
		rh_cache_manager_close(managed);
	stand_tear_down();
}

int
main(void)
{
	const struct rh_check_case cases[] = {
		RH_CASE(each_tenant_has_its_redis),
		RH_CASE(a_session_serves_one_request_after_the_other),
		RH_CASE(the_least_recently_used_goes_and_none_in_use),
		RH_CASE(the_idle_are_closed_and_those_in_use_are_not),
		RH_CASE(faults_are_told_apart),
		RH_CASE(one_that_is_away_is_asked_by_one_and_not_again_soon),
		RH_CASE(who_has_no_redis_is_told_so),
		RH_CASE(each_process_has_one_in_the_end),
		RH_CASE(of_concurrent_misses_one_connects),
		RH_CASE(who_dies_while_connecting_bars_the_gate_for_a_moment_only),
	};

	return stand_main("data/cache_manager", cases, RH_COUNT(cases), tear_down);
}
