#include "config.h"

#include "base/crypto.h"

#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <sys/random.h>
#include <zlib.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/attr.h"

/*
 * One getrandom() for each 32 ids instead of one for each: it is a tenth of
 * a request's system calls. Bytes are wiped as they are given out.
 */
static unsigned char pool[512];
static size_t pool_left;

static void
pool_forget(void)
{
	pool_left = 0;
}

static void
kernel_random(unsigned char *to, size_t n)
{
	while (n) {
		ssize_t got = getrandom(to, n, 0);

		rh_assert(got > 0 || errno == EINTR);
		if (got > 0) {
			to += got;
			n -= (size_t)got;
		}
	}
}

void
rh_random(void *to, size_t n)
{
	static bool registered;

	if (n > 64) {
		kernel_random(to, n);
		return;
	}
	if (!registered) {
		/* a child that shared the parent's pool would repeat its ids */
		registered = pthread_atfork(NULL, NULL, pool_forget) == 0;
		rh_assert(registered);
	}
	if (pool_left < n) {
		kernel_random(pool, sizeof(pool));
		pool_left = sizeof(pool);
	}
	pool_left -= n;
	memcpy(to, pool + pool_left, n);
	memset(pool + pool_left, 0, n);
}

/* EVP_sha256() looks the digest up anew in each init, for a microsecond. */
static EVP_MD *
sha256(void)
{
	static EVP_MD *md;

	if (!md)
		md = EVP_MD_fetch(NULL, "SHA2-256", NULL);
	rh_assert(md != NULL);
	return md;
}

void
rh_sha256(unsigned char to[RH_SHA256_LEN], const void *bytes, size_t n)
{
	static EVP_MD_CTX *ctx;

	if (!ctx)
		ctx = EVP_MD_CTX_new();
	rh_assert(ctx && EVP_DigestInit_ex2(ctx, sha256(), NULL) &&
	    EVP_DigestUpdate(ctx, bytes, n) &&
	    EVP_DigestFinal_ex(ctx, to, NULL));
}

void
rh_crypto_prepare(void)
{
	unsigned char hash[RH_SHA256_LEN];

	rh_sha256(hash, "", 0);
}

void
rh_sha1(unsigned char to[RH_SHA1_LEN], const void *bytes, size_t n)
{
	rh_assert(EVP_Digest(bytes, n, to, NULL, EVP_sha1(), NULL));
}

void
rh_hmac_sha256(unsigned char to[RH_SHA256_LEN], struct rh_slice key,
    const void *bytes, size_t n)
{
	static EVP_MD_CTX *ctx;
	unsigned char block[64] = { 0 }, pad[64];

	if (!ctx)
		ctx = EVP_MD_CTX_new();
	rh_assert(ctx != NULL);
	if (key.n > sizeof(block))
		rh_sha256(block, key.p, key.n);
	else if (key.n)
		memcpy(block, key.p, key.n);
	for (size_t i = 0; i < sizeof(pad); i++)
		pad[i] = block[i] ^ 0x36;
	rh_assert(EVP_DigestInit_ex2(ctx, sha256(), NULL) &&
	    EVP_DigestUpdate(ctx, pad, sizeof(pad)) &&
	    EVP_DigestUpdate(ctx, bytes, n) &&
	    EVP_DigestFinal_ex(ctx, to, NULL));
	for (size_t i = 0; i < sizeof(pad); i++)
		pad[i] = block[i] ^ 0x5c;
	rh_assert(EVP_DigestInit_ex2(ctx, sha256(), NULL) &&
	    EVP_DigestUpdate(ctx, pad, sizeof(pad)) &&
	    EVP_DigestUpdate(ctx, to, RH_SHA256_LEN) &&
	    EVP_DigestFinal_ex(ctx, to, NULL));
	OPENSSL_cleanse(block, sizeof(block));
	OPENSSL_cleanse(pad, sizeof(pad));
}

#define ROTL(x, b)	((x) << (b) | (x) >> (64 - (b)))

static inline void
sip_round(uint64_t v[4])
{
	v[0] += v[1]; v[1] = ROTL(v[1], 13) ^ v[0]; v[0] = ROTL(v[0], 32);
	v[2] += v[3]; v[3] = ROTL(v[3], 16) ^ v[2];
	v[0] += v[3]; v[3] = ROTL(v[3], 21) ^ v[0];
	v[2] += v[1]; v[1] = ROTL(v[1], 17) ^ v[2]; v[2] = ROTL(v[2], 32);
}

uint64_t
rh_siphash(const unsigned char key[RH_SIPHASH_KEY], const void *bytes, size_t n)
{
	const unsigned char *s = bytes;
	uint64_t k[2], word, v[4];
	size_t i;

	memcpy(k, key, sizeof(k));
	v[0] = le64toh(k[0]) ^ 0x736f6d6570736575;
	v[1] = le64toh(k[1]) ^ 0x646f72616e646f6d;
	v[2] = le64toh(k[0]) ^ 0x6c7967656e657261;
	v[3] = le64toh(k[1]) ^ 0x7465646279746573;
	for (i = 0; i <= n; i += 8) {
		if (n - i >= sizeof(word)) {
			memcpy(&word, s + i, sizeof(word));
			word = le64toh(word);
		} else {
			word = 0;
			memcpy(&word, s + i, n - i);
			word = le64toh(word) | (uint64_t)n << 56;
		}
		v[3] ^= word;
		sip_round(v);
		sip_round(v);
		v[0] ^= word;
	}
	v[2] ^= 0xff;
	for (i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint32_t
rh_crc32(const void *bytes, size_t n)
{
	return (uint32_t)crc32(0, bytes, (uInt)n);
}

bool
rh_same_bytes(const void *a, const void *b, size_t n)
{
	return CRYPTO_memcmp(a, b, n) == 0;
}

/* ---- AES-256-GCM ---- */

enum { NONCE = 12, TAG = 16 };

/* As with SHA-256: to look it up anew costs more than to use it. */
static EVP_CIPHER_CTX *
sealer(unsigned char *nonce, const unsigned char *key, bool seals)
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
feed(EVP_CIPHER_CTX *ctx, unsigned char *to, struct rh_slice text)
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
	ctx = sealer(to, key, true);
	feed(ctx, NULL, with);
	feed(ctx, to + NONCE, text);
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
	ctx = sealer(nonce, key, false);
	feed(ctx, NULL, with);
	feed(ctx, to, text);
	rh_assert(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG, tag));
	good = EVP_CipherFinal_ex(ctx, to + text.n, &n) == 1;
	EVP_CIPHER_CTX_reset(ctx);
	return good;
}
