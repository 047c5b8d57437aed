#include "config.h"

#include "http/cursor.h"

#include <endian.h>

#include "base/crypto.h"
#include "base/text.h"

#define PLAIN	24		/* at and id */
#define MAC	8

static unsigned char key[RH_SIPHASH_KEY];

static void
put_u64(unsigned char to[8], uint64_t value)
{
	value = htobe64(value);
	memcpy(to, &value, sizeof(value));
}

static uint64_t
get_u64(const unsigned char from[8])
{
	uint64_t value;

	memcpy(&value, from, sizeof(value));
	return be64toh(value);
}

void
rh_cursor_key(struct rh_slice secret)
{
	static const char purpose[] = "rowhouse cursor 2";
	unsigned char made[RH_SHA256_LEN];

	rh_hmac_sha256(made, secret, purpose, sizeof(purpose) - 1);
	memcpy(key, made, sizeof(key));
}

static void
sign(unsigned char mac[MAC], const unsigned char plain[PLAIN], uint64_t context)
{
	unsigned char message[PLAIN + 8];

	memcpy(message, plain, PLAIN);
	put_u64(message + PLAIN, context);
	put_u64(mac, rh_siphash(key, message, sizeof(message)));
}

struct rh_slice
rh_cursor_put(struct rh_arena *arena, struct rh_cursor c, uint64_t context)
{
	unsigned char bytes[PLAIN + MAC];
	char *text = rh_arena_alloc(arena, RH_CURSOR_LEN);

	put_u64(bytes, (uint64_t)c.at);
	memcpy(bytes + 8, c.id.b, sizeof(c.id.b));
	sign(bytes + PLAIN, bytes, context);
	rh_base64url_put(text, bytes, sizeof(bytes));
	return (struct rh_slice){ text, RH_CURSOR_LEN };
}

struct rh_err *
rh_cursor_get(struct rh_arena *arena, struct rh_slice text, uint64_t context,
    struct rh_cursor *c)
{
	unsigned char bytes[PLAIN + MAC], mac[MAC];

	*c = (struct rh_cursor){ .at = RH_TIME_INFINITY };
	if (!text.p)
		return NULL;
	if (rh_base64url_get(bytes, sizeof(bytes), text) == sizeof(bytes)) {
		sign(mac, bytes, context);
		if (rh_same_bytes(mac, bytes + PLAIN, MAC)) {
			c->at = (int64_t)get_u64(bytes);
			memcpy(c->id.b, bytes + 8, sizeof(c->id.b));
			return NULL;
		}
	}
	return rh_err_new(arena, RH_E_MALFORMED, "query.cursor",
	    "The cursor is none of this list; start without one");
}
