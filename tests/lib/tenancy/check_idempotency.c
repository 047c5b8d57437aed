/* tests/lib/tenancy/check_idempotency.c - what is a key, whose it is, and what is the same request. */
#include "config.h"

#include "tenancy/idempotency.h"

#include "rh_check.h"

#define LONG50	"01234567890123456789012345678901234567890123456789"
#define LONG255	LONG50 LONG50 LONG50 LONG50 LONG50 "abcde"

/* key NULL: it is none. */
static const struct { const char *field, *key; } fields[] = {
	{ "\"8e03978e-40d5-43e8-bc93-6894a57f9324\"", "8e03978e-40d5-43e8-bc93-6894a57f9324" },
	{ "8e03978e-40d5-43e8-bc93-6894a57f9324", "8e03978e-40d5-43e8-bc93-6894a57f9324" },
	{ " \"a\"\t", "a" },
	{ "\"a b\"", "a b" },
	{ "\"a;b=c\"", "a;b=c" },
	{ "\"\\\"\\\\\"", "\"\\" },
	{ "a:b/c=+*~!", "a:b/c=+*~!" },
	{ "\"" LONG255 "\"", LONG255 },
	{ LONG255, LONG255 },
	{ "", NULL }, { " ", NULL }, { "\"\"", NULL }, { "\"", NULL },
	{ "\"a", NULL }, { "a\"", NULL }, { "\"a\"b", NULL }, { "\"a\";p=1", NULL },
	{ "\"a\\\"", NULL }, { "\"\\a\"", NULL }, { "\"a\tb\"", NULL },
	{ "\"\x7f\"", NULL }, { "\"\xc3\xa9\"", NULL }, { "\xc3\xa9", NULL },
	{ "a b", NULL }, { "a;b", NULL }, { "a\\b", NULL }, { "a,b", NULL },
	{ "\"" LONG255 "x\"", NULL }, { LONG255 "x", NULL },
};

START_TEST(a_key_is_quoted_or_bare)
{
	struct rh_slice key = rh_idempotency_key(rh_check_arena(),
	    rh_slice_of(fields[_i].field));

	ck_assert_int_eq(key.p != NULL, fields[_i].key != NULL);
	if (key.p)
		rh_assert_slice_eq(key, rh_slice_of(fields[_i].key));
}
END_TEST

#define SAME								\
	.secret = RH_SLICE_INIT("secret"), .key = RH_SLICE_INIT("key"),	\
	.caller = RH_SLICE_INIT("caller"),				\
	.credentials = RH_SLICE_INIT("Bearer x"),			\
	.method = RH_SLICE_INIT("POST"), .target = RH_SLICE_INIT("/a"),	\
	.body = RH_SLICE_INIT("{}")
#define BUT(member, text)						\
	{ { SAME, .member = RH_SLICE_INIT(text) },

static void
of(struct rh_idempotency *to, const struct rh_same *same)
{
	*to = (struct rh_idempotency){ .on = true };
	rh_idempotency_of(to, rh_check_arena(), same);
}

static const struct rh_same same = { SAME };

/* clang-format off */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
/* What differs where one thing of the request does. */
static const struct { struct rh_same other; bool id, proof; } others[] = {
	{ { SAME }, false, false },
	BUT(caller, "caller2")		true, false },
	BUT(key, "key2")		true, true },
	BUT(secret, "secret2")		false, true },
	BUT(credentials, "Bearer y")	false, true },
	BUT(method, "PUT")		false, true },
	BUT(target, "/a?b=c")		false, true },
	BUT(body, "{ }")		false, true },
	BUT(body, "")			false, true },
	/* no two lists of texts are one text */
	{ { SAME, .caller = RH_SLICE_INIT("callerk"), .key = RH_SLICE_INIT("ey") }, true, true },
	{ { SAME, .method = RH_SLICE_INIT("POST/"), .target = RH_SLICE_INIT("a") }, false, true },
};
#pragma GCC diagnostic pop
/* clang-format on */

START_TEST(a_request_is_the_same_in_all_its_parts)
{
	struct rh_idempotency a, b;

	of(&a, &same);
	of(&b, &others[_i].other);
	ck_assert_int_eq(memcmp(a.id, b.id, sizeof(a.id)) != 0, others[_i].id);
	ck_assert_int_eq(memcmp(a.fingerprint, b.fingerprint,
	    sizeof(a.fingerprint)) != 0, others[_i].proof);
	ck_assert_int_eq(memcmp(a.seal, b.seal, sizeof(a.seal)) != 0,
	    others[_i].proof);
	/* what is stored does not open what is sealed */
	ck_assert_mem_ne(b.fingerprint, b.seal, sizeof(b.seal));
}
END_TEST

START_TEST(a_sealed_reply_opens_for_the_same_request_alone)
{
	struct rh_slice text = RH_SLICE("{\"token\":\"rhs_\"}");
	unsigned char bytes[64 + RH_SEAL_MORE];
	struct rh_idempotency mine, whose;

	of(&mine, &same);
	rh_seal(bytes, mine.seal, (struct rh_slice){ (const char *)mine.id,
	    sizeof(mine.id) }, text);
	of(&whose, &others[_i].other);
	whose.reply = (struct rh_kept_reply){ 201, RH_SLICE(""),
		{ (const char *)bytes, text.n + RH_SEAL_MORE }, true };
	ck_assert_int_eq(rh_idempotency_open(&whose, rh_check_arena()),
	    !others[_i].id && !others[_i].proof);
	if (!whose.reply.sealed)
		rh_assert_slice_eq(whose.reply.body, text);
}
END_TEST

START_TEST(what_is_not_sealed_is_open)
{
	struct rh_idempotency it;

	of(&it, &same);
	it.reply = (struct rh_kept_reply){ 201, RH_SLICE(""), RH_SLICE("x"), false };
	ck_assert(rh_idempotency_open(&it, rh_check_arena()));
	rh_assert_slice_eq(it.reply.body, RH_SLICE("x"));
	it.reply.sealed = true;
	ck_assert(!rh_idempotency_open(&it, rh_check_arena()));
}
END_TEST

RH_CHECK_MAIN("tenancy/idempotency",
    RH_LOOP(a_key_is_quoted_or_bare, fields),
    RH_LOOP(a_request_is_the_same_in_all_its_parts, others),
    RH_LOOP(a_sealed_reply_opens_for_the_same_request_alone, others),
    RH_CASE(what_is_not_sealed_is_open))
