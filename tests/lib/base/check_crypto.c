/* tests/lib/base/check_crypto.c - published vectors, and a child's own dice. */
#include "config.h"

#include "base/crypto.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/text.h"
#include "rh_check.h"

static const char *
hex(const void *bytes, size_t n)
{
	char *text = rh_arena_zalloc(rh_check_arena(), 2 * n + 1, 1);

	rh_hex_put(text, bytes, n);
	return text;
}

/* n bytes of c */
static struct rh_slice
many(char c, size_t n)
{
	return (struct rh_slice){ memset(rh_arena_alloc(rh_check_arena(), n), c, n),
	    n };
}

/* FIPS 180-4's examples (NIST, "SHA Test Vectors"). */
static const struct { const char *text, *digest; } sha256s[] = {
	{ "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
	{ "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
	{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
	  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
};

START_TEST(sha256_vectors)
{
	unsigned char digest[RH_SHA256_LEN];

	rh_sha256(digest, sha256s[_i].text, strlen(sha256s[_i].text));
	ck_assert_str_eq(hex(digest, sizeof(digest)), sha256s[_i].digest);
}
END_TEST

START_TEST(sha256_of_a_million)
{
	unsigned char digest[RH_SHA256_LEN];

	rh_sha256(digest, many('a', 1000000).p, 1000000);
	ck_assert_str_eq(hex(digest, sizeof(digest)),
	    "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}
END_TEST

/* RFC 4231 section 4; a NULL text is that many bytes of the character. */
static const struct {
	const char *key;
	char key_byte;
	size_t key_n;
	const char *text;
	char text_byte;
	size_t text_n;
	const char *mac;
} hmacs[] = {
	{ NULL, 0x0b, 20, "Hi There", 0, 8,
	  "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
	{ "Jefe", 0, 4, "what do ya want for nothing?", 0, 28,
	  "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
	{ NULL, (char)0xaa, 20, NULL, (char)0xdd, 50,
	  "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe" },
	{ "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11"
	  "\x12\x13\x14\x15\x16\x17\x18\x19", 0, 25, NULL, (char)0xcd, 50,
	  "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b" },
	{ NULL, (char)0xaa, 131,
	  "Test Using Larger Than Block-Size Key - Hash Key First", 0, 54,
	  "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54" },
	{ NULL, (char)0xaa, 131,
	  "This is a test using a larger than block-size key and a larger than"
	  " block-size data. The key needs to be hashed before being used by the"
	  " HMAC algorithm.", 0, 152,
	  "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2" },
};

START_TEST(hmac_sha256_vectors)
{
	unsigned char mac[RH_SHA256_LEN];
	struct rh_slice key = { hmacs[_i].key, hmacs[_i].key_n };
	struct rh_slice text = { hmacs[_i].text, hmacs[_i].text_n };

	if (!key.p)
		key = many(hmacs[_i].key_byte, key.n);
	if (!text.p)
		text = many(hmacs[_i].text_byte, text.n);
	rh_hmac_sha256(mac, key, text.p, text.n);
	ck_assert_str_eq(hex(mac, sizeof(mac)), hmacs[_i].mac);
}
END_TEST

/* Section 4.6 publishes only the first half. */
START_TEST(hmac_sha256_truncated_vector)
{
	unsigned char mac[RH_SHA256_LEN];

	rh_hmac_sha256(mac, many(0x0c, 20), "Test With Truncation", 20);
	ck_assert_str_eq(hex(mac, 16), "a3b6167473100ee06e0c796c2955552b");
}
END_TEST

START_TEST(hmac_takes_no_key_and_no_text)
{
	unsigned char mac[RH_SHA256_LEN];

	rh_hmac_sha256(mac, RH_SLICE_NONE, "", 0);
	ck_assert_str_eq(hex(mac, sizeof(mac)),
	    "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}
END_TEST

/* Of the authors' vectors.h: key 00 to 0f, as many bytes from 00 on. */
static const struct { size_t n; uint64_t mac; } sips[] = {
	{ 0, 0x726fdb47dd0e0e31 }, { 1, 0x74f839c593dc67fd },
	{ 7, 0xab0200f58b01d137 }, { 8, 0x93f5f5799a932462 },
	{ 15, 0xa129ca6149be45e5 }, { 63, 0x958a324ceb064572 },
};

START_TEST(siphash_vectors)
{
	unsigned char bytes[64];

	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)i;
	ck_assert_uint_eq(rh_siphash(bytes, bytes, sips[_i].n), sips[_i].mac);
}
END_TEST

static const struct { const char *text; uint32_t crc; } crcs[] = {
	{ "", 0 }, { "123456789", 0xcbf43926 }, { "a", 0xe8b7be43 },
	{ "The quick brown fox jumps over the lazy dog", 0x414fa339 },
};

START_TEST(crc32_vectors)
{
	ck_assert_uint_eq(rh_crc32(crcs[_i].text, strlen(crcs[_i].text)),
	    crcs[_i].crc);
}
END_TEST

START_TEST(same_bytes)
{
	ck_assert(rh_same_bytes("abc", "abc", 3));
	ck_assert(!rh_same_bytes("abc", "abd", 3));
	ck_assert(!rh_same_bytes("xbc", "abc", 3));
	ck_assert(rh_same_bytes("abc", "abd", 2));
	ck_assert(rh_same_bytes("a", "b", 0));
}
END_TEST

/* FNV-1a's own vectors (draft-eastlake-fnv). */
START_TEST(hash64_is_fnv_1a)
{
	ck_assert_uint_eq(rh_hash64("", 0), 0xcbf29ce484222325);
	ck_assert_uint_eq(rh_hash64("a", 1), 0xaf63dc4c8601ec8c);
	ck_assert_uint_eq(rh_hash64("foobar", 6), 0x85944171f73967e8);
}
END_TEST

/* From the pool, around its edge, and past it. */
static const size_t lengths[] = { 8, 16, 63, 64, 65, 500, 512, 5000 };

START_TEST(random_bytes_do_not_repeat)
{
	unsigned char *a = rh_arena_alloc(rh_check_arena(), 5000);
	unsigned char *before = rh_arena_zalloc(rh_check_arena(), 5000, 1);

	for (int i = 0; i < 200; i++) {
		rh_random(a, lengths[_i]);
		ck_assert_mem_ne(a, before, lengths[_i]);
		memcpy(before, a, lengths[_i]);
	}
}
END_TEST

START_TEST(a_child_draws_its_own)
{
	unsigned char mine[16], childs[16];
	int fds[2];

	rh_random(mine, sizeof(mine));
	ck_assert_int_eq(pipe(fds), 0);
	if (fork() == 0) {
		rh_random(childs, sizeof(childs));
		_exit(write(fds[1], childs, sizeof(childs)) != sizeof(childs));
	}
	rh_random(mine, sizeof(mine));
	ck_assert_int_eq(read(fds[0], childs, sizeof(childs)), sizeof(childs));
	ck_assert_mem_ne(mine, childs, sizeof(mine));
	ck_assert_int_gt(wait(NULL), 0);
}
END_TEST

/*
 * Test cases 14 and 16 of McGrew and Viega, "The Galois/Counter Mode of
 * Operation": nonce, text, tag as we lay them out.
 */
static const struct { const char *key, *with, *sealed, *text; } gcms[] = {
	{ "0000000000000000000000000000000000000000000000000000000000000000", "",
	  "000000000000000000000000"
	  "cea7403d4d606b6e074ec5d3baf39d18"
	  "d0d1c8a799996bf0265b98b5d48ab919",
	  "00000000000000000000000000000000" },
	{ "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
	  "feedfacedeadbeeffeedfacedeadbeefabaddad2",
	  "cafebabefacedbaddecaf888"
	  "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
	  "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
	  "76fc6ece0f4e1768cddf8853bb2d551b",
	  "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
	  "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39" },
};

static struct rh_slice
bytes(const char *digits)
{
	size_t n = strlen(digits) / 2;
	unsigned char *to = rh_arena_zalloc(rh_check_arena(), n + 1, 1);

	for (size_t i = 0; i < n; i++) {
		unsigned byte = 0;

		ck_assert_int_eq(sscanf(digits + 2 * i, "%2x", &byte), 1);
		to[i] = (unsigned char)byte;
	}
	return (struct rh_slice){ (char *)to, n };
}

START_TEST(unseal_vectors)
{
	struct rh_slice key = bytes(gcms[_i].key), sealed = bytes(gcms[_i].sealed);
	unsigned char *to = rh_arena_alloc(rh_check_arena(), sealed.n);

	ck_assert(rh_unseal(to, (const unsigned char *)key.p,
	    bytes(gcms[_i].with), sealed));
	ck_assert_str_eq(hex(to, sealed.n - RH_SEAL_MORE), gcms[_i].text);
}
END_TEST

static const size_t seal_lengths[] = { 0, 1, 15, 16, 17, 4096, 1 << 20 };

START_TEST(what_is_sealed_opens_again_and_only_as_it_was)
{
	const size_t n = seal_lengths[_i];
	struct rh_slice text = many('x', n), with = RH_SLICE("with");
	unsigned char key[RH_SEAL_KEY_LEN] = { 1 }, other[RH_SEAL_KEY_LEN] = { 2 };
	unsigned char *to = rh_arena_alloc(rh_check_arena(), n + RH_SEAL_MORE);
	unsigned char *back = rh_arena_alloc(rh_check_arena(), n + RH_SEAL_MORE);
	struct rh_slice sealed = { (char *)to, n + RH_SEAL_MORE };

	rh_seal(to, key, with, text);
	ck_assert(rh_unseal(back, key, with, sealed));
	ck_assert_mem_eq(back, text.p, n);
	ck_assert(!rh_unseal(back, other, with, sealed));
	ck_assert(!rh_unseal(back, key, RH_SLICE("wit"), sealed));
	for (size_t at = 0; at < sealed.n; at += RH_MAX(n / 7, 1u)) {
		to[at] ^= 1;
		ck_assert(!rh_unseal(back, key, with, sealed));
		to[at] ^= 1;
	}
	for (size_t cut = 0; cut < RH_SEAL_MORE; cut++)
		ck_assert(!rh_unseal(back, key, with,
		    (struct rh_slice){ sealed.p, cut }));
	ck_assert(rh_unseal(back, key, with, sealed));
	/* and never twice alike */
	rh_seal(back, key, with, text);
	ck_assert_mem_ne(back, to, n + RH_SEAL_MORE);
}
END_TEST

RH_CHECK_MAIN("base/crypto",
    RH_LOOP(sha256_vectors, sha256s),
    RH_CASE(sha256_of_a_million),
    RH_LOOP(hmac_sha256_vectors, hmacs),
    RH_CASE(hmac_sha256_truncated_vector),
    RH_CASE(hmac_takes_no_key_and_no_text),
    RH_LOOP(siphash_vectors, sips),
    RH_LOOP(unseal_vectors, gcms),
    RH_LOOP(what_is_sealed_opens_again_and_only_as_it_was, seal_lengths),
    RH_LOOP(crc32_vectors, crcs),
    RH_CASE(same_bytes),
    RH_CASE(hash64_is_fnv_1a),
    RH_LOOP(random_bytes_do_not_repeat, lengths),
    RH_CASE(a_child_draws_its_own))
