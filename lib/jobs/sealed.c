#include "config.h"

#include "jobs/sealed.h"

#include "base/buf.h"
#include "base/text.h"

#define LABEL "rowhouse: arguments of jobs"
/* As PostgreSQL prints it: a member, ": ", a text. */
#define HEAD "{\"rowhouse.sealed\": \""
#define TAIL "\"}"

enum { BOUND = 2 * sizeof(struct rh_uuid) };

void
rh_sealer_init(struct rh_sealer *sealer, struct rh_slice secret)
{
	rh_hmac_sha256(sealer->key, secret, LABEL, sizeof(LABEL) - 1);
}

/* What goes with it, so that it opens in no other row. */
static struct rh_slice
bound(char to[BOUND], struct rh_uuid tenant, struct rh_uuid row)
{
	memcpy(to, tenant.b, sizeof(tenant.b));
	memcpy(to + sizeof(tenant.b), row.b, sizeof(row.b));
	return (struct rh_slice){ to, BOUND };
}

struct rh_slice
rh_args_seal(const struct rh_sealer *sealer, struct rh_arena *arena,
    struct rh_uuid tenant, struct rh_uuid row, struct rh_slice args)
{
	size_t n = args.n + RH_SEAL_MORE, text_n = RH_BASE64URL_LEN(n);
	unsigned char *bytes = rh_arena_alloc(arena, n);
	char with[BOUND];
	struct rh_buf b;

	rh_seal(bytes, sealer->key, bound(with, tenant, row), args);
	rh_buf_init(&b, arena, sizeof(HEAD TAIL) + text_n,
	    sizeof(HEAD TAIL) + text_n);
	rh_buf_lit(&b, HEAD);
	rh_base64url_put(rh_buf_room(&b, text_n), bytes, n);
	b.n += text_n;
	rh_buf_lit(&b, TAIL);
	return rh_buf_get(&b);
}

bool
rh_args_are_sealed(struct rh_slice args)
{
	return args.n >= sizeof(HEAD TAIL) - 1 &&
	    rh_slice_has_prefix(args, RH_SLICE(HEAD));
}

bool
rh_args_open(const struct rh_sealer *sealer, struct rh_arena *arena,
    struct rh_uuid tenant, struct rh_uuid row, struct rh_slice *args)
{
	struct rh_slice text;
	unsigned char *bytes, *to;
	char with[BOUND];
	size_t n;

	if (!rh_args_are_sealed(*args))
		return true;
	text = rh_slice_from(*args, sizeof(HEAD) - 1);
	text.n -= sizeof(TAIL) - 1;
	bytes = rh_arena_alloc(arena, text.n + 1);
	n = rh_base64url_get(bytes, text.n + 1, text);
	if (n == (size_t)-1 || n < RH_SEAL_MORE)
		return false;
	to = rh_arena_alloc(arena, n);
	if (!rh_unseal(to, sealer->key, bound(with, tenant, row),
		(struct rh_slice){ (const char *)bytes, n }))
		return false;
	*args = (struct rh_slice){ (const char *)to, n - RH_SEAL_MORE };
	return true;
}
