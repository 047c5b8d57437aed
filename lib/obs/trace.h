/*
 * trace - the spans of one request, and whether they are kept.
 *
 * Shape    a struct rh_trace per worker, reused: the SERVER span first, then
 *          a child for each round trip or call out. When the request ends its
 *          spans are kept, written to the span ring as one record, or
 *          forgotten, all of them together
 * Units    times in nanoseconds of the wall clock (one reading of it, moved
 *          on by the monotonic clock)
 * Errors   more than RH_SPANS_MAX children or RH_ATTRS_MAX attributes are not
 *          stored, and counted as dropped in what is sent
 * Owner    texts of attributes are borrowed until rh_trace_end; a tracestate
 *          until the trace's last call out
 * Source   W3C Trace Context level 2; OpenTelemetry specification, trace SDK,
 *          "TraceState: Probability Sampling" and semantic conventions (HTTP
 *          server, database client, exceptions)
 */
#ifndef RH_OBS_TRACE_H
#define RH_OBS_TRACE_H

#include <stdint.h>

#include "base/buf.h"
#include "obs/ring.h"

#define RH_SPANS_MAX	32
#define RH_ATTRS_MAX	20
#define RH_TRACESTATE_MAX 1024	/* of it, on a span or rewritten by us */
#define RH_TRACEPARENT_LEN 55	/* 00-<32>-<16>-<2> */

enum rh_sampled_by {
	RH_BY_PARENT, RH_BY_RATIO, RH_BY_ERROR, RH_BY_SLOW, RH_BY_SECURITY,
	RH_BY_NONE, RH_BY_COUNT
};
extern const char *const rh_sampled_by_names[RH_BY_COUNT];

enum rh_sampler_kind {
	RH_SAMPLER_ALWAYS_ON, RH_SAMPLER_ALWAYS_OFF, RH_SAMPLER_RATIO
};

struct rh_sampler {
	enum rh_sampler_kind root;
	bool parent_based;	/* a parent's flag decides where there is a parent */
	double ratio;
	uint64_t threshold;	/* reject if the trace id's low 56 bits are below it */
	unsigned state_n;	/* "ot=th:...", what it says of itself downstream */
	char state[20];
};

/*
 * Sets all of it; ratio is for RH_SAMPLER_RATIO. It must outlive the traces
 * begun with it: their tracestate points into it.
 */
void rh_sampler_init(struct rh_sampler *sampler, enum rh_sampler_kind root,
    bool parent_based, double ratio);

enum rh_span_kind {	/* OTLP's numbers */
	RH_SPAN_INTERNAL = 1, RH_SPAN_SERVER, RH_SPAN_CLIENT, RH_SPAN_PRODUCER,
	RH_SPAN_CONSUMER
};

struct rh_attr {
	const char *key;	/* a literal */
	uint8_t key_n;
	bool is_int;
	int64_t number;
	struct rh_slice text;
};

struct rh_span;

/* What is to be said of a span, if it is kept: of nine in ten it is not. */
struct rh_span_later {
	void (*tell)(struct rh_span *span, const struct rh_span_later *later);
	const void *of, *with;
	int64_t n;
};

struct rh_span {
	unsigned char id[8], parent_id[8];
	enum rh_span_kind kind;
	struct rh_slice name;
	uint64_t start_ns, end_ns;
	bool error;
	struct rh_slice error_text;	/* status message; no personal data */
	struct rh_span_later later;	/* tell NULL: nothing is */
	unsigned nattrs, attrs_dropped;
	struct rh_attr attrs[RH_ATTRS_MAX];
};

struct rh_trace {
	unsigned char trace_id[16];
	unsigned char parent_id[8];	/* zeros: we are the root */
	unsigned char flags;		/* of the parent: 01 sampled, 02 random */
	struct rh_slice tracestate;	/* as it goes on; validated */
	bool remote_parent;
	/* of a caller who is not trusted, as he came; a span of zeros: no link */
	unsigned char link_trace_id[16], link_span_id[8];
	unsigned char link_flags;
	bool head;			/* decided at the start: parent or ratio */
	bool error_known;		/* then downstream hears 01 */
	bool kept_known;		/* the owner's: it is kept whatever comes, and so is what it leaves */
	enum rh_sampled_by by;
	bool on;			/* the owner's, set once: traces = off records ids alone */
	uint64_t threshold;		/* of the sampler, where it decided */
	uint64_t wall_ns, mono_ns;	/* the owner's: when it started */
	unsigned nspans, spans_dropped;
	struct rh_span spans[RH_SPANS_MAX];
	struct rh_span scratch;		/* stands in for a span there is no room for */
	char state[RH_TRACESTATE_MAX];	/* tracestate, where we had to rewrite it */
};

/*
 * What a request brought. traceparent and tracestate as received (p == NULL:
 * absent); a traceparent that came more than once is passed as absent;
 * tracestate fields are passed joined, "," between them in the order they came
 * (RFC 9110 section 5.3).
 */
struct rh_trace_caller {
	struct rh_slice traceparent, tracestate;
	bool trusted;
	uint64_t wall_ns, mono_ns;	/* when it came, by both clocks; 0: now */
};
/*
 * Starts a trace and its SERVER span. Anything not valid by level 2 starts a
 * new trace, or goes on without tracestate. What a caller says who is not
 * trusted is no parent: a new trace starts, linked to it, and neither his flag
 * nor his tracestate counts (Trace Context, "Security Considerations").
 *
 * A decision of our own holds the sampler's threshold against rv of
 * tracestate's ot, else against the trace id's low 56 bits, and says th where
 * it keeps. A parent's decision goes on with the parent's th; one that belies
 * his flag is taken out.
 */
void rh_trace_begin(struct rh_trace *t, const struct rh_sampler *sampler,
    const struct rh_trace_caller *caller);
#define rh_trace_server(t)	(&(t)->spans[0])

/*
 * A child of the SERVER span. When there is no room, or t->on is false, a
 * scratch span with the id of the SERVER span: what is called under it still
 * hangs on the trace.
 */
struct rh_span *rh_span_open(struct rh_trace *t, enum rh_span_kind kind,
    struct rh_slice name);
/* The clock, as spans tell it. */
uint64_t rh_trace_now(const struct rh_trace *t);
void rh_span_close(struct rh_trace *t, struct rh_span *span);
/* One that is over: from when to when, of the monotonic clock. */
struct rh_span *rh_span_past(struct rh_trace *t, enum rh_span_kind kind,
    struct rh_slice name, uint64_t from_ns, uint64_t to_ns);
/*
 * key: a literal, given once; text or number: its value. text.p == NULL: the
 * attribute is left out.
 */
#define rh_span_text(span, key, ...) \
	rh_span_put_text((span), "" key, sizeof(key) - 1, __VA_ARGS__)
#define rh_span_int(span, key, ...) \
	rh_span_put_int((span), "" key, sizeof(key) - 1, __VA_ARGS__)
void rh_span_put_text(struct rh_span *span, const char *key, uint8_t key_n,
    struct rh_slice text);
void rh_span_put_int(struct rh_span *span, const char *key, uint8_t key_n,
    int64_t number);
/* Tells what was left for later, once; rh_trace_end does it for all spans. */
void rh_span_tell(struct rh_span *span);
void rh_span_fail(struct rh_span *span, struct rh_slice error_type,
    struct rh_slice text);

struct rh_trace_facts { bool error, slow, security; };
/*
 * Keeps or drops by the rule of DESIGN 8: error, slow and security always,
 * else the head decision. Sets t->by, and t->error_known where there is an
 * error, whose th goes on as 0; may be asked again with more facts. Never with
 * t->on false.
 */
bool rh_trace_decide(struct rh_trace *t, struct rh_trace_facts facts);

/*
 * Ends the SERVER span at end_ns, children still open with it and, where keep
 * is set, writes all spans to the ring as one record (span_record.h).
 * request_id and tenant_id (p == NULL: none) stand on every span as
 * rowhouse.request_id and rowhouse.tenant.id.
 *
 * For spans_total: without keep, the caller counts rh_trace_spans() as
 * unsampled. With it he counts nothing: spans for which the record has no room
 * are told in it, and the shipper, the one who takes records out, counts them.
 */
void rh_trace_end(struct rh_trace *t, struct rh_ring *ring, bool keep,
    uint64_t end_ns, struct rh_slice request_id, struct rh_slice tenant_id);
#define rh_trace_spans(t)	((t)->on ? (t)->nspans + (t)->spans_dropped : 0)

/*
 * What stands in a row for who works later, a job's or an event's, beside the
 * ids: the flags of traceparent, and what th would say in tracestate. Never
 * above 255.
 */
enum rh_trace_left {
	RH_LEFT_SAMPLED = 1,	/* it is kept, as far as is known by now */
	RH_LEFT_RANDOM = 2,
	RH_LEFT_RATIO = 4,	/* the ratio kept it: th is the sampler's */
	RH_LEFT_ALWAYS = 8,	/* it is kept whatever comes: th:0 */
	RH_LEFT_UNSAID = -1	/* the row does not say: the sampler decides, by the id */
};
int rh_trace_left(const struct rh_trace *t);

struct rh_trace_origin {
	struct rh_slice trace_id, span_id;	/* 16 and 8 bytes */
	int64_t left;			/* enum rh_trace_left */
	uint64_t wall_ns, mono_ns;	/* as a caller's */
};
/*
 * Goes on with a trace of our own. What it left decides, also where the
 * sampler heeds no caller: a trace is kept or dropped whole.
 */
void rh_trace_resume(struct rh_trace *t, const struct rh_sampler *sampler,
    const struct rh_trace_origin *origin);

/* What goes downstream under that span: RH_TRACEPARENT_LEN characters. */
void rh_traceparent_put(char to[RH_TRACEPARENT_LEN], const struct rh_trace *t,
    const struct rh_span *span);
/* As a reply's traceresponse: our SERVER span, kept or not. */
void rh_traceresponse_put(char to[RH_TRACEPARENT_LEN],
    const struct rh_trace *t, bool kept);

/*
 * trace_context.c, of use to tests and to other carriers (a job's columns).
 * False: not valid by level 2. *flags: bits 01 and 02 alone.
 */
bool rh_traceparent_get(struct rh_slice text, unsigned char trace_id[16],
    unsigned char parent_id[8], unsigned char *flags);
/* Valid by its grammar; *members: those that are not empty. */
bool rh_tracestate_is_valid(struct rh_slice text, unsigned *members);
/* What the first "ot" member says of sampling. */
struct rh_ot {
	bool has_th;	/* also one that cannot be read */
	bool has_rv;
	uint64_t th;	/* RH_THRESHOLD_NONE: there is none that can be read */
	uint64_t rv;	/* 14 lower-case digits; anything else is no rv */
};
#define RH_THRESHOLD_NONE	UINT64_MAX
struct rh_ot rh_tracestate_ot(struct rh_slice tracestate);
/*
 * Appends tracestate with "th" of its "ot" member set to the threshold, as
 * its first member; with RH_THRESHOLD_NONE without any th. What there is no
 * room for, or would be a 33rd member, goes as level 2 has it (3.3.1.5):
 * members longer than 128 characters first, then those at the end.
 */
void rh_tracestate_put_threshold(struct rh_buf *to, struct rh_slice tracestate,
    uint64_t threshold);

#endif
