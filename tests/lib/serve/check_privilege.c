/* tests/lib/serve/check_privilege.c - root is given up, and for good. */
#include "config.h"

#include "serve/privilege.h"

#include <sys/wait.h>
#include <unistd.h>

#include "rh_check.h"

static char reason[256];

static bool
drop(const char *user, const char *group)
{
	struct rh_buf why;
	bool dropped;

	rh_buf_init_fixed(&why, reason, sizeof(reason) - 1);
	dropped = rh_privilege_drop(rh_slice_of(user), rh_slice_of(group),
	    &why);
	reason[why.n] = '\0';
	return dropped;
}

START_TEST(unnamed_nothing_changes)
{
	uid_t uid = geteuid();

	ck_assert(drop("", ""));
	ck_assert_uint_eq(geteuid(), uid);
}
END_TEST

static const struct { const char *user, *group, *why; } unknown[] = {
	{ "no-such-user", "", "there is no user \"no-such-user\"" },
	{ "", "no-such-group", "there is no group \"no-such-group\"" },
	{ "99999999999", "", "there is no user \"99999999999\"" },
};

START_TEST(an_unknown_name_is_told)
{
	ck_assert(!drop(unknown[_i].user, unknown[_i].group));
	ck_assert_str_eq(reason, unknown[_i].why);
}
END_TEST

START_TEST(root_does_not_come_back)
{
	if (geteuid() != 0) {
		ck_assert(!drop("0", "0"));
		return;
	}
	ck_assert_msg(drop("65534", "65533"), "%s", reason);
	ck_assert_uint_eq(geteuid(), 65534);
	ck_assert_uint_eq(getuid(), 65534);
	ck_assert_uint_eq(getegid(), 65533);
	ck_assert_int_eq(getgroups(0, NULL), 1);
	ck_assert_int_ne(setuid(0), 0);
	ck_assert(drop("65534", "65533"));
	ck_assert(!drop("0", ""));
}
END_TEST

RH_CHECK_MAIN("serve/privilege",
    RH_CASE(unnamed_nothing_changes),
    RH_LOOP(an_unknown_name_is_told, unknown),
    RH_CASE(root_does_not_come_back))
