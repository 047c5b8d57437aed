/* tests/lib/tenancy/check_concurrency.c - so many of a tenant at a time. */
#include "config.h"

#include "tenancy/concurrency.h"

#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "obs/metric.h"
#include "obs/segment.h"
#include "rh_check.h"

#define SLOTS		9
#define ROUNDS		20000
#define SOME		UINT64_C(0x1234567890abcdef)
#define OTHER		UINT64_C(0xfedcba0987654321)

struct stand {
	struct rh_segment *segment;
	struct rh_concurrency *c;
};

static void
close_segment(void *segment)
{
	struct rh_segment *s = segment;

	rh_segment_close(&s);
}

static struct stand
stand(void)
{
	const struct rh_area areas[] = {
		{ "concurrency", rh_concurrency_bytes(SLOTS), false, 0 },
		{ NULL, 0, false, 0 }
	};
	const struct rh_segment_spec spec = { .pool = "test", .service = "test",
		.version = "1", .revision = "1", .slots = SLOTS,
		.log_ring_bytes = 4096, .span_ring_bytes = 4096, .areas = areas,
		.metrics = rh_metrics_new(rh_check_arena()) };
	char path[64], reason[256];
	struct stand s;
	struct rh_buf why;

	snprintf(path, sizeof(path), "/tmp/rh-concurrency-%d", (int)getpid());
	rh_buf_init_fixed(&why, reason, sizeof(reason));
	ck_assert_msg(rh_segment_create(&s.segment, path, &spec, &why), "%.*s",
	    (int)why.n, why.p);
	unlink(path);
	rh_arena_defer(rh_check_arena(), close_segment, s.segment);
	s.c = rh_segment_area(s.segment, "concurrency");
	for (unsigned i = 1; i < SLOTS; i++)
		rh_segment_slot(s.segment, i)->state = RH_SLOT_BUSY;
	return s;
}

static bool
enter(struct stand *s, unsigned slot, uint64_t tenant, unsigned most)
{
	return rh_concurrency_enter(s->c, s->segment, slot, tenant, most);
}

START_TEST(so_many_enter_and_no_more)
{
	struct stand s = stand();

	ck_assert(enter(&s, 1, SOME, 3));
	ck_assert(enter(&s, 5, SOME, 3));
	ck_assert(enter(&s, 3, SOME, 3));
	ck_assert(!enter(&s, 2, SOME, 3));
	ck_assert(!enter(&s, 8, SOME, 3));
	rh_concurrency_leave(s.c, 5);
	ck_assert(enter(&s, 8, SOME, 3));
	ck_assert(!enter(&s, 5, SOME, 3));
}
END_TEST

START_TEST(another_tenant_is_not_counted)
{
	struct stand s = stand();

	ck_assert(enter(&s, 1, SOME, 1));
	ck_assert(enter(&s, 2, OTHER, 1));
	ck_assert(!enter(&s, 3, SOME, 1));
	ck_assert(!enter(&s, 3, OTHER, 1));
	ck_assert(enter(&s, 3, 0, 1));	/* a hash like any other */
	ck_assert(!enter(&s, 4, 0, 1));
}
END_TEST

START_TEST(what_a_dead_worker_left_counts_for_nothing)
{
	struct stand s = stand();
	struct rh_slot *dead = rh_segment_slot(s.segment, 1);

	ck_assert(enter(&s, 1, SOME, 1));
	ck_assert(!enter(&s, 2, SOME, 1));
	dead->state = RH_SLOT_EMPTY;	/* the master has buried it */
	ck_assert(enter(&s, 2, SOME, 1));
	rh_concurrency_leave(s.c, 2);
	dead->state = RH_SLOT_STARTING;
	rh_concurrency_leave(s.c, 1);	/* the next one's first act */
	dead->state = RH_SLOT_BUSY;
	ck_assert(enter(&s, 2, SOME, 1));
}
END_TEST

/* Those who are in count themselves; nobody ever sees more than there may be. */
START_TEST(in_any_order_they_are_never_too_many)
{
	struct stand s = stand();
	_Atomic int *inside = mmap(NULL, 3 * sizeof(int), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;

	ck_assert_ptr_ne(inside, MAP_FAILED);
	for (unsigned slot = 1; slot < SLOTS; slot++) {
		if (fork())
			continue;
		for (int i = 0; i < ROUNDS; i++) {
			if (!enter(&s, slot, SOME, 3))
				continue;
			inside[1]++;
			if (++inside[0] > 3)
				inside[2]++;
			if (i % 16 == 0)
				sched_yield();
			inside[0]--;
			rh_concurrency_leave(s.c, slot);
		}
		_exit(0);
	}
	while (wait(&status) > 0)
		ck_assert_int_eq(status, 0);
	ck_assert_int_eq(inside[2], 0);
	ck_assert_int_ge(inside[1], ROUNDS / 10);
	/* and when all have left, there is room for as many as ever */
	ck_assert(enter(&s, 1, SOME, 2));
	ck_assert(enter(&s, 2, SOME, 2));
}
END_TEST

RH_CHECK_MAIN("tenancy/concurrency",
    RH_CASE(so_many_enter_and_no_more),
    RH_CASE(another_tenant_is_not_counted),
    RH_CASE(what_a_dead_worker_left_counts_for_nothing),
    RH_CASE(in_any_order_they_are_never_too_many))
