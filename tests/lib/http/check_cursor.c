/* check_cursor.c - a cursor is ours, of this list, or an error. */
#include "config.h"

#include "http/cursor.h"
#include "rh_check.h"

static const struct rh_cursor somewhere = {
	.at = 1767323045678901,
	.id = { { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 } },
};

START_TEST(what_was_put_is_got)
{
	struct rh_slice text;
	struct rh_cursor c;

	rh_cursor_key(RH_SLICE("0123456789abcdef0123456789abcdef"));
	text = rh_cursor_put(rh_check_arena(), somewhere, 42);
	ck_assert_uint_eq(text.n, RH_CURSOR_LEN);
	ck_assert_ptr_null(rh_cursor_get(rh_check_arena(), text, 42, &c));
	ck_assert_int_eq(c.at, somewhere.at);
	ck_assert(rh_uuid_is(c.id, somewhere.id));
}
END_TEST

START_TEST(no_cursor_is_the_start)
{
	struct rh_cursor c = somewhere;

	ck_assert_ptr_null(rh_cursor_get(rh_check_arena(), RH_SLICE_NONE, 1, &c));
	ck_assert_int_eq(c.at, RH_TIME_INFINITY);
	ck_assert(rh_uuid_is_nil(c.id));
}
END_TEST

static bool
is_refused(struct rh_slice text, uint64_t context)
{
	struct rh_cursor c;
	struct rh_err *err = rh_cursor_get(rh_check_arena(), text, context, &c);

	return err && err->kind == RH_E_MALFORMED && c.at == RH_TIME_INFINITY;
}

START_TEST(another_list_refuses_it)
{
	rh_cursor_key(RH_SLICE("0123456789abcdef0123456789abcdef"));
	ck_assert(is_refused(rh_cursor_put(rh_check_arena(), somewhere, 42), 43));
}
END_TEST

START_TEST(another_key_refuses_it)
{
	struct rh_slice text;

	rh_cursor_key(RH_SLICE("0123456789abcdef0123456789abcdef"));
	text = rh_cursor_put(rh_check_arena(), somewhere, 42);
	rh_cursor_key(RH_SLICE("another secret, long enough to be one"));
	ck_assert(is_refused(text, 42));
}
END_TEST

START_TEST(every_changed_character_is_noticed)
{
	struct rh_slice text;

	rh_cursor_key(RH_SLICE("0123456789abcdef0123456789abcdef"));
	text = rh_cursor_put(rh_check_arena(), somewhere, 42);
	for (size_t i = 0; i < text.n; i++) {
		char *copy = rh_arena_strdup(rh_check_arena(), text);

		copy[i] = copy[i] == 'A' ? 'B' : 'A';
		ck_assert(is_refused((struct rh_slice){ copy, text.n }, 42));
	}
}
END_TEST

static const char *const rubbish[] = {
	"", "a", "!!!", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	"../../etc/passwd",
};

START_TEST(rubbish_is_refused)
{
	rh_cursor_key(RH_SLICE("0123456789abcdef0123456789abcdef"));
	ck_assert(is_refused(rh_slice_of(rubbish[_i]), 42));
}
END_TEST

RH_CHECK_MAIN("http/cursor",
    RH_CASE(what_was_put_is_got),
    RH_CASE(no_cursor_is_the_start),
    RH_CASE(another_list_refuses_it),
    RH_CASE(another_key_refuses_it),
    RH_CASE(every_changed_character_is_noticed),
    RH_LOOP(rubbish_is_refused, rubbish))
