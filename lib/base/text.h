/*
 * text - encodings: hex, base64url, base62, UTF-8, decimal numbers.
 *
 * Shape    functions from bytes to bytes; no state, no allocation
 * Errors   false, 0 or SIZE_MAX as each says; nothing is written past the end
 * Source   RFC 4648 sections 5 and 8, RFC 3629
 */
#ifndef RH_BASE_TEXT_H
#define RH_BASE_TEXT_H

#include <stdint.h>

#include "base/slice.h"

/* 2 * n lower-case digits at to; no NUL. */
void rh_hex_put(char *to, const void *bytes, size_t n);
/* Exactly 2 * n digits; upper case only where any_case says so. */
bool rh_hex_get(void *to, size_t n, struct rh_slice text, bool any_case);

#define RH_BASE64URL_LEN(n)	(((n) * 4 + 2) / 3)
/* Unpadded; writes RH_BASE64URL_LEN(n) characters, no NUL. */
void rh_base64url_put(char *to, const void *bytes, size_t n);
/* Unpadded and canonical, at most cap bytes; SIZE_MAX where it is not. */
size_t rh_base64url_get(void *to, size_t cap, struct rh_slice text);

/* value in exactly width digits 0-9A-Za-z, the most significant first. */
void rh_base62_put(char *to, size_t width, uint64_t value);

/* Length of the well-formed UTF-8 sequence at s (1 to 4), 0 if it is none. */
size_t rh_utf8_step(const unsigned char *s, size_t n);
bool rh_utf8_is(struct rh_slice text);
/* Code points in well-formed text. */
size_t rh_utf8_count(struct rh_slice text);

/* "00" to "99", without NULs: decimal numbers are written by twos. */
extern const char rh_pairs[100][2];
/* In decimal, 20 bytes at most; answers their end. */
char *rh_u64_put(char *to, uint64_t value);
/* A whole decimal number and nothing else, without sign or leading zeros. */
bool rh_u64_get(uint64_t *to, struct rh_slice text);
/* Likewise, with or without a "-" in front. */
bool rh_i64_get(int64_t *to, struct rh_slice text);

#endif
