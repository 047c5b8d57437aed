/*
 * request_record - an accounted request as it stands in the segment: what its
 * log line's main fields are.
 *
 * Shape    struct rh_request_fixed, then its texts, one behind the other. The
 *          first byte tells it from a kept trace's record (span_record.h),
 *          which may stand in the same ring
 * Units    _us wall clock, ns nanoseconds of a duration
 * Errors   a text that is too long is cut when it is written; a reader trusts
 *          no length: the ring outlives the programs that wrote into it
 * Owner    texts are borrowed: of whoever writes it, or of the record read
 *
 * Written with each request, which is why it is plain copies; read by the
 * exporter's page and by rowhouse-ctl.
 */
#ifndef RH_OBS_REQUEST_RECORD_H
#define RH_OBS_REQUEST_RECORD_H

#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/slice.h"
#include "obs/trace.h"

#define RH_REQUEST_VERSION	0x81

enum rh_request_text {
	RH_RQ_ID, RH_RQ_METHOD, RH_RQ_ROUTE, RH_RQ_PATH, RH_RQ_TENANT,
	RH_RQ_ROLE, RH_RQ_CACHE, RH_RQ_LIMITER, RH_RQ_ERROR, RH_RQ_REMOTE,
	RH_RQ_AGENT, RH_RQ_TEXTS
};

struct rh_request_fixed {
	uint8_t version;
	uint8_t by;		/* enum rh_sampled_by */
	uint8_t kept;		/* its trace was */
	uint8_t traced;		/* spans were recorded at all */
	uint8_t remote_parent;	/* it has a caller that traces, too */
	uint8_t parent_based;	/* whose flag decides, then */
	uint16_t status;
	uint16_t pg_trips, redis_trips;
	uint16_t text_n[RH_RQ_TEXTS];
	uint32_t pid;
	uint32_t series;	/* of http_requests_total's first dimension */
	int64_t start_us;
	uint64_t ns, pg_ns, redis_ns;
	uint64_t slow_ns;	/* from there on it would have been slow */
	uint64_t bytes_in, bytes_out;
	double ratio;		/* of the unremarkable ones, the share that is kept */
	unsigned char trace_id[16], span_id[8];
	struct rh_uuid tenant_id, user_id, token_id;
};

struct rh_request {
	struct rh_request_fixed f;
	struct rh_slice text[RH_RQ_TEXTS];
};

/* For the writer: the record's bytes, once what is too long is cut. */
size_t rh_request_measure(struct rh_request *rq);
/* Writes what was measured. */
void rh_request_put(char *to, const struct rh_request *rq);
/* Texts point into the record. False: of another version, or no record at all. */
bool rh_request_get(struct rh_request *rq, const void *record, size_t n);
/* One whose texts stay. */
struct rh_request rh_request_copy(const struct rh_request *rq,
    struct rh_arena *arena);

#endif
