/* tests/lib/obs/check_ring.c - whole records or none, and every item accounted for. */
#include "config.h"

#include "obs/ring.h"

#include <signal.h>
#include <sys/mman.h>

#include "scratch.h"

#define SIZE	8192

static const enum rh_ring_mode modes[] = { RH_RING_REFUSE, RH_RING_OVERWRITE };

static struct rh_ring *
ring_of(enum rh_ring_mode mode)
{
	struct rh_ring *ring = mmap(NULL, rh_ring_footprint(SIZE),
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(ring, MAP_FAILED);
	rh_ring_init(ring, SIZE, mode);
	return ring;
}

/* A record tells its number, and repeats it in every word. */
static bool
put(struct rh_ring *ring, uint64_t number, size_t words, unsigned items)
{
	char *to = rh_ring_reserve(ring, words * 8);

	if (!to)
		return false;
	for (size_t i = 0; i < words; i++)
		memcpy(to + i * 8, &number, 8);
	rh_ring_commit(ring, words * 8, items);
	return true;
}

static uint64_t
number_of(const uint64_t *words, size_t n)
{
	ck_assert_uint_gt(n, 0);
	ck_assert_uint_eq(n % 8, 0);
	for (size_t i = 1; i < n / 8; i++)
		ck_assert_uint_eq(words[i], words[0]);
	return words[0];
}

START_TEST(records_come_back_whole_and_in_order)
{
	struct rh_ring *ring = ring_of(RH_RING_REFUSE);
	uint64_t words[SIZE / 8], missed, next = 0;
	unsigned items;
	size_t n;

	for (uint64_t i = 0; i < 5000; i++) {
		ck_assert(put(ring, i, 1 + i % 200, 1));
		if (i % 3)
			continue;
		while ((n = rh_ring_take(ring, words, sizeof(words), &items,
		    &missed))) {
			ck_assert_uint_eq(number_of(words, n), next++);
			ck_assert_uint_eq(items, 1);
			ck_assert_uint_eq(missed, 0);
		}
	}
	ck_assert(rh_ring_has(ring));
	ck_assert(rh_ring_is_sound(ring, SIZE, RH_RING_REFUSE));
}
END_TEST

START_TEST(nothing_shows_before_its_commit)
{
	struct rh_ring *ring = ring_of(RH_RING_REFUSE);
	char bytes[SIZE];
	unsigned items;
	uint64_t missed;

	ck_assert_ptr_nonnull(rh_ring_reserve(ring, 100));
	ck_assert(!rh_ring_has(ring));
	ck_assert_uint_eq(rh_ring_take(ring, bytes, SIZE, &items, &missed), 0);
	memcpy(rh_ring_reserve(ring, 100), "abc", 3);
	rh_ring_commit(ring, 3, 1);
	ck_assert_uint_eq(rh_ring_take(ring, bytes, SIZE, &items, &missed), 3);
	ck_assert_mem_eq(bytes, "abc", 3);
}
END_TEST

START_TEST(more_than_a_quarter_is_refused)
{
	struct rh_ring *ring = ring_of(modes[_i]);

	ck_assert_ptr_null(rh_ring_reserve(ring, SIZE / 4 + 1));
	ck_assert_ptr_nonnull(rh_ring_reserve(ring, SIZE / 4));
}
END_TEST

START_TEST(a_full_ring_refuses_and_keeps_what_it_has)
{
	struct rh_ring *ring = ring_of(RH_RING_REFUSE);
	uint64_t words[SIZE / 8], missed, put_in = 0, next = 0, last = 0;
	unsigned items;
	size_t n;

	for (uint64_t i = 0; i < 3000; i++) {
		last = i;
		put_in += put(ring, i, 1 + i * 7 % 120, 1);
	}
	ck_assert_uint_lt(put_in, last);
	while ((n = rh_ring_take(ring, words, sizeof(words), &items, &missed))) {
		ck_assert_uint_ge(number_of(words, n), next);
		next++;
	}
	ck_assert_uint_eq(next, put_in);
	ck_assert(put(ring, 1, 100, 1));
}
END_TEST

START_TEST(overwriting_tells_how_many_items_went)
{
	struct rh_ring *ring = ring_of(RH_RING_OVERWRITE);
	uint64_t words[SIZE / 8], missed, in = 0, out = 0, seed = 7;
	unsigned items;
	size_t n;

	for (uint64_t i = 0; i < 20000; i++) {
		unsigned k = (unsigned)(scratch_random(&seed) % 5);

		ck_assert(put(ring, i, 1 + scratch_random(&seed) % 200, k));
		in += k;
		if (scratch_random(&seed) % 10)
			continue;
		n = rh_ring_take(ring, words, sizeof(words), &items, &missed);
		number_of(words, n);
		out += items + missed;
	}
	while (rh_ring_take(ring, words, sizeof(words), &items, &missed))
		out += items + missed;
	ck_assert_uint_eq(out, in);
	ck_assert(rh_ring_is_sound(ring, SIZE, RH_RING_OVERWRITE));
}
END_TEST

/* A reader that is killed before it lets go has changed nothing. */
START_TEST(what_is_not_let_go_of_is_the_next_reader_s)
{
	struct rh_ring *ring = ring_of(modes[_i]), before;
	uint64_t words[SIZE / 8], missed;
	struct rh_ring_cursor c;
	unsigned items;

	for (uint64_t i = 0; i < 5; i++)
		ck_assert(put(ring, i, 3, 2));
	memcpy(&before, ring, sizeof(before));
	for (unsigned reader = 0; reader < 3; reader++) {
		rh_ring_begin(ring, &c);
		for (uint64_t i = 0; i < 3; i++) {
			ck_assert_uint_eq(number_of(words, rh_ring_next(ring,
			    &c, words, sizeof(words), &items, &missed)), i);
			ck_assert_uint_eq(items, 2);
			ck_assert_uint_eq(missed, 0);
		}
		ck_assert_mem_eq(&before, ring, sizeof(before));
	}
	rh_ring_release(ring, &c);
	ck_assert(rh_ring_is_sound(ring, SIZE, modes[_i]));
	ck_assert_uint_eq(ring->items_in - ring->items_out, 4);
	ck_assert_uint_eq(number_of(words, rh_ring_take(ring, words,
	    sizeof(words), &items, &missed)), 3);
}
END_TEST

START_TEST(room_is_what_overwrites_nothing_unread)
{
	struct rh_ring *ring = ring_of(modes[_i]);
	uint64_t words[SIZE / 8], missed, in = 0;
	unsigned items;

	while (rh_ring_has_room(ring, 800))
		ck_assert(put(ring, in++, 100, 1));
	ck_assert_uint_ge(in, SIZE / 800 - 2);
	ck_assert_uint_eq(put(ring, in, 100, 1), modes[_i] == RH_RING_OVERWRITE);
	rh_ring_take(ring, words, sizeof(words), &items, &missed);
	ck_assert_uint_eq(missed, modes[_i] == RH_RING_OVERWRITE);
	ck_assert(rh_ring_has_room(ring, 800));
}
END_TEST

START_TEST(onlookers_see_what_was_taken_too)
{
	struct rh_ring *ring = ring_of(modes[_i]);
	uint64_t words[SIZE / 8], missed, at = 0;
	unsigned items;
	size_t n;

	for (uint64_t i = 0; i < 10; i++)
		ck_assert(put(ring, i, 3, 1));
	for (int i = 0; i < 5; i++)
		rh_ring_take(ring, words, sizeof(words), &items, &missed);
	for (uint64_t i = 0; i < 10; i++) {
		n = rh_ring_peek(ring, SIZE, &at, words, sizeof(words));
		ck_assert_uint_eq(number_of(words, n), i);
	}
	ck_assert_uint_eq(rh_ring_peek(ring, SIZE, &at, words, sizeof(words)), 0);
	ck_assert(put(ring, 10, 3, 1));
	n = rh_ring_peek(ring, SIZE, &at, words, sizeof(words));
	ck_assert_uint_eq(number_of(words, n), 10);
}
END_TEST

/* Puts for ever; a number for each try, so that what is refused leaves a gap. */
static pid_t
writer_start(struct rh_ring *ring, _Atomic uint64_t *number)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid)
		return pid;
	for (;;) {
		uint64_t i = atomic_load(number);

		if (put(ring, i, 1 + i % 50, 1))
			atomic_store(number, i + 1);
	}
}

/*
 * The number is moved after the commit: a kill in between gives it twice, and
 * never leaves one out; in the ring's own books it may count one as missed.
 */
static size_t
read_all(struct rh_ring *ring, uint64_t *next, uint64_t *gaps,
    uint64_t *missed_sum)
{
	uint64_t words[SIZE / 8], missed, number;
	unsigned items;
	size_t n, records = 0;

	while ((n = rh_ring_take(ring, words, sizeof(words), &items,
	    &missed))) {
		records++;
		number = number_of(words, n);
		ck_assert_uint_ge(number + 1, *next);
		*gaps += number > *next ? number - *next : 0;
		*missed_sum += missed;
		*next = number + 1;
	}
	return records;
}

START_TEST(a_killed_writer_leaves_whole_records)
{
	enum rh_ring_mode mode = modes[_i];
	struct rh_ring *ring = ring_of(mode);
	_Atomic uint64_t *number = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t next = 0, gaps = 0, missed = 0;
	const unsigned kills = 20;
	pid_t pid;

	for (unsigned i = 0; i < kills; i++) {
		pid = writer_start(ring, number);
		for (size_t had = 0; had < 300 + i * 37;)
			had += read_all(ring, &next, &gaps, &missed);
		ck_assert_int_eq(kill(pid, SIGKILL), 0);
		scratch_reap(pid, SIGKILL);
		ck_assert(rh_ring_is_sound(ring, SIZE, mode));
	}
	read_all(ring, &next, &gaps, &missed);
	ck_assert(!rh_ring_has(ring));
	if (mode == RH_RING_REFUSE)
		ck_assert_uint_eq(gaps, 0);
	ck_assert_uint_le(gaps, missed + kills);
	ck_assert_uint_le(missed, gaps + 2 * kills);
}
END_TEST

/* Whatever stands in the file: an end, and no step outside (ASan, guard page). */
START_TEST(random_bytes_are_survived)
{
	size_t bytes = rh_ring_footprint(SIZE);
	char *pages = mmap(NULL, 5 * 4096, PROT_NONE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct rh_ring *ring = (struct rh_ring *)(pages + 3 * 4096 - bytes);
	char to[SIZE / 4];
	unsigned items;
	uint64_t missed, at;

	ck_assert_uint_lt(bytes, 3 * 4096);
	ck_assert_int_eq(mprotect(pages, 3 * 4096, PROT_READ | PROT_WRITE), 0);
	for (uint64_t seed = 1; seed <= 600; seed++) {
		uint64_t state = seed, edge = scratch_random(&state) % 3;

		for (size_t i = 0; i < bytes / 8; i++)
			((uint64_t *)ring)[i] = edge ? scratch_random(&state) :
			    scratch_random(&state) % 300;
		ring->size = SIZE;
		ring->mode = seed % 2;
		if (edge == 1)
			ring->head = ring->oldest + SIZE;
		at = edge ? 0 : scratch_random(&state);
		for (int i = 0; i < 2000 && rh_ring_peek(ring, SIZE, &at, to,
		    sizeof(to)); i++)
			;
		rh_ring_is_sound(ring, SIZE, ring->mode);
		for (int i = 0; i < 2000 && rh_ring_take(ring, to, sizeof(to),
		    &items, &missed); i++)
			;
		rh_ring_has(ring);
	}
	munmap(pages, 5 * 4096);
}
END_TEST

RH_CHECK_MAIN("obs/ring",
    RH_CASE(records_come_back_whole_and_in_order),
    RH_CASE(nothing_shows_before_its_commit),
    RH_LOOP(more_than_a_quarter_is_refused, modes),
    RH_CASE(a_full_ring_refuses_and_keeps_what_it_has),
    RH_CASE(overwriting_tells_how_many_items_went),
    RH_LOOP(what_is_not_let_go_of_is_the_next_reader_s, modes),
    RH_LOOP(room_is_what_overwrites_nothing_unread, modes),
    RH_LOOP(onlookers_see_what_was_taken_too, modes),
    RH_LOOP(a_killed_writer_leaves_whole_records, modes),
    RH_CASE(random_bytes_are_survived))
