/* tests/lib/base/check_id.c - ids are in order, and nobody else's. */
#include "config.h"

#include "base/id.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "rh_check.h"

START_TEST(version_7_has_its_bits_and_the_time)
{
	int64_t before = rh_clock_wall_us() / 1000, ms = 0;
	struct rh_uuid id = rh_uuid_v7();
	int64_t after = rh_clock_wall_us() / 1000;

	ck_assert_int_eq(id.b[6] >> 4, 7);
	ck_assert_int_eq(id.b[8] >> 6, 2);
	for (int i = 0; i < 6; i++)
		ms = ms << 8 | id.b[i];
	ck_assert_int_ge(ms, before);
	ck_assert_int_le(ms, after);
	ck_assert(!rh_uuid_is_nil(id));
}
END_TEST

/* More than a millisecond's 4,096, so that the counter spills over. */
START_TEST(ids_of_a_process_only_rise)
{
	struct rh_uuid before = rh_uuid_v7(), id;

	for (int i = 0; i < 100000; i++) {
		id = rh_uuid_v7();
		if (memcmp(before.b, id.b, sizeof(id.b)) >= 0)
			ck_abort_msg("id %d does not follow the one before", i);
		if (id.b[6] >> 4 != 7 || id.b[8] >> 6 != 2)
			ck_abort_msg("id %d is no version 7", i);
		before = id;
	}
}
END_TEST

/* The random bytes of parent and children, which forked at the same moment. */
START_TEST(children_draw_their_own)
{
	enum { CHILDREN = 4, IDS = 50 };
	struct rh_uuid ids[(CHILDREN + 1) * IDS];
	size_t n = 0;
	int fds[2];

	rh_uuid_v7();	/* so that there is a pool to share */
	ck_assert_int_eq(pipe(fds), 0);
	for (int c = 0; c < CHILDREN; c++)
		if (fork() == 0) {
			for (int i = 0; i < IDS; i++) {
				struct rh_uuid id = rh_uuid_v7();

				if (write(fds[1], &id, sizeof(id)) != sizeof(id))
					_exit(1);
			}
			_exit(0);
		}
	for (int i = 0; i < IDS; i++)
		ids[n++] = rh_uuid_v7();
	for (; n < RH_COUNT(ids); n++)
		ck_assert_int_eq(read(fds[0], &ids[n], sizeof(ids[n])),
		    sizeof(ids[n]));
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < i; j++)
			ck_assert_msg(memcmp(ids[i].b + 9, ids[j].b + 9, 7) != 0,
			    "%zu and %zu have the same random bytes", i, j);
	while (wait(NULL) > 0)
		;
}
END_TEST

/* RFC 9562 appendix A.6, nil and max (section 5.9, 5.10), and upper case. */
static const struct { const char *text, *canonical; } texts[] = {
	{ "017f22e2-79b0-7cc3-98c4-dc0c0c07398f", "017f22e2-79b0-7cc3-98c4-dc0c0c07398f" },
	{ "017F22E2-79B0-7CC3-98C4-DC0C0C07398F", "017f22e2-79b0-7cc3-98c4-dc0c0c07398f" },
	{ "00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000000" },
	{ "ffffffff-ffff-ffff-ffff-ffffffffffff", "ffffffff-ffff-ffff-ffff-ffffffffffff" },
	{ "919108f7-52d1-4320-9bac-f847db4148a8", "919108f7-52d1-4320-9bac-f847db4148a8" },
};

START_TEST(uuids_there_and_back)
{
	char text[RH_UUID_LEN + 1] = { 0 };
	struct rh_uuid id;

	ck_assert(rh_uuid_get(&id, rh_slice_of(texts[_i].text)));
	rh_uuid_put(text, id);
	ck_assert_str_eq(text, texts[_i].canonical);
}
END_TEST

START_TEST(bytes_stand_in_network_order)
{
	struct rh_uuid id;

	ck_assert(rh_uuid_get(&id,
	    RH_SLICE("00010203-0405-0607-0809-0a0b0c0d0e0f")));
	for (int i = 0; i < 16; i++)
		ck_assert_int_eq(id.b[i], i);
	ck_assert(rh_uuid_is(id, id));
	ck_assert(!rh_uuid_is(id, RH_UUID_NIL));
	ck_assert(rh_uuid_is_nil(RH_UUID_NIL));
}
END_TEST

static const char *const no_uuids[] = {
	"", "x", "017f22e279b07cc398c4dc0c0c07398f",
	"{017f22e2-79b0-7cc3-98c4-dc0c0c07398f}",
	"urn:uuid:017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
	"017f22e2-79b0-7cc3-98c4-dc0c0c07398", "017f22e2-79b0-7cc3-98c4-dc0c0c07398ff",
	"017f22e2_79b0-7cc3-98c4-dc0c0c07398f", "017f22e2-79b0-7cc3-98c4-dc0c0c07398g",
	"017f22e27-9b0-7cc3-98c4-dc0c0c07398f", "017f22e2-79b07-cc3-98c4-dc0c0c07398f",
	"017f22e2-79b0-7cc3-98c4-dc0c0c0-398f", " 17f22e2-79b0-7cc3-98c4-dc0c0c07398f",
};

START_TEST(only_the_hyphenated_form_is_read)
{
	struct rh_uuid id;

	ck_assert(!rh_uuid_get(&id, rh_slice_of(no_uuids[_i])));
}
END_TEST

RH_CHECK_MAIN("base/id",
    RH_CASE(version_7_has_its_bits_and_the_time),
    RH_CASE(ids_of_a_process_only_rise),
    RH_CASE(children_draw_their_own),
    RH_LOOP(uuids_there_and_back, texts),
    RH_CASE(bytes_stand_in_network_order),
    RH_LOOP(only_the_hyphenated_form_is_read, no_uuids))
