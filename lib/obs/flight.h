/*
 * flight - the request that a process has in work, told to all who map the
 * segment: to the operator who asks, and to the master if the process dies.
 *
 * Shape    one record a slot, written by the process that has the slot. turn
 *          is odd while it is being written; phase RH_PHASE_NONE: no request
 * Units    _us wall clock, _ns of the monotonic clock, bytes
 * Errors   a text that has no room is cut; rh_flight_read tells a record that
 *          never stood still, and trusts no length in it
 * Owner    the slot's process; once it is dead, its master
 */
#ifndef RH_OBS_FLIGHT_H
#define RH_OBS_FLIGHT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/id.h"
#include "base/slice.h"

enum rh_phase {
	RH_PHASE_NONE,
	RH_PHASE_READING,	/* parameters, and who it is */
	RH_PHASE_HANDLING,	/* in the handler, or on the way to it */
	RH_PHASE_QUERYING,	/* waits for PostgreSQL, or Redis: .waits_for */
	RH_PHASE_REPLYING,	/* the reply is built, or on its way */
	RH_PHASE_ACCOUNTING,	/* answered; line, spans and counts are written */
	RH_PHASES
};
extern const char *const rh_phase_names[RH_PHASES];	/* "", "reading", … */

struct rh_flight {
	_Atomic uint32_t turn;
	_Atomic uint32_t phase;		/* enum rh_phase */
	int64_t start_us;
	uint64_t start_ns;
	uint64_t deadline_ns;		/* 0: none */
	uint64_t slow_ns;		/* from then on it is slow; 0: never */
	uint64_t accounted;		/* 1: line and counts are told; by the journal */
	uint32_t series;		/* route of http_requests_total; see serve/series.h */
	union {
		uint32_t tenant_label;	/* of the live dimension of tenants */
		uint32_t attempt;	/* of a job, which has no such label */
	};
	uint8_t role;			/* enum rh_role of http/route.h */
	uint8_t head;			/* the trace is kept whatever becomes of it */
	uint8_t on;			/* the trace is recorded at all */
	uint8_t flags;			/* of its parent, as in struct rh_trace */
	uint8_t method_n, route_n, tenant_n, remote_n, waits_for_n, request_id_n;
	uint16_t path_n;
	unsigned char trace_id[16], span_id[8], parent_id[8];
	struct rh_uuid tenant_id, user_id, token_id;
	char method[16];
	char route[96];			/* the template */
	char tenant[64];
	char remote[48];
	char waits_for[48];		/* the statement */
	char request_id[128];
	char path[512];			/* without its query; the template where it is secret */
};

/* What is known once the request is identified and routed; p == NULL: nothing. */
struct rh_flight_facts {
	struct rh_slice request_id, method, route, path, tenant, remote;
	const unsigned char *trace_id, *span_id, *parent_id;
	bool on, head;
	unsigned char flags;
	struct rh_uuid tenant_id;
	unsigned series;
	unsigned tenant_label;		/* a job's attempt */
	uint64_t deadline_ns, slow_ns;
};

/* The writer's side; f == NULL: nobody listens. */
void rh_flight_open(struct rh_flight *f, int64_t start_us, uint64_t start_ns);
void rh_flight_tell(struct rh_flight *f, const struct rh_flight_facts *facts);
/* The caller, once the database knows him. */
void rh_flight_who(struct rh_flight *f, struct rh_uuid user, struct rh_uuid token,
    unsigned role);
/* what: the statement, or "redis", for RH_PHASE_QUERYING, else NULL. */
void rh_flight_at(struct rh_flight *f, enum rh_phase phase, const char *what);
void rh_flight_close(struct rh_flight *f);

/*
 * A copy whose lengths are within bounds. False: no request is in work, or the
 * record did not stand still for it. Also of a process that died writing, for
 * its master: is_dead takes what there is.
 */
RH_MUST_CHECK bool rh_flight_read(const struct rh_flight *f, bool is_dead,
    struct rh_flight *copy);
/* A text of a copy: rh_flight_text(&copy, route). */
#define rh_flight_text(copy, member) \
	((struct rh_slice){ (copy)->member, (copy)->member##_n })

#endif
