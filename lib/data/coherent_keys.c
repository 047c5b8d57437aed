#include "config.h"

#include "base/crypto.h"
#include "base/text.h"
#include "data/coherent_part.h"

void
rh_coherent_key(struct rh_coherent_keys *k, char kind, struct rh_uuid tenant,
    struct rh_slice group, const struct rh_slice *entry)
{
	struct rh_buf b;

	rh_assert(group.n <= RH_COHERENT_GROUP_MAX &&
	    (!entry || entry->n <= RH_COHERENT_ENTRY_MAX));
	rh_buf_init_fixed(&b, k->text + k->used, sizeof(k->text) - k->used);
	rh_buf_char(&b, '{');
	if (k->n == 0)
		rh_uuid_put(b.p + b.n, tenant);
	else
		memcpy(b.p + b.n, k->text + 1, RH_UUID_LEN);
	b.n += RH_UUID_LEN;
	rh_buf_lit(&b, "}:");
	rh_buf_char(&b, kind);
	rh_buf_char(&b, ':');
	rh_buf_slice(&b, group);
	if (entry) {
		rh_buf_char(&b, ':');
		rh_buf_slice(&b, *entry);
	}
	rh_assert(!b.full);
	k->key[k->n++] = rh_buf_get(&b);
	k->used += b.n;
}

struct rh_slice
rh_coherent_number(char to[RH_COHERENT_NUMBER_MAX], int64_t value)
{
	struct rh_buf b;

	rh_buf_init_fixed(&b, to, RH_COHERENT_NUMBER_MAX);
	rh_buf_i64(&b, value);
	return rh_buf_get(&b);
}

struct rh_slice
rh_coherent_token(const char token[RH_COHERENT_TOKEN])
{
	return (struct rh_slice){ token, RH_COHERENT_TOKEN };
}

void
rh_coherent_token_make(char to[RH_COHERENT_TOKEN])
{
	unsigned char bytes[RH_COHERENT_TOKEN * 3 / 4];

	rh_random(bytes, sizeof(bytes));
	rh_base64url_put(to, bytes, sizeof(bytes));
}
