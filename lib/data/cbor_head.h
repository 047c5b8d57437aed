/*
 * cbor_head - the first bytes of a value, between cbor_write.c and
 * cbor_shape.c.
 */
#ifndef RH_DATA_CBOR_HEAD_H
#define RH_DATA_CBOR_HEAD_H

#include <stddef.h>
#include <stdint.h>

#define RH_CBOR_HEAD_MAX 9

/* The number in its shortest form under a major type; answers how many bytes. */
size_t rh_cbor_head(unsigned char to[RH_CBOR_HEAD_MAX], unsigned major,
    uint64_t number);

#endif
