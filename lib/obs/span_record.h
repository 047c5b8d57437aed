/*
 * span_record - a kept trace as it stands in the span ring.
 *
 * Shape    struct rh_record_head, its texts, then nspans times: struct
 *          rh_record_span, its texts, its attributes. Neither aligned nor
 *          padded; host byte order: writer and readers share the machine
 * Units    nanoseconds since 1970
 * Errors   a reader trusts no length: what does not fit ends the walk, since
 *          the ring outlives the programs that wrote into it
 * Owner    what a reader hands out points into the record
 *
 * Written by trace.c with each request, which is why it is plain copies;
 * read by the shipper, who makes OTLP of it, and by the exporter's page.
 */
#ifndef RH_OBS_SPAN_RECORD_H
#define RH_OBS_SPAN_RECORD_H

#include "obs/trace.h"

#define RH_RECORD_VERSION	2
#define RH_RECORD_TEXT_MAX	4096	/* of a value; longer ones are cut */
#define RH_RECORD_NAME_MAX	255	/* of a key, a span's name, an id */

struct rh_record_head {
	uint8_t version, by, flags, remote_parent;
	uint16_t spans, spans_dropped;
	uint16_t tracestate_n;
	uint8_t request_id_n, tenant_id_n;
	uint8_t link_flags, zero[3];
	uint64_t threshold;
	unsigned char trace_id[16];
	unsigned char link_trace_id[16];
	unsigned char link_span_id[8];	/* zeros: there is no link */
};

struct rh_record_span {
	unsigned char id[8], parent_id[8];
	uint64_t start_ns, end_ns;
	uint8_t kind, error, attrs, name_n;
	uint16_t error_text_n, attrs_dropped;
};

struct rh_record_attr {
	uint8_t is_int, key_n;	/* the key has a NUL behind it */
	uint16_t text_n;	/* of the text; 0 where is_int: 8 bytes follow */
};

/* A record that is being read. */
struct rh_kept {
	struct rh_record_head head;
	struct rh_slice tracestate, request_id, tenant_id;
	struct rh_slice rest;
	unsigned spans_left;
};

struct rh_kept_span {
	struct rh_record_span fixed;
	struct rh_slice name, error_text;
	struct rh_slice rest;
	unsigned attrs_left;
};

/* False: of another version, or no record at all. */
bool rh_kept_open(struct rh_kept *kept, const void *record, size_t n);
/* Hands out the next span; false at the end, or where the record breaks. */
bool rh_kept_span(struct rh_kept *kept, struct rh_kept_span *span);
bool rh_kept_attr(struct rh_kept_span *span, struct rh_attr *attr);

#endif
