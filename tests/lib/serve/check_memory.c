/* tests/lib/serve/check_memory.c - a process knows what it has for itself. */
#include "config.h"

#include "serve/memory.h"

#include <stdlib.h>
#include <unistd.h>

#include "rh_check.h"

START_TEST(memory_grows_with_what_is_touched)
{
	enum { MORE = 8 << 20 };
	int statm = rh_memory_open();
	uint64_t before = rh_memory_bytes(statm);
	char *more = malloc(MORE);

	ck_assert_uint_gt(before, 0);
	memset(more, 1, MORE);
	ck_assert_uint_ge(rh_memory_bytes(statm), before + MORE / 2);
	ck_assert_int_eq(more[MORE - 1], 1);
	free(more);
	close(statm);
	ck_assert_uint_eq(rh_memory_bytes(-1), 0);
}
END_TEST

RH_CHECK_MAIN("serve/memory",
    RH_CASE(memory_grows_with_what_is_touched))
