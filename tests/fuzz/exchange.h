/*
 * exchange - what one connection carries, made from a fuzzer's bytes.
 *
 * Shape    a script is a peer's whole life: wire is what it sends, pauses are
 *          where it waits; a model is what a strict reader finds in it
 * Owner    tests/fuzz; both are static memory of their file, until the next
 */
#ifndef TESTS_FUZZ_EXCHANGE_H
#define TESTS_FUZZ_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WIRE_MAX = 1 << 17, PAUSES_MAX = 64, REQUESTS_MAX = 64 };

struct script {
	bool tame;		/* whole requests, the next after the answer */
	bool silent;		/* at its end it stays, and says nothing */
	bool deaf;		/* reads no answer before the connection is closed */
	bool narrow;		/* the socket holds little */
	uint64_t random;	/* where nothing else decides */
	size_t n;
	unsigned npauses;
	size_t pauses[PAUSES_MAX];	/* offsets in wire, rising */
	unsigned char wire[WIRE_MAX];
};

const struct script *script_read(const uint8_t *bytes, size_t n);

struct expected {
	unsigned id;
	uint64_t params, body;	/* hashes */
	bool alone;		/* nobody else's record in its head */
	bool whole;		/* its body ends */
	bool rubbish;		/* its parameters are no pairs: never answered 200 */
};

struct model {
	unsigned n;
	struct expected requests[REQUESTS_MAX];
};

const struct model *model_read(const unsigned char *wire, size_t n);

#define HASH_START	UINT64_C(0xcbf29ce484222325)

/* FNV-1a */
static inline uint64_t
hash_more(uint64_t hash, const void *bytes, size_t n)
{
	const unsigned char *p = bytes;

	for (size_t i = 0; i < n; i++)
		hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
	return hash;
}

/* Names and values do not run together. */
static inline uint64_t
hash_pair(uint64_t hash, const void *name, size_t name_n, const void *value,
    size_t value_n)
{
	size_t lengths[] = { name_n, value_n };

	hash = hash_more(hash, lengths, sizeof(lengths));
	return hash_more(hash_more(hash, name, name_n), value, value_n);
}

#endif
