/* tests/lib/tenancy/check_principal.c - what is a token of ours, and what is not. */
#include "config.h"

#include "tenancy/principal.h"

#include <ctype.h>

#include "base/text.h"
#include "rh_check.h"

#define DIGITS	32
#define ROUNDS	200

static struct rh_err *
read_text(const char *authorization, struct rh_token *token)
{
	return rh_token_read(rh_check_arena(), rh_slice_of(authorization), token);
}

static const char *
field(const char *scheme, struct rh_slice token, const char *after)
{
	return rh_arena_printf(rh_check_arena(), "%s%.*s%s", scheme,
	    RH_SLICE_ARG(token), after);
}

static const enum rh_token_kind kinds[] = { RH_TOKEN_SESSION, RH_TOKEN_KEY };
static const char *const prefixes[] = { "rhs_", "rhk_" };

START_TEST(what_is_made_is_read)
{
	struct rh_token made, got;
	struct rh_slice text, before = RH_SLICE_NONE;

	for (int i = 0; i < ROUNDS; i++) {
		text = rh_token_make(rh_check_arena(), kinds[_i], &made);
		ck_assert_uint_eq(text.n, RH_TOKEN_LEN);
		ck_assert(rh_slice_has_prefix(text, rh_slice_of(prefixes[_i])));
		for (size_t at = 4; at < text.n; at++)
			ck_assert(isalnum((unsigned char)text.p[at]));
		ck_assert(!rh_slice_is(text, before));
		ck_assert_ptr_null(read_text(field("Bearer ", text, ""), &got));
		ck_assert_int_eq(got.kind, kinds[_i]);
		ck_assert_mem_eq(got.sha256, made.sha256, RH_SHA256_LEN);
		before = text;
	}
}
END_TEST

START_TEST(what_is_stored_is_the_hash_of_the_text)
{
	struct rh_token made;
	struct rh_slice text = rh_token_make(rh_check_arena(), RH_TOKEN_KEY, &made);
	unsigned char sha256[RH_SHA256_LEN];

	rh_sha256(sha256, text.p, text.n);
	ck_assert_mem_eq(made.sha256, sha256, RH_SHA256_LEN);
}
END_TEST

START_TEST(an_inboxs_token_is_a_urls_alone)
{
	struct rh_token made, got;
	struct rh_slice text = rh_token_make(rh_check_arena(), RH_TOKEN_INBOX,
	    &made);

	ck_assert(rh_slice_has_prefix(text, RH_SLICE("rhi_")));
	ck_assert(rh_token_get(text, RH_TOKEN_INBOX, &got));
	ck_assert_mem_eq(got.sha256, made.sha256, RH_SHA256_LEN);
	ck_assert(!rh_token_get(text, RH_TOKEN_KEY, &got));
	ck_assert_int_eq(got.kind, RH_TOKEN_NONE);
	ck_assert(!rh_token_get(RH_SLICE(""), RH_TOKEN_INBOX, &got));
	ck_assert_ptr_nonnull(read_text(field("Bearer ", text, ""), &got));
	ck_assert_int_eq(got.kind, RH_TOKEN_NONE);
}
END_TEST

START_TEST(no_field_is_no_token_and_no_error)
{
	struct rh_token token = { .kind = RH_TOKEN_KEY };

	ck_assert_ptr_null(rh_token_read(rh_check_arena(), RH_SLICE_NONE, &token));
	ck_assert_int_eq(token.kind, RH_TOKEN_NONE);
}
END_TEST

static const struct scheme {
	const char *before, *after;
	bool good;
} schemes[] = {
	{ "Bearer ", "", true },
	{ "bearer ", "", true },
	{ "BEARER ", "", true },
	{ "bEaReR   ", " \t ", true },
	{ "Bearer", "", false },
	{ "Bearer\t", "", false },
	{ "Bearer: ", "", false },
	{ " Bearer ", "", false },
	{ "Basic ", "", false },
	{ "Token ", "", false },
	{ "", "", false },
	{ "Bearer \"", "\"", false },
	{ "Bearer ", "x", false },
	{ "Bearer x", "", false },
	{ "Bearer ", ", Bearer x", false },
};

/* RFC 6750 section 2.1; a scheme's name has no case (RFC 9110 section 11.1). */
START_TEST(the_scheme_is_bearer_in_any_case)
{
	const struct scheme *s = &schemes[_i];
	struct rh_token made, got;
	struct rh_slice text = rh_token_make(rh_check_arena(), RH_TOKEN_KEY, &made);
	struct rh_err *err = read_text(field(s->before, text, s->after), &got);

	ck_assert_int_eq(err == NULL, s->good);
	ck_assert_int_eq(got.kind, s->good ? RH_TOKEN_KEY : RH_TOKEN_NONE);
	if (err) {
		ck_assert_int_eq(err->kind, RH_E_ANON);
		ck_assert_str_eq(err->code, "token.malformed");
	}
}
END_TEST

START_TEST(a_changed_character_anywhere_is_seen)
{
	struct rh_token made, got;
	struct rh_slice text = rh_token_make(rh_check_arena(), RH_TOKEN_KEY, &made);
	char *copy = rh_arena_strdup(rh_check_arena(), text);

	for (size_t i = 0; i < text.n; i++) {
		char had = copy[i];

		copy[i] = had == 'A' ? 'B' : 'A';
		ck_assert_ptr_nonnull(read_text(field("Bearer ",
		    rh_slice_of(copy), ""), &got));
		ck_assert_int_eq(got.kind, RH_TOKEN_NONE);
		copy[i] = had;
	}
}
END_TEST

START_TEST(any_other_length_is_refused)
{
	struct rh_token made, got;
	struct rh_slice text = rh_token_make(rh_check_arena(), RH_TOKEN_SESSION,
	    &made);

	for (size_t n = 0; n < text.n; n++)
		ck_assert_ptr_nonnull(read_text(field("Bearer ",
		    (struct rh_slice){ text.p, n }, ""), &got));
	ck_assert_ptr_nonnull(read_text(field("Bearer ", text, "0"), &got));
}
END_TEST

static const char *const foreign[] = { "rhx_", "RHK_", "rhk-", "ghp_", "rhs " };

/* With a sum that is right: the prefix alone is what is wrong. */
START_TEST(another_prefix_is_no_token)
{
	struct rh_token made, got;
	struct rh_slice text = rh_token_make(rh_check_arena(), RH_TOKEN_KEY, &made);
	char *copy = rh_arena_strdup(rh_check_arena(), text);

	memcpy(copy, foreign[_i], 4);
	rh_base62_put(copy + 4 + DIGITS, 6, rh_crc32(copy, 4 + DIGITS));
	ck_assert_ptr_nonnull(read_text(field("Bearer ", rh_slice_of(copy), ""),
	    &got));
	ck_assert_int_eq(got.kind, RH_TOKEN_NONE);
}
END_TEST

#define WHO "0192f3e4-0000-7000-8000-000000000001 admin"		\
	    " 0192f3e4-0000-7000-8000-000000000002"
#define EVER WHO " 0"

static const struct {
	const char *actor;
	struct rh_limits plan;
	int64_t expires_ms;
} actors[] = {
	{ WHO, { 0 }, 0 },
	{ EVER, { 0 }, 0 },
	{ WHO " 1795276800123", { 0 }, 1795276800123 },
	{ WHO " 1795276800123 1 2 3 4 5", { 1, 2, 3, 4, 5 }, 1795276800123 },
	{ EVER " 6000 3000 10 20 60000", { 6000, 3000, 10, 20, 60000 }, 0 },
	{ EVER " 0 0 0 0 0", { 0 }, 0 },
	{ EVER " 5", { 5, 0, 0, 0, 0 }, 0 },	/* less than we know of */
	{ EVER " 1 2 3 4 5 6", { 1, 2, 3, 4, 5 }, 0 },	/* and more */
	{ EVER " x 99999999999 7", { 0, 0, 7, 0, 0 }, 0 },
};

START_TEST(a_plan_stands_behind_the_token)
{
	struct rh_principal who = { .actor = rh_slice_of(actors[_i].actor),
		.plan = { 9, 9, 9, 9, 9 } };

	rh_principal_read(&who);
	ck_assert_int_eq(who.user_id.b[15], 1);
	ck_assert_int_eq(who.token_id.b[15], 2);
	ck_assert_int_eq(who.role, RH_ADMIN);
	ck_assert_mem_eq(&who.plan, &actors[_i].plan, sizeof(who.plan));
	ck_assert_int_eq(who.expires_ms, actors[_i].expires_ms);
}
END_TEST

RH_CHECK_MAIN("tenancy/principal",
    RH_LOOP(a_plan_stands_behind_the_token, actors),
    RH_LOOP(what_is_made_is_read, kinds),
    RH_CASE(what_is_stored_is_the_hash_of_the_text),
    RH_CASE(an_inboxs_token_is_a_urls_alone),
    RH_CASE(no_field_is_no_token_and_no_error),
    RH_LOOP(the_scheme_is_bearer_in_any_case, schemes),
    RH_CASE(a_changed_character_anywhere_is_seen),
    RH_CASE(any_other_length_is_refused),
    RH_LOOP(another_prefix_is_no_token, foreign))
