#include "config.h"

#include "http/cursor.h"

#include "base/crypto.h"
#include "base/text.h"

#define PLAIN	24		/* at and id */
#define MAC	8

static unsigned char key[RH_SHA256_LEN];

static void
put_u64(unsigned char to[8], uint64_t value)
{
	for (int i = 0; i < 8; i++)
		to[i] = (unsigned char)(value >> (56 - 8 * i));
}

void
rh_cursor_key(struct rh_slice secret)
{
	static const char purpose[] = "rowhouse cursor 1";

	rh_hmac_sha256(key, secret, purpose, sizeof(purpose) - 1);
}

static void
sign(unsigned char mac[RH_SHA256_LEN], const unsigned char plain[PLAIN],
    uint64_t context)
{
	unsigned char message[PLAIN + 8];

	memcpy(message, plain, PLAIN);
	put_u64(message + PLAIN, context);
	rh_hmac_sha256(mac, (struct rh_slice){ (const char *)key, sizeof(key) },
	    message, sizeof(message));
}

struct rh_slice
rh_cursor_put(struct rh_arena *arena, struct rh_cursor c, uint64_t context)
{
	unsigned char bytes[PLAIN + MAC], mac[RH_SHA256_LEN];
	char *text = rh_arena_alloc(arena, RH_CURSOR_LEN);

	put_u64(bytes, (uint64_t)c.at);
	memcpy(bytes + 8, c.id.b, sizeof(c.id.b));
	sign(mac, bytes, context);
	memcpy(bytes + PLAIN, mac, MAC);
	rh_base64url_put(text, bytes, sizeof(bytes));
	return (struct rh_slice){ text, RH_CURSOR_LEN };
}

struct rh_err *
rh_cursor_get(struct rh_arena *arena, struct rh_slice text, uint64_t context,
    struct rh_cursor *c)
{
	unsigned char bytes[PLAIN + MAC], mac[RH_SHA256_LEN];
	uint64_t at = 0;

	*c = (struct rh_cursor){ .at = RH_TIME_INFINITY };
	if (!text.p)
		return NULL;
	if (rh_base64url_get(bytes, sizeof(bytes), text) == sizeof(bytes)) {
		sign(mac, bytes, context);
		if (rh_same_bytes(mac, bytes + PLAIN, MAC)) {
			for (int i = 0; i < 8; i++)
				at = at << 8 | bytes[i];
			c->at = (int64_t)at;
			memcpy(c->id.b, bytes + 8, sizeof(c->id.b));
			return NULL;
		}
	}
	return rh_err_new(arena, RH_E_MALFORMED, "query.cursor",
	    "The cursor is none of this list; start without one");
}
