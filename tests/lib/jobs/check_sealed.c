/* check_sealed.c - arguments open with their key, in their row, and nowhere else. */
#include "config.h"

#include "jobs/sealed.h"
#include "rh_check.h"

static const struct rh_uuid tenant = { { 1 } }, other = { { 2 } },
			    row = { { 3 } };
static const struct rh_slice plain = RH_SLICE_INIT("{\"password\": \"hunter2\"}");

static struct rh_sealer
sealer_of(const char *secret)
{
	struct rh_sealer s;

	rh_sealer_init(&s, rh_slice_of(secret));
	return s;
}

static struct rh_slice
sealed(void)
{
	struct rh_sealer s = sealer_of("one");

	return rh_args_seal(&s, rh_check_arena(), tenant, row, plain);
}

static bool
opens(const char *secret, struct rh_uuid t, struct rh_uuid id,
    struct rh_slice *args)
{
	struct rh_sealer s = sealer_of(secret);

	return rh_args_open(&s, rh_check_arena(), t, id, args);
}

START_TEST(what_was_sealed_opens)
{
	struct rh_slice args = sealed();

	ck_assert(rh_args_are_sealed(args));
	ck_assert_ptr_null(memmem(args.p, args.n, "hunter2", 7));
	ck_assert(opens("one", tenant, row, &args));
	ck_assert(rh_slice_is(args, plain));
}
END_TEST

START_TEST(the_same_is_never_sealed_twice_alike)
{
	ck_assert(!rh_slice_is(sealed(), sealed()));
}
END_TEST

START_TEST(with_another_key_or_elsewhere_it_does_not)
{
	struct rh_slice args = sealed();

	ck_assert(!opens("two", tenant, row, &args));
	ck_assert(!opens("one", other, row, &args));
	ck_assert(!opens("one", tenant, other, &args));
	ck_assert(rh_args_are_sealed(args));
}
END_TEST

START_TEST(altered_it_does_not)
{
	struct rh_slice args = sealed();
	char *p = (char *)(uintptr_t)args.p;

	for (size_t i = 21; i < args.n - 2; i++) {
		p[i] ^= 1;
		ck_assert(!opens("one", tenant, row, &args));
		p[i] ^= 1;
	}
	ck_assert(opens("one", tenant, row, &args));
}
END_TEST

static const struct {
	const char *args;
	bool opens;
} others[] = {
	{ "{}", true },
	{ "{\"a\": 1}", true },
	{ "\"rowhouse.sealed\"", true },
	{ "{\"rowhouse.sealed\": 1}", true },
	{ "{\"rowhouse.sealed\": \"\"}", false },
	{ "{\"rowhouse.sealed\": \"AAAA\"}", false },
	{ "{\"rowhouse.sealed\": \"%%%%\"}", false },
	{ "{\"rowhouse.sealed\": \"", true },
	{ "{\"rowhouse.sealed\": \"\"", true },
	{ "{\"rowhouse.sealed\": \"x\", \"y\": \"z\"}", false },
};

START_TEST(what_was_not_stays_as_it_is)
{
	struct rh_slice args = rh_slice_of(others[_i].args);

	ck_assert_int_eq(opens("one", tenant, row, &args), others[_i].opens);
	ck_assert(rh_slice_is(args, rh_slice_of(others[_i].args)));
}
END_TEST

RH_CHECK_MAIN("jobs/sealed", RH_CASE(what_was_sealed_opens),
    RH_CASE(the_same_is_never_sealed_twice_alike),
    RH_CASE(with_another_key_or_elsewhere_it_does_not),
    RH_CASE(altered_it_does_not), RH_LOOP(what_was_not_stays_as_it_is, others))
