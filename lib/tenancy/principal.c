#include "config.h"

#include "tenancy/principal.h"

#include "base/text.h"

enum { RANDOM_DIGITS = 32, CHECK_DIGITS = 6, PREFIX = 4 };

static const struct rh_slice prefixes[] = {
	[RH_TOKEN_NONE] = { NULL, 0 },
	[RH_TOKEN_SESSION] = RH_SLICE_INIT("rhs_"),
	[RH_TOKEN_KEY] = RH_SLICE_INIT("rhk_"),
	[RH_TOKEN_INBOX] = RH_SLICE_INIT("rhi_"),
};

static void
check_put(char to[CHECK_DIGITS], const char *token)
{
	rh_base62_put(to, CHECK_DIGITS,
	    rh_crc32(token, PREFIX + RANDOM_DIGITS));
}

static enum rh_token_kind
kind_of(struct rh_slice text)
{
	char check[CHECK_DIGITS];

	if (text.n != RH_TOKEN_LEN)
		return RH_TOKEN_NONE;
	check_put(check, text.p);
	if (memcmp(check, text.p + PREFIX + RANDOM_DIGITS, sizeof(check)) != 0)
		return RH_TOKEN_NONE;
	for (int k = RH_TOKEN_SESSION; k <= RH_TOKEN_INBOX; k++)
		if (rh_slice_has_prefix(text, prefixes[k]))
			return (enum rh_token_kind)k;
	return RH_TOKEN_NONE;
}

/* RFC 6750 section 2.1; the scheme's name is compared without case. */
struct rh_err *
rh_token_read(struct rh_arena *arena, struct rh_slice authorization,
    struct rh_token *token)
{
	struct rh_slice text = authorization;

	token->kind = RH_TOKEN_NONE;
	if (!authorization.p)
		return NULL;
	if (text.n > 7 && rh_slice_is_nocase((struct rh_slice){ text.p, 7 },
	    RH_SLICE("Bearer ")))
		token->kind = kind_of(rh_slice_trim(rh_slice_from(text, 7)));
	if (token->kind == RH_TOKEN_INBOX)
		token->kind = RH_TOKEN_NONE;
	if (token->kind == RH_TOKEN_NONE)
		return rh_err_new(arena, RH_E_ANON, "token.malformed",
		    "The Authorization field holds no token of ours; send"
		    " \"Bearer rhs_...\" or \"Bearer rhk_...\".");
	text = rh_slice_trim(rh_slice_from(text, 7));
	rh_sha256(token->sha256, text.p, text.n);
	return NULL;
}

bool
rh_token_get(struct rh_slice text, enum rh_token_kind kind,
    struct rh_token *token)
{
	token->kind = kind_of(text) == kind ? kind : RH_TOKEN_NONE;
	if (token->kind == RH_TOKEN_NONE)
		return false;
	rh_sha256(token->sha256, text.p, text.n);
	return true;
}

/*
 * 32 digits of 62 are 190 bits. Bytes of 248 and more are drawn again, so that
 * each digit is equally likely.
 */
struct rh_slice
rh_token_make(struct rh_arena *arena, enum rh_token_kind kind,
    struct rh_token *token)
{
	char *text = rh_arena_alloc(arena, RH_TOKEN_LEN);
	unsigned char byte;

	memcpy(text, prefixes[kind].p, PREFIX);
	for (int i = 0; i < RANDOM_DIGITS; i++) {
		do
			rh_random(&byte, 1);
		while (byte >= 248);
		rh_base62_put(text + PREFIX + i, 1, byte % 62);
	}
	check_put(text + PREFIX + RANDOM_DIGITS, text);
	token->kind = kind;
	rh_sha256(token->sha256, text, RH_TOKEN_LEN);
	return (struct rh_slice){ text, RH_TOKEN_LEN };
}

/* "6000 3000 0 0 60000", or nothing. */
static void
plan_read(struct rh_limits *plan, struct rh_slice text)
{
	uint32_t *const to[] = { &plan->tenant, &plan->token,
		&plan->tenant_write, &plan->token_write, &plan->window_ms };

	*plan = (struct rh_limits){ 0 };
	for (size_t i = 0; i < RH_COUNT(to) && text.p; i++) {
		uint64_t n;

		if (rh_u64_get(&n, rh_slice_cut(&text, ' ')) && n <= UINT32_MAX)
			*to[i] = (uint32_t)n;
	}
}

void
rh_principal_read(struct rh_principal *who)
{
	struct rh_slice rest = who->actor, word;
	uint64_t expires_ms;

	if (!rest.p)
		return;
	rh_uuid_get(&who->user_id, rh_slice_cut(&rest, ' '));
	word = rh_slice_cut(&rest, ' ');
	for (int role = RH_VIEWER; role <= RH_OWNER; role++)
		if (rh_slice_is(word, rh_slice_of(rh_role_names[role])))
			who->role = role;
	rh_uuid_get(&who->token_id, rh_slice_cut(&rest, ' '));
	if (rest.p && rh_u64_get(&expires_ms, rh_slice_cut(&rest, ' ')))
		who->expires_ms = (int64_t)expires_ms;
	plan_read(&who->plan, rest);
}
