#include "config.h"

#include "base/crypto.h"

#include <openssl/evp.h>

enum { NONCE = 12, TAG = 16 };

/* As with SHA-256: to look it up anew costs more than to use it. */
static EVP_CIPHER_CTX *
context(unsigned char *nonce, const unsigned char *key, bool seals)
{
	static EVP_CIPHER *cipher;
	static EVP_CIPHER_CTX *ctx;

	if (!cipher) {
		cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
		ctx = EVP_CIPHER_CTX_new();
	}
	rh_assert(cipher && ctx);
	rh_assert(EVP_CipherInit_ex2(ctx, cipher, key, nonce, seals, NULL));
	return ctx;
}

static void
update(EVP_CIPHER_CTX *ctx, unsigned char *to, struct rh_slice text)
{
	int n;

	rh_assert(text.n <= INT32_MAX);
	if (text.n)
		rh_assert(EVP_CipherUpdate(ctx, to, &n,
		    (const unsigned char *)text.p, (int)text.n));
}

void
rh_seal(unsigned char *to, const unsigned char key[RH_SEAL_KEY_LEN],
    struct rh_slice with, struct rh_slice text)
{
	unsigned char *tag = to + NONCE + text.n;
	EVP_CIPHER_CTX *ctx;
	int n;

	rh_random(to, NONCE);
	ctx = context(to, key, true);
	update(ctx, NULL, with);
	update(ctx, to + NONCE, text);
	rh_assert(EVP_CipherFinal_ex(ctx, tag, &n) &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG, tag));
	EVP_CIPHER_CTX_reset(ctx);
}

bool
rh_unseal(unsigned char *to, const unsigned char key[RH_SEAL_KEY_LEN],
    struct rh_slice with, struct rh_slice sealed)
{
	unsigned char nonce[NONCE], tag[TAG];
	struct rh_slice text;
	EVP_CIPHER_CTX *ctx;
	int n;
	bool good;

	if (sealed.n < RH_SEAL_MORE)
		return false;
	text = (struct rh_slice){ sealed.p + NONCE, sealed.n - RH_SEAL_MORE };
	memcpy(nonce, sealed.p, NONCE);
	memcpy(tag, text.p + text.n, TAG);
	ctx = context(nonce, key, false);
	update(ctx, NULL, with);
	update(ctx, to, text);
	rh_assert(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG, tag));
	good = EVP_CipherFinal_ex(ctx, to + text.n, &n) == 1;
	EVP_CIPHER_CTX_reset(ctx);
	return good;
}
