/*
 * otlp - ships kept spans to a collector, and asks the environment how.
 *
 * Shape    a thread of each process copies records from its slot's span ring,
 *          batches them into ExportTraceServiceRequest (protobuf or JSON),
 *          gzips and POSTs them. They stay in the ring until they are
 *          answered for, so that a process that is killed over them leaves
 *          them to the next: each at least once, by the same ids
 * Errors   retried: 429, 502, 503, 504, no connection, no reply; with
 *          Retry-After or jittered exponential back-off. Anything else is
 *          dropped and counted; partial_success is counted as rejected and
 *          never retried. spans_total{outcome}: every ended span is exported,
 *          dropped, rejected or unsampled
 * Owner    the thread owns its curl handle; start it after the fork. It alone
 *          counts what becomes of kept spans: a cell has one writer
 * Source   OTLP 1.x specification (HTTP); OpenTelemetry environment variable
 *          specification. README.md beside this lists each variable
 *
 * otlp_env.c reads OTEL_*, otlp_encode.c makes the bytes from the ring's
 * records, otlp_ship.c is the thread, otlp_post.c the only one to see libcurl.
 */
#ifndef RH_OBS_OTLP_H
#define RH_OBS_OTLP_H

#include "base/buf.h"
#include "obs/log.h"
#include "obs/metric.h"
#include "obs/segment.h"
#include "obs/trace.h"

enum rh_otlp_protocol { RH_OTLP_PROTOBUF, RH_OTLP_JSON };

struct rh_otlp_conf {
	bool traces;			/* traces are recorded at all: rh_trace.on */
	bool disabled;			/* not shipped: no endpoint, exporter none, SDK disabled */
	struct rh_slice url;		/* of /v1/traces; NUL behind it */
	enum rh_otlp_protocol protocol;
	bool gzip;
	int64_t timeout_ms;		/* of one POST */
	int64_t export_timeout_ms;	/* of a batch with all its retries */
	struct rh_slice headers;	/* "Name: value\n" each; secret */
	struct rh_slice certificate, client_certificate, client_key;
	int64_t schedule_delay_ms, max_batch;
	int64_t attrs_max;		/* of a span */
	int64_t attr_text_max;		/* of a text, in characters */
	int64_t events_max, event_attrs_max;	/* of a span; of an event */
	int64_t links_max;		/* of a span */
	struct rh_slice service_name;
	struct rh_slice resource;	/* "key=value\n" each, decoded */
	struct rh_sampler sampler;
};

/* The fallbacks from rowhouse.conf; environment variables win. */
struct rh_otlp_defaults {
	struct rh_slice endpoint, service_name;
	double trace_ratio;
	bool traces;
};
/*
 * Warnings ("OTEL_X: not a number; ignored") go to *warnings, a line each and
 * without values, which may be secret. conf outlives what reads it.
 */
void rh_otlp_conf_read(struct rh_otlp_conf *conf,
    const struct rh_otlp_defaults *defaults, struct rh_arena *arena,
    struct rh_buf *warnings);

enum rh_spans_outcome {	/* dimension of spans_total */
	RH_SPANS_EXPORTED, RH_SPANS_DROPPED, RH_SPANS_REJECTED,
	RH_SPANS_UNSAMPLED, RH_SPANS_OUTCOMES
};

struct rh_shipper;
struct rh_shipper_spec {
	const struct rh_otlp_conf *conf;
	const struct rh_segment *segment;
	unsigned slot;
	struct rh_ring *ring;
	const struct rh_tally *tally;
	struct rh_family spans;		/* spans_total{outcome} */
	const char *version;
	pid_t pid;		/* whose spans they are; 0: our own */
};
/*
 * In a process whose children ship: what libcurl and OpenSSL set up for it, a
 * hundred KiB in each, they have together then.
 */
void rh_shipper_prepare(const struct rh_otlp_conf *conf);
/*
 * Takes over the slot's ring, with what is in it.
 *
 * NULL when conf->disabled: then spans stay in the ring for the exporter.
 */
struct rh_shipper *rh_shipper_start(const struct rh_shipper_spec *spec);
/*
 * Ships what is left within deadline_ms, sooner where a collector that does
 * not answer makes it pointless to wait; then ends the thread. What was not
 * delivered by then is still in the ring, for whoever has it next.
 */
void rh_shipper_stop(struct rh_shipper **shipper, int64_t deadline_ms);

/*
 * Encodes records (as rh_ring_take gives them, one after another, each
 * preceded by its u32 length) into one request; answers how many spans. 0:
 * there are none, and nothing is to be sent.
 */
struct rh_otlp_part {
	const struct rh_shipper_spec *spec;
	const void *records;
	size_t n;
};
/* The same of several processes, each a resource of its own. */
unsigned rh_otlp_encode_parts(struct rh_buf *to, enum rh_otlp_protocol protocol,
    const struct rh_otlp_part *parts, size_t nparts);
unsigned rh_otlp_encode(struct rh_buf *to, enum rh_otlp_protocol protocol,
    const struct rh_shipper_spec *spec, const void *records, size_t n);

#endif
