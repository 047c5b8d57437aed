/*
 * coherence - readers and writers in processes of their own race over a real
 * Redis and a real PostgreSQL, while both they and Redis fail: no read that
 * began after a write's reply may be older than the write.
 *
 *	coherence SCENARIO ROUNDS [HOSTS]
 *
 * A round is a write during which somebody read the same page. test_coherence.py
 * starts PostgreSQL and runs some hundreds, contrib/bench/coherence 10,000.
 */
#include "config.h"

#include "data/coherent.h"

#include <stdatomic.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/text.h"
#include "data/pg.h"
#include "data/redis_breaker.h"
#include "redis_server.h"

enum {
	PAGES = 64, AT_ONCE = 3, STAY = 24,	/* of them are raced for, for so many rounds */
	READERS = 6, WRITERS = 3, WORKERS = READERS + WRITERS,
	LIFE_MS = 1500, DEADLINE_MS = 500, LEASE_MS = 5000,
	RETRY_MS = 5,
	QUARANTINE_MS = 4,	/* of two hosts: so short that many writes are late */
	FLUSH_EVERY = 8, FLUSH_TWO_EVERY = 32,
	CUT_EVERY = 256,
	STUCK_S = 240
};

enum fault {
	KILLS = 1, FLUSHES = 2, RESTARTS = 4, FREEZES = 8, EVICTIONS = 16, CUTS = 32,
	SAVES = 64	/* and what was saved is there again after a restart */
};
static const struct { const char *name; unsigned faults; } scenarios[] = {
	{ "plain", 0 }, { "kills", KILLS }, { "flushes", FLUSHES },
	{ "restarts", RESTARTS }, { "freezes", FREEZES },
	{ "restores", RESTARTS | SAVES }, { "cuts", CUTS }, { "evictions", EVICTIONS },
	{ "all", KILLS | FLUSHES | RESTARTS | FREEZES | EVICTIONS | CUTS |
	    SAVES },
};

/* What all processes see. */
struct ring {
	_Atomic int64_t replied[PAGES];		/* the version that some writer's reply said */
	_Atomic int64_t unlaid_of[PAGES];	/* the last that Redis has not heard of before */
	_Atomic uint64_t reads_of[PAGES];
	_Atomic int fills[WORKERS];		/* page + 1: this worker rebuilds it */
	_Atomic uint64_t rounds, writes, late, reads, results[RH_CACHE_RESULTS];
	_Atomic uint64_t apart, confirmed, cold, unasked, refreshes, unlaid, twice, stale, kills, restarts, freezes;
	_Atomic uint64_t flushes, evicted, cuts;
	_Atomic bool over;
};
static struct ring *ring;
static struct rh_coherent_shared *hosts[2];
static unsigned nhosts, faults;
static struct redis_server server;

enum { READ, WRITE };
static struct rh_stmt stmts[] = {
	[READ] = { .name = "read", .sql = "select v from pages where k = $1::int" },
	[WRITE] = { .name = "write", .sql =
	    "update pages set v = v + 1 where k = $1::int returning v" },
	{ 0 }
};

/* ---- a worker ---- */

struct worker {
	unsigned slot;
	struct rh_arena *own, *arena;
	struct rh_pg_conf pg_conf;
	struct rh_pg_obs pg_obs;
	struct rh_pg *pg;
	struct rh_redis_conf redis_conf;
	struct rh_redis_obs redis_obs;
	struct rh_redis *redis;
	struct rh_coherent *cache;
	struct rh_pipe *pipe;
};

static const struct rh_uuid tenant = { { 7 } };
static const struct rh_coherent_obs no_obs;

static unsigned
dice(unsigned sides)
{
	uint32_t thrown;

	rh_random(&thrown, sizeof(thrown));
	return thrown % sides;
}

/* A window for the others. */
static void
dawdle(void)
{
	struct timespec t = { 0, (long)dice(1500) * 1000 };

	if (dice(3) == 0)
		nanosleep(&t, NULL);
}

/* In the middle of things, as a kill -9 or the memory's killer does it. */
static void
perhaps_die(void)
{
	if (faults & KILLS && dice(400) == 0)
		raise(SIGKILL);
}

static void
pg_open(struct worker *w)
{
	w->pg_conf = (struct rh_pg_conf){ getenv("ROWHOUSE_TEST_URL"), 10000,
		DEADLINE_MS, 1, "coherence" };
	w->pg = rh_pg_new(w->own, &w->pg_conf, &w->pg_obs);
	while (!rh_pg_ready(w->pg, true))
		rest_ms(10);
}

static void
worker_open(struct worker *w, unsigned slot)
{
	*w = (struct worker){ .slot = slot, .own = rh_arena_new(1 << 16, 1 << 24),
	    .arena = rh_arena_new(1 << 14, 1 << 24),
	    .redis_conf = { server.url, 100, 50, RETRY_MS, NULL } };
	pg_open(w);
	w->redis = rh_redis_new(w->own, &w->redis_conf, &w->redis_obs);
	(void)rh_redis_warm(w->redis);
	w->cache = rh_coherent_new(w->own, &(struct rh_coherent_conf){ w->redis,
	    hosts[slot % nhosts], WORKERS, slot, LEASE_MS,
	    nhosts > 1 ? QUARANTINE_MS : 0, rh_breaker_longest_ms(RETRY_MS) },
	    &no_obs);
	rh_redis_begin(w->redis, w->arena, NULL);
	rh_coherent_inherit(w->cache);
	rh_redis_end(w->redis);
}

static void
begin(struct worker *w)
{
	rh_redis_idle(w->redis);
	rh_redis_begin(w->redis, w->arena, NULL);
	rh_coherent_begin(w->cache);
	w->pipe = rh_pg_begin(w->pg, w->arena, NULL);
	rh_pg_deadline(w->pg, rh_clock_mono_ns() + DEADLINE_MS * UINT64_C(1000000));
}

static void
end(struct worker *w)
{
	rh_coherent_post(w->cache);
	rh_redis_end(w->redis);
	rh_pg_end(w->pg);
	rh_arena_reset(w->arena);
	(void)rh_pg_ready(w->pg, true);
}

static unsigned
some_page(void)
{
	return (unsigned)(ring->rounds / STAY + dice(AT_ONCE)) % PAGES;
}

static struct rh_slice
group_of(struct worker *w, unsigned page)
{
	return rh_slice_of(rh_arena_printf(w->arena, "pages:%u", page));
}

/* The version in the database; 0: it did not say. */
static int64_t
ask(struct worker *w, int statement, unsigned page)
{
	int64_t version;

	rh_pipe_send(w->pipe, &stmts[statement], RH_INT(page));
	version = rh_pipe_int(w->pipe);
	return rh_pipe_error(w->pipe) ? 0 : version;
}

/* ---- reading ---- */

static void
judge(const char *from, unsigned page, int64_t version, int64_t floor)
{
	if (version >= floor)
		return;
	/* README.md, what remains: to its host Redis was away, and to us it was not */
	if (nhosts > 1 && ring->unlaid_of[page] > version) {
		ring->apart++;
		return;
	}
	ring->stale++;
	fprintf(stderr, "page %u is %lld from %s, and %lld was replied before\n",
	    page, (long long)version, from, (long long)floor);
}

static int64_t
version_of(struct rh_slice value)
{
	uint64_t version = 0;

	value.n = RH_MIN(value.n, strspn(value.p, "0123456789"));
	(void)rh_u64_get(&version, value);
	return (int64_t)version;
}

/* Two who rebuild the same page see at least one of each other. */
static void
rebuild_begin(const struct worker *w, unsigned page)
{
	ring->fills[w->slot] = (int)page + 1;
	for (unsigned i = 0; i < WORKERS; i++)
		if (i != w->slot && ring->fills[i] == (int)page + 1)
			ring->twice++;
}

static void
read_page(struct worker *w)
{
	unsigned page = some_page();
	int64_t floor = ring->replied[page], version;
	struct rh_cached got;
	struct rh_slice value;

	begin(w);
	ring->reads_of[page]++;
	rh_coherent_look(w->cache, tenant, group_of(w, page), RH_SLICE("1"));
	rh_coherent_answer(w->cache, &got);
	ring->reads++;
	ring->results[got.result]++;
	if (got.result == RH_CACHE_HIT)
		judge("the cache", page, version_of(got.value), floor);
	if (got.lease.held)
		rebuild_begin(w, page);
	ring->refreshes += got.result == RH_CACHE_HIT && got.lease.held;
	if (got.result != RH_CACHE_HIT || got.lease.held) {
		dawdle();
		version = ask(w, READ, page);
		if (version)
			judge("the database", page, version, floor);
		perhaps_die();
		dawdle();
		value = rh_slice_of(rh_arena_printf(w->arena, "%lld %0*d",
		    (long long)version, (int)dice(3000), 0));
		ring->fills[w->slot] = 0;
		if (version)
			rh_coherent_fill(w->cache, &got.lease, value,
			    1 + dice(dice(4) ? 400 : 20000));
		else
			rh_coherent_forgo(w->cache, &got.lease);
	}
	end(w);
}

/* ---- writing ---- */

static void
raise_to(_Atomic int64_t *at, int64_t version)
{
	int64_t was = *at;

	while (was < version &&
	    !atomic_compare_exchange_weak(at, &was, version))
		;
}

static void
write_page(struct worker *w)
{
	unsigned page = some_page();
	uint64_t start = rh_clock_mono_ns(), before;
	struct rh_tomb tomb;
	int64_t version;
	bool is_laid;

	begin(w);
	before = ring->reads_of[page];
	rh_coherent_tomb(w->cache, tenant, group_of(w, page), LIFE_MS, &tomb);
	is_laid = rh_coherent_tomb_laid(w->cache, &tomb);
	ring->unlaid += !is_laid;
	ring->cold += tomb.is_cold;
	ring->unasked += tomb.is_cold && !tomb.is_sent;
	perhaps_die();
	dawdle();
	version = ask(w, WRITE, page);
	perhaps_die();
	if (version && !is_laid)
		raise_to(&ring->unlaid_of[page], version);
	if (version) {
		rh_coherent_done(w->cache, &tomb);
		if (!rh_coherent_confirm(w->cache, &tomb, 1))
			raise_to(&ring->unlaid_of[page], version);
		ring->confirmed += tomb.is_dropped && !tomb.is_cold;
	}
	dawdle();
	/* as a request past its deadline has no such reply */
	if (version && rh_clock_mono_ns() - start >= LIFE_MS * UINT64_C(1000000))
		ring->late++;
	else if (version)
		raise_to(&ring->replied[page], version);
	perhaps_die();
	dawdle();
	if (version)
		rh_coherent_drop(w->cache, &tomb);
	ring->writes++;
	ring->rounds += ring->reads_of[page] != before;
	end(w);
}

static void
work(unsigned slot)
{
	static struct worker w;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	worker_open(&w, slot);
	while (!ring->over) {
		if (slot < READERS)
			read_page(&w);
		else
			write_page(&w);
	}
	_exit(0);
}

/* ---- what goes wrong ---- */

static uint64_t
evicted_by(struct rh_redis *r)
{
	const struct rh_redis_value *v;
	const char *at;

	rh_redis_send(r, RH_SLICE_NONE, RH_SLICE("INFO"), RH_SLICE("stats"));
	v = rh_redis_read(r);
	at = v->kind == RH_REDIS_TEXT ? strstr(v->text.p, "evicted_keys:") : NULL;
	return at ? strtoull(at + strlen("evicted_keys:"), NULL, 10) : 0;
}

/* One of its connections ends, and the others go on. */
static void
cut(struct rh_redis *r)
{
	const struct rh_redis_value *v;
	struct rh_slice rest, id;
	const char *at;

	rh_redis_send(r, RH_SLICE_NONE, RH_SLICE("CLIENT"), RH_SLICE("LIST"));
	v = rh_redis_read(r);
	at = v->kind == RH_REDIS_TEXT ? v->text.p : NULL;
	for (unsigned i = dice(WORKERS); at && i > 0; i--)
		at = strstr(at + 1, "\nid=");
	if (!at || !(at = strstr(at, "id=")))
		return;
	rest = rh_slice_of(at + strlen("id="));
	id = rh_slice_cut(&rest, ' ');
	rh_redis_send(r, RH_SLICE_NONE, RH_SLICE("CLIENT"), RH_SLICE("KILL"),
	    RH_SLICE("ID"), id);
	ring->cuts += rh_redis_read(r)->number == 1;
}

/* Redis forgets: all at once, or what was not used for longest. */
static void
forget(void)
{
	struct rh_arena *own = rh_arena_new(1 << 14, 1 << 24),
	    *arena = rh_arena_new(1 << 14, 1 << 24);
	struct rh_redis_conf conf = { server.url, 100, 50, 5, NULL };
	struct rh_redis_obs obs = { 0 };
	struct rh_redis *r = rh_redis_new(own, &conf, &obs);
	char junk[1000];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	memset(junk, 'j', sizeof(junk));
	for (unsigned i = 0; !ring->over; i++) {
		rh_redis_begin(r, arena, NULL);
		if (i % 64 == 0)
			ring->evicted = RH_MAX(ring->evicted, evicted_by(r));
		if (faults & CUTS && i % CUT_EVERY == 0)
			cut(r);
		if (faults & SAVES && i % 128 == 0)
			rh_redis_send(r, RH_SLICE_NONE, RH_SLICE("BGSAVE"));
		if (faults & FLUSHES && i % (nhosts > 1 ?
		    FLUSH_TWO_EVERY : FLUSH_EVERY) == 0) {
			rh_redis_send(r, RH_SLICE_NONE, RH_SLICE("FLUSHALL"));
			ring->flushes++;
		}
		for (int k = 0; faults & EVICTIONS && k < 20; k++)
			rh_redis_send(r, RH_SLICE_NONE, RH_SLICE("SET"),
			    rh_slice_of(rh_arena_printf(arena, "junk:%u",
			    dice(1 << 20))), ((struct rh_slice){ junk,
			    sizeof(junk) }));
		(void)!rh_redis_error(r);
		rh_redis_end(r);
		rh_arena_reset(arena);
		rest_ms(1);
	}
	_exit(0);
}

static pid_t
start(unsigned slot)
{
	pid_t pid = fork();

	rh_assert(pid >= 0);
	if (pid == 0) {
		if (slot < WORKERS)
			work(slot);
		forget();
	}
	return pid;
}

/* Their places are taken again; a dead one rebuilds nothing any more. */
static void
replace_dead(pid_t *pids)
{
	for (unsigned i = 0; i < WORKERS; i++) {
		int status;

		if (waitpid(pids[i], &status, WNOHANG) <= 0)
			continue;
		rh_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		ring->fills[i] = 0;
		ring->kills++;
		pids[i] = start(i);
	}
}

/* Now and then: what a tombstone that was not laid turns off comes back first. */
static void
disturb(const pid_t *pids, unsigned tick)
{
	if (faults & KILLS && tick % 16 == 0)
		kill(pids[dice(WORKERS)], SIGKILL);
	if (faults & RESTARTS && tick % 2200 == 900) {
		redis_server_kill(&server);
		if (dice(2))
			rest_ms(dice(50));
		redis_server_start(&server);
		ring->restarts++;
	}
	if (faults & FREEZES && tick % 2200 == 1900) {
		kill(server.pid, SIGSTOP);
		rest_ms(dice(200));
		kill(server.pid, SIGCONT);
		ring->freezes++;
	}
}

static void
run(uint64_t rounds)
{
	uint64_t until = rh_clock_mono_ns() + STUCK_S * UINT64_C(1000000000);
	unsigned faults_wanted = faults & (RESTARTS | FREEZES) ?
	    (unsigned)(rounds / 400) + 1 : 0;
	pid_t pids[WORKERS + 1];

	for (unsigned i = 0; i <= WORKERS; i++)
		pids[i] = start(i);
	for (unsigned tick = 0; rh_clock_mono_ns() < until; tick++) {
		if (ring->rounds >= rounds && ring->stale == 0 &&
		    ring->restarts + ring->freezes >= faults_wanted)
			break;
		if (ring->stale)
			break;
		replace_dead(pids);
		disturb(pids, tick);
		rest_ms(1);
	}
	ring->over = true;
	for (unsigned i = 0; i <= WORKERS; i++)
		waitpid(pids[i], NULL, 0);
}

/* ---- the story ---- */

static void *
shared(size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	rh_assert(at != MAP_FAILED);
	return at;
}

static void
tell(const char *name)
{
	const struct ring *r = ring;

	printf("%-9s %6llu rounds %6llu writes (%llu late, %llu unlaid, %llu confirmed;"
	    " %llu cold, of which Redis was asked for all but %llu) %7llu reads:"
	    " hit %llu miss %llu busy %llu off %llu, %llu early;"
	    " %llu kills %llu flushes %llu restarts %llu freezes"
	    " %llu cuts %llu evicted;"
	    " rebuilt twice at once %llu; old where Redis was away for the writer"
	    " alone %llu; stale %llu\n", name,
	    (unsigned long long)r->rounds, (unsigned long long)r->writes,
	    (unsigned long long)r->late, (unsigned long long)r->unlaid,
	    (unsigned long long)r->confirmed, (unsigned long long)r->cold,
	    (unsigned long long)r->unasked,
	    (unsigned long long)r->reads,
	    (unsigned long long)r->results[RH_CACHE_HIT],
	    (unsigned long long)r->results[RH_CACHE_MISS],
	    (unsigned long long)r->results[RH_CACHE_BUSY],
	    (unsigned long long)r->results[RH_CACHE_OFF],
	    (unsigned long long)r->refreshes, (unsigned long long)r->kills,
	    (unsigned long long)r->flushes, (unsigned long long)r->restarts,
	    (unsigned long long)r->freezes, (unsigned long long)r->cuts,
	    (unsigned long long)r->evicted,
	    (unsigned long long)r->twice, (unsigned long long)r->apart,
	    (unsigned long long)r->stale);
}

/* On another host nobody can tell that Redis has forgotten a lease. */
static bool
holds(uint64_t rounds)
{
	return ring->stale == 0 && ring->rounds >= rounds &&
	    ring->results[RH_CACHE_HIT] > 0 && ring->cold > 0 &&
	    (ring->unasked > 0) == (nhosts == 1) &&
	    (ring->twice == 0 || (nhosts > 1 && faults & ~(unsigned)KILLS));
}

int
main(int argc, char **argv)
{
	uint64_t rounds = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
	bool good;

	for (size_t i = 0; argc > 1 && i < RH_COUNT(scenarios); i++)
		if (strcmp(argv[1], scenarios[i].name) == 0) {
			faults = scenarios[i].faults;
			nhosts = argc > 3 && argv[3][0] == '2' ? 2 : 1;
		}
	if (!rounds || !nhosts || !getenv("ROWHOUSE_TEST_URL")) {
		fputs("usage: coherence SCENARIO ROUNDS [HOSTS]\n", stderr);
		return 2;
	}
	rh_stmts_register(stmts);
	rh_coherent_register();
	ring = shared(sizeof(*ring));
	for (unsigned i = 0; i < 2; i++)
		hosts[i] = shared(rh_coherent_shared_bytes(WORKERS));
	server.memory = faults & EVICTIONS ? "2mb" : NULL;
	redis_server_home_open();
	redis_server_start(&server);
	run(rounds);
	redis_server_remove(&server);
	good = redis_server_home_close() == 0 && holds(rounds);
	tell(argv[1]);
	return good ? 0 : 1;
}
