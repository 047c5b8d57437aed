#include "config.h"

#include "jobs/sign.h"

#include "base/buf.h"
#include "base/text.h"

static const struct rh_slice prefix = RH_SLICE_INIT("whsec_");

/* ---- base64 with its padding (RFC 4648, section 4) ---- */

static void
base64_put(struct rh_buf *b, const void *bytes, size_t n)
{
	char *to = rh_buf_room(b, (n + 2) / 3 * 4);
	size_t len = RH_BASE64URL_LEN(n);

	if (!to)
		return;
	rh_base64url_put(to, bytes, n);
	for (size_t i = 0; i < len; i++)
		to[i] = to[i] == '-' ? '+' : to[i] == '_' ? '/' : to[i];
	b->n += len;
	while (len++ % 4)
		rh_buf_char(b, '=');
}

static size_t
base64_get(void *to, size_t cap, struct rh_slice text)
{
	char copy[RH_HOOK_SECRET_TEXT_MAX];
	size_t padding = 0;

	if (text.n % 4 || text.n > sizeof(copy))
		return SIZE_MAX;
	while (padding < 2 && padding < text.n &&
	    text.p[text.n - 1 - padding] == '=')
		padding++;
	text.n -= padding;
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];

		if (c == '-' || c == '_')
			return SIZE_MAX;
		copy[i] = c == '+' ? '-' : c == '/' ? '_' : c;
	}
	return rh_base64url_get(to, cap, (struct rh_slice){ copy, text.n });
}

/* ---- secrets ---- */

void
rh_hook_key_init(struct rh_hook_key *key, struct rh_slice secret_key)
{
	static const char use[] = "rowhouse webhook secret";

	rh_hmac_sha256(key->b, secret_key, use, sizeof(use) - 1);
}

void
rh_hook_secret_make(struct rh_hook_secret *to)
{
	*to = (struct rh_hook_secret){ .n = RH_HOOK_SECRET_NEW };
	rh_random(to->b, to->n);
}

struct rh_slice
rh_hook_secret_spell(char to[RH_HOOK_SECRET_TEXT_MAX],
    const struct rh_hook_secret *secret)
{
	struct rh_buf b;

	rh_buf_init_fixed(&b, to, RH_HOOK_SECRET_TEXT_MAX);
	rh_buf_slice(&b, prefix);
	base64_put(&b, secret->b, secret->n);
	return rh_buf_get(&b);
}

bool
rh_hook_secret_get(struct rh_hook_secret *to, struct rh_slice text)
{
	*to = (struct rh_hook_secret){ .n = 0 };
	if (!rh_slice_has_prefix(text, prefix))
		return false;
	to->n = base64_get(to->b, sizeof(to->b), rh_slice_from(text, prefix.n));
	return to->n >= RH_HOOK_SECRET_MIN && to->n <= RH_HOOK_SECRET_MAX;
}

struct bound {
	unsigned char b[2 * sizeof(struct rh_uuid)];
};

static struct bound
bound_to(struct rh_uuid tenant, struct rh_uuid webhook)
{
	struct bound with;

	memcpy(with.b, tenant.b, sizeof(tenant.b));
	memcpy(with.b + sizeof(tenant.b), webhook.b, sizeof(webhook.b));
	return with;
}

#define BOUND(with) \
	((struct rh_slice){ (const char *)(with).b, sizeof((with).b) })

struct rh_slice
rh_hook_secret_seal(unsigned char to[RH_HOOK_SEALED_MAX],
    const struct rh_hook_key *key, struct rh_uuid tenant,
    struct rh_uuid webhook, const struct rh_hook_secret *secret)
{
	struct bound with = bound_to(tenant, webhook);

	rh_seal(to, key->b, BOUND(with),
	    (struct rh_slice){ (const char *)secret->b, secret->n });
	return (struct rh_slice){ (const char *)to, secret->n + RH_SEAL_MORE };
}

bool
rh_hook_secret_unseal(struct rh_hook_secret *to, const struct rh_hook_key *key,
    struct rh_uuid tenant, struct rh_uuid webhook, struct rh_slice sealed)
{
	struct bound with = bound_to(tenant, webhook);

	*to = (struct rh_hook_secret){ .n = 0 };
	if (sealed.n < RH_SEAL_MORE + RH_HOOK_SECRET_MIN ||
	    sealed.n > RH_HOOK_SEALED_MAX ||
	    !rh_unseal(to->b, key->b, BOUND(with), sealed))
		return false;
	to->n = sealed.n - RH_SEAL_MORE;
	return true;
}

/* ---- signatures ---- */

struct rh_slice
rh_hook_sign(char to[RH_HOOK_SIGNATURE_MAX], struct rh_arena *scratch,
    const struct rh_hook_secret *secrets, size_t n,
    const struct rh_hook_signed *what)
{
	size_t most = what->id.n + what->body.n + 24;
	unsigned char mac[RH_SHA256_LEN];
	struct rh_buf text, list;

	rh_buf_init_fixed(&text, rh_arena_alloc(scratch, most), most);
	rh_buf_slice(&text, what->id);
	rh_buf_char(&text, '.');
	rh_buf_i64(&text, what->at_s);
	rh_buf_char(&text, '.');
	rh_buf_slice(&text, what->body);
	rh_buf_init_fixed(&list, to, RH_HOOK_SIGNATURE_MAX);
	for (size_t i = 0; i < n; i++) {
		rh_hmac_sha256(mac,
		    (struct rh_slice){ (const char *)secrets[i].b,
			secrets[i].n },
		    text.p, text.n);
		rh_buf_slice(&list, i ? RH_SLICE(" v1,") : RH_SLICE("v1,"));
		base64_put(&list, mac, sizeof(mac));
	}
	rh_assert(!text.full && !list.full);
	return rh_buf_get(&list);
}
