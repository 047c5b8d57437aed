/*
 * deliver_part - what the files of the deliveries share.
 *
 * Owner    the worker's one rh_deliver at a place
 */
#ifndef RH_JOBS_DELIVER_PART_H
#define RH_JOBS_DELIVER_PART_H

#include "jobs/deliver.h"

#define MS_NS UINT64_C(1000000)

/* rh_deliver_stmts, by these. */
enum rh_deliver_stmt {
	RH_DELIVER_FAN_OUT_STMT,
	RH_DELIVER_CLAIM,
	RH_DELIVER_SETTLE,
	RH_DELIVER_RESCUE,
	RH_DELIVER_FORGET
};

/* A row of webhook_take. */
struct rh_due {
	struct rh_uuid tenant, id, webhook, event, subject, actor;
	struct rh_slice type, payload, trace_id, parent_span_id, request_id;
	struct rh_slice url, secret, old_secret;
	int64_t happened_us, attempt, waited_ms, trace_flags;
};

enum rh_sending_state { RH_SENDING_FREE, RH_SENDING_BUSY, RH_SENDING_OVER };
/* As webhook_settle has them. */
enum rh_settled { RH_SETTLED_DELIVERED, RH_SETTLED_AGAIN, RH_SETTLED_FAILED };

enum { REPLY_MAX = 1024, ADDRESS_MAX = 46 };

/* An attempt, from its claim to when it is settled. */
struct rh_sending {
	struct rh_deliver *d;
	enum rh_sending_state state;
	struct rh_arena *arena; /* of what follows; reset when it is free */
	struct rh_due due;
	unsigned char span_id[8];
	int64_t start_us;
	uint64_t start_ns;
	/* what became of it */
	int status;
	const char *error;
	struct rh_slice reply;
	int64_t ms, pause_ms;
	char address[ADDRESS_MAX];
	bool gone;
	enum rh_delivered result;
	enum rh_settled settled;
};

struct rh_deliver {
	struct rh_pg *pg;
	struct rh_uuid holder;
	struct rh_deliver_conf conf;
	struct rh_deliver_obs obs;
	struct rh_hook_key key;
	struct rh_out *out;
	struct rh_trace *trace;
	struct rh_arena *arena;	    /* of a step */
	struct rh_sending *sending; /* conf.out.most of them */
	unsigned busy, over;
	unsigned ended; /* in this step */
	struct rh_uuid after_tenant, after_webhook;
	uint64_t over_ns;  /* mono: when the first of those that are over was */
	uint64_t claim_ns; /* mono: not before is it looked for more */
	/* what we have and do not know of is to be taken back */
	bool sweep, begun;
};

/* deliver_attempt.c: the attempt leaves. */
void rh_sending_start(struct rh_sending *s, const struct rh_due *due);
/* deliver_account.c: the span's id, which the receiver is told … */
void rh_sending_trace(struct rh_sending *s,
    char traceparent[RH_TRACEPARENT_LEN]);
/* … and its line, count and span once it is over. */
void rh_sending_account(struct rh_sending *s);
/* deliver_settle.c: queues what settles all that is over. */
void rh_deliver_settle(struct rh_deliver *d, struct rh_pipe *p);
/* … and what is taken back: all of the holder's but what we know of. */
void rh_deliver_rescue(struct rh_deliver *d, struct rh_pipe *p, bool mine);

#endif
