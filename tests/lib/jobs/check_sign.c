/*
 * check_sign.c - webhooks' secrets and signatures. The first vector is the
 * one that Standard Webhooks' own libraries are tested with.
 */
#include "config.h"

#include "jobs/sign.h"

#include "tests/rh_check.h"

static const struct rh_uuid tenant = { { 1, 2, 3 } }, webhook = { { 9 } };

static const struct {
	const char *secret, *id;
	int64_t at_s;
	const char *body, *signature;
} vectors[] = {
	{ "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
	    "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
	    "{\"test\": 2432232314}",
	    "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" },
};

START_TEST(signatures_are_the_specifications)
{
	char to[RH_HOOK_SIGNATURE_MAX];
	struct rh_hook_secret secret;
	struct rh_slice signature;

	ck_assert(rh_hook_secret_get(&secret, rh_slice_of(vectors[_i].secret)));
	signature = rh_hook_sign(to, rh_check_arena(), &secret, 1,
	    &(struct rh_hook_signed){ rh_slice_of(vectors[_i].id),
		vectors[_i].at_s, rh_slice_of(vectors[_i].body) });
	ck_assert(rh_slice_is(signature, rh_slice_of(vectors[_i].signature)));
}
END_TEST

START_TEST(two_secrets_sign_side_by_side)
{
	char one[RH_HOOK_SIGNATURE_MAX], two[RH_HOOK_SIGNATURE_MAX];
	struct rh_hook_signed what = { RH_SLICE("id"), 1, RH_SLICE("{}") };
	struct rh_hook_secret secrets[2];
	struct rh_slice list, first;

	rh_hook_secret_make(&secrets[0]);
	rh_hook_secret_make(&secrets[1]);
	list = rh_hook_sign(two, rh_check_arena(), secrets, 2, &what);
	first = rh_slice_cut(&list, ' ');
	ck_assert(rh_slice_is(first,
	    rh_hook_sign(one, rh_check_arena(), &secrets[0], 1, &what)));
	ck_assert(rh_slice_is(list,
	    rh_hook_sign(one, rh_check_arena(), &secrets[1], 1, &what)));
	ck_assert(!rh_slice_is(first, list));
}
END_TEST

/* clang-format off */
static const struct {
	const char *text;
	size_t n; /* bytes; 0: it is none */
} spellings[] = {
	{ "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 24 },
	{ "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==", 25 },
	{ "whsec_++++////++++////++++////++++////+w==", 25 },
	{ "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 0 },
	{ "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", 0 }, /* 23 bytes */
	{ "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 0 }, /* no padding */
	{ "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB==", 0 }, /* not canonical */
	{ "whsec_----____----____----____----____", 0 },
	{ "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA A", 0 },
	{ "whsec_", 0 },
	{ "", 0 },
};

/* clang-format on */
START_TEST(a_secret_is_24_to_64_bytes_in_base64)
{
	char to[RH_HOOK_SECRET_TEXT_MAX];
	struct rh_slice text = rh_slice_of(spellings[_i].text);
	struct rh_hook_secret secret;

	ck_assert_int_eq(rh_hook_secret_get(&secret, text),
	    spellings[_i].n > 0);
	if (!spellings[_i].n)
		return;
	ck_assert_uint_eq(secret.n, spellings[_i].n);
	ck_assert(rh_slice_is(rh_hook_secret_spell(to, &secret), text));
}
END_TEST

START_TEST(every_length_comes_back)
{
	char to[RH_HOOK_SECRET_TEXT_MAX];
	struct rh_hook_secret secret = { .n = 0 }, again;

	rh_random(secret.b, sizeof(secret.b));
	for (secret.n = 1; secret.n <= RH_HOOK_SECRET_MAX; secret.n++) {
		ck_assert_int_eq(rh_hook_secret_get(&again,
				     rh_hook_secret_spell(to, &secret)),
		    secret.n >= RH_HOOK_SECRET_MIN);
		if (secret.n >= RH_HOOK_SECRET_MIN)
			ck_assert(again.n == secret.n &&
			    memcmp(again.b, secret.b, secret.n) == 0);
	}
}
END_TEST

START_TEST(what_is_sealed_is_its_tenants_and_its_webhooks)
{
	unsigned char to[RH_HOOK_SEALED_MAX];
	struct rh_hook_key key, other;
	struct rh_hook_secret secret, again;
	struct rh_slice sealed;

	rh_hook_key_init(&key, RH_SLICE("one secret key of the operator's"));
	rh_hook_key_init(&other, RH_SLICE("another one"));
	rh_hook_secret_make(&secret);
	sealed = rh_hook_secret_seal(to, &key, tenant, webhook, &secret);
	ck_assert(!memmem(sealed.p, sealed.n, secret.b, secret.n));
	ck_assert(rh_hook_secret_unseal(&again, &key, tenant, webhook, sealed));
	ck_assert(
	    again.n == secret.n && memcmp(again.b, secret.b, secret.n) == 0);
	ck_assert(
	    !rh_hook_secret_unseal(&again, &other, tenant, webhook, sealed));
	ck_assert(
	    !rh_hook_secret_unseal(&again, &key, webhook, webhook, sealed));
	ck_assert(!rh_hook_secret_unseal(&again, &key, tenant, tenant, sealed));
	sealed.n--;
	ck_assert(
	    !rh_hook_secret_unseal(&again, &key, tenant, webhook, sealed));
}
END_TEST

RH_CHECK_MAIN("jobs/sign", RH_LOOP(signatures_are_the_specifications, vectors),
    RH_CASE(two_secrets_sign_side_by_side),
    RH_LOOP(a_secret_is_24_to_64_bytes_in_base64, spellings),
    RH_CASE(every_length_comes_back),
    RH_CASE(what_is_sealed_is_its_tenants_and_its_webhooks))
