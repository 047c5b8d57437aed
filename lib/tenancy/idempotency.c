#include "config.h"

#include "tenancy/idempotency.h"

enum { CLAIM, CLAIM_OUTSIDE, GUARD, STORE, STORE_OUTSIDE, PURGE };

#define OUTSIDE	"a key of nobody's tenant, as a sign-up's"

/* clang-format off */
struct rh_stmt rh_idempotency_stmts[] = {
	[CLAIM] = { .name = "idempotency.claim", .sql =
	    "select outcome, status, head, body, sealed"
	    " from idempotency_claim($1, $2, $3, $4, $5, $6)" },
	[CLAIM_OUTSIDE] = { .name = "idempotency.claim_outside", .global = OUTSIDE, .sql =
	    "select outcome, status, head, body, sealed"
	    " from idempotency_claim_outside($1, $2, $3, $4, $5)" },
	[GUARD] = { .name = "idempotency.guard",
	    .global = "judges what the claim before it has found",
	    .sql = "select idempotency_guard()" },
	[STORE] = { .name = "idempotency.store", .sql =
	    "insert into idempotency_keys (tenant_id, id, fingerprint, status, head, body,"
	    "  sealed, expires_at)"
	    " values ($1, $2, $3, $4, $5, $6, $7, now() + $8::bigint * interval '1 ms')" },
	[STORE_OUTSIDE] = { .name = "idempotency.store_outside", .global = OUTSIDE, .sql =
	    "select idempotency_store_outside($1, $2, $3, $4, $5, $6, $7)" },
	[PURGE] = { .name = "idempotency.purge",
	    .global = "what has expired, of all tenants",
	    .sql = "select idempotency_purge($1)" },
	{ 0 }
};

static const struct rh_field claimed[] = {
	{ RH_FIELD("outcome", INT, struct rh_idempotency, claimed) },
	{ RH_FIELD("status", INT, struct rh_idempotency, reply.status) },
	{ RH_FIELD("head", TEXT, struct rh_idempotency, reply.head) },
	{ RH_FIELD("body", TEXT, struct rh_idempotency, reply.body) },
	{ RH_FIELD("sealed", BOOL, struct rh_idempotency, reply.sealed) },
	{ 0 }
};
static const struct rh_field passed[] = {
	{ RH_FIELD("passed", INT, struct rh_idempotency, passed) },
	{ 0 }
};

/* The lock lets nobody come here twice, unless a snapshot is older than it. */
const struct rh_pg_constraint rh_idempotency_constraints[] = {
	{ "idempotency_keys_pkey", RH_E_CONFLICT, "idempotency.running",
	  "A request with this Idempotency-Key is at work; try again.", NULL },
	{ 0 }
};
/* clang-format on */

/* ---- the field ---- */

/* RFC 8941 section 4.2.5, and nothing behind it. */
static struct rh_slice
unquote(struct rh_slice text, char *to)
{
	size_t n = 0, i = 1;

	for (; i < text.n && text.p[i] != '"'; i++) {
		if (text.p[i] == '\\' && (++i == text.n ||
		    !strchr("\"\\", text.p[i])))
			return RH_SLICE_NONE;
		if (text.p[i] < 0x20 || text.p[i] > 0x7e)
			return RH_SLICE_NONE;
		to[n++] = text.p[i];
	}
	return i + 1 == text.n ? (struct rh_slice){ to, n } : RH_SLICE_NONE;
}

static bool
is_bare(struct rh_slice text)
{
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] <= 0x20 || text.p[i] > 0x7e ||
		    strchr("\"\\,;", text.p[i]))
			return false;
	return true;
}

struct rh_slice
rh_idempotency_key(struct rh_arena *arena, struct rh_slice field)
{
	struct rh_slice key = rh_slice_trim(field);

	if (key.n && key.p[0] == '"')
		key = unquote(key, rh_arena_alloc(arena, key.n));
	else if (!is_bare(key))
		return RH_SLICE_NONE;
	return key.n && key.n <= RH_IDEMPOTENCY_KEY_MAX ? key : RH_SLICE_NONE;
}

/* ---- what is stored of a request ---- */

/* With its length in front: no two lists of texts are one text. */
static void
put(struct rh_buf *b, struct rh_slice text)
{
	rh_buf_u64(b, text.n);
	rh_buf_char(b, ':');
	rh_buf_slice(b, text);
}

static void
keyed(unsigned char to[RH_SHA256_LEN], struct rh_slice secret, char label,
    struct rh_buf *b)
{
	b->p[0] = label;
	rh_hmac_sha256(to, secret, b->p, b->n);
}

void
rh_idempotency_of(struct rh_idempotency *idem, struct rh_arena *arena,
    const struct rh_same *same)
{
	unsigned char body[RH_SHA256_LEN];
	size_t bytes = 256 + sizeof(body) + same->key.n + same->caller.n +
	    same->credentials.n + same->method.n + same->target.n;
	struct rh_buf b;

	rh_buf_init(&b, arena, bytes, bytes);
	put(&b, same->caller);
	put(&b, same->key);
	rh_sha256(idem->id, b.p, b.n);

	b.n = 0;
	rh_sha256(body, same->body.p, same->body.n);
	rh_buf_char(&b, ' ');	/* the label's place */
	put(&b, same->key);
	put(&b, same->credentials);
	put(&b, same->method);
	put(&b, same->target);
	rh_buf_put(&b, body, sizeof(body));
	rh_assert(!b.full);
	keyed(idem->fingerprint, same->secret, 'f', &b);
	keyed(idem->seal, same->secret, 's', &b);
}

/* ---- statements ---- */

#define HASHED(bytes)								\
	RH_BYTES(((struct rh_slice){ (const char *)(bytes), RH_SHA256_LEN }))

static int64_t
lock_of(const struct rh_idempotency *idem)
{
	int64_t number;

	memcpy(&number, idem->id, sizeof(number));
	return number;
}

void
rh_idempotency_claim(struct rh_pipe *pipe, struct rh_uuid tenant,
    struct rh_idempotency *idem, int64_t wait_ms, int64_t idle_ms)
{
	const struct rh_arg args[] = { RH_UUID(tenant), HASHED(idem->id),
		HASHED(idem->fingerprint), RH_INT(lock_of(idem)),
		RH_INT(wait_ms), RH_INT(idle_ms) };
	unsigned outside = rh_uuid_is_nil(tenant);

	idem->claimed = RH_CLAIM_UNKNOWN;
	rh_pipe_send_into(pipe, &rh_idempotency_stmts[outside ? CLAIM_OUTSIDE :
	    CLAIM], args + outside, RH_COUNT(args) - outside,
	    &(struct rh_into){ claimed, idem });
	rh_pipe_send_into(pipe, &rh_idempotency_stmts[GUARD], NULL, 0,
	    &(struct rh_into){ passed, idem });
}

/* The id goes with it, so that no reply opens in another's place. */
static struct rh_slice
sealed(struct rh_arena *arena, const struct rh_idempotency *idem,
    struct rh_slice body)
{
	size_t n = body.n + RH_SEAL_MORE;
	unsigned char *to = rh_arena_alloc(arena, n);

	rh_seal(to, idem->seal, (struct rh_slice){ (const char *)idem->id,
	    sizeof(idem->id) }, body);
	return (struct rh_slice){ (const char *)to, n };
}

bool
rh_idempotency_open(struct rh_idempotency *idem, struct rh_arena *arena)
{
	struct rh_slice *body = &idem->reply.body;
	unsigned char *to;

	if (!idem->reply.sealed)
		return true;
	if (body->n < RH_SEAL_MORE)
		return false;
	to = rh_arena_alloc(arena, body->n);
	if (!rh_unseal(to, idem->seal, (struct rh_slice){
	    (const char *)idem->id, sizeof(idem->id) }, *body))
		return false;
	*body = (struct rh_slice){ (const char *)to, body->n - RH_SEAL_MORE };
	idem->reply.sealed = false;
	return true;
}

/* SQL's NULL is no text: a reply without a body has an empty one. */
static struct rh_slice
there(struct rh_slice text)
{
	return text.p ? text : RH_SLICE("");
}

void
rh_idempotency_store(struct rh_pipe *pipe, struct rh_arena *arena,
    struct rh_uuid tenant, const struct rh_idempotency *idem,
    const struct rh_kept_reply *reply, int64_t ttl_ms)
{
	struct rh_slice body = reply->sealed ? sealed(arena, idem, reply->body) :
	    there(reply->body);
	const struct rh_arg args[] = { RH_UUID(tenant), HASHED(idem->id),
		HASHED(idem->fingerprint), RH_INT(reply->status),
		RH_TEXT(there(reply->head)), RH_BYTES(body),
		RH_BOOL(reply->sealed), RH_INT(ttl_ms) };
	unsigned outside = rh_uuid_is_nil(tenant);

	rh_pipe_send_args(pipe, &rh_idempotency_stmts[outside ? STORE_OUTSIDE :
	    STORE], args + outside, RH_COUNT(args) - outside);
}

int64_t
rh_idempotency_purge(struct rh_pipe *pipe, int64_t most)
{
	rh_pipe_send(pipe, &rh_idempotency_stmts[PURGE], RH_INT(most));
	return rh_pipe_int(pipe);
}
