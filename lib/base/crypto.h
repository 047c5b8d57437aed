/*
 * crypto - random bytes, SHA-256, SHA-1, HMAC-SHA-256, AES-256-GCM, SipHash,
 * CRC-32.
 *
 * Shape    plain functions; libcrypto stays in crypto.c
 * Errors   none: a machine without random bytes, SHA-256 or AES asserts; what
 *          was sealed with another key, or altered since, is false
 * Source   FIPS 180-4, RFC 2104, NIST SP 800-38D; SipHash-2-4 (Aumasson and
 *          Bernstein, 2012); CRC-32 as in ISO-HDLC (zlib)
 */
#ifndef RH_BASE_CRYPTO_H
#define RH_BASE_CRYPTO_H

#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"

#define RH_SHA256_LEN	32
#define RH_SHA1_LEN	20
#define RH_SIPHASH_KEY	16

/* In a process that forks: what OpenSSL looks up once its children have then. */
void rh_crypto_prepare(void);
/* From the kernel, in batches; a forked child draws its own. */
void rh_random(void *to, size_t n);
void rh_sha256(unsigned char to[RH_SHA256_LEN], const void *bytes, size_t n);
/* A name that others have given, nothing to rely on: Redis calls a script by it. */
void rh_sha1(unsigned char to[RH_SHA1_LEN], const void *bytes, size_t n);
void rh_hmac_sha256(unsigned char to[RH_SHA256_LEN], struct rh_slice key,
    const void *bytes, size_t n);
/*
 * 64 bits that nobody foretells without the key: for tables whose keys others
 * choose, and to sign what is short-lived and small.
 */
uint64_t rh_siphash(const unsigned char key[RH_SIPHASH_KEY], const void *bytes,
    size_t n);
uint32_t rh_crc32(const void *bytes, size_t n);
/* In a time that depends on n alone. */
bool rh_same_bytes(const void *a, const void *b, size_t n);

/*
 * Sealed is a nonce of 12 random bytes, the text, a tag of 16: so much more.
 * with is not in it, and has to be the same when it is opened.
 */
#define RH_SEAL_KEY_LEN	32
#define RH_SEAL_MORE	(12 + 16)
void rh_seal(unsigned char *to, const unsigned char key[RH_SEAL_KEY_LEN],
    struct rh_slice with, struct rh_slice text);
/* to has room for sealed.n - RH_SEAL_MORE bytes. */
RH_MUST_CHECK bool rh_unseal(unsigned char *to,
    const unsigned char key[RH_SEAL_KEY_LEN], struct rh_slice with,
    struct rh_slice sealed);

/* 64 bits for hash tables; not for anything an attacker may choose to collide. */
static inline uint64_t
rh_hash64(const void *bytes, size_t n)
{
	const unsigned char *s = bytes;
	uint64_t h = 0xcbf29ce484222325;	/* FNV-1a */

	for (size_t i = 0; i < n; i++)
		h = (h ^ s[i]) * 0x100000001b3;
	return h;
}

#endif
