/* tests/lib/obs/check_segment.c - counters outlive the pool; no file is trusted. */
#include "config.h"

#include "obs/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include "obs/metric.h"
#include "obs/metric_read.h"
#include "obs/segment_file.h"
#include "scratch.h"

static const struct rh_area areas[] = { { "tenants", 100000, false, 0 },
	{ "connections", 64, false, 0 }, { "past", 64, true, 0 },
	{ NULL, 0, false, 0 } };

static struct rh_metrics *
some_metrics(unsigned routes)
{
	struct rh_metrics *m = rh_metrics_new(rh_check_arena());
	int route = rh_metrics_dim(m, "method,route", 0);
	int tenant = rh_metrics_dim(m, "tenant", 8);

	for (unsigned i = 0; i < routes; i++)
		rh_metrics_value(m, route, (const char *const []){ "GET",
		    rh_arena_printf(rh_check_arena(), "/v1/r%u", i) });
	rh_metrics_value(m, tenant, (const char *const []){ "other" });
	rh_metrics_family(m, &(struct rh_family_spec){ RH_M_COUNTER, 0,
	    "http_requests_total", "Requests.", route, -1 });
	rh_metrics_family(m, &(struct rh_family_spec){ RH_M_COUNTER, 0,
	    "tenant_requests_total", "Requests.", tenant, -1 });
	rh_metrics_family(m, &(struct rh_family_spec){ RH_M_HISTOGRAM,
	    RH_M_EXEMPLARS, "http_request_duration_seconds", "Durations.",
	    route, -1 });
	return m;
}

static struct rh_segment_spec
some_spec(unsigned routes)
{
	return (struct rh_segment_spec){ .pool = "fcgi", .service = "rowhouse",
	    .version = "0.1.0", .revision = "abc", .slots = 4,
	    .log_ring_bytes = 20000, .span_ring_bytes = 16384,
	    .areas = areas, .metrics = some_metrics(routes) };
}

static struct rh_segment *
made(const char *path, const struct rh_segment_spec *spec)
{
	struct rh_buf *why = scratch_buf();
	struct rh_segment *s = NULL;

	ck_assert_msg(rh_segment_create(&s, path, spec, why), "%s",
	    scratch_text(why));
	return s;
}

static struct rh_segment *
opened(const char *path)
{
	struct rh_buf *why = scratch_buf();
	struct rh_segment *s = NULL;

	ck_assert_msg(rh_segment_open(&s, path, why), "%s", scratch_text(why));
	return s;
}

START_TEST(a_reader_finds_all_that_was_made)
{
	const char *path = scratch_open();
	struct rh_segment_spec spec = some_spec(3);
	struct rh_segment *s = made(path, &spec), *r = opened(path);
	struct rh_segment_build build;

	ck_assert_uint_eq(rh_segment_slots(r), 4);
	ck_assert_str_eq(rh_segment_pool(r), "fcgi");
	rh_segment_build(r, &build);
	ck_assert_str_eq(build.version, "0.1.0");
	ck_assert_str_eq(build.revision, "abc");
	ck_assert_mem_eq(rh_segment_id(r), rh_segment_id(s), 16);
	ck_assert_uint_eq(rh_segment_log(r, 3)->size, 32768);
	ck_assert_int_eq(rh_segment_log(r, 0)->mode, RH_RING_REFUSE);
	ck_assert_int_eq(rh_segment_spans(r, 0)->mode, RH_RING_OVERWRITE);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_uint_eq((uintptr_t)rh_segment_slot(s, i) % 4096, 0);
	rh_segment_slot(s, 2)->pid = 77;
	memset(rh_segment_area(s, "tenants"), 1, 100000);
	ck_assert_int_eq(rh_segment_slot(r, 2)->pid, 77);
	ck_assert_uint_eq(rh_segment_cells(r, 3)[0], 0);
	ck_assert_int_eq(*(char *)rh_segment_area(r, "connections"), 0);
	rh_segment_close(&r);
	rh_segment_close(&s);
	ck_assert_ptr_null(s);
}
END_TEST

START_TEST(what_is_not_touched_costs_nothing)
{
	const char *path = scratch_open();
	struct rh_segment_spec spec = some_spec(3);
	struct rh_segment *s;
	struct stat st;

	spec.slots = 17;
	spec.log_ring_bytes = spec.span_ring_bytes = 1 << 20;
	s = made(path, &spec);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_gt(st.st_size, 34 << 20);
	ck_assert_int_lt(st.st_blocks * 512, 1 << 20);
	ck_assert_int_eq(st.st_mode & 0007, 0);
	rh_segment_close(&s);
}
END_TEST

START_TEST(the_same_geometry_is_taken_over)
{
	const char *path = scratch_open();
	struct rh_segment_spec spec = some_spec(3);
	struct rh_segment *s = made(path, &spec), *r;
	unsigned char id[16];
	char line[8192];
	unsigned items;
	uint64_t missed;

	memcpy(id, rh_segment_id(s), 16);
	rh_segment_cells(s, 1)[2] = 41;
	rh_segment_slot(s, 1)->pid = 5;
	memset(rh_segment_area(s, "tenants"), 1, 100000);
	memcpy(rh_ring_reserve(rh_segment_log(s, 1), 4), "last", 4);
	rh_ring_commit(rh_segment_log(s, 1), 4, 1);
	rh_segment_close(&s);
	r = opened(path);

	spec = some_spec(3);
	spec.version = "0.2.0";
	s = made(path, &spec);
	ck_assert(!rh_segment_is_replaced(r));
	ck_assert_mem_eq(rh_segment_id(s), id, 16);
	ck_assert_uint_eq(rh_segment_cells(s, 1)[2], 41);
	/* what it died in is still to be told; but it is no worker of this pool */
	ck_assert_int_eq(rh_segment_slot(s, 1)->pid, 5);
	ck_assert(!rh_slot_serves(rh_segment_slot(s, 1)));
	for (size_t i = 0; i < 100000; i++)
		ck_assert_int_eq(((char *)rh_segment_area(s, "tenants"))[i], 0);
	ck_assert_uint_eq(rh_ring_take(rh_segment_log(s, 1), line,
	    sizeof(line), &items, &missed), 4);
	rh_segment_close(&s);
	rh_segment_close(&r);
}
END_TEST

START_TEST(another_geometry_replaces_by_rename)
{
	const char *path = scratch_open();
	struct rh_segment_spec spec = some_spec(3);
	struct rh_segment *s = made(path, &spec), *r = opened(path), *t;

	rh_segment_cells(s, 1)[0] = 41;
	rh_segment_close(&s);
	spec = some_spec(4);
	t = made(path, &spec);
	ck_assert(rh_segment_is_replaced(r));
	ck_assert_uint_eq(rh_segment_cells(r, 1)[0], 41);
	ck_assert_uint_eq(rh_segment_cells(t, 1)[0], 0);
	rh_segment_close(&r);
	rh_segment_close(&t);
}
END_TEST

/* Routes of the second: the same geometry, and another. */
static const unsigned geometries[] = { 3, 4 };

START_TEST(a_second_pool_is_refused)
{
	const char *path = scratch_open();
	struct rh_segment_spec spec = some_spec(3), other = some_spec(geometries[_i]);
	struct rh_segment *s = made(path, &spec), *second = NULL;
	struct rh_buf *why = scratch_buf();

	ck_assert(!rh_segment_create(&second, path, &other, why));
	ck_assert_ptr_nonnull(strstr(scratch_text(why), "a pool that is running"));
	rh_segment_close(&s);
	s = made(path, &other);
	rh_segment_close(&s);
}
END_TEST

START_TEST(a_successor_of_the_same_geometry_goes_on)
{
	const char *path = scratch_open();
	struct rh_segment_spec spec = some_spec(3), next = some_spec(3);
	struct rh_segment *s = made(path, &spec), *heir = NULL;
	struct rh_buf *why = scratch_buf();
	struct rh_segment_build build;
	bool same = false;

	rh_segment_slot(s, 2)->pid = 77;
	rh_segment_cells(s, 2)[0] = 5;
	memcpy(rh_segment_area(s, "connections"), "x", 1);
	next.version = "0.2.0";
	ck_assert_msg(rh_segment_succeed(&heir, dup(rh_segment_fd(s)), path,
	    &next, &same, why), "%s", scratch_text(why));
	ck_assert(same);
	ck_assert_int_eq(rh_segment_slot(heir, 2)->pid, 77);
	ck_assert_uint_eq(rh_segment_cells(heir, 2)[0], 5);
	ck_assert_int_eq(*(char *)rh_segment_area(heir, "connections"),
	    'x');
	rh_segment_build(heir, &build);
	ck_assert_str_eq(build.version, "0.2.0");
	ck_assert(!rh_segment_is_replaced(s));
	rh_segment_close(&s);
	/* the lock went along */
	ck_assert(!rh_segment_create(&s, path, &spec, why));
	rh_segment_close(&heir);
}
END_TEST

START_TEST(a_successor_of_another_geometry_has_a_file_of_its_own)
{
	const char *path = scratch_open();
	struct rh_segment_spec spec = some_spec(3), next = some_spec(4);
	struct rh_segment *s = made(path, &spec), *heir = NULL, *old = NULL;
	struct rh_buf *why = scratch_buf();
	bool same = true;

	rh_segment_slot(s, 2)->pid = 77;
	ck_assert_msg(rh_segment_succeed(&heir, rh_segment_fd(s), path, &next,
	    &same, why), "%s", scratch_text(why));
	ck_assert(!same);
	ck_assert_int_eq(rh_segment_slot(heir, 2)->pid, 0);
	ck_assert(rh_segment_is_replaced(s));
	ck_assert(
	    rh_segment_attach(&old, dup(rh_segment_fd(s)), "it", "fcgi", why));
	ck_assert_int_eq(rh_segment_slot(old, 2)->pid, 77);
	rh_segment_slot(old, 2)->pid = 78;
	ck_assert_int_eq(rh_segment_slot(s, 2)->pid, 78);
	rh_segment_close(&old);
	rh_segment_close(&heir);
	rh_segment_close(&s);
}
END_TEST

/* ---- several pools in one file ---- */

static const struct rh_segment_pool both[] = { { "fcgi", 4 }, { "jobs", 3 },
	{ NULL, 0 } };
static const struct rh_area areas_of_both[] = { { "conns", 64, false, 0 },
	{ "conns", 64, false, 1 }, { "tenants", 64, false, 0 },
	{ NULL, 0, false, 0 } };

static struct rh_segment_spec
spec_of(unsigned pool, unsigned routes)
{
	struct rh_segment_spec spec = some_spec(routes);

	spec.pool = both[pool].name;
	spec.pools = both;
	spec.areas = areas_of_both;
	return spec;
}

/* Whichever came first made the file. */
static const unsigned firsts[] = { 0, 1 };

START_TEST(two_pools_have_a_file_together_and_slots_of_their_own)
{
	const char *path = scratch_open();
	struct rh_segment_spec fcgi = spec_of(0, 3), jobs = spec_of(1, 3);
	struct rh_segment *f = firsts[_i] ? NULL : made(path, &fcgi);
	struct rh_segment *j = made(path, &jobs), *r;
	uint64_t cells[RH_METRIC_CELLS];

	f = f ? f : made(path, &fcgi);
	r = opened(path);
	ck_assert(!rh_segment_is_replaced(j) && !rh_segment_is_replaced(f));
	ck_assert_uint_eq(rh_segment_slots(f), 4);
	ck_assert_uint_eq(rh_segment_slots(j), 3);
	ck_assert_str_eq(rh_segment_pool(j), "jobs");
	rh_segment_slot(f, 1)->pid = 71;
	rh_segment_slot(j, 1)->pid = 72;
	ck_assert_int_eq(rh_segment_slot(f, 1)->pid, 71);
	ck_assert_int_eq(rh_segment_slot(rh_segment_view(r, 0), 1)->pid, 71);
	ck_assert_int_eq(rh_segment_slot(rh_segment_view(r, 1), 1)->pid, 72);
	ck_assert_ptr_null(rh_segment_view(r, 2));
	*(char *)rh_segment_area(f, "conns") = 'f';
	*(char *)rh_segment_area(j, "conns") = 'j';
	ck_assert_int_eq(*(char *)rh_segment_area(f, "conns"), 'f');
	*(char *)rh_segment_area(f, "tenants") = 't';
	ck_assert_int_eq(*(char *)rh_segment_area(j, "tenants"), 't');
	rh_segment_cells(f, 1)[0] = 5;
	rh_segment_cells(j, 1)[0] = 7;
	ck_assert(rh_metric_sum(r, rh_metric_find(r, "http_requests_total"), 0,
	    0, cells));
	ck_assert_uint_eq(cells[0], 12);
	rh_segment_close(&r);
	rh_segment_close(&f);
	rh_segment_close(&j);
}
END_TEST

START_TEST(a_pool_that_starts_again_leaves_the_other_as_it_is)
{
	const char *path = scratch_open();
	struct rh_segment_spec fcgi = spec_of(0, 3), jobs = spec_of(1, 3);
	struct rh_segment *f = made(path, &fcgi), *j = made(path, &jobs), *r;
	struct rh_segment *second = NULL;
	struct rh_buf *why = scratch_buf();

	rh_segment_slot(f, 1)->pid = 71;
	rh_segment_slot(j, 1)->pid = 72;
	*(char *)rh_segment_area(f, "conns") = 'f';
	*(char *)rh_segment_area(j, "conns") = 'j';
	ck_assert(!rh_segment_create(&second, path, &jobs, why));
	rh_segment_close(&j);
	r = opened(path);
	ck_assert(rh_segment_is_held(rh_segment_view(r, 0)));
	ck_assert(!rh_segment_is_held(rh_segment_view(r, 1)));
	j = made(path, &jobs);
	ck_assert(!rh_segment_is_replaced(f));
	ck_assert(!rh_slot_serves(rh_segment_slot(j, 1)));
	ck_assert_int_eq(*(char *)rh_segment_area(j, "conns"), 0);
	ck_assert_int_eq(rh_segment_slot(f, 1)->pid, 71);
	ck_assert_int_eq(*(char *)rh_segment_area(f, "conns"), 'f');
	rh_segment_close(&r);
	rh_segment_close(&f);
	rh_segment_close(&j);
}
END_TEST

START_TEST(the_first_pool_goes_its_way_and_the_others_follow)
{
	const char *path = scratch_open();
	struct rh_segment_spec fcgi = spec_of(0, 3), jobs = spec_of(1, 3);
	struct rh_segment_spec fcgi_new = spec_of(0, 4),
			       jobs_new = spec_of(1, 4);
	struct rh_segment *f = made(path, &fcgi), *j = NULL, *old;
	struct rh_buf *why = scratch_buf();
	bool same = true;

	/* ahead of the first one it is refused … */
	ck_assert(rh_segment_is_anothers(path, &jobs_new, why));
	ck_assert(!rh_segment_create(&j, path, &jobs_new, why));
	ck_assert_ptr_nonnull(strstr(scratch_text(why), "the pool fcgi"));
	ck_assert(!rh_segment_is_anothers(path, &jobs, why));
	j = made(path, &jobs);
	rh_segment_close(&f);
	/* … which replaces the file under those that live in it … */
	f = made(path, &fcgi_new);
	ck_assert(rh_segment_is_replaced(j));
	/* … and so they can come after it */
	ck_assert(!rh_segment_is_anothers(path, &jobs_new, why));
	old = j;
	ck_assert_msg(rh_segment_succeed(&j, rh_segment_fd(old), path,
			  &jobs_new, &same, why),
	    "%s", scratch_text(why));
	ck_assert(!same && !rh_segment_is_replaced(j));
	rh_segment_close(&old);
	rh_segment_close(&j);
	rh_segment_close(&f);
	/* where nobody else lives it does as it likes */
	j = made(path, &jobs);
	rh_segment_close(&j);
}
END_TEST

/* Joins, says its slot through the pipe, and stays until it is killed. */
static pid_t
joined(const char *path, const struct rh_segment_spec *spec, unsigned *slot)
{
	struct rh_segment *s = NULL;
	struct rh_buf *why = scratch_buf();
	struct rh_joined mine;
	int ends[2];
	pid_t pid;

	ck_assert_int_eq(pipe(ends), 0);
	if ((pid = fork()) == 0) {
		close(ends[0]);
		if (!rh_segment_join(&s, &mine, path, spec, why))
			_exit(1);
		rh_segment_cells(s, mine.slot)[0]++;
		if (write(ends[1], &mine.slot, sizeof(*slot)) != sizeof(*slot))
			_exit(2);
		for (;;)
			pause();
	}
	close(ends[1]);
	*slot = 0;
	if (read(ends[0], slot, sizeof(*slot)) != sizeof(*slot))
		scratch_reap(pid, 1 << 8);
	close(ends[0]);
	return pid;
}

START_TEST(those_who_join_have_a_slot_each)
{
	const char *path = scratch_open();
	struct rh_segment_spec spec = some_spec(3), other = some_spec(4);
	struct rh_segment *s = NULL;
	struct rh_buf *why = scratch_buf();
	unsigned slots[5];
	pid_t pids[5];

	for (unsigned i = 0; i < 3; i++) {
		pids[i] = joined(path, &spec, &slots[i]);
		ck_assert_uint_eq(slots[i], i + 1);
	}
	/* slots are 4, the master's among them */
	joined(path, &spec, &slots[3]);
	ck_assert_uint_eq(slots[3], 0);
	joined(path, &other, &slots[3]);
	ck_assert_uint_eq(slots[3], 0);
	ck_assert(!rh_segment_create(&s, path, &spec, why));
	kill(pids[1], SIGKILL);
	scratch_reap(pids[1], SIGKILL);
	pids[3] = joined(path, &spec, &slots[3]);
	ck_assert_uint_eq(slots[3], 2);
	s = opened(path);
	ck_assert_uint_eq(rh_segment_cells(s, 2)[0], 2);
	rh_segment_close(&s);
	for (unsigned i = 0; i < 4; i += i == 0 ? 2 : 1) {
		kill(pids[i], SIGKILL);
		scratch_reap(pids[i], SIGKILL);
	}
	/* none is left: another configuration may begin */
	pids[4] = joined(path, &other, &slots[4]);
	ck_assert_uint_eq(slots[4], 1);
	kill(pids[4], SIGKILL);
	scratch_reap(pids[4], SIGKILL);
	s = made(path, &spec);
	joined(path, &spec, &slots[0]);
	ck_assert_uint_eq(slots[0], 0);
	rh_segment_close(&s);
}
END_TEST

static struct {
	unsigned n, slot;
	pid_t pid;
} told;

static void
tell(void *ctx, unsigned slot, pid_t pid)
{
	ck_assert_ptr_eq(ctx, &told);
	told.n++;
	told.slot = slot;
	told.pid = pid;
}

/* Of three and us: whoever looks, and whoever takes the slot of a dead one. */
START_TEST(who_is_gone_without_a_goodbye_is_told_of_once)
{
	const char *path = scratch_open();
	struct rh_segment_spec spec = some_spec(3);
	struct rh_segment *s = NULL;
	struct rh_joined mine;
	unsigned slots[2];
	pid_t pids[2];

	for (unsigned i = 0; i < 2; i++)
		pids[i] = joined(path, &spec, &slots[i]);
	ck_assert(rh_segment_join(&s, &mine, path, &spec, scratch_buf()));
	ck_assert_uint_eq(mine.slot, 3);
	ck_assert_int_eq(mine.left, 0);
	rh_segment_bury(s, tell, &told);
	ck_assert_uint_eq(told.n, 0);
	kill(pids[0], SIGKILL);
	scratch_reap(pids[0], SIGKILL);
	rh_segment_bury(s, tell, &told);
	rh_segment_bury(s, tell, &told);
	ck_assert_uint_eq(told.n, 1);
	ck_assert_uint_eq(told.slot, slots[0]);
	ck_assert_int_eq(told.pid, pids[0]);
	/* a goodbye: nobody is missed */
	atomic_store(&rh_segment_slot(s, slots[1])->pid, 0);
	kill(pids[1], SIGKILL);
	scratch_reap(pids[1], SIGKILL);
	rh_segment_bury(s, tell, &told);
	ck_assert_uint_eq(told.n, 1);
	/* free ones first; then one that is gone leaves us all that it had */
	pids[0] = joined(path, &spec, &slots[0]);
	kill(pids[0], SIGKILL);
	scratch_reap(pids[0], SIGKILL);
	pids[1] = joined(path, &spec, &slots[1]);
	ck_assert_uint_ne(slots[0], slots[1]);
	rh_segment_close(&s);
	ck_assert(rh_segment_join(&s, &mine, path, &spec, scratch_buf()));
	ck_assert_uint_eq(mine.slot, slots[0]);
	ck_assert_int_eq(mine.left, pids[0]);
	kill(pids[1], SIGKILL);
	scratch_reap(pids[1], SIGKILL);
	rh_segment_close(&s);
}
END_TEST

/* All start on nothing at once: one has it, the others hear so or take turns. */
START_TEST(starters_in_a_race_never_share)
{
	const char *path = scratch_open();
	struct rh_segment_spec spec = some_spec(3);
	struct rh_segment *s = NULL;
	struct rh_buf *why = scratch_buf();
	pid_t pids[6];

	for (int i = 0; i < 6; i++) {
		pids[i] = fork();
		ck_assert_int_ge(pids[i], 0);
		if (pids[i] == 0) {
			/* whose turn is long in coming hears so after 2 s */
			while (!rh_segment_create(&s, path, &spec, why))
				why->n = 0;
			/* alone, a read, a pause and a write lose nothing */
			uint64_t n = rh_segment_cells(s, 0)[0];

			usleep(20000);
			rh_segment_cells(s, 0)[0] = n + 1;
			_exit(0);
		}
	}
	for (int i = 0; i < 6; i++)
		scratch_reap(pids[i], 0);
	s = opened(path);
	ck_assert_uint_eq(rh_segment_cells(s, 0)[0], 6);
	rh_segment_close(&s);
}
END_TEST

/* Ways to spoil a segment, and what is then said of it. */
static const struct {
	const char *says;
	long at;		/* where a byte changes; -1: cut in half; -2: a text file */
	bool replaced;
} spoilt[] = {
	{ "no segment of Rowhouse", 0, false },
	{ "no segment of Rowhouse", -2, false },
	{ "layout version", offsetof(struct rh_seg_head, version), true },
	{ "truncated", -1, true },
	{ "damaged", offsetof(struct rh_seg_head, hash), true },
	{ "damaged", sizeof(struct rh_seg_head) + 3, true },
};

static void
spoil(const char *path, long at)
{
	int fd = open(path, O_RDWR);
	unsigned char byte;
	struct stat st;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	if (at == -2) {
		ck_assert_int_eq(ftruncate(fd, 0), 0);
		ck_assert_int_eq(pwrite(fd, "root:x:0\n", 9, 0), 9);
	} else if (at == -1) {
		ck_assert_int_eq(ftruncate(fd, st.st_size / 2), 0);
	} else {
		ck_assert_int_eq(pread(fd, &byte, 1, at), 1);
		byte ^= 0x55;
		ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
	}
	close(fd);
}

START_TEST(a_spoilt_file_is_named_and_refused)
{
	const char *path = scratch_open();
	struct rh_segment_spec spec = some_spec(3);
	struct rh_segment *s = made(path, &spec);
	struct rh_buf *why = scratch_buf();

	rh_segment_close(&s);
	spoil(path, spoilt[_i].at);
	ck_assert(!rh_segment_open(&s, path, why));
	ck_assert_msg(strstr(scratch_text(why), spoilt[_i].says) != NULL,
	    "%s", scratch_text(why));
	spec = some_spec(3);
	ck_assert_int_eq(rh_segment_create(&s, path, &spec, why),
	    spoilt[_i].replaced);
	rh_segment_close(&s);
}
END_TEST

/* Bytes that a file under a reader's eyes loses, or gains. */
static const long resized[] = { -1, -4096, -70000, 1, 4096, 1 << 20 };

static const struct rh_segment *under_eyes;

static void
mend(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	if (!rh_segment_mend(under_eyes, info->si_addr))
		_exit(99);
}

START_TEST(another_size_is_another_file_and_ends_no_reader)
{
	const struct sigaction act = { .sa_sigaction = mend,
		.sa_flags = SA_SIGINFO };
	const char *path = scratch_open();
	struct rh_segment_spec spec = some_spec(3);
	struct rh_segment *s = made(path, &spec), *r = opened(path);
	struct rh_buf *why = scratch_buf();
	unsigned char sum = 0;

	under_eyes = r;
	sigaction(SIGBUS, &act, NULL);
	ck_assert_int_eq(truncate(path, (off_t)r->bytes + resized[_i]), 0);
	for (size_t i = 0; i < r->bytes; i += 512)
		sum |= (unsigned char)r->base[i];
	ck_assert_uint_ne(sum, 0);
	ck_assert(rh_segment_is_replaced(r));
	rh_segment_close(&r);
	ck_assert(!rh_segment_open(&r, path, why));
	rh_segment_close(&s);
}
END_TEST

START_TEST(families_that_share_cells_are_refused)
{
	const char *path = scratch_open();
	struct rh_segment_spec spec = some_spec(3);
	struct rh_segment *s = made(path, &spec);
	struct rh_seg_head *head = malloc(s->head->described);
	struct rh_seg_family *f;
	struct rh_buf *why = scratch_buf();
	int fd = open(path, O_RDWR);

	memcpy(head, s->head, s->head->described);
	rh_segment_close(&s);
	f = (struct rh_seg_family *)((char *)head + head->families);
	ck_assert_uint_gt(head->nfamilies, 1);
	f[1].at.cell = f[0].at.cell;
	head->hash = rh_seg_hash(head);
	ck_assert_int_eq(pwrite(fd, head, head->described, 0),
	    (ssize_t)head->described);
	ck_assert(!rh_segment_open(&s, path, why));
	close(fd);
	free(head);
}
END_TEST

START_TEST(no_file_is_a_reason)
{
	struct rh_buf *why = scratch_buf();
	struct rh_segment *s = NULL;

	ck_assert(!rh_segment_open(&s, scratch_open(), why));
	ck_assert_ptr_nonnull(strstr(scratch_text(why),
	    "No such file or directory"));
}
END_TEST

static void
scramble(char *bytes, size_t n, uint64_t *state)
{
	unsigned changes = 1 + scratch_random(state) % 8;

	while (changes--) {
		uint64_t at = scratch_random(state) % (n / 4) * 4;
		uint32_t value = (uint32_t)scratch_random(state);

		switch (scratch_random(state) % 3) {
		case 0: value %= 64; break;
		case 1: value = UINT32_MAX - value % 64; break;
		default: break;
		}
		memcpy(bytes + at, &value, 4);
	}
}

static void
look_at_all(const struct rh_segment *s)
{
	struct rh_arena *arena = rh_arena_new(65536, 128 << 20);
	struct rh_buf b;
	char *record = malloc(65536);
	uint64_t at;

	rh_buf_init(&b, arena, 4096, 32 << 20);
	rh_metrics_expose(&b, s, RH_EXPO_OPENMETRICS);
	for (unsigned i = 0; i < rh_segment_slots(s); i++) {
		at = 0;
		for (int j = 0; j < 500 && rh_segment_peek(s, i, RH_SEG_LOG,
		    &at, record, 65536); j++)
			;
	}
	free(record);
	rh_arena_destroy(&arena);
}

/*
 * Random changes of the head, the description and what follows, with the hash
 * put right again: whatever the reader accepts, it reads within the file.
 */
START_TEST(random_changes_are_survived)
{
	const char *path = scratch_open();
	struct rh_segment_spec spec = some_spec(3);
	struct rh_segment *s = made(path, &spec);
	size_t described = s->head->described, bytes = s->bytes;
	char *good = malloc(bytes), *bad = malloc(bytes);
	struct rh_buf *why = scratch_buf();
	unsigned accepted = 0;
	int fd = open(path, O_RDWR);

	rh_segment_close(&s);
	ck_assert_int_eq(pread(fd, good, bytes, 0), bytes);
	for (uint64_t seed = 1; seed <= 400; seed++) {
		struct rh_seg_head *head = (struct rh_seg_head *)bad;
		uint64_t state = seed * 0x9e3779b97f4a7c15;

		memcpy(bad, good, bytes);
		scramble(bad, seed % 3 ? described : bytes, &state);
		if (head->described == described)
			head->hash = rh_seg_hash(head);
		ck_assert_int_eq(pwrite(fd, bad, bytes, 0), bytes);
		if (!rh_segment_open(&s, path, why))
			continue;
		accepted++;
		look_at_all(s);
		rh_segment_close(&s);
	}
	ck_assert_uint_gt(accepted, 20);
	close(fd);
	free(good);
	free(bad);
}
END_TEST

RH_CHECK_MAIN("obs/segment", RH_CASE(a_reader_finds_all_that_was_made),
    RH_CASE(what_is_not_touched_costs_nothing),
    RH_CASE(the_same_geometry_is_taken_over),
    RH_CASE(another_geometry_replaces_by_rename),
    RH_LOOP(a_second_pool_is_refused, geometries),
    RH_CASE(a_successor_of_the_same_geometry_goes_on),
    RH_CASE(a_successor_of_another_geometry_has_a_file_of_its_own),
    RH_LOOP(two_pools_have_a_file_together_and_slots_of_their_own, firsts),
    RH_CASE(a_pool_that_starts_again_leaves_the_other_as_it_is),
    RH_CASE(the_first_pool_goes_its_way_and_the_others_follow),
    RH_CASE(those_who_join_have_a_slot_each),
    RH_CASE(who_is_gone_without_a_goodbye_is_told_of_once),
    RH_CASE(starters_in_a_race_never_share),
    RH_LOOP(a_spoilt_file_is_named_and_refused, spoilt),
    RH_LOOP(another_size_is_another_file_and_ends_no_reader, resized),
    RH_CASE(families_that_share_cells_are_refused),
    RH_CASE(no_file_is_a_reason), RH_CASE(random_changes_are_survived))
