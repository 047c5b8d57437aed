/*
 * request_record - an accounted request as it stands in the segment: what its
 * log line's main fields are. So does what follows from it in other processes:
 * an attempt of a job, a webhook's delivery.
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

#define RH_REQUEST_VERSION	0x82

/* Whose record it is. */
enum rh_work { RH_WORK_REQUEST, RH_WORK_JOB, RH_WORK_WEBHOOK, RH_WORKS };
extern const char *const rh_work_names[RH_WORKS];

/*
 * The same ones for all: of a job METHOD is "JOB", ROUTE its kind, PATH its id;
 * of a webhook's delivery METHOD is its request's, ROUTE the event's type, PATH
 * its id. OUTCOME is theirs alone: what became of that attempt. With ERROR it
 * failed.
 */
enum rh_request_text {
	RH_RQ_ID, RH_RQ_METHOD, RH_RQ_ROUTE, RH_RQ_PATH, RH_RQ_TENANT,
	RH_RQ_ROLE, RH_RQ_CACHE, RH_RQ_LIMITER, RH_RQ_ERROR, RH_RQ_REMOTE,
	RH_RQ_AGENT, RH_RQ_OUTCOME, RH_RQ_TEXTS
};

struct rh_request_fixed {
	uint8_t version;
	uint8_t by;		/* enum rh_sampled_by */
	uint8_t kept;		/* its trace was */
	uint8_t traced;		/* spans were recorded at all */
	uint8_t remote_parent;	/* it has a caller that traces, too */
	uint8_t parent_based;	/* whose flag decides, then */
	uint8_t what;		/* enum rh_work */
	uint16_t status;	/* of a reply; 0: there is none */
	uint16_t attempt;	/* 1 is the first; 0: not told */
	uint16_t pg_trips, redis_trips;
	uint16_t text_n[RH_RQ_TEXTS];
	uint32_t pid;
	uint32_t series;	/* of http_requests_total's first dimension; the kind's */
	int64_t start_us;
	uint64_t ns, pg_ns, redis_ns;
	uint64_t waited_ns;	/* before that attempt, since it could have begun */
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
/* Cuts, measures, writes it into the ring, for who has no journal. */
void rh_request_leave(struct rh_ring *ring, struct rh_request *rq);
/* Writes what was measured. */
void rh_request_put(char *to, const struct rh_request *rq);
/* Texts point into the record. False: of another version, or no record at all. */
bool rh_request_get(struct rh_request *rq, const void *record, size_t n);
/* With a status of 5xx, or, of what has none of its own, with an error. */
bool rh_request_failed(const struct rh_request *rq);
/* One whose texts stay. */
struct rh_request rh_request_copy(const struct rh_request *rq,
    struct rh_arena *arena);

#endif
