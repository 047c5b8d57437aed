/*
 * wire - protobuf, and JSON by its mapping, in one walk.
 *
 * Shape    in protobuf a field is its number; in JSON its name, and an element
 *          of a list has none (NULL)
 * Errors   none but the buffer's own: full
 * Owner    the buffer is the caller's
 * Source   Protocol Buffers encoding; OTLP specification, JSON mapping
 */
#ifndef RH_OBS_WIRE_H
#define RH_OBS_WIRE_H

#include <stdint.h>

#include "base/buf.h"

struct rh_wire {
	struct rh_buf *to;
	bool json;
};

/* A message within a message; answers what its end wants to know. */
size_t rh_wire_open(struct rh_wire *w, unsigned field, const char *member);
void rh_wire_close(struct rh_wire *w, size_t start);
/* A message by itself, its length in front ("delimited"): protobuf alone. */
size_t rh_wire_frame(struct rh_wire *w);
/* Around repeated messages: in protobuf that is nothing. */
void rh_wire_list(struct rh_wire *w, const char *member);
void rh_wire_list_end(struct rh_wire *w);

/* What is not UTF-8 in it becomes U+FFFD. */
void rh_wire_text(struct rh_wire *w, unsigned field, const char *member,
    struct rh_slice text);
/*
 * OpenTelemetry's KeyValue { key 1, value 2: AnyValue { string 1, int 3 } } at
 * once: it is most of what is written. False, and nothing is: write it by its
 * parts, as JSON and for texts that are no UTF-8.
 */
RH_MUST_CHECK bool rh_wire_pair_text(struct rh_wire *w, unsigned field,
    struct rh_slice key, struct rh_slice text);
RH_MUST_CHECK bool rh_wire_pair_int(struct rh_wire *w, unsigned field,
    struct rh_slice key, int64_t number);
/* Bytes; in JSON hexadecimal digits. */
void rh_wire_id(struct rh_wire *w, unsigned field, const char *member,
    struct rh_slice id);
/* uint32 and enums. */
void rh_wire_small(struct rh_wire *w, unsigned field, const char *member,
    uint32_t n);
/* int64 and uint64; in JSON a string. */
void rh_wire_int(struct rh_wire *w, unsigned field, const char *member,
    int64_t n);
void rh_wire_fixed32(struct rh_wire *w, unsigned field, const char *member,
    uint32_t n);
void rh_wire_fixed64(struct rh_wire *w, unsigned field, const char *member,
    uint64_t n);

#endif
